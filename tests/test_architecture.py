"""The rooms of the house: imports run one way, from what runs and judges down to the bare package."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]

# Top to bottom: a module imports from its own room and from rooms below.
ROOMS = [
    "benchmarks", "faults", "reports", "experiments", "stages", "competition", "project",
    "vad.evaluation", "vad.scoring", "vad.components", "vad.models", "vad.synthetic", "vad.quality", "vad.data",
    "vad.storage", "vad.params", "vad.schema", "vad.registry", "vad",
]  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path.read_text(encoding="utf-8")
    for package in dict.fromkeys(room.split(".")[0] for room in ROOMS)
    for path in sorted((TOP / package).rglob("*.py"))
}


def imports(source: str) -> set[str]:
    """Absolute names of all that a module's text imports, inside functions too; `from a import b` gives a.b."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write `from vad...`: relative imports are not used here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def first_known(name: str, known: "set[str] | list[str]") -> str | None:
    """The longest of the dotted names `known` that a name is or lies in."""
    parts = name.split(".")
    return next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in known), None)


def imported_modules(source: str) -> set[str]:
    """The project's own modules that a text imports."""
    return {module for name in imports(source) if (module := first_known(name, set(SOURCES)))}


def height(module: str) -> int:
    room = first_known(module, ROOMS)
    assert room is not None and (room != "vad" or module == "vad"), f"{module} lies in no room: name one in ROOMS"
    return ROOMS.index(room)


def wrong_arrows(importer: str, source: str) -> list[str]:
    """The imports of `importer` that run upwards, as "importer -> imported"."""
    found = imported_modules(source)
    return sorted(f"{importer} -> {module}" for module in found if height(module) < height(importer))


@pytest.mark.parametrize("module", SOURCES)
def test_imports_run_down(module: str) -> None:
    assert wrong_arrows(module, SOURCES[module]) == []


def test_no_circle_inside_a_room() -> None:
    graph = {module: imported_modules(source) - {module} for module, source in SOURCES.items()}
    assert set(TopologicalSorter(graph).static_order()) >= graph.keys()  # raises CycleError for a circle


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("vad.params", "from vad.scoring import fusion"),
        ("vad.data.clips", "import vad.models.autoencoder as a"),
        ("vad.scoring.fusion", "def f():\n    from vad.evaluation.metrics import average_precision"),
        ("vad.components.motion", "from stages import PARAMS"),
        ("vad", "from vad.storage.files import replacing"),
        ("competition.submit", "from experiments import results"),
        ("project.revisions", "from competition import client"),
    ],
)
def test_a_wrong_arrow_is_seen(importer: str, source: str) -> None:
    assert len(wrong_arrows(importer, source)) == 1


def test_a_module_outside_every_room_is_seen() -> None:
    with pytest.raises(AssertionError, match="name one in ROOMS"):
        wrong_arrows("vad.newcomer", "from vad import params")


@pytest.mark.parametrize("module", [name for name in SOURCES if name.split(".")[0] == "stages"])
def test_a_stage_imports_no_other_stage(module: str) -> None:
    assert imported_modules(SOURCES[module]) & {name for name in SOURCES if name.startswith("stages.")} == set()


@pytest.mark.parametrize("module", [name for name in SOURCES if name.split(".")[0] == "vad"])
def test_library_knows_neither_dvc_nor_the_command_line(module: str) -> None:
    assert {name.split(".")[0] for name in imports(SOURCES[module])}.isdisjoint({"dvc", "argparse"})


def loaded_by(module: str) -> set[str]:
    """Top-level names of all that `import module` loads in a fresh interpreter."""
    code = f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], cwd=TOP, check=True, capture_output=True, text=True)
    return set(result.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("vad").isdisjoint({"torch", "numpy", "pandas", "cv2", "pydantic"})


HEAVY = {"torch", "sklearn", "scipy", "matplotlib", "cv2"}


@pytest.mark.parametrize(
    ("stage", "heavy"),
    [
        ("stages.check", HEAVY | {"numpy", "pandas"}),
        ("stages.aggregate", HEAVY),
        ("stages.evaluate", HEAVY | {"h5py"}),
        ("stages.submission", HEAVY | {"pydantic"}),
    ],
)
def test_the_stages_that_an_idea_runs_again_load_nothing_heavy(stage: str, heavy: set[str]) -> None:
    assert loaded_by(stage).isdisjoint(heavy)
