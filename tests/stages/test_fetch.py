"""Fetch: the same clips from a folder, a zip, or Kaggle's own machines, wherever they lie in it."""

import json
import shutil
from pathlib import Path

import pytest

from faults import damage, stage_runner
from faults.stage_runner import ROOT
from stages import extract, fetch
from vad import VadError
from vad.data import sources
from vad.storage import archives


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a small data set as data.root, in the layout of `folder`."""
    stage_runner.write_clips(tmp_path / ROOT)
    (tmp_path / ROOT / "README.md").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fetched(source: str = "pixel-play-26") -> dict[str, list[tuple[str, str]]]:
    """What fetch finds: of each split the clips and their digests."""
    stage_runner.set_params(Path(), source=source)
    fetch.main(Path("data/raw"), Path("data/labels"))
    manifest = json.loads(Path("data/raw/manifest.json").read_text())
    return {split: [(clip["video"], clip["digest"]) for clip in clips] for split, clips in manifest.items()}


def to_kaggle_tree(folder: Path) -> None:
    """Move the clips to where the competition's archive has them."""
    inner = folder / ROOT / "Avenue_Corrupted-20251221T112159Z-3-001" / "Avenue_Corrupted" / "Dataset"
    for split in ("training", "testing"):
        shutil.move(folder / ROOT / split, inner / f"{split}_videos")
    (folder / ROOT / "labels.csv").unlink()


