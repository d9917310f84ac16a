"""What one more test clip costs in a folder of many: the stages that run, and their seconds.

    python -m benchmarks.growing --clips 100

A clone of the project as committed, on small clips that are made here: the pipeline runs, a test clip is added,
the pipeline runs again. Prints a table in Markdown.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from project import workspaces

SIZE = (96, 128)
FRAMES = 20
SMALL = {"data.source": "folder", "resize.size": 32, "train.epochs": 1, "evaluate.bootstrap": 50}


def write_clip(folder: Path, seed: int) -> None:
    """FRAMES frames of a square that walks over a texture; textures are the same in all clips."""
    folder.mkdir(parents=True)
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(40, 180, (*SIZE, 3)).astype(np.uint8), (5, 5), 0)
    for number in range(FRAMES):
        frame = texture.copy()
        left = (3 * number + 7 * seed) % (SIZE[1] - 16)
        frame[40:56, left : left + 16] = (230, 200, 90)
        frame += np.random.default_rng([seed, number]).integers(0, 3, frame.shape, np.uint8)  # no two files are alike
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), frame)


def prepare(folder: Path, clips: int) -> Path:
    """A clone with its clips, half of them for training; where its test clips lie."""
    workspaces.git(workspaces.TOP, "clone", "--quiet", str(workspaces.TOP), str(folder))
    (folder / "dvc.lock").unlink()
    root = folder / "data" / "external"
    for clip in range(clips):
        write_clip(root / ("training" if clip % 2 else "testing") / f"{clip:03d}", clip)
    workspaces.set_parameters(folder / "params.yaml", SMALL)
    return root / "testing"


def repro(folder: Path) -> dict[str, float]:
    """Run the pipeline: stage that ran -> its seconds, DVC's own among them; those of all under `whole`."""
    begun: list[tuple[str, float]] = []
    start = time.perf_counter()
    for line in workspaces.dvc(folder, "repro"):
        if found := re.match(r"Running stage '(\w+)'", line):
            begun.append((found[1], time.perf_counter()))
    ends = [*(at for _, at in begun[1:]), time.perf_counter()]
    seconds = {stage: end - at for (stage, at), end in zip(begun, ends, strict=True)}
    return seconds | {"whole": time.perf_counter() - start}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "project"
        testing = prepare(project, arguments.clips)
        first = repro(project)
        write_clip(testing / "999", 999)
        second = repro(project)
    print(f"| stage | {arguments.clips} clips, s | one more, s |\n|---|---|---|")
    for stage, took in first.items():
        print(f"| {stage} | {took:.1f} | {second[stage]:.1f} |" if stage in second else f"| {stage} | {took:.1f} | - |")
