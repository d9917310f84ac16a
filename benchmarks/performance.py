"""Our speed beside the notebook's and beside what the machine could do: writes docs/PERFORMANCE.md.

    python -m benchmarks.performance --repeats 5        # what `make benchmark` runs

Every way has a process of its own, which waits until its turn comes: the ways of a row take turns, so that all of them
meet the same machine. First they have all cores, and the clock counts. Then torch has one thread, and the processor's
time counts: what others do on the machine takes little of that.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import page
from experiments import markdown

HEADS = (
    "work", "the notebook, frames/s", "ours, frames/s", "what the machine could, frames/s", "ours / notebook",
    "the same by processor time", "goal", "ours / what it could",
)  # fmt: skip


class Row(NamedTuple):
    """A line of the table: its three ways, by their names in benchmarks/ways.py, and how many times as fast as the
    notebook's way ours ought to be.
    """

    work: str
    notebook: str
    ours: str
    bare: str
    goal: float

    def ways(self) -> tuple[str, str, str]:
        return self.notebook, self.ours, self.bare


GROUPS = [
    [
        Row(
            "training step, batch 16, float32",
            "notebook training",
            "training 32-true",
            "product training 32-true",
            1.15,
        ),
        Row("the same, bf16-mixed", "notebook training", "training bf16-mixed", "product training bf16-mixed", 2.2),
    ],
    [
        Row("scoring, 4 views, float32", "notebook inference", "inference 32-true", "product inference 32-true", 2.5),
        Row("the same, bf16-mixed", "notebook inference", "inference bf16-mixed", "product inference bf16-mixed", 5.0),
    ],
    [
        Row("JPEG 640 x 360 to 128 x 128, exact", "notebook reading", "reading exact", "decoding", 2.2),
        Row("the same, scaled", "notebook reading", "reading scaled", "decoding", 3.4),
    ],
]
"""What takes turns."""

Rates = dict[str, list[float]]
"""Way -> frames a second, one number a turn."""


def serve(way: str, folder: Path) -> None:
    """Do the work once for every line that comes, and answer with frames, seconds and the processor's seconds."""
    from benchmarks import ways  # here: whoever measures needs no torch

    work = ways.WAYS[way](folder)
    work()
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        seconds, processor = time.perf_counter(), time.process_time()
        frames = work()
        cost = frames, time.perf_counter() - seconds, time.process_time() - processor
        print(json.dumps(cost), flush=True)


def take_turns(ways: list[str], folder: Path, repeats: int, processor: bool) -> Rates:
    """Frames a second of every way, turn by turn: by the clock, or with one thread of torch by the processor's time."""
    rates: Rates = {way: [] for way in ways}
    with contextlib.ExitStack() as stack:
        workers = {way: stack.enter_context(started(way, folder, processor)) for way in ways}
        for _ in range(repeats):
            for way, worker in workers.items():
                assert worker.stdin
                worker.stdin.write("\n")
                worker.stdin.flush()
                frames, *seconds = answer(worker)
                rates[way].append(frames / seconds[processor])
    return rates


@contextlib.contextmanager
def started(way: str, folder: Path, one_thread: bool) -> "Iterator[subprocess.Popen[str]]":
    """A process that serves, once it is warm; it ends with the block."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.performance", "--folder", str(folder), "--serve", way]
    # Threads that wait must sleep: on a busy machine those that spin take the cores from those that work.
    variables = os.environ | {"OMP_WAIT_POLICY": "passive"} | ({"OMP_NUM_THREADS": "1"} if one_thread else {})
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=page.TOP, env=variables, text=True, **pipes) as worker:
        try:
            answer(worker)
            yield worker
        finally:
            worker.kill()


def answer(worker: "subprocess.Popen[str]") -> tuple[int, float, float]:
    """What a worker says next. Raises RuntimeError when it has died."""
    assert worker.stdout
    for line in worker.stdout:
        try:
            return json.loads(line)
        except ValueError:  # what a library prints
            continue
    raise RuntimeError(f"{worker.args!r}: ended without an answer")


def rows(group: list[Row], rates: Rates, alone: Rates) -> list[list[str]]:
    """The group's rows of the table."""
    found = []
    for row in group:
        ratio, ratio_alone = (median_ratio(measured, row.ours, row.notebook) for measured in (rates, alone))
        share = median_ratio(rates, row.ours, row.bare)
        figures = [f"**{ratio:.2f}**", f"{ratio_alone:.2f}", f"{row.goal}", f"{share:.2f}"]
        found.append([row.work, *(page.spread(rates[way]) for way in row.ways()), *figures])
    return found


def median_ratio(rates: Rates, one: str, other: str) -> float:
    """The median of the ratios within each turn."""
    return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))


def main(repeats: int) -> None:
    from benchmarks import ways

    table = []
    start, loads = time.perf_counter(), [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        ways.make_frames(Path(folder))
        ways.count_operations(Path(folder))
        for group in GROUPS:
            names = list(dict.fromkeys(way for row in group for way in row.ways()))
            rates, alone = (take_turns(names, Path(folder), repeats, processor) for processor in (False, True))
            table += rows(group, rates, alone)
            loads.append(os.getloadavg()[0])
            print(markdown.table(HEADS, table[-len(group) :]), flush=True)
    busy = f"the load average was {min(loads):.0f} to {max(loads):.0f}, this benchmark's own part included"
    took = f"{(time.perf_counter() - start) / 60:.0f} minutes"
    said = f"{page.machine()}. {repeats} turns in {took}: median (lowest to highest); {busy}."
    page.write("make benchmark", f"{said}\n\n{markdown.table(HEADS, table)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--serve", metavar="WAY", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.folder)
    else:
        main(arguments.repeats)
