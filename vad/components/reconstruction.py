"""Reconstruction errors: the score components that a reconstruction gives, one number a frame."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
"""Pixels along the side of a block of `block_max`."""
TOP = 0.01
"""Share of the pixels that `top_mean` averages."""


def block_max(error: Tensor, block: int = BLOCK) -> Tensor:
    """Largest block mean of an error map (N, H, W) -> (N,), blocks of `block` pixels, unit of the input.

    An event covers a few percent of the frame: the mean over the frame drowns it.
    """
    return F.avg_pool2d(error[:, None], block).amax((1, 2, 3))


def top_mean(error: Tensor, share: float = TOP) -> Tensor:
    """Mean of the largest `share` of the pixels of an error map (N, H, W) -> (N,), unit of the input."""
    pixels = error.flatten(1)
    return pixels.topk(max(1, round(share * pixels.shape[1])), dim=1).values.mean(1)


def components(
    images: Tensor, reconstructions: Tensor, seen: dict[str, Tensor], rebuilt: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Every error of a batch of images (N, 3, H, W) and its reconstructions, each (N,) float64.

    pixel_l1 and pixel_l2 are mean absolute and mean squared error, `_max` their largest block and `_top` their
    largest percent. layer1 to layer4 are mean squared errors between the features `seen` in the image and those
    `rebuilt` in its reconstruction.
    """
    difference = reconstructions - images
    result: dict[str, Tensor] = {}
    for name, error in (("pixel_l1", difference.abs()), ("pixel_l2", difference.square())):
        error_map = error.mean(1)
        result |= {
            name: error_map.mean((1, 2)),
            f"{name}_max": block_max(error_map),
            f"{name}_top": top_mean(error_map),
        }
    for layer in seen:
        result[layer] = (seen[layer] - rebuilt[layer]).square().mean((1, 2, 3))
    return {name: values.to(torch.float64) for name, values in result.items()}
