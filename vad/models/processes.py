"""One training by several processes: the same batches, the same steps, whoever takes which part of a batch.

A launcher (torchrun, srun) starts the processes and tells each, in its environment, which one it is. The batch of the
parameters is that of all together: each takes a part, and a gradient is the mean over the whole batch. So are the
statistics of a batch norm. What remains of the number of processes is the order in which numbers are added up.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed
from lightning_fabric import Fabric
from torch import Tensor, nn

from vad import VadError

Item = TypeVar("Item")


class Launched(NamedTuple):
    """How many processes run this program: on each machine, and machines; and how Fabric lets them work together."""

    here: int = 1
    nodes: int = 1
    strategy: str = "auto"

    def several(self) -> bool:
        """Whether this process is not alone."""
        return self.here * self.nodes > 1


ALONE = Launched()


def launched() -> Launched:
    """What torchrun, or srun by way of VAD_LAUNCH, says in the environment; without them this process is alone.

    Raises VadError where the machines have unequal numbers of processes, or LT_STRATEGY is not a kind of ddp.
    """
    strategy = os.environ.get("LT_STRATEGY") or "ddp"
    if not strategy.startswith("ddp"):
        raise VadError(f"LT_STRATEGY = {strategy!r}: must be ddp; every network here fits one device")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        count, here = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        nodes = -(-count // here)
    elif "VAD_LAUNCHED" in os.environ and "SLURM_PROCID" in os.environ:
        count, nodes = (int(os.environ[name]) for name in ("SLURM_NTASKS", "SLURM_NNODES"))
        here = -(-count // nodes)
    else:
        return ALONE
    if here * nodes != count:
        raise VadError(f"{count} processes on {nodes} machines: give each machine the same number of them")
    return Launched(here, nodes, strategy if count > 1 else "auto")


def part(fabric: Fabric, batch: Sequence[Item]) -> Sequence[Item]:
    """The items of a batch that this process takes: consecutive ones, as many as another takes or one less, or none."""
    size, longer = divmod(len(batch), fabric.world_size)
    rank = fabric.global_rank
    start = rank * size + min(rank, longer)
    return batch[start : start + size + (rank < longer)]


def mean_loss(fabric: Fabric, loss_of: Callable[..., Tensor], made: Tensor, wanted: Tensor, whole: int) -> Tensor:
    """A mean over items (N, ...), scaled so that its mean over processes is the mean over a batch of `whole` items."""
    if fabric.world_size == 1:
        return loss_of(made, wanted)
    # Of no item: a mean would not be finite, and each process must go backwards in step with the others.
    mean = loss_of(made, wanted) if len(made) else made.sum()
    return mean * (len(made) * fabric.world_size / whole)


def total(fabric: Fabric, loss: Tensor) -> float:
    """What `mean_loss` comes to over all processes, the same number in each."""
    return float(fabric.all_reduce(loss.detach(), reduce_op="mean").item())  # type: ignore[union-attr]


def any_of(fabric: Fabric, number: int) -> int:
    """The largest of the processes' numbers, the same in each."""
    if fabric.world_size == 1:
        return number
    mine = torch.tensor(number, device=fabric.device)
    return int(fabric.all_reduce(mine, reduce_op="max").item())  # type: ignore[union-attr]


def share_batch_norms(fabric: Fabric, model: nn.Module) -> None:
    """Let the batch norms of `model` see the whole batch in training, in place, where processes take parts of it."""
    for module in model.modules() if fabric.world_size > 1 else ():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm  # the same weights, buffers and names of both


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over (N, C, H, W) of which each process has some of the N, perhaps none.

    torch's own SyncBatchNorm does not run on CPUs. Deviations are taken from the common mean, in float32.
    """

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images)
        values = images.float()
        counted = values.new_full((1,), values.numel() / values.shape[1])
        sums = _summed(torch.cat([values.sum((0, 2, 3)), counted]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean[:, None, None]
        variance = _summed(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(images.dtype)


def _summed(tensor: Tensor) -> Tensor:
    found: Tensor = _Summed.apply(tensor)  # type: ignore[no-untyped-call]
    return found


class _Summed(torch.autograd.Function):
    """The sum of a tensor over all processes; so is the gradient, since each of them used the sum."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return _Summed.forward(_, gradients[0])
