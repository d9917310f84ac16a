"""Zip archives from elsewhere: checked, and unpacked without trusting anything they say."""

import os
import re
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vad import VadError
from vad.storage.progress import progress

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What reading a damaged, encrypted or exotic zip or member can raise."""
# Below this size a ratio says nothing: a small table of zeros may well shrink a thousandfold.
_SMALL = 1 << 20


@dataclass(frozen=True)
class Caps:
    """The most that an archive may unpack to: files, bytes, and bytes for each byte of the archive."""

    files: int = 200_000
    bytes: int = 50 * 10**9
    ratio: float = 100.0


def check(archive: Path, caps: Caps = Caps()) -> None:
    """Read every member of a zip and compare its CRC.

    Raises VadError naming the first damaged member, or for what `unpack` would refuse, before anything is read.
    """
    with _opened(archive) as source:
        members = source.infolist()
        _refuse(archive, members, caps)
        for member in progress(members, f"checking {archive.name}"):
            try:
                with source.open(member) as content:
                    while content.read(_SMALL):
                        pass
            except UNREADABLE as error:
                raise _damaged(archive, member, error) from None


def unpack(archive: Path, folder: Path, caps: Caps = Caps()) -> Path:
    """Unpack a zip into a folder that does not exist yet; it appears whole or not at all. Returns the folder.

    Raises VadError, naming the member, for a path that leaves the folder, a link or device, two members of one
    name, an encrypted or damaged one, and for more than the caps allow; nothing is left behind then.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise VadError(f"{folder}: already holds files; move them away to have {archive.name} unpacked there")
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    try:
        with _opened(archive) as source:
            members = source.infolist()
            _refuse(archive, members, caps)
            temporary.mkdir(parents=True)
            _refuse_full_disk(archive, members, temporary)
            for member in progress(members, f"unpacking {archive.name}"):
                _write(archive, source, member, temporary)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def opened(archive: Path) -> zipfile.ZipFile:
    """A zip that is open to be read. Raises what zipfile raises, and BadZipFile where its directory hides members.

    Where the length of a name or comment is damaged, zipfile goes on behind it and misses what lies between.
    """
    with open(archive, "rb") as file:
        ending = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # of a zip64 as well
    found = zipfile.ZipFile(archive)
    stated = ending[zipfile._ECD_ENTRIES_TOTAL]  # type: ignore[attr-defined]
    # Some programs count to 65,535 and begin anew.
    if stated not in (len(found.infolist()), len(found.infolist()) % 2**16):
        found.close()
        raise zipfile.BadZipFile(f"its directory is damaged: it has {stated} members and lists {len(found.infolist())}")
    return found


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return opened(archive)
    except FileNotFoundError:
        raise VadError(f"{archive}: no such file") from None
    except UNREADABLE as error:
        raise VadError(f"{archive}: not a whole zip archive ({error}); delete it and download it again") from None


def _damaged(archive: Path, member: zipfile.ZipInfo, error: Exception) -> VadError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return VadError(
        f"{archive}: {member.filename!r} can't be read ({reason}); delete the archive and download it again"
    )


def _refuse(archive: Path, members: list[zipfile.ZipInfo], caps: Caps) -> None:
    """Raise VadError for an archive that must not be unpacked, before anything of it is read."""
    _refuse_unsafe(archive, members)
    _refuse_unbounded(archive, members)
    _refuse_large(archive, members, caps)


def _refuse_unsafe(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise VadError for the first member that must not be unpacked."""
    found: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for member in members:
        path = PurePosixPath(member.filename)
        what = _unsafe(member)
        if not what and path in found:
            what = "occurs twice"
        if what:
            raise VadError(
                f"{archive}: {member.orig_filename!r} {what}; nothing was unpacked, don't trust this archive"
            )
        folders.update(path.parents if not member.is_dir() else (path, *path.parents))
        if not member.is_dir():
            found.add(path)
    for path in sorted(found & folders):
        raise VadError(f"{archive}: {str(path)!r} is both a file and a folder; nothing was unpacked")


def _unsafe(member: zipfile.ZipInfo) -> str:
    """Why a member must not be unpacked, or nothing."""
    # The name as stored: zipfile itself cuts a name at a NUL.
    if what := unsafe_name(member.orig_filename):
        return what
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is a device or pipe"
    return "is encrypted" if member.flag_bits & 1 else ""


def unsafe_name(name: str) -> str:
    """Why a file of this name, from elsewhere, must not be written into a folder; nothing when it may."""
    if not name.strip("/. ") or re.search(r"[\x00-\x1f\x7f]", name):
        return "is no usable file name"
    # Backslashes and drive letters are harmless here and lead out of the folder on Windows.
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        return "leads out of the folder"
    return ""


def _refuse_unbounded(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise VadError for a member of which zipfile takes into memory whatever comes out, however little is stated."""
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise VadError(
                f"{archive}: {member.filename!r} is compressed by zip's method {member.compress_type}; nothing was "
                "unpacked, zip it again by the usual one, deflate"
            )


def _refuse_large(archive: Path, members: list[zipfile.ZipInfo], caps: Caps) -> None:
    """Raise VadError when the archive is larger than the caps allow, going by the sizes that it states.

    Stated sizes can be relied on: of stored and deflated members zipfile takes no more than that, in small portions,
    and compares the CRC at the end.
    """
    if len(members) > caps.files:
        raise VadError(f"{archive}: holds {len(members)} files, at most {caps.files} are unpacked; nothing was")
    total = sum(member.file_size for member in members)
    if total > caps.bytes:
        raise VadError(f"{archive}: unpacks to {size(total)}, at most {size(caps.bytes)} are unpacked; nothing was")
    for member in members:
        if member.file_size > max(_SMALL, caps.ratio * member.compress_size):
            raise VadError(
                f"{archive}: {member.filename!r} unpacks to {size(member.file_size)} from "
                f"{size(member.compress_size)}, a zip bomb; nothing was unpacked"
            )
    # Members may share their bytes: each is modest, all together are not.
    if total > max(_SMALL, caps.ratio * archive.stat().st_size):
        raise VadError(
            f"{archive}: unpacks to {size(total)}, over {caps.ratio:g} times its size, a zip bomb; nothing was"
        )


def _refuse_full_disk(archive: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    total, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if total > free:
        raise VadError(f"{archive}: unpacks to {size(total)}, but {folder.parent} has {size(free)} free; make room")


def _write(archive: Path, source: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / member.filename
    try:
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # "x": a name that this file system takes for another's is an error, not an overwritten file.
        with source.open(member) as content, open(target, "xb") as out:
            shutil.copyfileobj(content, out, _SMALL)
    except OSError as error:
        raise VadError(f"{archive}: {member.filename!r} can't be unpacked: {error.strerror}; nothing was") from None
    except UNREADABLE as error:
        raise _damaged(archive, member, error) from None


def size(count: float) -> str:
    """A number of bytes for people: "3.4 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
