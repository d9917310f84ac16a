"""What code a stage's result depends on: the project's modules that the stage imports, and all that these import."""

import hashlib
import re
from functools import cache
from pathlib import Path

from vad import registry

TOP = Path(__file__).parents[1]
LEAVES_NO_TRACE = {
    "project/launch.py", "project/lifetime.py", "project/imports.py",
    "vad/registry.py", "vad/params.py", "vad/schema.py", "vad/storage/needs.py", "vad/storage/progress.py",
}  # fmt: skip
"""Modules that change no output: they run a stage, say how far it is, and read the parameters, which DVC compares."""
_STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)|import[ \t]+([^\n#]+))", re.MULTILINE
)


def stages() -> list[str]:
    """The stages of dvc.yaml whose results depend on code, which is all but `check`."""
    modules = {path.stem for path in (TOP / "stages").glob("*.py")} - {"__init__", "components", "check"}
    return sorted(modules | {row.stage for row in registry.FAMILIES})


def code_of(stage: str) -> list[Path]:
    """The modules that a stage's result depends on, in the order of their paths."""
    code = [row.code.partition(":")[0] for row in registry.FAMILIES if row.stage == stage and row.code]
    waiting = [_module(name) for name in (["stages.components", *code] if code else [f"stages.{stage}"])]
    found: set[Path] = set()
    while waiting:
        if (path := waiting.pop()) and path not in found and str(path.relative_to(TOP)) not in LEAVES_NO_TRACE:
            found.add(path)
            waiting += imported(path)
    return sorted(found)


@cache
def imported(path: Path) -> tuple[Path, ...]:
    """The project's modules that a module imports, inside functions and for type checkers too.

    Found by the text of its lines, which takes a tenth of the time of parsing it; a test compares the two.
    """
    names: list[str] = []
    for origin, some, plain in _STATEMENT.findall(path.read_text(encoding="utf-8")):
        parts = [part.split()[0] for part in (some or plain).strip("()").split(",") if part.strip()]
        names += [f"{origin}.{part}" for part in parts] if origin else parts
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
