"""What a run on Kaggle's machines leaves for `make kaggle-pull`: called by notebooks/pipeline.ipynb, in the project."""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import yaml

from project import workspaces
from vad import VadError
from vad.storage import files

KEPT = "train", "aggregate", "evaluate", "submission"
"""Stages whose outputs come back: the model, the scores, the submission. Clips and what is made of them stay."""
ARCHIVE = "run.zip"
BUNDLE = "experiment.bundle"
CACHE = "cache"
NAMES = "experiment.json"
"""The commit that ran and the experiment's name."""
TOLD = "data/scores.csv", "data/raw/sample_submission.csv"
"""What `make submit` checks the submission against."""


def use_competition_data() -> None:
    """Have the pipeline read the competition's mounted clips, whatever the committed params.yaml reads."""
    here = {
        "data.source": "pixel-play-26",
        "data.root": "data/external",
        "data.benchmark_labels": "data/truth",
        "data.scores": "data/given",
    }
    workspaces.set_parameters(workspaces.TOP / "params.yaml", here)


def collect(working: Path) -> None:
    """Put into the folder `working`, the kernel's output, the submission, the metrics, and run.zip with the experiment.

    run.zip holds besides those the run as a DVC experiment (a Git bundle) and what DVC's cache has of KEPT's outputs.
    Raises VadError when the pipeline is not up to date.
    """
    top = workspaces.TOP
    if stale := workspaces.stale(top):
        raise VadError(f"{', '.join(stale)}: not up to date; run `dvc repro` to its end first")
    name = f"kaggle-{datetime.now(UTC):%m%d-%H%M%S}"
    for key, value in (("user.name", "Kaggle"), ("user.email", "kaggle@localhost")):
        workspaces.git(top, "config", key, value)
    list(workspaces.dvc(top, "exp", "save", "--name", name))
    shutil.copy(top / "submission.csv", working)
    shutil.copytree(top / "metrics", working / "metrics", dirs_exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        shutil.copytree(working, folder)
        for told in TOLD:
            (folder / told).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(top / told, folder / told)
        head = workspaces.git(top, "rev-parse", "--short=10", "HEAD").strip()
        files.write_json(folder / NAMES, {"revision": head, "experiment": name})
        (ref,) = workspaces.git(top, "for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}").split()
        workspaces.git(top, "bundle", "create", "--quiet", str(folder / BUNDLE), ref, "^HEAD")
        for hash_ in _hashes(top / "dvc.lock"):
            target = folder / CACHE / hash_[:2] / hash_[2:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_cached(hash_), target)
        shutil.make_archive(str(working / Path(ARCHIVE).stem), "zip", folder)


def _hashes(lock: Path) -> list[str]:
    """The MD5s of the cached outputs of KEPT, all of which are files."""
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    outs = [out for stage in KEPT for out in stages[stage]["outs"]]
    return [out["md5"] for out in outs if _in_cache(out["md5"])]


def _in_cache(hash_: str) -> bool:
    """Whether DVC's cache has a file: what an output of Git's is made of, it has not."""
    return not hash_.endswith(".dir") and _cached(hash_).is_file()


def _cached(hash_: str) -> Path:
    return workspaces.TOP / ".dvc" / "cache" / "files" / "md5" / hash_[:2] / hash_[2:]
