"""Everything in a data folder is used, refused, or counted aloud."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faults import stage_runner
from faults.stage_runner import ROOT, write_video
from tests.tiny_clips import walking_square, write_frames
from vad import VadError
from vad.data import clips, decode, inventory, sources


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """data.root of a small sound data set."""
    stage_runner.write_clips(tmp_path / ROOT)
    stage_runner.set_params(tmp_path)
    return tmp_path / ROOT


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something")
    return path


def run(root: Path) -> tuple[stage_runner.Outcome, dict[str, dict[str, object]]]:
    """Fetch and extract: how they ended, and metrics/data.json."""
    folder = root.parents[1]
    ended = stage_runner.run_stages(folder, ("fetch", "extract"))
    metrics = folder / "metrics/data.json"
    return ended, json.loads(metrics.read_text()) if ended.code == 0 else {}


def test_what_is_not_used_is_counted_by_reason_and_said_in_one_line(root: Path) -> None:
    for number in range(5):
        write(root / "training" / "01" / f"frame_{number:05d}.xml")
    write(root / "testing" / "notes.txt")
    write(root / "training" / "01" / "thumbs" / "frame_00000.jpg")
    write(root / "training_vol" / "vol01.mat")
    write(root / "pixel-play-26.zip")
    ended, counts = run(root)
    assert counts["ignored"] == {
        "neither frames nor videos": {
            "files": 6, "first": "testing/notes.txt, training/01/frame_00000.xml, training/01/frame_00001.xml, ..."
        },
        "outside of the folders of clips": {"files": 2, "first": "pixel-play-26.zip, training_vol/vol01.mat"},
        "in folders within clips": {"files": 1, "first": "training/01/thumbs/frame_00000.jpg"},
    }  # fmt: skip
    (said,) = ended.notes.splitlines()
    assert said.startswith(
        "data/external: files that are not used: 2 outside of the folders of clips (pixel-play-26.zip"
    )
    assert "6 neither frames nor videos (testing/notes.txt" in said and counts["test"]["frames"] == 24


def test_clips_beside_a_folder_frames_are_counted_too(root: Path) -> None:
    for clip in list((root / "testing").iterdir()):
        (root / "testing" / "frames").mkdir(exist_ok=True)
        clip.rename(root / "testing" / "frames" / clip.name)
    write_video(root / "testing" / "03.avi", walking_square(3))
    ended, counts = run(root)
    assert counts["ignored"] == {"outside of the folders of clips": {"files": 1, "first": "testing/03.avi"}}
    assert "testing/03.avi" in ended.notes


def test_what_lies_beside_archives_is_counted(root: Path) -> None:
    folder = root.parents[1]
    made = shutil.make_archive(str(folder / "clips"), "zip", root)
    shutil.rmtree(root)
    root.mkdir()
    shutil.move(made, root / "clips.zip")
    write(root / "03.avi")
    _, counts = run(root)
    assert counts["ignored"] == {"beside the archives": {"files": 1, "first": "03.avi"}}


def test_documents_labels_and_litter_are_known_quietly(root: Path) -> None:
    for name in ("README", "LICENSE.txt", ".hidden", ".DS_Store", "desktop.ini", "__MACOSX/._01", "labels.csv"):
        write(root / name)
    for name in ("Thumbs.db", ".frame_00001.jpg.swp", "@eaDir/frame_00001.jpg/thumb.jpg"):
        write(root / "training" / "01" / name)
    write(root / "ground_truth_demo" / "testing_label_mask" / "1_label.mat")
    ended, counts = run(root)
    assert (ended.printed, ended.notes) == ("", "") and "ignored" not in counts


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("testing/02.avi.part", "an unfinished download; finish it or remove it"),
        ("testing/03.mp4.crdownload", "an unfinished download"),
        ("training/01/frame_00099.jpg.part", "an unfinished download"),
        ("labels.csv.tmp", "an unfinished download"),
        ("testing/03.zip", "not read where clips lie; make it a video or a folder of images, or remove it"),
        ("testing/frame_00001.jpg", "not read where clips lie"),
        ("training/01/02.avi", "not read where frames lie; make it PNG or JPEG images, or move it out of the clip"),
        ("training/01/frame_00099.HEIC", "not read where frames lie"),
        ("training/01/frame_00099.gif", "not read where frames lie"),
    ],
)
def test_what_may_hold_frames_and_is_not_read_is_refused(root: Path, name: str, reason: str) -> None:
    write(root / name)
    ended, _ = run(root)
    assert ended.code == 1 and ended.printed.startswith(f"data/external/{name}: {reason}")
    assert len(ended.printed.splitlines()) == 1


@pytest.mark.parametrize("suffix", [".jpe", ".ppm", ".pgm", ".pbm", ".pnm", ".JPG", ".tif"])
def test_frames_of_every_format_that_can_be_read_are_used(tmp_path: Path, suffix: str) -> None:
    write_frames(tmp_path / "01", walking_square(4))
    image = Image.open(tmp_path / "01" / "frame_00002.jpg")
    (tmp_path / "01" / "frame_00002.jpg").unlink()
    mode = {".pgm": "L", ".pbm": "1"}.get(suffix, "RGB")
    image.convert(mode).save(tmp_path / "01" / f"frame_00002{suffix}", "JPEG" if "j" in suffix.lower() else None)
    (clip,) = sources.find_clips(tmp_path)
    stored = {frame.number: frame for frame in decode.frames(clip)}
    assert list(stored) == [0, 1, 2, 3]
    pixels = np.asarray(clips.decode(stored[2].data, "")).astype(int)
    assert np.abs(pixels - np.asarray(image.convert(mode).convert("RGB"))).mean() < 8


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".flv", "FLV1"), (".3gp", "mp4v"), (".ts", "mp4v"), (".asf", "DIV3"), (".mjpeg", "MJPG"), (".vob", "PIM1")],
)
def test_clips_of_every_format_that_can_be_read_are_used(tmp_path: Path, suffix: str, codec: str) -> None:
    write_video(tmp_path / f"01{suffix}", walking_square(30), codec)
    (clip,) = sources.find_clips(tmp_path)
    found = list(decode.frames(clip))
    assert [frame.number for frame in found] == decode.numbers(clip).tolist() == list(range(30))
    assert np.abs(np.asarray(clips.decode(found[7].data, "")).astype(int) - walking_square(30)[7]).mean() < 12


@pytest.mark.parametrize("name", ["testing", "testing/01", "training/03", "elsewhere"])
def test_a_link_to_a_folder_is_refused_with_what_makes_it_work(root: Path, tmp_path: Path, name: str) -> None:
    """DVC does not see what changes behind one, but behind links to files it does."""
    place, path = tmp_path / "the lab's" / name, root / name
    place.parent.mkdir(parents=True)
    path.rename(place) if path.exists() else place.mkdir()
    path.symlink_to(place)
    for folder in ("data/truth", "data/given"):
        (tmp_path / folder).mkdir()
    for stage in ("check", "fetch"):
        ended = stage_runner.run_stages(tmp_path, (stage,))
        assert ended.code == 1 and ended.printed.startswith(
            f"data/external/{name}: a link to a folder, behind which DVC"
        )
    remedy = ended.printed.partition("links to the files: ")[2]
    subprocess.run(["bash", "-ec", remedy], cwd=tmp_path, check=True)
    ended, counts = run(root)
    assert ended.code == 0 and counts["test"]["frames"] == 24


def test_the_data_s_own_folder_may_be_a_link(root: Path, tmp_path: Path) -> None:
    root.rename(tmp_path / "lab")
    root.symlink_to(tmp_path / "lab")
    assert run(root)[1]["test"]["frames"] == 24


def test_a_folder_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    write_frames(tmp_path / "01", walking_square(3))
    before = inventory.look(tmp_path)
    inventory.refuse_changed(before, inventory.look(tmp_path))
    path = tmp_path / "01" / "frame_00001.jpg"
    for change in (lambda: path.write_bytes(path.read_bytes() + b" "), path.unlink, lambda: write(tmp_path / "02.avi")):
        change()
        with pytest.raises(VadError, match=r"(frame_00001\.jpg|02\.avi): came, went or changed while .*; run again"):
            inventory.refuse_changed(before, inventory.look(tmp_path))
        before = inventory.look(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(root: Path) -> None:
    for name in ("testing/03.avi", "training/01/frame_00003.jpg", "labels.csv", "notes.txt"):
        (root / name).unlink(missing_ok=True)
        os.mkfifo(root / name)
        ended, _ = run(root)
        assert ended.code == 1 and ended.printed == f"data/external/{name}: a pipe, socket or device; remove it"
        (root / name).unlink()


@pytest.mark.parametrize("name", ["01\nAll is well", "01\x1b[2J", "01\u2028x", "01\u202egpj"])
@pytest.mark.parametrize("place", ["testing/{}.avi", "testing/{}/frame_00001.jpg", "training/01/{}_99.jpg", "{}.txt"])
def test_no_name_of_a_file_can_forge_a_line(root: Path, place: str, name: str) -> None:
    path = write(root / place.format(name))
    ended, _ = run(root)
    named = path if path.name.isprintable() is False else path.parent
    shown = repr(str(named.relative_to(root.parents[1])))
    assert ended.code == 1 and ended.printed == f"{shown}: a name must be printable text; rename it"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (
            ["frame_99999999999999999999.jpg"],
            "frame number is above 9007199254740992; name frames like frame_00012.jpg",
        ),
        (["frame_9" + "9" * 200 + ".jpg"], "frame number is above 9007199254740992"),
        (["1700000000000000.jpg"], "frames 0 to 1700000000000000; number them one by one, not by time"),
    ],
)
def test_a_frame_number_beyond_all_clips_is_refused(root: Path, names: list[str], reason: str) -> None:
    for name in names:
        write(root / "training" / "01" / name)
    ended, _ = run(root)
    assert ended.code == 1 and reason in ended.printed and len(ended.printed.splitlines()) == 1
