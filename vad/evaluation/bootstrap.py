"""How far figures would move with other clips: bootstrap over whole clips, as frames of a clip resemble each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

DESCRIPTIVE_BELOW = 10
"""With fewer clips than this an interval describes the clips at hand and promises nothing about others."""


@dataclass(frozen=True)
class Bootstrap:
    """The result of a bootstrap over clips."""

    values: pd.DataFrame
    """One row a draw, one column a statistic; no rows where no interval can be given."""
    redrawn: int
    """Draws that held one class only and were drawn again."""
    descriptive: bool
    """Fewer than ten clips."""

    def interval(self, name: str) -> tuple[float, float]:
        """The 95 % percentile interval (low, high) of a statistic; NaN twice where there were no draws."""
        if self.values.empty:
            return float("nan"), float("nan")
        low, high = np.quantile(self.values[name].to_numpy(), [0.025, 0.975])
        return float(low), float(high)


def bootstrap_clips(
    table: pd.DataFrame, statistics: Callable[[np.ndarray], Mapping[str, float]], draws: int, seed: int
) -> Bootstrap:
    """Statistics of frames (columns video, label) over `draws` resamples of their clips, each clip whole.

    `statistics` gets how often each row of `table` was drawn, (T,) float64, and returns named figures: it can sort
    the scores once, before, and two rankings compared inside it are compared on the same clips. There are no draws
    for a single clip and for data of one class. Same seed, same draws, in whatever order the rows are.
    """
    clips, names = pd.factorize(table["video"], sort=True)
    labels = table["label"].to_numpy()
    positives = np.bincount(clips[labels == 1], minlength=len(names))
    negatives = np.bincount(clips[labels == 0], minlength=len(names))
    counts, redrawn = clip_counts(positives, negatives, draws, np.random.default_rng(seed))
    values = pd.DataFrame([statistics(count[clips]) for count in counts.astype(np.float64)])
    return Bootstrap(values, redrawn, len(names) < DESCRIPTIVE_BELOW)


def clip_counts(
    positives: np.ndarray, negatives: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """How often each clip is in each of `draws` resamples, (draws, clips) int64, and how many were drawn again.

    `positives` and `negatives` (clips,) count each clip's frames. A draw without both classes is drawn again. No
    rows for fewer than two clips and for data of one class.
    """
    clips = len(positives)
    if clips < 2 or not positives.any() or not negatives.any():
        return np.empty((0, clips), np.int64), 0
    counts = np.empty((0, clips), np.int64)
    redrawn = 0
    # No cap is needed: whatever the clips, at least half of all draws hold both classes.
    while missing := draws - len(counts):
        drawn = rng.multinomial(clips, np.full(clips, 1 / clips), size=missing)
        both = (drawn @ positives > 0) & (drawn @ negatives > 0)
        counts = np.concatenate([counts, drawn[both]])
        redrawn += missing - int(both.sum())
    return counts, redrawn
