"""Films as files: what was written is what players show, and a film appears whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from vad import VadError
from vad.storage import video

ORANGE, BLUE = (213, 94, 0), (0, 114, 178)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (40, 60)) -> np.ndarray:
    return np.full((*size, 3), colour, np.uint8)


def decoded(path: Path) -> np.ndarray:
    """All pictures (T, H, W, 3) uint8 RGB of a film, as its own colour space says."""
    with av.open(path) as film:
        frames = [frame.reformat(format="rgb24", src_colorspace=frame.colorspace) for frame in film.decode(video=0)]
        return np.stack([frame.to_ndarray() for frame in frames])


def test_film_shows_the_pictures_in_order_and_in_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    pictures = [plain(ORANGE), plain(BLUE), plain((255, 255, 255)), plain((28, 36, 48))]
    assert video.write(path, iter(pictures), 12) == 4
    assert np.abs(decoded(path).astype(int) - np.stack(pictures)).max() <= 6
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.mp4"]


def test_players_of_every_kind_get_what_they_take(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    video.write(path, [plain(ORANGE)] * 7, 12)
    with av.open(path) as film:
        (stream,) = film.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 12)
        assert stream.frames == 7 and stream.start_time == 0
        assert film.duration == pytest.approx(7 / 12 * av.time_base, rel=1e-3)
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")  # it plays while it loads


@pytest.mark.parametrize(("size", "shown"), [((33, 51), (34, 52)), ((1, 1), (2, 2)), ((34, 51), (34, 52))])
def test_odd_sizes_grow_by_a_copy_of_the_last_row_or_column(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    path = tmp_path / "film.mp4"
    video.write(path, [plain(ORANGE, size)], 12)
    (picture,) = decoded(path)
    assert picture.shape[:2] == shown and np.abs(picture.astype(int) - ORANGE).max() <= 6


def test_film_of_one_picture_lasts_as_long_as_one(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    video.write(path, [plain(BLUE)], 4)
    with av.open(path) as film:
        assert film.duration == av.time_base // 4


def test_failed_film_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    video.write(path, [plain(BLUE)], 12)
    before = path.read_bytes()

    def broken() -> Iterator[np.ndarray]:
        yield plain(ORANGE)
        raise VadError("frame 1 is damaged")

    with pytest.raises(VadError, match="frame 1 is damaged"):
        video.write(path, broken(), 12)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_film_of_no_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VadError, match="a film of no pictures"):
        video.write(tmp_path / "film.mp4", [], 12)
    assert list(tmp_path.iterdir()) == []


def test_same_pictures_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        video.write(tmp_path / name, [plain(BLUE), plain(ORANGE)], 12, "comment")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_comment_comes_back_and_what_is_no_film_has_none(tmp_path: Path) -> None:
    video.write(tmp_path / "film.mp4", [plain(BLUE)], 12, "of these scores: a1")
    assert video.read_comment(tmp_path / "film.mp4") == "of these scores: a1"
    (tmp_path / "text.mp4").write_text("no film")
    assert video.read_comment(tmp_path / "text.mp4") is video.read_comment(tmp_path / "absent.mp4") is None
