"""A memory of patches of normal frames, as features of a network: a patch that is far from all of them is anomalous.

K. Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022. Time and memory stay bounded: those to
remember are chosen from PER_FRAME patches of a training frame on average, drawn at random.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

import vad.models.torchvision_compat  # noqa: F401  must come before torchvision

from torchvision.models import get_model  # isort: skip
from torchvision.models.feature_extraction import create_feature_extractor  # isort: skip

from vad import VadError, registry
from vad.components import out_of_fold, pooling
from vad.components.out_of_fold import Part, Weights
from vad.data import clips
from vad.data.clips import Clip
from vad.data.sampling import evenly_spaced
from vad.models import autoencoder, predictor, runtime, weights
from vad.models.autoencoder import to_images
from vad.params import Params
from vad.quality import reading, repair
from vad.storage import store, tables
from vad.storage.store import Lazy, Store

SAMPLED = 400
"""Training frames, at most, whose patches may be remembered."""
PER_FRAME = 64
"""Patches of a training frame, on average, from which those to remember are chosen."""
PROJECTED = 64
"""Dimensions in which patches are compared while they are chosen: random projections nearly keep distances."""
BATCH = 32
CHUNK = 4096
"""Patches that are compared with all that are remembered at once."""
_IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)


def measure(
    settings: Params,
    kept: Store,
    encoder: Path,
    encoder_halves: Path,
    forecaster: Path,
    forecaster_halves: Path,
    resized: Path,
    diagnosis: Path,
) -> pd.DataFrame:
    """The keys and memory_POOL for every one of pooling.POOLS, of every scored frame.

    `encoder` and `forecaster` are weights of the autoencoder and of the predictor, and there is a folder each of those
    of the halves; `resized` holds a folder a split.
    """
    encoders, forecasters = Weights(encoder, encoder_halves), Weights(forecaster, forecaster_halves)
    diagnosed = repair.Diagnosis(tables.read_csv(diagnosis, repair.COLUMNS))
    folds = out_of_fold.folds_in(resized)
    splits = out_of_fold.scored_splits(folds)
    seen = {split: reading.resized(resized, split, diagnosed, settings.repair) for split in splits}
    training = clips.open_resized(resized, "train")
    contents = {clip.video: clip.digest() for clip in training}

    def learn(part: Part[Clip]) -> tuple[Any, Callable[[Clip], store.Arrays]]:
        networks = encoders.of(part.fold), forecasters.of(part.fold)
        files = [path for path in (*networks, settings.memory.weights) if path and path.exists()]
        origin = [*map(store.digest_of_file, files), [contents[clip.video] for clip in part.training]]
        remembered = Lazy(partial(learned, settings, *networks, part.training))
        return origin, lambda clip: {"cells": np.stack(cells_of(remembered.get(), clip))}

    parts = out_of_fold.parts(training, seen, out_of_fold.halves(folds))
    found = out_of_fold.measured(kept, "memory", parts, learn)
    return pooling.table({key: arrays["cells"] for key, arrays in found.items()}, seen, "memory", folds)


def learned(settings: Params, encoder: Path, forecaster: Path, training: Sequence[clips.Clip]) -> "Memory":
    """The patches of resized training clips that are remembered."""
    fabric, chosen = runtime.fabric(), settings.memory
    network: autoencoder.Autoencoder | predictor.Predictor | Pretrained
    if chosen.features == "autoencoder":
        network = autoencoder.load(encoder)
    elif chosen.features == "predictor":
        network = predictor.load(forecaster)
    else:
        network = Pretrained(chosen.features, chosen.weights)
    fabric.to_device(network.eval().requires_grad_(False))
    remembered = Memory(network, chosen.layers, chosen.neighbours, torch.device(fabric.device))
    remembered.learn(sampled([seen_by(remembered, clip) for clip in training]), chosen.patches, settings.seed)
    return remembered


def seen_by(remembered: "Memory", clip: clips.Clip) -> clips.Clip:
    """A clip of what the memory's network looks at: single frames, or each with those before it."""
    network = remembered.network
    if not isinstance(network, predictor.Predictor):
        return clip
    return predictor.FrameStacks(clip.video, clip.numbers, clip.path, clip, network.history)


def cells_of(remembered: "Memory", clip: clips.Clip) -> list[np.ndarray]:
    """The cells (h, w) of each frame's distances, in order."""
    return [pooling.to_cells(distances, 1) for distances in remembered.maps(seen_by(remembered, clip))]


def sampled(training: Sequence[clips.Clip]) -> Iterator[np.ndarray]:
    """At most SAMPLED training frames, spread evenly over all of them."""
    frames = [(clip, int(number)) for clip in training for number in clip.numbers]
    for place in evenly_spaced(len(frames), SAMPLED):
        clip, number = frames[place]
        yield clip.frame(number)


