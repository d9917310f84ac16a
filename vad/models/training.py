"""Training the autoencoder: the loop, and what is measured per epoch."""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import Dataset, RandomSampler

from vad import VadError
from vad.data.clips import MappedClip
from vad.data.sampling import evenly_spaced
from vad.models import collapse, processes
from vad.models.autoencoder import Autoencoder, to_images
from vad.models.checkpoint import Checkpoints
from vad.models.resumable import Resumable
from vad.params import Train
from vad.storage.progress import progress

LOSSES = {"mse": F.mse_loss, "l1": F.l1_loss}
CHECKED_FRAMES = 64
"""Frames, evenly spaced, on which loss and collapse are measured in eval mode after each epoch."""
COLLAPSE = ["feature_variance", "effective_rank", "score_spread"]
COLUMNS = ["epoch", "train", "train_eval", "holdout", "steps", *COLLAPSE]
"""Of the table that `fit` returns."""


class Frames(Dataset[Tensor]):
    """The frames of resized clips as one data set; an item is (H, W, 3) uint8."""

    def __init__(self, clips: Sequence[MappedClip]) -> None:
        self.clips = clips
        self.ends = list(accumulate(map(len, clips)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: int) -> Tensor:
        clip = bisect_right(self.ends, index)
        start = self.ends[clip - 1] if clip else 0
        return torch.from_numpy(self.clips[clip].array[index - start].copy())

    def spaced(self, count: int) -> list[int]:
        """Indices of at most `count` frames, evenly spaced over all clips."""
        return evenly_spaced(len(self), count)

    def digest(self) -> str:
        """A hash of every pixel, in 32 hex digits."""
        state = hashlib.blake2b(digest_size=16)
        for clip in self.clips:
            state.update(str(clip.array.shape).encode())
            for frame in clip.array:
                state.update(frame.tobytes())
        return state.hexdigest()


def fit(
    fabric: Fabric, model: Autoencoder, train: Frames, holdout: Frames, params: Train, checkpoints: Checkpoints
) -> pd.DataFrame:
    """Train `model` in place with Adam; returns a row an epoch, and before them epoch 0, the untrained network.

    Columns: `epoch`; `train`, the mean over the epoch's batches, as the reference reports it; `train_eval` and
    `holdout`, measured after the epoch in eval mode on training and on held-out frames, which alone compare; `steps`
    of the optimizer so far; what `collapse_figures` gives of held-out frames. Where none are held out, `holdout` is nan
    and collapse is that of training frames. Epoch 0 has no losses, which would dwarf all others.
    An interrupted run goes on from `checkpoints` to the same weights. A finished one leaves them there: the caller
    removes them once the weights are written. Raises VadError when the loss is no longer finite.
    """
    judged = holdout if len(holdout) else train
    network, optimizer = prepare(fabric, model, params)
    with Resumable(fabric, checkpoints, model, optimizer) as run:
        if not run.history:
            run.history.append({"epoch": 0, "steps": 0, **collapse_figures(fabric, model, judged, params)})
        for epoch in range(len(run.history), params.epochs + 1):
            _epoch(fabric, network, optimizer, train, params, run)
            row: dict[str, float] = {"epoch": epoch, "train": sum(run.losses) / len(run.losses)}
            for name, frames in (("train_eval", train), ("holdout", holdout)):
                row[name] = evaluation_loss(fabric, network, frames, params)
            row |= {"steps": epoch * len(run.losses), **collapse_figures(fabric, model, judged, params)}
            run.end_epoch(row)
    return pd.DataFrame(run.history, columns=COLUMNS).astype({"epoch": int, "steps": int})


def prepare(fabric: Fabric, model: Autoencoder, params: Train) -> tuple[Any, Any]:
    """Fabric's wrappings of `model`, which moves to the device in place, and of its optimizer, Adam."""
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a tenth faster
    processes.share_batch_norms(fabric, model)
    network, optimizer = fabric.setup(model, torch.optim.Adam(model.parameters(), lr=params.learning_rate, fused=True))
    return network, optimizer


def step(fabric: Fabric, network: Any, optimizer: Any, frames: Tensor, loss_of: Any, whole: int | None = None) -> float:
    """One step of the optimizer on a batch of frames (N, H, W, 3) uint8; returns the loss before it.

    `whole`: how many frames the batch has where `frames` are only this process's part.
    """
    images = to_images(frames)
    optimizer.zero_grad(set_to_none=True)
    loss = processes.mean_loss(fabric, loss_of, network(images), images, whole or len(images))
    fabric.backward(loss)
    optimizer.step()
    return processes.total(fabric, loss)


def shuffled(count: int) -> list[int]:
    """The numbers below `count` in random order: the draws and the order of torch's DataLoader with `shuffle`."""
    torch.empty((), dtype=torch.int64).random_()  # what that one draws to seed the workers that it may have
    return list(RandomSampler(range(count)))


def _epoch(fabric: Fabric, network: Any, optimizer: Any, train: Frames, params: Train, run: Resumable) -> None:
    """A pass over the training frames, or the rest of one; each step is recorded in `run`."""
    network.train()
    run.order = run.order or fabric.broadcast(shuffled(len(train)))
    starts = range(len(run.losses) * params.batch_size, len(train), params.batch_size)
    for start in progress(starts, f"epoch {len(run.history)} of {params.epochs}", frames=params.batch_size):
        whole = run.order[start : start + params.batch_size]
        own = processes.part(fabric, whole)
        batch = torch.stack([train[index] for index in own or whole[:1]])[: len(own)]  # of no frame it has a shape too
        loss = step(fabric, network, optimizer, fabric.to_device(batch), LOSSES[params.loss], len(whole))
        if not math.isfinite(loss):
            raise VadError(
                f"train: the loss became {loss} in epoch {len(run.history)}, step {len(run.losses) + 1}; "
                "lower train.learning_rate"
            )
        run.end_step(loss)


@torch.no_grad()
def evaluation_loss(fabric: Fabric, network: Any, frames: Frames, params: Train) -> float:
    """Mean loss in eval mode over up to 64 evenly spaced frames; nan where there is none."""
    if not len(frames):
        return math.nan
    network.eval()
    total = 0.0
    for images in _checked(fabric, frames, params):
        total += LOSSES[params.loss](network(images), images).item() * len(images)
    return total / len(frames.spaced(CHECKED_FRAMES))


@torch.no_grad()
def collapse_figures(fabric: Fabric, model: Autoencoder, frames: Frames, params: Train) -> dict[str, float]:
    """Whether `model` still tells up to 64 evenly spaced frames apart, in eval mode; three figures by name.

    `feature_variance` and `effective_rank` of the bottleneck, averaged over its positions; `score_spread` of the mean
    absolute error per frame. In float32 whatever the training's precision: rounding to bfloat16 looks like rank.
    """
    model.eval()
    features, scores = [], []
    for images in _checked(fabric, frames, params):
        bottleneck = model.encoder(images)
        features.append(bottleneck.mean((2, 3)))
        scores.append((model.decoder(bottleneck) - images).abs().mean((1, 2, 3)))
    pooled = torch.cat(features).cpu().numpy()
    return {
        "feature_variance": collapse.feature_variance(pooled),
        "effective_rank": collapse.effective_rank(pooled),
        "score_spread": collapse.score_spread(torch.cat(scores).cpu().numpy()),
    }


def _checked(fabric: Fabric, frames: Frames, params: Train) -> Iterator[Tensor]:
    """Batches of images of the frames that are measured."""
    chosen = frames.spaced(CHECKED_FRAMES)
    for start in range(0, len(chosen), params.batch_size):
        batch = torch.stack([frames[index] for index in chosen[start : start + params.batch_size]])
        yield to_images(fabric.to_device(batch))
