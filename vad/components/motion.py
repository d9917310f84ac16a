"""What moves how in a clip, and what stands where nothing stood before: maps over the frame from classical vision.

No network is trained. What is normal comes from training frames: the background is their median, and each place of the
frame has its own scale and its own usual directions.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from vad import VadError
from vad.components import out_of_fold, pooling
from vad.data import clips
from vad.data.clips import Clip
from vad.data.sampling import evenly_spaced
from vad.params import Params
from vad.quality import reading, repair
from vad.quality.diagnosis import backgrounds, luma
from vad.storage import tables
from vad.storage.progress import over_clips, parallel

CELL = 8
"""Pixels along the side of a cell; a block of three is about as wide as a person is in Ped2 and Avenue."""
SAMPLED = 1000
"""Pairs of training frames, at most, from which the usual is learned."""
BINS = 8
"""Directions that are told apart."""
_STEP = 4

Size = tuple[int, ...]


class Pair(NamedTuple):
    """A frame and the one before it, luma (H, W) uint8, and the step in frame number between them, at least 1."""

    before: np.ndarray
    image: np.ndarray
    gap: int


def scaled(image: np.ndarray, size: Size) -> np.ndarray:
    """Luma (H, W) at a size (height, width)."""
    return image if image.shape == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def pairs(clip: Clip, size: Size) -> Iterator[Pair]:
    """Every frame of a clip with the one before it, in order; the first is paired with the second.

    A clip of one frame is paired with itself. Each frame is read once.
    """
    numbers = clip.numbers.tolist()
    gaps = np.diff(clip.numbers).tolist()
    images = parallel(lambda number: scaled(luma(clip, number), size), numbers)
    if len(numbers) == 1:
        image = next(images)
        yield Pair(image, image, 1)
    for place, (before, image) in enumerate(pairwise(images)):
        if place == 0:
            yield Pair(before, image, gaps[0])
        yield Pair(before, image, gaps[place])


def background_residual(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    """How far a frame's luma (H, W) is from the background (H, W), grey levels, whatever the light: (H, W) float32.

    The light is the median difference over the frame, which people do not reach.
    """
    difference = image.astype(np.float32) - background
    return np.abs(difference - np.median(difference[::_STEP, ::_STEP]))


def frame_change(pair: Pair) -> np.ndarray:
    """Change from the frame before, grey levels a frame: (H, W) float32."""
    return cv2.absdiff(pair.image, pair.before).astype(np.float32) / pair.gap


def optical_flow(pair: Pair) -> np.ndarray:
    """Where each pixel went, pixels a frame: (H, W, 2) float32, x and y.

    T. Kroeger et al., Fast optical flow using dense inverse search, ECCV 2016, as OpenCV has it.
    """
    # Made anew each time: it holds buffers, and threads must not share them.
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return method.calc(pair.before, pair.image, np.zeros((*pair.image.shape, 2), np.float32)) / pair.gap


def flow_cells(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean flow of each cell of a flow field (H, W, 2): size in pixels a frame (h, w), and direction bin (h, w) int."""
    x, y = (pooling.to_cells(flow[..., axis], CELL) for axis in (0, 1))
    size = pooling.to_cells(np.hypot(flow[..., 0], flow[..., 1]), CELL)
    turn = np.arctan2(y, x) / (2 * np.pi) % 1
    return size, (turn * BINS).round().astype(int) % BINS


