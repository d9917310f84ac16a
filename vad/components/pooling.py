"""From a map over the frame to a few numbers: how large its largest part is, and how unusual that is at its place.

An event covers a few percent of a frame, so the mean over the frame drowns it; and what is strong at one place, near
the camera say, may be nothing anywhere else.
"""

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from vad.components.out_of_fold import Key
from vad.data import clips
from vad.data.clips import Clip

BLOCK = 3
"""Cells along the side of a block."""
SIDES = (1, BLOCK, 5, 9)
"""Cells along the sides of the blocks that `scales` looks at: from a hand to a group of people."""
TOP = 0.01
"""Share of the blocks that `top` averages, at least one."""
QUANTILE = 0.99
NORMAL = ("holdout", "train")
"""The splits whose frames say what is usual, where they have cells."""
MOVED = 0.25
"""Of the pooled scale: a clip in which a place reaches more has shown what is usual there."""
LEAST = 0.01
"""The least deviation of a frequency's logarithm: frames that are all alike have none."""


def to_cells(error: np.ndarray, side: int) -> np.ndarray:
    """Means of a map (H, W) over cells of about `side` pixels -> (H // side, W // side) float32, at least (1, 1)."""
    return averaged(error, grid(error.shape, side))


def grid(size: Sequence[int], side: int) -> tuple[int, int]:
    """Rows and columns of cells of about `side` pixels in a frame of a size (H, W), at least (1, 1)."""
    height, width = size
    return max(1, height // side), max(1, width // side)


def averaged(map_: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Means of a map (H, W) over the cells of a grid of a shape (h, w) -> (h, w) float32."""
    return cv2.resize(map_.astype(np.float32, copy=False), shape[::-1], interpolation=cv2.INTER_AREA)


def blocks(cells: np.ndarray, side: int = BLOCK) -> np.ndarray:
    """Means over blocks of `side` x `side` cells around every cell (h, w) -> (h, w)."""
    return cv2.blur(cells, (side, side), borderType=cv2.BORDER_REPLICATE)


class Spectrum:
    """How strong each spatial frequency of a map is in normal training frames: where in the frame does not matter."""

    def __init__(self, training: Sequence[np.ndarray]) -> None:
        """`training` are the cells (h, w) of normal frames, all of one shape."""
        amplitudes = np.stack([np.abs(np.fft.rfft2(cells)) for cells in training])
        self.floor = float(np.median(amplitudes)) or float(amplitudes.mean()) or 1.0
        logarithms = np.log(amplitudes + self.floor)
        self.mean, deviation = logarithms.mean(0), logarithms.std(0)
        # A frequency that hardly varied in a few frames may well vary in more of them.
        self.deviation = np.maximum(deviation, max(float(np.median(deviation)), LEAST))

    def excess(self, cells: np.ndarray) -> float:
        """By how many deviations the frequencies of cells (h, w) are stronger than usual: mean, weaker ones as 0."""
        strength = np.log(np.abs(np.fft.rfft2(cells)) + self.floor)
        return float(np.maximum((strength - self.mean) / self.deviation, 0).mean())


class PlaceScales:
    """How large a map is at each place of normal training frames: for each of SIDES a scale (h, w), above 0."""

    def __init__(self, training: Sequence[np.ndarray], videos: Sequence[str] = (), shrink: float = 0) -> None:
        """`training` are the cells (h, w) of normal frames, all of one shape; `videos` and `shrink` as in place_scale.

        The scale is the 99 % quantile of the blocks at a place, or the largest of its neighbours', plus the median over
        all places. So no scale is near 0: who passes where nothing ever moved counts about twice as much as elsewhere.
        """
        self.scales = {
            side: place_scale(np.stack([blocks(cells, side) for cells in training]), videos, shrink) for side in SIDES
        }
        self.spectrum = Spectrum(training)

    def relative_to_place(self, cells: np.ndarray, side: int = BLOCK) -> np.ndarray:
        """Blocks of cells (h, w) in units of what is usual at their place: (h, w)."""
        return blocks(cells, side) / self.scales[side]

    def pool(self, cells: np.ndarray) -> dict[str, float]:
        """Cells (h, w) of a frame -> one number for each of POOLS.

        `mean` of the cells; `max`, the largest block; `top`, the mean of the largest blocks: in the unit of the map.
        `local`, the largest block relative to its place; `scales`, the same over blocks of all SIDES: 1 is about the
        largest that is usual. `spectrum`, the excess of spatial frequencies, in deviations.
        """
        ranked = np.sort(blocks(cells), axis=None)
        largest = {side: float(self.relative_to_place(cells, side).max()) for side in SIDES}
        return {
            "mean": float(cells.mean()),
            "max": float(ranked[-1]),
            "top": float(ranked[-max(1, round(TOP * ranked.size)) :].mean()),
            "local": largest[BLOCK],
            "scales": max(largest.values()),
            "spectrum": self.spectrum.excess(cells),
        }


def table(
    cells: Mapping[Key, Iterable[np.ndarray]], seen: Mapping[str, Sequence[Clip]], name: str, folds: Mapping[Key, int]
) -> pd.DataFrame:
    """The keys and NAME_POOL for every one of POOLS, from the cells (h, w) of each frame of each clip that is seen.

    What is usual comes from frames that nothing was learned from, held out or scored out of fold: a network has made
    its errors on those of training small, and their patches are in a memory, so on that scale any other frame would
    look anomalous. What belongs to a fold is pooled by the other folds.
    """
    keys = [(split, clip.video) for split in seen for clip in seen[split]]
    pooled = pool_by_others([list(cells[key]) for key in keys if key[0] == "holdout"])
    places = {}
    for fold in {folds[key] for key in keys if key[0] != "holdout"}:
        others = [key for key in keys if key[0] in NORMAL and (folds[key] != fold or fold < 0)]
        places[fold] = PlaceScales([frame for key in others for frame in cells[key]])
    pooled += [places[folds[key]].pool(frame) for key in keys if key[0] != "holdout" for frame in cells[key]]
    rows = pd.concat([clips.keys(split, seen[split]) for split in seen], ignore_index=True)
    return pd.concat([rows, pd.DataFrame(pooled).add_prefix(f"{name}_")], axis=1)


def pool_by_others(found: Sequence[Sequence[np.ndarray]]) -> list[dict[str, float]]:
    """Pool -> value of every frame's cells (h, w), clip after clip, by what is usual in the other clips.

    Statistics from a frame's own clip hide its anomalies, and scores that are calibrated on them are too high for
    any other clip. Of a single clip each half is pooled by the other.
    """
    parts = [list(clip) for clip in found]
    if len(parts) == 1:
        (whole,) = parts
        parts = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
    pooled = []
    for number, part in enumerate(parts):
        others = [cells for other, rest in enumerate(parts) for cells in rest if other != number]
        if part:
            places = PlaceScales(others or part)
            pooled += [places.pool(cells) for cells in part]
    return pooled


def place_scale(training: np.ndarray, videos: Sequence[str] = (), shrink: float = 0) -> np.ndarray:
    """A large value at each place (h, w), above 0, of normal frames' blocks (N, h, w): see PlaceScales.

    With `shrink`, which needs the clip of each frame, a place where few clips have shown anything takes on the scale of
    the places where things move: its own counts as many clips as moved there, that one `shrink` clips.
    """
    quantile = np.quantile(training, QUANTILE, axis=0).astype(np.float32)
    floor = float(np.median(quantile)) or float(quantile.mean()) or 1.0
    if shrink and quantile.any():
        pooled = float(np.average(quantile, weights=quantile))
        of_clip = np.array(videos)
        clips_there = np.zeros_like(quantile)
        for video in set(videos):
            clips_there += np.quantile(training[of_clip == video], QUANTILE, axis=0) > MOVED * pooled
        quantile = (clips_there * quantile + shrink * pooled) / (clips_there + shrink)
    widened = cv2.dilate(quantile, np.ones((BLOCK, BLOCK), np.uint8))
    return widened + floor
