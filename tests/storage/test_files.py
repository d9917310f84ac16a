"""Files appear whole or not at all, and a full disk is told in one line."""

import errno
import os
from pathlib import Path

import pytest

from vad import VadError
from vad.storage import files, tables


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
