"""How often do 95 % intervals of a difference in AP hold the truth, with few source videos? A simulation.

    python -m experiments.coverage

Writes its table into docs/METHODS.md. Made-up videos stand for real ones: frames resemble their neighbours, videos
differ in level and in how well their event is seen, and two rankings share most of their errors.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from experiments.markdown import between, table
from vad.evaluation.bootstrap import clip_counts
from vad.evaluation.curves import Ranked, ap_at_prevalence
from vad.storage import files

PAGE = Path(__file__).parents[1] / "docs" / "METHODS.md"
MARK = "<!-- made by experiments/coverage.py -->"
PREVALENCE = 0.2456
FRAMES = 30
VIDEOS = (6, 12, 18, 40)
SHARES = {"every video holds an event": 1.0, "half of the videos do": 0.5}
SAMPLES, DRAWS, SEED = 400, 400, 82
LEVELS = [0.025, 0.975]
METHODS = ("percentile", "BCa", "bootstrap-t", "symmetric bootstrap-t", "Student's, bootstrap error")


def videos(count: int, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two rankings' scores of made-up videos, (count, FRAMES) each; a `share` of them holds an event."""
    starts, lengths = rng.integers(0, FRAMES // 2, count), rng.integers(6, FRAMES // 2, count)
    place = np.arange(FRAMES)
    inside = (place >= starts[:, None]) & (place < (starts + lengths)[:, None])
    labels = (inside & (np.arange(count) < max(2, round(share * count)))[:, None]).astype(int)
    slow = rng.normal(size=(2, count, FRAMES))
    for frame in range(1, FRAMES):
        slow[..., frame] = 0.8 * slow[..., frame - 1] + 0.6 * slow[..., frame]
    seen = np.maximum(rng.normal(1.2, 0.8, (count, 1)), 0)
    first = rng.normal(0, 0.7, (count, 1)) + slow[0] + seen * labels
    # How much the second ranking gains or loses differs from video to video, and not symmetrically.
    second = 0.8 * first + 0.4 * slow[1] + rng.normal(0, 0.4, (count, 1)) + rng.gamma(1, 0.3, (count, 1)) * labels
    return labels, first, second


class Difference:
    """AP of a second ranking minus that of a first, as a function of how much each video weighs."""

    def __init__(self, labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        members = np.repeat(np.eye(len(labels)), FRAMES, axis=0)
        self.sides = []
        for scores in (second, first):
            ranked = Ranked(labels.ravel(), scores.ravel())
            own, positive = members[ranked.order], ranked.positive[:, None]
            self.sides.append((np.cumsum(own * positive, axis=0), np.cumsum(own * ~positive, axis=0)))

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights (B, videos) -> differences (B,) and their derivatives by the weights (B, videos)."""
        (value, slope), (before, slope_before) = (_weighed(*side, weights) for side in self.sides)
        return value - before, slope - slope_before


def _weighed(positives: np.ndarray, negatives: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AP (B,) and derivatives (B, videos) from each video's frames at or above each threshold, (thresholds, videos)."""
    above, below = positives @ weights.T, negatives @ weights.T
    recall, fall_out = above / above[-1], below / below[-1]
    mixed = np.maximum(PREVALENCE * recall + (1 - PREVALENCE) * fall_out, 1e-100)  # 0 until the first frame that weighs
    precision = PREVALENCE * recall / mixed
    gained = np.diff(recall, axis=0, prepend=0.0)
    bent = PREVALENCE * (1 - PREVALENCE) * gained / mixed**2
    # Abel summation: recall gained times precision is recall times the precision lost at the next step.
    by_recall, by_fall_out = bent * fall_out - np.diff(precision, axis=0, append=0.0), -bent * recall
    slope = np.zeros(weights.shape)
    for by, rate, counts in ((by_recall, recall, positives), (by_fall_out, fall_out, negatives)):
        total = counts[-1] @ weights.T
        slope += (by.T @ counts - (by * rate).sum(0)[:, None] * counts[-1]) / total[:, None]
    return (gained * precision).sum(0), slope


def intervals(labels: np.ndarray, difference: Difference, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Method of METHODS -> the 95 % interval that it gives of a difference."""
    count = len(labels)
    weights, _ = clip_counts(labels.sum(1), FRAMES - labels.sum(1), DRAWS, rng)
    values, slopes = difference(weights.astype(float))
    (value,), (slope,) = difference(np.ones((1, count)))
    # The infinitesimal jackknife's error: Efron, The jackknife, the bootstrap and other resampling plans, 1982.
    less = count / (count - 1)
    error, errors = np.sqrt(less * (slope**2).sum()), np.sqrt(less * (weights * slopes**2).sum(1))
    ratios = (values - value)[errors > 0] / errors[errors > 0]
    high, low = np.quantile(ratios, LEVELS)[::-1]
    symmetric = np.quantile(np.abs(ratios), 0.95)
    half = stats.t.ppf(LEVELS[1], count - 1) * values.std(ddof=1) * np.sqrt(less)
    return dict(zip(METHODS, (
        tuple(np.quantile(values, LEVELS)),
        tuple(np.quantile(values, _corrected(values, value, slope))),
        (value - high * error, value - low * error),
        (value - symmetric * error, value + symmetric * error),
        (value - half, value + half),
    ), strict=True))  # fmt: skip


def _corrected(values: np.ndarray, value: float, slope: np.ndarray) -> np.ndarray:
    """The quantiles of BCa, bias-corrected and accelerated: Efron, Better bootstrap confidence intervals, 1987."""
    bias = stats.norm.ppf(np.clip((values < value).mean(), 1 / len(values), 1 - 1 / len(values)))
    acceleration = (slope**3).sum() / (6 * (slope**2).sum() ** 1.5)
    shifted = bias + stats.norm.ppf(LEVELS)
    return np.asarray(stats.norm.cdf(bias + shifted / (1 - acceleration * shifted)))


def coverage(
    count: int, share: float, truth: float, samples: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Of so many samples of `count` videos: the share of intervals that hold `truth`, and their median length."""
    held: dict[str, list[bool]] = {name: [] for name in METHODS}
    lengths: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(samples):
        labels, first, second = videos(count, share, rng)
        for name, (low, high) in intervals(labels, Difference(labels, first, second), rng).items():
            held[name].append(bool(low <= truth <= high))
            lengths[name].append(high - low)
    return {name: (float(np.mean(held[name])), float(np.median(lengths[name]))) for name in METHODS}


def truth_of(share: float, rng: np.random.Generator) -> float:
    """The difference in AP over all videos there could be: the mean of eight sets of 2,000."""
    found = []
    for _ in range(8):
        labels, first, second = (part.ravel() for part in videos(2000, share, rng))
        found.append(ap_at_prevalence(labels, second, PREVALENCE) - ap_at_prevalence(labels, first, PREVALENCE))
    return float(np.mean(found))


def tabulate(samples: int = SAMPLES, counts: tuple[int, ...] = VIDEOS, say: Callable[[str], None] = print) -> str:
    """The table as Markdown: by method and number of videos the coverage and the median length."""
    rows = []
    for says, share in SHARES.items():
        truth = truth_of(share, np.random.default_rng(SEED))
        by_count = {}
        for count in counts:
            # A cell does not depend on which others are computed.
            by_count[count] = coverage(count, share, truth, samples, np.random.default_rng([SEED, count]))
            say(f"{says}, {count} videos")
        for name in METHODS:
            cells = [f"{by_count[count][name][0]:.1%}, {by_count[count][name][1]:.3f}" for count in counts]
            rows.append([f"{says} ({truth:+.3f})", name, *cells])
    return table(["videos, true difference", "interval", *(f"{count}: coverage, length" for count in counts)], rows)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    made = tabulate()
    files.write_text(PAGE, between(PAGE.read_text(encoding="utf-8"), MARK, made))
