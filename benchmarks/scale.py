"""How time and memory grow with the number of frames: every light stage on synthetic clips, and figures of many scores.

    python -m benchmarks.scale 1000 10000 100000 1000000 --scores 10000000

Clips of 100 frames of 64 x 48, half of them training, go through the stages of dvc.yaml and onto the page, each in a
process of its own, weighed as the recipe `motion`: no network runs. What networks take is measured on a few frames and
multiplied. Prints tables in Markdown and draws docs/images/scale.png.
"""

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import yaml

from benchmarks import page
from experiments import markdown
from project import workspaces
from vad.evaluation import plots
from vad.storage import files, needs

CLIP = 100
"""Frames of a clip."""
HELD_OUT = 0.2
"""Share of the training clips."""
STAGES = (
    "check", "fetch", "extract", "validation", "diagnose", "resize", "infer", "motion", "predict", "memory",
    "objects", "given", "aggregate", "evaluate", "submission", "page",
)  # fmt: skip
SHOWN = (
    "fetch", "extract", "validation", "diagnose", "resize", "motion", "aggregate", "evaluate", "submission", "page",
)  # fmt: skip
REPORT = "metrics/report.html"
WEIGHED = """
import runpy, sys
from pathlib import Path
peak, module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    status = Path("/proc/self/status").read_text()
    Path(peak).write_text(status.split("VmHWM:")[1].split()[0])
"""
"""Run a module and write down its peak of memory, kB: what `wait4` tells counts the process that it was forked from."""
SETTINGS = {
    "data.source": "folder",
    "data.root": "data/external/clips",
    "resize.size": 32,
    "repair.unflip": True,
    "repair.interpolate": True,
    "aggregate.normalise": "calibrated",
    "aggregate.normalise_on": "component",
    "aggregate.smooth.method": "gaussian",
    "evaluate.bootstrap": 100,
}
WEIGHTS = {"background_local": 1, "change_local": 1, "flow_local": 1}
PICTURE = page.TOP / "docs" / "images" / "scale.png"


class Cost(NamedTuple):
    """What a process took: seconds by the clock and of the processor, and megabytes at its peak."""

    seconds: float
    processor: float
    megabytes: float


