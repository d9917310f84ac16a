"""What the autoencoder sees: frames beside their reconstructions and errors, as a picture.

    python -m reports.reconstructions docs/images/sample.png test/01/40 test/03/25

Reads data/resized and models/autoencoder.safetensors; a frame is split/clip/number.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch

from vad.data import clips
from vad.models import autoencoder
from vad.storage import files

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BRIGHTEST = 0.4
"""The error that is drawn brightest; larger ones look the same."""


@torch.inference_mode()
def rebuild(model: autoencoder.Autoencoder, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame (H, W, 3) uint8 -> image and reconstruction (H, W, 3), mean absolute error (H, W), all in [0, 1]."""
    image = autoencoder.to_images(torch.from_numpy(frame.copy())[None])
    rebuilt = model(image)
    error = (rebuilt - image).abs().mean(1)[0]
    return image[0].permute(1, 2, 0).numpy(), rebuilt[0].permute(1, 2, 0).numpy(), error.numpy()


def draw(path: Path, frames: list[str], resized: Path, weights: Path) -> None:
    """Draw input, reconstruction and mean absolute error of each frame, a row a frame."""
    model = autoencoder.load(weights)
    figure, axes = plt.subplots(len(frames), 3, figsize=(6.6, 2.3 * len(frames)), squeeze=False)
    for row, name in zip(axes, frames, strict=True):
        split, video, number = name.split("/")
        clip = next(clip for clip in clips.open_resized(resized, split) if clip.video == video)
        image, rebuilt, error = rebuild(model, clip.frame(int(number)))
        titles = (f"clip {video}, frame {number}", "reconstruction", f"error, mean {error.mean():.4f}")
        for axis, picture, title in zip(row, (image, rebuilt, error), titles, strict=True):
            axis.imshow(picture, cmap="magma", vmin=0, vmax=BRIGHTEST if picture.ndim == 2 else 1)
            axis.set_title(title, fontsize=8)
            axis.axis("off")
    figure.tight_layout()
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("frames", nargs="+", metavar="SPLIT/CLIP/NUMBER")
    parser.add_argument("--resized", type=Path, default=Path("data/resized"))
    parser.add_argument("--weights", type=Path, default=Path("models/autoencoder.safetensors"))
    arguments = parser.parse_args()
    draw(arguments.picture, arguments.frames, arguments.resized, arguments.weights)
