"""Reconstruction errors: score components of the autoencoder, one number a frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from vad import registry
from vad.components import out_of_fold, views
from vad.components.out_of_fold import Part
from vad.data import clips
from vad.data.clips import MappedClip
from vad.models import autoencoder, inference, runtime
from vad.models.autoencoder import Autoencoder, to_images
from vad.params import Params
from vad.storage import store
from vad.storage.store import Store

BLOCK = 16
"""Pixels along the side of a block of `block_max`."""
TOP = 0.01
"""Share of the pixels that `top_mean` averages."""
BATCH = 8
"""Frames that go through the network at a time, each as all of its views."""


def measure(settings: Params, kept: Store, weights: Path, halves: Path, resized: Path) -> pd.DataFrame:
    """The keys and COMPONENT/VIEW, float64, for every component in every view, of every scored frame.

    `weights` are the autoencoder's, in `halves` those of the halves; `resized` holds a folder a split. Raises VadError
    for a file that is none of it.
    """
    precision = settings.infer.precision
    fabric = runtime.fabric(precision, "infer.precision")
    networks = out_of_fold.Weights(weights, halves)
    folds = out_of_fold.folds_in(resized)
    seen = {split: clips.open_resized(resized, split) for split in out_of_fold.scored_splits(folds)}

    def learn(part: Part[MappedClip]) -> tuple[Any, Callable[[MappedClip], store.Arrays]]:
        path = networks.of(part.fold)
        model = inference.prepared(fabric, autoencoder.load(path), precision)
        return store.digest_of_file(path), lambda clip: store.of_table(score(fabric, model, clip))

    parts = out_of_fold.parts([], seen, out_of_fold.halves(folds))
    found = out_of_fold.measured(kept, "reconstruction", parts, learn)
    rows = [clips.keys(s, [clip]).join(store.to_table(found[s, clip.video])) for s in seen for clip in seen[s]]
    return pd.concat(rows, ignore_index=True)


def score(fabric: Fabric, model: Autoencoder, clip: MappedClip) -> pd.DataFrame:
    """Every component of every view of a resized clip's frames: (T,) rows, columns `component/view`.

    `model` is on the device of `fabric`, whose precision it computes in. A row does not depend on how many cores
    there are.
    """

    def errors_from(start: int) -> dict[str, np.ndarray]:
        frames = torch.from_numpy(np.array(clip.array[start : start + BATCH]))
        with torch.inference_mode(), fabric.autocast():
            return errors(model, to_images(fabric.to_device(frames)))

    starts = range(0, len(clip), BATCH)
    batches = list(inference.on_all_cores(fabric, errors_from, starts))
    return pd.DataFrame({name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]})


def errors(model: Autoencoder, images: Tensor) -> dict[str, np.ndarray]:
    """Every component of every view of images (N, 3, H, W): `component/view` -> (N,) float64."""
    seen = torch.cat([views.view(name)(images) for name in registry.VIEWS])
    found = components(seen, *model.score_views(seen))
    by_view = {name: values.view(len(registry.VIEWS), -1).cpu().numpy() for name, values in found.items()}
    return {f"{name}/{view}": by_view[name][row] for row, view in enumerate(registry.VIEWS) for name in by_view}


def block_max(error: Tensor) -> Tensor:
    """Largest block mean of an error map (N, H, W) -> (N,), blocks of BLOCK x BLOCK pixels, unit of the input.

    An event covers a few percent of the frame: the mean over the frame drowns it.
    """
    return F.avg_pool2d(error[:, None], BLOCK).amax((1, 2, 3))


def top_mean(error: Tensor) -> Tensor:
    """Mean of the share TOP of the pixels that is largest of an error map (N, H, W) -> (N,), unit of the input."""
    pixels = error.flatten(1)
    return pixels.topk(max(1, round(TOP * pixels.shape[1])), dim=1).values.mean(1)


def components(
    images: Tensor, reconstructions: Tensor, seen: dict[str, Tensor], rebuilt: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Every error of a batch of images (N, 3, H, W) and its reconstructions: component -> (N,) float64.

    pixel_l1 and pixel_l2 are mean absolute and mean squared error, `_max` their largest block and `_top` the mean of
    their largest percent. layer1 to layer4 are mean squared errors between the features `seen` in the image and those
    `rebuilt` in its reconstruction. Features may be bfloat16; their errors are float32.
    """
    # One channel after the other: their mean is then a sum of three planes.
    difference = (reconstructions - images).contiguous()
    result: dict[str, Tensor] = {}
    for name, error in (("pixel_l1", difference.abs()), ("pixel_l2", difference.square())):
        error_map = error.mean(1)
        result |= {
            name: error_map.mean((1, 2)),
            f"{name}_max": block_max(error_map),
            f"{name}_top": top_mean(error_map),
        }
    for layer in seen:
        moved = (seen[layer].float() - rebuilt[layer].float()).square_()
        result[layer] = moved.permute(0, 2, 3, 1).flatten(1).mean(1)  # without a copy where channels come last
    return {name: values.to(torch.float64) for name, values in result.items()}
