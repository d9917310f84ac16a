"""Out of fold: no clip is scored by what it has taught itself, and each is scored once."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from stages import check, components, diagnose, extract, fetch, validation
from tests.tiny_clips import write_dataset
from vad import VadError, params
from vad.components import out_of_fold
from vad.data.clips import MappedClip
from vad.scoring import calibration, fusion
from vad.storage import tables

TOP = Path(__file__).parents[2]


def clip(name: str) -> MappedClip:
    return MappedClip(name, np.arange(2), Path(name), np.zeros((2, 4, 4, 3), np.uint8))


def test_each_clip_is_scored_once_by_clips_of_other_folds_and_test_clips_by_all() -> None:
    training = [clip(name) for name in ("01", "02", "03")]
    seen = {"train": training, "validation": [clip("02-1")], "test": [clip("01")]}
    folds = {("train", "01"): 0, ("train", "02"): 1, ("train", "03"): 0, ("validation", "02-1"): 1, ("test", "01"): -1}
    found = {
        (split, one.video): {other.video for other in part.training}
        for part in out_of_fold.parts(training, seen, folds)
        for split, one in part.scored
    }
    assert found == {
        ("test", "01"): {"01", "02", "03"},
        ("train", "01"): {"02"},
        ("train", "03"): {"02"},
        ("train", "02"): {"01", "03"},
        ("validation", "02-1"): {"01", "03"},
    }


def run(folder: Path, **data: object) -> pd.DataFrame:
    """The motion components of tiny clips with these settings of `data`."""
    values = yaml.safe_load((TOP / "params.yaml").read_text())
    values["data"] |= {"source": "folder", "root": "mine", "benchmark_labels": "truth", "scores": "given"} | data
    values["aggregate"] |= {"weights": {"flow_max": 1.0}, "normalise": "none"}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    check.main(folder / "needs")
    fetch.main(folder / "raw", folder / "labels")
    extract.main(folder / "raw", folder / "frames", folder / "data.json")
    validation.main(folder / "frames", folder / "validation")
    diagnose.main(
        folder / "frames", folder / "validation", folder / "labels",
        folder / "diagnosis.csv", folder / "diagnosis.json", folder / "diagnosis.png",
    )  # fmt: skip
    inputs = folder / "frames", folder / "validation", folder / "diagnosis.csv"
    components.main(folder / "needs" / "motion", *inputs, folder / "components" / "motion.npz")
    return tables.read_components(folder / "components" / "motion.npz")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[int, pd.DataFrame]:
    """The motion components by number of folds."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("folds"))
    write_dataset(Path("mine"))
    Path("truth").mkdir()
    Path("given").mkdir()
    found = {count: run(Path(str(count)), folds=count) for count in (0, 2, 5)}
    assert json.loads(Path("0/data.json").read_text())["train"]["clips"] == 5
    os.chdir(before)
    return found


def test_with_folds_every_training_clip_is_scored_and_has_a_validation_copy(measured: dict[int, pd.DataFrame]) -> None:
    videos = measured[2].groupby("split")["video"].unique().map(sorted).to_dict()
    assert videos["train"] == ["01", "02", "03", "04", "05"] and videos["test"] == ["01", "02", "03"]
    copies = {name.rpartition("-")[2] for name in videos["validation"]}
    assert sorted(videos["validation"]) == sorted(f"{name}-{copy}" for name in videos["train"] for copy in copies)


def test_test_scores_are_the_same_for_every_number_of_folds(measured: dict[int, pd.DataFrame]) -> None:
    test = [table[table["split"] == "test"].reset_index(drop=True) for table in measured.values()]
    pd.testing.assert_frame_equal(test[0], test[1])
    pd.testing.assert_frame_equal(test[0], test[2])
    assert set(measured[0]["split"]) == {"test"}


def test_without_held_out_frames_nothing_can_be_calibrated(tmp_path: Path) -> None:
    values = yaml.safe_load((TOP / "params.yaml").read_text())
    values["data"]["folds"], values["aggregate"]["normalise"] = 0, "calibrated"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(VadError, match=r"aggregate.normalise = calibrated: takes normal frames .*set data.folds to 1"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("how", list(calibration.CALIBRATIONS))
def test_a_fold_s_own_frames_do_not_calibrate_it(how: str) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"split": ["train"] * 60 + ["validation"] * 30 + ["test"] * 30})
    table["fold"] = [0] * 30 + [1] * 30 + [0] * 30 + [-1] * 30
    values = rng.gamma(2, 1, len(table))
    before = calibration.normalise(values, table, how)
    changed = values.copy()
    changed[:30] *= 5  # training frames of fold 0
    after = calibration.normalise(changed, table, how)
    assert (before[60:90] == after[60:90]).all() and (before[90:] != after[90:]).any()
    order = np.argsort(values[90:])
    assert (np.diff(before[90:][order]) >= 0).all()


def test_tail_and_logarithm_tell_what_is_beyond_all_normal_frames_apart() -> None:
    normal = np.random.default_rng(1).exponential(1, 1000)
    far = np.array([20.0, 40.0, 80.0])
    for how in (calibration.tail, calibration.log_z):
        assert (np.diff(how(far, normal)) > 0).all()
    assert calibration.tail(normal, normal).mean() == pytest.approx(1, abs=0.1)  # -log of a uniform p
    assert calibration.log_z(normal, normal).std() == pytest.approx(1)


def test_under_max_and_l2_quiet_components_cannot_cancel_a_loud_one() -> None:
    parts = np.array([[3.0, 0.5], [-5.0, 0.4]])
    assert fusion.FUSIONS["sum"](parts).argmax() == 1
    for how in ("max", "l2"):
        assert fusion.FUSIONS[how](parts).argmax() == 0
