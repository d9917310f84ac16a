"""The autoencoder made ready for inference on a CPU: the same outputs, up to rounding, with less work.

Batch norms become part of the convolutions before them. Wide 3 x 3 convolutions take fewer multiplications by
Winograd's minimal filtering (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016). Encoders that
have neither keep their layers.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vad.models.autoencoder import Autoencoder
from vad.params import Precision
from vad.storage.progress import parallel

Item = TypeVar("Item")
Result = TypeVar("Result")

POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 1.0, -1.0, 0.5, -2.0)}
"""Side of a tile of outputs -> where polynomials are evaluated: of the usual choices those that round least."""
TILES = {128: 4, 256: 4, 512: 2}
"""Input channels -> side of a tile. With fewer channels the transforms cost more than the products that they save."""
STEM = 4
"""Images that pass the first layers at a time, so that the largest outputs, 1 MB an image, stay in a core's cache."""


def prepared(fabric: Fabric, model: Autoencoder, precision: Precision = "32-true") -> Autoencoder:
    """A copy of `model` on the device of `fabric`, in eval mode; on a CPU it needs less time than the model itself.

    For bf16-mixed its convolutions hold bfloat16 weights on a CPU: it must run under autocast, which would else round
    them each time.
    """
    ready = copy.deepcopy(model).eval().to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.device.type != "cpu":
        return ready
    for module in list(ready.modules()):
        _fold_batch_norms(module)
        if precision == "32-true":
            _take_fewer_products(module)
    stem = list(ready.encoder.children())[:4]
    if isinstance(stem[-1], nn.MaxPool2d):
        for name, module in zip("0123", (Stem(stem), nn.Identity(), nn.Identity(), nn.Identity()), strict=True):
            setattr(ready.encoder, name, module)
    for module in ready.modules():
        if precision == "bf16-mixed" and isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(torch.bfloat16)
    return ready.to(memory_format=torch.channels_last)


def on_all_cores(fabric: Fabric, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield function(item) in the order of the items; on a CPU every core computes whole items.

    Cores that share every operation wait for each other after each of them, and fetch each other's data. A result
    does not depend on how many there are.
    """
    if fabric.device.type != "cpu":
        yield from map(function, items)
        return
    threads = torch.get_num_threads()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)
        return function(item)

    try:
        yield from parallel(alone, items, threads=threads)
    finally:
        torch.set_num_threads(threads)


def _fold_batch_norms(module: nn.Module) -> None:
    """Make the batch norm that follows a convolution among the children of `module` part of it."""
    for (name, child), (name_of_next, following) in pairwise(list(module.named_children())):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, following))
            setattr(module, name_of_next, nn.Identity())


def _take_fewer_products(module: nn.Module) -> None:
    """Replace the wide 3 x 3 convolutions of stride 1 among the children of `module`."""
    for name, child in list(module.named_children()):
        if not isinstance(child, nn.Conv2d) or child.kernel_size != (3, 3) or child.stride != (1, 1):
            continue
        if side := TILES.get(child.in_channels):
            setattr(module, name, Winograd(child, side))


class Stem(nn.Module):
    """Layers that a few images pass at a time."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.layers(few) for few in images.split(STEM)])


class Winograd(nn.Module):
    """A 3 x 3 convolution with stride 1 and padding 1, (N, C, H, W) -> (N, C', H, W), by Winograd's way.

    It makes tiles of `side` x `side` outputs, each from (side + 2) x (side + 2) inputs: their transform times the
    weights' one, transformed back. That takes side^2 * 9 / (side + 2)^2 times fewer products: 2.25 or 4 times.
    """

    weights: Tensor
    of_inputs: Tensor
    back: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d, side: int) -> None:
        """`side` of a tile, of those in POINTS; the convolution has a bias."""
        super().__init__()
        self.side = side
        back, of_weights, of_inputs = transforms(POINTS[side])
        weights = torch.einsum("ai,bj,ocij->abco", of_weights, of_weights, convolution.weight.double())
        self.register_buffer("weights", weights.flatten(0, 1).to(convolution.weight))
        self.register_buffer("of_inputs", torch.kron(of_inputs, of_inputs).to(convolution.weight))
        self.register_buffer("back", torch.kron(back, back).to(convolution.weight))
        self.register_buffer("bias", convolution.bias)

    def forward(self, images: Tensor) -> Tensor:
        count, channels, height, width = images.shape
        side, reach = self.side, self.side + 2
        down, right = -(-height // side), -(-width // side)
        edges = (0, 0, 1, 1 + right * side - width, 1, 1 + down * side - height)
        padded = F.pad(images.permute(0, 2, 3, 1), edges)
        tiles = padded.unfold(1, reach, side).unfold(2, reach, side).permute(4, 5, 0, 1, 2, 3)
        seen = (self.of_inputs @ tiles.reshape(reach**2, -1)).view(reach**2, -1, channels)
        made = (self.back @ (seen @ self.weights).view(reach**2, -1)).view(side, side, count, down, right, -1)
        whole = made.permute(2, 3, 0, 4, 1, 5).reshape(count, down * side, right * side, -1)[:, :height, :width]
        return (whole + self.bias).permute(0, 3, 1, 2)


def transforms(points: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Winograd's transforms back of outputs, of weights and of inputs, float64: (n - 2, n), (n, 3), (n, n).

    n is one more than there are points: infinity is the last. They are those of Toom and Cook's multiplication of
    polynomials, transposed; the factor of each point goes to the weights, which leaves short numbers to the inputs.
    """
    n = len(points) + 1
    at = torch.tensor(points, dtype=torch.float64)
    distances = at[:, None] - at + torch.eye(n - 1, dtype=torch.float64)
    factors = torch.cat([distances.prod(1), torch.ones(1, dtype=torch.float64)])[:, None]

    def powers(count: int) -> Tensor:
        highest = torch.eye(count, dtype=torch.float64)[-1:]
        return torch.cat([torch.linalg.vander(at, N=count), highest])

    return powers(n - 2).T, powers(3) / factors, torch.linalg.inv(powers(n)).T * factors
