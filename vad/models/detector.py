"""A detector of objects with weights from a file: torchvision's Faster R-CNNs, and what they see in each box.

S. Ren et al., Faster R-CNN: towards real-time object detection with region proposal networks, NeurIPS 2015. Nothing is
downloaded. torchvision's compiled operators may be missing (see torchvision_compat), so boxes are pooled by operators
of torch everywhere, which gives the same everywhere, and `nms` stands in for torchvision's where there is none.
"""

import hashlib
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import vad.models.torchvision_compat  # noqa: F401  must come before torchvision

from torchvision.models import get_model, get_model_weights  # isort: skip
from torchvision.ops import boxes as box_operators  # isort: skip

from vad import VadError, registry
from vad.models import runtime, weights
from vad.params import Objects

MOST = 50
"""Boxes of a frame, those of the highest scores."""
SIDE = 7
"""Cells along the side of what is pooled of a box."""
CLASSES = "roi_heads.box_predictor.cls_score.bias"
"""Of a state dict, what has an entry for each class."""


class Found(NamedTuple):
    """The objects of a frame: boxes (N, 4), left, top, right, bottom in shares of its sides; features (N, 1024)."""

    boxes: np.ndarray
    features: np.ndarray


class Detector(nn.Module):
    """A Faster R-CNN of torchvision that gives, with each box, the features that it tells the box's class by."""

    def __init__(self, name: str, path: Path, min_score: float) -> None:
        """`name`: of registry.DETECTORS; `path`: of a file of its state dict, of any number of classes.

        `min_score`: in 0..1, below which a box is none. Raises VadError for a file that is missing, damaged or of
        another network, and for one with the name of torchvision's own whose content is not torchvision's.
        """
        super().__init__()
        try:
            state = _read(name, path)
            self.network: Any = get_model(
                name,
                weights=None,
                weights_backbone=None,
                num_classes=len(state[CLASSES]),
                box_score_thresh=min_score,
                box_detections_per_img=MOST,
            )
            self.network.load_state_dict(state)
        except FileNotFoundError:
            raise VadError(f"{path}: no such file; correct objects.weights") from None
        except Exception as error:  # torch and safetensors raise many kinds for a file that is not theirs
            reason = " ".join(str(error).split())[:150]
            raise VadError(f"{path}: not torchvision's {name} ({reason}); correct objects.weights") from None
        self.network.roi_heads.box_roi_pool = Pool(self.network.roi_heads.box_roi_pool.featmap_names)

    @torch.inference_mode()
    def find(self, frame: np.ndarray) -> Found:
        """The objects of a frame (H, W, 3) uint8."""
        device = next(self.network.parameters()).device
        image = torch.from_numpy(np.array(frame, order="C")).to(device).permute(2, 0, 1).float() / 255
        images, _ = self.network.transform([image])
        maps, heads = self.network.backbone(images.tensors), self.network.roi_heads
        proposals, _ = self.network.rpn(images, maps)
        ((found,), _) = heads(maps, proposals, images.image_sizes)
        features = heads.box_head(heads.box_roi_pool(maps, [found["boxes"]], images.image_sizes))
        height, width = images.image_sizes[0]
        shares = found["boxes"] / found["boxes"].new_tensor([width, height, width, height])
        return Found(shares.cpu().numpy(), features.cpu().numpy())


def _read(name: str, path: Path) -> dict[str, Tensor]:
    """The state dict of a file. Raises ValueError for no detector's, and for a name of torchvision's that is not its.

    Some detectors differ in nothing but the size at which they see a frame: only the name tells their weights apart.
    """
    published = {Path(get_model_weights(each).DEFAULT.url).name: each for each in registry.DETECTORS}
    if published.get(path.name, name) != name:
        raise ValueError(f"by its name it is {published[path.name]}")
    if path.name in published:
        digits = path.stem.rpartition("-")[2]
        with open(path, "rb") as file:
            if not hashlib.file_digest(file, "sha256").hexdigest().startswith(digits):
                raise ValueError(f"its SHA-256 does not begin with {digits}")
    state = weights.read(path)
    if CLASSES not in state:
        raise ValueError(f"it lacks {CLASSES}")
    return state


class Pool(nn.Module):
    """What torchvision's MultiScaleRoIAlign gives, of one image.

    Each box is looked up on the map that suits its size (T.-Y. Lin et al., Feature pyramid networks, CVPR 2017), at two
    by two points in each cell, between pixels (K. He et al., Mask R-CNN, ICCV 2017).
    """

    def __init__(self, names: list[str]) -> None:
        """`names` of the maps that are looked at."""
        super().__init__()
        self.names = names

    def forward(self, maps: dict[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]) -> Tensor:
        """Maps (1, C, h, w), finest first, boxes (N, 4) in pixels of an image, and its size -> (N, C, SIDE, SIDE)."""
        (found,), ((height, _),) = boxes, sizes
        seen = [level for name, level in maps.items() if name in self.names]
        halved = [round(math.log2(height / level.shape[2])) for level in seen]
        side = (found[:, 2:] - found[:, :2]).prod(1).sqrt()
        suits = torch.floor(4 + torch.log2(side / 224) + 1e-6).clamp(halved[0], halved[-1]).long() - halved[0]
        pooled = found.new_zeros(len(found), seen[0].shape[1], SIDE, SIDE)
        for number, (level, times) in enumerate(zip(seen, halved, strict=True)):
            pooled[suits == number] = _looked_up(level, found[suits == number] / 2**times)
        return pooled


def _looked_up(level: Tensor, boxes: Tensor) -> Tensor:
    """A map (1, C, h, w) under boxes (N, 4) in its pixels -> (N, C, SIDE, SIDE)."""
    count, points = len(boxes), 2 * SIDE
    steps = (torch.arange(points, device=boxes.device) + 0.5) / points
    extents = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1)
    at = boxes[:, :2, None] + extents[..., None] * steps
    last = boxes.new_tensor([max(level.shape[3] - 1, 1), max(level.shape[2] - 1, 1)])
    x, y = (2 * at / last[:, None] - 1).unbind(1)
    grid = torch.stack([x[:, None].expand(-1, points, -1), y[..., None].expand(-1, -1, points)], -1)
    found = F.grid_sample(level, grid.reshape(1, -1, points, 2), padding_mode="border", align_corners=True)
    return found.reshape(level.shape[1], count, SIDE, 2, SIDE, 2).mean((3, 5)).transpose(0, 1)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Of boxes (N, 4) with scores (N,) the indices of those that no higher one overlaps, the highest first.

    Boxes overlap where their intersection is more than `iou_threshold` of their union.
    """
    order = scores.argsort(descending=True, stable=True)
    overlaps = (box_operators.box_iou(boxes[order], boxes[order]) > iou_threshold).cpu().numpy()
    gone, kept = np.zeros(len(overlaps), bool), []
    for place, covered in enumerate(overlaps):
        if not gone[place]:
            kept.append(place)
            gone |= covered
    return order[kept]


if not hasattr(torch.ops.torchvision, "roi_align"):  # the compiled operators did not load
    box_operators.nms = nms


def load(settings: Objects) -> Detector:
    """The detector of the parameters, on this machine's best device. Raises VadError for weights that are not its."""
    if settings.weights is None:
        raise VadError(f"objects.weights = null: name a file of {settings.detector}'s weights")
    network = Detector(settings.detector, settings.weights, settings.min_score)
    runtime.fabric().to_device(network.eval().requires_grad_(False))
    return network
