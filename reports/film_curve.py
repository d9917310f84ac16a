"""What a film shows of a clip beside its frames, and the curve in it: scores over time, the truth, what was found."""

from dataclasses import dataclass

import matplotlib
import numpy as np

from vad.evaluation import plots

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

DOTS = 100
"""Pixels an inch: matplotlib counts in inches."""
LEFT, RIGHT, ABOVE, BELOW, LANE = 66, 12, 8, 26, 13
"""Pixels around the axes, and of the row of a mark."""
SOFT, GRID, DARK = "#5a6675", "#e3e8ee", "#8a3c00"


@dataclass(frozen=True)
class Mark:
    """Something found in frames: its name, the text shown at it, its colour, and which frames (T,) have it."""

    name: str
    says: str
    colour: str
    frames: np.ndarray


@dataclass(frozen=True)
class Story:
    """What is known of a clip's T frames: numbers ascending, scores, ranks (1: the highest of `ranked` frames).

    `labels` (T,) are 1 where anomalous, None where unknown; `kinds` are the kinds of events, where known. `low` and
    `high` are the ends of the score's axis; a score above is drawn at its edge. `heat` says what the heat is of,
    nothing where there is none.
    """

    title: str
    numbers: np.ndarray
    scores: np.ndarray
    ranks: np.ndarray
    ranked: int
    labels: np.ndarray | None
    kinds: list[str]
    marks: list[Mark]
    low: float
    high: float
    heat: str

    def anomalous(self) -> np.ndarray:
        """Of each frame (T,) whether it is known to be anomalous."""
        return np.zeros(len(self.numbers), bool) if self.labels is None else self.labels == 1

    def runs(self) -> list[tuple[int, int, str]]:
        """Runs of anomalous frames of one kind: first number, last number, kind. Missing numbers don't end a run."""
        found: list[tuple[int, int, str]] = []
        open_kind = None
        for number, anomalous, kind in zip(self.numbers.tolist(), self.anomalous(), self.kinds, strict=True):
            if anomalous and kind == open_kind:
                found[-1] = (found[-1][0], number, kind)
            elif anomalous:
                found.append((number, number, kind))
            open_kind = kind if anomalous else None
        return found


def curve(story: Story, size: tuple[int, int], opacity: float) -> tuple[np.ndarray, np.ndarray]:
    """A picture (height, width, 3) uint8 of the clip's scores over its frame numbers, and the pixels (T, 2) of each.

    The truth is shaded, and beneath is a row for every mark. `size` is the width and height, `opacity` that of the
    line, 0 to 1. The line breaks where numbers are missing.
    """
    width, height = size
    lanes = LANE * len(story.marks)
    across = (LEFT / width, (width - LEFT - RIGHT) / width)
    bottom = BELOW + lanes + 4
    figure = plt.figure(figsize=(width / DOTS, height / DOTS), dpi=DOTS)
    axis = figure.add_axes((across[0], bottom / height, across[1], (height - bottom - ABOVE) / height))
    below = figure.add_axes((across[0], BELOW / height, across[1], max(lanes, 1) / height), sharex=axis)
    _draw_scores(axis, story, opacity)
    _draw_marks(below, story)
    for one in (axis, below):
        one.spines[:].set_visible(False)
        one.tick_params(labelsize=8, length=0, colors=SOFT)
    axis.tick_params(labelbottom=False)
    below.annotate(
        "frame", (0, 0), (-5, -3.5), "axes fraction", "offset points", ha="right", va="top", size=8, color=SOFT
    )
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    points = axis.transData.transform(np.column_stack([story.numbers, story.scores.clip(max=story.high)]))
    plt.close(figure)
    return drawn, np.column_stack([points[:, 0], height - points[:, 1]])


def _draw_scores(axis: Axes, story: Story, opacity: float) -> None:
    first, last = int(story.numbers[0]), int(story.numbers[-1])
    room = (story.high - story.low or 1) * 0.06
    axis.set(xlim=(first - 0.5, last + 0.5), ylim=(story.low - room, story.high + room))
    every = np.full(last - first + 1, np.nan)
    every[story.numbers - first] = story.scores.clip(max=story.high)
    # The dots are what is left of a line of one frame.
    axis.plot(np.arange(first, last + 1), every, color=plots.NORMAL, lw=1.6, marker=".", ms=2.5, alpha=opacity)
    for start, end, kind in story.runs():
        axis.axvspan(start - 0.5, end + 0.5, color=plots.ANOMALOUS, alpha=0.25, lw=0)
        axis.text(
            (start + end) / 2, 0.98, kind, transform=axis.get_xaxis_transform(), ha="center", va="top", fontsize=8,
            color=DARK, clip_on=True, parse_math=False,
        )  # fmt: skip
    axis.grid(axis="y", color=GRID, lw=0.8)
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.set_axisbelow(True)


def _draw_marks(axis: Axes, story: Story) -> None:
    """A row for each mark, with a stroke at each frame that has it."""
    axis.set_ylim(len(story.marks) - 0.5, -0.5)
    axis.set_yticks(range(len(story.marks)), [mark.name for mark in story.marks])
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axis.ticklabel_format(axis="x", useOffset=False, style="plain")
    for row, mark in enumerate(story.marks):
        at = story.numbers[mark.frames]
        axis.barh(np.full(len(at), row), 1, 0.7, left=at - 0.5, color=mark.colour, lw=0)
