"""The network and its errors are the reference's; weights travel both ways."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vad import VadError, autoencoder, errors, params, views


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
        for name in params.VIEWS:
            expected = []
            for image in images:
                a = torch.flip(image[None], turned[name])
                r = model(a)
                pixel = (a - r).abs().mean()
                feature = 0.4 * nn.functional.mse_loss(third(a), third(r))
                feature += 0.6 * nn.functional.mse_loss(fourth(a), fourth(r))
                expected.append(float(0.795 * pixel + 0.205 * feature))
            seen = views.view(name)(images)
            found = errors.components(seen, *model.score_views(seen))
            actual = sum(weight * found[key].numpy() for key, weight in weights.items())  # type: ignore[index]
            np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_mean_over_the_four_views_is_unchanged_by_flipping_the_input(
    model: autoencoder.Autoencoder, images: torch.Tensor
) -> None:
    def mean(batch: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            scored = (errors.components(v, *model.score_views(v)) for v in (views.view(n)(batch) for n in params.VIEWS))
            return np.mean([found["pixel_l1"].numpy() for found in scored], axis=0)

    for name in params.VIEWS[1:]:
        np.testing.assert_allclose(mean(views.view(name)(images)), mean(images), rtol=1e-6)


def test_every_component_is_named_in_the_parameters(model: autoencoder.Autoencoder, images: torch.Tensor) -> None:
    with torch.inference_mode():
        found = errors.components(images, *model.score_views(images))
    assert tuple(found) == params.RECONSTRUCTION
    assert all(values.shape == (3,) and values.dtype == torch.float64 for values in found.values())


def test_local_poolings_see_what_the_mean_drowns() -> None:
    error = torch.zeros(2, 64, 64)
    error[1, 16:32, 32:48] = 0.5
    assert errors.block_max(error).tolist() == [0, 0.5]
    assert errors.top_mean(error).tolist() == pytest.approx([0, 0.5])
    assert float(error[1].mean()) < 0.04


def test_identical_images_have_no_error() -> None:
    image = torch.rand(1, 3, 64, 64)
    found = errors.components(image, image, {"layer1": image}, {"layer1": image})
    assert all(float(value) == 0 for value in found.values())


def test_weights_come_back_and_say_what_they_were_made_of(model: autoencoder.Autoencoder, tmp_path: Path) -> None:
    path = tmp_path / "autoencoder.safetensors"
    autoencoder.save(model, path, {"seed": 82})
    first = path.read_bytes()
    autoencoder.save(model, path, {"seed": 82})
    assert path.read_bytes() == first
    assert autoencoder.read_origin(path) == {"seed": 82}
    assert all(torch.equal(a, b) for a, b in zip(autoencoder.load(path).state_dict().values(),
                                                 model.state_dict().values(), strict=True))  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["autoencoder.safetensors"]


def test_a_checkpoint_of_the_reference_loads_and_ours_exports_as_one(
    model: autoencoder.Autoencoder, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.pth"
    torch.save(model.state_dict(), theirs)
    ours = tmp_path / "ours.safetensors"
    autoencoder.save(autoencoder.load(theirs), ours, {})
    autoencoder.export_pth(ours, tmp_path / "resnet18_autoencoder_seed82.pth")
    exported = torch.load(tmp_path / "resnet18_autoencoder_seed82.pth", weights_only=True)
    assert list(exported) == list(model.state_dict())
    assert all(torch.equal(exported[name], value) for name, value in model.state_dict().items())


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


def test_pretrained_weights_that_cannot_be_had_end_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(VadError, match=r"train.pretrained: ImageNet weights can't be downloaded .*checkpoints"):
        autoencoder.Autoencoder(pretrained=True)


def test_pretrained_weights_are_taken_from_torch_s_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import ResNet18_Weights, resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = resnet18(weights=None)
    name = ResNet18_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[1]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(source.state_dict(), tmp_path / "hub" / "checkpoints" / name)
    network = autoencoder.Autoencoder(pretrained=True)
    assert torch.equal(network.encoder[0].weight, source.conv1.weight)
