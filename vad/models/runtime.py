"""What a run needs of the machine: seeds, devices, precision. It reads the environment and sets global state."""

import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.seed import seed_everything

from vad import VadError
from vad.params import Precision

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
"""What VAD_ACCELERATOR may be."""


def fabric(precision: Precision = "32-true", key: str = "precision") -> Fabric:
    """Lightning Fabric on this machine's best device, which VAD_ACCELERATOR (cpu, cuda, mps) overrules.

    `key`: the parameter that the precision comes from. Raises VadError for another VAD_ACCELERATOR, for one that this
    machine lacks, and for a precision in which its device does not compute.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling costs a third of the speed, and nothing reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    chosen = Fabric(accelerator=_accelerator(), devices=1, precision=precision)
    # Without units for it torch emulates bfloat16: slower than float32, and no more exact.
    if precision == "bf16-mixed" and chosen.device.type == "cuda" and not computes_bf16():
        name = torch.cuda.get_device_name(chosen.device)
        raise VadError(f"{key} = {precision}: {name} does not compute in bfloat16; set {key}: 32-true")
    return chosen


def computes_bf16() -> bool:
    """Whether the GPU computes in bfloat16 itself: NVIDIA's do from the generation Ampere on, not a T4 or P100."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _accelerator() -> str:
    name = os.environ.get("VAD_ACCELERATOR") or "auto"
    if name not in ACCELERATORS:
        raise VadError(f"VAD_ACCELERATOR = {name!r}: must be {', '.join(ACCELERATORS[:-1])} or {ACCELERATORS[-1]}")
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not torch.backends.mps.is_available()):
        raise VadError(f"VAD_ACCELERATOR = {name!r}: torch finds no such device on this machine; unset it or set cpu")
    return name


def seed(value: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    seed_everything(value, verbose=False)
