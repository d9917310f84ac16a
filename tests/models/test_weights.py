"""Weights come from many places; tensors alone come in, and nothing that a file says is done."""

import collections
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests import limits
from tests.published import publish, published
from vad import VadError, registry
from vad.components import memory
from vad.models import autoencoder, detector, weights

ROUTES: dict[str, Callable[[Path], object]] = {
    "train.pretrained": lambda _: autoencoder.Autoencoder(pretrained=True),
    "memory.features": lambda _: memory.Pretrained("resnet18", None),
    "memory.weights": lambda path: memory.Pretrained("resnet18", path),
    "train.weights": autoencoder.load,
    "objects.weights": lambda path: detector.Detector(registry.DETECTORS[0], path, 0.5),
}
"""Every way by which weights come in, by its parameter. The first two read torch's cache."""


class Harmful:
    """What a malicious checkpoint does: it runs code when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


class Large:
    """A few bytes of a pickle that ask for 1 GB."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (10**9,)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch looks for resnet18's weights before it downloads them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("route", ROUTES)
def test_no_code_runs_from_a_file_of_weights(
    cached: Path, monkeypatch: pytest.MonkeyPatch, route: str, trusted: bool, legacy: bool
) -> None:
    """Whichever way the file comes, of whichever format, and even when its hash is the one that was published."""
    ran = cached.parent / "ran"
    state = {"conv1.weight": Harmful(ran)}
    torch.save(state, cached, _use_new_zipfile_serialization=not legacy)
    path = published(monkeypatch, cached) if trusted else cached
    with pytest.raises(VadError) as raised:
        ROUTES[route](path)
    assert not ran.exists()
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_safetensors_name_makes_no_pickle_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Harmful(tmp_path / "ran")}, tmp_path / "bad.safetensors")
    for route in ("memory.weights", "train.weights", "objects.weights"):
        with pytest.raises(VadError, match=r"bad\.safetensors: not "):
            ROUTES[route](tmp_path / "bad.safetensors")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("route", ["train.pretrained", "memory.features"])
def test_other_weights_in_torch_s_cache_are_refused_with_file_and_remedy(cached: Path, route: str) -> None:
    from torchvision.models import get_model

    torch.save(get_model("resnet18", weights=None).state_dict(), cached)
    with pytest.raises(VadError) as raised:
        ROUTES[route](cached)
    assert str(raised.value) == (
        f"{cached}: not the file that torchvision published (its SHA-256 does not begin with f37072fd); "
        "delete it and run again"
    )


def test_other_weights_than_those_published_are_not_kept_when_they_are_downloaded(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"conv1.weight": Harmful(tmp_path / "ran")}, tmp_path / "resnet18-f37072fd.pth")
    publish(monkeypatch, (tmp_path / "resnet18-f37072fd.pth").as_uri())
    with pytest.raises(
        VadError, match=r"ImageNet weights can't be downloaded \(invalid hash value .*\); put resnet18-f"
    ):
        weights.imagenet("resnet18", "train.pretrained")
    assert list(cached.parent.iterdir()) == [] and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".old.pth"])
def test_sound_weights_are_read_from_every_format(tmp_path: Path, suffix: str) -> None:
    state = {"a": torch.rand(3, 4), "b": torch.arange(5), "c": torch.rand(2).bfloat16()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        kept = collections.OrderedDict(state) | {"a": torch.nn.Parameter(state["a"])}
        torch.save(kept, path, _use_new_zipfile_serialization=suffix == ".pth")
    found = weights.read(path)
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def swollen(path: Path) -> None:
    """A .pth of half a megabyte with a tensor of 400 MB."""
    torch.save({"a": torch.zeros(10**8)}, path.with_suffix(".stored"))
    with (
        zipfile.ZipFile(path.with_suffix(".stored")) as stored,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as deflated,
    ):
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    path.with_suffix(".stored").unlink()


def asking(path: Path) -> None:
    torch.save({"a": Large()}, path)


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [(swollen, "it unpacks to more than its size"), (asking, r"it holds more than tensors: \S*bytearray")],
)
def test_a_small_file_of_weights_that_asks_for_gigabytes_is_refused_in_one_line(
    tmp_path: Path, bomb: Callable[[Path], None], reason: str
) -> None:
    bomb(tmp_path / "bomb.pth")
    code = "autoencoder.load(path)"
    printed = limits.limited("from vad.models import autoencoder", code, tmp_path / "bomb.pth", room=300 * 10**6)
    assert re.fullmatch(rf".*bomb\.pth: not the weights of this autoencoder \({reason}.*\)", printed)
