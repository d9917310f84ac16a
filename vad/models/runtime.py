"""What a run needs of the machine: seeds, devices, precision. It reads the environment and sets global state."""

import logging
import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.seed import seed_everything

from vad import VadError
from vad.models.processes import ALONE, Launched
from vad.params import Precision

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
"""What VAD_ACCELERATOR may be."""


def fabric(precision: Precision = "32-true", key: str = "precision", by: Launched = ALONE) -> Fabric:
    """Lightning Fabric on this machine's best device; VAD_ACCELERATOR or LT_ACCELERATOR (cpu, cuda, mps) overrules it.

    `key`: the parameter that the precision comes from. `by`: the processes that work together, each on a device of its
    own; else this one is alone, whatever launched it. Raises VadError for another accelerator, for one that this
    machine lacks, for a precision in which its device does not compute, and for more processes than devices.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling costs a third of the speed, and nothing reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    chosen = _made(_accelerator(), precision, by)
    # Without units for it torch emulates bfloat16: slower than float32, and no more exact.
    if precision == "bf16-mixed" and chosen.device.type == "cuda" and not computes_bf16():
        name = torch.cuda.get_device_name(chosen.device)
        raise VadError(f"{key} = {precision}: {name} does not compute in bfloat16; set {key}: 32-true")
    return chosen


def _made(accelerator: str, precision: Precision, by: Launched) -> Fabric:
    # Fabric would let LT_DEVICES and others overrule what it is told, and a process that is alone wait for more.
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("LT_")}
    try:
        chosen = Fabric(
            accelerator=accelerator,
            strategy=by.strategy,
            devices=by.here,
            num_nodes=by.nodes,
            precision=precision,
            plugins=None if by.several() else LightningEnvironment(),
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:  # fewer devices, or Slurm says too little
        if not by.several():
            raise
        raise VadError(f"{by.here} processes a machine: {' '.join(str(error).split())}; start fewer") from None
    finally:
        os.environ |= hidden
    if by.several():
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else it greets on stderr
        chosen.launch()
    return chosen


def computes_bf16() -> bool:
    """Whether the GPU computes in bfloat16 itself: NVIDIA's do from the generation Ampere on, not a T4 or P100."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _accelerator() -> str:
    variable = "VAD_ACCELERATOR" if os.environ.get("VAD_ACCELERATOR") else "LT_ACCELERATOR"
    name = os.environ.get(variable) or "auto"
    if name not in ACCELERATORS:
        raise VadError(f"{variable} = {name!r}: must be {', '.join(ACCELERATORS[:-1])} or {ACCELERATORS[-1]}")
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not torch.backends.mps.is_available()):
        raise VadError(f"{variable} = {name!r}: torch finds no such device on this machine; unset it or set cpu")
    return name


def seed(value: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    seed_everything(value, verbose=False)
