"""The picture of a diagnosis, drawn without a display."""

from pathlib import Path

import matplotlib
import pandas as pd

from vad.evaluation import plots
from vad.evaluation.plots import ANOMALOUS, BOTH, FLIPPED, NORMAL

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def draw(path: Path, table: pd.DataFrame, noise: float, flip: float) -> None:
    """Draw every frame by how much more it is like the background once flipped, and by its noise, as a PNG.

    `table` has the columns split, flip_margin, noise, flipped, noisy; `noise` is the noise above which a frame counts
    as noisy, `flip` the margin above which it counts as flipped.
    """
    splits = table["split"].unique()
    figure, axes = plt.subplots(
        1, len(splits), figsize=(3.2 * len(splits), 3.4), squeeze=False, sharex=True, sharey=True
    )
    looks = {(0, 0): (NORMAL, "o", "clean"), (1, 0): (FLIPPED, "v", "flipped"), (0, 1): (ANOMALOUS, "s", "noisy"),
             (1, 1): (BOTH, "x", "flipped, noisy")}  # fmt: skip
    for axis, split in zip(axes.flat, splits, strict=True):
        rows = table[table["split"] == split]
        for (flipped, noisy), (colour, marker, name) in looks.items():
            chosen = rows[(rows["flipped"] == flipped) & (rows["noisy"] == noisy)]
            axis.scatter(
                chosen["flip_margin"], chosen["noise"], s=14, color=colour, marker=marker, alpha=0.6, label=name
            )
        axis.axvline(flip, color="grey", linewidth=0.8, linestyle="--")
        axis.axhline(noise, color="grey", linewidth=0.8, linestyle="--")
        axis.set_title(f"{split}: {len(rows)} frames", fontsize=9, loc="left")
    axes.flat[0].set_ylim(bottom=0)  # shared, and fixed from here on: all frames are drawn
    axes.flat[0].set_ylabel("noise, grey levels")
    axes.flat[-1].legend(fontsize=7, loc="center right")
    figure.supxlabel("likeness to the background once flipped, less that upright", fontsize=9)
    figure.tight_layout()
    plots.save(figure, path)
