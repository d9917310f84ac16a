"""What was done to a frame, found from its pixels at full size: flipped? noisy? frozen? frames missing before it?

Found, not repaired: repairing is a choice. The clips of a data set share one fixed camera, so the median training
frame is what an upright frame looks like, and the training frames' own noise is what a clean frame has.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from vad.data.clips import Clip
from vad.storage import tables
from vad.storage.progress import parallel

SAMPLED = 64
"""Training frames that the background is the median of."""
STATIC_FACTOR = 1.5
"""Noisy: noisier than this times the 99 % quantile of the training frames. Other light alone gives up to 1.25."""
FROZEN_FACTOR = 0.1
"""Frozen: changed from the frame before by less than this times the training frames' median change."""
DECIMALS = 4
_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_STEP = 4


class Measurement(NamedTuple):
    """What `measure` finds out about a frame."""

    corr_upright: float
    corr_flipped: float
    noise: float
    shift: float


class Background:
    """The median of training frames of one size: what the camera sees when nobody is there. Luma (H, W) in 0..255.

    `count` is of how many frames.
    """

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        self.count = len(frames)
        self.luma = np.median(frames, axis=0).astype(np.float32)
        self._pattern = {False: _unit(self.luma), True: _unit(self.luma[::-1])}

    def correlations(self, luma: np.ndarray) -> tuple[float, float]:
        """Pearson's correlation of a frame (H, W) with the background upright and with it flipped top to bottom.

        Neither light nor contrast changes them. 0 for a frame of one grey.
        """
        pattern = _unit(luma)
        return float(pattern @ self._pattern[False]), float(pattern @ self._pattern[True])

    def shift(self, luma: np.ndarray) -> float:
        """How many grey levels brighter an upright frame (H, W) is than the background: the median over pixels."""
        return float(np.median(luma[::_STEP, ::_STEP] - self.luma[::_STEP, ::_STEP]))


def _unit(luma: np.ndarray) -> np.ndarray:
    centred = luma.astype(np.float32).ravel()
    centred -= centred.mean()
    norm = float(np.sqrt(centred @ centred))
    return centred / norm if norm else centred


def luma(clip: Clip, number: int) -> np.ndarray:
    """The brightness (H, W) uint8 of a clip's frame."""
    return cv2.cvtColor(clip.frame(number), cv2.COLOR_RGB2GRAY)


def noise_level(luma: np.ndarray) -> float:
    """Standard deviation of the noise in an image (H, W) uint8, in grey levels; fine texture counts as noise.

    The mean response to a difference of two Laplacians, which edges and slopes hardly reach. J. Immerkaer, Fast
    noise variance estimation, Computer Vision and Image Understanding 64(2), 1996.
    """
    response = cv2.filter2D(luma, cv2.CV_16S, _LAPLACIANS)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * cv2.norm(response, cv2.NORM_L1) / response.size)


def backgrounds(clips: Sequence[Clip]) -> dict[tuple[int, ...], Background]:
    """The background of training clips for every frame size (H, W) among them, from frames spread over them all."""
    frames = [(clip, int(number)) for clip in clips for number in clip.numbers]
    chosen = [frames[place] for place in np.unique(np.linspace(0, len(frames) - 1, SAMPLED).round().astype(int))]
    by_size: dict[tuple[int, ...], list[np.ndarray]] = {}
    for image in parallel(lambda frame: luma(*frame), chosen):
        by_size.setdefault(image.shape, []).append(image)
    return {size: Background(images) for size, images in by_size.items()}


def measure(image: np.ndarray, background: Background | None) -> tuple[Measurement, np.ndarray]:
    """Measure a frame's luma (H, W) uint8; the second result is the frame as it would be upright.

    Without a background the correlations and the shift are NaN, and the frame passes for upright.
    """
    if background is None:
        return Measurement(np.nan, np.nan, noise_level(image), np.nan), image
    upright, flipped = background.correlations(image)
    righted = np.ascontiguousarray(image[::-1]) if flipped > upright else image
    return Measurement(upright, flipped, noise_level(image), background.shift(righted)), righted


