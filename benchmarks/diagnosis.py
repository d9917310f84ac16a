"""How well `diagnose` finds flipped frames and noise, and how fast: on clips whose corruption is known.

    python -m benchmarks.diagnosis REPLICA...

A replica is a folder that holds, at any depth, `training_videos/` and `testing_videos/` with a folder of numbered
images a clip, and beside them truth.csv (Id,label,flipped,noisy) for the test frames. Prints a table in Markdown.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments import markdown
from vad.data import clips
from vad.quality import diagnosis
from vad.storage import tables


@dataclass(frozen=True)
class ImageFolder(clips.Clip):
    """A clip that lies as a folder of images."""

    files: dict[int, Path]

    def frame(self, number: int) -> np.ndarray:
        path = self.files[number]
        return np.asarray(clips.decode(path.read_bytes(), str(path)))


def open_folders(replica: Path, name: str) -> list[clips.Clip]:
    """The clips of the folder `name` somewhere in a replica, in the order of their names."""
    opened: list[clips.Clip] = []
    for folder in sorted(next(replica.rglob(name)).iterdir()):
        files = {clips.frame_number(path.name): path for path in folder.iterdir()}
        opened.append(ImageFolder(folder.name, np.array(sorted(files), np.int64), folder, files))
    return opened


def judge(replica: Path) -> dict[str, Any]:
    """A row of the table, heading -> cell: precision and recall of flips and noise in test frames, and speed."""
    training, testing = open_folders(replica, "training_videos"), open_folders(replica, "testing_videos")
    known = diagnosis.backgrounds(training)
    lines = diagnosis.thresholds(pd.concat(diagnosis.measure_clip("train", clip, known) for clip in training))
    start = time.perf_counter()
    measured = pd.concat(diagnosis.measure_clip("test", clip, known) for clip in testing)
    seconds = time.perf_counter() - start
    truth = tables.read_csv(replica / "truth.csv", ["Id", "flipped", "noisy"])
    truth[["video", "frame"]] = truth["Id"].str.rsplit("_", n=1, expand=True)
    found = diagnosis.against_truth(diagnosis.decide(measured, lines), truth)
    height, width = next(iter(known))
    row: dict[str, Any] = {"replica": replica.name, "size": f"{width}x{height}", "frames": found["frames"]}
    for name in ("flipped", "noisy"):
        counts = found[name]
        row[f"{name}: true"], row[f"{name}: found"] = counts["true"], counts["found"]
        for key in ("precision", "recall"):
            row[f"{name}: {key}"] = "-" if counts[key] is None else f"{counts[key]:.4f}"
    return row | {"noise line": lines.noise, "frames/s": round(len(measured) / seconds)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("replicas", nargs="+", type=Path, metavar="REPLICA")
    rows = [judge(replica) for replica in parser.parse_args().replicas]
    print(markdown.table(list(rows[0]), [row.values() for row in rows]))
