"""Precision, recall and the areas under their curves: AP and AUROC of labels against scores, ties and weights included.

Labels are 1 for an anomalous frame and 0 for a normal one; of scores only the order matters. A figure that one class
alone can't give is NaN.
"""

import math
from typing import NamedTuple

import numpy as np


def _steps(sums: np.ndarray) -> np.ndarray:
    """What each of the growing sums (..., K) adds to the one before; `np.diff` takes five times as long."""
    result = sums.copy()
    result[..., 1:] -= sums[..., :-1]
    return result


class Counts(NamedTuple):
    """Weight of the frames at or above each distinct threshold, falling thresholds, (K,) each."""

    positives: np.ndarray
    negatives: np.ndarray

    def one_class(self) -> bool:
        """Whether either class has no weight at all."""
        return not len(self.positives) or not self.positives[-1] > 0 or not self.negatives[-1] > 0

    def precision(self) -> np.ndarray:
        """Precision (K,) at each threshold; 0 where nothing has any weight yet."""
        return self.positives / np.maximum(self.positives + self.negatives, np.finfo(np.float64).tiny)

    def average_precision(self) -> float:
        """Sum over thresholds of the recall gained times the precision there."""
        if self.one_class():
            return math.nan
        return float(_steps(self.positives) @ self.precision() / self.positives[-1])

    def auroc(self) -> float:
        """Area under the ROC curve."""
        if self.one_class():
            return math.nan
        # Half of the tied positives count as ranked above: the middle rank.
        above = self.positives - _steps(self.positives) / 2
        return float(_steps(self.negatives) @ above / (self.positives[-1] * self.negatives[-1]))

    def at_prevalence(self, prevalence: float) -> "Counts":
        """The same frames, each class weighed so that positives are the share `prevalence` of all."""
        if self.one_class():
            return self
        return Counts(
            self.positives * (prevalence / self.positives[-1]), self.negatives * ((1 - prevalence) / self.negatives[-1])
        )


class Ranked:
    """Frames sorted by falling score, once, to be weighed as often as needed: labels (T,), scores (T,).

    Raises ValueError for lengths that differ, a label other than 0 or 1, a score that is not finite.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray) -> None:
        labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
        if labels.ndim != 1 or labels.shape != scores.shape:
            raise ValueError(f"labels {labels.shape} and scores {scores.shape} must be of one length")
        if not ((labels == 0) | (labels == 1)).all():
            raise ValueError("labels must be 0 or 1")
        if not np.isfinite(scores).all():
            raise ValueError("scores must be finite")
        # Not a stable sort, which takes twice as long: within a tie the order makes no difference.
        self.order = np.argsort(-scores)
        ranked = scores[self.order]
        last = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
        # Frames of equal score are one group: a threshold takes all of them or none.
        self.ends = np.flatnonzero(last)
        self.thresholds = ranked[self.ends]
        self.positive = (labels == 1)[self.order]

    def counts(self, weights: np.ndarray | None = None) -> Counts:
        """What lies at or above each threshold when the frames weigh `weights` (T,) >= 0, or 1 each.

        Raises ValueError for weights of another length, negative or not finite.
        """
        if weights is None:
            positives = np.cumsum(self.positive, dtype=np.float64)[self.ends]
            return Counts(positives, self.ends + 1 - positives)
        if weights.shape != self.order.shape or not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(f"weights must be {len(self.order)} finite numbers of at least 0")
        weight = weights[self.order]
        return Counts(np.cumsum(weight * self.positive)[self.ends], np.cumsum(weight * ~self.positive)[self.ends])


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Average Precision of labels (T,), scores (T,) and optional weights (T,) >= 0, in 0..1; NaN for one class.

    Sum over distinct thresholds of the recall gained times the precision there, as scikit-learn defines it. Raises
    ValueError as `Ranked` does.
    """
    return Ranked(labels, scores).counts(weights).average_precision()


def average_precisions(ranked: Ranked, weights: np.ndarray) -> np.ndarray:
    """Average Precision of one ranking under each of several weightings (N, T) >= 0: (N,), NaN for one class."""
    weight = weights[:, ranked.order]
    counts = Counts(*(np.cumsum(weight * kind, axis=1)[:, ranked.ends] for kind in (ranked.positive, ~ranked.positive)))
    both = (counts.positives[:, -1] > 0) & (counts.negatives[:, -1] > 0)
    gained = _steps(counts.positives) * counts.precision()
    return np.where(both, gained.sum(1) / np.where(both, counts.positives[:, -1], 1.0), math.nan)


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of labels (T,) and scores (T,), in 0..1; NaN for one class.

    The odds that an anomalous frame scores above a normal one, ties counted as half. Raises ValueError as `Ranked`
    does.
    """
    return Ranked(labels, scores).counts().auroc()


def prevalence_weights(labels: np.ndarray, prevalence: float) -> np.ndarray:
    """Weights (T,) of frames under which the anomalous ones are the share `prevalence` (0..1) of all.

    prevalence / P for each of P positives, (1 - prevalence) / N for each of N negatives. Equalises the base rate,
    not the difficulty: what is easy to rank stays easy at any prevalence. Raises ValueError outside 0..1.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence {prevalence} must lie between 0 and 1")
    positive = np.asarray(labels) == 1
    positives = int(positive.sum())
    negatives = len(positive) - positives
    return np.where(positive, prevalence / max(positives, 1), (1 - prevalence) / max(negatives, 1))


def ap_at_prevalence(labels: np.ndarray, scores: np.ndarray, prevalence: float) -> float:
    """Average Precision under `prevalence_weights`: on the base rate of other data, for comparing across data sets.

    It equalises the base rate, not the difficulty.
    """
    return average_precision(labels, scores, prevalence_weights(labels, prevalence))


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall (NaN without positives) and threshold at each distinct score, falling; each (K,)."""
    ranked = Ranked(labels, scores)
    counts = ranked.counts()
    total = counts.positives[-1] if ranked.positive.any() else math.nan
    return counts.precision(), counts.positives / total, ranked.thresholds


def ap_contributions(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """What each frame adds to the Average Precision, (T,): they sum to it. 0 for normal frames; NaN for one class.

    An anomalous frame adds the precision at its rank, divided by the number of anomalous frames.
    """
    ranked = Ranked(labels, scores)
    counts = ranked.counts()
    if counts.one_class():
        return np.full(len(labels), math.nan)
    result = np.empty(len(labels))
    result[ranked.order] = (
        ranked.positive * np.repeat(counts.precision(), np.diff(ranked.ends, prepend=-1)) / counts.positives[-1]
    )
    return result
