"""Imports run one way, from the stages down to the bare package, and light things stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]

# Top to bottom: a module imports only from layers below its own.
LAYERS = [
    {"experiments.kaggle_faults"},
    {"experiments.faults", "experiments.mutants", "experiments.failure_analysis", "experiments.past_the_ceiling"},
    {"experiments.oracle", "experiments.recipe", "experiments.markdown"},
    {"experiments.catalogue", "experiments.ablations"},
    {"experiments.verdicts"},
    {"experiments.damage"},
    {"experiments.rehearsal"},
    {"experiments.report"},
    {"experiments.anatomy"},
    {"competition.submit"},
    {"competition.pull"},
    {"competition.push", "competition.collect"},
    {"stages", "experiments"},
    {"competition.download", "competition.leaderboard"},
    {"competition", "competition.client"},
    {"vad.ranking", "vad.metrics", "vad.submission", "vad.labels", "vad.figures", "vad.comparison"},
    {
        "vad.errors",
        "vad.views",
        "vad.sample",
        "vad.validation",
        "vad.training",
        "vad.bootstrap",
        "vad.curves",
        "vad.motion",
        "vad.prediction",
        "vad.memory",
    },
    {
        "vad.autoencoder",
        "vad.corruption",
        "vad.events",
        "vad.scene",
        "vad.decode",
        "vad.masks",
        "vad.diagnosis",
        "vad.repair",
        "vad.pooling",
    },
    {"vad.clips", "vad.sources", "vad.archives", "vad.stress", "vad.encoders", "vad.collapse"},
    {"vad.params", "vad.files", "vad.tables", "vad.progress", "vad.torchvision_compat"},
    {"vad"},
]
# Arrows inside a layer, each in one direction only.
NEIGHBOURS = {
    ("vad.events", "vad.corruption"),
    ("vad.sources", "vad.clips"),
    ("vad.tables", "vad.files"),
    ("vad.comparison", "vad.metrics"),
    ("experiments.compare", "experiments.revisions"),
    ("experiments.report_data", "experiments.revisions"),
    ("experiments.report_images", "experiments.reconstructions"),
    ("experiments.report_provenance", "experiments.revisions"),
    ("experiments.report_provenance", "experiments.workspaces"),
    ("experiments.kaggle_server", "experiments.kaggle_site"),
}
# The machine's side stands beside the layers: nothing below the stages may depend on it.
RUNTIME = "vad.runtime"
RUNTIME_IMPORTS = {"vad.params", "vad"}


def module_name(path: Path) -> str:
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path.read_text(encoding="utf-8")
    for package in ("vad", "stages", "experiments", "competition")
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


def as_module(name: str) -> str | None:
    """The project's module that an imported name is or lies in; None for anybody else's."""
    parts = name.split(".")
    if parts[0] not in ("vad", "stages", "experiments", "competition"):
        return None
    known = SOURCES.keys() | set().union(*LAYERS) | {RUNTIME}
    return next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in known), parts[0])


def layer(module: str) -> int:
    package = module.split(".")[0]
    group = module if package == "vad" or any(module in modules for modules in LAYERS) else package
    for number, modules in enumerate(LAYERS):
        if group in modules:
            return number
    raise AssertionError(f"{module} has no layer: place it in LAYERS of tests/test_architecture.py")


def allowed(importer: str, imported: str) -> bool:
    if imported in (importer, importer.split(".")[0]):  # a package's own __init__
        return True
    if importer == RUNTIME:
        return imported in RUNTIME_IMPORTS
    if imported == RUNTIME:
        return importer.split(".")[0] == "stages"
    return layer(importer) < layer(imported) or (importer, imported) in NEIGHBOURS


def wrong_arrows(importer: str, source: str) -> list[str]:
    """The imports of `importer` that run against the layers, as "importer -> imported"."""
    modules = {module for name in imports(source) if (module := as_module(name))}
    return sorted(f"{importer} -> {module}" for module in modules if not allowed(importer, module))


@pytest.mark.parametrize("module", SOURCES)
def test_imports_run_one_way(module: str) -> None:
    if module != RUNTIME:
        layer(module)
    assert wrong_arrows(module, SOURCES[module]) == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("vad.params", "from vad import ranking"),
        ("vad.clips", "import vad.autoencoder as a"),
        ("vad.clips", "from vad.sources import find_clips"),
        ("vad.ranking", "def f():\n    from vad.metrics import ap"),
        ("vad.training", "from vad import runtime"),
        ("experiments.runner", "from vad import runtime"),
        ("vad.runtime", "from vad import files"),
        ("vad.errors", "from stages import PARAMS"),
        ("vad", "from vad.files import replacing"),
        ("stages.infer", "from stages.train import main"),
    ],
)
def test_a_wrong_arrow_is_seen(importer: str, source: str) -> None:
    assert len(wrong_arrows(importer, source)) == 1


def test_right_arrows_pass() -> None:
    source = "import json\nfrom vad import VadError, clips, params, runtime\nfrom stages import run"
    assert wrong_arrows("stages.infer", source) == []


def test_a_module_without_a_layer_is_seen() -> None:
    with pytest.raises(AssertionError, match="place it in LAYERS"):
        wrong_arrows("vad.newcomer", "from vad import params")


def test_arrows_inside_a_layer_stay_inside_and_make_no_circle() -> None:
    for importer, imported in NEIGHBOURS:
        assert layer(importer) == layer(imported)
        assert imported not in {first for first, _ in NEIGHBOURS}, "a chain could close to a circle"


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


@pytest.mark.parametrize("stage", ["stages.aggregate", "stages.check", "stages.submission"])
def test_light_stages_load_neither_torch_nor_sklearn(stage: str) -> None:
    assert loaded_by(stage).isdisjoint({"torch", "sklearn"})
