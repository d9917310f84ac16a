"""Frames are checked once, kept as they are, and never dropped: a bad one is an error or a counted stand-in."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from faults import damage
from tests.tiny_clips import walking_square, write_frames, write_video
from vad import VadError
from vad.data import clips, decode, sources


@pytest.fixture
def clip(tmp_path: Path) -> sources.Source:
    """A clip of the frames 5, 6, 7, 10, 11."""
    write_frames(tmp_path / "01", walking_square(5), first=5)
    for old, new in ((9, 11), (8, 10)):
        (tmp_path / "01" / f"frame_{old:05d}.jpg").rename(tmp_path / "01" / f"frame_{new:05d}.jpg")
    (found,) = sources.find_clips(tmp_path)
    return found


def spoil(clip: sources.Source, *numbers: int) -> None:
    for number in numbers:
        clip.file(number).write_bytes(b"not an image")


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_images_pass_byte_for_byte(clip: sources.Source) -> None:
    assert [(frame.number, frame.data, frame.suffix, frame.imputed) for frame in decode.frames(clip)] == [
        (number, clip.file(number).read_bytes(), ".jpg", False) for number in (5, 6, 7, 10, 11)
    ]


def test_videos_are_numbered_from_zero(tmp_path: Path) -> None:
    write_video(tmp_path / "01.avi", walking_square(4))
    (video,) = sources.find_clips(tmp_path)
    decoded = [(n, np.asarray(clips.decode(data, "frame"))) for n, data, _, _ in decode.frames(video)]
    assert [n for n, _ in decoded] == decode.numbers(video).tolist() == [0, 1, 2, 3]
    for (_, frame), original in zip(decoded, walking_square(4), strict=True):
        assert np.abs(frame.astype(int) - original).mean() < 8


def test_a_bad_frame_is_named_with_its_file_and_what_to_do(clip: sources.Source) -> None:
    spoil(clip, 7)
    with pytest.raises(VadError, match=r"frame_00007\.jpg: frame 7 can't be decoded: .*on_bad_frame: impute") as raised:
        list(decode.frames(clip))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("bad", "stand_ins"),
    [
        ([5], {5: 6}),
        ([7], {7: 6}),
        ([10], {10: 11}),
        ([6], {6: 5}),  # as near to 7: the earlier
        ([6, 7], {6: 5, 7: 5}),
        ([7, 10], {7: 6, 10: 11}),
        ([10, 11], {10: 7, 11: 7}),
        ([5, 6, 7, 10], {5: 11, 6: 11, 7: 11, 10: 11}),
    ],
)
def test_the_nearest_good_frame_in_time_stands_in(
    clip: sources.Source, bad: list[int], stand_ins: dict[int, int]
) -> None:
    good = {number: clip.file(number).read_bytes() for number in clip.images or {}}
    spoil(clip, *bad)
    found = list(decode.frames(clip, impute=True))
    assert [frame.number for frame in found] == [5, 6, 7, 10, 11]
    assert [frame.number for frame in found if frame.imputed] == bad
    for frame in found:
        assert frame.data == good[stand_ins.get(frame.number, frame.number)]


def test_no_frame_from_outside_the_wanted_part_stands_in(clip: sources.Source) -> None:
    kept_out = clip.file(7).read_bytes()
    spoil(clip, 10)
    part = list(decode.frames(clip, wanted={10, 11}, impute=True))
    assert [frame.number for frame in part] == [10, 11]
    assert kept_out not in [frame.data for frame in part]
    spoil(clip, 11)
    with pytest.raises(VadError, match=r"01: no frame to impute from: frame 10 can't be decoded"):
        list(decode.frames(clip, wanted={10, 11}, impute=True))


def test_the_size_that_most_frames_have_is_the_clips(clip: sources.Source) -> None:
    Image.new("RGB", (32, 24)).save(clip.file(5))
    with pytest.raises(VadError, match=r"frame 5 is 32x24 where the clip is 64x48"):
        list(decode.frames(clip))
    # A part of a clip is measured by the whole clip.
    with pytest.raises(VadError, match=r"frame 5 is 32x24 where the clip is 64x48"):
        list(decode.frames(clip, wanted={5}))


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("RGB", "BMP"), ("RGB", "TIFF")]
)
def test_what_has_one_meaning_as_rgb_is_converted(mode: str, kind: str) -> None:
    image = Image.fromarray(walking_square(1)[0]).convert(mode)
    decoded = clips.decode(encoded(image, kind), "frame 7")
    assert decoded.mode == "RGB"
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(image.convert("RGB"))).mean() < 3


def test_alpha_is_welcome_as_long_as_it_is_opaque() -> None:
    image = Image.fromarray(walking_square(1)[0]).convert("RGBA")
    assert (np.asarray(clips.decode(encoded(image, "PNG"), "")) == walking_square(1)[0]).all()
    image.putpixel((3, 3), (0, 0, 0, 254))
    with pytest.raises(VadError, match=r"^frame 7 is transparent in part$"):
        clips.decode(encoded(image, "PNG"), "frame 7")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_never_cut_to_eight_in_silence(channels: int, suffix: str) -> None:
    shape = (48, 64) if channels == 1 else (48, 64, 3)
    deep = np.random.default_rng(0).integers(0, 2**16, shape).astype(np.uint16)
    content = cv2.imencode(suffix, deep)[1].tobytes()
    with pytest.raises(VadError, match=r"has more than 8 bits a channel|can't be decoded"):
        clips.decode(content, "frame 7")


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_images_after_the_first_of_a_file_are_never_dropped_in_silence(kind: str) -> None:
    first, *others = (Image.fromarray(frame) for frame in walking_square(3))
    buffer = io.BytesIO()
    first.save(buffer, kind, save_all=True, append_images=others)
    with pytest.raises(VadError, match=r"^frame 7 is a file of 3 images$"):
        clips.decode(buffer.getvalue(), "frame 7")


def test_the_preview_in_a_camera_s_jpeg_is_no_frame() -> None:
    first, other = (Image.fromarray(frame) for frame in walking_square(2))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[other.resize((16, 12))])
    assert clips.decode(buffer.getvalue(), "frame 7").size == (64, 48)


def test_a_ppm_of_more_than_eight_bits_is_refused() -> None:
    for kind, channels in ((b"P5", 1), (b"P6", 3)):
        for largest in (1023, 65535):
            content = kind + f" 4 3 {largest} ".encode() + bytes(4 * 3 * channels * 2)
            with pytest.raises(VadError, match="has more than 8 bits a channel"):
                clips.decode(content, "frame 7")


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (8, 8), (64, 15), (15, 64)])
def test_frames_too_small_to_measure_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(VadError, match=rf"^frame 7 is {size[0]}x{size[1]}, smaller than 16x16$"):
        clips.decode(encoded(Image.new("RGB", size), "PNG"), "frame 7")
    if min(size) % 2 == 0:
        write_video(tmp_path / "01.avi", np.zeros((5, *size[::-1], 3), np.uint8))
        (video,) = sources.find_clips(tmp_path)
        for read in (decode.numbers, lambda found: list(decode.frames(found))):
            with pytest.raises(VadError, match=rf"01\.avi: its frames are {size[0]}x{size[1]} pixels, smaller than"):
                read(video)


def test_cmyk_is_refused() -> None:
    with pytest.raises(VadError, match=r"^frame 7 is CMYK, not RGB$"):
        clips.decode(encoded(Image.new("CMYK", (8, 8)), "JPEG"), "frame 7")


def test_a_header_that_claims_gigapixels_costs_no_memory() -> None:
    content = encoded(Image.new("RGB", (64, 48)), "JPEG")
    huge = damage.overwrite(b"\xff\xc0", 0, 5, b"\xff\xdc\xff\xdc")(content)
    with pytest.raises(VadError, match="claims 65500x65500 pixels"):
        clips.decode(huge, "frame 7")


def test_programs_of_other_formats_are_not_run() -> None:
    with pytest.raises(VadError, match="no image in its"):
        clips.decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "frame 7")


def video(path: Path, change: object = None, count: int = 20) -> sources.Source:
    write_video(path / "01.avi", walking_square(count, size=(96, 128)))
    if change:
        (path / "01.avi").write_bytes(change((path / "01.avi").read_bytes()))  # type: ignore[operator]
    (found,) = sources.find_clips(path)
    return found


def test_a_video_that_ends_early_keeps_its_frame_numbers(tmp_path: Path) -> None:
    clip = video(tmp_path, damage.cut(0.7))
    numbers = decode.numbers(clip)
    assert numbers.tolist() == list(range(20))
    with pytest.raises(VadError, match=r"01\.avi: frame 14 is missing: the video ends after 14 of its 20 frames"):
        list(decode.frames(clip))
    found = list(decode.frames(clip, impute=True))
    assert [frame.number for frame in found] == list(range(20))
    assert [frame.number for frame in found if frame.imputed] == list(range(14, 20))
    assert {frame.data for frame in found[14:]} == {found[13].data}


def test_frames_after_a_damaged_one_keep_their_numbers(tmp_path: Path) -> None:
    clip = video(tmp_path, damage.overwrite(b"\xff\xd8\xff", 8, 0, bytes(700)))
    with pytest.raises(VadError, match=r"01\.avi: frame 8 can't be decoded"):
        list(decode.frames(clip))
    found = list(decode.frames(clip, impute=True))
    assert decode.numbers(clip).tolist() == [frame.number for frame in found] == list(range(20))
    assert [frame.number for frame in found if frame.imputed] == [8]
    sound = {frame.number: frame.data for frame in decode.frames(video(tmp_path))}
    assert all(frame.data == sound[frame.number] for frame in found if frame.number not in (8, 9))


def test_a_video_that_is_mostly_lost_is_refused(tmp_path: Path) -> None:
    clip = video(tmp_path, damage.cut(0.4))
    with pytest.raises(VadError, match=r"01\.avi: only \d of its 20 frames can be decoded"):
        list(decode.frames(clip, impute=True))


@pytest.mark.parametrize("content", [b"", b"RIFF nothing"])
def test_a_video_without_a_frame_is_named(tmp_path: Path, content: bytes) -> None:
    clip = video(tmp_path, lambda _: content)
    for read in (decode.numbers, lambda found: list(decode.frames(found, impute=True))):
        with pytest.raises(VadError, match=r"01\.avi: no frame can be decoded"):
            read(clip)


def test_a_frame_that_vanished_is_named(clip: sources.Source) -> None:
    clip.file(6).unlink()
    with pytest.raises(VadError, match=r"frame_00006\.jpg: can't be read \(No such file or directory\)"):
        list(decode.frames(clip, impute=True))


@pytest.mark.real
def test_avenue_videos_hold_as_many_frames_as_they_state(real_data: Path) -> None:
    for clip in sources.find_clips(real_data / "avenue" / "testing_videos"):
        stated = cv2.VideoCapture(str(clip.path)).get(cv2.CAP_PROP_FRAME_COUNT)
        assert len(decode.numbers(clip)) == stated
