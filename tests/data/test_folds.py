"""Folds: what is left out together, so that a clip is never scored by what it has taught."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_clips import walking_square
from vad import VadError
from vad.data import folds
from vad.data.clips import MappedClip


def hashes(*frames: int) -> np.ndarray:
    return np.array(frames, np.uint64)


def test_stretches_of_one_video_and_clips_with_a_frame_in_common_are_left_out_together() -> None:
    numbers = {"191": np.arange(58), "192": np.arange(143, 200), "201": np.arange(39), "301": np.arange(5)}
    contents = {"191": hashes(1, 2), "192": hashes(3), "201": hashes(4, 0), "301": hashes(9, 4, 0)}
    found = folds.groups(numbers, contents)
    assert found == {"191": "191", "192": "191", "201": "201", "301": "201"}
    fold_of = folds.of(numbers, contents, 2)
    assert fold_of["191"] == fold_of["192"] != fold_of["201"] == fold_of["301"]


def test_clips_whose_numbers_start_anew_are_videos_of_their_own() -> None:
    numbers = {"11": np.arange(50), "12": np.arange(60), "16": np.arange(40)}
    contents = {name: hashes(index + 1) for index, name in enumerate(numbers)}
    assert folds.groups(numbers, contents) == {name: name for name in numbers}


def test_below_two_folds_there_are_none() -> None:
    numbers, contents = {"01": np.arange(5), "02": np.arange(5)}, {"01": hashes(1), "02": hashes(2)}
    assert folds.of(numbers, contents, 0) == folds.of(numbers, contents, 1) == {}


@given(st.dictionaries(st.text("abc123", min_size=1, max_size=3), st.integers(1, 500), min_size=1), st.integers(2, 16))
def test_every_clip_is_in_one_fold_and_folds_are_about_equally_long(frames: dict[str, int], count: int) -> None:
    found = folds.assign({name: name for name in frames}, frames, count)
    assert found.keys() == frames.keys() and set(found.values()) == set(range(min(count, len(frames))))
    filled = [sum(frames[name] for name in found if found[name] == fold) for fold in set(found.values())]
    assert max(filled) - min(filled) <= max(frames.values())


def test_clips_of_a_single_video_can_t_score_each_other() -> None:
    numbers, contents = {"191": np.arange(5), "192": np.arange(9, 12)}, {"191": hashes(1), "192": hashes(2)}
    with pytest.raises(
        VadError, match=r"data.folds = 2: all training clips are of one source video, .* set it to 0 or 1"
    ):
        folds.of(numbers, contents, 2)


def clip(video: str, count: int, first: int = 0, seed: int = 0) -> MappedClip:
    numbers = np.arange(first, first + count)
    return MappedClip(video, numbers, Path(video), walking_square(count, (16, 16), seed))


@pytest.mark.parametrize(("count", "most"), [(2, 1), (3, 1), (5, 1), (9, 2), (15, 3)])
def test_the_inner_split_has_a_fifth_of_the_source_videos_and_at_least_one(count: int, most: int) -> None:
    videos = [
        [clip(f"{name}1", 4, 0, 2 * name), clip(f"{name}2", 4, 9, 2 * name + 1)] for name in range(10, 10 + count)
    ]
    fitted, ending = folds.inner([stretch for video in videos for stretch in video])
    assert len(ending) == 2 * most and len(fitted) == 2 * (count - most)
    assert {one.video[:-1] for one in fitted}.isdisjoint(one.video[:-1] for one in ending)


def test_of_a_single_video_the_inner_split_is_the_last_fifth() -> None:
    video = [clip("191", 18), clip("192", 7, 30, 1)]
    fitted, ending = folds.inner(video)
    assert [(one.video, one.numbers.tolist()) for one in ending] == [("192", [32, 33, 34, 35, 36])]
    assert [one.numbers.tolist() for one in fitted] == [list(range(18)), [30, 31]]
    kept = [frame for one in (*fitted, *ending) for frame in one.array]
    assert all(map(np.array_equal, kept, [frame for one in video for frame in one.array]))
