"""Clips: the frames of one video, by number. The one place that reads them.

A clip is stored either as a zip of image files, which keep the bytes they came with, or, resized, as one array
file that is mapped into memory.
"""

import abc
import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH

from vad import VadError
from vad.storage import archives, files, store, tables

JPEG_QUALITY = 95
EPOCH = (1980, 1, 1, 0, 0, 0)
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
"""The decoders that frames may reach: Pillow has others, some of which run programs."""
LARGEST = 64_000_000
"""Pixels of a frame: twice what 8K video has. More is a damaged header, or meant to fill the memory."""
SMALLEST = 16
"""Pixels of a frame's side: what is measured of noise and motion looks at a neighbourhood of 12."""
LAST = 2**53
"""The largest frame number: JSON and spreadsheets can't tell larger integers apart."""
Image.MAX_IMAGE_PIXELS = None  # LARGEST is checked instead
warnings.filterwarnings("ignore", module="PIL")  # of what `decode` either mends or refuses
IMPUTED = b"imputed"
INDEX = "index.csv"


@dataclass(frozen=True)
class Clip(abc.ABC):
    """The frames of one video: `numbers` (T,) int64, ascending, and the images behind them."""

    video: str
    numbers: np.ndarray
    path: Path

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.frame(int(number)) for number in self.numbers)

    def digest(self) -> str:
        """A hash of all that its frames depend on, in 32 hex digits."""
        return store.digest(store.digest_of_file(self.path), self.numbers.tolist())

    @abc.abstractmethod
    def frame(self, number: int) -> np.ndarray:
        """The frame with that number, (H, W, 3) uint8 RGB. Raises VadError when it is absent or damaged."""

    def image(self, number: int, at_least: int | None = None) -> Image.Image:
        """The frame as an image, RGB; where that is faster, reduced to no less than `at_least` pixels a side."""
        return Image.fromarray(self.frame(number))


@dataclass(frozen=True)
class ZippedClip(Clip):
    """A clip stored as a zip of image files."""

    names: dict[int, str]
    archive: zipfile.ZipFile

    def __enter__(self) -> "ZippedClip":
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def imputed(self) -> np.ndarray:
        """Whether each frame (T,) has the content of another because its own was bad."""
        return np.array([self.archive.getinfo(self.names[n]).comment == IMPUTED for n in self.numbers.tolist()], bool)

    def image(self, number: int, at_least: int | None = None) -> Image.Image:
        where = f"{self.path}: frame {number}"
        try:
            data = self.archive.read(self.names[number])
        except KeyError:
            raise VadError(f"{where} is not in the clip") from None
        except archives.UNREADABLE as error:
            raise VadError(f"{where} is damaged ({error}); delete the file and run `dvc repro extract`") from None
        return decode(data, where, at_least)

    def frame(self, number: int) -> np.ndarray:
        return np.asarray(self.image(number))


@dataclass(frozen=True)
class MappedClip(Clip):
    """A clip stored as an array (T, H, W, 3) uint8, mapped into memory read-only."""

    array: np.ndarray

    def frame(self, number: int) -> np.ndarray:
        position = int(np.searchsorted(self.numbers, number))
        if position == len(self.numbers) or self.numbers[position] != number:
            raise VadError(f"{self.path}: frame {number} is not in the clip")
        return self.array[position]


def decode(data: bytes, where: str, at_least: int | None = None) -> Image.Image:
    """An image file's content -> RGB image; grayscale, palette and opaque alpha are converted.

    A JPEG is decoded to a half, a quarter or an eighth of its size as long as no side falls below `at_least` pixels.
    Raises VadError, which starts with `where`, when it can't be decoded, is too small, or is ambiguous as 8-bit RGB:
    several images in one file, 16 bits a channel, CMYK, transparency.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        for width, height in _stated(image):
            if width * height > LARGEST:
                raise VadError(f"{where} claims {width}x{height} pixels")
        pictures = getattr(image, "n_frames", 1)
        # Pillow keeps the upper 8 bits of colour and tells it only here.
        deep = any(";16" in str(tile) or _largest(tile) > 255 for tile in image.tile) or image.mode[0] in "IF"
        size = image.size
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()
    except VadError:
        raise
    except Exception as error:  # any error that damaged bytes cause in a decoder
        reason = str(error) if "BytesIO" not in str(error) else f"no image in its {len(data)} bytes"
        raise VadError(f"{where} can't be decoded: {' '.join(reason.split()) or type(error).__name__}") from None
    # Some cameras' JPEG files hold a preview too: by the standard (MPO) the first picture is the photograph.
    if pictures > 1 and image.format != "MPO":
        raise VadError(f"{where} is a file of {pictures} images")
    if deep:
        raise VadError(f"{where} has more than 8 bits a channel")
    if image.mode in ("CMYK", "LAB"):
        raise VadError(f"{where} is {image.mode}, not RGB")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise VadError(f"{where} is transparent in part")
    if min(size) < SMALLEST:
        raise VadError(f"{where} is {size[0]}x{size[1]}, smaller than {SMALLEST}x{SMALLEST}")
    return image if image.mode == "RGB" else image.convert("RGB")


def _stated(image: Image.Image) -> list[tuple[int, int]]:
    """The sizes (width, height) for which a decoder makes room: the image's, and that of a TIFF's tiles."""
    tags = getattr(image, "tag_v2", {})
    return [image.size, (tags.get(TILEWIDTH, 0), tags.get(TILELENGTH, 0))]


def _largest(tile: Any) -> int:
    """The largest value of a pixel, where the file states it, as a PPM does; else 0."""
    value = tile.args[-1] if tile.codec_name.startswith("ppm") else 0
    return value if isinstance(value, int) else 0


def encode(image: np.ndarray) -> tuple[bytes, str]:
    """An image (H, W, 3) uint8 RGB -> JPEG file content and its suffix."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue(), ".jpg"