def measure_clip(split: str, clip: Clip, known: dict[tuple[int, ...], Background]) -> pd.DataFrame:
    """Measure every frame of a clip: its key, the fields of `Measurement`, change and gap, rounded to 4 decimals.

    `change` is the mean absolute difference from the frame before, both upright, in grey levels; NaN where there is
    none of that size. `gap` is the step in frame number from the frame before: 1 for neighbours, 0 for the first.
    """

    def look(number: int) -> tuple[Measurement, np.ndarray]:
        image = luma(clip, number)
        return measure(image, known.get(image.shape))

    rows, changes = [], []
    before: np.ndarray | None = None
    for measured, image in parallel(look, clip.numbers.tolist()):
        if before is None or before.shape != image.shape:
            changes.append(np.nan)
        else:
            changes.append(float(cv2.absdiff(image, before).mean()))
        rows.append(measured)
        before = image
    table = pd.DataFrame(rows, columns=Measurement._fields).assign(change=changes).astype(float).round(DECIMALS)
    keys = pd.DataFrame({"split": split, "video": clip.video, "frame": clip.numbers})
    return pd.concat([keys, table.assign(gap=np.diff(clip.numbers, prepend=clip.numbers[:1]))], axis=1)


class Thresholds(NamedTuple):
    """Above this noise a frame is covered with noise, below this change it is frozen; grey levels."""

    noise: float
    change: float


def thresholds(training: pd.DataFrame) -> Thresholds:
    """Where to draw the lines, from the measurements of training frames, which are clean but for a few."""
    return Thresholds(
        round(STATIC_FACTOR * float(training["noise"].quantile(0.99)), DECIMALS),
        round(FROZEN_FACTOR * float(training["change"].median()), DECIMALS),
    )


def decide(measured: pd.DataFrame, lines: Thresholds) -> pd.DataFrame:
    """Measurements with the columns flipped, noisy and frozen beside them, each 0 or 1.

    Flipped: more like the background top to bottom than like the background. A scene that looks the same top to
    bottom can't tell. Frozen: practically the frame before, once more.
    """
    return measured.assign(
        flipped=(measured["corr_flipped"] > measured["corr_upright"]).astype(int),
        noisy=(measured["noise"] > lines.noise).astype(int),
        frozen=(measured["change"] < lines.change).astype(int),
    )


def against_truth(found: pd.DataFrame, truth: pd.DataFrame) -> dict[str, Any]:
    """Precision and recall of what was found, over the frames that both tables (video, frame, flipped, noisy) hold.

    Frames are matched by clip and frame number, clips with or without zero padding. None where nothing was found,
    or nothing is there to be found.
    """
    both = _by_id(found).add_suffix("_found").join(_by_id(truth).add_suffix("_true"), how="inner")
    result: dict[str, Any] = {"frames": len(both)}
    for name in ("flipped", "noisy"):
        said, true = both[f"{name}_found"] == 1, both[f"{name}_true"] == 1
        right = int((said & true).sum())
        result[name] = {
            "found": int(said.sum()),
            "true": int(true.sum()),
            "precision": right / int(said.sum()) if said.any() else None,
            "recall": right / int(true.sum()) if true.any() else None,
        }
    return result


def _by_id(table: pd.DataFrame) -> pd.DataFrame:
    pairs: Iterable[tuple[str, int]] = zip(table["video"].astype(str), table["frame"], strict=True)
    return table[["flipped", "noisy"]].set_axis([tables.frame_id(video, int(frame)) for video, frame in pairs])


def summarise(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """By split, how many frames there are, how many were found flipped, noisy, frozen, and how many are missing."""
    return {
        str(split): {
            "frames": len(rows),
            **{name: int(rows[name].sum()) for name in ("flipped", "noisy", "frozen")},
            "missing": int((rows["gap"] - 1).clip(lower=0).sum()),
        }
        for split, rows in table.groupby("split", sort=False)
    }
