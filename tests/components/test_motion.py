"""Each map answers to what it is named after, at the place where it happens."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.tiny_clips import walking_square
from vad import VadError, registry
from vad.components import motion, pairs, pooling
from vad.components.motion import Normality
from vad.components.pairs import Pair
from vad.data import clips
from vad.params import Motion

SIZE = (96, 128)
SQUARE = (slice(48, 60), slice(40, 52))


def clip(frames: np.ndarray, numbers: np.ndarray | None = None) -> clips.MappedClip:
    return clips.MappedClip("01", np.arange(len(frames)) if numbers is None else numbers, Path("01.npy"), frames)


def settings(*components: str) -> Motion:
    return Motion(
        components=components or registry.maps("motion"),
        flow="medium",
        flow_rows=0,
        shrink=0,
        registration=False,
        light=False,
    )


def square_at(left: int, top: int = 48) -> np.ndarray:
    """The background of `walking_square` with a textured square on it: luma."""
    frame = walking_square(1, SIZE)[0].copy()
    frame[48:60, :12] = walking_square(14, SIZE, speed=1)[13][48:60, :12]
    frame[top : top + 12, left : left + 12] = np.random.default_rng(9).integers(150, 255, (12, 12, 3))
    return np.ascontiguousarray(frame[:, :, 0])


def test_the_residual_is_where_something_stands_and_ignores_the_light() -> None:
    background = walking_square(1, SIZE)[0, :, :, 0].astype(np.float32)
    image = background.copy()
    image[SQUARE] += 60
    residual = motion.background_residual((image * 1.0 + 12).astype(np.uint8), background)
    assert residual[SQUARE].min() > 50 and np.delete(residual, range(48, 60), axis=0).max() <= 1.5


def test_change_and_flow_are_per_frame_number() -> None:
    before, after = square_at(40), square_at(44)
    once, twice = Pair(before, after, 1), Pair(before, after, 2)
    np.testing.assert_allclose(pairs.frame_change(twice) * 2, pairs.frame_change(once))
    for half, whole in zip(pairs.optical_flow(twice, "fast"), pairs.optical_flow(once, "fast"), strict=True):
        np.testing.assert_allclose(half * 2, whole, rtol=1e-5)


def test_flow_has_size_and_direction() -> None:
    for turn, (dx, dy) in {0: (4, 0), 2: (0, 4), 4: (-4, 0), 6: (0, -4)}.items():
        flow = pairs.optical_flow(Pair(square_at(40), square_at(40 + dx, 48 + dy), 1), "fast")
        mean = np.array([flow.x[52:56, 44:48].mean(), flow.y[52:56, 44:48].mean()])
        along, across = mean @ (dx, dy) / 4, mean @ (dy, dx) / 4
        assert 1.5 < along < 4.5 and abs(across) < 0.5  # small things are seen slower than they are
        size, bins = pairs.flow_cells(flow, SIZE)
        row, column = np.unravel_index(size.argmax(), size.shape)
        assert bins[row, column] == turn and 5 <= row <= 8 and 4 <= column <= 7


def test_flow_of_a_reduced_frame_is_in_pixels_of_the_whole_one_and_has_the_same_cells() -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (330, 480), np.uint8), (0, 0), 4)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    pair = Pair(np.ascontiguousarray(texture[:320, :450]), np.ascontiguousarray(texture[:320, 6:456]), 1)
    cells = {}
    for rows, shape in {0: (320, 450), 320: (320, 450), 200: (200, 281), 160: (160, 225)}.items():
        flow = pairs.optical_flow(pair, "medium", rows)
        assert [part.shape for part in flow] == [shape] * 3
        assert np.median(flow.x) == pytest.approx(-6, abs=0.5) and np.median(flow.size) == pytest.approx(6, abs=0.5)
        cells[rows], bins = pairs.flow_cells(flow, (320, 450))
        assert cells[rows].shape == bins.shape == (40, 56) and np.median(bins) == 4
    assert (cells[0] == cells[320]).all() and not (cells[0] == cells[160]).all()
    for size in ((320, 450), (100, 2000), (2000, 100)):
        flow = pairs.optical_flow(Pair(*np.zeros((2, *size), np.uint8), 1), "medium", 1)
        assert min(flow.size.shape) == pairs.LEAST


def test_the_rows_of_flow_in_params_yaml_reach_it() -> None:
    pair = Pair(square_at(40), square_at(44), 1)
    whole, reduced = (motion.look(pair, settings("flow").model_copy(update={"flow_rows": rows})) for rows in (0, 48))
    assert whole["flow"].shape == reduced["flow"].shape and not (whole["flow"] == reduced["flow"]).all()


def test_a_direction_is_rare_where_nobody_went_that_way() -> None:
    size = np.ones((6, 8), np.float32)
    right, left = np.zeros((6, 8), int), np.full((6, 8), 4)
    known = motion.Directions([(size, right)] * 20)
    assert (known.rarity(size, left) > 3 * known.rarity(size, right)).all()
    assert known.rarity(0 * size, left).max() == 0


def test_pairs_read_every_frame_once_and_know_the_gaps() -> None:
    frames = walking_square(4, SIZE)
    found = list(pairs.pairs(clip(frames, np.array([3, 4, 8, 9])), SIZE))
    assert [pair.gap for pair in found] == [1, 1, 4, 1]
    assert (found[0].image == found[1].image).all() and (found[2].before == found[1].image).all()
    (alone,) = pairs.pairs(clip(frames[:1]), SIZE)
    assert alone.gap == 1 and (alone.before == alone.image).all()


@pytest.fixture(scope="module")
def normality() -> Normality:
    frames = [walking_square(80, SIZE, seed=0), walking_square(80, SIZE, seed=0)[20:60]]
    return Normality([clip(part) for part in frames], settings())


def test_what_runs_is_stranger_than_what_walks(normality: Normality) -> None:
    walking, running = (list(normality.score(clip(walking_square(10, SIZE, speed=s)))) for s in (1, 6))
    assert set(walking[0]) == {f"{name}_{pool}" for name in registry.maps("motion") for pool in registry.POOLS}
    for name in ("change_max", "flow_max", "flow_local", "direction_max", "velocity_max"):
        assert min(row[name] for row in running) > max(row[name] for row in walking), name


def test_what_stands_where_nothing_stood_is_strange_there(normality: Normality) -> None:
    frames = walking_square(10, SIZE)
    frames[5:, 8:20, 100:112] = 250
    rows = list(normality.score(clip(frames)))
    assert rows[7]["background_local"] > 2 * rows[2]["background_local"]
    strange = normality.maps(Pair(frames[6, :, :, 0], frames[7, :, :, 0], 1), normality.background)["background"]
    row, column = np.unravel_index(strange.argmax(), strange.shape)
    assert 1 <= row <= 2 and 12 <= column <= 13


def test_frames_of_another_size_are_brought_to_that_of_training(normality: Normality) -> None:
    small = list(normality.score(clip(walking_square(4, (48, 64)))))
    assert len(small) == 4 and np.isfinite([list(row.values()) for row in small]).all()


def test_only_what_is_asked_for_is_computed_and_one_frame_is_no_training() -> None:
    chosen = Normality([clip(walking_square(20, SIZE))], settings("change"))
    assert set(next(chosen.score(clip(walking_square(3, SIZE))))) == {f"change_{pool}" for pool in registry.POOLS}
    with pytest.raises(VadError, match="no clip has two frames"):
        Normality([clip(walking_square(1, SIZE))], settings("change"))


def test_pools_tell_a_spot_from_a_haze_and_a_strange_place_from_a_busy_one() -> None:
    busy = np.full((6, 8), 0.1, np.float32)
    busy[4] = 2.0
    places = pooling.PlaceScales([busy] * 10)
    haze, spot, there = (np.full((6, 8), 0.2, np.float32) for _ in range(3))
    spot[1, 6] = 3.0
    there[4, 2] = 3.0
    assert places.pool(spot)["max"] > 2 * places.pool(haze)["max"]
    assert places.pool(spot)["local"] > 2 * places.pool(there)["local"]
    assert places.pool(spot)["max"] == pytest.approx(places.pool(there)["max"], rel=0.4)
    assert places.pool(haze)["mean"] == pytest.approx(0.2)


def test_cells_are_means_and_a_map_smaller_than_a_cell_is_one() -> None:
    error = np.arange(64, dtype=np.float32).reshape(8, 8)
    np.testing.assert_allclose(pooling.to_cells(error, 4)[0, 0], error[:4, :4].mean())
    assert pooling.to_cells(error, 20).shape == (1, 1)
    silent = pooling.PlaceScales([np.zeros((2, 2), np.float32)])
    assert silent.pool(np.ones((2, 2), np.float32))["local"] == pytest.approx(1.0)


def test_held_out_frames_are_pooled_by_what_is_usual_in_the_others() -> None:
    random = np.random.default_rng(5)
    quiet, busy = (scale * random.random((10, 6, 8)).astype(np.float32) for scale in (1, 9))
    pooled = pooling.pool_by_others([quiet, busy])
    expected = [pooling.PlaceScales(busy).pool(cells) for cells in quiet] + [
        pooling.PlaceScales(quiet).pool(cells) for cells in busy
    ]
    assert pooled == expected
    assert min(row["local"] for row in pooled[10:]) > 2 > max(row["local"] for row in pooled[:10])
    # Of one clip each half knows the other alone.
    assert pooling.pool_by_others([np.concatenate([quiet, busy])]) == expected
    assert pooling.pool_by_others([quiet[:1]]) == [pooling.PlaceScales(quiet[:1]).pool(quiet[0])]
    assert pooling.pool_by_others([]) == []


def test_scales_find_what_is_smaller_or_larger_than_a_block() -> None:
    random = np.random.default_rng(3)
    usual = [random.gamma(2, 1, (24, 32)).astype(np.float32) for _ in range(60)]
    places = pooling.PlaceScales(usual)
    one = usual[0].copy()
    one[12, 16] = 60
    crowd = usual[0] + 0
    crowd[6:18, 8:24] += 3
    for strange in (one, crowd):
        assert places.pool(strange)["scales"] > 1.1 * places.pool(strange)["local"]
    assert all(places.pool(frame)["scales"] >= places.pool(frame)["local"] for frame in usual)


def test_the_spectrum_tells_more_of_something_wherever_it_is() -> None:
    random = np.random.default_rng(4)

    def walkers(count: int) -> np.ndarray:
        cells = random.uniform(0, 0.05, (24, 32)).astype(np.float32)
        for row, column in zip(random.integers(0, 21, count), random.integers(0, 29, count), strict=True):
            cells[row : row + 3, column : column + 3] += 1
        return cells

    places = pooling.PlaceScales([walkers(3) for _ in range(200)])
    usual = [places.pool(walkers(3))["spectrum"] for _ in range(50)]
    crowded = [places.pool(walkers(12))["spectrum"] for _ in range(50)]
    assert np.median(crowded) > np.quantile(usual, 0.95)
    (moved,) = {round(places.pool(np.roll(np.eye(24, 32, dtype=np.float32), by, 0))["spectrum"], 4) for by in (0, 5)}
    alike = pooling.PlaceScales([np.ones((4, 4), np.float32)] * 10)
    assert alike.pool(np.ones((4, 4), np.float32))["spectrum"] == pytest.approx(0, abs=1e-3)
    assert alike.pool(np.full((4, 4), 1.01, np.float32))["spectrum"] < 1
    assert moved > 0


def test_a_place_where_few_clips_moved_takes_on_the_scale_of_those_where_many_did() -> None:
    random = np.random.default_rng(5)
    videos = [str(clip) for clip in range(8) for _ in range(50)]
    blocks = random.uniform(0, 0.02, (400, 12, 16)).astype(np.float32)
    blocks[:, :6, :8] += random.uniform(1, 3, (400, 6, 8))  # all clips move here, one there, none elsewhere
    blocks[:50, :6, 8:] += random.uniform(0.6, 0.9, (50, 6, 8))
    alone, shrunk, one = (pooling.place_scale(blocks, videos, shrink) for shrink in (0, 2, 1e6))
    np.testing.assert_array_equal(alone, pooling.place_scale(blocks))
    many, few, none = (slice(1, 5), slice(1, 7)), (slice(1, 5), slice(10, 15)), (slice(8, 12), slice(0, 16))
    np.testing.assert_allclose(shrunk[many], alone[many], rtol=0.05)
    assert (shrunk[few] > alone[few] * 1.5).all() and (shrunk[few] < shrunk[none].min()).all()
    assert np.ptp(one) < 0.01 * one.mean() and one.mean() == pytest.approx(shrunk[none].mean(), rel=0.05)
    still = np.zeros((4, 3, 3), np.float32)
    np.testing.assert_array_equal(pooling.place_scale(still, ["1", "1", "2", "2"], 5), pooling.place_scale(still))
