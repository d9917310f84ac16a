"""A detector from a file: what torchvision's own network finds, with or without its compiled operators."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.tiny_clips import walking_square
from vad import VadError
from vad.components import objects
from vad.data.clips import MappedClip
from vad.models import detector
from vad.models.detector import Detector, Pool

from torchvision.models import get_model  # isort: skip
from torchvision.ops import MultiScaleRoIAlign, poolers  # isort: skip

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"
MIN_SCORE = 0.36
"""Just above what random weights give each of three classes."""
FRAMES = walking_square(4, (48, 64), speed=8)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """torchvision's network with random weights, which would see the same everywhere had it never seen a frame."""
    torch.manual_seed(0)
    made = get_model(NAME, weights=None, weights_backbone=None, num_classes=3, box_score_thresh=MIN_SCORE)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    images = [torch.from_numpy(frame).permute(2, 0, 1) / 255 for frame in FRAMES]
    with torch.inference_mode():
        made.backbone(made.transform(images)[0].tensors)
    return made.eval()


@pytest.fixture(scope="module")
def file(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    return path


@pytest.fixture
def pooling_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision pool boxes by its slow way that takes no compiled operator."""
    eager = importlib.import_module("torchvision.ops.roi_align")._roi_align.__wrapped__

    def roi_align(maps: torch.Tensor, boxes: torch.Tensor, *, output_size: tuple[int, int], **how: float) -> object:
        return eager(maps, boxes, how["spatial_scale"], *output_size, how["sampling_ratio"], False)

    monkeypatch.setattr(poolers, "roi_align", roi_align)


@pytest.mark.usefixtures("pooling_in_python")
def test_boxes_and_features_are_those_of_torchvision_s_network(network: torch.nn.Module, file: Path) -> None:
    chosen = Detector(NAME, file, MIN_SCORE).eval()
    features: list[torch.Tensor] = []
    network.roi_heads.box_head.register_forward_hook(lambda *given: features.append(given[-1]))
    count = 0
    for frame in FRAMES:
        found = chosen.find(frame)
        with torch.inference_mode():
            (expected,) = network([torch.from_numpy(frame).permute(2, 0, 1) / 255])
            scores = network.roi_heads.box_predictor(torch.from_numpy(found.features))[0].softmax(1)[:, 1:]
        shown = expected["boxes"].numpy()[: detector.MOST] / np.array([64, 48, 64, 48])
        np.testing.assert_allclose(found.boxes, shown, atol=1e-4)
        assert found.features.shape == (len(shown), features[-1].shape[1])
        assert ((found.boxes >= 0) & (found.boxes <= 1)).all() and scores.shape == (len(shown), 2)
        count += len(shown)
    assert count > 4


@pytest.mark.usefixtures("pooling_in_python")
def test_boxes_of_any_size_are_pooled_as_by_torchvision() -> None:
    generator = torch.Generator().manual_seed(1)
    maps = {str(n): torch.rand(1, 5, 320 >> n + 2, 480 >> n + 2, generator=generator) for n in range(4)}
    maps["pool"] = maps["3"][..., ::2, ::2]
    corners = torch.rand(300, 2, 2, generator=generator) ** 2 * torch.tensor([480, 320])
    boxes = torch.cat([corners.amin(1), corners.amax(1)], 1)
    expected = MultiScaleRoIAlign(list("0123"), detector.SIDE, 2)(maps, [boxes], [(320, 480)])
    found = Pool(list("0123"))(maps, [boxes], [(320, 480)])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert Pool(["0"])(maps, [boxes[:0]], [(320, 480)]).shape == (0, 5, detector.SIDE, detector.SIDE)


def test_of_boxes_that_overlap_the_highest_score_is_kept() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 4], [20, 20, 30, 30], [0, 4, 10, 10]]).float()
    scores = torch.tensor([0.5, 0.9, 0.3, 0.1, 0.8])
    # Of the highest, second box the first covers 90 %, the third 44 %, the last 50 %.
    assert detector.nms(boxes, scores, 0.5).tolist() == [1, 4, 2, 3]
    assert detector.nms(boxes, scores, 0.45).tolist() == [1, 2, 3]
    assert detector.nms(boxes[:0], scores[:0], 0.5).tolist() == []


def test_it_stands_in_for_torchvision_s_only_where_that_is_missing() -> None:
    missing = not hasattr(torch.ops.torchvision, "roi_align")
    assert (detector.box_operators.nms is detector.nms) == missing


def test_weights_without_the_counts_of_training_as_torchvision_publishes_them_give_the_same(
    file: Path, tmp_path: Path
) -> None:
    state = safetensors.torch.load_file(file)
    kept = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(kept) < len(state)
    torch.save(kept, tmp_path / "published.pth")
    one, two = (Detector(NAME, path, MIN_SCORE).eval().find(FRAMES[1]) for path in (file, tmp_path / "published.pth"))
    assert len(one.boxes) and (one.boxes == two.boxes).all() and (one.features == two.features).all()


def test_a_frame_gives_the_same_on_any_number_of_threads(file: Path) -> None:
    chosen = Detector(NAME, file, MIN_SCORE).eval()
    clip = MappedClip("01", np.arange(len(FRAMES)), Path("01.npy"), FRAMES)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(list(objects.look(chosen, clip, range(len(clip)), "fast")))
    torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert (one.looks == two.looks).all() and (one.moves == two.moves).all()


def refused(path: Path, name: str = NAME) -> str:
    with pytest.raises(VadError) as raised:
        Detector(name, path, MIN_SCORE)
    message = str(raised.value)
    assert "\n" not in message and message.startswith(f"{path}: ") and message.endswith("; correct objects.weights")
    return message


def test_a_file_that_is_missing_or_of_another_network_is_refused_in_one_line(file: Path, tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.pth")
    torch.save(get_model("resnet18", weights=None).state_dict(), tmp_path / "other.pth")
    assert f"not torchvision's {NAME} (it lacks roi_heads." in refused(tmp_path / "other.pth")
    assert "not torchvision's fasterrcnn_resnet50_fpn_v2 (" in refused(file, "fasterrcnn_resnet50_fpn_v2")


def test_a_file_with_a_name_of_torchvision_s_must_be_that_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}-907ea3f9.pth"
    torch.save(safetensors.torch.load_file(file), path)
    assert "its SHA-256 does not begin with 907ea3f9" in refused(path)
    # The two take the same weights, and see frames at different sizes.
    assert f"by its name it is {NAME}" in refused(path, "fasterrcnn_mobilenet_v3_large_fpn")
