"""A stage under a launcher ends as one program does: its outputs, or one line that says why not."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from project import launch

TOP = Path(__file__).parents[2]
LAUNCHER = """
    import os, subprocess, sys
    started = [subprocess.Popen(sys.argv[1:], env=os.environ | {"RANK": str(rank)}) for rank in range(2)]
    sys.exit(max(128 - code if code < 0 else code for code in [process.wait() for process in started]))
"""
STAGE = """
    import os, signal, sys
    import stages
    from project import launch
    from vad import VadError

    def main(wanted, written):
        if launch.again():
            return
        rank = os.environ.get("RANK")
        print(f"process {rank} says so", file=sys.stderr)
        if rank == "1" and wanted.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if rank == "0" and wanted.name == "refused":
            raise VadError("data: it is so; mend it")
        if rank in (None, "0"):
            written.write_text(str(rank))

    stages.run(main)
"""


def run(folder: Path, wanted: str, **environment: str) -> tuple[int, str, Path]:
    """The exit status of a stage, what it said on stderr, and the file that it was to write."""
    for name, text in {"launcher.py": LAUNCHER, "stage.py": STAGE}.items():
        (folder / name).write_text(textwrap.dedent(text))
    settings = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (TOP, folder)))} | environment
    words = [sys.executable, "-m", "stage", wanted, "written"]
    done = subprocess.run(words, cwd=folder, env=settings, text=True, capture_output=True, timeout=120)
    return done.returncode, done.stderr, folder / "written"


UNDER = {"VAD_LAUNCH": f"{sys.executable} launcher.py"}


def test_a_stage_runs_as_the_processes_that_the_environment_asks_for(tmp_path: Path) -> None:
    status, said, written = run(tmp_path, "whole", **UNDER)
    assert (status, said, written.read_text()) == (0, "process 0 says so\n", "0")


def test_without_a_launcher_it_runs_alone(tmp_path: Path) -> None:
    status, said, written = run(tmp_path, "whole")
    assert (status, said, written.read_text()) == (0, "process None says so\n", "None")


def test_a_process_that_dies_ends_the_run_with_one_line(tmp_path: Path) -> None:
    status, said, _ = run(tmp_path, "killed", **UNDER)
    expected = "stage: a process was ended by SIGKILL; .dvc/tmp/launch/stage has what they printed; "
    assert status == 1 and said == f"{expected}`dvc repro` goes on from the last checkpoint\n"
    assert (tmp_path / ".dvc/tmp/launch/stage/1.log").read_text() == "process 1 says so\n"


def test_what_a_process_can_say_of_its_end_is_the_line(tmp_path: Path) -> None:
    status, said, _ = run(tmp_path, "refused", **UNDER)
    assert (status, said) == (1, "data: it is so; mend it\n")


def test_a_launcher_that_is_not_there_is_named(tmp_path: Path) -> None:
    status, said, _ = run(tmp_path, "whole", VAD_LAUNCH="no-such-launcher -n 2")
    assert status == 1 and said.startswith("VAD_LAUNCH: no-such-launcher can't be started (")
    assert run(tmp_path, "whole", VAD_LAUNCH="torchrun 'a")[1].startswith('VAD_LAUNCH = "torchrun \'a": ')


def test_torchrun_takes_the_module_and_others_a_program() -> None:
    of_torch = [sys.executable, "-m", "torch.distributed.run"]
    stage = ["stages.train", "a"]
    assert launch.command(["torchrun", "--nproc-per-node", "2"], stage) == [
        *of_torch, "--nproc-per-node", "2", "-m", *stage,
    ]  # fmt: skip
    assert launch.command(["srun", "torchrun"], stage) == ["srun", *of_torch, "-m", *stage]
    assert launch.command(["srun", "-n", "2"], stage) == ["srun", "-n", "2", sys.executable, "-m", *stage]


def test_the_process_that_failed_first_is_read_from_what_torchrun_reports(tmp_path: Path) -> None:
    report = (
        "Failures:\n  rank      : 0\n  exitcode  : 1\nRoot Cause:\n  rank      : 3 (local_rank: 1)\n  exitcode  : -9\n"
    )
    (tmp_path / "launcher.log").write_text(report)
    assert launch.how_it_ended("train", 1, tmp_path).startswith("train: process 3 was ended by SIGKILL; ")


def test_devices_of_lightning_are_processes_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch.launcher() == []
    monkeypatch.setenv("LT_DEVICES", "2")
    assert launch.launcher() == ["torchrun", "--standalone", "--nproc-per-node", "2"]
    monkeypatch.setenv("VAD_LAUNCH", "srun --ntasks 3")
    assert launch.launcher() == ["srun", "--ntasks", "3"]
