"""Whether validation ranks candidates as the benchmark does: with intervals over resamples of the clips of both."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from vad import VadError
from vad.evaluation import over_kinds
from vad.evaluation.bootstrap import clip_counts
from vad.evaluation.curves import Ranked, average_precisions

DRAWS = 200
SEED = 82


class Figure(NamedTuple):
    """A figure and its 95 % percentile interval over resamples."""

    value: float
    low: float
    high: float


def aps(frames: pd.DataFrame, prevalence: float, by_kind: bool) -> np.ndarray:
    """AP at `prevalence` of all frames, then of each resample of their clips: (1 + DRAWS,).

    `frames` has video, label, kind and score. `by_kind`: the mean over kinds of event, each against all normal frames;
    a resample without a kind is the mean over the others. The same frames give the same resamples, whatever their
    scores. Raises VadError for fewer than two clips and for one class.
    """
    clips, names = pd.factorize(frames["video"], sort=True)
    labels, scores = frames["label"].to_numpy(), frames["score"].to_numpy()
    if len(names) < 2 or len(set(labels)) < 2:
        raise VadError(f"{len(names)} clips, labels {sorted(set(labels))}: resampling needs two clips and both labels")
    positives, negatives = (np.bincount(clips[labels == label], minlength=len(names)) for label in (1, 0))
    counts, _ = clip_counts(positives, negatives, DRAWS, np.random.default_rng(SEED))
    weights = np.vstack([np.ones(len(labels)), counts[:, clips]])
    kinds = over_kinds.names(labels, frames["kind"].to_numpy()) if by_kind else np.where(labels == 1, "any", "")
    found = []
    for kind in sorted(set(kinds) - {""}):
        rows = (labels == 0) | (kinds == kind)
        ranked = Ranked(labels[rows], scores[rows])
        found.append(average_precisions(ranked, _at(prevalence, weights[:, rows], labels[rows])))
    together = np.array(found)
    there = ~np.isnan(together)
    return np.where(there, together, 0).sum(0) / np.where(there.any(0), there.sum(0), np.nan)


def _at(prevalence: float, weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights (N, T) with positives weighed as the share `prevalence` of each row."""
    result = weights.copy()
    for chosen, share in ((labels == 1, prevalence), (labels == 0, 1 - prevalence)):
        sums = weights[:, chosen].sum(1, keepdims=True)
        result[:, chosen] *= share / np.where(sums > 0, sums, 1)
    return result


def correlation(validation: np.ndarray, benchmark: np.ndarray) -> Figure:
    """Spearman's rank correlation of candidates' AP, (candidates, 1 + DRAWS) each, as `aps` gives them."""
    ranks = [rankdata(values, axis=0) for values in (validation, benchmark)]
    centred = [rank - rank.mean(0) for rank in ranks]
    lengths = np.sqrt((centred[0] ** 2).sum(0) * (centred[1] ** 2).sum(0))
    return _figure((centred[0] * centred[1]).sum(0) / np.where(lengths > 0, lengths, np.nan))


def regret(benchmark: np.ndarray, chosen: int | np.ndarray) -> Figure:
    """By how much the best candidate's AP is above that of `chosen`, one for all resamples or one for each."""
    columns = np.arange(benchmark.shape[1])
    return _figure(benchmark.max(0) - benchmark[chosen, columns])


def own_choice(validation: np.ndarray) -> np.ndarray:
    """The candidate with the highest AP on validation, (1 + DRAWS,), in each resample."""
    return np.nanargmax(validation, axis=0)


def _figure(values: Sequence[float] | np.ndarray) -> Figure:
    first, *others = np.asarray(values, dtype=np.float64)
    low, high = np.nanquantile(others, [0.025, 0.975])
    return Figure(*(round(float(value), 4) for value in (first, low, high)))
