"""The convolutional autoencoder: an encoder without its head, and transposed convolutions back to the image."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from vad import VadError, registry
from vad.models import encoders, weights
from vad.params import Encoder


class Autoencoder(nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> reconstructions of the same shape and range; H and W multiples of 32.

    `encoder` gives the bottleneck, (N, 512, H/32, W/32) for resnet18. The decoder doubles the side and halves the
    width with every transposed convolution; it has no batch norm and no skip connections. The names of resnet18's
    weights are those of the reference, so its checkpoints load.
    """

    def __init__(self, encoder: Encoder = "resnet18", pretrained: bool = False) -> None:
        """Random weights from torch's global generator, or an encoder with torchvision's ImageNet weights.

        Raises VadError when those weights can't be had: see `weights.imagenet`.
        """
        super().__init__()
        self.encoder = encoders.make(encoder, pretrained)
        doublings = self.encoder.stride.bit_length() - 1
        widths = [*(self.encoder.width >> halvings for halvings in range(doublings)), 3]
        decoder: list[nn.Module] = []
        for width, narrower in pairwise(widths):
            decoder += [nn.ConvTranspose2d(width, narrower, 3, stride=2, padding=1, output_padding=1), nn.ReLU(True)]
        self.decoder = nn.Sequential(*decoder[:-1], nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        reconstructions: Tensor = self.decoder(self.encoder(images))
        return reconstructions

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """layer1 to layer4 -> that output of the encoder; layer4 is the bottleneck. See vad/models/encoders.py."""
        return self.encoder.features(images)

    def score_views(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Reconstructions, layer -> features of the images, layer -> features of the reconstructions; one pass each."""
        seen = self.features(images)
        reconstructions = self.decoder(seen["layer4"])
        return reconstructions, seen, self.features(reconstructions)


def to_images(frames: Tensor) -> Tensor:
    """Frames (N, H, W, 3) uint8 -> images (N, 3, H, W) float32 in [0, 1]."""
    return frames.permute(0, 3, 1, 2).float().div(255)


def load(path: Path, encoder: Encoder | None = None) -> Autoencoder:
    """An autoencoder in eval mode with weights from .safetensors, or from a .pth that holds a state dict.

    `encoder`: which one the weights must be of; None takes any. The names of the weights say which they are of. A
    .pth is read without running code from it. Raises VadError for a file that is missing, damaged or of another
    network.
    """
    try:
        tensors = weights.read(path)
        found = _encoder_of(tensors) or encoder or "resnet18"
        model = Autoencoder(found)
        model.load_state_dict(tensors)
    except FileNotFoundError:
        raise VadError(f"{path}: no such file of weights; correct train.weights or unset it to train") from None
    except Exception as error:  # torch and safetensors raise many kinds for a file that is not theirs
        reason = " ".join(str(error).split())[:200]
        raise VadError(f"{path}: not the weights of this autoencoder ({reason})") from None
    if encoder not in (None, found):
        raise VadError(f"{path}: weights of the encoder {found}, not of {encoder}; set train.encoder to {found}")
    return model.eval()


def _encoder_of(weights: dict[str, Tensor]) -> Encoder | None:
    """The encoder whose autoencoder has weights of just these names; None where there is none."""
    for encoder in registry.ENCODERS:
        with torch.device("meta"):  # names without numbers
            names = Autoencoder(encoder).state_dict().keys()
        if names == weights.keys():
            return encoder
    return None
