"""A competition's worth of clips is made of fewer, and the stages of dvc.yaml run on it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import competition


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
