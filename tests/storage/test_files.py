"""Files appear whole or not at all, and a full disk is told in one line."""

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from stages import REMEDIES
from vad import VadError
from vad.storage import files, tables

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "scores.csv"
    files.write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VadError, match=rf"scores\.csv: can't be written \({os.strerror(code)}\); make room") as raised:
        files.write_text(path, "new")
    assert "\n" not in str(raised.value)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    files.write_text(path, "old")
    with pytest.raises(KeyError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_copy_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(256)))
    files.copy(tmp_path / "a", tmp_path / "deep" / "b")
    assert (tmp_path / "deep" / "b").read_bytes() == bytes(range(256))


def test_a_column_by_its_name_of_earlier_days_is_read(tmp_path: Path) -> None:
    (tmp_path / "corruption.csv").write_text("video,frame,flipped,static\n01,3,0,1\n")
    table = tables.read_csv(tmp_path / "corruption.csv", ["video", "frame", "flipped", "noisy"])
    assert table["noisy"].tolist() == [1] and table["video"].tolist() == ["01"]


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """Files end at 10 kB: pytest's own report, too, so that it must hold for the lines under test alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_weights_that_dont_fit_on_the_disk_are_told_like_any_other_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    weights = {"weights": np.zeros(10_000)}
    refused = pytest.raises(VadError, match=rf"{path}: can't be written \(File too large\); make room on its disk")
    with refused, small_disk(), files.replacing(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(weights))
    assert list(tmp_path.iterdir()) == []


def test_no_line_about_a_full_disk_names_a_command_that_deletes(tmp_path: Path) -> None:
    assert "rm" not in files.MAKE_ROOM.split() and "gc" not in files.MAKE_ROOM.split()
    assert all("gc" not in remedy.split() for remedy in REMEDIES.values())


def killed_writer(path: Path) -> Path:
    """Have a process write half of a file and be killed; the temporary file that it leaves."""
    code = (
        "import os, signal, sys; from pathlib import Path; from vad.storage import files\n"
        "with files.replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    before = set(path.parent.iterdir())
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=TOP)
    assert done.returncode == -signal.SIGKILL
    (left,) = set(path.parent.iterdir()) - before
    return left


@pytest.mark.parametrize("name", ["model.safetensors", "weights", "clip [1].zip"])
def test_what_a_killed_writer_left_is_removed_by_the_next_one_of_the_same_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    other = killed_writer(tmp_path / "other.safetensors")
    assert killed_writer(path) != killed_writer(path)
    files.write_text(path, "whole")
    assert set(tmp_path.iterdir()) == {path, other}


def test_a_folder_that_can_be_written_but_not_listed_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    files.write_text(tmp_path / "letters" / "a.txt", "whole")
    assert (tmp_path / "letters" / "a.txt").read_text() == "whole"


def test_what_a_running_writer_has_begun_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    begun = tmp_path / f".model.{os.getppid()}.tmp.safetensors"
    begun.write_text("half")
    files.write_text(path, "two")
    assert begun.exists() and path.read_text() == "two"


@pytest.mark.parametrize("name", ["models/.autoencoder.123.tmp.safetensors", "models/.weights.123.tmp"])
def test_git_ignores_what_a_killed_writer_left(name: str) -> None:
    assert subprocess.run(["git", "check-ignore", "-q", name], cwd=TOP).returncode == 0
