"""Resize: zipped clips of every split -> one array of small frames a clip, which later stages map into memory."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from stages import PARAMS, run
from vad import clips, files, params, tables
from vad.progress import parallel, progress


def main(frames: Path, validation: Path, resized: Path) -> None:
    resize = params.load(PARAMS).resize
    folders = {"train": frames / "train", "holdout": frames / "holdout", "validation": validation / "clips"}
    small = partial(shrink, size=resize.size, how=Image.Resampling[resize.interpolation.upper()])
    index = []
    for split, folder in (folders | {"test": frames / "test"}).items():
        for path in progress(sorted(folder.glob("*.zip")), f"resizing {split}"):
            with clips.open_zip(path) as clip:
                store(resized / split / f"{clip.video}.npy", clip, small, resize.size)
                index.append(clips.keys(split, [clip]))
    tables.write_csv(resized / "index.csv", pd.concat(index))


def shrink(number: int, clip: clips.ZippedClip, size: int, how: Image.Resampling) -> np.ndarray:
    """A frame resized to (size, size, 3) uint8, as torchvision's Resize does it to a PIL image."""
    return np.asarray(clip.image(number).resize((size, size), how))


def store(path: Path, clip: clips.ZippedClip, small: "partial[np.ndarray]", size: int) -> None:
    """Write the resized frames of a clip as an array (T, size, size, 3), one frame at a time."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(clip), size, size, 3)}
    # Written, not mapped: a full disk under a map kills the process, and mapped pages count as memory.
    with files.replacing(path) as temporary, open(temporary, "wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for frame in parallel(partial(small, clip=clip), clip.numbers.tolist()):
            out.write(frame.tobytes())


if __name__ == "__main__":
    run(main)
