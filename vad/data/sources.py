"""Where clips come from: what lies in a folder, and a hash of it. Nothing is decoded here."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vad import VadError
from vad.data.clips import frame_number
from vad.data.inventory import IMAGES, PICTURES, VIDEOS, quiet
from vad.storage import files, tables

TRAINING = "training", "training_videos"
TESTING = "testing", "testing_videos"
MASKS = "testing_label_mask"
DEPTH = 6
"""So many levels of folders are searched: the competition's archive has its clips in the third."""
SPAN = 10_000_000
"""Frame numbers that a clip may span: 4 days of 25 frames a second. Timelines are drawn over all of them."""


@dataclass(frozen=True)
class Source:
    """One clip as it was found: a video file, or a folder of images whose names carry the frame numbers.

    `images` maps frame numbers, ascending, to file names in `path`; it is None for a video. `digest` is a hash of
    every byte of the clip and of its frame numbers, `contents` are those of its files: see `content`.
    """

    video: str
    path: Path
    images: dict[int, str] | None
    digest: str = ""
    contents: tuple[int, ...] = ()

    def file(self, number: int) -> Path:
        """The file that holds the frame with that number."""
        return self.path if self.images is None else self.path / self.images[number]


class Digest(NamedTuple):
    """A clip's hash, 32 hex digits, and for each of its files 8 bytes of its hash: `content`."""

    clip: str
    files: np.ndarray


def shallowest(root: Path, wanted: Callable[[Path], bool]) -> Path | None:
    """The folder in or below `root` that is wanted and lies highest; None without one. Raises VadError for two."""
    level = [root]
    for _ in range(DEPTH):
        found = [folder for folder in level if wanted(folder)]
        if len(found) > 1:
            raise VadError(f"{found[0]} and {found[1]}: both have what is looked for; name one of them in data.root")
        if found:
            return found[0]
        level = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir() and not quiet(path)]
    return None


def find_dataset(root: Path) -> Path | None:
    """The folder in or below `root` that holds training and testing clips; None without one."""
    return shallowest(root, lambda folder: bool(_split(folder, TRAINING) and _split(folder, TESTING)))


def find_split(root: Path, names: Sequence[str]) -> Path:
    """The first of the folders `names` in `root`. Raises VadError when there is none."""
    if found := _split(root, names):
        return found
    if any((root / name).is_dir() for name in ("training_vol", "testing_vol")):
        raise VadError(f"{root}: the grayscale volumes (training_vol, testing_vol) are not read; add the videos")
    raise VadError(
        f"{root}: no folder {' or '.join(names)} in it; data.root must name what holds training and test clips"
    )


