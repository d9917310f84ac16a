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
LEAST = 32
"""Pixels of a side that optical flow is computed on, where a frame is reduced for it."""
PRESETS = {"fast": cv2.DISOPTICAL_FLOW_PRESET_FAST, "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM}

Size = tuple[int, ...]


class Flow(NamedTuple):
    """Optical flow (h, w) over pixels, or over cells of them: its size, and along x and y, in pixels a frame."""

    size: np.ndarray
    x: np.ndarray
    y: np.ndarray


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


def optical_flow(pair: Pair, preset: str, rows: int = 0) -> Flow:
    """Where each pixel went, in pixels of the frame (H, W) a frame. `preset` is one of PRESETS.

    A frame of more than `rows`, above 0, is reduced to so many first, but neither side below LEAST, and so is the flow.
    T. Kroeger et al., Fast optical flow using dense inverse search, ECCV 2016, as OpenCV has it.
    """
    height, width = pair.image.shape
    part = max(rows / height, LEAST / min(height, width)) if rows else 1
    size = (round(height * part), round(width * part)) if part < 1 else (height, width)
    before, image = (scaled(one, size) for one in (pair.before, pair.image))
    # Made anew each time: it holds buffers, and threads must not share them.
    flow = cv2.DISOpticalFlow.create(PRESETS[preset]).calc(before, image, np.zeros((*size, 2), np.float32))
    steps = (pair.gap * small / side for small, side in zip(size[::-1], (width, height), strict=True))
    x, y = (np.ascontiguousarray(flow[..., axis]) / step for axis, step in enumerate(steps))
    return Flow(np.hypot(x, y), x, y)


def flow_cells(flow: Flow, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """The flow in each cell of a frame of a size (H, W): mean length in pixels a frame (h, w), direction bin (h, w)."""
    shape = pooling.grid(size, CELL)
    length, x, y = (pooling.averaged(part, shape) for part in flow)
    return length, bins(x, y)
