"""dvc.yaml can be trusted: whatever code can change a stage's output is in the file data/needs/STAGE it depends on."""

import hashlib
from pathlib import Path

import pytest
import yaml

from project import imports
from tests.test_architecture import SOURCES, imported_modules
from vad import params, registry

TOP = Path(__file__).parents[1]
STAGES = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
CODE = {row.stage: row.code.partition(":")[0] for row in registry.FAMILIES if row.code}
"""Stage that measures a component family -> the module that the family's row names."""


def closure(modules: set[str]) -> set[str]:
    """The project's modules that some modules import, themselves and what these import included."""
    found, waiting = set(), list(modules)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += imported_modules(SOURCES[name])
    return found


def is_package(module: str) -> bool:
    """Whether it is a room: its __init__ holds a docstring alone."""
    return (TOP / module.replace(".", "/") / "__init__.py").is_file()


@pytest.mark.parametrize("stage", sorted(STAGES.keys() - {"check"}))
def test_all_code_that_a_stage_imports_is_code_that_its_result_depends_on(stage: str) -> None:
    ran = {word for word in STAGES[stage]["cmd"].split() if word.startswith("stages.")}
    modules = closure(ran | {CODE[stage]} if stage in CODE else ran)
    paths = {f"{module.replace('.', '/')}.py" for module in modules if not is_package(module)}
    assert {str(path.relative_to(TOP)) for path in imports.code_of(stage)} == paths - imports.LEAVES_NO_TRACE


def test_every_stage_depends_on_its_file_of_needs_and_on_no_code_besides() -> None:
    assert set(imports.stages()) == STAGES.keys() - {"check"}
    for stage in imports.stages():
        needs = [path for path in STAGES[stage]["deps"] if path.startswith("data/needs")]
        assert needs == [f"data/needs/{stage}"]
        assert not [path for path in STAGES[stage]["deps"] if path.endswith(".py")]
    assert STAGES["check"]["always_changed"] and all((TOP / path).is_file() for path in imports.LEAVES_NO_TRACE)


IMPORTS = """
from vad.data import (  # noqa: F401
    clips,  # why not
    decode as other,
)
import os; from vad.storage import files
if True: import vad.storage.tables
from vad.quality \\
    import repair
def later():
    from vad.scoring import fusion
"""


def test_an_import_is_found_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(IMPORTS)
    found = {str(path.relative_to(TOP / "vad")) for path in imports.imported(tmp_path / "module.py")}
    names = "data/clips data/decode storage/files storage/tables quality/repair scoring/fusion"
    assert found == {f"{name}.py" for name in names.split()}


def test_a_stage_depends_on_the_rows_of_the_registry_that_its_parameters_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = params.load(TOP / "params.yaml")
    before = imports.rows_of(settings)
    monkeypatch.setitem(registry.PREDICTORS, "unet", "vad.models.predictor:ConvLSTM")
    after = imports.rows_of(settings)
    assert {name for name in before if after[name] != before[name]} == {"train_predictor", "predict", "memory"}
    monkeypatch.setitem(registry.ENCODERS, "mine", "vad.models.autoencoder:Autoencoder")
    assert imports.rows_of(settings)["train"] == before["train"]
    other = TOP / "vad/evaluation/onsets.py"
    assert other in imports.code_of("train", ["vad.evaluation.onsets:find"])
    assert other not in imports.code_of("train")


CODE_IN_INIT = {"vad", "stages"}
"""Packages that hold more than a docstring: an error's class, and how a stage is run."""


@pytest.mark.parametrize("room", sorted(name for name in SOURCES if is_package(name) and name not in CODE_IN_INIT))
def test_a_room_holds_no_code_of_its_own(room: str) -> None:
    assert SOURCES[room].count('"""') == 2 and SOURCES[room].strip().endswith('"""')


def test_a_new_parameter_plot_or_component_family_leaves_the_autoencoder_as_it_is() -> None:
    names = ("params.py", "registry.py", "evaluation/plots.py", "components/motion.py")
    touched = {TOP / "vad" / name for name in names}
    for stage in ("train", "train_predictor"):
        assert touched.isdisjoint(imports.code_of(stage)) and "params.yaml" not in STAGES[stage]["deps"]


def test_a_digest_is_that_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    for text in ("one", "two"):
        (tmp_path / "code.py").write_text(text)
        assert imports.digest(tmp_path / "code.py") == hashlib.sha256(text.encode()).hexdigest()


def test_every_network_and_family_has_its_stage_and_aggregate_takes_every_family() -> None:
    families = {row.name: row.stage for row in registry.FAMILIES if row.code}
    assert set(registry.NETWORKS.values()) | set(families.values()) <= STAGES.keys()
    assert {f"data/components/{name}.npz" for name in families} <= set(STAGES["aggregate"]["deps"])


def test_a_family_that_looks_at_resized_frames_says_so() -> None:
    for row in registry.FAMILIES:
        if row.code:
            assert row.small == ("data/resized" in STAGES[row.stage]["deps"]), row.name
