"""dvc.yaml can be trusted: whatever code can change a stage's output is among its dependencies."""

from pathlib import Path

import pytest
import yaml

from tests.test_architecture import SOURCES, imported_modules

TOP = Path(__file__).parents[1]
STAGES = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
CANT_MATTER = {"vad", "stages", "project", "competition", "vad.params", "vad.storage.progress"}
"""Modules that leave no trace in any output: what is read of params.yaml is under `params`, progress is on screen."""


def closure(module: str) -> set[str]:
    """The project's modules that a module imports, itself and what these import included."""
    found, waiting = set(), [module]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += imported_modules(SOURCES[name])
    return found


def code_of(stage: str) -> set[str]:
    """Paths of the code that a stage's output may depend on."""
    # The one stage whose work it is to check parameters.
    ignored = CANT_MATTER - {"vad.params"} if stage == "check" else CANT_MATTER
    modules = closure(f"stages.{stage}") - ignored
    return {f"{module.replace('.', '/')}.py" for module in modules if not is_package(module)}


def is_package(module: str) -> bool:
    """Whether it is a room: its __init__ holds a docstring alone."""
    return (TOP / module.replace(".", "/") / "__init__.py").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_all_code_that_a_stage_imports_is_among_its_dependencies(stage: str) -> None:
    wanted = code_of(stage)
    listed = {path for path in STAGES[stage]["deps"] if path.endswith(".py")}
    assert listed == wanted, f"missing: {sorted(wanted - listed)}; needless: {sorted(listed - wanted)}"


@pytest.mark.parametrize("room", sorted(name for name in SOURCES if is_package(name) and name not in CANT_MATTER))
def test_a_room_holds_no_code_of_its_own(room: str) -> None:
    assert SOURCES[room].count('"""') == 2 and SOURCES[room].strip().endswith('"""')
