"""A full disk and a read-only one under every output of every stage: one line, exit code 1, and nothing is lost.

    python -m faults.disks --write docs/PROMISES.md

Needs the right to mount (root on Linux), and does nothing without it. Ends with exit code 1 where a stage ended in
anything else.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from faults import kills, promises, stage_runner, undisturbed
from faults.stage_runner import PIPELINE, Outcome
from faults.undisturbed import Ready
from stages import CHECKPOINTS
from vad import registry
from vad.storage.progress import progress

FULL, READ_ONLY = "No space left on device", "Read-only file system"
TEMPORARY = re.compile(r"\.\d+\.tmp|\.unpacking")
"""Of the names of files and folders that are not yet whole."""
SECTION = "Disks"
TEXT = """\
Made by `python -m faults.disks --write docs/PROMISES.md`. Every stage of `dvc.yaml` runs on a disk that becomes full
in the middle of an output, for each output file in turn, and with each folder that it writes to mounted read-only. It
must end with exit code 1 and one line that names an output and the remedy, leave no temporary file, and leave every
file that was there before as it was. Then, with room again, it runs to the outputs of a run that nothing disturbed.

{table}

{total} trials, {failures} failed.
"""


class Trial(NamedTuple):
    """A stage on a disk that fails: whether it failed, and what is wrong with how the stage took it, if anything."""

    stage: str
    lacks: str
    place: str
    reached: bool
    problem: str


def can_mount() -> bool:
    """Whether this process may mount."""
    with tempfile.TemporaryDirectory() as temporary:
        mount = "mount", "-t", "tmpfs", "none", temporary
        if os.name != "posix" or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            return False
        subprocess.run(("umount", temporary), check=True)
    return True


@contextlib.contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    """Mount something on a folder for the time of the block."""
    subprocess.run(("mount", *arguments, place), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", place), check=True)


def trials(temporary: Path, stages: Sequence[str], most: int | None = None) -> Iterator[Trial]:
    """Both faults at every place of the stages, or at `most` places a stage."""
    for ready in undisturbed.ready(temporary, stages):
        written = in_order(ready)
        for number in progress(range(len(written))[:most], f"a full disk under {ready.stage}"):
            yield full(ready, written, number)
        for place in progress(places(ready)[:most], f"a read-only disk under {ready.stage}"):
            yield read_only(ready, place)


def in_order(ready: Ready) -> list[tuple[str, int]]:
    """What a stage puts into place by renaming it, in order, checkpoints included, and the bytes of each."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, names = started(ready, Path(temporary)), Path(temporary) / "names"
        code, printed = stage_runner.alone(folder, noted, ready.stage, names)
        assert code == 0, printed
        lines = [line.rpartition(" ") for line in names.read_text().splitlines()]
        return [(name, int(size)) for name, _, size in lines]


def noted(stage: str, names: Path) -> None:
    """Run a stage; write into `names` a line, PATH BYTES, for each rename."""
    lines: list[str] = []

    def told(point: str, after: bool, path: str) -> None:
        if point == "rename" and after:
            files = [Path(path), *Path(path).rglob("*")]
            lines.append(f"{path} {sum(file.stat().st_size for file in files if file.is_file())}")

    kills.watch(told)
    stage_runner.call(stage)
    names.write_text("\n".join(lines))


def started(ready: Ready, place: Path) -> Path:
    """A copy in `place` of the folder as DVC hands it to the stage."""
    folder = place / "run"
    undisturbed.clone(ready.before, folder)
    undisturbed.remove_outputs(folder, ready.stage)
    return folder


