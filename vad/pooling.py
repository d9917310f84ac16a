"""From a map over the frame to a few numbers: how strong the strongest spot is, and how strange it is for that spot.

An event covers a few percent of a frame, so the mean over the frame drowns it; and what is strong at one place, near
the camera say, may be nothing anywhere else.
"""

from collections.abc import Sequence

import cv2
import numpy as np

BLOCK = 3
"""Cells along the side of a block."""
TOP = 0.01
"""Share of the blocks that `top` averages, at least one."""
QUANTILE = 0.99
POOLS = ("mean", "max", "top", "local")


def to_cells(error: np.ndarray, side: int) -> np.ndarray:
    """Means of a map (H, W) over cells of about `side` pixels -> (H // side, W // side) float32, at least (1, 1)."""
    height, width = error.shape
    shape = (max(1, width // side), max(1, height // side))
    return cv2.resize(error.astype(np.float32), shape, interpolation=cv2.INTER_AREA)


def blocks(cells: np.ndarray) -> np.ndarray:
    """Means over blocks of BLOCK x BLOCK cells around every cell (h, w) -> (h, w)."""
    return cv2.blur(cells, (BLOCK, BLOCK), borderType=cv2.BORDER_REPLICATE)


class Places:
    """How large the blocks of a map are at each place of normal training frames: a scale (h, w), above 0."""

    def __init__(self, training: Sequence[np.ndarray]) -> None:
        """`training` are the blocks (h, w) of normal frames, all of one shape.

        The scale is the 99 % quantile at a place, the larger of its neighbours', plus the median over places: where
        nothing ever moved, the first to come by counts for no more than twice what is usual elsewhere.
        """
        quantile = np.quantile(np.stack(training), QUANTILE, axis=0).astype(np.float32)
        widened = cv2.dilate(quantile, np.ones((BLOCK, BLOCK), np.uint8))
        floor = float(np.median(quantile)) or float(quantile.mean()) or 1.0
        self.scale = widened + floor

    def pool(self, cells: np.ndarray) -> dict[str, float]:
        """Cells (h, w) of a frame -> POOLS: mean, largest block, mean of top blocks, largest block for its place."""
        smoothed = blocks(cells)
        ranked = np.sort(smoothed, axis=None)
        return {
            "mean": float(cells.mean()),
            "max": float(ranked[-1]),
            "top": float(ranked[-max(1, round(TOP * ranked.size)) :].mean()),
            "local": float((smoothed / self.scale).max()),
        }
