"""The network and its errors are the reference's; weights travel both ways."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.published import published
from vad import VadError, registry
from vad.components import reconstruction, views
from vad.models import autoencoder, encoders, saving

LAYERS = {
    "resnet18": [(64, 4), (128, 8), (256, 16), (512, 32)],
    "convnext_tiny": [(96, 4), (192, 8), (384, 16), (768, 32)],
    "vit_b_16": [(768, 16)] * 4,
}
"""Channels and stride of layer1 to layer4."""


@pytest.fixture(scope="module")
def networks() -> dict[str, autoencoder.Autoencoder]:
    torch.manual_seed(82)
    return {name: autoencoder.Autoencoder(name).eval() for name in registry.ENCODERS}


@pytest.fixture(scope="module")
def model() -> autoencoder.Autoencoder:
    torch.manual_seed(82)
    network = autoencoder.Autoencoder()
    network.train()
    with torch.no_grad():  # batch-norm statistics that differ from their start
        network(torch.rand(8, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_shapes_and_names_are_the_reference_s(model: autoencoder.Autoencoder, images: torch.Tensor) -> None:
    names = list(model.state_dict())
    assert names[0] == "encoder.0.weight" and names[-1] == "decoder.8.bias"
    assert {name.split(".")[0] for name in names} == {"encoder", "decoder"}
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()) / 2**20
    assert size == pytest.approx(48.7, abs=0.05)
    reconstructions, seen, rebuilt = model.score_views(images)
    assert reconstructions.shape == images.shape
    assert reconstructions.min() >= 0 and reconstructions.max() <= 1
    assert {name: tuple(value.shape[1:]) for name, value in seen.items()} == {
        "layer1": (64, 16, 16), "layer2": (128, 8, 8), "layer3": (256, 4, 4), "layer4": (512, 2, 2),
    }  # fmt: skip
    assert set(rebuilt) == set(seen)


def test_scores_equal_the_reference_s_inference_loop_view_by_view(
    model: autoencoder.Autoencoder, images: torch.Tensor
) -> None:
    """The reference's inference, written down once more: one frame at a time, each layer called by its position."""
    third, fourth = nn.Sequential(*list(model.encoder)[:7]), nn.Sequential(*list(model.encoder)[:8])
    turned = {"identity": [], "hflip": [-1], "vflip": [-2], "rot180": [-2, -1]}
    weights = {"pixel_l1": 0.795, "layer3": 0.082, "layer4": 0.123}
    with torch.inference_mode():
        for name in registry.VIEWS:
            expected = []
            for image in images:
                a = torch.flip(image[None], turned[name])
                r = model(a)
                pixel = (a - r).abs().mean()
                feature = 0.4 * nn.functional.mse_loss(third(a), third(r))
                feature += 0.6 * nn.functional.mse_loss(fourth(a), fourth(r))
                expected.append(float(0.795 * pixel + 0.205 * feature))
            seen = views.view(name)(images)
            found = reconstruction.components(seen, *model.score_views(seen))
            actual = sum(weight * found[key].numpy() for key, weight in weights.items())  # type: ignore[index]
            np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_mean_over_the_four_views_is_unchanged_by_flipping_the_input(
    model: autoencoder.Autoencoder, images: torch.Tensor
) -> None:
    def mean(batch: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            scored = (
                reconstruction.components(v, *model.score_views(v))
                for v in (views.view(n)(batch) for n in registry.VIEWS)
            )
            return np.mean([found["pixel_l1"].numpy() for found in scored], axis=0)

    for name in registry.VIEWS[1:]:
        np.testing.assert_allclose(mean(views.view(name)(images)), mean(images), rtol=1e-6)


@pytest.mark.parametrize("size", [64, 128, 160])
@pytest.mark.parametrize("encoder", registry.ENCODERS)
def test_every_encoder_takes_any_multiple_of_32_and_has_the_layers_that_are_documented(
    networks: dict[str, autoencoder.Autoencoder], encoder: str, size: int
) -> None:
    images = torch.rand(2, 3, size, size)
    with torch.inference_mode():
        reconstructions, seen, rebuilt = networks[encoder].score_views(images)
        found = reconstruction.components(images, reconstructions, seen, rebuilt)
        assert torch.equal(networks[encoder].encoder(images), seen["layer4"])
        assert torch.equal(networks[encoder](images), reconstructions)
    assert reconstructions.shape == images.shape and reconstructions.min() >= 0 and reconstructions.max() <= 1
    expected = [(channels, size // stride, size // stride) for channels, stride in LAYERS[encoder]]
    assert [tuple(value.shape[1:]) for value in seen.values()] == expected
    assert tuple(seen) == tuple(rebuilt) == encoders.LAYERS
    assert tuple(found) == registry.maps("reconstruction") and all(
        bool((values > 0).all()) for values in found.values()
    )


@pytest.mark.parametrize("encoder", registry.ENCODERS)
def test_every_decoder_is_of_the_reference_s_style(networks: dict[str, autoencoder.Autoencoder], encoder: str) -> None:
    kinds = [type(module) for module in networks[encoder].decoder]
    doublings = LAYERS[encoder][-1][1].bit_length() - 1
    assert kinds == [nn.ConvTranspose2d, nn.ReLU] * (doublings - 1) + [nn.ConvTranspose2d, nn.Sigmoid]


def test_convnext_s_layers_are_the_stages_of_torchvision_s_network() -> None:
    from torchvision.models import convnext_tiny

    torch.manual_seed(3)
    theirs = convnext_tiny(weights=None).eval()
    torch.manual_seed(3)
    ours = autoencoder.Autoencoder("convnext_tiny").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for layer, end in zip(ours.features(images).values(), (2, 4, 6, 8), strict=True):
            assert torch.equal(layer, theirs.features[:end](images))


@pytest.mark.parametrize("size", [128, 224])
def test_the_transformer_is_torchvision_s_with_its_positions_interpolated(size: int) -> None:
    from torchvision.models.vision_transformer import interpolate_embeddings, vit_b_16

    torch.manual_seed(3)
    whole = vit_b_16(weights=None)
    torch.manual_seed(3)
    ours = autoencoder.Autoencoder("vit_b_16").eval()
    theirs = vit_b_16(weights=None, image_size=size).eval()
    theirs.load_state_dict(interpolate_embeddings(size, 16, whole.state_dict()))
    kept: dict[str, torch.Tensor] = {}
    for number, layer in ((3, "layer1"), (6, "layer2"), (9, "layer3")):
        block = theirs.encoder.layers[number - 1]
        block.register_forward_hook(lambda _, __, output, layer=layer: kept.update({layer: output}))
    theirs.encoder.register_forward_hook(lambda _, __, output: kept.update(layer4=output))
    images = torch.rand(2, 3, size, size)
    with torch.inference_mode():
        theirs(images)
        for name, layer in ours.features(images).items():
            tokens = layer.permute(0, 2, 3, 1).flatten(1, 2)
            torch.testing.assert_close(tokens, kept[name][:, 1:], rtol=1e-4, atol=1e-4)


def test_the_transformer_tells_places_apart_on_a_grid_of_any_shape(
    networks: dict[str, autoencoder.Autoencoder],
) -> None:
    positions = encoders.interpolate_positions(torch.rand(1, 197, 8), 8, 4)
    assert positions.shape == (1, 33, 8)
    image = torch.full((1, 3, 64, 64), 0.5)
    with torch.inference_mode():
        layer = networks["vit_b_16"].features(image)["layer4"]
    assert layer.std((2, 3)).min() > 1e-3


def test_every_component_is_named_in_the_parameters(model: autoencoder.Autoencoder, images: torch.Tensor) -> None:
    with torch.inference_mode():
        found = reconstruction.components(images, *model.score_views(images))
    assert tuple(found) == registry.maps("reconstruction")
    assert all(values.shape == (3,) and values.dtype == torch.float64 for values in found.values())


def test_local_poolings_see_what_the_mean_drowns() -> None:
    error = torch.zeros(2, 64, 64)
    error[1, 16:32, 32:48] = 0.5
    assert reconstruction.block_max(error).tolist() == [0, 0.5]
    assert reconstruction.top_mean(error).tolist() == pytest.approx([0, 0.5])
    assert float(error[1].mean()) < 0.04


def test_identical_images_have_no_error() -> None:
    image = torch.rand(1, 3, 64, 64)
    found = reconstruction.components(image, image, {"layer1": image}, {"layer1": image})
    assert all(float(value) == 0 for value in found.values())


def test_weights_come_back_and_say_what_they_were_made_of(model: autoencoder.Autoencoder, tmp_path: Path) -> None:
    path = tmp_path / "autoencoder.safetensors"
    saving.save(model, path, {"seed": 82})
    first = path.read_bytes()
    saving.save(model, path, {"seed": 82})
    assert path.read_bytes() == first
    assert saving.read_origin(path) == {"seed": 82}
    assert all(torch.equal(a, b) for a, b in zip(autoencoder.load(path).state_dict().values(),
                                                 model.state_dict().values(), strict=True))  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["autoencoder.safetensors"]


def test_a_checkpoint_of_the_reference_loads_by_its_own_names(model: autoencoder.Autoencoder, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.pth"
    torch.save(model.state_dict(), theirs)
    loaded = autoencoder.load(theirs).state_dict()
    assert list(loaded) == list(model.state_dict())
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("encoder", "suffix"), [("convnext_tiny", ".pth"), ("convnext_tiny", ".safetensors"), ("vit_b_16", ".safetensors")]
)
def test_weights_say_which_encoder_they_are_of_and_another_is_refused_in_one_line(
    networks: dict[str, autoencoder.Autoencoder], tmp_path: Path, encoder: str, suffix: str
) -> None:
    path = tmp_path / "ours.safetensors"
    saving.save(networks[encoder], path, {"seed": 82})
    if suffix == ".pth":
        torch.save(networks[encoder].state_dict(), path := tmp_path / "exported.pth")
    for loaded in (autoencoder.load(path), autoencoder.load(path, encoder)):
        pairs = zip(loaded.state_dict().items(), networks[encoder].state_dict().items(), strict=True)
        assert all(a == b and torch.equal(c, d) for (a, c), (b, d) in pairs)
    with pytest.raises(VadError) as raised:
        autoencoder.load(path, "resnet18")
    assert str(raised.value) == (
        f"{path}: weights of the encoder {encoder}, not of resnet18; set train.encoder to {encoder}"
    )
    for file in tmp_path.iterdir():  # up to 350 MB each
        file.unlink()


def test_the_reference_s_weights_are_refused_as_those_of_another_encoder(
    model: autoencoder.Autoencoder, tmp_path: Path
) -> None:
    torch.save(model.state_dict(), tmp_path / "theirs.pth")
    with pytest.raises(VadError, match=r"theirs\.pth: weights of the encoder resnet18, not of vit_b_16; set train\."):
        autoencoder.load(tmp_path / "theirs.pth", "vit_b_16")


class Harmful:
    """What a malicious checkpoint does: run code when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    torch.save({"encoder.0.weight": Harmful(tmp_path / "ran")}, tmp_path / "bad.pth")
    with pytest.raises(VadError, match=r"bad\.pth: not the weights of this autoencoder"):
        autoencoder.load(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_absent_or_foreign_weights_are_refused_in_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(VadError, match="no such file of weights"):
        autoencoder.load(path)
    path.write_bytes(b"\x10" * 100)
    with pytest.raises(VadError, match="not the weights of this autoencoder") as raised:
        autoencoder.load(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("encoder", "file"),
    [("resnet18", "resnet18-f37072fd"), ("convnext_tiny", "convnext_tiny-983f1562"), ("vit_b_16", "vit_b_16-c867db91")],
)
def test_pretrained_weights_that_cannot_be_had_end_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, file: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(VadError, match=rf"^train.pretrained: ImageNet weights can't be downloaded .*; put {file}\.pth"):
        autoencoder.Autoencoder(encoder, pretrained=True)


@pytest.mark.parametrize(
    ("encoder", "ours", "theirs"),
    [
        ("resnet18", "0.weight", "conv1.weight"),
        ("convnext_tiny", "7.2.layer_scale", "features.7.2.layer_scale"),
        ("vit_b_16", "positions", "encoder.pos_embedding"),
    ],
)
def test_pretrained_weights_are_taken_from_torch_s_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, ours: str, theirs: str
) -> None:
    from torchvision.models import get_model

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = get_model(encoder, weights=None).state_dict()
    source[theirs] = torch.rand_like(source[theirs])
    path = tmp_path / "hub" / "checkpoints" / "published.pth"
    path.parent.mkdir(parents=True)
    torch.save(source, path)
    path = published(monkeypatch, path)
    network = autoencoder.Autoencoder(encoder, pretrained=True)
    assert torch.equal(network.encoder.state_dict()[ours], source[theirs])
    path.unlink()  # up to 346 MB