class Network(Protocol):
    """What gives features: an encoder, an autoencoder, a predictor."""

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Layer -> features (N, C, h, w) of images (N, 3, H, W) in [0, 1]."""


class Pretrained(torch.nn.Module):
    """A backbone of torchvision with weights from ImageNet, on images in [0, 1]."""

    def __init__(self, name: str, weights_file: Path | None) -> None:
        """`weights_file`: of its state dict, as torchvision saves it; None takes torchvision's own.

        Raises VadError for a file that is missing or holds something else, and where nothing can be downloaded.
        """
        super().__init__()
        network = get_model(name, weights=None)
        if weights_file is None:
            otherwise = ", or name a file of them in memory.weights"
            network.load_state_dict(weights.imagenet(name, f"memory.features = {name}", otherwise))
        else:
            _load(network, name, weights_file)
        places = registry.BACKBONES[name].split()
        stages = {place: f"layer{number}" for number, place in enumerate(places, 1)}
        self.stages = create_feature_extractor(network.eval(), stages)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """layer1 to layer3 -> features (N, C, h, w) of images (N, 3, H, W) in [0, 1]."""
        mean, deviation = _IMAGENET.to(images.device)
        found: dict[str, Tensor] = self.stages((images - mean) / deviation)
        return found


def _load(network: torch.nn.Module, name: str, path: Path) -> None:
    """Put weights of a file into a network of torchvision, without running code from it.

    Raises VadError when the file is missing, damaged or of another network.
    """
    try:
        network.load_state_dict(weights.read(path))
    except FileNotFoundError:
        raise VadError(f"{path}: no such file; correct memory.weights") from None
    except Exception as error:  # torch and safetensors raise many kinds for a file that is not theirs
        reason = " ".join(str(error).split())[:150]
        raise VadError(f"{path}: not torchvision's {name} ({reason}); correct memory.weights") from None


@torch.inference_mode()
def patches(network: Network, frames: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """Features (N, C, h, w) of each layer for frames (N, H, W, 3) uint8, on the grid of the finest layer.

    A predictor takes several frames side by side, (N, H, W, 3 * history). Features are means over 3 x 3 neighbours, as
    in the paper; at the frame's edge over those there are.
    """
    found = network.features(to_images(frames))
    seen = [F.avg_pool2d(found[name].float(), 3, stride=1, padding=1, count_include_pad=False) for name in layers]
    grid = max((tuple(maps.shape[2:]) for maps in seen), key=lambda shape: shape[0])
    return [F.interpolate(maps, grid, mode="bilinear", align_corners=False) for maps in seen]


@torch.inference_mode()
def coreset(candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices (count,) of patches (P, C) that leave no other patch far from all of them: greedy k-center.

    Each is the one farthest from those before it; the first is drawn. O. Sener, S. Savarese, Active learning for
    convolutional neural networks: a core-set approach, ICLR 2018.
    """
    projection = torch.randn(candidates.shape[1], min(PROJECTED, candidates.shape[1]), generator=generator)
    small = candidates @ (projection / projection.shape[1] ** 0.5).to(candidates)
    chosen = [int(torch.randint(len(small), (1,), generator=generator))]
    nearest = (small - small[chosen[0]]).square().sum(1)
    for _ in range(min(count, len(small)) - 1):
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (small - small[chosen[-1]]).square().sum(1))
    return torch.tensor(chosen)


class Memory:
    """Remembered patches (M, C), each layer in units of its own deviation, and the network that sees them.

    Frames are (H, W, 3) uint8, or for a predictor those of `predictor.FrameStacks`.
    """

    def __init__(self, network: Network, layers: Sequence[str], neighbours: int, device: torch.device) -> None:
        self.network, self.layers, self.neighbours, self.device = network, tuple(layers), neighbours, device
        self.scales: list[Tensor] = []
        self.patches = torch.empty(0)

    def learn(self, frames: Iterable[np.ndarray], count: int, seed: int) -> None:
        """Remember `count` patches of training frames, the same ones for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        rows: list[list[Tensor]] = []
        for batch in batches(frames, self.device):
            found = [_flat(layer).cpu() for layer in patches(self.network, batch, self.layers)]
            kept = torch.randperm(len(found[0]), generator=generator)[: PER_FRAME * len(batch)]
            rows.append([layer[kept] for layer in found])
        if not rows:
            raise VadError("data/resized/train: no frames to remember")
        layers = [torch.cat(parts) for parts in zip(*rows, strict=True)]
        self.scales = [layer.std().clamp_min(1e-6) for layer in layers]
        candidates = self._scaled(layers)
        self.patches = candidates[coreset(candidates, count, generator)].to(self.device)

    def maps(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """For each frame, in order, the distance of every patch to the nearest remembered (h, w)."""
        for batch in batches(frames, self.device):
            found = patches(self.network, batch, self.layers)
            nearest = torch.cat(list(map(self._nearest, self._scaled(map(_flat, found)).split(CHUNK))))
            yield from nearest.view(len(batch), *found[0].shape[2:]).cpu().numpy()

    def _nearest(self, points: Tensor) -> Tensor:
        """The mean distance of points (Q, C) to their nearest neighbours: (Q,)."""
        distances = torch.cdist(points, self.patches)
        return distances.topk(min(self.neighbours, len(self.patches)), largest=False).values.mean(1)

    def _scaled(self, layers: Iterable[Tensor]) -> Tensor:
        """Patches (P, C) of each layer, side by side in units of the layer's deviation."""
        return torch.cat([layer / scale for layer, scale in zip(layers, self.scales, strict=True)], 1)


def _flat(maps: Tensor) -> Tensor:
    """Maps (N, C, h, w) -> patches (N h w, C)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def batches(frames: Iterable[np.ndarray], device: torch.device, size: int = BATCH) -> Iterator[Tensor]:
    """Frames (H, W, C) uint8 -> batches (N, H, W, C)."""
    held: list[Any] = []
    for frame in frames:
        held.append(np.ascontiguousarray(frame))
        if len(held) == size:
            yield torch.from_numpy(np.stack(held)).to(device)
            held = []
    if held:
        yield torch.from_numpy(np.stack(held)).to(device)
