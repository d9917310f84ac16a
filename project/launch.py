"""A stage that trains, started again as several processes by the launcher that VAD_LAUNCH names.

    VAD_LAUNCH="torchrun --nproc-per-node 4" dvc repro              # one machine; LT_DEVICES=4 says the same
    VAD_LAUNCH="srun --ntasks-per-node 4" dvc repro                 # all machines of a Slurm job

It stands in the environment because it changes how fast a stage runs, not what it gives: DVC sees nothing of it.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from project import lifetime
from vad import VadError
from vad.storage import files

LOGS = Path(".dvc/tmp/launch")
"""A folder for each stage, with what its processes printed last time."""
WITHIN = "VAD_LAUNCHED"
"""Of the environment of the processes: their folder in LOGS."""
TOLD = "told"
"""The file there in which a process says why it ends, in one line that the user can mend."""


def again() -> bool:
    """Run this very stage as the processes of a launcher, if the environment names one; whether it did.

    Raises VadError when one of them failed: with what it said, or else which one it was and how it ended.
    """
    words = launcher()
    if WITHIN in os.environ or not words:
        return False
    program = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
    stage = program.rpartition(".")[2]
    logs = LOGS / stage
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    status = _run(command(words, [program, *sys.argv[1:]]), logs)
    if status:
        told = logs / TOLD
        raise VadError(told.read_text(encoding="utf-8").strip() if told.exists() else how_it_ended(stage, status, logs))
    first = logs / "0.log"
    sys.stderr.write(first.read_text(encoding="utf-8") if first.exists() else "")
    return True


def launcher() -> list[str]:
    """The command line of the launcher that the environment names; nothing where it names none."""
    text = os.environ.get("VAD_LAUNCH", "")
    devices = os.environ.get("LT_DEVICES", "1")
    if not text and devices.isdecimal() and int(devices) > 1:
        text = f"torchrun --standalone --nproc-per-node {devices}"
    try:
        return shlex.split(text)
    except ValueError as error:
        raise VadError(f"VAD_LAUNCH = {text!r}: {error}; write it as on a command line") from None


def command(launching: list[str], stage: list[str]) -> list[str]:
    """The command line of a launcher for a stage, which is its module's name and its arguments.

    torchrun takes modules, others programs; it is that of this Python, on the PATH or not.
    """
    of_torch = [sys.executable, "-m", "torch.distributed.run"]
    words = [part for word in launching for part in (of_torch if word == "torchrun" else [word])]
    return [*words, *([] if "torchrun" in launching else [sys.executable]), "-m", *stage]


def _run(words: list[str], logs: Path) -> int:
    """The exit status of a launcher, which ends with this process."""
    with open(logs / "launcher.log", "wb") as log:
        try:
            process = subprocess.Popen(
                words,
                env=os.environ | {WITHIN: str(logs)},
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lifetime.end_with_parent,
            )
        except OSError as error:
            raise VadError(f"VAD_LAUNCH: {words[0]} can't be started ({error.strerror}); correct or unset it") from None
        try:
            return process.wait()
        except lifetime.Stopped:
            process.send_signal(signal.SIGTERM)
            process.wait()  # for the checkpoint
            raise


def _told(logs: Path) -> str:
    told = logs / TOLD
    return told.read_text(encoding="utf-8") if told.exists() else ""


def how_it_ended(stage: str, status: int, logs: Path) -> str:
    """Which process ended how, in a line, from a launcher's exit status and what it printed."""
    printed = (logs / "launcher.log").read_text(encoding="utf-8", errors="replace")
    # Of torchrun's report on the process that failed first.
    found = re.search(r"Root Cause.*?\brank\s*: (\d+).*?\bexitcode\s*: (-?\d+)", printed, re.DOTALL)
    who, code = (f"process {found[1]}", int(found[2])) if found else ("a process", status)
    number = -code if code < 0 else code - 128  # of a signal, by the launcher itself or as a shell tells it
    known = number in {each.value for each in signal.Signals}
    by = f"was ended by {signal.Signals(number).name}" if known else f"failed with exit code {code}"
    return f"{stage}: {who} {by}; {logs} has what they printed; `dvc repro` goes on from the last checkpoint"


def write_own_log() -> None:
    """In a launcher's process: print to a file of its own. That of the first is shown at the end of a healthy run."""
    if logs := os.environ.get(WITHIN):
        rank = os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or "0"
        sys.stderr = open(Path(logs) / f"{rank}.log", "w", buffering=1, encoding="utf-8")  # noqa: SIM115


def tell(reason: str) -> None:
    """In a process of a launcher: leave word of why it ends, for the line with which all of them do."""
    if logs := os.environ.get(WITHIN):
        files.write_text(Path(logs) / TOLD, reason)
