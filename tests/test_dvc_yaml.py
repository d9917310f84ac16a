"""dvc.yaml can be trusted: whatever code can change a stage's output is among its dependencies."""

from pathlib import Path

import pytest
import yaml

from tests.test_architecture import SOURCES, imported_modules
from vad import registry

TOP = Path(__file__).parents[1]
STAGES = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
CANT_MATTER = {"vad", "stages", "project", "competition", "vad.registry", "vad.params", "vad.schema"} | {
    "project.launch", "project.lifetime", "vad.storage.needs", "vad.storage.progress"
}  # fmt: skip
"""Modules that leave no trace in any output: what is read of params.yaml is under `params`, progress is on screen."""
CHECKED = {"vad.registry", "vad.params", "vad.schema", "vad.storage.needs"}
"""What the stage `check` is about."""
CODE = {row.stage: row.code.partition(":")[0] for row in registry.FAMILIES if row.code}
"""The module that the row of a component family names -> its stage."""


def closure(modules: set[str]) -> set[str]:
    """The project's modules that some modules import, themselves and what these import included."""
    found, waiting = set(), list(modules)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += imported_modules(SOURCES[name])
    return found


def code_of(stage: str) -> set[str]:
    """Paths of the code that a stage's output may depend on."""
    ran = {word for word in STAGES[stage]["cmd"].split() if word.startswith("stages.")}
    ignored = CANT_MATTER - CHECKED if stage == "check" else CANT_MATTER
    modules = closure(ran | {CODE[stage]} if stage in CODE else ran) - ignored
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


def test_a_new_parameter_plot_or_component_family_leaves_the_autoencoder_as_it_is() -> None:
    touched = {"vad/params.py", "vad/registry.py", "vad/evaluation/plots.py", "vad/components/motion.py", "params.yaml"}
    assert touched.isdisjoint(STAGES["train"]["deps"]) and touched.isdisjoint(STAGES["train_predictor"]["deps"])


def test_every_network_and_family_has_its_stage_and_every_stage_knows_whether_it_is_needed() -> None:
    makers = {**registry.NETWORKS, **{row.name: row.stage for row in registry.FAMILIES if row.code}}
    files = {f"data/needs/{name}" for name in makers}
    assert files == {out for each in STAGES["check"]["outs"] for out in each if out.startswith("data/needs/")}
    for name, stage in makers.items():
        assert f"data/needs/{name}" in STAGES[stage]["deps"], stage
    assert {f"data/components/{name}.npz" for name in makers.keys() - registry.NETWORKS.keys()} <= set(
        STAGES["aggregate"]["deps"]
    )
