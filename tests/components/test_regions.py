"""Moving regions: found where something moves, and far from training where nobody moved like that."""

import numpy as np

from vad.components import regions
from vad.components.pairs import Flow
from vad.components.regions import Known

SHAPE = (60, 90)
SCALE = np.full(SHAPE, 2.0, np.float32)
SLOWEST = 2.0 * regions.SHARE


def moving(rows: slice, columns: slice, x: float, y: float = 0.0) -> Flow:
    """Everything in a rectangle goes (x, y) pixels a frame, all else stands."""
    flows = np.zeros((2, *SHAPE), np.float32)
    flows[0, rows, columns], flows[1, rows, columns] = x, y
    return Flow(np.hypot(*flows), *flows)


WALKER = moving(slice(20, 30), slice(40, 44), 1.0)


def test_a_region_is_what_moves_together_and_crumbs_are_none() -> None:
    found = regions.find(WALKER, SCALE, SLOWEST)
    assert np.unique(found.labels).tolist() == [0, 1] and found.described.shape == (1, 10)
    assert (found.labels[21:29, 41:43] == 1).all() and found.labels[:15].max() == 0
    nothing = regions.find(moving(slice(20, 22), slice(40, 42), 1.0), SCALE, SLOWEST)
    assert nothing.labels.max() == 0 and nothing.described.shape == (0, 10)


def test_cells_are_a_sixtieth_of_the_height_at_any_resolution() -> None:
    for size in ((240, 360), (480, 720)):
        assert regions.cells_of(Flow(*np.ones((3, *size), np.float32))).size.shape == (60, 90)


def test_who_moves_faster_or_another_way_for_the_place_is_far_and_a_twin_is_not() -> None:
    training = [regions.find(moving(slice(20, 30), slice(c, c + 4), 1.0), SCALE, SLOWEST) for c in range(10, 60, 5)]
    known = Known((training[::2], training[1::2]))
    twin, fast, back = (
        known.map_of(regions.find(moving(slice(20, 30), slice(41, 45), x), SCALE, SLOWEST)).max()
        for x in (1.0, 3.0, -1.0)
    )
    assert twin < 0.05 < 0.3 < back and fast > 0.5
    slow_place = regions.find(WALKER, SCALE / 4, SLOWEST / 4)
    assert known.map_of(slow_place).max() > 10 * max(twin, 0.01)


def test_training_frames_are_compared_with_the_other_half() -> None:
    odd = regions.find(moving(slice(20, 30), slice(40, 44), 0.0, -2.0), SCALE, SLOWEST)
    usual = regions.find(WALKER, SCALE, SLOWEST)
    known = Known(([odd, usual], [usual, usual, usual]))
    assert known.map_of(odd, 0).max() > 0.5 and known.map_of(usual, 1).max() < known.map_of(odd, 0).max()
    assert known.map_of(odd, 1).max() < known.map_of(odd, 0).max(), "its own half has its twin"


def test_without_regions_in_training_or_in_the_frame_nothing_is_far() -> None:
    none = regions.find(moving(slice(0, 0), slice(0, 0), 0.0), SCALE, SLOWEST)
    assert Known(([none], [none])).map_of(regions.find(WALKER, SCALE, SLOWEST)).max() == 0
    assert Known(([regions.find(WALKER, SCALE, SLOWEST)], [])).map_of(none).max() == 0
