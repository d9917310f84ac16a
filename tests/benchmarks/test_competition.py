"""A competition's worth of clips is made of fewer, and the stages of dvc.yaml run on it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import competition
from vad import VadError
from vad.data import sources


def images(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        frame = np.random.default_rng([seed, number]).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), frame)


def test_lengths_add_up_to_the_competitions() -> None:
    for clips, frames in competition.SIZES.values():
        found = competition.lengths(clips, frames)
        assert len(found) == clips and sum(found) == frames and max(found) - min(found) <= 1


def test_a_clip_turns_round_at_both_ends() -> None:
    paths = [Path(str(number)) for number in range(4)]
    assert [int(path.name) for path in competition.forth_and_back(paths, 2, 9)] == [2, 3, 2, 1, 0, 1, 2, 3, 2]


def test_a_comment_changes_the_bytes_and_not_the_picture(tmp_path: Path) -> None:
    images(tmp_path / "clip", 1, 0)
    (plain,) = (tmp_path / "clip").iterdir()
    changed = competition.with_comment(plain.read_bytes(), "07")
    assert changed != plain.read_bytes()
    decoded = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (plain.read_bytes(), changed)]
    assert (decoded[0] == decoded[1]).all()


def test_clips_that_are_no_jpegs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "01").mkdir()
    cv2.imwrite(str(tmp_path / "01" / "0.png"), np.zeros((8, 8, 3), np.uint8))
    (clip,) = sources.find_clips(tmp_path)
    with pytest.raises(VadError, match="takes clips of JPEG files"):
        competition.jpegs(clip)


def test_no_two_clips_are_equal_and_the_stages_run_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, seed in (("training_videos", 1), ("testing_videos", 2)):
        images(tmp_path / "dataset" / split / "01", 30, seed)
    sizes = {"training": (4, 120), "testing": (2, 60)}
    competition.make_clips(tmp_path / "dataset", tmp_path / "clips", sizes)
    made = [[path.read_bytes() for path in clip.iterdir()] for clip in (tmp_path / "clips").glob("*/*")]
    assert [len(clip) for clip in made] == [30] * 6
    assert sum(len(set(clip)) for clip in made) == len({image for clip in made for image in clip})
    monkeypatch.setattr(competition.yaml, "safe_load", first_stages(competition.yaml.safe_load))
    found = competition.costs(tmp_path, {"data.folds": 2, "aggregate.weights": {"background_top": 1}})
    assert list(found) == ["check", "fetch", "extract"] and (tmp_path / "data/frames/test/02.zip").exists()


def first_stages(load):  # type: ignore[no-untyped-def]
    def loaded(text: str):  # type: ignore[no-untyped-def]
        values = load(text)
        if isinstance(values, dict) and "stages" in values:
            values["stages"] = dict(list(values["stages"].items())[:3])
        return values

    return loaded
