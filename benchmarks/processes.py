"""What more processes gain on this machine: training under torchrun, and motion by threads or by shares of the clips.

    python -m benchmarks.processes --turns 3

Training: frames a second of the autoencoder on frames of noise, 128 x 128, with 1, 2 and 4 processes of one global
batch; starting is left out, as the difference between a long and a short training. Motion: all maps of small clips,
by one process with a thread a core, and by as many processes as there are cores, each with a thread and its share of
the clips (`VAD_SHARD`), starting included. The ways take turns. Prints tables in Markdown.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml

from benchmarks import scale
from benchmarks.page import TOP
from experiments import markdown
from stages import CLIPS as CLIPS_DONE
from vad.data import clips
from vad.storage import needs, tables

FRAMES, SIDE = 128, 128
SHORT, LONG = 1, 3
"""Epochs of the two trainings."""
PROCESSES = (1, 2, 4)
SIZE = 360, 640
CLIPS, CLIP = 8, 60


def stage(name: str, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a stage of dvc.yaml in a folder."""
    command = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"][name]["cmd"]
    return subprocess.Popen(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(TOP), "OMP_WAIT_POLICY": "passive"} | environment,
    )


def seconds(*started: subprocess.Popen[bytes]) -> float:
    """Seconds from now until all have ended. Raises CalledProcessError when one fails."""
    start = time.perf_counter()
    for process in started:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return time.perf_counter() - start


def training_folder(folder: Path) -> None:
    """What `train` reads: frames of noise, resized already."""
    scale.prepare(folder, 2 * scale.CLIP)
    needs.write(folder / "data/needs", {"train": True})
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3)).astype(np.uint8)
    for split, frames in (("train", noise), ("holdout", noise[:0])):
        target = folder / "data/resized" / split
        target.mkdir(parents=True)
        np.save(target / "1.npy", frames)
        index = pd.DataFrame({"split": split, "video": "1", "frame": np.arange(len(frames)), "fold": -1})
        tables.write_csv(target / clips.INDEX, index)


def trained(folder: Path, processes: int, epochs: int) -> float:
    """Seconds of a training from its first weights."""
    values = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    values["train"]["epochs"] = epochs
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    launch = {"VAD_LAUNCH": f"torchrun --standalone --nproc-per-node {processes}"} if processes > 1 else {}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return seconds(stage("train", folder, OMP_NUM_THREADS=str(threads), PATH=path, **launch))


def motion_folder(folder: Path) -> None:
    """What `motion` reads: clips of 640 x 360 in which squares walk over a texture, diagnosed already."""
    scale.prepare(folder, 2 * scale.CLIP)
    root = folder / "data/external/clips"
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(40, 180, (*SIZE, 3)).astype(np.uint8), (9, 9), 0)
    for number in range(2 * CLIPS):
        target = root / ("training" if number % 2 else "testing") / f"{900 + number}"
        target.mkdir()
        for index in range(CLIP):
            image = texture.copy()
            for walker in range(6):
                left = (4 * index + 97 * walker + 31 * number) % (SIZE[1] - 40)
                image[50 + 45 * walker : 110 + 45 * walker, left : left + 40] = rng.integers(0, 256, 3)
            cv2.imwrite(str(target / f"frame_{index:05d}.jpg"), image)
    for name in ("check", "fetch", "extract", "validation", "diagnose"):
        seconds(stage(name, folder))


def moved(folder: Path, processes: int) -> float:
    """Seconds of `motion` with nothing kept: by one process, or by shares and then the table."""
    shutil.rmtree(folder / CLIPS_DONE, ignore_errors=True)
    if processes == 1:
        return seconds(stage("motion", folder))
    start = time.perf_counter()
    cores = sorted(os.sched_getaffinity(0))
    shares = []
    for number in range(processes):
        # A process that may use one core has one thread.
        os.sched_setaffinity(0, {cores[number % len(cores)]})
        shares.append(stage("motion", folder, VAD_SHARD=f"{number + 1}/{processes}"))
    os.sched_setaffinity(0, set(cores))
    seconds(*shares)
    seconds(stage("motion", folder))
    return time.perf_counter() - start


def spread(values: list[float], digits: int = 1) -> str:
    """Median, and lowest to highest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main(turns: int) -> None:
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "training"
        folder.mkdir()
        training_folder(folder)
        rates: dict[int, list[float]] = {count: [] for count in PROCESSES}
        for _ in range(turns):
            for count in PROCESSES:
                took = trained(folder, count, LONG) - trained(folder, count, SHORT)
                rates[count].append((LONG - SHORT) * FRAMES / took)
        print(f"{cores} cores; frames a second, median (lowest to highest) of {turns}:\n")
        rows = [
            [str(count), spread(rate), f"{statistics.median(rate) / statistics.median(rates[1]):.2f}"]
            for count, rate in rates.items()
        ]
        print(markdown.table(["processes", "training, frames/s", "of one process"], rows), end="\n\n")
        folder = Path(name) / "motion"
        folder.mkdir()
        motion_folder(folder)
        times: dict[int, list[float]] = {count: [] for count in (1, cores)}
        for _ in range(turns):
            for count in times:
                times[count].append(moved(folder, count))
        rows = [
            [f"{count} process{'es' if count > 1 else ''}, {cores // count} threads each", spread(took)]
            for count, took in times.items()
        ]
        print(markdown.table(["motion", "seconds"], rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    main(parser.parse_args().turns)
