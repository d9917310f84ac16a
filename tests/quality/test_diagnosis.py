"""Corruption is found where it is, from pixels alone, and nothing else is taken for it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from stages import diagnose
from tests.tiny_clips import walking_square
from vad import VadError
from vad.data import clips
from vad.evaluation import diagnosis_plot
from vad.quality import contrast, corruption, diagnosis

SEED = 3


def scene(count: int = 40, offset: int = 0) -> np.ndarray:
    """Frames of one fixed camera with a little sensor noise."""
    frames = walking_square(200, seed=SEED)[offset : offset + count].astype(float)
    return np.clip(frames + np.random.default_rng(offset).normal(0, 2, frames.shape), 0, 255).astype(np.uint8)


def stored(path: Path, frames: np.ndarray, numbers: np.ndarray | None = None) -> clips.ZippedClip:
    numbers = np.arange(len(frames)) if numbers is None else numbers
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = ((int(number), *clips.encode(frame)) for number, frame in zip(numbers, frames, strict=True))
    clips.write_zip(path, encoded, "")
    return clips.open_zip(path)


def corrupted(frames: np.ndarray, flipped: np.ndarray, noisy: np.ndarray, amplitude: float = 38.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    noise = rng.uniform(-amplitude, amplitude, frames.shape) * noisy[:, None, None, None]
    noisy = np.clip(frames + noise, 0, 255).astype(np.uint8)
    return np.where(flipped[:, None, None, None], noisy[:, ::-1], noisy)


def diagnosed(training: clips.Clip, clip: clips.Clip) -> pd.DataFrame:
    known = diagnosis.backgrounds([training])
    lines = diagnosis.thresholds(diagnosis.measure_clip("train", training, known))
    return diagnosis.decide(diagnosis.measure_clip("test", clip, known), lines)


@pytest.mark.parametrize("amplitude", [10.0, 20.0, corruption.NOISE_AMPLITUDE])
def test_flips_and_noise_are_found_where_they_are_and_nowhere_else(tmp_path: Path, amplitude: float) -> None:
    flipped, noisy = np.random.default_rng(0).random((2, 40)) < [[0.2], [0.3]]
    assert (flipped & noisy).any() and (~flipped & ~noisy).any()
    clip = stored(tmp_path / "01.zip", corrupted(scene(offset=100), flipped, noisy, amplitude))
    found = diagnosed(stored(tmp_path / "train.zip", scene()), clip)
    assert found["flipped"].tolist() == flipped.astype(int).tolist()
    assert found["noisy"].tolist() == noisy.astype(int).tolist()
    assert found["frozen"].sum() == 0


def test_another_light_is_neither_flip_nor_noise_but_a_shift(tmp_path: Path) -> None:
    brighter = np.clip(scene(offset=60) * 0.9 + 40.0, 0, 255).astype(np.uint8)
    training = scene()
    found = diagnosed(stored(tmp_path / "train.zip", training), stored(tmp_path / "01.zip", brighter))
    assert found[["flipped", "noisy"]].to_numpy().sum() == 0
    expected = 40 - 0.1 * np.median(training.mean(3))
    assert found["shift"].median() == pytest.approx(expected, abs=2)


@settings(max_examples=25)
@given(st.floats(2, 30), st.integers(0, 1000))
def test_noise_level_is_the_deviation_of_the_noise_whatever_the_slope_beneath(sigma: float, seed: int) -> None:
    rows, columns = np.mgrid[:180, :240]
    slope = 60 + 60 * rows / 180 + 60 * columns / 240
    noise = np.random.default_rng(seed).normal(0, sigma, slope.shape)
    image = np.clip(np.round(slope + noise), 0, 255).astype(np.uint8)
    assert diagnosis.noise_level(image) == pytest.approx(sigma, rel=0.08)
    assert diagnosis.noise_level(np.ascontiguousarray(image[::-1])) == pytest.approx(diagnosis.noise_level(image))


def test_noise_level_of_a_smooth_image_is_that_of_rounding() -> None:
    slope = np.tile(np.linspace(50, 200, 300), (100, 1)).astype(np.uint8)
    assert diagnosis.noise_level(slope) < 0.7


@pytest.mark.parametrize("size", [(2, 2), (3, 40), (48, 64), (101, 77), (240, 360)])
def test_a_flipped_frame_agrees_with_the_background_as_it_did_upright_but_the_other_way(size: tuple[int, int]) -> None:
    frames = [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size[::-1]) for frame in scene(10)]
    background = diagnosis.Background(frames)
    upright, flipped = background.correlations(frames[0])
    assert background.correlations(cv2.flip(frames[0], 0)) == pytest.approx((flipped, upright), abs=1e-3)
    assert background.correlations(np.full_like(frames[0], 90)) == pytest.approx((0, 0), abs=1e-6)
    if min(size) >= 48:
        assert upright > flipped + 0.2
        assert background.shift(cv2.flip(frames[0], 0)) == pytest.approx(background.shift(frames[0]), abs=3)


@settings(max_examples=25)
@given(st.floats(0.5, 1.2), st.floats(0, 60), st.floats(0, 0.7))
def test_light_of_another_strength_and_from_below_leaves_the_contrast(gain: float, rise: float, dark: float) -> None:
    frame = cv2.resize(cv2.cvtColor(scene(1)[0], cv2.COLOR_RGB2GRAY), (256, 192)).astype(np.float32)
    light = gain * np.linspace(1 - dark, 1, 192)[:, None]
    relit = np.clip(frame * light + rise, 0, 255).round().astype(np.uint8)
    pattern = contrast.local_contrast(frame)
    upright, flipped = contrast.agreement(contrast.local_contrast(relit), pattern)
    assert upright > 0.5 * contrast.agreement(pattern, pattern)[0] and flipped < upright / 2


def test_a_frame_shown_twice_is_frozen_even_flipped_and_a_standing_scene_is_not(tmp_path: Path) -> None:
    frames = scene()
    still = np.repeat(walking_square(1, seed=SEED).astype(float), 10, axis=0)
    noise = np.random.default_rng(5).normal(0, 2, still.shape)
    still = np.clip(still + noise, 0, 255).astype(np.uint8)
    twice = np.concatenate([still[:5], still[4:]])
    training = stored(tmp_path / "train.zip", frames)
    assert diagnosed(training, stored(tmp_path / "01.zip", still))["frozen"].sum() == 0
    found = diagnosed(training, stored(tmp_path / "02.zip", twice))
    assert np.flatnonzero(found["frozen"]).tolist() == [5]
    # Right way up again it is the same picture but for what the second encoding changed.
    upside_down = corrupted(twice, np.arange(11) == 5, np.zeros(11, bool))
    changes = diagnosed(training, stored(tmp_path / "03.zip", upside_down))["change"]
    assert changes[5] < changes[1:5].min() / 2


def test_gaps_are_steps_in_frame_number(tmp_path: Path) -> None:
    clip = stored(tmp_path / "07.zip", scene(4), np.array([939, 940, 943, 944]))
    table = diagnosed(clip, clip)
    assert table["gap"].tolist() == [0, 1, 3, 1]
    assert table["frame"].tolist() == [939, 940, 943, 944] and set(table["video"]) == {"07"}
    assert np.isnan(table["change"][0]) and table["change"][1:].notna().all()
    assert diagnosis.summarise(table)["test"]["missing"] == 2


def test_a_size_that_training_never_had_is_measured_as_far_as_can_be(tmp_path: Path) -> None:
    small = np.stack([cv2.resize(frame, (40, 30)) for frame in scene(3)])
    found = diagnosed(stored(tmp_path / "train.zip", scene()), stored(tmp_path / "01.zip", small))
    assert found[["corr_upright", "corr_flipped", "shift"]].isna().all(axis=None)
    assert found["flipped"].sum() == 0 and found["noise"].notna().all()


def test_frames_of_every_size_in_training_have_their_own_background(tmp_path: Path) -> None:
    small = np.stack([cv2.resize(frame, (40, 30)) for frame in scene(30)])
    training = [stored(tmp_path / "1.zip", scene()), stored(tmp_path / "2.zip", small)]
    known = diagnosis.backgrounds(training)
    assert set(known) == {(48, 64), (30, 40)}
    turned = stored(tmp_path / "3.zip", corrupted(small, np.ones(30, bool), np.zeros(30, bool)))
    measured = diagnosis.measure_clip("test", turned, known)
    assert (measured["corr_flipped"] > measured["corr_upright"]).all()


def training_measured(count: int) -> pd.DataFrame:
    """Measurements of clean training frames of a scene that does not look the same top to bottom."""
    draw = np.random.default_rng(0).normal
    means = {"noise": (2, 0.1), "change": (1.5, 0.1), "corr_upright": (0.6, 0.03), "corr_flipped": (-0.1, 0.03)}
    return pd.DataFrame({name: draw(*mean, count) for name, mean in means.items()})


def test_thresholds_come_from_training_and_a_stray_bad_frame_does_not_move_them() -> None:
    training = training_measured(1000)
    clean = diagnosis.thresholds(training)
    training.loc[:3, ["noise", "change", "corr_upright", "corr_flipped"]] = 50.0, 0.0, -0.1, 0.6
    for before, after in zip(clean, diagnosis.thresholds(training), strict=True):
        assert after == pytest.approx(before, rel=0.03)
    assert clean.noise == pytest.approx(1.5 * 2.23, rel=0.05) and clean.change == pytest.approx(0.15, rel=0.05)
    assert clean.flip == pytest.approx(0.6 / 2, rel=0.05)


def test_what_a_few_of_many_training_frames_show_is_found_in_no_other_frame() -> None:
    training = training_measured(5000)
    night = training.index[:12]  # a quarter of a percent
    training.loc[night, ["noise", "corr_upright", "corr_flipped"]] = 9.0, 0.05, 0.5
    lines = diagnosis.thresholds(training)
    assert lines.noise > 9 * 1.2 and lines.flip > 0.45 + 0.09
    assert diagnosis.decide(training, lines)[["flipped", "noisy"]].to_numpy().sum() == 0


@pytest.mark.parametrize("corr", [0.0, 0.5])
def test_where_the_scene_tells_nothing_a_flip_still_takes_a_margin(corr: float) -> None:
    training = training_measured(40).assign(corr_upright=corr, corr_flipped=corr)
    lines = diagnosis.thresholds(training)
    measured = training.assign(corr_flipped=corr + np.linspace(-0.09, 0.09, 40))
    assert diagnosis.decide(measured, lines)["flipped"].sum() == 0


def test_disagreement_with_the_upright_background_makes_no_flip() -> None:
    lines = diagnosis.thresholds(training_measured(40))
    measured = training_measured(2).assign(corr_upright=[-0.6, -0.1], corr_flipped=[0.1, 0.6])
    assert diagnosis.decide(measured, lines)["flipped"].tolist() == [0, 1]


def test_precision_and_recall_count_the_frames_that_both_know() -> None:
    found = pd.DataFrame({"video": ["01"] * 4, "frame": range(4), "flipped": [1, 1, 0, 0], "noisy": [0, 0, 0, 0]})
    truth = pd.DataFrame({"video": ["1"] * 4, "frame": ["1", "2", "3", "9"], "flipped": [1, 1, 0, 1], "noisy": 1})
    result = diagnosis.against_truth(found, truth)
    assert result["frames"] == 3
    assert result["flipped"] == {"found": 1, "true": 2, "precision": 1.0, "recall": 0.5}
    assert result["noisy"] == {"found": 0, "true": 3, "precision": None, "recall": 0.0}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The folders that the stage reads, the test frames corrupted."""
    flipped, noisy = np.random.default_rng(2).random((2, 30)) < [[0.2], [0.3]]
    stored(tmp_path / "frames/train/01.zip", scene())
    stored(tmp_path / "frames/holdout/02.zip", scene(20, 50))
    stored(tmp_path / "frames/test/01.zip", corrupted(scene(30, 80), flipped, noisy))
    stored(tmp_path / "validation/clips/02-1.zip", corrupted(scene(30, 120), noisy, flipped))
    (tmp_path / "frames/index.csv").write_text("split,video,frame,imputed,fold\ntrain,01,0,0,-1\n")
    (tmp_path / "labels").mkdir()
    rows = pd.DataFrame({"video": "1", "frame": range(30), "flipped": flipped, "noisy": noisy})
    rows.astype({"flipped": int, "noisy": int}).to_csv(tmp_path / "labels/corruption.csv", index=False)
    return tmp_path


