"""Where the report's figures come from: commit, parameters, data and model. No path of this machine is shown."""

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from project import revisions, workspaces
from vad import VadError
from vad.models import saving

LOCK = Path("dvc.lock")
METRICS = Path("metrics")


def provenance(weights: Path) -> dict[str, Any]:
    """Where the figures of the workspace come from, ready for JSON.

    `commit`: what `commit` gives; `parameters`: dotted key -> value; `stale`: the keys of those that were changed after
    the outputs were made; `data`, `found`, `training`: metrics/data.json, the counts of metrics/diagnosis.json,
    metrics/train.json; `model`: what its weights were made of.
    """
    values = revisions.parameters(yaml.safe_load(Path(revisions.PARAMS).read_text(encoding="utf-8")))
    return {
        "commit": commit(),
        "parameters": portable(values),
        "stale": stale(values),
        "data": read_metrics("data"),
        "found": read_metrics("diagnosis")["found"],
        "training": read_metrics("train"),
        "model": portable(revisions.parameters(saving.read_origin(weights))),
    }


def commit() -> dict[str, Any] | None:
    """`name`, `date` and `subject` of the commit; `changed`, the tracked files changed since. None without Git."""
    try:
        name, date, subject = workspaces.git(Path(), "log", "-1", "--format=%h%n%cs%n%s").splitlines()
        changed = workspaces.git(Path(), "status", "--porcelain", "--untracked-files=no").splitlines()
    except VadError:
        return None
    return {"name": name, "date": date, "subject": subject, "changed": [line[3:] for line in changed]}


def stale(values: dict[str, Any]) -> list[str]:
    """Which of the parameters (by dotted key) differ from those that the stages last ran with, as dvc.lock has them."""
    try:
        stages = yaml.safe_load(LOCK.read_text(encoding="utf-8"))["stages"]
    except FileNotFoundError:
        return []
    used: dict[str, Any] = {}
    for stage in stages.values():
        for section, value in stage.get("params", {}).get(revisions.PARAMS, {}).items():
            used |= revisions.parameters(value, section)
    return sorted(key for key, value in used.items() if values.get(key) != value)


def read_metrics(name: str) -> Any:
    """The figures of metrics/NAME.json."""
    return json.loads((METRICS / f"{name}.json").read_text(encoding="utf-8"))


def portable(value: Any) -> Any:
    """Nested values in which of an absolute path only the last name is left: a report may be given to others."""
    if isinstance(value, dict):
        return {key: portable(inner) for key, inner in value.items()}
    if isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return f".../{PureWindowsPath(value).name}"
    return value
