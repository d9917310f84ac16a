"""Progress on the terminal; silent in logs, files and pipes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")
Clip = TypeVar("Clip", bound=Sized)

AHEAD = 4


def progress(items: Iterable[Item], what: str, total: int | None = None, frames: int = 1) -> Iterator[Item]:
    """Yield the items and show, on a terminal only, how many are done a second and the time that is left.

    `frames`: how many frames an item holds, where it is a batch; frames a second are shown then.
    """
    unit: dict[str, Any] = {"unit": " frames", "unit_scale": frames} if frames > 1 else {}
    return iter(tqdm(items, desc=what, total=total, disable=None, leave=False, **unit))


def over_clips(clips: Sequence[Clip], what: str) -> Iterator[Clip]:
    """Yield clips and show, on a terminal only, how many frames are done a second and the time that is left."""
    with tqdm(desc=what, total=sum(map(len, clips)), unit=" frames", disable=None, leave=False) as bar:
        for clip in clips:
            yield clip
            bar.update(len(clip))


def parallel(function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None) -> Iterator[Result]:
    """Yield function(item) in the order of the items, computed by `threads`, by default one for every core.

    At most AHEAD results a thread wait to be taken, so memory does not grow with the number of items. Threads
    serve because decoding, resizing, hashing and torch release Python's lock.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = threads or cores
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
