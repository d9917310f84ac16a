"""Mutated files of every kind, a thousand each, through the narrowest reader: a result, or one clear line.

    python -m faults.mutants --count 1000 --write docs/PROMISES.md

A reader runs in a process that may take 2 GB more than its imports took, and SECONDS for a file. Ends with exit code 1
where one ended in anything else, and keeps those files.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from faults import promises
from faults.fuzz import mutate
from faults.readers import KINDS, Kind
from stages import REMEDIES
from vad import VadError
from vad.storage.progress import progress

ROOM = 2 * 10**9
"""Bytes that a reader may take beyond what its imports took."""
SECONDS = 30.0
SAME, OTHER, LINE, BAD = "the same result", "another result", "one line", "bad"
ENDS = (SAME, OTHER, LINE, BAD)
NO_MEMORY = "memoryerror", "unable to allocate", "can't allocate", "cannot allocate", "out of memory", "bad_alloc"
"""What a message says that was caught where there was too little memory."""
SECTION = "Mutated files"
TEXT = """\
Made by `python -m faults.mutants --count {count} --write docs/PROMISES.md`. A sound file of each kind has bytes
flipped, stretches swapped or its end cut off, and goes through the narrowest reader of it: a frame is decoded, a mask
read and matched to its clip, an archive unpacked. That must end in a result or in one clear line; bad are a traceback,
a crash, anything else that is printed, more than 2 GB of memory, {seconds:.0f} s without an end, and another number of
rows than there are frames. Of `predictor.safetensors` that happens in the first 4,096 bytes: any number behind them may
be right. The last column says how many of the mutants changed the outcome at all.

{table}

{total} mutants, {failures} bad.
"""


class End(NamedTuple):
    """How a mutant ended, one of ENDS, and what was said."""

    kind: str
    number: int
    end: str
    said: str = ""


def ends(kind: Kind, count: int, seed: int, kept: Path) -> Iterator[End]:
    """How `count` mutants of a kind ended, in order. The files of those that ended badly go to `kept`."""
    context = multiprocessing.get_context("fork")
    number = 0
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / kind.name
        path.parent.mkdir(exist_ok=True)
        while number < count:
            here, there = context.Pipe(duplex=False)
            worker = context.Process(target=work, args=(kind, path, range(number, count), seed, kept, there))
            worker.start()
            there.close()
            while number < count and (found := _told(here, kind, number)):
                yield found
                number += 1
            worker.kill()
            worker.join()
            if number < count:  # it died at this one, or still reads it
                said = f"no end in {SECONDS:.0f} s" if worker.exitcode == -9 else f"died, exit code {worker.exitcode}"
                _keep(path, number, kept)
                yield End(kind.name, number, BAD, said)
                number += 1


def _told(worker: Connection, kind: Kind, number: int) -> End | None:
    """What a worker says of a mutant; None when it says nothing in time or ended."""
    try:
        return End(kind.name, number, *worker.recv()) if worker.poll(SECONDS) else None
    except EOFError:
        return None


def _keep(path: Path, number: int, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{number}-{path.name}").write_bytes(path.read_bytes())


def work(kind: Kind, path: Path, numbers: range, seed: int, kept: Path, told: Connection) -> None:
    """Write each mutant to `path`, read it and tell how that ended. What the libraries print counts as bad."""
    kind.write(path)
    sound, expected = path.read_bytes(), kind.read(path)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # as decode has it, where it is imported first
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    with tempfile.TemporaryFile() as printed:
        for stream in (1, 2):
            os.dup2(printed.fileno(), stream)
        for number in numbers:
            path.write_bytes(mutate(sound, np.random.default_rng([seed, number]), kind.head, kind.text)[1])
            end, said = read(kind, path, expected)
            if printed.seek(0, os.SEEK_END):
                printed.seek(0)
                end, said = BAD, f"{said} printed: {printed.read(500)!r}"
                printed.seek(0)
                printed.truncate()
            if end == BAD:
                _keep(path, number, kept)  # before the next is written there
            told.send((end, said))


def read(kind: Kind, path: Path, expected: object) -> tuple[str, str]:
    """How reading a mutant ends, and what is said."""
    try:
        found = kind.read(path)
        return (SAME if found == expected else BAD if kind.guarded else OTHER), f"{found} is not {expected}"
    except VadError as error:
        said = str(error)
        # Of parameters each problem has a line.
        clear = all(map(str.isprintable, said.splitlines())) and (said.count("\n") == 0 or path.suffix == ".yaml")
        return (BAD if not clear or any(word in said.lower() for word in NO_MEMORY) else LINE), said
    except OSError as error:
        return (LINE if error.errno in REMEDIES else BAD), traceback.format_exc(limit=-3)
    except BaseException:
        return BAD, traceback.format_exc(limit=-3)


def table(found: Sequence[End]) -> str:
    """A row a kind, as Markdown."""
    counts = Counter((one.kind, one.end) for one in found)
    rows = [["file", "mutants", *ENDS, "changed"], ["---"] * (len(ENDS) + 3)]
    for kind in dict.fromkeys(one.kind for one in found):
        total = sum(counts[kind, end] for end in ENDS)
        cells = [str(counts[kind, end]) for end in ENDS]
        rows.append([f"`{kind}`", str(total), *cells, f"{1 - counts[kind, SAME] / total:.0%}"])
    return promises.markdown(rows)


def main(count: int, seed: int, names: Sequence[str], kept: Path, page: Path | None) -> None:
    found = [
        end
        for kind in KINDS
        if kind.name in names
        for end in progress(ends(kind, count, seed, kept / kind.name), kind.name, count)
    ]
    bad = [one for one in found if one.end == BAD]
    text = TEXT.format(count=count, seconds=SECONDS, table=table(found), total=len(found), failures=len(bad))
    print(text)
    if page:
        promises.write(page, SECTION, text)
    sys.exit("\n".join([f"{kept}: the files", *(f"{one.kind} {one.number}: {one.said}" for one in bad)]) if bad else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=[kind.name for kind in KINDS])
    parser.add_argument("--kept", type=Path, default=Path(".dvc/tmp/mutants"))
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page whose section is made anew")
    arguments = parser.parse_args()
    main(arguments.count, arguments.seed, arguments.kinds, arguments.kept, arguments.write)
