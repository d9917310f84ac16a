"""The encoders: torchvision's networks without their heads, each with four outputs that are called layer1 to layer4.

    resnet18        its own layer1 to layer4: 64, 128, 256, 512 channels at 1/4, 1/8, 1/16, 1/32 of the image's side
    convnext_tiny   its four stages: 96, 192, 384, 768 channels at 1/4, 1/8, 1/16, 1/32
    vit_b_16        its tokens after blocks 3, 6, 9 and 12, as maps: 768 channels at 1/16 each

layer4, the last output before the head, is the bottleneck that the decoder reads.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import vad.models.torchvision_compat  # noqa: F401  must come before torchvision

from torchvision.models import get_model  # isort: skip

from vad import registry
from vad.models import weights
from vad.params import Encoder

LAYERS = ("layer1", "layer2", "layer3", "layer4")


class Stages(nn.Sequential):
    """A convolutional network as a sequence of modules, four of which end a layer: the last of all ends layer4.

    Images (N, 3, H, W) -> (N, `width`, H/32, W/32).
    """

    stride = 32

    def __init__(self, modules: Iterable[nn.Module], ends: range, width: int) -> None:
        """`ends`: the positions of the modules that end layer1 to layer4."""
        super().__init__(*modules)
        self.ends = dict(zip(ends, LAYERS, strict=True))
        self.width = width

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Name, layer1 to layer4 -> that output (N, C, h, w)."""
        outputs: dict[str, Tensor] = {}
        for position, module in enumerate(self):
            images = module(images)
            if position in self.ends:
                outputs[self.ends[position]] = images
        return outputs


class TokenMaps(nn.Module):
    """A vision transformer whose outputs are maps: its tokens in their places, without the class token.

    Images (N, 3, H, W) -> (N, `width`, H/16, W/16). The class token takes part in the attention. The positions stay
    those of 224 x 224 images, 14 x 14 patches: ImageNet's weights fit, and weights fit images of any size.
    """

    stride = 16

    def __init__(self, network: Any) -> None:
        """`network`: torchvision's VisionTransformer, which this takes apart."""
        super().__init__()
        self.patches = network.conv_proj
        self.class_token = network.class_token
        self.positions = network.encoder.pos_embedding
        self.blocks = network.encoder.layers
        self.norm = network.encoder.ln
        self.width = self.class_token.shape[-1]

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)["layer4"]

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Name, layer1 to layer4 -> that output (N, C, h, w); layer4 after the last layer norm, as a head reads it."""
        patches = self.patches(images)
        grid = patches.shape[2:]
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), patches.flatten(2).mT], 1)
        tokens = tokens + interpolate_positions(self.positions, *grid)
        outputs: dict[str, Tensor] = {}
        ends = range(len(self.blocks) // 4, len(self.blocks) + 1, len(self.blocks) // 4)
        for number, block in enumerate(self.blocks, 1):
            tokens = block(tokens)
            if number in ends:
                closed = self.norm(tokens) if number == len(self.blocks) else tokens
                outputs[LAYERS[ends.index(number)]] = closed[:, 1:].mT.unflatten(2, grid)
        return outputs


def interpolate_positions(positions: Tensor, height: int, width: int) -> Tensor:
    """Position embeddings (1, 1 + S * S, C) of a class token and S x S patches -> (1, 1 + height * width, C).

    Bicubic with aligned corners, as torchvision's `interpolate_embeddings`; the class token's stays.
    """
    count = positions.shape[1] - 1
    side = round(count**0.5)
    # The patches' shares in every new place, then one product: the gradient of bicubic itself varies on a GPU.
    basis = torch.eye(count, device=positions.device).view(1, count, side, side)
    shares = F.interpolate(basis, (height, width), mode="bicubic", align_corners=True).flatten(2).mT
    return torch.cat([positions[:, :1], shares @ positions[:, 1:]], 1)


def make(name: Encoder, pretrained: bool = False) -> Stages | TokenMaps:
    """An encoder with random weights from torch's global generator, or with torchvision's ImageNet weights.

    Raises VadError when those weights can't be had: see `weights.imagenet`.
    """
    # The whole network is made and its head dropped: the same draws from the generator as in the reference.
    network: Any = get_model(name, weights=None)
    if pretrained:
        network.load_state_dict(weights.imagenet(name, "train.pretrained"))
    made: Stages | TokenMaps = registry.load(registry.ENCODERS[name])(network)
    return made


def resnet(network: Any) -> Stages:
    """torchvision's ResNet-18 without the average pool and the classifier."""
    return Stages(list(network.children())[:-2], range(4, 8), 512)


def convnext(network: Any) -> Stages:
    """torchvision's ConvNeXt-tiny without its head."""
    return Stages(network.features, range(1, 8, 2), 768)


def vision_transformer(network: Any) -> TokenMaps:
    """torchvision's ViT-B/16 without its head."""
    return TokenMaps(network)
