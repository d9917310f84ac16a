"""JPEG compression of validation and test frames on purpose, to see whether it looks anomalous."""

import io
import zlib

from PIL import Image

from vad.params import Stress


def jpeg_quality(video: str, number: int, params: Stress) -> int | None:
    """The JPEG quality at which a frame is saved again; None where it is not.

    A hash of clip and frame number chooses the frames, never the label.
    """
    chosen = zlib.crc32(f"{video}/{number}".encode()) < params.share * 2**32
    return params.jpeg_quality if chosen else None


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """An RGB image saved as a JPEG of `quality` (1..100) and read again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
