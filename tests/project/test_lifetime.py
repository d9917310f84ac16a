"""A stage ends with whoever started it, and on a signal: in one line, with nothing half-written and nothing running."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

TOP = Path(__file__).parents[2]
STAGE = """
import os, sys, time
from pathlib import Path
import stages
from vad.storage import files
{first}
def main(out):
    with files.replacing(out) as temporary:
        temporary.write_text("half of it")
        try:
            Path("begun").touch()
            time.sleep(60)
        finally:
            time.sleep({cleaning})
            Path("cleaned").touch()
stages.run(main)
"""


def write_stage(folder: Path, first: str = "", cleaning: float = 0) -> list[str]:
    """A stage that takes a minute, as a command. `first`: what it does before it begins."""
    (folder / "slow.py").write_text(STAGE.format(first=first, cleaning=cleaning))
    return [sys.executable, str(folder / "slow.py"), "out.csv"]


def started(command: list[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a command as from a terminal, where these tests run under nohup as well."""
    environment = os.environ | {"PYTHONPATH": str(TOP)} | environment
    terminal = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stderr=subprocess.PIPE, preexec_fn=terminal
    )


def wait_for(path: Path) -> None:
    for _ in range(1200):
        if path.exists():
            return
        time.sleep(0.05)
    pytest.fail(f"{path.name} was not there within a minute")


def has_ended(process: int) -> bool:
    """Whether a process, of whatever parent, is gone within a minute."""
    for _ in range(600):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_stage_in_one_line_with_its_exit_code_and_nothing_half_written(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    stage = started(write_stage(tmp_path), tmp_path)
    wait_for(tmp_path / "begun")
    stage.send_signal(number)
    assert stage.communicate()[1] == (
        f"slow: ended by {number.name}, nothing is half-written; `dvc repro` goes on from here\n"
    )
    assert stage.returncode == code and left(tmp_path) == {"slow.py", "begun", "cleaned"}


def test_a_second_signal_does_not_disturb_what_the_first_one_ends(tmp_path: Path) -> None:
    stage = started(write_stage(tmp_path, cleaning=1), tmp_path)
    wait_for(tmp_path / "begun")
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        stage.send_signal(number)
        time.sleep(0.2)
    assert stage.communicate()[1].count("\n") == 1
    assert left(tmp_path) == {"slow.py", "begun", "cleaned"}


def test_a_stage_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    stage = started(write_stage(tmp_path, "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"), tmp_path)
    wait_for(tmp_path / "begun")
    stage.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        stage.wait(1)
    stage.terminate()
    assert stage.wait() == 143


PARENT = "import subprocess, sys; child = subprocess.Popen(sys.argv[1:]); print(child.pid, flush=True); child.wait()"
OTHER_SYSTEM = "sys.platform = 'darwin'"


@pytest.mark.parametrize("first", ["", OTHER_SYSTEM], ids=["linux", "elsewhere"])
@pytest.mark.parametrize("shell", [False, True], ids=["its child", "behind a shell that waits"])
def test_a_stage_ends_with_whoever_started_it(tmp_path: Path, first: str, shell: bool) -> None:
    command = write_stage(tmp_path, f"Path('pid').write_text(str(os.getpid())); {first}")
    if shell:  # what comes after keeps any shell from becoming the stage, and names one as DVC's commands do
        command = ["/bin/sh", "-c", f"{' '.join(command)}; : python -m stages.slow"]
    parent = started([sys.executable, "-c", PARENT, *command], tmp_path, DVC_STAGE="slow")
    wait_for(tmp_path / "begun")
    parent.kill()
    assert has_ended(int((tmp_path / "pid").read_text()))
    parent.communicate()
    assert left(tmp_path) == {"slow.py", "pid", "begun", "cleaned"}


def test_a_stage_whose_parent_ended_while_it_was_loading_does_not_begin(tmp_path: Path) -> None:
    first = "Path('pid').write_text(str(os.getpid()))\nwhile os.getppid() == stages.lifetime.BORN[1]: time.sleep(0.05)"
    parent = started([sys.executable, "-c", PARENT, *write_stage(tmp_path, first)], tmp_path)
    wait_for(tmp_path / "pid")
    time.sleep(0.2)
    parent.kill()
    assert has_ended(int((tmp_path / "pid").read_text()))
    parent.communicate()
    assert left(tmp_path) == {"slow.py", "pid"}


MANY_CLIPS = """
import resource, stages, sys

def main() -> None:
    files = [open(__file__) for _ in range(200)]

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
stages.run(main)
"""


def test_a_stage_opens_more_clips_than_a_usual_limit_of_open_files_allows(tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text(MANY_CLIPS)
    subprocess.run([sys.executable, tmp_path / "many.py"], env=os.environ | {"PYTHONPATH": str(TOP)}, check=True)