def full(ready: Ready, written: Sequence[tuple[str, int]], number: int) -> Trial:
    """Run a stage on a disk that is full when half of what it renames in that place is written."""
    with tempfile.TemporaryDirectory() as temporary, mounted(Path(temporary), "-t", "tmpfs", "none"):
        folder = started(ready, Path(temporary))
        before = undisturbed.tree(folder)
        code, printed = stage_runner.alone(folder, filled, ready.stage, number, written[number][1] // 2, temporary)
        subprocess.run(("mount", "-o", "remount,size=50%", temporary), check=True)
        return judged(ready, FULL, written[number][0], folder, before, Outcome(ready.stage, code, printed))


def filled(stage: str, number: int, room: int, disk: str) -> None:
    """Run a stage; after `number` renames the tmpfs `disk` has only `room` bytes left."""
    left = number

    def told(point: str, after: bool, _: str) -> None:
        nonlocal left
        left -= point == "rename" and after
        if left == 0:
            left -= 1
            fill(disk, room)

    kills.watch(told)
    if number == 0:
        fill(disk, room)
    stage_runner.call(stage)


def fill(disk: str, room: int) -> None:
    """Let a tmpfs have no more than `room` bytes left, in whole pages."""
    done = None
    while done is None or done.returncode:  # it fails when another thread has just written
        now = os.statvfs(disk)
        pages = now.f_blocks - now.f_bfree + room // now.f_frsize
        size = max(pages, 1) * now.f_frsize
        done = subprocess.run(("mount", "-o", f"remount,size={size}", disk), capture_output=True)


def places(ready: Ready) -> list[Path]:
    """The folders that a stage writes to: outputs, those in which its other outputs lie, and that of checkpoints."""
    found = {path.parent if path.as_posix() in ready.after else path for path in undisturbed.outputs(ready.stage)}
    return sorted(found | ({CHECKPOINTS} if ready.stage in registry.NETWORKS.values() else set()))


def read_only(ready: Ready, place: Path) -> Trial:
    """Run a stage with a folder that it writes to mounted read-only."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = started(ready, Path(temporary))
        before = undisturbed.tree(folder)
        (folder / place).mkdir(parents=True, exist_ok=True)
        with mounted(folder / place, "--bind", str(folder / place)):
            subprocess.run(("mount", "-o", "remount,bind,ro", folder / place), check=True)
            ended = stage_runner.run_stages(folder, [ready.stage])
        return judged(ready, READ_ONLY, f"{place}", folder, before, ended)


def judged(ready: Ready, lacks: str, place: str, folder: Path, before: dict[str, str], ended: Outcome) -> Trial:
    """What is wrong after a stage ended on a disk that failed, and with what it leaves once the disk is mended."""
    if ended.code == 0:
        return Trial(ready.stage, lacks, place, False, kills.difference(folder, ready))
    problems = []
    lines = ended.printed.splitlines()
    if ended.code != 1 or len(lines) != 1 or lacks not in lines[0] or TEMPORARY.search(lines[0]):
        problems.append(f"exit code {ended.code}: {ended.printed[-300:]}")
    found = undisturbed.tree(folder)
    lost = [name for name in before if found.get(name) != before[name] and not rewritten(ready.stage, name)]
    left = [name for name in found if TEMPORARY.search(name)]
    problems += [f"{what}: {', '.join(names)}" for what, names in (("lost", lost), ("left behind", left)) if names]
    ended = undisturbed.again(folder, ready.stage)
    after = ended.printed if ended.code else kills.difference(folder, ready)
    return Trial(ready.stage, lacks, place, True, "; ".join([*problems, *([after] if after else [])]))


def rewritten(stage: str, name: str) -> bool:
    """Whether a file is the stage's own, which it may have begun to write anew."""
    return any(Path(name).is_relative_to(path) for path in undisturbed.outputs(stage))


def table(found: Sequence[Trial]) -> str:
    """A row a stage, as Markdown: trials that reached the fault, and how many of them ended as promised."""
    counted = [one for one in found if one.reached]
    tried = Counter((one.stage, one.lacks) for one in counted)
    kept = Counter((one.stage, one.lacks) for one in counted if not one.problem)
    rows = [["stage", f"{FULL}: trials, as promised", f"{READ_ONLY}: trials, as promised"], ["---"] * 3]
    for stage in PIPELINE:
        rows.append([f"`{stage}`", *(f"{tried[stage, lacks]}, {kept[stage, lacks]}" for lacks in (FULL, READ_ONLY))])
    return promises.markdown(rows)


def main(stages: Sequence[str], page: Path | None) -> None:
    if not can_mount():
        print("faults.disks: left out, for it may not mount here; run it as root on Linux", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as temporary:
        found = list(trials(Path(temporary), stages))
    failures = [one for one in found if one.problem]
    text = TEXT.format(table=table(found), total=sum(one.reached for one in found), failures=len(failures))
    print(text)
    if page:
        promises.write(page, SECTION, text)
    sys.exit("\n".join(map(str, failures)) if failures else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="*", default=list(PIPELINE))
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page whose section is made anew")
    arguments = parser.parse_args()
    stage_runner.preload(*undisturbed.HEAVY)
    main(arguments.stages, arguments.write)
