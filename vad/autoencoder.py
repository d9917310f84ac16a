"""The convolutional autoencoder: a ResNet-18 without its head, and five transposed convolutions back to the image."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

import vad.torchvision_compat  # noqa: F401  must come before torchvision

from torchvision.models import ResNet18_Weights, resnet18  # isort: skip

from vad import VadError, files

LAYERS = ("layer1", "layer2", "layer3", "layer4")
_FIRST_LAYER = 4
_WIDTHS = (512, 256, 128, 64, 32, 3)


class Autoencoder(nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> reconstructions of the same shape and range; H and W multiples of 32.

    `encoder` gives (N, 512, H/32, W/32). No batch norm and no skip connections in the decoder. The names of the
    weights are those of the reference, so its checkpoints load.
    """

    def __init__(self, pretrained: bool = False) -> None:
        """Random weights from torch's global generator, or an encoder with torchvision's ImageNet weights.

        Raises VadError when those weights are neither in torch's cache nor can be downloaded.
        """
        super().__init__()
        # The whole network is made and its head dropped: the same draws from the generator as in the reference.
        self.encoder = nn.Sequential(*list(_resnet18(pretrained).children())[:-2])
        decoder: list[nn.Module] = []
        for width, narrower in pairwise(_WIDTHS):
            decoder += [nn.ConvTranspose2d(width, narrower, 3, stride=2, padding=1, output_padding=1), nn.ReLU(True)]
        self.decoder = nn.Sequential(*decoder[:-1], nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        reconstructions: Tensor = self.decoder(self.encoder(images))
        return reconstructions

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The encoder's outputs by layer: layer1 (N, 64, H/4, W/4) to layer4 (N, 512, H/32, W/32), the bottleneck."""
        outputs: dict[str, Tensor] = {}
        for position, module in enumerate(self.encoder):
            images = module(images)
            if position >= _FIRST_LAYER:
                outputs[LAYERS[position - _FIRST_LAYER]] = images
        return outputs

    def score_views(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Reconstructions, features of the images, features of the reconstructions, in one pass each."""
        seen = self.features(images)
        reconstructions = self.decoder(seen["layer4"])
        return reconstructions, seen, self.features(reconstructions)


def _resnet18(pretrained: bool) -> nn.Module:
    try:
        return resnet18(weights=ResNet18_Weights.IMAGENET1K_V1 if pretrained else None)
    except OSError as error:
        raise VadError(
            f"train.pretrained: ImageNet weights can't be downloaded ({error}); put "
            f"{ResNet18_Weights.IMAGENET1K_V1.url.rsplit('/', 1)[1]} into {torch.hub.get_dir()}/checkpoints"
        ) from None


def to_images(frames: Tensor) -> Tensor:
    """Frames (N, H, W, 3) uint8 -> images (N, 3, H, W) float32 in [0, 1]."""
    return frames.permute(0, 3, 1, 2).float().div(255)


def save(model: Autoencoder, path: Path, origin: dict[str, Any]) -> None:
    """Write the weights as safetensors, whole or not at all; `origin` (parameters, data digest) goes beside them."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # One metadata key: safetensors writes several in an order that changes from run to run.
    with files.replacing(path) as temporary:
        safetensors.torch.save_file(weights, temporary, {"origin": json.dumps(origin, sort_keys=True)})


def load(path: Path) -> Autoencoder:
    """An autoencoder in eval mode with weights from .safetensors, or from a .pth that holds a state dict.

    A .pth is read without running code from it. Raises VadError for a file that is missing, damaged or of another
    network.
    """
    try:
        if path.suffix == ".safetensors":
            weights = safetensors.torch.load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        model = Autoencoder()
        model.load_state_dict(weights)
    except FileNotFoundError:
        raise VadError(f"{path}: no such file of weights; correct train.weights or unset it to train") from None
    except Exception as error:  # torch and safetensors raise many kinds for a file that is not theirs
        reason = " ".join(str(error).split())[:200]
        raise VadError(f"{path}: not the weights of this autoencoder ({reason})") from None
    return model.eval()


def export_pth(weights: Path, path: Path) -> None:
    """Write weights as the .pth state dict that the reference's notebooks read."""
    state = load(weights).state_dict()
    with files.replacing(path) as temporary:
        torch.save(state, temporary)


def read_origin(path: Path) -> dict[str, Any]:
    """What `save` was told the weights were made of."""
    with safetensors.safe_open(path, "pt") as stored:
        origin: dict[str, Any] = json.loads(stored.metadata()["origin"])
    return origin
