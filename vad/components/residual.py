"""Where the autoencoder errs: the map of its reconstruction errors over the frame, in cells."""

import numpy as np
import torch

from vad.components import pooling
from vad.data.clips import Clip
from vad.models import autoencoder, runtime

CELL = 4
"""Pixels along the side of a cell in frames of SIDE pixels; in proportion at other sizes."""
SIDE = 128
BATCH = 32


def cells_of(model: autoencoder.Autoencoder, clip: Clip) -> list[np.ndarray]:
    """The cells (h, w) of each frame's mean absolute error in [0, 1], in order."""
    return [pooling.to_cells(error, max(1, len(error) * CELL // SIDE)) for error in errors(model, clip)]


@torch.inference_mode()
def errors(model: autoencoder.Autoencoder, clip: Clip) -> list[np.ndarray]:
    """The mean absolute error (H, W) in [0, 1] of each frame of a clip, in order."""
    fabric = runtime.fabric()
    fabric.to_device(model)
    found: list[np.ndarray] = []
    for start in range(0, len(clip), BATCH):
        frames = np.stack([clip.frame(number) for number in clip.numbers[start : start + BATCH].tolist()])
        images = autoencoder.to_images(fabric.to_device(torch.from_numpy(frames)))
        found.extend((model(images) - images).abs().mean(1).cpu().numpy())
    return found