def run(tree: Path) -> dict:
    outputs = [tree / name for name in ("diagnosis.csv", "diagnosis.json", "diagnosis.png")]
    diagnose.main(tree / "frames", tree / "validation", tree / "labels", *outputs)
    return json.loads(outputs[1].read_text())


def test_the_stage_writes_a_row_for_every_frame_and_judges_itself_where_the_truth_is_known(tree: Path) -> None:
    metrics = run(tree)
    table = pd.read_csv(tree / "diagnosis.csv", dtype={"video": str})
    counts = table.groupby("split")["frame"].size().to_dict()
    assert counts == {"train": 40, "holdout": 20, "test": 30, "validation": 30}
    assert {split: found["frames"] for split, found in metrics["found"].items()} == counts
    assert list(metrics["against_truth"]) == ["test"]
    for name in ("flipped", "noisy"):
        judged = metrics["against_truth"]["test"][name]
        assert judged["true"] > 0 and judged["precision"] == judged["recall"] == 1
    assert (tree / "diagnosis.png").read_bytes().startswith(b"\x89PNG")


def test_every_frame_lies_inside_the_picture(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(diagnosis_plot.plots, "save", lambda figure, path: figures.append(figure))
    metrics = run(tree)
    top = min(axis.get_ylim()[1] for axis in figures[0].axes)
    drawn = [offsets for axis in figures[0].axes for dots in axis.collections for offsets in dots.get_offsets()]
    assert len(drawn) == sum(found["frames"] for found in metrics["found"].values())
    assert max(noise for _, noise in drawn) < top


def test_two_runs_write_the_same_bytes(tree: Path) -> None:
    run(tree)
    first = {path.name: path.read_bytes() for path in tree.glob("diagnosis.*")}
    run(tree)
    assert {path.name: path.read_bytes() for path in tree.glob("diagnosis.*")} == first


def test_labels_are_never_opened_and_the_truth_never_changes_what_is_found(tree: Path) -> None:
    run(tree)
    before = (tree / "diagnosis.csv").read_bytes()
    (tree / "labels/labels.csv").write_bytes(b"\xff not a table")
    truth = pd.read_csv(tree / "labels/corruption.csv")
    truth[["flipped", "noisy"]] = 1 - truth[["flipped", "noisy"]]
    truth.to_csv(tree / "labels/corruption.csv", index=False)
    assert run(tree)["against_truth"]["test"]["flipped"]["precision"] == 0
    assert (tree / "diagnosis.csv").read_bytes() == before


def test_truth_without_its_columns_is_refused_by_name(tree: Path) -> None:
    (tree / "labels/corruption.csv").write_text("video,frame\n1,0\n")
    with pytest.raises(VadError, match=r"corruption.csv: no column flipped, noisy"):
        run(tree)


@pytest.mark.real
@pytest.mark.parametrize("amplitude", [10.0, corruption.NOISE_AMPLITUDE])
def test_on_real_clips_every_flip_and_all_noise_is_found(real_data: Path, tmp_path: Path, amplitude: float) -> None:
    def read(folder: str) -> np.ndarray:
        paths = sorted((real_data / "ped2" / folder).glob("*.jpg"))
        return np.stack([cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths[::2]])  # type: ignore

    frames = read("testing/frames/01")
    flipped, noisy = np.random.default_rng(0).random((2, len(frames))) < [[0.2], [0.3]]
    clip = stored(tmp_path / "01.zip", corrupted(frames, flipped, noisy, amplitude))
    found = diagnosed(stored(tmp_path / "train.zip", read("training/frames/01")), clip)
    assert (found["flipped"] == flipped).all() and (found["noisy"] == noisy).all()
