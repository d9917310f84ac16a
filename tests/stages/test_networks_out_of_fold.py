"""Networks and folds: no training clip is scored by a network, or by a memory, that has seen it."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from stages import components, train, train_predictor
from tests.tiny_clips import walking_square
from vad import params, registry
from vad.components import memory, prediction, reconstruction
from vad.data import clips
from vad.models.resumable import Resumable
from vad.storage import needs, tables

TOP = Path(__file__).parents[2]
RESIZED, DIAGNOSIS = Path("resized"), Path("diagnosis.csv")
TRAINING = ("11", "21", "31", "41")
"""Each of a source video of its own; with four folds in the folds 0 to 3."""
FRAMES = 16
FAMILIES = ("reconstruction", "prediction", "memory")
WEIGHTS = {
    "autoencoder": (Path("models/a.safetensors"), Path("models/a_halves")),
    "predictor": (Path("models/p.safetensors"), Path("models/p_halves")),
}


def configure(folds: int) -> None:
    """Write params.yaml, data/needs, and into the indices of the clips and the diagnosis the fold of each."""
    values = yaml.safe_load((TOP / "params.yaml").read_text())
    values["data"]["folds"] = folds
    values["train"] |= {"epochs": 1}
    values["predict"] |= {"enabled": True, "epochs": 1, "history": 3, "batch_size": 4}
    values["memory"] |= {"enabled": True, "patches": 20}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    needs.write(Path("needs"), registry.needs(params.load(Path("params.yaml"))))
    index = []
    for split, videos in {
        "train": TRAINING, "holdout": () if folds > 1 else ("51",),
        "validation": [f"{video}-1" for video in TRAINING] if folds > 1 else ["51-1"], "test": ("01",),
    }.items():  # fmt: skip
        folded = folds > 1 and split in ("train", "validation")
        keys = [(video, place % folds if folded else -1) for place, video in enumerate(videos)]
        rows = [(split, video, frame, fold) for video, fold in keys for frame in range(FRAMES)]
        index.append(pd.DataFrame(rows, columns=[*tables.KEYS, "fold"]))
        tables.write_csv(RESIZED / split / clips.INDEX, index[-1])
    tables.write_csv(DIAGNOSIS, pd.concat(index).assign(flipped=0, noisy=0))


def write_clip(split: str, video: str, seed: int) -> None:
    (RESIZED / split).mkdir(parents=True, exist_ok=True)
    np.save(RESIZED / split / f"{video}.npy", walking_square(FRAMES, (32, 32), seed, speed=2))


STAGES: dict[str, Callable[[], None]] = {
    "autoencoder": lambda: train.main(
        Path("needs/train"), RESIZED, *WEIGHTS["autoencoder"], Path("a.json"), Path("loss.csv")
    ),
    "predictor": lambda: train_predictor.main(
        Path("needs/train_predictor"), RESIZED, *WEIGHTS["predictor"], Path("p.json")
    ),
}
METRICS = {"autoencoder": Path("a.json"), "predictor": Path("p.json")}


def train_networks(*names: str) -> None:
    """Run the stages that train, as DVC does: it removes what is there first."""
    shutil.rmtree("models", ignore_errors=True)
    for name in names or STAGES:
        STAGES[name]()


def run_families() -> None:
    inputs: dict[str, Sequence[Path]] = {
        "reconstruction": (*WEIGHTS["autoencoder"], RESIZED),
        "prediction": (*WEIGHTS["predictor"], RESIZED, DIAGNOSIS),
        "memory": (*WEIGHTS["autoencoder"], *WEIGHTS["predictor"], RESIZED, DIAGNOSIS),
    }
    for family in FAMILIES:
        stage = next(row.stage for row in registry.FAMILIES if row.name == family)
        components.main(Path("needs", stage), *inputs[family], Path(f"{family}.npz"))


def measure() -> dict[str, pd.DataFrame]:
    """Family -> what it measures now, by (split, video)."""
    run_families()
    return {family: raw(tables.read_components(Path(f"{family}.npz"))) for family in FAMILIES}


def raw(table: pd.DataFrame) -> pd.DataFrame:
    """The components that look at nothing but the map of their frame, indexed by clip."""
    relative = [name for name in table if str(name).endswith(("_local", "_scales", "_spectrum"))]
    return table.drop(columns=relative).set_index(["split", "video"])


def weights() -> dict[str, bytes]:
    """Path -> content of all weights."""
    return {str(path): path.read_bytes() for path in sorted(Path("models").rglob("*.safetensors"))}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four training clips, in which the networks were trained with four folds, and what they score."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for seed, video in enumerate(TRAINING):
            write_clip("train", video, seed)
            write_clip("validation", f"{video}-1", 10 + seed)
        for split, video, seed in (("holdout", "51", 20), ("validation", "51-1", 21), ("test", "01", 22)):
            write_clip(split, video, seed)
        configure(4)
        train_networks()
        measure()
    return folder


@pytest.fixture
def project(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder; the test runs in it."""
    shutil.copytree(scored, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("folds", [0, 2])
def test_test_scores_are_the_same_to_the_bit_for_every_number_of_folds(project: Path, folds: int) -> None:
    whole = {path: content for path, content in weights().items() if "halves" not in path}
    before = measure()
    configure(folds or 1)
    held_out = (RESIZED / "holdout" / clips.INDEX).read_text()
    (RESIZED / "holdout" / clips.INDEX).write_text(held_out.partition("\n")[0] + "\n")
    train_networks()
    assert {path: content for path, content in weights().items() if "halves" not in path} == whole
    # Without folds the places of a map have a scale by held-out frames alone: these are there for that.
    (RESIZED / "holdout" / clips.INDEX).write_text(held_out)
    after = measure()
    for family in FAMILIES:
        assert after[family].loc[["test"]].equals(before[family].loc[["test"]])


def test_what_is_in_a_clip_changes_nothing_of_what_scores_it_and_its_copies(project: Path) -> None:
    """The results of single clips that were kept are those of other weights, and must not be taken."""
    video, half = TRAINING[1], 1
    found, before = weights(), measure()
    write_clip("train", video, 7)
    train_networks()
    for network, (whole, halves) in WEIGHTS.items():
        same, other = (str(halves / f"{number}.safetensors") for number in (half, 1 - half))
        assert weights()[same] == found[same], network
        assert weights()[other] != found[other] and weights()[str(whole)] != found[str(whole)], network
    after = measure()
    for family in FAMILIES:
        for place, other_video in enumerate(TRAINING):
            for key in (("train", other_video), ("validation", f"{other_video}-1")):
                if key != ("train", video):
                    unchanged = before[family].loc[[key]].equals(after[family].loc[[key]])
                    assert unchanged == (place % 2 == half), (family, key)
        assert not before[family].loc[["test"]].equals(after[family].loc[["test"]])


def test_a_kill_in_the_last_training_costs_nothing_of_those_before_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, taken, goal = weights(), 0, 0
    end_step = Resumable.end_step

    def counted(run: Resumable, loss: float) -> None:
        nonlocal taken
        taken += 1
        if taken == goal:
            raise KeyboardInterrupt
        end_step(run, loss)

    monkeypatch.setattr(Resumable, "end_step", counted)
    for network in STAGES:
        metrics = METRICS[network].read_bytes()
        whole = json.loads(metrics)
        steps = [figures["steps"] for figures in (whole, *whole["halves"])]
        assert len(steps) == 3
        taken, goal = 0, sum(steps[:2]) + 1
        with pytest.raises(KeyboardInterrupt):
            train_networks(network)
        taken, goal = 0, 0
        train_networks(network)
        assert taken == steps[2] and METRICS[network].read_bytes() == metrics
        assert weights() == {path: expected[path] for path in weights()} and len(weights()) == 3
        assert not list(Path(".dvc/tmp/checkpoints").iterdir())


def test_shares_of_the_clips_give_the_very_tables_of_a_whole_run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {family: Path(f"{family}.npz").read_bytes() for family in FAMILIES}
    monkeypatch.setattr(components, "CLIPS", tmp_path / "kept")
    for share in ("2/2", "1/2"):
        monkeypatch.setenv("VAD_SHARD", share)
        run_families()
    monkeypatch.delenv("VAD_SHARD")
    for module in (reconstruction, prediction, memory):
        monkeypatch.setattr(module, "score" if module is reconstruction else "cells_of", pytest.fail)
    run_families()
    assert {family: Path(f"{family}.npz").read_bytes() for family in FAMILIES} == whole


def test_held_out_frames_have_no_part_in_the_predictor(project: Path) -> None:
    configure(1)
    train_networks("predictor")
    before, figures = weights(), json.loads(Path("p.json").read_text())
    assert figures["inner_split"] == {"31": FRAMES}
    write_clip("holdout", "51", 7)
    train_networks("predictor")
    changed = json.loads(Path("p.json").read_text())
    assert weights() == before and changed.pop("holdout") != figures.pop("holdout") and changed == figures


def test_the_figures_of_the_halves_stand_beside_those_of_the_whole(project: Path) -> None:
    for name, halves in (("a.json", WEIGHTS["autoencoder"][1]), ("p.json", WEIGHTS["predictor"][1])):
        figures = json.loads(Path(name).read_text())
        assert "holdout" not in figures or figures["holdout"] is None
        assert [half["holdout"] > 0 for half in figures["halves"]] == [True, True]
        assert len(list(halves.iterdir())) == 2
    assert [half["frames"] for half in json.loads(Path("a.json").read_text())["halves"]] == [2 * FRAMES] * 2
