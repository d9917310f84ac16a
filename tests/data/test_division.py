"""Held-out frames never meet training, whatever is the same as what."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults import stage_runner
from faults.stage_runner import ROOT, frames, write_folder, write_video
from vad import VadError
from vad.data.division import GUARD, divide, whole
from vad.storage import tables

numbers = st.integers(60, 120).map(lambda count: np.arange(count))


@given(
    st.dictionaries(st.text("0123456789", min_size=2, max_size=2), numbers, min_size=1, max_size=8), st.integers(1, 6)
)
def test_no_held_out_frame_is_in_training_and_no_calibration_frame_in_validation(
    training: dict[str, np.ndarray], holdout: int
) -> None:
    parts = divide(training, holdout).parts
    frames = {part: {(v, n) for v, ns in chosen.items() for n in ns.tolist()} for part, chosen in parts.items()}
    every = {(video, number) for video, ns in training.items() for number in ns.tolist()}
    assert all(frames.values())
    assert sum(map(len, frames.values())) == len(set.union(*frames.values()))
    assert set.union(*frames.values()) <= every
    if len(training) >= 4 and len(training) - holdout >= 2:
        assert len(parts["train"]) == len(training) - holdout
        assert not set(parts["train"]) & (set(parts["holdout"]) | set(parts["validation"]))
    for one, other in (("train", "holdout"), ("train", "validation"), ("holdout", "validation")):
        for video in set(parts[one]) & set(parts[other]):
            nearest = np.abs(np.subtract.outer(parts[one][video], parts[other][video])).min()
            assert nearest >= GUARD


def test_too_few_training_frames_are_refused_with_what_to_do() -> None:
    with pytest.raises(VadError, match=r"data.holdout_clips = 2: leaves no frame for .* give more or longer clips"):
        divide({"01": np.arange(20)}, 2)


@given(st.lists(st.lists(st.integers(0, 40), min_size=40, max_size=60), min_size=1, max_size=7), st.integers(1, 3))
def test_no_content_is_both_trained_on_and_held_out(drawn: list[list[int]], holdout: int) -> None:
    contents = {f"{clip:02d}": np.array(values, np.uint64) for clip, values in enumerate(drawn)}
    training = {name: np.arange(len(values)) * 2 for name, values in contents.items()}
    try:
        division = divide(training, holdout, contents)
    except VadError:
        return
    seen = {
        part: {int(contents[name][n // 2]) for name, numbers in chosen.items() for n in numbers} - {0}
        for part, chosen in division.parts.items()
    }
    assert not seen["train"] & (seen["holdout"] | seen["validation"])


def test_training_clips_of_one_frame_each_are_refused() -> None:
    training = {"01": np.arange(1), "02": np.arange(1), "03": np.arange(44), "04": np.arange(44)}
    with pytest.raises(VadError, match=r"^training: no clip has two frames to see change between; give longer clips$"):
        divide(training, 2)
    with pytest.raises(VadError, match="no clip has two frames"):
        whole({"01": np.arange(1), "02": np.arange(1)})
    assert set(whole(training).parts["train"]) == set(training)


def test_copies_of_a_clip_count_as_one_and_stay_on_one_side() -> None:
    same, other = np.arange(1, 101), np.arange(1001, 1101)
    contents = {"01": same, "02": other, "03": same, "04": other + 500, "05": other + 1000, "06": same[::-1]}
    training = {name: np.arange(100) + 7 * int(name) for name in contents}
    division = divide(training, 2, {name: values.astype(np.uint64) for name, values in contents.items()})
    assert division.copies == [["01", "03", "06"]] and division.left_out == {}
    assert set(division.parts["train"]) == {"01", "02", "03", "06"}
    assert set(division.parts["holdout"]) == set(division.parts["validation"]) == {"04", "05"}


def test_empty_files_make_no_clips_alike() -> None:
    training = {name: np.arange(60) for name in ("01", "02", "03", "04")}
    division = divide(training, 2, {name: np.zeros(60, np.uint64) for name in training})
    assert division.copies == [] and set(division.parts["train"]) == {"01", "02"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """data.root of a data set with six training clips, videos 02 and 05 among them."""
    root = tmp_path / ROOT
    stage_runner.write_clips(root)
    shutil.rmtree(root / "training" / "02")
    write_video(root / "training" / "02.avi", frames(44, 21))
    write_video(root / "training" / "05.avi", frames(44, 22))
    write_folder(root / "training" / "06", frames(44, 23))
    stage_runner.set_params(tmp_path)
    return root


def extracted(root: Path) -> tuple[dict[str, set[tuple[str, int]]], list[str], dict[str, object]]:
    """Of each part the frames (clip, number), what was said, and what metrics/data.json says is ignored."""
    folder = root.parents[1]
    ended = stage_runner.run_stages(folder, ("fetch", "extract"))
    assert ended.code == 0, ended
    index = tables.read_csv(folder / "data/frames/index.csv", tables.KEYS)
    parts = {str(part): set(zip(rows["video"], rows["frame"], strict=True)) for part, rows in index.groupby("split")}
    counts = json.loads((folder / "metrics/data.json").read_text())
    return parts, ended.printed.splitlines(), counts.get("ignored", {})


def test_a_training_clip_that_equals_held_out_ones_shares_their_side(root: Path) -> None:
    """As folders of other frame numbers, and as videos of other containers' names."""
    for copy in ("05", "06"):
        (root / "training" / f"{copy}.avi").unlink(missing_ok=True)
        shutil.rmtree(root / "training" / copy, ignore_errors=True)
    shutil.copy(root / "training" / "02.avi", root / "training" / "05.mkv")
    (root / "training" / "06").mkdir()
    for number, path in enumerate(sorted((root / "training" / "03").iterdir()), 500):
        shutil.copy(path, root / "training" / "06" / f"{number}.jpg")
    write_folder(root / "training" / "07", frames(44, 31))
    parts, said, ignored = extracted(root)
    assert said == [
        "training clips 02, 05: the same content; they are kept on one side",
        "training clips 03, 06: the same content; they are kept on one side",
    ]
    side = {clip: part == "train" for part in ("train", "holdout", "validation") for clip, _ in parts[part]}
    assert side == {"01": True, "02": True, "05": True, "03": True, "06": True, "04": False, "07": False}
    assert not ignored


def test_single_held_out_frames_that_training_has_too_are_left_out_and_counted(root: Path) -> None:
    before, said, _ = extracted(root)
    assert said == [] and ("06", 30) in before["validation"]
    training = root / "training"
    for held, trained in ((30, 3), (31, 4), (2, 5)):
        shutil.copy(training / "01" / f"frame_{trained:05d}.jpg", training / "06" / f"frame_{held:05d}.jpg")
    parts, said, ignored = extracted(root)
    assert said == ["held-out frames that training has too, not used: 3 (06 frame 2, 06 frame 30, 06 frame 31)"]
    assert ignored == {
        "held-out frames that training has too": {"files": 3, "first": "06 frame 2, 06 frame 30, 06 frame 31"}
    }
    gone = {("06", number) for number in (2, 30, 31)}
    assert not gone & set.union(*parts.values()) and parts["train"] == before["train"]
    # A stored clip with other holes is another clip.
    shutil.copy(training / "01" / "frame_00006.jpg", training / "06" / "frame_00033.jpg")
    shutil.copy(training / "03" / "frame_00001.jpg", training / "01" / "frame_00004.jpg")
    parts, said, _ = extracted(root)
    assert ("06", 33) not in set.union(*parts.values()) and len(said) == 1
