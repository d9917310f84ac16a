"""The empty scene as a clip shows it: somebody may have touched the camera since training, and the light changes."""

import cv2
import numpy as np

from vad.components.pairs import Size, scaled
from vad.data.clips import Clip
from vad.data.sampling import evenly_spaced
from vad.quality.diagnosis import luma

FRAMES = 25
"""Of a clip, for the median that its people are not in."""
FARTHEST = 8.0
"""Pixels. Farther is another scene, or no match."""
LEAST = 0.5
"""Pixels: less is what people and noise make of a camera that stands still."""
ALIKE, BETTER = 0.2, 0.02
"""What the correlation must reach, and by how much it must rise."""
BROAD = 0.1
"""Of the height of a frame: light differs over such widths, people are narrower."""
_COARSE = 4.0
"""Pixels: what is wider than that is no edge."""
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)


def median(clip: Clip, size: Size) -> np.ndarray:
    """What is seen in a clip without its people: the median luma (H, W) over FRAMES of it, at a size (H, W)."""
    numbers = (int(clip.numbers[place]) for place in evenly_spaced(len(clip), FRAMES))
    return np.median([scaled(luma(clip, number), size) for number in numbers], axis=0).astype(np.uint8)


def moved(background: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """The background (H, W), luma, moved to where the camera looked in a clip of that `median`; or as it is."""
    x, y = shift(background, clip)
    if not x and not y:
        return background
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    height, width = background.shape
    return cv2.warpAffine(background.astype(np.float32), move, (width, height), borderMode=cv2.BORDER_REPLICATE)


def lit(background: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """The background (H, W), luma, in the light of a clip of that `median`: as much brighter or darker, broadly."""
    difference = clip.astype(np.float32) - background
    return background + cv2.GaussianBlur(difference, (0, 0), BROAD * len(background))


def shift(background: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """How far an image (H, W) is from a background (H, W), both luma: pixels to the right and down, (0, 0) in doubt.

    By the enhanced correlation coefficient of their edges (G. Evangelidis and E. Psarakis, PAMI 2008), from where phase
    correlation points to, both as OpenCV has them.
    """
    edges = _edges(background), _edges(image)
    before = cv2.computeECC(*edges)
    window = cv2.createHanningWindow(background.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(edges[0].copy(), edges[1].copy(), window)  # it writes over what it is given
    try:
        start = np.array([[1, 0, x], [0, 1, y]], np.float32)
        after, found = cv2.findTransformECC(*edges, start, cv2.MOTION_TRANSLATION, _STEPS)
    except cv2.error:  # it did not converge
        return 0.0, 0.0
    x, y = np.asarray(found)[:, 2].tolist()
    believed = after > max(ALIKE, before + BETTER) and LEAST < np.hypot(x, y) < FARTHEST
    return (x, y) if believed else (0.0, 0.0)


def _edges(image: np.ndarray) -> np.ndarray:
    whole = image.astype(np.float32)
    return whole - cv2.GaussianBlur(whole, (0, 0), _COARSE)
