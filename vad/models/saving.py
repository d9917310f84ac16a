"""A network's weights in a file, with what they were made of beside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from vad.storage import files


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name -> tensor as a file holds it: on the CPU, contiguous, without a gradient."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def save(network: nn.Module, path: Path, origin: dict[str, Any]) -> None:
    """Write the weights as safetensors, whole or not at all; `origin` (parameters, seed, data digest) goes beside them.

    Raises VadError when the disk is full.
    """
    # One metadata key: safetensors writes several in an order that changes from run to run.
    with files.replacing(path) as temporary:
        metadata = {"origin": json.dumps(origin, sort_keys=True)}
        temporary.write_bytes(safetensors.torch.save(plain(network.state_dict()), metadata))


def read_origin(path: Path) -> dict[str, Any]:
    """What the weights in a file were made of: key -> value as `save` got them; empty where none were needed.

    Raises OSError and SafetensorError for a file that is missing or damaged.
    """
    with safetensors.safe_open(path, "pt") as stored:
        origin: dict[str, Any] = json.loads((stored.metadata() or {"origin": "{}"})["origin"])
    return origin
