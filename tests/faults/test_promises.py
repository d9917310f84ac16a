"""Samples of the trials in docs/PROMISES.md; `make test-all` makes the whole of them."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults import disks, kills
from project import workspaces
from tests.clone import Clone, settings

TOP = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (TOP / "docs/PROMISES.md").read_text(encoding="utf-8")))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (TOP / "tests").rglob("test_*.py"))
    assert len(named) > 20 and named <= set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))


def test_a_stage_killed_at_a_write_runs_again_to_the_same_files_and_leaves_no_others(tmp_path: Path) -> None:
    found = list(kills.trials(tmp_path, ["check", "fetch", "extract"], least=0, per_stage=2))
    assert [str(one) for one in found if one.problem] == []
    assert {one.stage for one in found if one.alive} == {"check", "fetch", "extract"}
    assert sum(one.alive for one in found) == len(found) > 10


@pytest.mark.skipif(not disks.can_mount(), reason="may not mount here")
def test_a_full_or_read_only_disk_ends_a_stage_in_one_line_and_loses_nothing(tmp_path: Path) -> None:
    found = list(disks.trials(tmp_path, ["check", "fetch", "extract"], most=1))
    assert [one for one in found if one.problem] == []
    assert {(one.stage, one.lacks) for one in found if one.reached} == {
        (stage, lacks) for stage in ("check", "fetch", "extract") for lacks in (disks.FULL, disks.READ_ONLY)
    }


def test_mutated_files_of_every_kind_end_in_a_result_or_one_line_in_little_memory(tmp_path: Path) -> None:
    command = sys.executable, "-m", "faults.mutants", "--count", "25", "--kept", str(tmp_path)
    done = subprocess.run(command, cwd=TOP, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


KILLED_AT = "fetch", "extract", "resize", "train", "train", "evaluate"


@pytest.mark.slow
def test_a_dvc_repro_that_is_killed_again_and_again_ends_with_the_outputs_of_one_that_is_not(
    clone: Clone, tmp_path: Path
) -> None:
    other = Clone(tmp_path)
    for number, stage in enumerate(KILLED_AT):
        printed = tmp_path / "printed"
        with open(printed, "w") as out:
            repro = subprocess.Popen(
                ["dvc", "repro"], cwd=other.folder, env=settings(), stdout=out, start_new_session=True
            )
        while f"Running stage '{stage}'" not in printed.read_text():
            assert repro.poll() is None, printed.read_text()
            time.sleep(0.02)
        time.sleep(random.Random(number).uniform(0, 2))
        # DVC alone, or all that it started, too.
        (os.kill if number % 2 else os.killpg)(repro.pid, signal.SIGKILL)
        assert repro.wait() == -signal.SIGKILL
    other.run("dvc", "repro")
    printed.unlink()
    assert other.outputs() == clone.outputs()
    assert workspaces.stale(other.folder) == []
