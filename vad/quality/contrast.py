"""What of an image light leaves as it is: where it is brighter or darker than its surroundings.

Over raw brightness a room with a bright ceiling agrees better with itself flipped as soon as its light comes from
below. Edges of furniture stay where they are.
"""

import cv2
import numpy as np

ROWS = 48
"""Contrast is looked at in cells, about so many rows of them: noise averages out in a cell."""
FINE, COARSE = 1.0, 3.0
"""Contrast is the difference of two Gaussian blurs with these deviations, in cells."""
FAINT = 2.0
"""Grey levels; fainter contrast hardly counts, since noise and compression leave about so much in a cell."""
REACH = 6
"""Cells that the camera may have moved, up or down and to the sides."""


def local_contrast(luma: np.ndarray) -> np.ndarray:
    """How much brighter the cells of an image (H, W) are than those around them: (rows, columns) float32, about -2..2.

    In units of the contrast that is usual around each cell, as in local contrast normalisation: a bright spot in the
    dark counts for no more than its place, a frame lit from one side as much on the other. 0 where there is none.
    """
    step = max(1, round(luma.shape[0] / ROWS))
    size = max(1, luma.shape[1] // step), max(1, luma.shape[0] // step)
    cells = cv2.resize(luma.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    contrast = cv2.GaussianBlur(cells, (0, 0), FINE) - cv2.GaussianBlur(cells, (0, 0), COARSE)
    return np.asarray(contrast / np.sqrt(cv2.GaussianBlur(contrast**2, (0, 0), COARSE) + FAINT**2))


def agreement(contrast: np.ndarray, background: np.ndarray) -> tuple[float, float]:
    """How well one local contrast (rows, columns) agrees with another, as it is and turned top to bottom; about -1..1.

    The mean product over all cells but a margin, at the best of the places within REACH that the camera may have
    moved to: a striped wall seen half a stripe lower would look flipped. It is no correlation coefficient: cells
    without contrast count as such, so that few places can't speak for a frame.
    """
    rows, columns = (min(REACH, (side - 1) // 4) for side in contrast.shape)
    inner = contrast[rows : contrast.shape[0] - rows, columns : contrast.shape[1] - columns]
    upright, turned = (
        float(cv2.matchTemplate(background, image, cv2.TM_CCORR).max()) / inner.size
        for image in (np.ascontiguousarray(inner), cv2.flip(inner, 0))
    )
    return upright, turned
