"""Pictures for the report, as text that a page holds: thumbnails of the clips, and reconstructions of some frames."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from reports import reconstructions
from vad.data.clips import Clip
from vad.models.autoencoder import Autoencoder
from vad.storage.progress import over_clips

MOST = 2500
"""Thumbnails of a page, about: at 12,000 frames every fifth. Of pure noise, which compresses worst, that is 16 MB."""
SIDE, QUALITY = 112, 60
LARGE, FINE = 192, 85


def thumbnails(clips: Sequence[Clip]) -> list[list[tuple[int, str]]]:
    """By clip the (frame number, JPEG in base64) of every n-th frame, starting with the first; about MOST of them."""
    step = max(1, math.ceil(sum(map(len, clips)) / MOST))
    return [
        [(int(number), jpeg(clip.frame(int(number)), SIDE, QUALITY)) for number in clip.numbers[::step]]
        for clip in over_clips(clips, "making thumbnails")
    ]


def jpeg(image: np.ndarray, side: int, quality: int) -> str:
    """An image (H, W, 3) uint8, no larger than `side`, as a JPEG in base64."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def explain(model: Autoencoder | None, frame: np.ndarray) -> dict[str, Any]:
    """A frame (H, W, 3) uint8 -> `input`, `reconstruction`, `error` as JPEGs in base64; `mean_error`, 0..1.

    Without a model `input` alone.
    """
    if model is None:
        return {"input": jpeg(frame, LARGE, FINE)}
    image, rebuilt, error = reconstructions.rebuild(model, frame)
    pictures = {"input": image, "reconstruction": rebuilt, "error": coloured(error / reconstructions.BRIGHTEST)}
    return {
        **{name: jpeg((picture * 255).round().astype(np.uint8), LARGE, FINE) for name, picture in pictures.items()},
        "mean_error": float(error.mean()),
    }


def heat(cells: np.ndarray, highest: float) -> str:
    """A map (h, w) -> a JPEG in base64, large enough to look at, dark at 0 and bright at `highest`."""
    side = max(1, LARGE // max(cells.shape))
    colours = (coloured(cells / (highest or 1)) * 255).round().astype(np.uint8)
    return jpeg(colours.repeat(side, 0).repeat(side, 1), LARGE, FINE)


def coloured(values: np.ndarray) -> np.ndarray:
    """Values (h, w), of which 0 to 1 matter -> (h, w, 3) in [0, 1]."""
    return matplotlib.colormaps["magma"](np.clip(values, 0, 1))[..., :3]
