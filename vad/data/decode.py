"""The frames of a clip as it was found: decoded once to see that they are sound, and kept byte for byte."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vad import VadError
from vad.data import clips, sources
from vad.data.clips import StoredFrame
from vad.data.sources import Source

# Only our own message is shown for a bad video: OpenCV reads its log levels when it is imported.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
import cv2

UNCOUNTED = {
    ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".flv", ".asf", ".ogv", ".mxf", ".rm", ".rmvb", ".mjpeg", ".mjpg",
    ".m2v", ".h264", ".264", ".h265", ".265", ".hevc", ".y4m",
}  # fmt: skip
"""Containers that do not state how many frames they hold: what OpenCV tells is an estimate."""
TOLERANCE = 2
"""Sound videos may state this many frames more than they hold."""
GIVE_UP = 100
"""After so many frames in a row that can't be decoded a video has ended, unless more frames were read before."""


class Found(NamedTuple):
    """A frame as found: its number, the content of its image file and the suffix, or what is wrong with it."""

    number: int
    data: bytes
    suffix: str
    problem: str = ""


def numbers(clip: Source) -> np.ndarray:
    """The frame numbers of a clip (T,) int64, ascending; a video is numbered from 0, and counted by decoding it.

    Raises VadError for a video that can't be decoded.
    """
    if clip.images is not None:
        return np.array(list(clip.images), np.int64)
    return np.array([number for number, _ in _grabbed(clip.path, _open(clip.path))], np.int64)


def frames(clip: Source, wanted: Collection[int] | None = None, impute: bool = False) -> Iterator[StoredFrame]:
    """The frames of a clip, or those with the `wanted` numbers, ascending.

    Images pass byte for byte. A video is numbered from 0 and encoded, once, as JPEG of quality 95. A bad frame
    raises VadError, which names it; with `impute` it gets the bytes of the nearest good frame in time among those
    that are wanted. Raises VadError, too, when none of them is good, and for a file that is not what `contents` says.
    """
    found = _video_frames(clip) if clip.images is None else _images(clip, wanted)
    chosen = (frame for frame in found if wanted is None or frame.number in wanted)
    return _imputed(clip, chosen) if impute else _refused(clip, chosen)


def _refused(clip: Source, found: Iterable[Found]) -> Iterator[StoredFrame]:
    for frame in found:
        if frame.problem:
            replace = "replace the video" if clip.images is None else "replace it by an 8-bit RGB image"
            remedy = f"{replace}, or set data.on_bad_frame: impute"
            raise VadError(f"{clip.file(frame.number)}: frame {frame.number} {frame.problem}; {remedy}")
        yield StoredFrame(frame.number, frame.data, frame.suffix)


def _imputed(clip: Source, found: Iterable[Found]) -> Iterator[StoredFrame]:
    before: StoredFrame | None = None
    bad: list[int] = []
    problem = ""
    for frame in found:
        if frame.problem:
            bad.append(frame.number)
            problem = problem or f"frame {frame.number} {frame.problem}"
            continue
        good = StoredFrame(frame.number, frame.data, frame.suffix)
        for number in bad:
            # Of two that are equally near, the earlier: it is what a viewer would still see.
            later = before is None or good.number - number < number - before.number
            yield (good if later or before is None else before)._replace(number=number, imputed=True)
        yield good
        before, bad = good, []
    if before is None:
        raise VadError(f"{clip.path}: no frame to impute from: {problem}, and so on; replace or remove the clip")
    for number in bad:
        yield before._replace(number=number, imputed=True)


def _images(clip: Source, wanted: Collection[int] | None) -> Iterator[Found]:
    usual = _usual_size(clip)
    known = dict(zip(clip.images or (), clip.contents, strict=False))
    for number in clip.images or ():
        if wanted is not None and number not in wanted:
            continue
        path = clip.file(number)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise VadError(f"{path}: can't be read ({error.strerror}); mend it or its permissions") from None
        _refuse_changed(path, known.get(number), sources.content(data))
        yield Found(number, data, path.suffix.lower(), _problem(data, usual))


