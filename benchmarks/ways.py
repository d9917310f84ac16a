"""What benchmarks/performance.py measures: the same work in the notebook's way, in ours, and what the machine could do.

A way is a function that prepares itself in a folder of frames and returns what does the work once and tells of how
many frames. Nothing is timed here.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import reference_notebook
from stages import resize
from vad import params
from vad.components import reconstruction
from vad.data import clips
from vad.models import autoencoder, inference, runtime, training
from vad.params import Precision
from vad.storage.progress import parallel

TOP = Path(__file__).parents[1]
FRAMES = 32
"""That networks see: two batches of training, four of inference."""
READ = 256
"""Of which the clip consists that is read: Avenue's have 560, and opening one costs as much as some frames."""
SIDE = 2048
"""Of the square matrices whose product tells what the machine could do."""

Work = Callable[[], int]


def make_frames(folder: Path) -> None:
    """Write a clip of noisy texture: as JPEG files, 640 x 360 and of 75 kB as Avenue's, as a zip, and resized.

    After FRAMES frames it begins anew.
    """
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (360, 640, 3)), (0, 0), 4)
    light = cv2.GaussianBlur(rng.normal(0, 1, (360, 640, 3)), (0, 0), 40)
    scene = 120 + 35 * texture / texture.std() + 30 * light / light.std()
    (folder / "jpegs").mkdir()
    for number in range(FRAMES):
        frame = np.clip(scene + rng.normal(0, 1, scene.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "jpegs" / f"frame_{number:05d}.jpg"), frame)
    stored = [path.read_bytes() for path in _files(folder)]
    for number in range(FRAMES, READ):
        (folder / "jpegs" / f"frame_{number:05d}.jpg").write_bytes(stored[number % FRAMES])
    clips.write_zip(folder / "01.zip", ((number, stored[number % FRAMES], ".jpg") for number in range(READ)), "")
    _reading(folder, "exact")()


def _files(folder: Path, count: int | None = None) -> list[Path]:
    """The JPEG files of the first FRAMES frames, or of the first `count`."""
    return sorted((folder / "jpegs").glob("*.jpg"))[: count or FRAMES]


def resized(folder: Path) -> clips.MappedClip:
    path = folder / "exact.npy"
    return clips.MappedClip("01", np.arange(FRAMES), path, np.load(path, mmap_mode="r")[:FRAMES])


def settings() -> params.Params:
    return params.load(TOP / "params.yaml")


def _notebook_training(folder: Path) -> Work:
    paths = _files(folder)
    torch.manual_seed(0)
    model = reference_notebook.Autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def work() -> int:
        reference_notebook.train(model, optimizer, paths)
        return len(paths)

    return work


def _training(folder: Path, precision: Precision) -> Work:
    """Steps as `vad.models.training` takes them, frames picked from the mapped clip included."""
    runtime.seed(0)
    fabric, recipe = runtime.fabric(precision), settings().train
    network, optimizer = training.prepare(fabric, autoencoder.Autoencoder(), recipe)
    network.train()
    frames = training.Frames([resized(folder)])

    def work() -> int:
        order = training.shuffled(len(frames))
        for start in range(0, len(order), recipe.batch_size):
            chosen = order[start : start + recipe.batch_size]
            batch = fabric.to_device(torch.stack([frames[index] for index in chosen]))
            training.step(fabric, network, optimizer, batch, training.LOSSES[recipe.loss])
        return len(frames)

    return work


def _notebook_inference(folder: Path) -> Work:
    torch.manual_seed(0)
    model, paths = reference_notebook.Autoencoder(), _files(folder)
    return lambda: len(reference_notebook.score(model, paths))


def _inference(folder: Path, precision: Precision) -> Work:
    torch.manual_seed(0)
    fabric, clip = runtime.fabric(precision), resized(folder)
    model = inference.prepared(fabric, autoencoder.Autoencoder(), precision)
    return lambda: len(reconstruction.score(fabric, model, clip))


def _notebook_reading(folder: Path) -> Work:
    frames = reference_notebook.FrameFiles(_files(folder, READ))
    return lambda: sum(1 for _ in map(frames.__getitem__, range(len(frames))))


def _reading(folder: Path, decode: str) -> Work:
    """What the stage `resize` does with a clip."""
    chosen = settings().resize.model_copy(update={"decode": decode})

    def work() -> int:
        with clips.open_zip(folder / "01.zip") as clip:
            resize.store(folder / f"{decode}.npy", clip, dict.fromkeys(clip.numbers.tolist()), chosen)
            return len(clip)

    return work


def _decoding(folder: Path) -> Work:
    """JPEGs decoded by all cores, and no more."""
    contents = [path.read_bytes() for path in _files(folder, READ)]
    return lambda: sum(1 for _ in parallel(lambda data: clips.decode(data, "").size, contents))


def _product(folder: Path, precision: Precision, work: str) -> Work:
    """Matrix products with as many multiplications as the work on some frames; see `operations`."""
    kind = torch.float32 if precision == "32-true" else torch.bfloat16
    left, right = (torch.rand(SIDE, SIDE).to(kind) for _ in range(2))
    per_frame = json.loads((folder / "operations.json").read_text())[work]
    products = 4 if precision == "32-true" else 16

    def multiply() -> int:
        for _ in range(products):
            torch.mm(left, right)
        return round(products * 2 * SIDE**3 / per_frame)

    return multiply


def count_operations(folder: Path) -> None:
    """Write how many additions and multiplications a frame takes, by what defines the work: nothing computed twice."""
    model = reference_notebook.Autoencoder()
    images = torch.rand(1, 3, 128, 128)
    with FlopCounterMode(display=False) as training_counter:
        model(images.repeat(16, 1, 1, 1)).sum().backward()
    with torch.no_grad(), FlopCounterMode(display=False) as inference_counter:
        model.encoder(model(images))
    counts = {
        "training": training_counter.get_total_flops() / 16,
        "inference": inference_counter.get_total_flops() * len(reference_notebook.VIEWS),
    }
    (folder / "operations.json").write_text(json.dumps(counts))


PRECISIONS: tuple[Precision, Precision] = ("32-true", "bf16-mixed")
WAYS: dict[str, Callable[[Path], Work]] = {
    "notebook training": _notebook_training,
    "notebook inference": _notebook_inference,
    "notebook reading": _notebook_reading,
    **{f"training {precision}": partial(_training, precision=precision) for precision in PRECISIONS},
    **{f"inference {precision}": partial(_inference, precision=precision) for precision in PRECISIONS},
    **{f"reading {decode}": partial(_reading, decode=decode) for decode in ("exact", "scaled")},
    **{
        f"product {work} {precision}": partial(_product, precision=precision, work=work)
        for work in ("training", "inference")
        for precision in PRECISIONS
    },
    "decoding": _decoding,
}
