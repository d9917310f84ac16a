"""Stages of dvc.yaml, run in a folder of their own on tiny clips to see what they say."""

import ctypes
import importlib
import multiprocessing
import os
import resource
import shlex
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from PIL import Image

from stages import run

TOP = Path(__file__).parents[1]
STAGES = ("check", "fetch", "extract", "validation", "diagnose", "resize", "evaluate", "submission")
PIPELINE = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
ROOT = Path("data/external")
SMALL_DISK = 20_000
HANGS = 600.0
"""Seconds after which a process is killed: it hangs."""
# A server that has imported the stages forks for each run: hundreds of runs in the time of some imports.
_SERVER = multiprocessing.get_context("forkserver")
_PRELOADED = [*(f"stages.{stage}" for stage in STAGES), "competition.submit", "matplotlib.pyplot", "requests"]
_SERVER.set_forkserver_preload(_PRELOADED)
# Starting a process collects the exit codes of all: two threads that read one at once would both get it wrong.
_ONE_AT_A_TIME = threading.Lock()


class Outcome(NamedTuple):
    """How a run of stages ended: the last stage that ran, its exit code and all that it printed.

    `notes`: what the stages before it printed.
    """

    stage: str
    code: int | None
    printed: str
    notes: str = ""


def run_stages(
    folder: Path, stages: Sequence[str], limit: str = "", environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run stages in `folder`, which holds params.yaml, up to the first that fails.

    `limit` is what the machine lacks: `disk` (files end at SMALL_DISK bytes) or `permission` (to read what its
    mode forbids, which root otherwise may). `environment` is added to this process's.
    """
    printed, notes = "", list[str]()
    for stage in stages:
        notes += [printed] * bool(printed)
        code, printed = alone(folder, call, stage, limit, environment=environment)
        if code != 0:
            break
    return Outcome(stage, code, printed, "\n".join(notes))


def alone(
    folder: Path, function: Callable[..., object], *arguments: Any, environment: Mapping[str, str] | None = None
) -> tuple[int | None, str]:
    """Call a function in a process of its own, in `folder`: the exit code and all that it printed."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as printed:
        arguments = folder, function, arguments, Path(printed.name), dict(environment or {})
        process = _SERVER.Process(target=_run, args=arguments)
        with _ONE_AT_A_TIME:
            process.start()
        if not wait([process.sentinel], HANGS):
            process.kill()
            wait([process.sentinel])
        with _ONE_AT_A_TIME:
            return process.exitcode, printed.read().decode().strip()


def _run(
    folder: Path, function: Callable[..., object], arguments: Sequence[Any], printed: Path, environment: dict[str, str]
) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    out = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    function(*arguments)


def preload(*modules: str) -> None:
    """Let the server import more modules; to be called before it forks for the first time."""
    _SERVER.set_forkserver_preload([*_PRELOADED, *modules])


def call(stage: str, limit: str = "") -> None:
    """Run a stage in this process and the working folder, with the command line that dvc.yaml has for it."""
    arguments = shlex.split(PIPELINE[stage]["cmd"])[2:]
    if limit == "disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK, SMALL_DISK))
    if limit == "permission" and os.geteuid() == 0:
        _give_up_reading_all()
    sys.argv = arguments
    run(importlib.import_module(arguments[0]).main)


def _give_up_reading_all() -> None:
    """Take from this process root's right to read and search everything (capset(2), version 3)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    data[0] &= ~0b110  # of what is in effect: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def set_params(folder: Path, **values: Any) -> None:
    """Write params.yaml into `folder`: the project's, with what is given for its section `data`."""
    params = yaml.safe_load((TOP / "params.yaml").read_text(encoding="utf-8"))
    params["resize"]["size"] = 32
    params["evaluate"]["bootstrap"] = 10
    params["data"] |= {"source": "folder"} | values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def frames(count: int, seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 RGB of a fixed texture over which a square moves; a clip of its own for each seed."""
    rng = np.random.default_rng(seed)
    height, width = size
    texture = cv2.GaussianBlur(rng.integers(40, 180, (height, width, 3)).astype(np.uint8), (5, 5), 0)
    result = np.repeat(texture[None], count, axis=0)
    for index, frame in enumerate(result):
        left = (index + 7 * seed) % (width - 12)
        frame[height // 3 : height // 3 + 12, left : left + 12] = 230, 200, 90
    return result


def write_folder(folder: Path, images: np.ndarray, first: int = 0) -> None:
    """Write images as frame_00000.jpg and so on, numbered from `first`."""
    folder.mkdir(parents=True)
    for number, image in enumerate(images, first):
        Image.fromarray(image).save(folder / f"frame_{number:05d}.jpg", quality=90)


def write_video(path: Path, images: np.ndarray, codec: str = "MJPG") -> None:
    """Write images as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (width, height))
    for image in images:
        writer.write(np.ascontiguousarray(image[:, :, ::-1]))
    writer.release()


def write_clips(root: Path) -> None:
    """Write a small sound data set: four training clips, two test clips, labels.csv and sample_submission.csv."""
    for clip, length in enumerate((12, 12, 44, 44), 1):
        write_folder(root / "training" / f"{clip:02d}", frames(length, clip))
    write_folder(root / "testing" / "01", frames(12, 11), first=939)
    write_video(root / "testing" / "02.avi", frames(12, 12))
    ids = [("01", number) for number in range(939, 951)] + [("02", number) for number in range(12)]
    rows = [f"{video},{number},{int(number % 12 > 7)}" for video, number in ids]
    (root / "labels.csv").write_text("\n".join(["video,frame,label", *rows, ""]))
    rows = [f"{int(video)}_{number},0.0" for video, number in ids]
    (root / "sample_submission.csv").write_text("\n".join(["Id,Predicted", *rows, ""]))
