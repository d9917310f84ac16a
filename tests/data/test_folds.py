"""Folds: what is left out together, so that a clip is never scored by what it has taught."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vad.data import folds


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
