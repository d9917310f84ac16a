"""Trainings by several processes, as a launcher would start them: for tests, on the CPU, over loopback."""

import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from tests.tiny_clips import walking_square
from vad import params
from vad.components import reconstruction
from vad.data.clips import MappedClip
from vad.models import (
    autoencoder,
    checkpoint,
    inference,
    predictor,
    predictor_training,
    processes,
    resumable,
    runtime,
    saving,
    training,
)

TOP = Path(__file__).parents[1]
SETTINGS = params.load(TOP / "params.yaml")
TRAIN = SETTINGS.train.model_copy(update={"epochs": 2, "batch_size": 7})
"""Of 24 frames the last batch has 3."""
PREDICT = SETTINGS.predict.model_copy(update={"epochs": 2, "history": 3, "precision": "32-true", "batch_size": 6})
# A process that has trained can't be forked into one that trains: children come from a server that never did.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.processes"])


def start(count: int, function: Callable[..., None], *arguments: Any) -> list[ForkServerProcess]:
    """Start `count` processes that call a function, each told which one it is as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [CONTEXT.Process(target=_one, args=(rank, count, port, function, arguments)) for rank in range(count)]
    for process in started:
        process.start()
    return started


def together(count: int, function: Callable[..., None], *arguments: Any) -> list[int | None]:
    """How `count` processes that called a function ended: their exit codes."""
    if count == 1:
        started = [CONTEXT.Process(target=function, args=arguments)]
        started[0].start()
    else:
        started = start(count, function, *arguments)
    for process in started:
        process.join(1800)
    return [process.exitcode for process in started]


def _one(rank: int, count: int, port: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in told.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test", "VAD_ACCELERATOR": "cpu"}
    function(*arguments)


def clip(count: int, seed: int) -> MappedClip:
    return MappedClip(f"{seed:02d}", np.arange(count), Path(f"{seed}.npy"), walking_square(count, (32, 32), seed))


def fit(folder: Path, cut: int = 0, rank: int = 1, by: int = signal.SIGKILL, epochs: int = 2) -> None:
    """Train the autoencoder; checkpoints, weights, curve, ranking and what is said go into `folder`.

    In step `cut`, from 1, the process `rank` gets the signal `by`.
    """
    torch.set_num_threads(1)
    sys.stderr = open(folder / "said", "a", buffering=1)  # noqa: SIM115
    resumable.KEPT_EVERY = 0
    kept = checkpoint.Checkpoints(folder / "autoencoder", {})
    _tell_writers(folder)
    _cut(cut, rank, by)
    runtime.seed(82)
    model = autoencoder.Autoencoder()
    fabric = runtime.fabric(by=processes.launched())
    frames = [training.Frames([clip(count, seed)]) for count, seed in ((24, 1), (8, 2))]
    settings = TRAIN.model_copy(update={"epochs": epochs})
    history = training.fit(fabric, model, *frames, settings, kept)
    if fabric.is_global_zero:
        saving.save(model, folder / "weights.safetensors", {})
        alone = runtime.fabric()
        scores = reconstruction.score(alone, inference.prepared(alone, model), clip(40, 3))["pixel_l1/identity"]
        _write(folder, history, scores.to_numpy().argsort().tolist())


def fit_predictor(folder: Path) -> None:
    """Train the predictor; weights, curve and ranking go into `folder`."""
    torch.set_num_threads(1)
    runtime.seed(82)
    model = predictor.make("unet", PREDICT.history)
    fabric = runtime.fabric(by=processes.launched())
    kept = checkpoint.Checkpoints(folder / "predictor", {})
    history = predictor_training.fit(fabric, model, [clip(24, 1)], [clip(12, 2)], PREDICT, kept)
    if fabric.is_global_zero:
        errors = [error.mean() for error in predictor.errors(runtime.fabric(), model, clip(40, 3), 8)]
        _write(folder, history, np.argsort(errors).tolist())


def _write(folder: Path, history: pd.DataFrame, ranking: list[int]) -> None:
    history.to_csv(folder / "history.csv", index=False)
    (folder / "ranking.json").write_text(json.dumps(ranking))


def _tell_writers(folder: Path) -> None:
    """Note in a file which process writes each checkpoint."""
    write = checkpoint.Checkpoints.write

    def told(*arguments: Any) -> None:
        with open(folder / "writers", "a") as writers:
            writers.write(os.environ.get("RANK", "0"))
        write(*arguments)

    checkpoint.Checkpoints.write = told  # type: ignore[method-assign]


def _cut(cut: int, rank: int, by: int) -> None:
    step, taken = training.step, 0

    def counted(*arguments: Any) -> float:
        nonlocal taken
        taken += 1
        if taken == cut and os.environ.get("RANK", "0") == str(rank):
            os.kill(os.getpid(), by)
        return step(*arguments)

    training.step = counted


def one_step(folder: Path) -> None:
    """A step of a small network with batch norm on a batch of 4; its gradients and statistics go into `folder`."""
    torch.set_num_threads(1)
    runtime.seed(1)
    fabric = runtime.fabric(by=processes.launched())
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 3))
    images, wanted = torch.rand(4, 3, 12, 12), torch.rand(4, 3, 8, 8)
    processes.share_batch_norms(fabric, model)
    network = fabric.setup_module(model)
    own = list(processes.part(fabric, range(4)))
    loss = processes.mean_loss(fabric, nn.functional.mse_loss, network(images[own]), wanted[own], 4)
    fabric.backward(loss)
    found = {f"gradient {name}": value.grad for name, value in model.named_parameters()}
    found |= {name: value.float() for name, value in model.named_buffers()}
    found["loss"] = torch.tensor(processes.total(fabric, loss))
    torch.save(found, folder / f"{fabric.global_rank}.pt")
