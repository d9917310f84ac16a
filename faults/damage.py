"""Ways to break a small data set. Each function here returns one, to be called with the folder of a run."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

from faults.stage_runner import ROOT

Break = Callable[[Path], object]
CLIP = ROOT / "testing" / "01"
FRAME = CLIP / "frame_00944.jpg"
VIDEO = ROOT / "testing" / "02.avi"
TRUTH, GIVEN = Path("data/truth"), Path("data/given")
ARCHIVE = ROOT / "pixel-play-26.zip"


def all_of(*breaks: Break) -> Break:
    """One after the other."""
    return lambda folder: [each(folder) for each in breaks]


def write(path: Path, content: str | bytes) -> Break:
    """Write a file, whatever was there."""

    def do(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return do


def edit(path: Path, change: Callable[[bytes], bytes]) -> Break:
    """Change the content of a file."""
    return lambda folder: (folder / path).write_bytes(change((folder / path).read_bytes()))


def edit_rows(path: Path, change: Callable[[list[str]], list[str]]) -> Break:
    """Change the rows of a CSV, the header being the first."""
    return edit(path, lambda data: "\n".join([*change(data.decode().split()), ""]).encode())


def pages(folder: Path) -> None:
    """Replace FRAME by a TIFF of three pages."""
    image = Image.open(folder / FRAME)
    (folder / FRAME).unlink()
    image.save((folder / FRAME).with_suffix(".tif"), save_all=True, append_images=[image.rotate(180)] * 2)


def shorten(*clips: str) -> Break:
    """Leave training clips one frame each."""

    def do(folder: Path) -> None:
        for clip in clips:
            for path in sorted((folder / ROOT / "training" / clip).iterdir())[1:]:
                path.unlink()

    return do


def shrink(folder: Path) -> None:
    """Make every frame of CLIP 8 pixels small."""
    for path in (folder / CLIP).iterdir():
        Image.open(path).resize((8, 8)).save(path)


def redraw(change: Callable[[Image.Image], Image.Image], suffix: str = ".jpg") -> Break:
    """Save FRAME changed, in the format of `suffix`."""

    def do(folder: Path) -> None:
        image = change(Image.open(folder / FRAME))
        (folder / FRAME).unlink()
        image.save((folder / FRAME).with_suffix(suffix))

    return do


def move(source: Path, target: Path) -> Break:
    """Move a file or a folder."""

    def do(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / source, folder / target)

    return do


def copy(source: Path, target: Path) -> Break:
    """Copy a file or a folder."""

    def do(folder: Path) -> None:
        (shutil.copytree if (folder / source).is_dir() else shutil.copyfile)(folder / source, folder / target)

    return do


def remove(path: Path) -> Break:
    """Remove a file or a folder."""

    def do(folder: Path) -> None:
        if (folder / path).is_dir():
            shutil.rmtree(folder / path)
        else:
            (folder / path).unlink()

    return do


def lock(path: Path) -> Break:
    """Forbid everybody to read a file or a folder."""
    return lambda folder: (folder / path).chmod(0)


def cut(share: float) -> Callable[[bytes], bytes]:
    """Keep the first `share` of the bytes."""
    return lambda data: data[: int(len(data) * share)]


def overwrite(text: bytes, occurrence: int, offset: int, new: bytes) -> Callable[[bytes], bytes]:
    """Put `new` so many bytes after an occurrence of `text`, the first being 0."""

    def do(data: bytes) -> bytes:
        at = -1
        for _ in range(occurrence + 1):
            at = data.index(text, at + 1)
        at += offset
        return data[:at] + new + data[at + len(new) :]

    return do


def sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def see_through(image: Image.Image) -> Image.Image:
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def opaque(image: Image.Image) -> Image.Image:
    image.putalpha(255)
    return image


def pack(folder: Path) -> None:
    """Replace the clips by a zip of them, laid out as the competition's."""
    root = folder / ROOT
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        archive.write(root / "sample_submission.csv", "sample_submission.csv")
        for path in sorted([*root.glob("training/**/*"), *root.glob("testing/**/*")]):
            archive.write(path, Path("Avenue_Corrupted/Dataset") / path.relative_to(root))
    for path in sorted(root.iterdir()):
        if path != folder / ARCHIVE:
            remove(path)(folder)


def pack_with(member: str, content: bytes, mode: int = 0o644, method: int = zipfile.ZIP_STORED) -> Break:
    """Zip the clips and one more member."""

    def do(folder: Path) -> None:
        pack(folder)
        with zipfile.ZipFile(folder / ARCHIVE, "a") as archive:
            entry = zipfile.ZipInfo(member)
            entry.external_attr = mode << 16
            archive.writestr(entry, content, method)

    return do


def pack_and_edit(change: Callable[[bytes], bytes]) -> Break:
    """Zip the clips and change the zip's content."""
    return all_of(pack, edit(ARCHIVE, change))


def labels(*rows: str) -> Break:
    """Put a CSV into data.benchmark_labels: the sound rows and these; with a header, these alone."""

    def do(folder: Path) -> None:
        sound = (folder / ROOT / "labels.csv").read_text().split()
        has_header = not rows or "label" in rows[0]
        write(TRUTH / "labels.csv", "\n".join([*([] if has_header else sound), *rows, ""]))(folder)

    return do


def masks(lengths: dict[int, int], place: Path = TRUTH, key: str = "volLabel") -> Break:
    """Put Avenue masks of so many frames into data.benchmark_labels: the clip's number -> how many."""

    def do(folder: Path) -> None:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for clip, length in lengths.items():
            cells = np.empty((1, length), object)
            for frame in range(length):
                cells[0, frame] = np.full((24, 32), frame % 12 > 7, np.uint8)
            scipy.io.savemat(folder / place / f"{clip}_label.mat", {key: cells}, do_compression=True)

    return do


def huge_mask(folder: Path) -> None:
    """Give clip 1 a mask of 2 kB whose first frame claims 3.6 gigapixels."""
    (folder / TRUTH).mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / TRUTH / "1_label.mat", "w") as file:
        cell = file.create_dataset("cell", (60_000, 60_000), np.uint8, chunks=(100, 100), compression="gzip")
        file.create_dataset("volLabel", (1, 1), h5py.ref_dtype)[0, 0] = cell.ref


def official_masks(lengths: dict[int, int]) -> Break:
    """Give the clips masks where the official layout has them, instead of labels.csv."""
    return all_of(remove(ROOT / "labels.csv"), masks(lengths, ROOT / "ground_truth_demo" / "testing_label_mask"))
