"""Pictures of an evaluation, drawn without a display."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from vad.data.sampling import evenly_spaced
from vad.evaluation import curves
from vad.storage import files

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Blue and orange: told apart by everyone, in print too.
NORMAL, ANOMALOUS = "#0072b2", "#d55e00"
FLIPPED, BOTH = "#009e73", "#000000"
_MOST_CLIPS = 40
POINTS, BINS = 400, 40
"""Of a precision-recall curve, and of a histogram of scores."""


def timeline(path: Path, table: pd.DataFrame, title: str) -> None:
    """Draw the score of every clip over its frame numbers, anomalous frames shaded, as a PNG.

    `table` has the columns video, frame, score and, where the truth is known, label. Lines break where frames are
    missing. Without frames the picture is empty.
    """
    clips = list(table.groupby("video", sort=True))[:_MOST_CLIPS]
    columns = max(1, min(3, len(clips)))
    rows = max(1, -(-len(clips) // columns))
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 1.5 * rows + 0.5), squeeze=False, sharey=True)
    for axis in axes.flat[len(clips) :]:
        axis.remove()
    for axis, (video, clip) in zip(axes.flat, clips, strict=False):
        _timeline(axis, clip.sort_values("frame"))
        axis.set_title(f"clip {video}", fontsize=8, loc="left", pad=2)
        axis.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel("frame number", fontsize=8)
    figure.supylabel("anomaly score", fontsize=8)
    figure.tight_layout()
    save(figure, path)


def save(figure: Figure, path: Path, dpi: int = 80) -> None:
    """Write a figure as a PNG, whole or not at all, and close it."""
    with files.replacing(path) as temporary:
        # No software version in the file: the same figures give the same bytes.
        figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
    plt.close(figure)


def diagnosis(path: Path, table: pd.DataFrame, noise: float, flip: float) -> None:
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
    save(figure, path)


def _timeline(axis: Axes, clip: pd.DataFrame) -> None:
    frames = np.arange(clip["frame"].min(), clip["frame"].max() + 1)
    known = clip.set_index("frame").reindex(frames)
    axis.plot(frames, known["score"], color=NORMAL, linewidth=0.8)
    if "label" in clip:
        axis.fill_between(
            frames, 0, 1, where=known["label"] == 1, step="mid", color=ANOMALOUS, alpha=0.3, linewidth=0,
            transform=axis.get_xaxis_transform(),
        )  # fmt: skip


def precision_recall(table: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall at falling thresholds, at most POINTS of them, evenly spaced in rank.

    Without labels the result has no rows.
    """
    if "label" not in table:
        return pd.DataFrame(columns=["recall", "precision"])
    precision, recall, _ = curves.precision_recall(table["label"].to_numpy(), table["score"].to_numpy())
    kept = evenly_spaced(len(recall), POINTS)
    return pd.DataFrame({"recall": recall[kept], "precision": precision[kept]})


def score_distribution(table: pd.DataFrame) -> pd.DataFrame:
    """Histogram of the scores of normal and of anomalous frames: columns score (a bin's middle), label, share.

    Shares are of all frames with that label. Without labels the result has no rows.
    """
    if "label" not in table:
        return pd.DataFrame(columns=["score", "label", "share"])
    edges = np.histogram_bin_edges(table["score"], BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    parts = []
    for label, name in ((0, "normal"), (1, "anomalous")):
        counts, _ = np.histogram(table["score"][table["label"] == label], edges)
        parts.append(pd.DataFrame({"score": middles, "label": name, "share": counts / max(counts.sum(), 1)}))
    return pd.concat(parts, ignore_index=True)
