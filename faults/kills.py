"""SIGKILL while stages run, then the same stage again: the outputs must be those of a run that nothing disturbed.

    python -m faults.kills --kills 300 --write docs/PROMISES.md

Kills right before and right after every fsync, rename and unlink of every stage, and at random moments until there
are `--kills` in all. Ends with exit code 1 where a stage that ran again left anything else than it should have.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from faults import promises, stage_runner, undisturbed
from faults.stage_runner import PIPELINE
from faults.undisturbed import Ready
from vad.storage.progress import parallel, progress

CALLS = {"fsync": ("fsync",), "rename": ("rename", "replace"), "unlink": ("unlink", "remove", "rmdir")}
"""Points at which what lies on the disk changes -> the functions of `os` that every library of Python ends up in."""
RANDOM = "random moment"
POINTS = (*CALLS, RANDOM)
SECTION = "Kills"
TEXT = """\
Made by `python -m faults.kills --kills {count} --write docs/PROMISES.md`. Every stage of `dvc.yaml` is killed
(SIGKILL) right before and right after each of its fsyncs, renames and unlinks, and at random moments. Then it runs
again as `dvc repro` runs it. A kill counts where the stage was alive to be killed there; it is resumed where the
second run leaves every file as a run does that nothing disturbed, to the bit, and no other file, in the whole folder.
Stages run as in {variants}.

{table}

{total} kills, {failures} not resumed.
"""


class Moment(NamedTuple):
    """When a stage is killed: before or after the `number`th call at a point, or that share of its run's time."""

    point: str
    after: bool = False
    number: int = 0
    share: float = 0.0


class Kill(NamedTuple):
    """A kill and what came of it: `problem` is what is wrong after the second run, empty where nothing is."""

    variant: str
    stage: str
    moment: Moment
    alive: bool
    problem: str

    def __str__(self) -> str:
        point, after, number, share = self.moment
        when = (
            f"at {share:.2f} of its time" if point == RANDOM else f"{'after' if after else 'before'} {point} {number}"
        )
        return f"{self.variant}: {self.stage} {when}: {self.problem}"


def watch(told: Callable[[str, bool, str], None]) -> None:
    """Have `told` called before (False) and after (True) each call at a point, in this process from now on.

    It gets the point, which of the two, and the path that the call makes or removes.
    """
    for point, names in CALLS.items():
        for name in names:
            setattr(os, name, _watched(getattr(os, name), point, told))


def _watched(call: Callable[..., Any], point: str, told: Callable[[str, bool, str], None]) -> Callable[..., Any]:
    def watched(*arguments: Any, **named: Any) -> Any:
        path = str(arguments[-1])  # of a rename the target
        told(point, False, path)
        result = call(*arguments, **named)
        told(point, True, path)
        return result

    return watched


def counted(stage: str, counts: Path) -> None:
    """Run a stage; write into `counts` a line, POINT AFTER, for each call, and the seconds that it took."""
    lines: list[str] = []
    watch(lambda point, after, _: lines.append(f"{point} {int(after)}"))
    start = time.monotonic()
    stage_runner.call(stage)
    counts.write_text("\n".join([*lines, f"{time.monotonic() - start}"]))


