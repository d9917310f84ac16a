"""What a run needs of the machine: seeds, devices, precision. It reads the environment and sets global state."""

import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.seed import seed_everything

from vad.params import Precision


def fabric(precision: Precision = "32-true") -> Fabric:
    """Lightning Fabric on this machine's best device, which VAD_ACCELERATOR (cpu, cuda, mps) overrules."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling costs a third of the speed, and nothing reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return Fabric(accelerator=os.environ.get("VAD_ACCELERATOR", "auto"), devices=1, precision=precision)


def seed(value: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    seed_everything(value, verbose=False)
