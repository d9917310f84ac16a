"""Sources: what people have in a folder, and what is wrong with it."""

from pathlib import Path

import pytest

from tests.tiny_clips import walking_square, write_frames, write_video
from vad import VadError
from vad.data import sources


def test_videos_and_frame_folders_are_found_with_or_without_a_frames_level(tmp_path: Path) -> None:
    write_frames(tmp_path / "plain" / "02", walking_square(3), first=5)
    write_video(tmp_path / "plain" / "01.avi", walking_square(4))
    (tmp_path / "plain" / "notes.txt").write_text("not a clip")
    write_frames(tmp_path / "nested" / "frames" / "02", walking_square(3))
    found = sources.find_clips(tmp_path / "plain")
    assert [(clip.video, clip.images is None) for clip in found] == [("01", True), ("02", False)]
    assert found[1].images == {5: "frame_00005.jpg", 6: "frame_00006.jpg", 7: "frame_00007.jpg"}
    assert [clip.video for clip in sources.find_clips(tmp_path / "nested")] == ["02"]


def test_the_digest_sees_content_and_frame_numbers_and_not_where_a_clip_lies(tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_frames(tmp_path / place / "01", walking_square(3))
    (first,), (second,) = sources.find_clips(tmp_path / "a"), sources.find_clips(tmp_path / "b")
    assert sources.digest(first).clip == sources.digest(second).clip
    path = tmp_path / "b" / "01" / "frame_00001.jpg"
    path.rename(path.with_name("frame_00009.jpg"))
    assert sources.digest(sources.find_clips(tmp_path / "b")[0]).clip != sources.digest(first).clip
    path.with_name("frame_00009.jpg").rename(path)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    assert sources.digest(second).clip != sources.digest(first).clip


def test_the_manifest_comes_back(tmp_path: Path) -> None:
    write_frames(tmp_path / "02", walking_square(3), first=5)
    write_video(tmp_path / "01.avi", walking_square(4))
    splits = {"training": sources.find_clips(tmp_path)}
    sources.write_manifest(tmp_path / "manifest.json", splits)
    assert sources.read_manifest(tmp_path / "manifest.json") == splits


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    with pytest.raises(VadError, match="training: no clips"):
        sources.find_clips(tmp_path / "training")
    with pytest.raises(VadError, match="no folder testing or testing_videos in it"):
        sources.find_split(tmp_path, sources.TESTING)


def test_an_empty_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "01").mkdir()
    with pytest.raises(VadError, match="01: a clip without a frame"):
        sources.find_clips(tmp_path)


def test_a_frame_number_that_occurs_twice_is_named(tmp_path: Path) -> None:
    write_frames(tmp_path / "01", walking_square(3))
    (tmp_path / "01" / "frame_2.png").write_bytes(b"")
    with pytest.raises(VadError, match=r"01: frame 2 occurs twice, as frame_00002\.jpg and frame_2\.png"):
        sources.find_clips(tmp_path)


def test_a_frame_name_without_a_number_is_named(tmp_path: Path) -> None:
    write_frames(tmp_path / "01", walking_square(3))
    (tmp_path / "01" / "cover.jpg").write_bytes(b"")
    with pytest.raises(VadError, match=r"01: cover\.jpg: no frame number"):
        sources.find_clips(tmp_path)


def test_two_clips_of_one_name_are_named(tmp_path: Path) -> None:
    write_frames(tmp_path / "01", walking_square(3))
    write_video(tmp_path / "01.avi", walking_square(3))
    with pytest.raises(VadError, match=r"01\.avi: clip 01 is also"):
        sources.find_clips(tmp_path)


def test_a_frame_that_vanished_is_named(tmp_path: Path) -> None:
    write_frames(tmp_path / "01", walking_square(3))
    (clip,) = sources.find_clips(tmp_path)
    clip.file(1).unlink()
    with pytest.raises(VadError, match=r"frame_00001\.jpg: can't be read \(No such file or directory\)"):
        sources.digest(clip)


def test_clips_1_and_01_would_share_ids_and_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path / "01", walking_square(3))
    write_frames(tmp_path / "1", walking_square(3))
    with pytest.raises(VadError, match=r"clip 1 is also .*01; rename or remove one"):
        sources.find_clips(tmp_path)


def test_the_data_set_is_found_wherever_it_lies(tmp_path: Path) -> None:
    inner = tmp_path / "Avenue_Corrupted-20251221T112159Z-3-001" / "Avenue_Corrupted" / "Dataset"
    write_frames(inner / "training_videos" / "01", walking_square(3))
    assert sources.find_dataset(tmp_path) is None
    write_frames(inner / "testing_videos" / "01", walking_square(3))
    (inner / "training_vol").mkdir()
    (tmp_path / "__MACOSX" / "training").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "testing").mkdir(parents=True)
    assert sources.find_dataset(tmp_path) == sources.find_dataset(inner) == inner


def shared(training: Path, testing: Path) -> None:
    found = [[(clip, sources.digest(clip).files) for clip in sources.find_clips(path)] for path in (training, testing)]
    sources.refuse_shared(*found)


def test_the_same_content_in_training_and_test_is_named(tmp_path: Path) -> None:
    for split, seed in (("a", 1), ("b", 2)):
        write_frames(tmp_path / split / "01", walking_square(5, seed=seed))
        write_video(tmp_path / split / "02.avi", walking_square(5, seed=seed + 2))
        (tmp_path / split / "01" / "frame_00009.jpg").write_bytes(b"")  # a fault, but not the same frame
    shared(tmp_path / "a", tmp_path / "b")
    target = tmp_path / "b" / "01" / "frame_00007.jpg"
    target.write_bytes((tmp_path / "a" / "01" / "frame_00003.jpg").read_bytes())
    with pytest.raises(VadError, match=r"a/01/frame_00003\.jpg and .*b/01/frame_00007\.jpg: the same content"):
        shared(tmp_path / "a", tmp_path / "b")
    target.unlink()
    (tmp_path / "b" / "02.avi").write_bytes((tmp_path / "a" / "02.avi").read_bytes())
    with pytest.raises(VadError, match=r"a/02\.avi and .*b/02\.avi: the same content in training and test"):
        shared(tmp_path / "a", tmp_path / "b")


def test_copies_within_a_split_are_welcome(tmp_path: Path) -> None:
    write_frames(tmp_path / "a" / "01", walking_square(3))
    for name in ("01", "02"):
        write_frames(tmp_path / "b" / name, walking_square(3, seed=1))
    shared(tmp_path / "a", tmp_path / "b")  # raises nothing
    first, second = (sources.digest(clip).files for clip in sources.find_clips(tmp_path / "b"))
    assert first.tolist() == second.tolist()


def test_the_manifest_holds_each_name_once(tmp_path: Path) -> None:
    write_frames(tmp_path / "02", walking_square(3), first=5)
    sources.write_manifest(tmp_path / "manifest.json", {"training": sources.find_clips(tmp_path)})
    text = (tmp_path / "manifest.json").read_text()
    assert '"images":["frame_00005.jpg","frame_00006.jpg","frame_00007.jpg"]' in text
