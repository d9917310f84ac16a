"""Weights from files: tensors alone come in. No code of a file runs, and none takes more memory than its size says."""

import hashlib
import http.client
import pickletools
import re
import sys
import zipfile
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
import torch
from torch import Tensor

import vad.models.torchvision_compat  # noqa: F401  must come before torchvision

from torchvision.models import get_model_weights  # isort: skip

from vad import VadError

OF_TENSORS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch (storage )?\w+Storage"
)
"""What the pickle of a state dict names. torch reads more without running code, but not within any bound of memory."""


def read(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, from a .safetensors file, or from any other as a .pth that holds a state dict.

    Raises FileNotFoundError, ValueError for what is no state dict, and what torch and safetensors raise for damage.
    """
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    with open(path, "rb") as file:
        return _read_pth(file)


def imagenet(name: str, key: str, otherwise: str = "") -> dict[str, Tensor]:
    """Name -> tensor of torchvision's ImageNet weights of a network, from torch's cache or downloaded into it.

    `key` is the parameter that wants them, `otherwise` another way to have them. Raises VadError when they can't be
    downloaded, or are not what torchvision published: 8 digits of the SHA-256 stand in each file's name.
    """
    address = get_model_weights(name)["IMAGENET1K_V1"].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rsplit("/", 1)[1]
    published = path.stem.rpartition("-")[2]
    if not path.exists():
        _download(address, path, published, f"{key}: ImageNet weights", otherwise)
    try:
        with open(path, "rb") as file:
            if not hashlib.file_digest(file, "sha256").hexdigest().startswith(published):
                raise ValueError(f"its SHA-256 does not begin with {published}")
            return _read_pth(file)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        reason = " ".join(str(error).split())[:150]
        raise VadError(f"{path}: not the file that torchvision published ({reason}); delete it and run again") from None


def _download(address: str, path: Path, published: str, what: str, otherwise: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), published, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())
        raise VadError(
            f"{what} can't be downloaded ({reason}); put {path.name} into {path.parent}{otherwise}"
        ) from None


def _read_pth(file: BinaryIO) -> dict[str, Tensor]:
    """The state dict in an open .pth file, of today's format or of that before torch 1.6."""
    file.seek(0)
    if file.read(4) == b"PK\3\4":
        _refuse_swollen(file)
    else:
        file.seek(0)
        for _ in range(5):  # magic number, version, byte order, the state dict, the names of its storages
            _refuse_all_but_tensors(file)
    file.seek(0)
    found = torch.load(file, map_location="cpu", weights_only=True)
    if not (isinstance(found, dict) and all(isinstance(value, Tensor) for value in found.values())):
        raise ValueError("no state dict: it must hold tensors by name")
    return found


def _refuse_swollen(file: BinaryIO) -> None:
    """Raise ValueError for a zip that unpacks to more than its size, or whose pickle is not of tensors alone."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > file.seek(0, 2):
            raise ValueError("it unpacks to more than its size; torch stores weights as they are")
        for member in members:
            if member.filename.lower().endswith(".pkl"):
                with archive.open(member) as content:
                    _refuse_all_but_tensors(content)  # type: ignore[arg-type]


def _refuse_all_but_tensors(file: BinaryIO) -> None:
    """Go through a pickle without running it. Raises ValueError when it names anything that no state dict needs."""
    for opcode, argument, _ in pickletools.genops(file):
        named = opcode.name in ("GLOBAL", "INST", "STACK_GLOBAL")
        if named and not (opcode.name == "GLOBAL" and OF_TENSORS.fullmatch(str(argument))):
            raise ValueError(f"it holds more than tensors: {str(argument or opcode.name).replace(' ', '.')}")
