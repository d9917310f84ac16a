"""A small file must not fill the memory, whatever is in it: readers run where there is little of it."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.limits import limited
from tests.tiny_clips import walking_square, write_frames

ROOM, CONTENT = 150 * 10**6, 300 * 10**6
"""Bytes that a reader may take, and what a compressed bomb unpacks to."""


def state_size(path: Path, name: str, size: int) -> None:
    """Let a zip state another size of a member than it has."""
    content = bytearray(path.read_bytes())
    for signature, at, name_at in ((b"PK\1\2", 24, 46), (b"PK\3\4", 22, 30)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            if content[start + name_at :].startswith(name.encode()):
                content[start + at : start + at + 4] = struct.pack("<I", size)
    path.write_bytes(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_gives_no_more_than_it_states_whatever_compresses_it(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive, archive.open("bomb.mat", "w") as content:
        for _ in range(CONTENT // 10**6):
            content.write(bytes(10**6))
    state_size(path, "bomb.mat", 900_000)
    for reader in ("archives.check(path)", "archives.unpack(path, path.with_name('out'))"):
        printed = limited("from vad.storage import archives", reader, path, ROOM)
        assert re.fullmatch(r".*a\.zip: 'bomb\.mat' (is compressed by zip's method \d+;|can't be read) .*", printed)
    assert not (tmp_path / "out").exists()


def deflated(start: bytes, zeros: int) -> bytes:
    """A zlib stream of some bytes and so many zeros, whole megabytes of them."""
    deflate = zlib.compressobj(1)
    pieces = [start, *([bytes(10**6)] * (zeros // 10**6))]
    return b"".join([*map(deflate.compress, pieces), deflate.flush()])


def hdf5(path: Path, write: Callable[[h5py.File], h5py.Dataset]) -> None:
    """A MATLAB 7.3 mask whose only cell is what `write` writes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("volLabel", (1, 1), h5py.ref_dtype)[0, 0] = write(file).ref


def of_huge_shape(path: Path) -> None:
    hdf5(path, lambda file: file.create_dataset("cell", (60_000, 60_000), np.uint8, chunks=(100, 100), compression=9))


def of_a_huge_chunk(path: Path) -> None:
    shapes = {"shape": (10, 10), "maxshape": (None, None), "chunks": (60_000, 60_000)}
    hdf5(path, lambda file: file.create_dataset("cell", dtype=np.uint8, compression=9, **shapes))


def of_a_chunk_that_is_stated_to_be_huge(path: Path) -> None:
    hdf5(
        path, lambda file: file.create_dataset("cell", data=np.eye(10, dtype=np.uint8), chunks=(10, 10), compression=9)
    )
    with h5py.File(path) as file:
        stored = file["cell"].id.get_chunk_info(0)
    content, states = path.read_bytes(), struct.pack("<II", stored.size, 0)  # the size, and filters that are left out
    assert content.count(states) == 1
    path.write_bytes(content.replace(states, struct.pack("<II", stored.size | 0x5B000000, 0)))


def of_a_swollen_chunk(path: Path) -> None:
    def write(file: h5py.File) -> h5py.Dataset:
        cell = file.create_dataset("cell", (10, 10), np.uint8, chunks=(10, 10), compression=9)
        cell.id.write_direct_chunk((0, 0), deflated(b"", CONTENT))
        return cell

    hdf5(path, write)


