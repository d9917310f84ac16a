"""What a training stage has learnt is not lost, whatever goes wrong until its last output is in place."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import stages
from project import imports
from stages import train, train_predictor
from tests.tiny_clips import walking_square
from vad import VadError, params, registry
from vad.data import clips
from vad.models import predictor_training, saving, training
from vad.models.resumable import Resumable
from vad.storage import files, needs, tables

TOP = Path(__file__).parents[2]
RESIZED = Path("resized")
STAGES: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "train": (train.main, ("needs/train", "resized", "models/a.safetensors", "halves", "a.json", "loss.csv")),
    "train_predictor": (
        train_predictor.main, ("needs/train_predictor", "resized", "models/p.safetensors", "halves", "p.json")
    ),
}  # fmt: skip
LAST_WRITES = [
    ("train", saving, "save"),
    ("train", tables, "write_csv"),
    ("train", files, "write_json"),
    ("train_predictor", saving, "save"),
    ("train_predictor", files, "write_json"),
]
"""What a stage calls for each of its outputs, in order."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the stages that train read, one epoch being asked for."""
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((TOP / "params.yaml").read_text())
    values["train"] |= {"epochs": 1}
    values["predict"] |= {"enabled": True, "epochs": 1, "history": 3}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    needs.write(Path("needs"), registry.needs(params.load(Path("params.yaml"))))
    for seed, split in enumerate(("train", "holdout")):
        (RESIZED / split).mkdir(parents=True)
        write_clip(split, seed)


def write_clip(split: str, seed: int) -> None:
    array = walking_square(24, (32, 32), seed, speed=2)
    np.save(RESIZED / split / "01.npy", array)
    table = pd.DataFrame({"split": split, "video": "01", "frame": range(24), "fold": -1})
    tables.write_csv(RESIZED / split / clips.INDEX, table)


def run(stage: str, to: str = ".") -> list[Path]:
    """Run a stage; the files that it writes, in the folder `to`."""
    main, (needed, resized, *outputs) = STAGES[stage]
    weights, halves, *others = [Path(to) / output for output in outputs]
    main(Path(needed), Path(resized), weights, halves, *others)
    return [weights, *(halves / f"{half}.safetensors" for half in (0, 1)), *others]


def checkpoints() -> list[Path]:
    return sorted(stages.CHECKPOINTS.glob("*"))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loss of every step that is taken from now on."""
    losses: list[float] = []
    end_step = Resumable.end_step

    def counted(run: Resumable, loss: float) -> None:
        losses.append(loss)
        end_step(run, loss)

    monkeypatch.setattr(Resumable, "end_step", counted)
    return losses


@pytest.mark.parametrize(("stage", "module", "name"), LAST_WRITES, ids=lambda value: getattr(value, "__name__", value))
def test_a_kill_before_an_output_is_in_place_costs_no_training(
    stage: str, module: Any, name: str, monkeypatch: pytest.MonkeyPatch, steps: list[float]
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, name, killed)
        run(stage)
    assert steps and checkpoints()
    steps.clear()
    found = [path.read_bytes() for path in run(stage)]
    assert not steps and not checkpoints()
    assert found == [path.read_bytes() for path in run(stage, "again")] and steps


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_of_the_weights_is_told_in_one_line_and_costs_no_training(
    stage: str, monkeypatch: pytest.MonkeyPatch, steps: list[float]
) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.parent.name == "models":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(VadError, match=r"^models/\w\.safetensors: can't be written \(No space left on device\)"):
            run(stage)
    assert not list(Path("models").iterdir())
    steps.clear()
    run(stage)
    assert not steps


def made_of(stage: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a stage says that its training is made of."""

    class Begun(Exception):
        pass

    def begun(*arguments: Any) -> None:
        raise Begun(arguments[-1].made_of)

    with monkeypatch.context() as patched, pytest.raises(Begun) as told:
        patched.setattr(training, "fit", begun)
        patched.setattr(predictor_training, "fit", begun)
        run(stage)
    found: dict[str, Any] = told.value.args[0]
    return found


def change_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("training.py").write_text("other code")
    monkeypatch.setattr(imports, "code_of", lambda _: [Path("training.py")])


def change_the_parameters(**others: Any) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    for section in ("train", "predict"):
        values[section]["learning_rate"] = others.get("learning_rate", values[section]["learning_rate"])
    Path("params.yaml").write_text(yaml.safe_dump(values | {"seed": others.get("seed", values["seed"])}))


CHANGES: dict[str, tuple[set[str], Callable[[pytest.MonkeyPatch], None]]] = {
    "the code": ({"code"}, change_the_code),
    "the seed": ({"seed"}, lambda _: change_the_parameters(seed=1)),
    "a parameter": ({"train", "predict"}, lambda _: change_the_parameters(learning_rate=0.01)),
    "training data": ({"data"}, lambda _: write_clip("train", 7)),
    "held-out data": ({"holdout"}, lambda _: write_clip("holdout", 7)),
}
# The losses on held-out frames are part of the autoencoder's record; the predictor's training does not look at them.
ALL_CHANGES = [(stage, change) for stage in STAGES for change in CHANGES][:-1]


@pytest.mark.parametrize(("stage", "change"), ALL_CHANGES)
def test_a_checkpoint_is_of_one_code_seed_setting_and_data(
    stage: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made_of(stage, monkeypatch)
    assert made_of(stage, monkeypatch) == before
    names, do = CHANGES[change]
    do(monkeypatch)
    after = made_of(stage, monkeypatch)
    assert {name for name in before if before[name] != after[name]} == names & before.keys() != set()


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_that_a_checkpoint_is_of_is_all_that_the_stage_runs(stage: str) -> None:
    code = imports.code_of(stage)
    assert all(path.is_file() for path in code)
    assert {f"{stage}.py", "resumable.py", "clips.py"} <= {path.name for path in code}


def test_weights_that_are_given_leave_no_checkpoint(steps: list[float]) -> None:
    weights, *_ = run("train", "first")
    steps.clear()
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["train"]["weights"] = os.fspath(weights)
    Path("params.yaml").write_text(yaml.safe_dump(values))
    run("train")
    assert not steps and not checkpoints()
