"""What every test shares: the real clips where there are some, and property tests that repeat."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.clone import clone, restored  # noqa: F401

# Before torch is imported, here and in the pipelines that tests start: tiny tensors gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A slip must reach neither Kaggle nor anything else with the token of whoever runs the tests.
os.environ |= {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "no_proxy": "", "NO_PROXY": ""}
os.environ |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")

# A shell has what it starts in the background ignore Ctrl-C, and so would the stages that tests send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Derandomised: a failure comes back. No deadline: a busy machine is no failure.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


LONGEST = (
    "test_pipeline.py",
    "test_ablations.py",
    "test_training.py",
    "test_stages.py",
    "test_processes.py",
    "test_kaggle_run.py",
    "test_kaggle.py",
    "test_film.py",
    "test_up_to_date.py",
    "test_style.py",
)
"""Files of tests that take minutes: they start first, so that no worker is left with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("real") and not os.environ.get("VAD_REAL_DATA"):
        pytest.skip("VAD_REAL_DATA is unset: no folder with avenue/ and ped2/")


@pytest.fixture
def real_data() -> Path:
    """The folder of the real clips, holding avenue/ and ped2/, for tests marked `real`. Set but wrong fails."""
    folder = Path(os.environ["VAD_REAL_DATA"])
    assert folder.is_dir(), f"VAD_REAL_DATA={folder}: no such folder"
    return folder
