"""Local contrast: where an image is brighter or darker than its surroundings. Light hardly changes it.

Brightness itself does not serve to see a flip: a room whose ceiling is bright looks more like its flipped self as soon
as the light comes from below. Edges of furniture stay where they are.
"""

import cv2
import numpy as np

ROWS = 48
"""Contrast is measured in cells, about so many rows of them: noise averages out in a cell."""
FINE, COARSE = 1.0, 3.0
"""Contrast is the difference of two Gaussian blurs with these deviations, in cells."""
FAINT = 2.0
"""Grey levels. Fainter contrast hardly counts: noise and compression leave about as much in a cell."""
REACH = 6
"""Cells that the camera may have moved, up or down and to the sides."""


def local_contrast(luma: np.ndarray) -> np.ndarray:
    """How much brighter the cells of an image (H, W) are than those around them: (rows, columns) float32, about -2..2.

    In units of the contrast that is usual around each cell, as in local contrast normalisation: a bright spot in the
    dark does not outweigh the rest, and both sides of a frame that is lit from one side count alike. 0 where there is
    no contrast.
    """
    step = max(1, round(luma.shape[0] / ROWS))
    size = max(1, luma.shape[1] // step), max(1, luma.shape[0] // step)
    cells = cv2.resize(luma.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    contrast = cv2.GaussianBlur(cells, (0, 0), FINE) - cv2.GaussianBlur(cells, (0, 0), COARSE)
    return np.asarray(contrast / np.sqrt(cv2.GaussianBlur(contrast**2, (0, 0), COARSE) + FAINT**2))


def agreement(contrast: np.ndarray, background: np.ndarray) -> tuple[float, float]:
    """How well one local contrast (rows, columns) agrees with another, as it is and turned top to bottom; about -1..1.

    The mean product over all cells but a margin, at the best of the places within REACH that the camera may have
    moved to: a striped wall seen half a stripe lower would look flipped. Unlike a correlation coefficient it counts
    cells without contrast, so that a few cells can't decide for a frame.
    """
    rows, columns = (min(REACH, (side - 1) // 4) for side in contrast.shape)
    inner = contrast[rows : contrast.shape[0] - rows, columns : contrast.shape[1] - columns]
    upright, turned = (
        float(cv2.matchTemplate(background, image, cv2.TM_CCORR).max()) / inner.size
        for image in (np.ascontiguousarray(inner), cv2.flip(inner, 0))
    )
    return upright, turned
