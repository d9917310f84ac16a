"""Repaired frames are those from before the corruption, and what was not corrupted stays as it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tiny_clips import walking_square
from vad import VadError
from vad.data import clips
from vad.quality import repair
from vad.quality.repair import Found

FRAMES = walking_square(12)
NUMBERS = np.array([3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15])


def clip(frames: np.ndarray = FRAMES) -> clips.MappedClip:
    return clips.MappedClip("01", NUMBERS, Path("01.npy"), frames)


def corrupted(found: Found) -> np.ndarray:
    rng = np.random.default_rng(0)
    frames = FRAMES.copy()
    for place, number in enumerate(NUMBERS):
        if number in found.noisy:
            noise = rng.integers(-60, 61, FRAMES.shape[1:])
            frames[place] = np.clip(frames[place] + noise, 0, 255)
        if number in found.flipped:
            frames[place] = frames[place][::-1]
    return frames


def error(image: np.ndarray, number: int) -> float:
    return float(np.abs(image.astype(float) - FRAMES[list(NUMBERS).index(number)]).mean())


def test_flipped_frames_come_back_upright_and_the_others_as_they_are() -> None:
    found = Found(flipped=frozenset({5, 10}))
    righted = repair.repaired(clip(corrupted(found)), found, unflip=True)
    assert (np.stack(list(righted)) == FRAMES).all() and len(righted) == len(NUMBERS)


def test_static_gives_way_to_the_clean_frames_around_it_whichever_way_they_are_turned() -> None:
    found = Found(flipped=frozenset({5, 6, 13}), noisy=frozenset({6, 8, 12}))
    broken = clip(corrupted(found))
    righted = repair.repaired(broken, found, unflip=True, denoise=True)
    for number in found.noisy:
        noisy = repair.repaired(broken, found, unflip=True).frame(number)
        assert error(righted.frame(number), number) < 0.1 * error(noisy, number)
    for number in set(NUMBERS.tolist()) - found.noisy:
        assert error(righted.frame(number), number) == 0
    turned = repair.repaired(broken, found, denoise=True).frame(6)
    assert (turned[::-1] == righted.frame(6)).all()


@pytest.mark.parametrize("number", [3, 15])
def test_at_an_end_of_the_clip_the_two_nearest_of_one_side_serve(number: int) -> None:
    found = Found(noisy=frozenset({number}))
    broken = clip(corrupted(found))
    righted = repair.repaired(broken, found, denoise=True).frame(number)
    assert error(righted, number) < 0.3 * error(broken.frame(number), number)


def test_where_nothing_clean_is_left_a_frame_stays_as_it_is() -> None:
    found = Found(noisy=frozenset(NUMBERS.tolist()) - {9})
    broken = clip(corrupted(found))
    assert (repair.repaired(broken, found, denoise=True).frame(4) == broken.frame(4)).all()


def test_nothing_to_do_gives_the_clip_itself() -> None:
    found = Found(flipped=frozenset({5}))
    own = clip()
    assert repair.repaired(own, found) is own and repair.repaired(own, Found(), unflip=True, denoise=True) is own
    assert repair.repaired(own, found, denoise=True) is own


def test_what_is_found_is_looked_up_by_clip_and_number() -> None:
    rows = [("test", "01", number, int(number == 5), int(number in (5, 8))) for number in NUMBERS]
    rows += [("test", "02", 4, 1, 1), ("train", "01", 4, 1, 1)]
    table = pd.DataFrame(rows, columns=repair.COLUMNS)
    assert repair.Diagnosis(table).of("test", clip()) == Found(frozenset({5}), frozenset({5, 8}))
    with pytest.raises(VadError, match=r"no row for test clip 01 frame 9; run `dvc repro diagnose`"):
        repair.Diagnosis(table[table["frame"] != 9]).of("test", clip())
