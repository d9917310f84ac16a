"""An S3 server on the loopback, for the tests of remotes and of jobs."""

from collections.abc import Iterator

import pytest

# The tests' own proxy, which leads nowhere, is not for the loopback.
CLOUD = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"} | {
    "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
}  # fmt: skip


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server on the loopback, with an empty bucket `lab`."""
    pytest.importorskip("dvc_s3", reason="install requirements-remotes.txt")
    server = pytest.importorskip("moto.server", reason="install requirements-remotes.txt")
    boto3 = pytest.importorskip("boto3")
    for name, value in CLOUD.items():
        monkeypatch.setenv(name, value)
    served = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    served.start()
    address = f"http://127.0.0.1:{served.get_host_and_port()[1]}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="lab")
    yield address
    served.stop()
