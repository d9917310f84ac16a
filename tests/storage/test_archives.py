import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from vad import VadError
from vad.storage import archives


def make(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def with_mode(path: Path, name: str, mode: int, content: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, content)
    return path


def damage(path: Path, content: bytes) -> None:
    """Change one byte of the stored content, leaving everything around it."""
    whole = path.read_bytes()
    at = whole.index(content)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


def refused(archive: Path, caps: archives.Caps | None = None) -> str:
    """The error of unpacking `archive`; nothing may be left of it."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(VadError) as error:
        archives.unpack(archive, archive.parent / "out", *([caps] if caps else []))
    assert sorted(archive.parent.rglob("*")) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def test_archive_unpacks_to_what_was_packed(tmp_path: Path) -> None:
    members = {"a.csv": b"Id\n", "deep/er/frame_00001.jpg": bytes(range(256)), "deep/empty": b"", "ü/é.txt": b"x"}
    folder = archives.unpack(make(tmp_path / "a.zip", members), tmp_path / "out")
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == members
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../escaped.txt", "leads out of the folder"),
        ("fine/../../escaped.txt", "leads out of the folder"),
        ("/etc/passwd", "leads out of the folder"),
        ("..\\escaped.txt", "leads out of the folder"),
        ("C:/escaped.txt", "leads out of the folder"),
        ("fine/..", "leads out of the folder"),
        (".", "no usable file name"),
        ("a\nb.jpg", "no usable file name"),
    ],
)
def test_no_path_leaves_the_folder(tmp_path: Path, name: str, problem: str) -> None:
    message = refused(make(tmp_path / "a.zip", {"good.txt": b"x", name: b"owned"}))
    assert problem in message
    assert repr(name) in message


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is a device or pipe"), (stat.S_IFBLK, "is a device or pipe")],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: int, problem: str) -> None:
    assert problem in refused(with_mode(tmp_path / "a.zip", "innocent.jpg", kind | 0o777, b"/etc/passwd"))


def test_permission_bits_of_the_archive_are_not_taken_over(tmp_path: Path) -> None:
    archive = with_mode(tmp_path / "a.zip", "tool", stat.S_IFREG | 0o6777, b"#!/bin/sh\n")
    assert (archives.unpack(archive, tmp_path / "out") / "tool").stat().st_mode & 0o7111 == 0


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("a.txt", b"first")
        archive.writestr("a.txt", b"second")
    assert "'a.txt' occurs twice" in refused(tmp_path / "a.zip")


def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path) -> None:
    assert "both a file and a folder" in refused(make(tmp_path / "a.zip", {"a": b"x", "a/b": b"y"}))


def test_zip_bomb_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    message = refused(make(tmp_path / "a.zip", {"bomb.mat": bytes(20_000_000)}))
    assert "'bomb.mat' unpacks to 20 MB" in message
    assert "zip bomb" in message


def test_bomb_of_many_small_members_is_refused(tmp_path: Path) -> None:
    assert "zip bomb" in refused(make(tmp_path / "a.zip", {f"{n}.mat": bytes(1_000_000) for n in range(30)}))


def test_small_tables_may_shrink_much(tmp_path: Path) -> None:
    archives.unpack(make(tmp_path / "a.zip", {"zeros.csv": b"0,0\n" * 200_000}), tmp_path / "out")
    assert (tmp_path / "out" / "zeros.csv").stat().st_size == 800_000


def test_caps_hold(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a": b"12345", "b": b"12345"})
    assert "holds 2 files, at most 1" in refused(archive, archives.Caps(files=1))
    assert "unpacks to 10 bytes, at most 9 bytes" in refused(archive, archives.Caps(bytes=9))


def test_damaged_member_is_named(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"good.jpg": b"sound", "bad.jpg": b"content-of-bad"}, zipfile.ZIP_STORED)
    archives.check(archive)
    damage(archive, b"content-of-bad")
    assert "'bad.jpg' can't be read" in refused(archive)
    with pytest.raises(VadError, match=r"'bad\.jpg' can't be read"):
        archives.check(archive)


def test_half_an_archive_is_refused(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a": bytes(range(256)) * 10}, zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes()[:1500])
    assert "not a whole zip archive" in refused(archive)


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.txt": b"x"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(bytes(content))
    assert "'a.txt' is encrypted" in refused(archive)


def test_a_folder_with_files_in_it_is_left_alone(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.txt": b"new"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("mine")
    assert "already holds files" in refused(archive)
    assert (tmp_path / "out" / "a.txt").read_text() == "mine"


def test_remains_of_a_killed_run_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".out.unpacking").mkdir()
    (tmp_path / ".out.unpacking" / "half").write_text("")
    folder = archives.unpack(make(tmp_path / "a.zip", {"a.txt": b"x"}), tmp_path / "out")
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


def test_a_missing_archive_is_said_so(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.zip")


def test_members_that_a_damaged_directory_hides_are_missed(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {f"frame_{number}.jpg": b"x" for number in range(5)})
    whole = bytearray(archive.read_bytes())
    second = whole.index(b"PK\1\2", whole.index(b"PK\1\2") + 1)
    length = len("frame_1.jpg") + 46
    whole[second + 32 : second + 34] = (2 * length).to_bytes(2, "little")  # its comment is two members long
    archive.write_bytes(whole)
    with zipfile.ZipFile(archive) as found:
        assert len(found.infolist()) == 3
    assert "its directory is damaged: it has 5 members and lists 3" in refused(archive)


def test_a_zip_of_a_version_that_python_does_not_read_is_refused_in_one_line(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.csv": b"Id\n"})
    whole = bytearray(archive.read_bytes())
    whole[whole.index(b"PK\1\2") + 6] = 163
    archive.write_bytes(whole)
    assert "not a whole zip archive (zip file version 16.3)" in refused(archive)


def test_a_count_of_members_that_began_anew_at_65536_is_believed(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {f"{number}": b"" for number in range(65_540)}, zipfile.ZIP_STORED)
    whole = archive.read_bytes()
    end = whole.rindex(b"PK\5\6")
    of_zip64 = 56 + 20  # its record and its locator, which programs that count so do not write
    archive.write_bytes(
        whole[: end - of_zip64] + whole[end : end + 8] + (4).to_bytes(2, "little") * 2 + whole[end + 12 :]
    )
    with archives.opened(archive) as found:
        assert len(found.infolist()) == 65_540
