"""Clips: frames by number, whatever they are stored as; whatever they are stored as."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_clips import walking_square
from vad import VadError
from vad.data import clips
from vad.storage import tables


def stored(path: Path, numbers: list[int], count: int = 6) -> clips.ZippedClip:
    frames = walking_square(count)
    clips.write_zip(path, ((n, *clips.encode(f)) for n, f in zip(numbers, frames, strict=False)), "made of this")
    return clips.open_zip(path)


def test_a_clip_gives_frames_by_number_not_by_position(tmp_path: Path) -> None:
    clip = stored(tmp_path / "01.zip", [7, 9, 12])
    frames = walking_square(3)
    assert clip.video == "01" and clip.numbers.tolist() == [7, 9, 12] and len(clip) == 3
    for number, frame in zip([7, 9, 12], frames, strict=True):
        assert np.abs(clip.frame(number).astype(int) - frame).mean() < 3
    with pytest.raises(VadError, match=r"01\.zip: frame 8 is not in the clip"):
        clip.frame(8)


def test_image_bytes_are_kept_and_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    data = clips.encode(walking_square(1)[0])[0]
    for name in ("a", "b"):
        clips.write_zip(tmp_path / f"{name}.zip", [(3, data, ".jpg")], "digest")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("frame_00003.jpg") == data
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
    assert clips.read_digest(tmp_path / "a.zip") == "digest"


def test_a_clip_that_was_cut_off_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield 0, b"data", ".jpg"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clips.write_zip(tmp_path / "01.zip", broken(), "digest")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    assert clips.read_digest(tmp_path / "01.zip") is None


def test_a_flipped_bit_in_a_clip_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "03.zip"
    stored(path, [112])
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(VadError, match=r"03\.zip: frame 112 is damaged .*run `dvc repro extract`"):
        clips.open_zip(path).frame(112)


def test_a_file_that_is_no_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "03.zip").write_bytes(b"nothing")
    with pytest.raises(VadError, match=r"03\.zip: not a readable clip"):
        clips.open_zip(tmp_path / "03.zip")


def test_resized_clips_are_mapped_read_only_and_keyed_by_number(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    frames = walking_square(3)
    np.save(tmp_path / "test" / "01.npy", frames)
    index = "split,video,frame\n" + "".join(f"test,01,{number}\n" for number in (5, 8, 9))
    (tmp_path / "test" / "index.csv").write_text(index)
    (clip,) = clips.open_resized(tmp_path, "test")
    assert clip.video == "01" and (clip.frame(8) == frames[1]).all()
    assert not clip.array.flags.writeable
    with pytest.raises(VadError, match="frame 7 is not in the clip"):
        clip.frame(7)
    with pytest.raises(VadError, match="frame 10 is not in the clip"):
        clip.frame(10)
    np.save(tmp_path / "test" / "01.npy", frames[:2])
    with pytest.raises(VadError, match=r"01\.npy: 2 frames where the index has 3"):
        clips.open_resized(tmp_path, "test")


@pytest.mark.parametrize(
    ("name", "number"), [("frame_00939.jpg", 939), ("000.jpg", 0), ("cam2_2020-01-15_77.png", 77), ("f7.jpg", 7)]
)
def test_the_frame_number_is_the_last_number_of_the_name(name: str, number: int) -> None:
    assert clips.frame_number(name) == number


def test_a_name_without_a_number_is_refused() -> None:
    with pytest.raises(VadError, match=r"cover\.jpg: no frame number"):
        clips.frame_number("cover.jpg")


def test_components_come_back_bit_by_bit(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame({"split": "test", "video": ["01", "b"], "frame": [939, 2], "pixel_l1/identity": [0.1, 1e-300]})
    tables.write_components(tmp_path / "one.npz", table)
    tables.write_components(tmp_path / "two.npz", table)
    pd.testing.assert_frame_equal(tables.read_components(tmp_path / "one.npz"), table, check_dtype=False)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_table_that_was_cut_off_is_named(tmp_path: Path, share: float) -> None:
    import pandas as pd

    path = tmp_path / "motion.npz"
    tables.write_components(path, pd.DataFrame({"split": "test", "video": "01", "frame": range(50), "flow_max": 0.5}))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(
        VadError, match=r"motion\.npz: not a whole table \(.+\); delete it and run `dvc repro`$"
    ) as raised:
        tables.read_components(path)
    assert "\n" not in str(raised.value)


def test_resized_clips_that_were_cut_off_are_named(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    path = tmp_path / "test" / "01.npy"
    np.save(path, walking_square(3))
    (tmp_path / "test" / "index.csv").write_text("split,video,frame\ntest,01,5\ntest,01,6\ntest,01,7\n")
    content = path.read_bytes()
    for size in (0, 60, 5000):
        path.write_bytes(content[:size])
        with pytest.raises(VadError, match=r"01\.npy: not a whole array \(.+\); run `dvc repro -f resize`$"):
            clips.open_resized(tmp_path, "test")


def test_csv_keeps_clip_names_and_every_bit_of_a_float(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame({"video": ["01", "NA"], "score": [0.1 + 0.2, np.nextafter(1, 2)]})
    tables.write_csv(tmp_path / "scores.csv", table)
    again = tables.read_csv(tmp_path / "scores.csv", ["video", "score"])
    assert again["video"].tolist() == ["01", "NA"] and again["score"].tolist() == table["score"].tolist()


def test_csv_problems_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with pytest.raises(VadError, match=r"labels\.csv: no such file"):
        tables.read_csv(path, ["video"])
    path.write_text("")
    with pytest.raises(VadError, match=r"labels\.csv: not a CSV table"):
        tables.read_csv(path, ["video"])
    path.write_text("clip,frame\n1,2\n")
    with pytest.raises(VadError, match=r"labels\.csv: no column video; its header is clip,frame"):
        tables.read_csv(path, ["video", "frame"])
