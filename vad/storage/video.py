"""Films: pictures in a row as a file that any browser, phone and desktop player plays."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace

from vad import VadError
from vad.storage import files

BT709 = 1
"""The code of ITU-R BT.709 for primaries, transfer and matrix. Unless told, players guess by the height of the film."""
OPTIONS = {
    "preset": "veryfast",
    "crf": "22",
    "g": "24",  # a key frame every so many: a slider finds any frame at once
    "bf": "0",  # without frames that look ahead, time starts at 0 in every player
}


def write(path: Path, pictures: Iterable[np.ndarray], rate: int, comment: str = "") -> int:
    """Write pictures (H, W, 3) uint8 RGB, all of one size, as an MP4, whole or not at all; returns how many they were.

    H.264 in 4:2:0, `rate` pictures a second, the index in front so that a web page plays it while it loads. 4:2:0 takes
    even sizes: an odd one gets one more row or column, a copy of the last. `comment` is kept in the file. Raises
    VadError when there is no picture, or the disk is full.
    """
    remaining = iter(pictures)
    first = next(remaining, None)
    if first is None:
        raise VadError(f"{path}: a film of no pictures")
    height, width = (side + side % 2 for side in first.shape[:2])
    count = 0
    with files.replacing(path) as temporary, av.open(temporary, "w", options={"movflags": "+faststart"}) as film:
        film.metadata["comment"] = comment
        stream = film.add_stream("libx264", rate=rate, width=width, height=height, pix_fmt="yuv420p", options=OPTIONS)
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        for picture in chain([first], remaining):
            film.mux(stream.encode(_frame(picture, count, rate)))
            count += 1
        film.mux(stream.encode())
    return count


def _frame(picture: np.ndarray, place: int, rate: int) -> av.VideoFrame:
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), "rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
    frame.pts, frame.duration, frame.time_base = place, 1, Fraction(1, rate)
    return frame


def read_comment(path: Path) -> str | None:
    """The comment that `write` left in a film; None when the file is absent or no film."""
    try:
        with av.open(path) as film:
            return film.metadata.get("comment", "")
    except (FFmpegError, OSError):
        return None
