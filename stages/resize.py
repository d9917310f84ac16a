"""Resize: zipped clips of every split -> one array of small frames a clip, which later stages map into memory."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from stages import CLIPS, PARAMS, made_of, run
from vad import params
from vad.components import out_of_fold
from vad.data import clips
from vad.quality import compression, repair
from vad.storage import files, needs, tables
from vad.storage.progress import over_clips, parallel
from vad.storage.store import Store

SPLITS = ("train", *tables.SCORED)
STRESSED = ("validation", "test")


def main(needed: Path, frames: Path, validation: Path, diagnosis: Path, resized: Path) -> None:
    """Write into `resized` SPLIT/CLIP.npy, (T, size, size, 3) uint8, and SPLIT/index.csv (split, video, frame,
    fold); no arrays and no rows where no network looks at them.

    compressed.csv there has the keys of the frames that were saved again as JPEG, as `stress` asks.
    """
    if not needs.read(needed):
        for split in SPLITS:
            tables.write_csv(resized / split / clips.INDEX, pd.DataFrame(columns=[*tables.KEYS, "fold"]))
        tables.write_csv(resized / "compressed.csv", pd.DataFrame(columns=tables.KEYS))
        return
    settings = params.load(PARAMS)
    table = tables.read_csv(diagnosis, [*repair.COLUMNS, "fold"])
    diagnosed, folds = repair.Diagnosis(table), out_of_fold.folds_of(table)
    denoise = settings.repair.denoise != "none"
    compressed = []
    kept = Store(CLIPS / "resize", made_of("resize", settings))
    for split in SPLITS:
        index = [pd.DataFrame(columns=[*tables.KEYS, "fold"])]
        for opened in over_clips(clips.open_zips(clips.folder_of(frames, validation, split)), f"resizing {split}"):
            with opened as clip:
                keys = clips.keys(split, [clip])
                quality = {
                    number: compression.jpeg_quality(clip.video, number, settings.stress) for number in keys["frame"]
                }
                if split not in STRESSED:
                    quality = dict.fromkeys(quality)
                # Not turned upright here: of a flipped frame that is another view, an exchange in `aggregate`.
                clean = repair.repaired(clip, diagnosed.of(split, clip), denoise=denoise)
                write = partial(store, clip=clean, quality=quality, resize=settings.resize)
                kept.file([clean.digest(), list(quality.items())], resized / split / f"{clip.video}.npy", write)
            index.append(keys.assign(fold=folds[split, clip.video]))
            compressed.append(keys[[quality[number] is not None for number in keys["frame"]]])
        # One a split: what the test clips are does not touch what training depends on.
        tables.write_csv(resized / split / clips.INDEX, pd.concat(index))
    tables.write_csv(resized / "compressed.csv", pd.concat(compressed))
    kept.tidy()


def shrink(image: Image.Image, resize: params.Resize, quality: int | None = None) -> np.ndarray:
    """An image resized to (size, size, 3) uint8, as torchvision's Resize does it to a PIL image.

    With `quality` it is first saved again as a JPEG of that quality.
    """
    if quality is not None:
        image = compression.compressed(image, quality)
    return np.asarray(image.resize((resize.size, resize.size), Image.Resampling[resize.interpolation.upper()]))


def store(path: Path, clip: clips.Clip, quality: dict[int, int | None], resize: params.Resize) -> None:
    """Write the resized frames of a clip as an array (T, size, size, 3), one frame at a time.

    `quality` has the frame numbers, ascending, and the JPEG quality at which each is saved again, or None.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(clip), resize.size, resize.size, 3)}
    # Written, not mapped: a full disk under a map kills the process, and mapped pages count as memory.
    with files.replacing(path) as temporary, open(temporary, "wb") as out:
        np.lib.format.write_array_header_1_0(out, header)

        def small(number: int) -> np.ndarray:
            # Saved again, a frame must have its full size.
            reduced = resize.decode == "scaled" and quality[number] is None
            return shrink(clip.image(number, resize.size if reduced else None), resize, quality[number])

        for frame in parallel(small, list(quality)):
            out.write(frame.tobytes())


if __name__ == "__main__":
    run(main)
