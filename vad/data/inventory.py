"""What lies in a folder of clips, file by file, so that no file is ignored silently."""

import json
import os
import shlex
import stat
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vad import VadError
from vad.storage import files

IMAGES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"}
VIDEOS = {
    ".avi", ".mp4", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2",
    ".ts", ".mts", ".m2ts", ".vob", ".ogv", ".divx", ".mxf", ".rm", ".rmvb", ".mjpeg", ".mjpg", ".m2v", ".h264", ".264",
    ".h265", ".265", ".hevc", ".y4m",
}  # fmt: skip
PICTURES = IMAGES | VIDEOS | {
    ".gif", ".apng", ".jp2", ".j2k", ".jxl", ".heic", ".heif", ".avif", ".exr", ".hdr", ".pfm", ".pam", ".dng", ".raw",
    ".cr2", ".nef", ".arw", ".tga", ".pcx", ".psd", ".svg", ".swf", ".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".xz",
}  # fmt: skip
"""Of files that may hold footage: among clips and frames they are read or refused, never ignored."""
UNFINISHED = {
    ".part", ".partial", ".crdownload", ".download", ".opdownload", ".filepart", ".aria2", ".!ut", ".!qb", ".tmp",
}  # fmt: skip
"""How programs name unfinished downloads."""
LITTER = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin", "lost+found",
    "system volume information",
}  # fmt: skip
"""What systems leave in folders, in lower case."""
DOCUMENTS = "readme", "license", "licence", "citation"
LABELS = {"labels.csv", "corruption.csv", "sample_submission.csv"}
MASK = "_label.mat"
SHOWN = 3

Listing = dict[Path, tuple[int, int]]
"""Files by path, each with its size in bytes and when it was last changed, in nanoseconds."""


class Ignored(NamedTuple):
    """Files that are not used, all for one reason: how many, and the first of them by name."""

    files: int
    first: str

    @classmethod
    def of(cls, names: Sequence[str]) -> "Ignored":
        """From the names of all."""
        return cls(len(names), ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN))


def quiet(path: Path) -> bool:
    """Whether a file or folder is ignored silently: it is hidden, or an operating system left it there."""
    return path.name.startswith(".") or path.name.lower() in LITTER


def refuse_pipes(root: Path) -> None:
    """Raise VadError for a pipe, a device or a link to nothing in a folder, hidden ones too: DVC would wait or fail."""
    waiting = [root]
    while waiting:
        path = waiting.pop()
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            raise VadError(f"{path}: a link to nothing; mend or remove it") from None
        if stat.S_ISDIR(mode):
            if path == root or not path.is_symlink():
                waiting += [Path(entry.path) for entry in os.scandir(path)]
        elif not stat.S_ISREG(mode):
            raise VadError(f"{path}: a pipe, socket or device; remove it")


def look(root: Path) -> Listing:
    """Every file in a folder and its subfolders, or a file alone, by path; what is `quiet` left out.

    Raises VadError for what must not lie there: a name with control characters, a link to a folder or to nothing, a
    pipe or device, an unfinished download.
    """
    if not root.is_dir():
        status = _admitted(root)
        return {root: (status.st_size, status.st_mtime_ns)}
    listing: Listing = {}
    folders = [root]
    while folders:
        for entry in sorted(os.scandir(folders.pop()), key=lambda entry: entry.name):
            path = Path(entry.path)
            if quiet(path):
                continue
            status = _admitted(path)
            if stat.S_ISDIR(status.st_mode):
                folders.append(path)
            else:
                listing[path] = status.st_size, status.st_mtime_ns
    return listing


def _admitted(path: Path) -> os.stat_result:
    """The status of a file or folder, links followed. Raises VadError for what must not lie among clips."""
    if not path.name.isprintable():
        raise VadError(f"{str(path)!r}: a name must be printable text; rename it")
    if path.suffix.lower() in UNFINISHED:
        raise VadError(f"{path}: an unfinished download; finish it or remove it")
    try:
        status = path.stat()
    except FileNotFoundError:
        raise VadError(f"{path}: a link to nothing; mend or remove it") from None
    if stat.S_ISDIR(status.st_mode) and path.is_symlink():
        raise VadError(
            f"{path}: a link to a folder, behind which DVC sees no change; make it a folder of links to the files: "
            f"rm {shlex.quote(str(path))} && cp -rs {shlex.quote(str(path.resolve()))} {shlex.quote(str(path))}"
        )
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise VadError(f"{path}: a pipe, socket or device; remove it")
    return status


def refuse_changed(before: Listing, after: Listing) -> None:
    """Raise VadError when files came, went or changed between two looks at a folder."""
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            raise VadError(f"{path}: came, went or changed while the clips were read; run again when copying is done")


def ignored(
    root: Path, listing: Listing, used: Collection[Path], splits: Collection[Path] | None
) -> dict[str, Ignored]:
    """Reason -> the files of `listing` that nothing uses for that reason; labels and documents are left out.

    `used` holds the files that clips are made of, and `splits` the folders in which clips were looked for; None
    where archives were, which are then what is used.
    """
    clips = {path.parent for path in used} - set(splits or ())
    reasons: dict[str, list[str]] = {}
    for path in sorted(listing.keys() - set(used)):
        name = path.name.lower()
        if name in LABELS or name.endswith(MASK) or name.startswith(DOCUMENTS):
            continue
        reason = "outside of the folders of clips"
        if splits is None:
            reason = "beside the archives"
        elif path.parent in clips or path.parent in splits:
            reason = "neither frames nor videos"
        elif clips & set(path.parents):
            reason = "in folders within clips"
        reasons.setdefault(reason, []).append(str(path.relative_to(root)))
    return {reason: Ignored.of(names) for reason, names in reasons.items()}


def write_ignored(path: Path, found: dict[str, Ignored]) -> None:
    """Write down what is not used, for `read_ignored`."""
    files.write_json(path, {reason: some._asdict() for reason, some in found.items()})


def read_ignored(path: Path) -> dict[str, Any]:
    """What `write_ignored` wrote down: reason -> `files`, how many, and `first`, the names of the first of them."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def told(root: Path, found: dict[str, Ignored]) -> str:
    """What is ignored, in one line."""
    parts = [f"{some.files} {reason} ({some.first})" for reason, some in found.items()]
    return f"{root}: files that are not used: {'; '.join(parts)}"