class StoredFrame(NamedTuple):
    """A frame as a clip stores it: its number, the content of its image file and the suffix.

    An imputed one has the content of another frame.
    """

    number: int
    data: bytes
    suffix: str
    imputed: bool = False


def write_zip(path: Path, frames: Iterable[tuple[int, bytes, str] | StoredFrame], digest: str) -> None:
    """Store frames (number, image file content, suffix) as a clip; the same frames give the same bytes.

    Stored, not deflated: images are compressed already. The zip's CRC guards each of them. `digest` is kept as the
    archive's comment, to tell later what it was made of.
    """
    with files.replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = digest.encode()
        for frame in (StoredFrame(*frame) for frame in frames):
            entry = zipfile.ZipInfo(f"frame_{frame.number:05d}{frame.suffix}", EPOCH)
            entry.comment = IMPUTED if frame.imputed else b""
            archive.writestr(entry, frame.data)


def read_digest(path: Path) -> str | None:
    """The digest that `write_zip` left in a clip; None when the file is absent or no zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode()
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError):
        return None


def open_zip(path: Path) -> ZippedClip:
    """Open a clip that `write_zip` stored. Raises VadError when it is damaged."""
    try:
        archive = archives.opened(path)
    except archives.UNREADABLE as error:
        raise VadError(f"{path}: not a readable clip ({error}); delete it and run `dvc repro extract`") from None
    names = {frame_number(name): name for name in archive.namelist()}
    return ZippedClip(path.stem, np.array(sorted(names), np.int64), path, names, archive)


def folder_of(frames: Path, validation: Path, split: str) -> Path:
    """Where the zipped clips of a split lie: in `frames`, those of validation in `validation`."""
    return validation / "clips" if split == "validation" else frames / split


def open_zips(folder: Path) -> list[ZippedClip]:
    """Every zipped clip in a folder, in the order of their names."""
    return [open_zip(path) for path in sorted(folder.glob("*.zip"))]


def open_resized(folder: Path, split: str) -> list[MappedClip]:
    """Every resized clip of a split, in the order of their names: the INDEX there says which frames they hold.

    Raises VadError for a missing or damaged file.
    """
    index = tables.read_csv(folder / split / INDEX, tables.KEYS)
    clips = []
    for video, rows in index.groupby("video", sort=True):
        path = folder / split / f"{video}.npy"
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise VadError(f"{path}: not a whole array ({error}); run `dvc repro -f resize`") from None
        if len(array) != len(rows):
            raise VadError(f"{path}: {len(array)} frames where the index has {len(rows)}; run `dvc repro -f resize`")
        clips.append(MappedClip(str(video), rows["frame"].to_numpy(np.int64), path, array))
    return clips


def frame_number(name: str) -> int:
    """The frame number that a file name carries: the last run of digits in it.

    Raises VadError when there is none, or it is too large.
    """
    digits = re.findall(r"\d+", Path(name).stem)
    if not digits:
        raise VadError(f"{name}: no frame number in the file name; name frames like frame_00012.jpg")
    # The digits first: Python converts no more than a few thousand.
    if len(digits[-1]) > 1000 or int(digits[-1]) > LAST:
        raise VadError(f"{name}: the frame number is above {LAST}; name frames like frame_00012.jpg")
    return int(digits[-1])


def keys(split: str, clips: Iterable[Clip]) -> pd.DataFrame:
    """The (split, video, frame) rows of clips, in order."""
    rows = [pd.DataFrame({"split": split, "video": clip.video, "frame": clip.numbers}) for clip in clips]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=tables.KEYS)
