"""Pictures and curves of an evaluation. The timelines are drawn with Pillow: Matplotlib's import alone takes longer
than the rest of the stage.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from vad.data.sampling import evenly_spaced
from vad.evaluation import curves
from vad.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Blue and orange: told apart by everyone, in print too.
NORMAL, ANOMALOUS = "#0072b2", "#d55e00"
FLIPPED, BOTH = "#009e73", "#000000"
SHADE = "#f2cfb3"
"""Of the frames that are anomalous: ANOMALOUS, pale."""
_MOST_CLIPS = 40
POINTS, BINS = 400, 40
"""Of a precision-recall curve, and of a histogram of scores."""
_PANEL = (300, 80)
"""Width and height of the panel of a clip, pixels."""
_GAP = (50, 42)
"""Between panels, room for figures and names."""
FAR = 20
"""Times the distance between the quartiles: scores that lie further above them are drawn at the edge."""
_FINE = 4
"""Lines are drawn so many times as large, and made smaller: their edges are smooth then."""


def timeline(path: Path, table: pd.DataFrame, title: str) -> None:
    """Draw the score of every clip over its frame numbers, anomalous frames shaded, as a PNG.

    `table` has the columns video, frame, score and, where the truth is known, label. All clips share the axis of the
    scores, as `score_axis` gives it. Lines break where frames are missing. Without frames the picture has its title
    alone.
    """
    clips = list(table.groupby("video", sort=True))[:_MOST_CLIPS]
    columns = max(1, min(3, len(clips)))
    rows = -(-len(clips) // columns)
    (width, height), (gap, line) = _PANEL, _GAP
    picture = Image.new("RGB", (max(500, gap + columns * (width + gap)), 60 + rows * (height + line)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    draw.text((picture.width // 2, 14), title, "black", ImageFont.load_default(13), anchor="mm")
    draw.text((gap, picture.height - 16), "anomaly score over frame numbers", "black", font)
    scale = score_axis(table["score"].to_numpy()) if clips else (0.0, 1.0)
    for place, (video, clip) in enumerate(clips):
        left, top = gap + place % columns * (width + gap), 45 + place // columns * (height + line)
        frames = (int(clip["frame"].min()), int(clip["frame"].max()))
        picture.paste(_panel(clip.sort_values("frame"), frames, scale), (left, top))
        draw.rectangle((left, top, left + width, top + height), outline="black")
        draw.text((left, top - 3), f"clip {video}", "black", font, anchor="ls")
        for value, down in ((scale[1], 5), (scale[0], height - 5)):
            draw.text((left - 5, top + down), f"{value:.3g}", "black", font, anchor="rm")
        for number, at, anchor in ((frames[0], left, "la"), (frames[1], left + width, "ra")):
            draw.text((at, top + height + 4), str(number), "black", font, anchor=anchor)
    with files.replacing(path) as temporary:
        picture.save(temporary, "png")


def score_axis(scores: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest of scores (T,) that an axis shows, T > 0.

    A few that lie far above all others, as an unbounded calibration makes them, would leave the rest a flat line: the
    axis ends below them, and they are drawn at its edge.
    """
    lower, upper = np.quantile(scores, [0.25, 0.75])
    high = float(scores.max())
    return float(scores.min()), min(high, float(upper + FAR * (upper - lower))) if upper > lower else high


def _panel(clip: pd.DataFrame, frames: tuple[int, int], scale: tuple[float, float]) -> Image.Image:
    """The line of a clip's scores, without a frame around it."""
    width, height = (_FINE * side for side in _PANEL)
    panel = Image.new("RGB", (width, height), "white")
    draw, margin = ImageDraw.Draw(panel), 5 * _FINE
    step = (width - 2 * margin) / max(1, frames[1] - frames[0])
    number = clip["frame"].to_numpy()
    across = margin + (number - frames[0]) * step
    if "label" in clip:
        for x in across[clip["label"].to_numpy() == 1]:
            draw.rectangle((x - step / 2, 0, x + step / 2, height), SHADE)
    share = (clip["score"].to_numpy().clip(max=scale[1]) - scale[0]) / ((scale[1] - scale[0]) or 1.0)
    down = height - margin - share * (height - 2 * margin)
    points = np.column_stack([across, down])
    for run in np.split(points, np.flatnonzero(np.diff(number) != 1) + 1):
        draw.line([*map(tuple, run), tuple(run[-1] + 1)], NORMAL, _FINE, joint="curve")
    return panel.resize(_PANEL, Image.Resampling.BOX)


def save(figure: "Figure", path: Path, dpi: int = 80) -> None:
    """Write a figure of Matplotlib as a PNG, whole or not at all, and close it."""
    from matplotlib import pyplot as plt  # who has a figure has imported it

    with files.replacing(path) as temporary:
        # No software version in the file: the same figures give the same bytes.
        figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
    plt.close(figure)


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
