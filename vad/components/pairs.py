"""A frame and the one before it, and what is seen of the two: change and optical flow, over the steps between them."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from vad.components import pooling
from vad.components.directions import bins
from vad.data.clips import Clip
from vad.quality.diagnosis import luma
from vad.storage.progress import parallel

CELL = 8
"""Pixels along the side of a cell; a block of three is about as wide as a person is in Ped2 and Avenue."""
PRESETS = {"fast": cv2.DISOPTICAL_FLOW_PRESET_FAST, "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM}

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


def frame_change(pair: Pair) -> np.ndarray:
    """Change from the frame before, grey levels a frame: (H, W) float32."""
    return cv2.absdiff(pair.image, pair.before).astype(np.float32) / pair.gap


def optical_flow(pair: Pair, preset: str) -> np.ndarray:
    """Where each pixel went, pixels a frame: (H, W, 2) float32, x and y. `preset` is one of PRESETS.

    T. Kroeger et al., Fast optical flow using dense inverse search, ECCV 2016, as OpenCV has it.
    """
    # Made anew each time: it holds buffers, and threads must not share them.
    method = cv2.DISOpticalFlow.create(PRESETS[preset])
    return method.calc(pair.before, pair.image, np.zeros((*pair.image.shape, 2), np.float32)) / pair.gap


def flow_cells(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean flow of each cell of a flow field (H, W, 2): size in pixels a frame (h, w), and direction bin (h, w) int."""
    x, y = (pooling.to_cells(flow[..., axis], CELL) for axis in (0, 1))
    size = pooling.to_cells(np.hypot(flow[..., 0], flow[..., 1]), CELL)
    return size, bins(x, y)
