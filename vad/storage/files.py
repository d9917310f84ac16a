"""Files that appear whole or not at all."""

import contextlib
import errno
import functools
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vad import VadError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Values of errno for a full disk or quota."""
MAKE_ROOM = "make room on its disk (`du -sh .dvc/cache .dvc/tmp data` shows what is large)"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success sync it and rename it into place, on failure remove it.

    The temporary name keeps the suffix, because writers choose their format by it. A library that writes by way of a
    temporary file of its own is not for this: killed, it leaves one that nobody knows. Raises VadError when the disk
    is full, and OSError, which names `path`, when it can't be written there for another reason. Temporary files are
    removed first that killed writers of `path` had left when this process began to write there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except Exception as error:
        if (number := getattr(error, "errno", None)) in FULL:
            raise VadError(f"{path}: can't be written ({os.strerror(number)}); {MAKE_ROOM} and run again") from None
        if number and getattr(error, "filename", None) in (None, str(temporary)):
            raise OSError(number, os.strerror(number), str(path)) from None
        raise
    finally:
        with contextlib.suppress(OSError):  # on a read-only disk there is none, and looking for it fails
            temporary.unlink(missing_ok=True)


def _remove_left_behind(path: Path) -> None:
    """Remove the temporary files of `path` whose writers are gone."""
    start, end = f".{path.stem}.", f".tmp{path.suffix}"
    for left in _temporary(path.parent.absolute()):
        writer = left.name[len(start) : -len(end)]
        if left.name == f"{start}{writer}{end}" and writer.isdecimal() and not _runs(int(writer)):
            left.unlink(missing_ok=True)


@functools.cache
def _temporary(folder: Path) -> list[Path]:
    """The temporary files in a folder. Listed once: for every file that is written it takes the square of the files."""
    try:
        return [path for path in folder.iterdir() if is_temporary(path)]
    except PermissionError:  # what can't be listed may well be written to
        return []


def _runs(process: int) -> bool:
    """Whether there is a process of that number; where that can't be found out there is."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True


def is_temporary(path: Path) -> bool:
    """Whether a name is one that `replacing` yields: of a file that a writer left when it was killed."""
    return re.fullmatch(r"\..*\.\d+\.tmp(\..*)?", path.name) is not None


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline; NaN and infinity are refused with ValueError."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
