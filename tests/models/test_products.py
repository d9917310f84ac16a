"""Convolutions as matrix products are the same convolutions: outputs, gradients, names and draws of weights."""

import copy

import pytest
import torch
from torch import Tensor, nn

from vad import registry
from vad.models import autoencoder, products

WIDE = products.WIDE


def as_torch_does_it(model: nn.Module) -> nn.Module:
    """A copy whose convolutions are torch's own."""
    plain = copy.deepcopy(model)
    for module in plain.modules():
        if isinstance(module, products.Convolution):
            module.__class__ = nn.Conv2d
        elif isinstance(module, products.TransposedConvolution):
            module.__class__ = nn.ConvTranspose2d
    return plain


def step(model: nn.Module, images: Tensor, autocast: bool = False) -> list[Tensor]:
    """What a step of training computes: outputs and the gradients of images and weights."""
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        made = model(images)
    (made.float() if autocast else made).square().mean().backward()
    return [made.detach(), images.grad, *(weight.grad for weight in model.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, WIDE, 3, padding=1, bias=False),
        nn.Conv2d(WIDE, 4, 3, stride=2, padding=1),
        nn.ConvTranspose2d(WIDE, 3, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(WIDE, 3, 3, padding=1),
    ],
)
def test_a_wide_convolution_has_torch_s_outputs_and_gradients(layer: nn.Module) -> None:
    ours = nn.Sequential(copy.deepcopy(layer)).double()
    products.multiply(ours)
    assert type(ours[0]) is not type(layer)
    images = torch.rand(2, layer.in_channels, 4, 6, dtype=torch.float64)  # type: ignore[call-overload]
    for found, expected in zip(step(ours, images), step(as_torch_does_it(ours), images), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("encoder", registry.ENCODERS)
def test_the_autoencoder_s_weights_and_their_names_are_those_of_torch_s_own_layers(encoder: str) -> None:
    made = []
    for multiply in (products.multiply, lambda model: None):
        torch.manual_seed(82)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(products, "multiply", multiply)
            made.append(autoencoder.Autoencoder(encoder))
    ours, plain = (model.state_dict() for model in made)
    assert list(ours) == list(plain) and all(torch.equal(ours[name], plain[name]) for name in ours)
    assert [type(module) for module in as_torch_does_it(made[0]).modules()] == [type(m) for m in made[1].modules()]


def test_training_in_bf16_rounds_no_more_than_with_torch_s_own_layers() -> None:
    torch.manual_seed(82)
    model = autoencoder.Autoencoder().train()
    images = torch.rand(4, 3, 64, 64)
    exact = step(as_torch_does_it(model).double(), images.double())
    ours, plain = (step(network, images, autocast=True) for network in (copy.deepcopy(model), as_torch_does_it(model)))

    def error(found: list[Tensor]) -> float:
        off = [((a - b).norm() / b.norm()).item() for a, b in zip(found, exact, strict=True)]
        return sum(off) / len(off)

    assert 0 < error(ours) < 1.2 * error(plain)
