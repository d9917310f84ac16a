"""Frames a second of every component that needs no network, each alone, and of reading frames alone.

    python -m benchmarks.components .dvc/tmp/workspaces/ped2-replica --frames 300 --repeats 3

Reads data/frames of a folder in which the pipeline has run; medians of several runs, decoding and pooling included.
The rate of what takes a network is that of its stage: `python -m benchmarks.datasets`. Prints a table in Markdown.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path

from vad import clips, motion, params


def rate(work: Callable[[], Iterable[object]], frames: int, repeats: int) -> float:
    """Frames a second at which `work` gives its first `frames` results: the median of several runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        count = sum(1 for _ in islice(work(), frames))
        seconds.append((time.perf_counter() - start) / count)
    return 1 / statistics.median(seconds)


def main(folder: Path, frames: int, repeats: int) -> None:
    train, test = (clips.open_zips(folder / "data/frames" / split) for split in ("train", "test"))
    size = test[0].frame(int(test[0].numbers[0])).shape[:2]
    print(f"| component | frames/s at {size[1]} x {size[0]} | minutes for 12,000 frames |\n|---|---|---|")

    def row(name: str, per_second: float) -> None:
        print(f"| {name} | {per_second:.0f} | {12_000 / per_second / 60:.1f} |", flush=True)

    row("reading alone", rate(lambda: chain.from_iterable(motion.pairs(clip, size) for clip in test), frames, repeats))
    for components in (*((name,) for name in params.MOTION), params.MOTION):
        normality = motion.Normality(train, components)
        per_second = rate(lambda: chain.from_iterable(map(normality.score, test)), frames, repeats)  # noqa: B023
        row(" and ".join(components), per_second)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.folder, arguments.frames, arguments.repeats)
