"""What was done to a frame, found from its pixels at full size: flipped? noisy? frozen? frames missing before it?

Found, not repaired: repairing is a choice. The clips of a data set share one fixed camera, so the median training
frame is what an upright frame looks like, and the training frames' own noise is what a clean frame has. What training
frames show is never taken for damage, and in doubt a frame is upright: a repair must not spoil a sound one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from vad.data.clips import Clip
from vad.data.sampling import evenly_spaced
from vad.quality import contrast
from vad.storage import tables
from vad.storage.progress import parallel

SAMPLED = 64
"""Training frames that the background is the median of."""
USUAL = 5
"""What so many training frames show is usual, however many there are: nights may be few, bad frames are fewer."""
NOISE_FACTOR = 1.5
"""Noisy: noisier than this times what is usual in training. Other light alone gives up to 1.25."""
FLIP_SHARE = 0.5
"""Flipped: more than this share of the margin that training frames would have, were they flipped."""
FLIP_MARGIN = 0.1
"""Flipped: this much over the margin that is usual in training, or over 0."""
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
        self._contrast = contrast.local_contrast(self.luma)
        self._level = _level(self.luma)

    def correlations(self, luma: np.ndarray) -> tuple[float, float]:
        """How well the local contrast of a frame (H, W) agrees with the background's, as it is and turned; about -1..1.

        Neither light nor exposure changes them much. Both are near 0 in the dark, behind a large object and before a
        bare wall.
        """
        return contrast.agreement(contrast.local_contrast(luma), self._contrast)

    def shift(self, luma: np.ndarray) -> float:
        """How many grey levels brighter a frame (H, W) is than the background, either way up: medians over pixels."""
        return _level(luma) - self._level


def _level(luma: np.ndarray) -> float:
    return float(np.median(luma[::_STEP, ::_STEP]))


def luma(clip: Clip, number: int) -> np.ndarray:
    """The brightness (H, W) uint8 of a clip's frame."""
    return cv2.cvtColor(np.ascontiguousarray(clip.frame(number)), cv2.COLOR_RGB2GRAY)


def noise_level(luma: np.ndarray) -> float:
    """Standard deviation of the noise in an image (H, W) uint8, in grey levels; fine texture counts as noise.

    The mean response to a difference of two Laplacians, which edges and slopes hardly reach. J. Immerkaer, Fast
    noise variance estimation, Computer Vision and Image Understanding 64(2), 1996.
    """
    response = cv2.filter2D(luma, cv2.CV_16S, _LAPLACIANS)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * cv2.norm(response, cv2.NORM_L1) / response.size)


def backgrounds(clips: Sequence[Clip]) -> dict[tuple[int, ...], Background]:
    """Frame size (H, W) -> the background of training clips of that size, from frames spread over all clips."""
    frames = [(clip, int(number)) for clip in clips for number in clip.numbers]
    chosen = [frames[place] for place in evenly_spaced(len(frames), SAMPLED)]
    by_size: dict[tuple[int, ...], list[np.ndarray]] = {}
    for image in parallel(lambda frame: luma(*frame), chosen):
        by_size.setdefault(image.shape, []).append(image)
    return {size: Background(images) for size, images in by_size.items()}


def measure(image: np.ndarray, background: Background | None) -> Measurement:
    """Measure a frame's luma (H, W) uint8. Without a background the correlations and the shift are NaN."""
    if background is None:
        return Measurement(np.nan, np.nan, noise_level(image), np.nan)
    return Measurement(*background.correlations(image), noise_level(image), background.shift(image))


def change(image: np.ndarray, before: np.ndarray) -> float:
    """Mean absolute difference of two images (H, W) uint8, in grey levels, turned as they agree better."""
    return min(float(cv2.absdiff(turned, before).mean()) for turned in (image, cv2.flip(image, 0)))