def _split(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def find_clips(folder: Path) -> list[Source]:
    """The clips in a folder, by name: video files, and folders of images. A `frames` level between is passed over.

    Raises VadError for an empty folder, an empty clip, a file name without a number, a frame number or a clip name
    that occurs twice, and for pictures that are not read.
    """
    folder = place_of_clips(folder)
    clips: dict[str, Source] = {}
    for path in sorted(folder.iterdir()):
        if quiet(path):
            continue
        if path.is_dir():
            clip = Source(path.name, path, _numbered_images(path))
        elif path.suffix.lower() in VIDEOS:
            clip = Source(path.stem, path, None)
        elif path.suffix.lower() in PICTURES:
            raise VadError(f"{path}: not read where clips lie; make it a video or a folder of images, or remove it")
        else:
            continue
        # Clips 1 and 01 would share the Ids of their frames.
        identity = tables.frame_id(clip.video, 0)
        if identity in clips:
            raise VadError(f"{path}: clip {clip.video} is also {clips[identity].path}; rename or remove one")
        clips[identity] = clip
    if not clips:
        raise VadError(f"{folder}: no clips; put video files or folders of numbered images there")
    return list(clips.values())


def place_of_clips(split: Path) -> Path:
    """Where the clips of a split lie: in its folder, or in the folder `frames` there."""
    return split / "frames" if (split / "frames").is_dir() else split


def _numbered_images(folder: Path) -> dict[int, str]:
    images: dict[int, str] = {}
    for path in sorted(folder.iterdir()):
        if quiet(path) or path.is_dir() or path.suffix.lower() not in PICTURES:
            continue
        if path.suffix.lower() not in IMAGES:
            raise VadError(f"{path}: not read where frames lie; make it PNG or JPEG images, or move it out of the clip")
        try:
            number = frame_number(path.name)
        except VadError as error:
            raise VadError(f"{folder}: {error}") from None
        if number in images:
            raise VadError(f"{folder}: frame {number} occurs twice, as {images[number]} and {path.name}; remove one")
        images[number] = path.name
    if not images:
        raise VadError(f"{folder}: a clip without a frame; put images there or remove the folder")
    if max(images) - min(images) > SPAN:
        raise VadError(f"{folder}: frames {min(images)} to {max(images)}; number them one by one, not by time")
    return dict(sorted(images.items()))


def digest(clip: Source) -> Digest:
    """Hashes of a clip's content and frame numbers. Raises VadError for an unreadable file."""
    state = hashlib.blake2b(digest_size=16)
    contents = []
    for number, name in (clip.images or {0: ""}).items():
        path = clip.path / name
        try:
            with open(path, "rb") as handle:
                found = hashlib.file_digest(handle, _hash).digest()
        except OSError as error:
            raise VadError(f"{path}: can't be read ({error.strerror}); mend it or its permissions") from None
        state.update(f"{number}{Path(name).suffix}".encode() + found)
        contents.append(_content(found))
    return Digest(state.hexdigest(), np.array(contents, np.uint64))


def _hash(data: bytes = b"") -> Any:
    return hashlib.blake2b(data, digest_size=16)


def _content(found: bytes) -> int:
    # Empty files are faults, not the same frame.
    return 0 if found == _hash().digest() else int.from_bytes(found[:8])


def content(data: bytes) -> int:
    """8 bytes of the hash of a file's content; 0 for an empty file."""
    return _content(_hash(data).digest())


def frame_contents(clip: Source, numbers: np.ndarray) -> np.ndarray:
    """A hash of each of a clip's frames (T,) uint64; 0 where it is unknown, or the file empty."""
    if not clip.contents:
        return np.zeros(len(numbers), np.uint64)
    found = np.array(clip.contents, np.uint64)
    # The frames of a video have a file in common; the sum wraps around.
    return found if clip.images else found + numbers.astype(np.uint64)


def refuse_shared(training: list[tuple[Source, np.ndarray]], testing: list[tuple[Source, np.ndarray]]) -> None:
    """Raise VadError when a file of a training clip and one of a test clip have the same content.

    Each clip comes with `Digest.files`. Scores of frames that were trained on say nothing about others.
    """
    trained, tested = (np.concatenate([hashes for _, hashes in clips]) for clips in (training, testing))
    shared = np.intersect1d(trained, tested)
    shared = shared[shared != 0]
    if not len(shared):
        return
    first = tested[np.isin(tested, shared)][0]
    paths = [_holder(clips, first) for clips in (training, testing)]
    more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
    raise VadError(f"{paths[0]} and {paths[1]}{more}: the same content in training and test; remove one")


def _holder(clips: list[tuple[Source, np.ndarray]], content: np.uint64) -> Path:
    clip, place = next((clip, int(np.flatnonzero(hashes == content)[0])) for clip, hashes in clips if content in hashes)
    return clip.file(list(clip.images)[place] if clip.images else 0)


def used(clips: Sequence[Source]) -> set[Path]:
    """The files that clips are made of."""
    return {clip.path / name for clip in clips for name in (clip.images or {0: ""}).values()}


def write_manifest(path: Path, splits: dict[str, list[Source]]) -> None:
    """Write down which clips each split has, where they lie and what they hold."""
    plain = {split: [_plain(clip) for clip in clips] for split, clips in splits.items()}
    files.write_text(path, json.dumps(plain, separators=(",", ":")) + "\n")


def _plain(clip: Source) -> dict[str, Any]:
    # The numbers follow from the names.
    return asdict(clip) | {"path": str(clip.path), "images": clip.images and list(clip.images.values())}


def read_manifest(path: Path) -> dict[str, list[Source]]:
    """What `write_manifest` wrote down: training or testing -> clips."""
    splits = json.loads(path.read_text(encoding="utf-8"))
    return {split: [_source(entry) for entry in clips] for split, clips in splits.items()}


def _source(entry: dict[str, Any]) -> Source:
    images = entry["images"] and {frame_number(name): name for name in entry["images"]}
    return Source(entry["video"], Path(entry["path"]), images, entry["digest"], tuple(entry["contents"]))
