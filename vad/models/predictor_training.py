"""Training the predictor: the loop, what it takes of the clips, and when it ends."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vad import VadError
from vad.data.clips import Clip
from vad.data.sampling import evenly_spaced
from vad.models import processes
from vad.models.checkpoint import Checkpoints
from vad.models.predictor import Predictor, Window, batches, predict, split
from vad.models.resumable import Resumable
from vad.params import Predict
from vad.storage.progress import progress

EPOCH_WINDOWS = 320
"""An epoch takes about that many of the training windows, evenly spaced: neighbours are nearly the same window."""
CHECKED_WINDOWS = 64
"""Windows of the inner split, evenly spaced and always the same, on which the loss is measured after each epoch."""
AVERAGING = 0.97
"""What the running mean of the weights keeps of itself at each step."""
LOWERED_AFTER, LOWERED_TO = 5, 0.3
"""After so many epochs without a lower inner loss the learning rate falls to this part of what it was."""
PATIENCE = 12
"""Epochs without a lower inner loss after which training ends: it is at its plateau."""


def fit(
    fabric: Fabric,
    model: Predictor,
    train: Sequence[Clip],
    inner: Sequence[Clip],
    params: Predict,
    checkpoints: Checkpoints,
) -> pd.DataFrame:
    """Train `model` in place with Adam; it is left with a running mean of its weights, as it was at the best epoch.

    Returns a row an epoch: `epoch`; `train`, the mean over its batches; `inner`, the loss on the clips `inner` after
    it, of the running mean in eval mode; `steps` of the optimizer so far. Row 0 is the untrained network, which copies
    the last frame: its `train` is nan, and it is never the best. The learning rate falls, and at last training ends,
    where the inner loss no longer does. What it draws comes from torch's global generator. `checkpoints`: as in
    training.fit. Raises VadError when there is no window on either side or a loss is not finite.
    """
    chosen = _some(windows(train, params.history), params.history, "training clip that the predictor is fitted on")
    checked = _some(windows(inner, params.history), params.history, "training clip of its inner split")
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes.share_batch_norms(fabric, model)
    network, optimizer = fabric.setup(model, torch.optim.Adam(model.parameters(), lr=params.learning_rate, fused=True))
    # torch's patience is the last number of epochs that is still tolerated.
    schedule = ReduceLROnPlateau(optimizer, factor=LOWERED_TO, patience=LOWERED_AFTER - 1, threshold=0)
    # Batch norm's statistics of so few steps vary much: without the mean, held-out loss may double in an epoch.
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING), use_buffers=True)

    def measured(epoch: int) -> float:
        # Of one process: when training ends depends on its last bits.
        loss = loss_over(fabric, mean.module, inner, checked, params)
        return fabric.broadcast(_finite(loss, epoch, "inner split"))

    with Resumable(fabric, checkpoints, model, optimizer, mean, schedule) as run:
        if not run.history:
            _drawn(len(chosen))  # not used: with this draw a seed gives the same weights as ever
            run.history.append({"epoch": 0, "train": math.nan, "inner": measured(0), "steps": 0})
        while not _ended(run.history, params.epochs):
            _epoch(fabric, network, optimizer, mean, _left(fabric, run, train, chosen, params), run)
            epoch, steps = len(run.history), run.history[-1]["steps"] + len(run.losses)
            row = {"epoch": epoch, "train": float(np.mean(run.losses)), "inner": measured(epoch), "steps": steps}
            schedule.step(row["inner"])
            if row["inner"] < min((past["inner"] for past in run.history[1:]), default=math.inf):
                run.best = {name: tensor.clone() for name, tensor in mean.module.state_dict().items()}
            run.end_epoch(row)
    model.load_state_dict(run.best)
    return pd.DataFrame(run.history).astype({"epoch": int, "steps": int})


def _ended(history: list[dict[str, float]], epochs: int) -> bool:
    """Whether all epochs are over, or PATIENCE of them without a lower inner loss."""
    over = len(history) - 1
    return over == epochs or (over > 0 and over - best_epoch(pd.DataFrame(history)) == PATIENCE)


def best_epoch(history: pd.DataFrame) -> int:
    """The epoch of `fit`'s table whose weights it left: the lowest inner loss, the untrained network aside."""
    return int(history["inner"].to_numpy()[1:].argmin()) + 1