def _refuse_changed(path: Path, known: int | None, found: int) -> None:
    """Raise VadError when a file has another content than what is known of it, if anything is."""
    if known not in (None, found):
        raise VadError(f"{path}: changed since the clips were fetched; run `dvc repro` again")


def _problem(data: bytes, usual: tuple[int, int]) -> str:
    """What is wrong with the content of an image file, to follow the words "frame 7"; nothing for a sound one."""
    if not data:
        return "is empty (0 bytes)"
    try:
        image = clips.decode(data, "")
    except VadError as error:
        return str(error).strip()
    return "" if image.size == usual else _odd_size(image.size, usual)


def _usual_size(clip: Source) -> tuple[int, int]:
    """The size (width, height) that most frames of a clip of images have; (0, 0) when none has any."""
    sizes = Counter(size for number in clip.images or () if (size := _size(clip.file(number))))
    return sizes.most_common(1)[0][0] if sizes else (0, 0)


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path, formats=clips.FORMATS) as image:
            return image.size
    except Exception:  # any error that a damaged header causes; it is reported when the frame itself is read
        return None


def _open(path: Path) -> cv2.VideoCapture:
    """A video, of which nothing is decoded yet. Raises VadError for frames that are too large, or too small."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    width, height = (round(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > clips.LARGEST:
        raise VadError(
            f"{path}: its frames are {width}x{height} pixels, more than {clips.LARGEST / 1e6:g} million; "
            "make it smaller or remove it"
        )
    if 0 < min(width, height) < clips.SMALLEST:
        least = f"{clips.SMALLEST}x{clips.SMALLEST}"
        raise VadError(f"{path}: its frames are {width}x{height} pixels, smaller than {least}; remove it")
    return capture


def _grabbed(path: Path, capture: cv2.VideoCapture) -> Iterator[tuple[int, str]]:
    """Go through a video: (frame number, what is wrong with it), nothing for a frame that was decoded.

    After a frame that can't be decoded a video goes on with the next one. Raises VadError when there is none, or
    more frames are lost than not.
    """
    stated = 0 if path.suffix.lower() in UNCOUNTED else round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    number, good = 0, 0
    lost: list[int] = []
    while not lost or (number < stated and len(lost) <= max(good, GIVE_UP)):
        if capture.grab():
            yield from ((missing, "can't be decoded") for missing in lost)
            yield number, ""
            good, lost = good + 1, []
        else:
            lost.append(number)
        number += 1
    if not good:
        raise VadError(f"{path}: no frame can be decoded; re-encode the video (H.264 or MJPEG) or remove it")
    end = lost[0]
    if stated - end <= TOLERANCE:
        stated = end
    if stated > 2 * good:
        raise VadError(f"{path}: only {good} of its {stated} frames can be decoded; replace it")
    yield from (
        (missing, f"is missing: the video ends after {end} of its {stated} frames") for missing in range(end, stated)
    )


def _video_frames(clip: Source) -> Iterator[Found]:
    if clip.contents:
        _refuse_changed(clip.path, clip.contents[0], int(sources.digest(clip).files[0]))
    capture = _open(clip.path)
    usual: tuple[int, int] | None = None
    try:
        for number, problem in _grabbed(clip.path, capture):
            decoded, image = (False, np.empty((0, 0))) if problem else capture.retrieve()
            size = image.shape[1], image.shape[0]
            if not decoded:
                yield Found(number, b"", "", problem or "can't be decoded")
            elif size != (usual := usual or size):
                yield Found(number, b"", "", _odd_size(size, usual))
            else:
                yield Found(number, *clips.encode(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
    finally:
        capture.release()


def _odd_size(size: tuple[int, int], usual: tuple[int, int]) -> str:
    return f"is {size[0]}x{size[1]} where the clip is {usual[0]}x{usual[1]}"