class Directions:
    """How usual each direction of movement is at each place: log-probabilities (BINS, h, w)."""

    def __init__(self, training: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """`training` are sizes and bins of normal frames, as `flow_cells` gives them. Fast movement counts for more."""
        total: np.ndarray | None = None
        for size, bins in training:
            total = np.zeros((BINS, *size.shape), np.float32) if total is None else total
            for direction in range(BINS):
                total[direction] += np.where(bins == direction, size, 0)
        if total is None:
            raise VadError("motion: no training frames to learn directions from")
        near = np.stack([pooling.blocks(counts) for counts in total])
        # Neighbouring directions count half: nobody walks in a straight line.
        near = near + 0.5 * (np.roll(near, 1, 0) + np.roll(near, -1, 0))
        prior = near.sum((1, 2), keepdims=True)
        prior = prior / max(float(prior.sum()), 1e-9) + 1 / BINS
        weight = float(near.sum(0).mean()) or 1.0
        self.log_probability = np.log((near + weight * prior / 2) / (near.sum(0) + weight))

    def rarity(self, size: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """How rarely something moves this way here (h, w), in nats, times how fast it does, pixels a frame."""
        rows, columns = np.indices(bins.shape)
        return size * -self.log_probability[bins, rows, columns]


def measure(settings: Params, frames: Path, validation: Path, diagnosis: Path) -> pd.DataFrame:
    """The keys and MAP_POOL for every map of `motion.components` and every one of pooling.POOLS, of each scored frame.

    `frames` holds zipped clips, a folder a split, `validation` those of validation. Raises VadError where no training
    clip has two frames.
    """
    diagnosed = tables.read_csv(diagnosis, [*repair.COLUMNS, "fold"])
    folds = out_of_fold.folds_of(diagnosed)
    splits = out_of_fold.scored_splits(folds)
    seen = {s: reading.at_full_size(frames, validation, s, diagnosed, settings.repair) for s in splits}
    found = {}
    for part in out_of_fold.parts(clips.open_zips(frames / "train"), seen, folds):
        normality = Normality(part.training, settings.motion.components)
        of_split = {id(clip): split for split, clip in part.scored}
        for clip in over_clips([clip for _, clip in part.scored], "motion"):
            split = of_split[id(clip)]
            rows = pd.DataFrame(normality.score(clip))
            found[split, clip.video] = pd.concat([clips.keys(split, [clip]), rows], axis=1)
    return pd.concat([found[split, clip.video] for split in splits for clip in seen[split]], ignore_index=True)


class Normality:
    """What is usual in a data set: size of its frames, background, and per component the scale of each place."""

    def __init__(self, training: Sequence[Clip], components: Sequence[str]) -> None:
        """Learn from training clips, from at most SAMPLED of their pairs of neighbours, spread over them all."""
        self.components = tuple(components)
        known = backgrounds(training)
        # Frames of any other size are brought to that of the background that the most training frames gave.
        self.size, chosen = max(known.items(), key=lambda item: item[1].count)
        self.background = chosen.luma
        self.directions: Directions | None = None
        sampled = list(self._sampled_cells(training))
        if "direction" in components:
            self.directions = Directions((cells["flow"], cells["bins"]) for cells in sampled)
        self.places = {
            name: pooling.PlaceScales([self._map(name, cells) for cells in sampled]) for name in self.components
        }

    def score(self, clip: Clip) -> Iterator[dict[str, float]]:
        """The components of each frame of a clip, in order: `COMPONENT_POOL` -> value."""
        for cells in parallel(self._cells, pairs(clip, self.size)):
            yield {
                f"{name}_{pool}": value
                for name in self.components
                for pool, value in self.places[name].pool(self._map(name, cells)).items()
            }

    def maps(self, pair: Pair) -> dict[str, np.ndarray]:
        """Component -> its map (h, w) of one frame, for looking at."""
        cells = self._cells(pair)
        return {name: self._map(name, cells) for name in self.components}

    def _cells(self, pair: Pair) -> dict[str, np.ndarray]:
        found = {}
        if "background" in self.components:
            found["background"] = pooling.to_cells(background_residual(pair.image, self.background), CELL)
        if "change" in self.components:
            found["change"] = pooling.to_cells(frame_change(pair), CELL)
        if {"flow", "direction"} & set(self.components):
            found["flow"], found["bins"] = flow_cells(optical_flow(pair))
        return found

    def _map(self, name: str, cells: dict[str, np.ndarray]) -> np.ndarray:
        if name == "direction":
            assert self.directions
            return self.directions.rarity(cells["flow"], cells["bins"])
        return cells[name]

    def _sampled_cells(self, training: Sequence[Clip]) -> Iterator[dict[str, np.ndarray]]:
        places = [(clip, place) for clip in training for place in range(1, len(clip))]
        if not places:
            raise VadError("data/frames/train: no clip has two frames; motion takes longer training clips")
        chosen = evenly_spaced(len(places), SAMPLED)

        def look(index: int) -> dict[str, np.ndarray]:
            clip, place = places[index]
            first, second = clip.numbers[place - 1 : place + 1].tolist()
            before, image = (scaled(luma(clip, number), self.size) for number in (first, second))
            return self._cells(Pair(before, image, second - first))

        return parallel(look, chosen)
