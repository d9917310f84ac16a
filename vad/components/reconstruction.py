"""Reconstruction errors: score components of the autoencoder, one number a frame."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from vad import registry
from vad.components import views
from vad.data import clips
from vad.data.clips import MappedClip
from vad.models import autoencoder, inference, runtime
from vad.models.autoencoder import Autoencoder, to_images
from vad.params import Params
from vad.storage import store, tables
from vad.storage.store import Job, Store

BLOCK = 16
"""Pixels along the side of a block of `block_max`."""
TOP = 0.01
"""Share of the pixels that `top_mean` averages."""
BATCH = 8
"""Frames that go through the network at a time, each as all of its views."""


def measure(settings: Params, kept: Store, weights: Path, resized: Path) -> pd.DataFrame:
    """The keys and COMPONENT/VIEW, float64, for every component in every view, of every scored frame.

    `weights` are the autoencoder's; `resized` holds a folder a split. Raises VadError for a file that is none of it.
    """
    precision = settings.infer.precision
    fabric = runtime.fabric(precision, "infer.precision")
    model = inference.prepared(fabric, autoencoder.load(weights), precision)
    origin = store.digest_of_file(weights)
    seen = [(split, clip) for split in tables.SCORED for clip in clips.open_resized(resized, split)]
    jobs = [Job([origin, clip.digest()], partial(_scored, fabric, model, clip)) for _, clip in seen]
    found = zip(seen, kept.all(jobs, "reconstruction"), strict=True)
    parts = [clips.keys(split, [clip]).join(store.to_table(rows)) for (split, clip), rows in found]
    return pd.concat(parts, ignore_index=True)


def _scored(fabric: Fabric, model: Autoencoder, clip: MappedClip) -> store.Arrays:
    return store.of_table(score(fabric, model, clip))


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