def windows(clips: Sequence[Clip], history: int) -> list[Window]:
    """Every frame that `history` frames with the numbers just before its own precede: never across a gap."""
    found = []
    for index, clip in enumerate(clips):
        # Numbers ascend: where the last is `history` above the first, none between is missing.
        ends = np.flatnonzero(clip.numbers[history:] - clip.numbers[:-history] == history) + history
        found += [Window(index, position) for position in ends.tolist()]
    return found


def _some(found: list[Window], history: int, where: str) -> list[Window]:
    if not found:
        raise VadError(
            f"predict.history = {history}: no {history + 1} consecutive frames in any {where}; "
            "lower predict.history or give longer clips"
        )
    return found


def _left(
    fabric: Fabric, run: Resumable, clips: Sequence[Clip], chosen: list[Window], params: Predict
) -> Iterator[tuple[Tensor, int]]:
    """The batches of an epoch: a new one, which is drawn now, or what is left of the one under way.

    Of each what this process takes, and how many windows the whole has.
    """
    run.order = run.order or fabric.broadcast(_drawn(len(chosen)))
    starts = range(len(run.losses) * params.batch_size, len(run.order), params.batch_size)
    what = f"epoch {len(run.history)} of at most {params.epochs}"
    for start in progress(starts, what, frames=params.batch_size):
        whole = [chosen[index] for index in run.order[start : start + params.batch_size]]
        own = processes.part(fabric, whole)
        (batch,) = batches(clips, own or whole[:1], params.history, params.batch_size)
        yield batch[: len(own)], len(whole)


def _drawn(count: int) -> list[int]:
    """About EPOCH_WINDOWS of the numbers below `count`, evenly spaced from a random first one on, in random order."""
    stride = math.ceil(count / EPOCH_WINDOWS)
    spaced = range(int(torch.randint(stride, ())), count, stride)
    return [spaced[index] for index in torch.randperm(len(spaced)).tolist()]


def loss_of(predicted: Tensor, frame: Tensor) -> Tensor:
    """Intensity and gradient loss of (N, 3, H, W) in [0, 1], as a mean over the pixels.

    Of gradients the paper compares the absolute values, too; of intensity L2, here L1, which is what is scored.
    """
    gradients = (F.l1_loss(predicted.diff(dim=axis).abs(), frame.diff(dim=axis).abs()) for axis in (2, 3))
    return sum(gradients, F.l1_loss(predicted, frame))


def _epoch(
    fabric: Fabric,
    network: Any,
    optimizer: Any,
    mean: AveragedModel,
    drawn: Iterator[tuple[Tensor, int]],
    run: Resumable,
) -> None:
    """A pass over the windows drawn, or the rest of one; each step is recorded in `run`."""
    network.train()
    epoch = len(run.history)
    for batch, whole in drawn:
        frame, past = split(fabric.to_device(batch))
        optimizer.zero_grad(set_to_none=True)
        loss = processes.mean_loss(fabric, loss_of, predict(network, past), frame, whole)
        fabric.backward(loss)
        optimizer.step()
        mean.update_parameters(network.module)
        run.end_step(_finite(processes.total(fabric, loss), epoch, f"step {len(run.losses) + 1}"))


def _finite(loss: float, epoch: int, where: str) -> float:
    if not math.isfinite(loss):
        raise VadError(f"predict: the loss became {loss} in epoch {epoch}, {where}; lower predict.learning_rate")
    return loss


@torch.no_grad()
def loss_over(fabric: Fabric, network: Any, clips: Sequence[Clip], found: Sequence[Window], params: Predict) -> float:
    """The mean loss, in eval mode, over at most CHECKED_WINDOWS of some windows of clips; nan where there is none."""
    network.eval()
    chosen = [found[index] for index in evenly_spaced(len(found), CHECKED_WINDOWS)]
    total = 0.0
    for batch in batches(clips, chosen, params.history, params.batch_size):
        frame, past = split(fabric.to_device(batch))
        total += loss_of(predict(network, past), frame).item() * len(batch)
    return total / len(chosen) if chosen else math.nan
