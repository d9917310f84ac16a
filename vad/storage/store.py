"""What was computed of single clips, kept: any number of workers fill it, in any order, and each finds what is there.

A result lies in a file of its own, whole, named after all that it depends on. So a killed run computes the clips that
were not done, a clip that is added costs itself alone, and a share of the clips can be computed anywhere the folder is.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from vad import VadError
from vad.storage import files
from vad.storage.progress import progress

Arrays = dict[str, np.ndarray]
Made = TypeVar("Made")


class Share(NamedTuple):
    """A share of the clips: number `number`, from 1, of `of`."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """From `2/8`. Raises VadError for anything else."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise VadError(f"VAD_SHARD = {text!r}: must be NUMBER/OF, as 2/8 is the second of eight shares")
        return cls(int(number), int(of))


WHOLE = Share()


class ShareDone(Exception):
    """A share of the clips is computed: there is nothing to put together yet."""


class Lazy(Generic[Made]):
    """What is made when it is first asked for, if ever."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self.get = cache(make)


class Job(NamedTuple):
    """One result: what it depends on besides what the store is made of, as JSON has it, and how it is made."""

    made_of: Any
    make: Callable[[], Arrays]


@dataclass(frozen=True)
class Store:
    """Results in a folder, of one kind of computation: `made_of` is its code and settings, as JSON has it.

    Without a folder nothing is kept. `share`: which of the jobs this worker does. `limit`: bytes that the folder may
    hold; what was longest not used goes first.
    """

    folder: Path | None = None
    made_of: Any = None
    share: Share = WHOLE
    limit: int = 20_000_000_000

    def all(self, jobs: Sequence[Job], what: str) -> list[Arrays]:
        """The result of every job, in order. Raises ShareDone where this worker's share was not all of them."""
        mine = [job for place, job in enumerate(jobs) if place % self.share.of == self.share.number - 1]
        found = [self.one(job) for job in progress(mine, what, len(mine))]
        if self.share.of > 1:
            raise ShareDone(f"{what}: share {self.share.number} of {self.share.of}, {len(mine)} of {len(jobs)} clips")
        return found

    def one(self, job: Job) -> Arrays:
        """The result of a job: what lies in its file, or what is made now and put there."""
        if self.folder is None:
            return job.make()
        path = self.folder / f"{digest(self.made_of, job.made_of)}.npz"
        kept = _read(path)
        if kept is None:
            kept = job.make()
            with files.replacing(path) as temporary:
                np.savez(temporary, **kept)  # type: ignore[arg-type]
        return kept

    def file(self, made_of: Any, target: Path, write: Callable[[Path], None]) -> None:
        """Put a copy of a result that is a file of its own at `target`; `write` makes it there where there is none."""
        if self.folder is None:
            write(target)
            return
        key = digest(self.made_of, made_of)
        for path in self._files.get((key, target.suffix), []):
            if path.exists() and path.stem == f"{key}-{digest_of_file(path)}":
                os.utime(path)
                files.copy(path, target)
                return
            path.unlink(missing_ok=True)  # damaged
        write(target)
        kept = self.folder / f"{key}-{digest_of_file(target)}{target.suffix}"
        files.copy(target, kept)
        self._files[key, target.suffix] = [kept]

    @cached_property
    def _files(self) -> dict[tuple[str, str], list[Path]]:
        """Key and suffix -> what `file` has kept. Listed once: for every clip it takes the square of the clips.

        So what another worker puts there meanwhile is made once more, to the same bytes.
        """
        found: dict[tuple[str, str], list[Path]] = {}
        for path in self.folder.glob("*-*") if self.folder else []:
            found.setdefault((path.stem.partition("-")[0], path.suffix), []).append(path)
        return found

    def tidy(self) -> None:
        """Remove what was longest not used, as far as the folder holds more than `limit`."""
        found = [(path.stat(), path) for path in self.folder.glob("*.np[yz]")] if self.folder else []
        room = self.limit
        for status, path in sorted(found, key=lambda each: -each[0].st_mtime_ns):
            room -= status.st_size
            if room < 0:
                path.unlink(missing_ok=True)


NOWHERE = Store()
"""It keeps nothing."""


def _read(path: Path) -> Arrays | None:
    """A result that was kept; None where there is none, or a damaged one, which is made anew."""
    try:
        with np.load(path) as stored:  # a zip: its checksums tell damage
            found = dict(stored)
        os.utime(path)
    except FileNotFoundError:
        return None
    except Exception:  # whatever a damaged file makes numpy trip over
        path.unlink(missing_ok=True)
        return None
    return found


def of_table(table: pd.DataFrame) -> Arrays:
    """A table of float64 columns as arrays: `names` (K,) and `values` (T, K)."""
    return {"names": np.array(table.columns, dtype=str), "values": table.to_numpy(np.float64)}


def to_table(arrays: Arrays) -> pd.DataFrame:
    """The table that `of_table` took apart."""
    return pd.DataFrame(arrays["values"], columns=arrays["names"].tolist())


def digest(*parts: Any) -> str:
    """A hash of what JSON can hold, in 32 hex digits."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def digest_of_file(path: Path) -> str:
    """A hash of a file's content, in 32 hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