def make_clips(root: Path, frames: int) -> None:
    """A data source of about `frames` frames: a square walks over a texture, faster where the label is 1."""
    rng = np.random.default_rng(0)
    clips = frames // CLIP
    rows = []
    for number in range(clips):
        split = "training" if number < clips // 2 else "testing"
        folder = root / split / f"{number + 1:05d}"
        folder.mkdir(parents=True)
        texture = cv2.GaussianBlur(rng.integers(40, 180, (48, 64, 3)).astype(np.uint8), (5, 5), 0)
        label = (np.arange(CLIP) >= 0.8 * CLIP) & (split == "testing")
        left = np.cumsum(np.where(label, 5, 1)) % 52
        for index in range(CLIP):
            image = texture.copy()
            image[24:36, left[index] : left[index] + 12] = (230, 200, 90)
            cv2.imwrite(str(folder / f"frame_{index:05d}.jpg"), image)
        if split == "testing":
            rows += [(folder.name, index, int(value)) for index, value in enumerate(label)]
    with open(root / "labels.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("video", "frame", "label"), *rows])


def prepare(folder: Path, frames: int) -> None:
    """A folder in which the stages run: parameters, clips, and what the stages that are left out would write."""
    values = yaml.safe_load((page.TOP / "params.yaml").read_text(encoding="utf-8"))
    workspaces.put(values, SETTINGS | {"data.holdout_clips": math.ceil(HELD_OUT * (frames // CLIP // 2))})
    values["aggregate"]["weights"] = WEIGHTS
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    make_clips(folder / "data/external/clips", frames)
    for name in ("data/truth", "data/given", "models", "metrics/plots"):
        (folder / name).mkdir(parents=True)
    needs.write_no_weights(*(folder / "models" / f"{name}.safetensors" for name in ("autoencoder", "predictor")))
    files.write_json(folder / "metrics/train.json", {"needed": False})


def command(stage: str) -> list[str]:
    """Module and arguments of a stage, or of the page."""
    if stage == "page":
        return ["reports.report"]
    stages = yaml.safe_load((page.TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return stages[stage]["cmd"].split()[2:]


def costs(folder: Path, frames: int) -> dict[str, Cost]:
    """Stage -> what it takes for so many frames, in a folder that is made for them. `page` is the page of the run."""
    prepare(folder, frames)
    return {stage: run(command(stage), folder) for stage in STAGES}


def run(arguments: Sequence[str], folder: Path) -> Cost:
    """Run a module with arguments in a folder, on Linux. Raises CalledProcessError when it fails."""
    start = time.perf_counter()
    peak = folder / "peak"
    environment = os.environ | {"PYTHONPATH": str(page.TOP)}
    process = subprocess.Popen([sys.executable, "-c", WEIGHED, str(peak), *arguments], cwd=folder, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    seconds = time.perf_counter() - start
    return Cost(seconds, used.ru_utime + used.ru_stime, int(peak.read_text(encoding="utf-8")) / 1024)


def slope(found: dict[int, dict[str, Cost]], stage: str) -> float:
    """By which power of the frames the processor's time grows, between the two largest numbers; nan for one alone."""
    known = sorted((size, of_stage) for size, of_stage in found.items() if stage in of_stage)
    if len(known) < 2:
        return math.nan
    (few, fewer), (many, more) = known[-2:]
    return math.log(more[stage].processor / fewer[stage].processor) / math.log(many / few)


def table(found: dict[int, dict[str, Cost]]) -> str:
    """A row a stage: milliseconds of the processor a frame and the peak of memory for each number of frames."""
    sizes = sorted(found)
    rows = [
        [
            stage,
            *(f"{c.processor / n * 1000:.2f}" if (c := found[n].get(stage)) else "-" for n in sizes),
            *(f"{c.megabytes:.0f}" if (c := found[n].get(stage)) else "-" for n in sizes),
            f"{slope(found, stage):.2f}",
        ]
        for stage in SHOWN
    ]
    heads = [*(f"{size:,}: ms a frame" for size in sizes), *(f"{size:,}: MB" for size in sizes)]
    return markdown.table(["stage", *heads, "slope"], rows)


def draw(path: Path, found: dict[int, dict[str, Cost]]) -> None:
    """Draw the processor's time of each stage over the number of frames, and a line of slope 1."""
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 5))
    sizes = sorted(found)
    for stage in SHOWN:
        known = [size for size in sizes if stage in found[size]]
        axis.loglog(known, [found[size][stage].processor for size in known], "o-", label=stage)
    axis.loglog(sizes, [size * 1e-3 for size in sizes], "k--", label="1 ms a frame")
    axis.set_xlabel("frames")
    axis.set_ylabel("seconds of processor time")
    axis.legend(fontsize=7)
    figure.tight_layout()
    plots.save(figure, path)


def networks(side: int = 32, frames: int = 256) -> list[list[str]]:
    """Rows for what networks take, measured on a few frames: milliseconds of the processor a frame."""
    import torch

    from benchmarks import ways
    from vad.components import reconstruction
    from vad.data import clips
    from vad.models import autoencoder, inference, runtime, training

    settings, fabric = ways.settings().train, runtime.fabric()
    array = np.random.default_rng(0).integers(0, 256, (frames, side, side, 3)).astype(np.uint8)
    clip = clips.MappedClip("1", np.arange(frames), Path("1.npy"), array)
    network, optimizer = training.prepare(fabric, autoencoder.Autoencoder(), settings)
    ready = inference.prepared(fabric, autoencoder.Autoencoder())

    def train() -> None:
        for start in range(0, frames, settings.batch_size):
            batch = torch.from_numpy(array[start : start + settings.batch_size])
            training.step(fabric, network, optimizer, batch, training.LOSSES[settings.loss])

    rows = []
    for name, work in (("train, an epoch", train), ("infer", lambda: reconstruction.score(fabric, ready, clip))):
        work()
        start = time.process_time()
        work()
        rows.append([name, f"{(time.process_time() - start) / frames * 1000:.1f}", f"{frames} frames"])
    return rows


def figures(scores: int) -> dict[str, float]:
    """Figure -> seconds of the processor for so many scores in clips of a thousand; and megabytes at the peak."""
    import resource

    from vad.evaluation import metrics
    from vad.evaluation.curves import Ranked

    rng = np.random.default_rng(0)
    videos = np.repeat([f"{clip:05d}" for clip in range(scores // 1000)], 1000)
    frames = pd.DataFrame({"split": "test", "video": videos, "frame": np.tile(np.arange(1000), scores // 1000)})
    values, labels = rng.random(len(frames)), rng.integers(0, 4, len(frames)) // 3
    taken = {}
    start = time.process_time()
    metrics.headline(Ranked(labels, values), None, 0.2456)
    taken["AP, AP at a prevalence, AUROC"] = time.process_time() - start
    metrics.macro_auroc(labels, values, videos)
    taken["AUROC by clip"] = time.process_time() - start - sum(taken.values())
    metrics.ranking_digest(frames, values)
    taken["digest of the ranking"] = time.process_time() - start - sum(taken.values())
    return taken | {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main(sizes: Sequence[int], scores: int, picture: Path) -> None:
    found: dict[int, dict[str, Cost]] = {}
    pages = []
    for size in sorted(sizes):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            found[size] = costs(folder, size)
            pages.append([f"{size:,}", f"{(folder / REPORT).stat().st_size / 1e6:.1f}"])
        print(f"{size:,} frames: {sum(cost.seconds for cost in found[size].values()):.0f} s", file=sys.stderr)
    if found:
        print(f"{page.machine()}\n\n{table(found)}\n")
        print(markdown.table(["frames", "page, MB"], pages), "\n")
        print(markdown.table(["network at 32 x 32", "ms a frame", "extrapolated from"], networks()), "\n")
        draw(picture, found)
    if scores:
        words = [sys.executable, "-m", "benchmarks.scale", "--only-figures", "--scores", str(scores)]
        taken = json.loads(subprocess.check_output(words, cwd=page.TOP, text=True))
        megabytes = taken.pop("megabytes")
        rows = [[name, f"{seconds:.1f}"] for name, seconds in taken.items()]
        rows.append(["together", f"{sum(taken.values()):.1f}"])
        print(markdown.table([f"figures of {scores:,} scores", "seconds of the processor"], rows))
        print(f"\nMemory at the peak: {megabytes:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", nargs="*", type=int)
    parser.add_argument("--scores", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--only-figures", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_figures:
        print(json.dumps(figures(given.scores)))
    else:
        main(given.frames, given.scores, given.picture)
