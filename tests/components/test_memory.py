"""The memory holds what normal patches look like, and nothing normal is far from it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_clips import walking_square
from vad import VadError, registry
from vad.components import memory
from vad.components.memory import Memory
from vad.data import clips
from vad.models import predictor
from vad.models.autoencoder import Autoencoder
from vad.models.predictor import FrameStacks

LAYERS = ("layer1", "layer2")
SIZE = (64, 64)


def clip(frames: np.ndarray) -> clips.MappedClip:
    return clips.MappedClip("01", np.arange(len(frames)), Path("01.npy"), frames)


@pytest.fixture(scope="module")
def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder().eval()


def learned(network: memory.Network, count: int = 600, seed: int = 0, neighbours: int = 1) -> Memory:
    remembered = Memory(network, LAYERS, neighbours, torch.device("cpu"))
    remembered.learn(walking_square(40, SIZE), count, seed)
    return remembered


def test_the_coreset_leaves_nothing_far_from_it() -> None:
    generator = torch.Generator().manual_seed(1)
    crowd, far = torch.randn(500, 8, generator=generator), torch.full((3, 8), 40.0) * torch.tensor([[1], [-1], [2]])
    points = torch.cat([crowd, far])

    def reach(chosen: torch.Tensor) -> float:
        return float(torch.cdist(points, points[chosen]).min(1).values.max())

    chosen = memory.coreset(points, 20, torch.Generator().manual_seed(2))
    assert {500, 501, 502} <= set(chosen.tolist()) and len(set(chosen.tolist())) == 20
    assert reach(chosen) < 0.2 * reach(torch.arange(20))
    assert (memory.coreset(points, 20, torch.Generator().manual_seed(2)) == chosen).all()
    assert len(memory.coreset(points[:5], 20, torch.Generator())) == 5


def test_what_is_remembered_is_at_no_distance_and_what_is_foreign_is_far_where_it_is(network: Autoencoder) -> None:
    remembered = learned(network, count=10_000)
    frames = walking_square(40, SIZE)
    known = np.stack(list(remembered.maps(clip(frames))))
    assert known.shape == (40, 16, 16) and (known.min((1, 2)) < 1e-3).all()
    foreign = frames[7].copy()
    foreign[4:20, 40:56] = (255, 0, 255)
    (strange,) = remembered.maps(clip(foreign[None]))
    assert strange.max() > 2 * known.max()
    row, column = np.unravel_index(strange.argmax(), strange.shape)
    assert 0 <= row <= 6 and 9 <= column <= 14


def test_the_same_seed_remembers_the_same_and_more_neighbours_are_farther(network: Autoencoder) -> None:
    first, again, other = learned(network), learned(network), learned(network, seed=1)
    assert (first.patches == again.patches).all() and (first.patches != other.patches).any()
    frames = clip(walking_square(3, SIZE, seed=4))
    one, five = (np.stack(list(learned(network, neighbours=n).maps(frames))) for n in (1, 5))
    assert (five >= one - 1e-4).all() and five.mean() > one.mean()


def test_memory_is_bounded_by_frames_not_by_their_patches(network: Autoencoder) -> None:
    assert len(learned(network, count=10**6).patches) == 40 * memory.PER_FRAME < 40 * 16 * 16


def test_a_frame_of_one_colour_looks_the_same_at_its_edge_as_within() -> None:
    class Colours:
        def features(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"layer1": images, "layer2": images[..., ::2, ::2]}

    frames = torch.full((1, 16, 16, 3), 200, dtype=torch.uint8)
    for maps in memory.patches(Colours(), frames, LAYERS):
        torch.testing.assert_close(maps, torch.full_like(maps, 200 / 255))


def test_each_layer_is_in_units_of_its_deviation_over_all_frames() -> None:
    class Brightness:
        def features(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"layer1": images[:, :1], "layer2": 1000 * images[:, :1]}

    # The first batch is black: a scale from it alone would be next to nothing.
    frames = np.zeros((3 * memory.BATCH, 8, 8, 3), np.uint8)
    frames[memory.BATCH :] = np.random.default_rng(0).integers(0, 256, (2 * memory.BATCH, 8, 8, 3), np.uint8)
    remembered = Memory(Brightness(), LAYERS, 1, torch.device("cpu"))
    remembered.learn(frames, 500, 0)
    one, two = remembered.patches.std(0)
    assert one == pytest.approx(float(two), rel=0.01) and 0.5 < one < 3


def test_no_frames_are_an_error_in_one_line(network: Autoencoder) -> None:
    with pytest.raises(VadError, match="no frames to remember"):
        Memory(network, LAYERS, 1, torch.device("cpu")).learn([], 10, 0)


@pytest.mark.parametrize("name", registry.PREDICTORS)
def test_the_memory_of_a_predictor_holds_motion(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames each of which is normal, in an order that is not."""
    monkeypatch.setattr(memory, "PER_FRAME", 16 * 16)
    torch.manual_seed(0)
    network = predictor.make(name, 2).eval()
    frames = walking_square(12, SIZE)
    remembered = Memory(network, ("layer2", "layer3"), 1, torch.device("cpu"))
    there, back = (FrameStacks("01", np.arange(12), Path("01.npy"), clip(order), 2) for order in (frames, frames[::-1]))
    remembered.learn(there, 10**6, 0)
    known, strange = (np.stack(list(remembered.maps(way))).max((1, 2)) for way in (there, back))
    # At an end of a clip what leads to a frame is read backwards, so both ways share these two.
    assert known.max() < 0.1 * strange[1:-1].min()


@pytest.mark.parametrize(("name", "modules"), [("resnet18", 6), ("convnext_tiny", 4)])
def test_pretrained_weights_come_from_a_file(tmp_path: Path, name: str, modules: int) -> None:
    from torchvision.models import get_model

    images = torch.rand(2, 3, 64, 64)
    torch.manual_seed(1)
    whole = get_model(name, weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    found = memory.Pretrained(name, tmp_path / "weights.pth").features(images)
    stem = torch.nn.Sequential(*list(whole.features if name == "convnext_tiny" else whole.children())[:modules])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = stem((images - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1))
    torch.testing.assert_close(found["layer2"], expected)


def test_a_file_that_is_missing_or_something_else_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(VadError, match=r"none.pth: no such file; correct memory.weights"):
        memory.Pretrained("resnet18", tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for name in ("text.pth", "other.pth"):
        with pytest.raises(
            VadError, match=rf"{name}: not torchvision's resnet18 \(.*\); correct memory.weights"
        ) as error:
            memory.Pretrained("resnet18", tmp_path / name)
        assert "\n" not in str(error.value)


def test_offline_says_where_the_weights_may_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(
        VadError,
        match=r"memory.features = resnet50: .*no network.*put resnet50-0676ba61.pth .*, or name a file of them",
    ):
        memory.Pretrained("resnet50", None)
