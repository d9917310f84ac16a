"""What code a stage's result depends on: the project's modules that the stage imports, and all that these import."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from vad import registry

TOP = Path(__file__).parents[1]
LEAVES_NO_TRACE = {
    "project/launch.py", "project/lifetime.py", "project/imports.py",
    "vad/registry.py", "vad/params.py", "vad/schema.py", "vad/storage/needs.py", "vad/storage/progress.py",
}  # fmt: skip
"""Modules that change no output: they run a stage, say how far it is, and read the parameters, which DVC compares."""


def stages() -> list[str]:
    """The stages of dvc.yaml whose results depend on code, which is all but `check`."""
    modules = {path.stem for path in (TOP / "stages").glob("*.py")} - {"__init__", "components", "check"}
    return sorted(modules | {row.stage for row in registry.FAMILIES})


def rows_of(settings: Any) -> dict[str, list[str]]:
    """Stage -> what it reads in the registry: the rows that its parameters choose, as text; code is `module:object`."""
    encoder, network = registry.ENCODERS[settings.train.encoder], registry.PREDICTORS[settings.predict.network]
    views = ["views", *registry.VIEWS]
    rows: dict[str, list[str]] = {stage: [] for stage in stages()}
    for family in registry.FAMILIES:
        rows[family.stage] += [family.code] * bool(family.code) + [str((family.maps, family.pools))]
    rows["train"] += [encoder]
    rows["infer"] += [encoder, *views]
    rows["train_predictor"] += [network]
    rows["predict"] += [network]
    rows["memory"] += [encoder, network, registry.BACKBONES.get(settings.memory.features, "")]
    rows["fetch"] += [str(registry.SOURCES[settings.data.source])]
    for stage in ("aggregate", "evaluate"):  # of all rows, and quick
        rows[stage] += [digest(TOP / "vad" / "registry.py")]
    return rows


def code_of(stage: str, named: Iterable[str] = ()) -> list[Path]:
    """The modules that a stage's result depends on, in the order of their paths.

    `named` are others, with what they import: those that the registry names for the parameters, `module:object`.
    """
    code = [row.code for row in registry.FAMILIES if row.stage == stage and row.code]
    first = ["stages.components", *code] if code else [f"stages.{stage}"]
    waiting = [_module(name.partition(":")[0]) for name in (*first, *named)]
    found: set[Path] = set()
    while waiting:
        if (path := waiting.pop()) and path not in found and str(path.relative_to(TOP)) not in LEAVES_NO_TRACE:
            found.add(path)
            waiting += imported(path)
    return sorted(found)


@cache
def imported(path: Path) -> tuple[Path, ...]:
    """The project's modules that a module imports, inside functions and for type checkers too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple({module for name in names if (module := _module(name))})


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _module(name: str) -> Path | None:
    """The project's module that a dotted name is or lies in; None where it is a package's, which holds no code."""
    parts = name.split(".")
    if not (TOP / parts[0]).is_dir():
        return None
    paths = (TOP.joinpath(*parts[:count]).with_suffix(".py") for count in range(len(parts), 1, -1))
    return next((path for path in paths if path.is_file()), None)
