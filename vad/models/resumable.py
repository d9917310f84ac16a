"""Trainings that can be interrupted at any moment and go on to the same weights, to the bit."""

import signal
import sys
import threading
import time
from collections import defaultdict
from types import FrameType, TracebackType
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from vad.models import processes
from vad.models.checkpoint import Checkpoints

KEPT_EVERY = 120.0
"""Seconds of training after which its state is kept, besides at the end of each epoch."""
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Deferred:
    """While it is entered, the signals that Python handles wait for `deliver`, or for the end."""

    came: int | None = None

    def __enter__(self) -> "Deferred":
        # Only the main thread may; in another one signals come through as ever.
        here = SIGNALS if threading.current_thread() is threading.main_thread() else []
        self._handlers = {number: handler for number in here if callable(handler := signal.getsignal(number))}
        for number in self._handlers:
            signal.signal(number, self._note)
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        self.came = number

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def deliver(self) -> None:
        """Call the handler of the signal that came, if one did; what ends the program does so here."""
        if self.came is not None:
            self._restore()
            self._handlers[self.came](self.came, None)

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self._restore()
        if kind is None:
            self.deliver()


class Resumable:
    """How far a training is: as it was when it was interrupted, or at its beginning.

    `history`: a row for each epoch that has ended. Of the epoch under way, `order`: its items in the order in which
    they are taken, empty before it is drawn; `losses`: those of its steps so far. `best`: weights to come back to.
    In a `with` block Ctrl-C and SIGTERM wait for the next step's end, where they leave a checkpoint. Of several
    processes the first alone reads and writes checkpoints, and a signal to one of them stops all after the same step.
    """

    def __init__(
        self,
        fabric: Fabric,
        checkpoints: Checkpoints,
        model: nn.Module,
        optimizer: Any,
        mean: nn.Module | None = None,
        schedule: Any = None,
    ) -> None:
        """Take model, optimizer, running mean and schedule to where the last checkpoint has them, in place."""
        self.history: list[dict[str, float]] = []
        self.order: list[int] = []
        self.losses: list[float] = []
        self.best: dict[str, Tensor] = {}
        self._fabric = fabric
        self._checkpoints, self._optimizer, self._schedule = checkpoints, optimizer, schedule
        self._modules = {"model": model} | ({"mean": mean} if mean else {})
        # A device has random numbers of its own; convnext_tiny draws there which blocks it skips.
        self._device: Any = torch.get_device_module(fabric.device.type) if fabric.device.type != "cpu" else None
        self._under = [circumstances(fabric)]
        self._signals = Deferred()
        self._kept_at = time.monotonic()
        if content := fabric.broadcast(checkpoints.read() if fabric.is_global_zero else None):
            self._restore(*content)

    def __enter__(self) -> "Resumable":
        self._signals.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: BaseException | TracebackType | None) -> None:
        self._signals.__exit__(kind, *rest)

    def end_step(self, loss: float) -> None:
        """A step of the optimizer is done: keep the state if it is time to, or if training is interrupted here."""
        self.losses.append(loss)
        self._agree()
        if self._signals.came or time.monotonic() - self._kept_at >= KEPT_EVERY:
            self._keep()

    def end_epoch(self, row: dict[str, float]) -> None:
        """An epoch is done, `row` is what was measured of it: keep the state."""
        self.history.append(row)
        self.order, self.losses = [], []
        self._agree()
        self._keep()

    def _agree(self) -> None:
        """What came to one process has come to all."""
        self._signals.came = processes.any_of(self._fabric, self._signals.came or 0) or None

    def _keep(self) -> None:
        if self._fabric.is_global_zero:
            self._write()
        self._kept_at = time.monotonic()
        self._signals.deliver()

    def _write(self) -> None:
        tensors = {f"best/{name}": tensor for name, tensor in self.best.items()}
        for part, module in self._modules.items():
            tensors |= {f"{part}/{name}": tensor for name, tensor in module.state_dict().items()}
        optimizer = self._optimizer.state_dict()
        for index, moments in optimizer["state"].items():
            tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in moments.items()}
        tensors["random/cpu"] = torch.get_rng_state()
        if self._device:
            tensors["random/device"] = self._device.get_rng_state()
        record = {
            "history": self.history,
            "order": self.order,
            "losses": self.losses,
            "groups": optimizer["param_groups"],
            "schedule": self._schedule.state_dict() if self._schedule else None,
            "under": self._under,
        }
        self._checkpoints.write(tensors, record)

    def _restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        for part, module in self._modules.items():
            module.load_state_dict(parts[part])
        self._optimizer.load_state_dict(
            {"state": _moments(parts["optimizer"], self._modules["model"]), "param_groups": record["groups"]}
        )
        if self._schedule:
            self._schedule.load_state_dict(record["schedule"])
        torch.set_rng_state(parts["random"]["cpu"])
        if self._device and "device" in parts["random"]:
            self._device.set_rng_state(parts["random"]["device"])
        self.history, self.order, self.losses = record["history"], record["order"], record["losses"]
        self.best = parts["best"]
        self._under = record["under"] + [found for found in self._under if found not in record["under"]]
        changes = _changes(self._under)
        if changes and self._fabric.is_global_zero:
            print(
                f"{self._checkpoints.path}: training goes on under other circumstances ({changes}): its result is not "
                "equal to the bit to that of an uninterrupted run",
                file=sys.stderr,
            )


def circumstances(fabric: Fabric) -> dict[str, Any]:
    """What can change the last bits of weights: `threads`, `processes`, `device` (its name), `torch` (its version)."""
    kind = fabric.device.type
    names = {"cpu": torch.backends.cpu.get_cpu_capability, "cuda": torch.cuda.get_device_name}
    return {
        "threads": torch.get_num_threads(),
        "processes": fabric.world_size,
        "device": f"{kind} {names[kind]()}" if kind in names else kind,
        "torch": str(torch.__version__),
    }


def _changes(under: list[dict[str, Any]]) -> str:
    """What differs between circumstances, as `threads 2, then 1`; an empty string where nothing does."""
    values = {name: dict.fromkeys(str(each[name]) for each in under) for name in under[0]}
    return "; ".join(f"{name} {', then '.join(found)}" for name, found in values.items() if len(found) > 1)


def _moments(tensors: dict[str, Tensor], model: nn.Module) -> dict[int, dict[str, Tensor]]:
    """The state of an optimizer over the parameters of `model`, from tensors named INDEX/NAME."""
    parameters = list(model.parameters())
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        like = parameters[int(index)]
        if tensor.shape == like.shape:
            # In the parameter's own memory order, as the optimizer made it: the fused steps rely on it.
            tensor = torch.empty_like(like, device="cpu").copy_(tensor)
        state[int(index)][name] = tensor
    return dict(state)
