"""What makes inference fast does not change its numbers."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vad.components import reconstruction
from vad.data.clips import MappedClip
from vad.models import autoencoder, inference, runtime

TURNED = {"identity": [], "hflip": [-1], "vflip": [-2], "rot180": [-2, -1]}
COUNT = reconstruction.BATCH + 1


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@cache
def made(encoder: str) -> autoencoder.Autoencoder:
    """A network with random weights, and batch-norm statistics that differ from their start."""
    torch.manual_seed(82)
    model = autoencoder.Autoencoder(encoder)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def clip_of(size: int) -> MappedClip:
    frames = np.random.default_rng(1).integers(0, 256, (COUNT, size, size, 3), dtype=np.uint8)
    return MappedClip("01", np.arange(COUNT), Path("01.npy"), frames)


@cache
@torch.no_grad()
def plain_loop(encoder: str, size: int) -> pd.DataFrame:
    """Every component as it is defined: one frame and one view at a time, nothing shared."""
    model, rows = made(encoder), []
    for frame in clip_of(size).array:
        row = {}
        image = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].contiguous().float() / 255
        for view, axes in TURNED.items():
            seen = torch.flip(image, axes)
            rebuilt = model(seen)
            for name, error in (("pixel_l1", (rebuilt - seen).abs()), ("pixel_l2", (rebuilt - seen) ** 2)):
                pixels = error[0].mean(0)
                row[f"{name}/{view}"] = float(pixels.mean())
                blocks = pixels.unfold(0, 16, 16).unfold(1, 16, 16)
                row[f"{name}_max/{view}"] = float(blocks.mean((2, 3)).max())
                largest = pixels.flatten().sort(descending=True).values[: round(0.01 * pixels.numel())]
                row[f"{name}_top/{view}"] = float(largest.mean())
            of_seen, of_rebuilt = model.features(seen), model.features(rebuilt)
            for layer in of_seen:
                row[f"{layer}/{view}"] = float(nn.functional.mse_loss(of_seen[layer], of_rebuilt[layer]))
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("encoder", "size"), [("resnet18", 128), ("resnet18", 96), ("convnext_tiny", 64), ("vit_b_16", 64)]
)
def test_every_component_of_every_view_is_what_a_plain_loop_gives(encoder: str, size: int) -> None:
    model, clip = made(encoder), clip_of(size)
    fabric = runtime.fabric()
    found = reconstruction.score(fabric, inference.prepared(fabric, model), clip)
    expected = plain_loop(encoder, size)
    assert list(found) == list(expected)
    # A single number of a small map may be off by what float32 itself is: the plain loop, too, is from float64.
    np.testing.assert_allclose(found, expected, rtol=3e-6)
    assert ((found - expected).abs() / expected).mean().max() < 1e-6


@pytest.mark.parametrize(("encoder", "size"), [("resnet18", 96), ("convnext_tiny", 64), ("vit_b_16", 64)])
def test_bf16_is_the_same_score_rounded(encoder: str, size: int) -> None:
    model, clip = made(encoder), clip_of(size)
    fabric = runtime.fabric("bf16-mixed")
    found = reconstruction.score(fabric, inference.prepared(fabric, model, "bf16-mixed"), clip)
    expected = plain_loop(encoder, size)
    assert (found != expected).any(axis=None) and set(found.dtypes) == {np.dtype("float64")}
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_scores_do_not_depend_on_the_number_of_cores() -> None:
    clip, fabric = clip_of(64), runtime.fabric()
    model = inference.prepared(fabric, made("resnet18"))
    scores = []
    for count in (1, 3):
        torch.set_num_threads(count)
        scores.append(reconstruction.score(fabric, model, clip))
        assert torch.get_num_threads() == count
    pd.testing.assert_frame_equal(*scores, check_exact=True)


def test_the_network_itself_stays_as_it_was() -> None:
    model = made("resnet18")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    for precision in ("32-true", "bf16-mixed"):
        inference.prepared(runtime.fabric(), model, precision)
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("side", inference.POINTS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 8), (7, 10)])
def test_fewer_products_give_the_same_convolution_of_maps_of_any_size(side: int, height: int, width: int) -> None:
    convolution = nn.Conv2d(5, 6, 3, padding=1).double()
    images = torch.rand(2, 5, height, width, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(inference.Winograd(convolution, side)(images), convolution(images))
