"""Files mutated at random, through fetch, extract, diagnose and resize: each must end in a result or in one clear line.

    python -m faults.fuzz --count 300 --seed 1

Prints how they ended, by kind of file; ends with exit code 1 when one ended in anything else.
"""

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from faults import damage, stage_runner
from faults.stage_runner import ROOT, frames
from vad.storage import needs
from vad.storage.progress import parallel, progress

STAGES = "fetch", "extract", "diagnose", "resize"
IMAGES = "jpg", "png", "bmp", "tif", "webp"
VIDEOS = {"avi": "MJPG", "mp4": "mp4v"}


def write_every_kind(root: Path) -> None:
    """Write the small sound data set with a test clip of every kind of file."""
    stage_runner.write_clips(root)
    for seed, suffix in enumerate(IMAGES, 20):
        folder = root / "testing" / suffix
        folder.mkdir()
        for number, image in enumerate(frames(6, seed)):
            Image.fromarray(image).save(folder / f"{number}.{suffix}")
    for seed, (suffix, codec) in enumerate(VIDEOS.items(), 40):
        stage_runner.write_video(root / "testing" / f"{suffix}.{suffix}", frames(12, seed), codec)


def write_sound(folder: Path) -> dict[str, Path]:
    """Write the data set as a folder and as an archive, ready for STAGES: `folder` and `zip` -> where it lies."""
    sound = {name: folder / name for name in ("folder", "zip")}
    for place in sound.values():
        write_every_kind(place / ROOT)
        needs.write(place / "data/needs", {"resize": True})
    damage.pack(sound["zip"])
    return sound


def mutate(data: bytes, rng: np.random.Generator, head: int = 0, text: bool = False) -> tuple[str, bytes]:
    """Some bytes flipped, the end cut off, or two stretches swapped: how, and the content then.

    It happens in the first `head` bytes, or anywhere where that is 0. Of `text` what is flipped stays ASCII.
    """
    how = str(rng.choice(["flipped", "cut", "swapped"]))
    content = bytearray(data)
    size = min(head or len(data), len(data))
    if how == "flipped":
        for at in rng.integers(0, size, rng.integers(1, 17)):
            content[at] ^= int(rng.integers(1, 32 if text else 256))
    elif how == "cut":
        del content[rng.integers(0, size) :]
    else:
        length = int(rng.integers(1, max(2, size // 8)))
        one, other = sorted(int(at) for at in rng.integers(0, size - length, 2))
        content[one : one + length], content[other : other + length] = (
            content[other : other + length],
            content[one : one + length],
        )
    return how, bytes(content)


def run(number: int, seed: int, sound: dict[str, Path], kept: Path) -> dict[str, str]:
    """One mutated input: its `kind` of file, the `mutation`, its `end` (result, one line or bad). A bad one is kept."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice([*IMAGES, *VIDEOS, "zip"]))
    mode = str(rng.choice(["fail", "impute"]))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        shutil.copytree(sound["zip" if kind == "zip" else "folder"], folder)
        source = "pixel-play-26" if kind == "zip" else "folder"
        stage_runner.set_params(folder, source=source, on_bad_frame=mode)
        path = folder / damage.ARCHIVE if kind == "zip" else next((folder / ROOT / "testing").rglob(f"*.{kind}"))
        how, content = mutate(path.read_bytes(), rng)
        path.write_bytes(content)
        ended = stage_runner.run_stages(folder, STAGES)
        half_written = [*folder.glob("data/**/.*.tmp*"), *folder.glob("data/**/*.unpacking")]
        lines = len(ended.printed.splitlines())
        if ended.code == 0 and not lines and not half_written:
            end = "result"
        elif ended.code == 1 and lines == 1 and not half_written and "Traceback" not in ended.printed:
            end = "one line"
        else:
            end = "bad"
            shutil.copytree(folder, kept / str(number))
    return {"kind": kind, "mutation": how, "end": end}


def main(count: int, seed: int, kept: Path) -> None:
    """Run `count` mutated inputs and print a table of how they ended; keep those that ended badly in `kept`."""
    with tempfile.TemporaryDirectory() as temporary:
        sound = write_sound(Path(temporary))
        runs = parallel(partial(run, seed=seed, sound=sound, kept=kept), range(count))
        table = pd.DataFrame(progress(runs, "mutated inputs", count))
    for by in ("kind", "mutation"):
        print(pd.crosstab(table[by], table["end"]).to_string(), end="\n\n")
    bad = int((table["end"] == "bad").sum())
    print(f"{count} mutated inputs, {bad} ended badly")
    sys.exit(f"{kept}: what they were and what they printed" if bad else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=Path(".dvc/tmp/fuzz"))
    arguments = parser.parse_args()
    main(arguments.count, arguments.seed, arguments.kept)
