"""Jobs on many machines: each a fresh clone, two at once, one killed half-way; nothing is lost, nothing done twice."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clone import Clone, settings

TOP = Path(__file__).parents[2]
NAMES = ("gamma_2", "per_video", "gaussian_3", "view_identity", "gamma_05", "median_9", "global", "layer3_alone")
"""Ablations that only fuse scores anew."""


def job(git_remote: Path, name: str, folder: Path) -> "subprocess.Popen[str]":
    """Start a job as on a machine of its own: its temporary folder and its DVC cache are its alone."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    own = {"TMPDIR": str(folder / "tmp"), "VAD_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        [TOP / "cluster" / "job", git_remote, "sample", name],
        cwd=folder, env=settings() | own, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finished(git_remote: Path, name: str, folder: Path) -> str:
    """What a job printed that has succeeded."""
    start = time.monotonic()
    process = job(git_remote, name, folder)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    print(f"{time.monotonic() - start:6.1f} s  {printed.splitlines()[-1]}")
    return printed


def kill_half_way(git_remote: Path, name: str, folder: Path) -> None:
    """Start a job, and kill it and all that it has started once it has prepared its experiment."""
    process = job(git_remote, name, folder)
    while not list(folder.glob("tmp/*/project/.dvc/tmp/workspaces/sample/.dvc/tmp/exps")) and process.poll() is None:
        time.sleep(0.2)
    assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    print(f"          sample {name}: killed half-way")


@pytest.mark.slow
def test_of_jobs_of_which_one_is_killed_nothing_is_lost_and_nothing_is_done_twice(
    restored: Clone, tmp_path: Path, s3: str
) -> None:
    names = NAMES[: int(os.environ.get("JOBS", "4"))]
    before = restored.run("git", "rev-parse", "HEAD").strip()
    restored.set(**{"data.root": str(restored.root)})
    restored.run("dvc", "remote", "add", "--default", "lab", "s3://lab/project")
    restored.run("dvc", "remote", "modify", "lab", "endpointurl", s3)
    restored.run("dvc", "repro", "--quiet")
    restored.run("dvc", "push", "--quiet", "--run-cache")
    restored.run("git", "commit", "-qam", "the base is computed, and all have it")
    git_remote = tmp_path / "project.git"
    restored.run("git", "clone", "-q", "--bare", str(restored.folder), str(git_remote))
    restored.run("git", "reset", "-q", "--hard", before)

    kill_half_way(git_remote, names[0], tmp_path / "machine-0")
    with ThreadPoolExecutor(2) as two:
        printed = list(two.map(lambda place: finished(git_remote, names[place], tmp_path / f"machine-{place}"),
                               range(len(names))))  # fmt: skip
    assert [text.splitlines()[-1] for text in printed] == [f"sample {name}: done" for name in names]
    assert finished(git_remote, names[0], tmp_path / "elsewhere") == f"sample {names[0]}: done before\n"

    refs = restored.run("git", "-C", str(git_remote), "for-each-ref", "--format", "%(refname)").splitlines()
    assert sorted(ref for ref in refs if ref.startswith("refs/heads/results/")) == sorted(
        f"refs/heads/results/sample/{name}" for name in names
    )
    assert sorted(ref.rsplit("/", 1)[1] for ref in refs if ref.startswith("refs/exps/")) == sorted(names)
    home = tmp_path / "home"
    restored.run("git", "clone", "-q", str(git_remote), str(home))
    subprocess.run([TOP / "cluster" / "collect", git_remote], cwd=home, env=settings(), check=True)
    for name in names:
        result = json.loads((home / "experiments/results/sample" / f"{name}.json").read_text())
        assert (result["experiment"], result["data"]) == (name, "sample")
        assert set(result["difference"]) == {"benchmark", "validation"}