def measure_clip(split: str, clip: Clip, known: dict[tuple[int, ...], Background]) -> pd.DataFrame:
    """Measure every frame of a clip: its key, the fields of `Measurement`, change and gap, rounded to 4 decimals.

    `change` is that from the frame before; NaN where there is none of that size. `gap` is the step in frame number
    from the frame before: 1 for neighbours, 0 for the first.
    """

    def look(number: int) -> tuple[Measurement, np.ndarray]:
        image = luma(clip, number)
        return measure(image, known.get(image.shape)), image

    rows, changes = [], []
    before: np.ndarray | None = None
    for measured, image in parallel(look, clip.numbers.tolist()):
        if before is None or before.shape != image.shape:
            changes.append(np.nan)
        else:
            changes.append(change(image, before))
        rows.append(measured)
        before = image
    table = pd.DataFrame(rows, columns=Measurement._fields).assign(change=changes).astype(float).round(DECIMALS)
    keys = pd.DataFrame({"split": split, "video": clip.video, "frame": clip.numbers})
    return pd.concat([keys, table.assign(gap=np.diff(clip.numbers, prepend=clip.numbers[:1]))], axis=1)


class Thresholds(NamedTuple):
    """Above this noise a frame is noisy, below this change it is frozen, above this margin it is flipped.

    Noise and change in grey levels, the margin as `flip_margin` has it.
    """

    noise: float
    change: float
    flip: float


def thresholds(training: pd.DataFrame) -> Thresholds:
    """Where to draw the lines, from the measurements of training frames, which are clean but for a few.

    A frame is flipped when its `flip_margin` is over
    - half of what a typical training frame would have, were it flipped: upright frames lie on the other side of 0, or
      near it when they show little of the scene, so half way is far from both;
    - and FLIP_MARGIN over what is usual in training: whatever makes training frames look flipped, a light, a camera
      that moves, a scene that looks the same top to bottom, makes other upright frames look so, and noise adds to it.
    """
    upright, flipped = training["corr_upright"], training["corr_flipped"]
    typical = float(flip_margin(flipped, upright).median())
    return Thresholds(
        round(NOISE_FACTOR * _usual(training["noise"]), DECIMALS),
        round(FROZEN_FACTOR * float(training["change"].median()), DECIMALS),
        round(max(FLIP_SHARE * typical, FLIP_MARGIN + max(0.0, _usual(flip_margin(upright, flipped)))), DECIMALS),
    )


def flip_margin(upright: pd.Series, flipped: pd.Series) -> pd.Series:
    """How much better frames agree with the background once flipped, by the `correlations` of them; about -1..1.

    Upright a frame may disagree with the background, as one taken by other light does: that makes it no more flipped
    than one that has nothing to do with it, which gives 0.
    """
    return flipped - upright.clip(lower=0)


def _usual(values: pd.Series) -> float:
    """The highest value that is usual in training: that 1 % of frames exceed, or the fifth highest if that is more."""
    return max(float(values.quantile(0.99)), float(values.nlargest(USUAL).min()))


def decide(measured: pd.DataFrame, lines: Thresholds) -> pd.DataFrame:
    """Measurements with the columns flip_margin, flipped, noisy and frozen beside them, the last three 0 or 1.

    Flipped: so much more like the background once flipped that it can't be doubted. In a scene that looks the same
    top to bottom, before a bare wall and in the dark nothing is. Frozen: practically the frame before, once more.
    """
    margin = flip_margin(measured["corr_upright"], measured["corr_flipped"]).round(DECIMALS)
    return measured.assign(
        flip_margin=margin,
        flipped=(margin > lines.flip).astype(int),
        noisy=(measured["noise"] > lines.noise).astype(int),
        frozen=(measured["change"] < lines.change).astype(int),
    )


def against_truth(found: pd.DataFrame, truth: pd.DataFrame) -> dict[str, Any]:
    """How well the corruption was found, over the frames that both tables (video, frame, flipped, noisy) hold.

    `frames`: how many these are. `flipped` and `noisy`: for each, how many frames were `found` and how many are
    `true`, and `precision` and `recall`, 0 to 1, None where nothing was found or nothing is there to be found. Frames
    are matched by clip and frame number, clips with or without zero padding.
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
    """Split -> its number of `frames`, how many were found `flipped`, `noisy`, `frozen`, and how many are `missing`."""
    return {
        str(split): {
            "frames": len(rows),
            **{name: int(rows[name].sum()) for name in ("flipped", "noisy", "frozen")},
            "missing": int((rows["gap"] - 1).clip(lower=0).sum()),
        }
        for split, rows in table.groupby("split", sort=False)
    }
