"""Moving regions of a frame, and how unlike those of normal frames they move for the place where they are.

What a detector would find is found by its movement: a region moves faster than its surroundings. It is described by
where to and how fast it moves, relative to what is usual at its place, and compared with its nearest neighbours among
the regions of training frames. After T. Reiss and Y. Hoshen, Attribute-based representations for accurate and
interpretable video anomaly detection, 2022 (AI-VAD), which does so with a detector's boxes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from scipy.spatial import cKDTree

from vad.components import pooling
from vad.components.directions import BINS, bins
from vad.components.pairs import Flow
from vad.data.sampling import evenly_spaced

ROWS = 60
"""Rows of cells over the height of a frame: a person has several at any resolution."""
SHARE = 0.15
"""Of a large flow at most places: what moves faster is in a region."""
LEAST = 6
"""Cells of a region."""
NEIGHBOURS = 3
MOST = 12_000
"""Regions of training frames that are remembered."""
QUANTILE = 0.95
_SQUARE = np.ones((3, 3), np.uint8)


class Regions(NamedTuple):
    """The regions of a frame: their number from 1 in each cell (h, w), 0 elsewhere, and a description (N, 10) each."""

    labels: np.ndarray
    described: np.ndarray


def cells_of(flow: Flow) -> Flow:
    """Cells of an optical flow over pixels (H, W)."""
    height, width = flow.size.shape
    rows = min(ROWS, height)
    shape = (rows, max(1, round(rows * width / height)))
    return Flow(*(pooling.averaged(part, shape) for part in flow))


def find(flow: Flow, scale: np.ndarray, slowest: float) -> Regions:
    """The regions of a frame: what moves faster than `slowest`, described in units of `scale` (h, w).

    `scale` is a large flow at each place, above 0; both in pixels a frame.
    """
    moves = (flow.size > slowest).astype(np.uint8)
    opened = cv2.morphologyEx(moves, cv2.MORPH_OPEN, _SQUARE[:2, :2])
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, _SQUARE))
    large = np.flatnonzero(statistics[:, cv2.CC_STAT_AREA] >= LEAST)
    large = large[large > 0]
    number = np.zeros(len(statistics), int)
    number[large] = np.arange(1, len(large) + 1)
    labels = number[labels]
    relative = flow.size / scale
    areas = np.bincount(labels.ravel(), minlength=len(large) + 1)[1:, None]
    sums = np.bincount((labels * BINS + bins(flow.x, flow.y)).ravel(), relative.ravel(), (len(large) + 1) * BINS)
    histogram = sums.reshape(-1, BINS)[1:] / areas
    fastest = [np.quantile(relative[labels == region], QUANTILE) for region in range(1, len(large) + 1)]
    described = np.column_stack([histogram, histogram.sum(axis=1), np.array(fastest, float)])
    return Regions(labels, described.astype(np.float32))


class Known:
    """The regions of training frames, to compare others with: in two halves, so that these can be compared as well."""

    def __init__(self, halves: tuple[Sequence[Regions], Sequence[Regions]]) -> None:
        """`halves` are regions of different training clips, where there are two."""
        described = [
            np.concatenate([r.described for r in half]) if half else np.zeros((0, BINS + 2)) for half in halves
        ]
        self.halves = [_tree(half) for half in described]
        self.all = _tree(np.concatenate(described))

    def map_of(self, regions: Regions, half: int | None = None) -> np.ndarray:
        """How far each region is from its nearest in training, in its cells (h, w), 0 elsewhere.

        `half`: 0 or 1 for a training frame, which is compared with the other half.
        """
        tree = self.all if half is None else self.halves[1 - half]
        far = np.zeros(len(regions.described) + 1, np.float32)
        if tree is not None and len(far) > 1:
            found = tree.query(regions.described, min(NEIGHBOURS, tree.n))[0]
            far[1:] = found.reshape(len(far) - 1, -1).mean(axis=1)
        return far[regions.labels]


def _tree(described: np.ndarray) -> cKDTree | None:
    """At most MOST of descriptions (N, 10), spread over them, to find the nearest of; None of none."""
    if not len(described):
        return None
    return cKDTree(described[evenly_spaced(len(described), MOST)])
