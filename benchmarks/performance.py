"""Our speed beside the notebook's and beside what the machine could do: writes docs/PERFORMANCE.md.

    python -m benchmarks.performance --repeats 7        # what `make benchmark` runs

Every way has a process of its own, which waits until its turn comes: the ways of a row take turns, so that all of them
meet the same machine. First they have all cores, and the clock counts. Then torch has one thread, and the processor's
time counts: what others do on the machine takes little of that.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from vad.storage import files

TOP = Path(__file__).parents[1]
PAGE = TOP / "docs" / "PERFORMANCE.md"
BEGIN, END = "<!-- measured by `make benchmark` -->\n", "<!-- end -->\n"
"""What stands between them on the page is written anew."""
PACKAGES = ("torch", "torchvision", "pillow", "numpy")
HEADS = (
    "work", "the notebook, frames/s", "ours, frames/s", "what the machine could, frames/s", "ours / notebook",
    "the same by processor time", "ours / what it could",
)  # fmt: skip


class Row(NamedTuple):
    """A line of the table and its three ways, by their names in benchmarks/ways.py."""

    work: str
    notebook: str
    ours: str
    bare: str


GROUPS = [
    [
        Row("training step, batch 16, float32", "notebook training", "training 32-true", "product training 32-true"),
        Row("the same, bf16-mixed", "notebook training", "training bf16-mixed", "product training bf16-mixed"),
    ],
    [
        Row("scoring, 4 views, float32", "notebook inference", "inference 32-true", "product inference 32-true"),
        Row("the same, bf16-mixed", "notebook inference", "inference bf16-mixed", "product inference bf16-mixed"),
    ],
    [
        Row("JPEG 640 x 360 to 128 x 128, exact", "notebook reading", "reading exact", "decoding"),
        Row("the same, scaled", "notebook reading", "reading scaled", "decoding"),
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
    variables = os.environ | ({"OMP_NUM_THREADS": "1"} if one_thread else {})
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=TOP, env=variables, text=True, **pipes) as worker:
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


def lines(group: list[Row], rates: Rates, alone: Rates) -> list[str]:
    """The group's lines of the table."""
    found = []
    for row in group:
        ratio, ratio_alone = (median_ratio(measured, row.ours, row.notebook) for measured in (rates, alone))
        share = median_ratio(rates, row.ours, row.bare)
        figures = f"**{ratio:.2f}**", f"{ratio_alone:.2f}", f"{share:.2f}"
        found.append(f"| {' | '.join([row.work, *(spread(rates[way]) for way in row[1:]), *figures])} |")
    return found


def median_ratio(rates: Rates, one: str, other: str) -> float:
    """The median of the ratios within each turn."""
    return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))


def spread(values: list[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def machine() -> str:
    """The processor, its cores, the load and the versions, a sentence."""
    try:
        model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
        name = model.split(":")[1].strip()
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"{name}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}"


def main(repeats: int) -> None:
    table = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    from benchmarks import ways

    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        ways.make_frames(Path(folder))
        ways.count_operations(Path(folder))
        print("\n".join(table))
        for group in GROUPS:
            names = list(dict.fromkeys(way for row in group for way in row[1:]))
            rates, alone = (take_turns(names, Path(folder), repeats, processor) for processor in (False, True))
            table += (made := lines(group, rates, alone))
            loads.append(os.getloadavg()[0])
            print("\n".join(made), flush=True)
    busy = f"the load average was {min(loads):.0f} to {max(loads):.0f}, this benchmark's own part included"
    said = f"{machine()}. {repeats} turns: median (lowest to highest); {busy}."
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    text = "\n".join([said, "", *table])
    with files.replacing(PAGE) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--serve", metavar="WAY", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.folder)
    else:
        main(arguments.repeats)