def of_many_references(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("volLabel", (10**9, 1), h5py.ref_dtype, chunks=(1000, 1))


def of_another_compression(path: Path) -> None:
    hdf5(path, lambda file: file.create_dataset("cell", (10, 10), np.uint8, chunks=(10, 10), compression="lzf"))


MASKS = "from vad.data import avenue_masks", "print(avenue_masks.anomalous_frames(path).tolist())"


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        (of_huge_shape, "an array, or a chunk of one, is larger than any mask"),
        (of_a_huge_chunk, "an array, or a chunk of one, is larger than any mask"),
        (of_a_chunk_that_is_stated_to_be_huge, "part of an array is stated to lie beyond the end of the file"),
        (of_a_swollen_chunk, "an array inflates to more than it states"),
        (of_many_references, "volLabel is no cell array of at most 1000000 cells"),
        (of_another_compression, "an array is compressed otherwise than by deflate"),
    ],
)
def test_a_matlab_7_mask_that_asks_for_gigabytes_is_refused_in_one_line(
    tmp_path: Path, bomb: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "1_label.mat"
    bomb(path)
    assert path.stat().st_size < 10**7
    assert limited(*MASKS, path, ROOM) == f"{path}: not a readable MATLAB file ({reason}); download it again"


def matlab5(path: Path, stated: int, held: int, order: str = "<") -> None:
    """A compressed MATLAB 5 mask of one cell that states a number of bytes, and holds as many or fewer, all 0."""
    inner = struct.pack(f"{order}12I", 6, 8, 9, 0, 5, 8, stated, 1, 1, 0, 2, stated)
    outer = struct.pack(f"{order}10I8s", 6, 8, 1, 0, 5, 8, 1, 1, 1, 8, b"volLabel")
    tags = [struct.pack(f"{order}II", 14, size + stated) for size in (len(outer) + 8 + len(inner), len(inner))]
    content = deflated(tags[0] + outer + tags[1] + inner, held)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + (b"\0\1IM" if order == "<" else b"\1\0MI")
    path.write_bytes(header + struct.pack(f"{order}II", 15, len(content)) + content)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_matlab_5_mask_of_gigabytes_is_read_in_little_memory(tmp_path: Path, order: str) -> None:
    path = tmp_path / "1_label.mat"
    matlab5(path, CONTENT, CONTENT, order)
    assert path.stat().st_size < 10**7
    assert limited(*MASKS, path, ROOM) == "[0]"


def test_a_matlab_5_mask_that_states_gigabytes_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "1_label.mat"
    matlab5(path, 2 * 10**9, 10**6)
    assert limited(*MASKS, path, ROOM) == f"{path}: not a readable MATLAB file (it is cut off); download it again"


def avi(path: Path, frames: list[bytes], size: tuple[int, int]) -> None:
    """A motion-JPEG video of frames that are JPEG files, and that states a size (width, height)."""

    def chunk(kind: bytes, *content: bytes) -> bytes:
        data = b"".join(content)
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    main = struct.pack("<10I16x", 40_000, 10**6, 0, 16, len(frames), 0, 1, 10**6, *size)
    stream = struct.pack("<4s4s12I", b"vids", b"MJPG", 0, 0, 0, 1, 25, 0, len(frames), 10**7, 2**32 - 1, 0, 0, 0)
    picture = struct.pack("<IIIHH4s5I", 40, *size, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    header = chunk(b"LIST", b"hdrl", chunk(b"avih", main),
                   chunk(b"LIST", b"strl", chunk(b"strh", stream), chunk(b"strf", picture)))  # fmt: skip
    body = chunk(b"LIST", b"movi", *(chunk(b"00dc", frame) for frame in frames))
    path.write_bytes(chunk(b"RIFF", b"AVI ", header, body))


def jpeg(size: tuple[int, int]) -> bytes:
    content = io.BytesIO()
    Image.new("L", size, 90).save(content, "JPEG")
    return content.getvalue()


@pytest.mark.parametrize("stated", [(16_000, 16_000), (64, 48)])
def test_a_video_of_gigantic_frames_is_refused_before_any_is_decoded(tmp_path: Path, stated: tuple[int, int]) -> None:
    path = tmp_path / "01.avi"
    avi(path, [jpeg((16_000, 16_000))] * 2, stated)
    code = "list(decode.frames(sources.find_clips(path.parent)[0]))"
    printed = limited("from vad.data import decode, sources", code, path, 3 * ROOM)
    assert printed == (f"{path}: its frames are 16000x16000 pixels, more than 64 million; make it smaller or remove it")


def tile_of_gigapixels() -> bytes:
    """A TIFF of 64 x 48 grey pixels, all of them in one tile of 60000 x 60000."""
    tags = {256: 64, 257: 48, 258: 8, 259: 8, 262: 1, 277: 1, 322: 60_000, 323: 60_000}
    data = deflated(b"", 10**6)
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [struct.pack("<HHII", 324, 4, 1, start), struct.pack("<HHII", 325, 4, 1, len(data))]
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4) + data


def test_a_tile_of_gigapixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    write_frames(tmp_path / "01", walking_square(3))
    path = tmp_path / "01" / "frame_00001.tif"
    path.with_suffix(".jpg").unlink()
    path.write_bytes(tile_of_gigapixels())
    code = "list(decode.frames(sources.find_clips(path.parents[1])[0]))"
    printed = limited("from vad.data import decode, sources", code, path, ROOM)
    assert printed.startswith(f"{path}: frame 1 claims 60000x60000 pixels; replace it")