def killed(stage: str, moment: Moment, seconds: float) -> None:
    """Run a stage, which takes `seconds`, and kill this process at a moment."""
    left = threading.Semaphore(moment.number)

    def told(point: str, after: bool, _: str) -> None:
        if (point, after) == (moment.point, moment.after) and not left.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGKILL)

    if moment.point == RANDOM:
        timer = threading.Timer(moment.share * seconds, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    else:
        watch(told)
    stage_runner.call(stage)


def count(ready: Ready, temporary: Path) -> tuple[Counter[tuple[str, bool]], float]:
    """How often an undisturbed run comes by each point, and the seconds that it takes. It must leave the same files."""
    folder, counts = temporary / "counted", temporary / "counts"
    undisturbed.clone(ready.before, folder)
    undisturbed.remove_outputs(folder, ready.stage)
    code, printed = stage_runner.alone(folder, counted, ready.stage, counts)
    assert code == 0 and (odd := difference(folder, ready)) == "", f"{ready.stage}, undisturbed: {printed or odd}"
    *lines, seconds = counts.read_text().splitlines()
    return Counter((point, after == "1") for point, after in map(str.split, lines)), float(seconds)


def moments(calls: Counter[tuple[str, bool]]) -> list[Moment]:
    """Before and after every call."""
    return [Moment(point, after, number) for (point, after), times in calls.items() for number in range(times)]


def kill(ready: Ready, moment: Moment, seconds: float) -> Kill:
    """Kill a stage and run it again."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        undisturbed.clone(ready.before, folder)
        undisturbed.remove_outputs(folder, ready.stage)
        code, _ = stage_runner.alone(folder, killed, ready.stage, moment, seconds)
        ended = undisturbed.again(folder, ready.stage)
        problem = ended.printed if ended.code else difference(folder, ready)
        return Kill(ready.variant, ready.stage, moment, code == -signal.SIGKILL, problem)


def difference(folder: Path, ready: Ready) -> str:
    """What is wrong with the files of a folder, in words; nothing where all are as they should be."""
    found = undisturbed.tree(folder)
    parts = {
        "left behind": found.keys() - ready.after.keys(),
        "missing": ready.after.keys() - found.keys(),
        "other content": {name for name in found.keys() & ready.after.keys() if found[name] != ready.after[name]},
    }
    return "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in parts.items() if names)


def trials(temporary: Path, stages: Sequence[str], least: int, per_stage: int | None = None) -> Iterator[Kill]:
    """Kill the stages at every point, or at `per_stage` of them, and at random moments until `least` kills counted."""
    rng = np.random.default_rng(1)
    timed: list[tuple[Ready, float]] = []
    alive = 0
    for ready in undisturbed.ready(temporary, stages):
        with tempfile.TemporaryDirectory() as place:
            calls, seconds = count(ready, Path(place))
        timed.append((ready, seconds))
        chosen = moments(calls)
        if per_stage is not None:
            chosen = [chosen[index] for index in sorted(rng.permutation(len(chosen))[:per_stage])]
        for done in _shown(ready, parallel(partial(kill, ready, seconds=seconds), chosen), len(chosen)):
            alive += done.alive
            yield done
    tries = 0
    while alive < least and tries < 10 * least:
        tries += 1
        ready, seconds = timed[tries % len(timed)]
        done = kill(ready, Moment(RANDOM, share=float(rng.random())), seconds)
        alive += done.alive
        yield done


def _shown(ready: Ready, kills: Iterable[Kill], total: int) -> Iterator[Kill]:
    return progress(kills, f"killing {ready.stage}", total)


def table(kills: Sequence[Kill]) -> str:
    """A row a stage and a column a point: how many kills, and how many of them were resumed, as Markdown."""
    counts = Counter((one.stage, one.moment.point) for one in kills if one.alive)
    resumed = Counter((one.stage, one.moment.point) for one in kills if one.alive and not one.problem)
    rows = [["stage", *(f"{point}: kills, resumed" for point in POINTS)], ["---"] * (1 + len(POINTS))]
    for stage in PIPELINE:
        cells = [f"{counts[stage, point]}, {resumed[stage, point]}" for point in POINTS]
        rows.append([f"`{stage}`", *cells])
    return promises.markdown(rows)


def report(kills: Sequence[Kill]) -> str:
    """The section of the page."""
    counted = [one for one in kills if one.alive]
    variants = "; ".join(variant.title for variant in undisturbed.VARIANTS)
    failures = sum(bool(one.problem) for one in counted)
    return TEXT.format(count=len(counted), variants=variants, table=table(kills), total=len(counted), failures=failures)


def main(stages: Sequence[str], least: int, page: Path | None, per_stage: int | None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        kills = list(trials(Path(temporary), stages, least, per_stage))
    text = report(kills)
    print(text)
    if page:
        promises.write(page, SECTION, text)
    sys.exit("\n".join(str(one) for one in kills if one.problem) or 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="*", default=list(PIPELINE))
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page whose section is made anew")
    parser.add_argument("--points", type=int, metavar="N", help="at most N points a stage: 0 for random moments alone")
    arguments = parser.parse_args()
    stage_runner.preload(*undisturbed.HEAVY)
    main(arguments.stages, arguments.kills, arguments.write, arguments.points)
