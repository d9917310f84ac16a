"""In an upright room nothing is found flipped or noisy, whatever its lights, its camera and its walls do."""

import pytest

from tests.lit_rooms import FRAMES, SCENES, find


@pytest.mark.parametrize("name", SCENES)
def test_no_upright_frame_is_found_flipped(name: str) -> None:
    """Training shows the room at rest and by light only."""
    assert [find(name, seed, shown=False).flipped for seed in (0, 1)] == [0, 0]


@pytest.mark.parametrize("name", ["lights off and on", "night noise", "coarse night noise", "auto-exposure"])
def test_noise_that_training_shows_is_not_found_noisy(name: str) -> None:
    found = find(name, 0, shown=True)
    assert found.noisy == found.flipped == 0


@pytest.mark.parametrize("name", ["shake", "lights fade"])
def test_frames_flipped_in_earnest_are_found_in_the_same_rooms(name: str) -> None:
    assert find(name, 0, shown=False).true_flips >= 0.95 * FRAMES
