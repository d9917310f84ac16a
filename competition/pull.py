"""Pull: a run that ended on Kaggle's machines -> a DVC experiment here, with its model, scores and submission.

python -m competition.pull
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from competition import client, collect, push
from project import workspaces
from vad import VadError
from vad.storage import archives, files

RUN = push.STAGING / "run"
_RUNNING = "QUEUED", "RUNNING", "NEW_SCRIPT"


def refuse_unfinished(api: Any, name: str) -> None:
    """Raise VadError when the notebook still runs, or failed."""
    found = client.call(f"notebook {name}", api.kernels_status, name, remedies=push.REMEDIES)
    if found.status.name in _RUNNING:
        raise VadError(f"Kaggle: notebook {name}: {found.status.name.lower()}; pull again later")
    if found.status.name != "COMPLETE":
        said = " ".join((found.failure_message or "no reason given").split())
        raise VadError(f"Kaggle: notebook {name}: {found.status.name.lower()}: {said}; `kaggle kernels logs {name}`")


def bring(api: Any, name: str) -> None:
    """Download run.zip of the notebook's output and unpack it into RUN, in place of an older one."""
    folder = push.STAGING / "output"
    shutil.rmtree(folder, ignore_errors=True)
    # This one file by its name: the client writes others wherever their names lead.
    client.call(
        f"notebook {name}", api.kernels_output, name, str(folder), file_pattern=rf"\A{collect.ARCHIVE}\Z",
        force=True, remedies=push.REMEDIES, seconds=60.0 * push.MINUTES,
    )  # fmt: skip
    archive = folder / collect.ARCHIVE
    if not archive.is_file():
        raise VadError(f"Kaggle: notebook {name}: no {collect.ARCHIVE} in its output; did its last cell run?")
    shutil.rmtree(RUN, ignore_errors=True)
    archives.unpack(archive, RUN)


def record() -> str:
    """Make the run in RUN an experiment of this repository; its name.

    Raises VadError when the commit that ran is not here, or a file is not what its name in DVC's cache says.
    """
    bundle = RUN / collect.BUNDLE
    ref = workspaces.git(workspaces.TOP, "bundle", "list-heads", str(bundle)).split()[1]
    if not ref.startswith("refs/exps/"):
        raise VadError(f"{bundle}: holds {ref}, not an experiment; pull again")
    cached = sorted((RUN / collect.CACHE).glob("*/*"))
    for path in cached:
        with open(path, "rb") as handle:
            if hashlib.file_digest(handle, "md5").hexdigest() != path.parent.name + path.name:
                raise VadError(f"{path}: damaged; pull again")
    cache = Path(next(iter(workspaces.dvc(workspaces.TOP, "cache", "dir")))) / "files" / "md5"
    for path in cached:
        if not (cache / path.parent.name / path.name).exists():
            files.copy(path, cache / path.parent.name / path.name)
    workspaces.git(workspaces.TOP, "fetch", "--quiet", str(bundle), f"{ref}:{ref}")
    return ref.rpartition("/")[2]


def names() -> dict[str, str]:
    """`revision` and `experiment` of the run that was brought, by name. Raises VadError where none was."""
    path = RUN / collect.NAMES
    if not path.is_file():
        raise VadError(f"{path}: no such file; `make kaggle-pull` brings a run")
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    try:
        api = client.connect()
        name = push.kernel(api)["id"]
        refuse_unfinished(api, name)
        bring(api, name)
        experiment = record()
    except VadError as error:
        sys.exit(str(error))
    print(f"experiment {experiment}: `dvc exp show`, `python -m experiments.compare workspace {experiment}`")
    print(f"`make submit KAGGLE=1` hands in its submission, {(RUN / 'submission.csv').relative_to(workspaces.TOP)}")


if __name__ == "__main__":
    main()
