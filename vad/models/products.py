"""Convolutions of small maps with many channels, each as one matrix product.

Where 512 channels meet maps of 4 x 4, what oneDNN does to lay out 9 MB of weights and of their gradients takes longer
than the multiplications. A step of training spends a seventh less time without it, and two fifths less in bfloat16.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDE = 512
"""Channels, in or out, from which a matrix product is faster."""


class Convolution(nn.Conv2d):
    """A 3 x 3 convolution with padding 1, (N, C, H, W) -> (N, C', H / stride, W / stride)."""

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu":
            return super().forward(images)
        patches = Gather.apply(images.permute(0, 2, 3, 1), self.stride[0])  # type: ignore[no-untyped-call]
        weights = self.weight.permute(0, 2, 3, 1).flatten(1)
        made = patches @ weights.T
        return (made if self.bias is None else made + self.bias).permute(0, 3, 1, 2)


class TransposedConvolution(nn.ConvTranspose2d):
    """A 3 x 3 transposed convolution with padding 1 that makes maps `stride` times larger, with a bias."""

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        if images.device.type != "cpu":
            return super().forward(images, output_size)
        weights = self.weight.permute(0, 2, 3, 1).flatten(1)
        made = Scatter.apply(images.permute(0, 2, 3, 1) @ weights, self.stride[0])  # type: ignore[no-untyped-call]
        return (made + self.bias).permute(0, 3, 1, 2)


def multiply(model: nn.Module) -> None:
    """Let the wide 3 x 3 convolutions in `model` compute so; weights, and what they are called, stay."""
    for module in model.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or module.kernel_size != (3, 3):
            continue
        if max(module.in_channels, module.out_channels) >= WIDE:
            module.__class__ = Convolution if isinstance(module, nn.Conv2d) else TransposedConvolution


class Gather(torch.autograd.Function):
    """`gather` with its gradient."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, stride: int) -> Tensor:
        ctx.stride = stride
        return gather(maps, stride)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return scatter(gradient, ctx.stride), None


class Scatter(torch.autograd.Function):
    """`scatter` with its gradient."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, stride: int) -> Tensor:
        ctx.stride = stride
        return scatter(patches, stride)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gather(gradient, ctx.stride), None


def gather(maps: Tensor, stride: int) -> Tensor:
    """The 3 x 3 patches of maps (N, H, W, C) with an edge of zeros, `stride` apart -> (N, H / stride, W / stride, 9C).

    H and W are multiples of `stride`.
    """
    patches = F.pad(maps, (0, 0, 1, 1, 1, 1)).unfold(1, 3, stride).unfold(2, 3, stride)
    return patches.permute(0, 1, 2, 4, 5, 3).flatten(3)


def scatter(patches: Tensor, stride: int) -> Tensor:
    """3 x 3 patches (N, h, w, 9C), `stride` apart, each added at its place -> (N, h * stride, w * stride, C).

    The transpose of `gather`: what falls on its edge of zeros is left out.
    """
    height, width = patches.shape[1] * stride, patches.shape[2] * stride
    parts = patches.unflatten(3, (3, 3, -1))
    # Not in bfloat16, which would round nine times.
    exact = torch.promote_types(parts.dtype, torch.float32)
    maps = parts.new_zeros((len(parts), height + 2, width + 2, parts.shape[-1]), dtype=exact)
    for down in range(3):
        for right in range(3):
            maps[:, down : down + height : stride, right : right + width : stride] += parts[:, :, :, down, right]
    return maps[:, 1:-1, 1:-1].to(parts.dtype)
