"""What a revision scored, and by which parameters: any Git revision, DVC experiment or the workspace."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexError

from vad import VadError
from vad.storage import tables

WORKSPACE = "workspace"
SCORES, PARAMS = "data/labelled_scores.csv", "params.yaml"


@dataclass(frozen=True)
class Revision:
    """The parameters of a revision and, by part, its scored frames (split, video, frame, score, label, kind)."""

    name: str
    params: dict[str, Any]
    parts: dict[str, pd.DataFrame]


def read(name: str) -> Revision:
    """Read `workspace`, a Git revision or an experiment, from Git and DVC's cache, or its remote where there is one.

    Raises VadError for an unknown revision, one that scored nothing, and outputs that are neither here nor there.
    """
    if name == WORKSPACE:
        return _load(name, Path())
    with tempfile.TemporaryDirectory() as folder:
        _copy(name, Path(folder))
        try:
            return _load(name, Path(folder))
        except VadError as error:
            raise VadError(str(error).replace(f"{folder}/", f"{name}: ")) from None


def parameters(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested parameters as dotted key -> value: {"train": {"epochs": 10}} -> {"train.epochs": 10}."""
    if not isinstance(values, dict) or not values:
        return {prefix: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= parameters(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _load(name: str, root: Path) -> Revision:
    if not (root / SCORES).is_file():
        raise VadError(f"{name}: it has no {SCORES}; score its frames with `dvc repro evaluate` there")
    scores = tables.read_csv(root / SCORES, [*tables.KEYS, "score", "label", "kind"])
    by_split = dict(list(scores.groupby("split")))
    parts = {part: by_split[split] for part, split in tables.PARTS.items() if split in by_split}
    values = yaml.safe_load((root / PARAMS).read_text(encoding="utf-8"))
    return Revision(name, parameters(values), parts)


def _copy(name: str, folder: Path) -> None:
    """Copy what `_load` needs of a revision into a folder."""
    filesystem = DVCFileSystem(rev=name)
    for file in (PARAMS, SCORES):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if _known(filesystem, file):
                filesystem.get_file(file, str(target))
        except DvcException as error:
            raise VadError(f"{name}: {' '.join(str(error).split())}; `git log` and `dvc exp list` name some") from None
        except (FileNotFoundError, DataIndexError):
            remedy = "`dvc pull` it, or make it again: `dvc exp run`, or `git checkout` and `dvc repro`"
            raise VadError(f"{name}: {file} is not in DVC's cache; {remedy}") from None


def _known(filesystem: DVCFileSystem, file: str) -> bool:
    """Whether a revision has a file at all, cached or not: `exists` would not tell."""
    try:
        filesystem.info(file)
    except FileNotFoundError:
        return False
    return True
