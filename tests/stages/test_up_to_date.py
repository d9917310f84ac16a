"""Whatever changes in the data, the next `dvc repro` works on the clips as they are."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clone import Clone, ran
from tests.tiny_clips import walking_square, write_frames, write_video


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the clips were extracted. Of test clip 02 one frame is a link, and test clip 04 is one."""
    project = Clone(tmp_path_factory.mktemp("clone"))
    outside = project.folder / "lab"
    outside.mkdir()
    write_video(outside / "04.avi", walking_square(20, seed=44))
    (project.root / "testing" / "04.avi").symlink_to(outside / "04.avi")
    frame = project.root / "testing" / "02" / "frame_00007.jpg"
    shutil.move(frame, outside / "frame.jpg")
    frame.symlink_to(outside / "frame.jpg")
    with open(project.root / "labels.csv", "a") as labels:
        labels.writelines(f"04,{number},0,\n" for number in range(20))
    assert ran(project.run("dvc", "repro", "extract")) == ["fetch", "extract"]
    assert_current(project)
    return project


def assert_current(clone: Clone) -> None:
    """The extracted clips, by name, are those that lie in data.root, frame by frame, and so are the labels."""
    for split, parts in {"training": ("train", "holdout", "validation"), "testing": ("test",)}.items():
        stored: dict[str, dict[int, bytes]] = {}
        for path in sorted(path for part in parts for path in (clone.folder / "data/frames" / part).glob("*.zip")):
            with zipfile.ZipFile(path) as archive:
                images = {int(Path(name).stem[6:]): archive.read(name) for name in archive.namelist()}
            stored.setdefault(path.stem, {}).update(images)
        found = {path.stem: path for path in (clone.root / split).iterdir()}
        assert stored.keys() == found.keys()
        for name, path in found.items():
            if path.is_dir():
                files = {int(file.stem[6:]): file.read_bytes() for file in path.iterdir()}
                assert stored[name].items() <= files.items()
                assert split == "training" or stored[name].keys() == files.keys()
    labels = clone.folder / "data/labels/labels.csv"
    assert labels.read_bytes() == (clone.root / "labels.csv").read_bytes()


def other_frame(path: Path, seed: int) -> None:
    """Write another image there."""
    write_frames(path.parent / "new", walking_square(1, seed=seed))
    shutil.move(path.parent / "new" / "frame_00000.jpg", path)
    (path.parent / "new").rmdir()


def replace_a_frame(root: Path, lab: Path) -> None:
    other_frame(root / "training" / "05" / "frame_00050.jpg", 71)


def replace_a_frame_behind_a_link(root: Path, lab: Path) -> None:
    other_frame(lab / "frame.jpg", 72)


def replace_a_video_behind_a_link(root: Path, lab: Path) -> None:
    write_video(lab / "04.avi", walking_square(20, seed=45))


def renumber_a_frame(root: Path, lab: Path) -> None:
    clip = root / "testing" / "03"
    (clip / "frame_00003.jpg").rename(clip / "frame_00099.jpg")
    (root / "labels.csv").write_text((root / "labels.csv").read_text() + "03,99,0,\n")


def add_a_clip(root: Path, lab: Path) -> None:
    write_frames(root / "testing" / "05", walking_square(6, seed=55))


def add_a_clip_of_links(root: Path, lab: Path) -> None:
    write_frames(lab / "06", walking_square(6, seed=66))
    shutil.copytree(lab / "06", root / "testing" / "06", copy_function=lambda file, link: Path(link).symlink_to(file))


def remove_a_clip(root: Path, lab: Path) -> None:
    shutil.rmtree(root / "testing" / "01")


def swap_two_clips(root: Path, lab: Path) -> None:
    one, other = root / "testing" / "02", root / "testing" / "03"
    one.rename(root / "kept")
    other.rename(one)
    (root / "kept").rename(other)


def change_a_label(root: Path, lab: Path) -> None:
    path = root / "labels.csv"
    path.write_text(path.read_text().replace("02,5,0", "02,5,1"))


CHANGES = [
    replace_a_frame, replace_a_frame_behind_a_link, replace_a_video_behind_a_link, renumber_a_frame, add_a_clip,
    add_a_clip_of_links, remove_a_clip, swap_two_clips, change_a_label,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_data_reaches_the_frames(clone: Clone, change: Callable[[Path, Path], None]) -> None:
    change(clone.root, clone.folder / "lab")
    stages = ran(clone.run("dvc", "repro", "extract"))
    assert stages[:1] == ["fetch"] and (change is change_a_label or stages == ["fetch", "extract"])
    assert_current(clone)
    if change is replace_a_video_behind_a_link:
        assert stored_like(clone, "04", walking_square(20, seed=45)[7])


def test_a_link_to_a_folder_that_is_put_among_the_clips_after_a_run_is_refused(clone: Clone) -> None:
    outside = clone.folder / "lab" / "07"
    write_frames(outside, walking_square(6, seed=77))
    link = clone.root / "testing" / "07"
    link.symlink_to(outside)
    printed = clone.run("dvc", "repro", "extract", fails=True)
    assert f"{link.relative_to(clone.folder)}: a link to a folder, behind which DVC sees no change" in printed
    link.unlink()
    assert ran(clone.run("dvc", "repro", "extract")) == []


def stored_like(clone: Clone, clip: str, frame: object) -> bool:
    """Whether frame 7 of an extracted test clip looks like `frame`."""
    import numpy as np

    from vad.data import clips

    with clips.open_zip(clone.folder / "data/frames/test" / f"{clip}.zip") as stored:
        return bool(np.abs(stored.frame(7).astype(int) - frame).mean() < 8)  # type: ignore[operator]


def test_a_change_behind_a_link_to_the_whole_data_reaches_the_frames(clone: Clone) -> None:
    shutil.move(clone.root, clone.folder / "lab" / "mine")
    clone.root.symlink_to(clone.folder / "lab" / "mine")
    assert ran(clone.run("dvc", "repro", "extract")) == []
    other_frame(clone.folder / "lab" / "mine" / "testing" / "02" / "frame_00011.jpg", 73)
    assert ran(clone.run("dvc", "repro", "extract")) == ["fetch", "extract"]
    assert_current(clone)
    clone.root.unlink()
    shutil.move(clone.folder / "lab" / "mine", clone.root)