def test_folder_zip_and_kaggles_machine_give_the_same_clips(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fetched("folder")
    ids = (folder / ROOT / "sample_submission.csv").read_bytes()
    to_kaggle_tree(folder)
    assert fetched() == expected
    shutil.copytree(folder / ROOT, folder / "kaggle" / "input")
    made = shutil.make_archive("pixel-play-26", "zip", ROOT)
    shutil.rmtree(ROOT)
    ROOT.mkdir()
    shutil.move(made, damage.ARCHIVE)
    assert fetched() == expected
    assert (folder / "data/raw/sample_submission.csv").read_bytes() == ids
    assert fetched() == expected  # again, over what the first run left
    (folder / damage.ARCHIVE).rename(folder / "elsewhere.zip")
    (folder / ROOT / "notes.txt").write_text("not empty: nothing is downloaded")
    with pytest.raises(VadError, match="no folder training or training_videos in it"):
        fetched()
    (folder / ROOT / "notes.txt").unlink()
    monkeypatch.setattr(fetch, "KAGGLE_INPUT", folder / "kaggle" / "input")
    (folder / ROOT / "README.md").write_text("the project's own, still nothing of the user's")
    assert fetched() == expected
    assert not (folder / "data/raw/unpacked").exists()
    stage_runner.set_params(folder, source="pixel-play-26", root="elsewhere.zip")
    fetch.main(Path("data/raw"), Path("data/labels"))
    assert (folder / "data/raw/unpacked/elsewhere").is_dir()


def test_the_competitions_data_bring_no_labels(folder: Path) -> None:
    fetched()
    assert [path.name for path in (folder / "data/labels").iterdir()] == ["README.md"]
    fetched("folder")
    assert [path.name for path in (folder / "data/labels").iterdir()] == ["labels.csv"]


def test_an_archive_that_is_refused_leaves_nothing(folder: Path) -> None:
    damage.pack_with("../escaped.txt", b"x")(folder)
    with pytest.raises(VadError, match="leads out of the folder"):
        fetched()
    assert [str(path.relative_to("data")) for path in Path("data").rglob("*") if path.is_file()] == [
        "external/pixel-play-26.zip"
    ]


def test_caps_are_those_of_the_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage.pack(folder)
    monkeypatch.setattr(archives.unpack, "__defaults__", (archives.Caps(files=3),))
    with pytest.raises(VadError, match="at most 3 are unpacked"):
        fetched()


def test_official_masks_come_along_with_avenue(folder: Path) -> None:
    damage.official_masks({1: 960, 2: 12})(folder)
    fetched("avenue")
    assert sorted(path.name for path in (folder / "data/labels/masks").iterdir()) == ["1_label.mat", "2_label.mat"]


def extracted(on_bad_frame: str = "fail") -> dict[str, tuple[bytes, int]]:
    """Every clip that extract stored: its bytes and when it was written."""
    stage_runner.set_params(Path(), on_bad_frame=on_bad_frame)
    fetch.main(Path("data/raw"), Path("data/labels"))
    extract.main(Path("data/raw"), Path("data/frames"), Path("metrics/data.json"))
    paths = sorted(Path("data/frames").glob("*/*.zip"))
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_a_second_run_touches_the_changed_clip_only(folder: Path) -> None:
    before = extracted()
    assert extracted() == before
    (folder / damage.FRAME).write_bytes((folder / damage.CLIP / "frame_00945.jpg").read_bytes())
    after = extracted()
    assert [path for path in before if before[path] != after[path]] == ["data/frames/test/01.zip"]


def test_imputed_frames_are_counted_where_everybody_looks(folder: Path) -> None:
    extracted()
    sound = json.loads(Path("metrics/data.json").read_text())
    assert sound["test"] == {"clips": 2, "frames": 24, "imputed": 0}
    (folder / damage.FRAME).write_bytes(b"")
    (folder / ROOT / "training" / "02" / "frame_00003.jpg").write_bytes(b"")
    clips = extracted("impute")
    counts = json.loads(Path("metrics/data.json").read_text())
    assert counts["test"] == {"clips": 2, "frames": 24, "imputed": 1}
    assert counts["train"] == sound["train"] | {"imputed": 1}
    index = Path("data/frames/index.csv").read_text().split()
    assert index[0] == "split,video,frame,imputed,fold"
    assert [row for row in index if row.endswith(",1,-1")] == ["train,02,3,1,-1", "test,01,944,1,-1"]
    assert extracted("impute") == clips
    assert json.loads(Path("metrics/data.json").read_text()) == counts
    with pytest.raises(VadError, match="frame 3 is empty"):
        extracted("fail")


@pytest.mark.parametrize("path", ["data/raw/01.avi", "data/raw/training/01.avi", "data/labels/labels.csv"])
def test_a_file_of_the_user_s_is_refused_and_still_there(folder: Path, path: str) -> None:
    Path(path).parent.mkdir(parents=True)
    Path(path).write_text("mine")
    with pytest.raises(VadError, match=r"not made by the pipeline, which empties data/.*; move it to data/"):
        fetched("folder")
    assert Path(path).read_text() == "mine"


def test_labels_put_beside_those_of_a_run_are_refused(folder: Path) -> None:
    fetched("folder")
    Path("data/labels/mine.csv").write_text("mine")
    with pytest.raises(VadError, match=r"data/labels/mine.csv: not made by the pipeline"):
        fetched("folder")
    assert Path("data/labels/labels.csv").exists() and Path("data/raw/manifest.json").exists()


def test_a_clip_that_is_copied_in_while_fetch_reads_ends_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise DVC would take the data with the new clip for what was read."""
    whole = sources.digest

    def digest(clip: sources.Source) -> sources.Digest:
        if clip.video == "02" and not clip.images:
            shutil.copytree(damage.CLIP, damage.CLIP.with_name("03"))
        return whole(clip)

    monkeypatch.setattr(sources, "digest", digest)
    with pytest.raises(VadError, match=r"testing/03/.*: came, went or changed while the clips were read; run again"):
        fetched("folder")
    assert not Path("data/raw/manifest.json").exists()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert [video for video, _ in fetched("folder")["testing"]] == ["01", "02", "03"]


def test_an_archive_that_is_copied_in_while_another_is_unpacked_ends_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage.pack(folder)
    whole = archives.unpack

    def unpack(archive: Path, target: Path) -> Path:
        shutil.copy(archive, archive.with_name("second.zip"))
        return whole(archive, target)

    monkeypatch.setattr(archives, "unpack", unpack)
    with pytest.raises(VadError, match=r"second\.zip: came, went or changed while the clips were read; run again"):
        fetched()


@pytest.mark.parametrize("name", ["testing/01/frame_00944.jpg", "testing/02.avi", "training/04/frame_00030.jpg"])
def test_extract_takes_the_frames_that_fetch_read_and_no_others(folder: Path, name: str) -> None:
    fetched("folder")
    path = folder / ROOT / name
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    with pytest.raises(VadError, match=rf"{name}: changed since the clips were fetched; run `dvc repro` again"):
        extract.main(Path("data/raw"), Path("data/frames"), Path("metrics/data.json"))
    assert not Path("metrics/data.json").exists()
    path.write_bytes(content)
    extract.main(Path("data/raw"), Path("data/frames"), Path("metrics/data.json"))
