"""Temporal smoothing of the scores of a clip, by frame number: clips have gaps."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from vad.params import Smooth


def smooth(scores: np.ndarray, table: pd.DataFrame, params: Smooth) -> np.ndarray:
    """Smooth scores (T,), or each column of (T, N), within each clip of `table`, never across clips."""
    methods: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "gaussian": partial(gaussian_smooth, sigma=params.sigma),
        "median": partial(median_smooth, window=params.window),
        "ema": partial(ema_smooth, alpha=params.alpha),
    }
    if params.method == "none":
        return scores
    frames = table["frame"].to_numpy()
    result = np.empty_like(scores)
    for rows in table.groupby(["split", "video"], sort=False).indices.values():
        ordered = rows[np.argsort(frames[rows])]
        result[ordered] = methods[params.method](scores[ordered], frames[ordered])
    return result


def gaussian_smooth(scores: np.ndarray, frames: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean over a clip's scores (T,) or (T, N) at frame numbers (T,), ascending; `sigma` in frames.

    Missing frames weigh nothing; the weights of those that are there sum to 1. Cut off at four sigma.
    """
    total, weight = np.zeros(scores.shape), np.zeros(len(scores))
    for offset, there, place in _neighbours(frames, int(4 * sigma)):
        factor = np.exp(-0.5 * (offset / sigma) ** 2)
        total[there] += factor * scores[place]
        weight[there] += factor
    return (total.T / weight).T


def median_smooth(scores: np.ndarray, frames: np.ndarray, window: int) -> np.ndarray:
    """Median over the frames within `window` // 2 numbers of each: scores (T,) or (T, N), frames (T,), ascending."""
    shifted = []
    for _, there, place in _neighbours(frames, window // 2):
        values = np.full(scores.shape, np.nan)
        values[there] = scores[place]
        shifted.append(values)
    return np.nanmedian(shifted, axis=0)


def ema_smooth(scores: np.ndarray, frames: np.ndarray, alpha: float) -> np.ndarray:
    """Exponential moving average of scores (T,) or (T, N) at frames (T,), in time; `alpha` weighs the newest frame.

    Over a gap of n frames what came before fades n times.
    """
    result = scores.astype(np.float64)
    for index in range(1, len(scores)):
        faded = (1 - alpha) ** float(frames[index] - frames[index - 1])
        result[index] = faded * result[index - 1] + (1 - faded) * scores[index]
    return result


def _neighbours(frames: np.ndarray, reach: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each offset up to `reach`: the rows whose frame number + offset is there as well, and the rows of those."""
    for offset in range(-reach, reach + 1):
        wanted = frames + offset
        place = np.minimum(np.searchsorted(frames, wanted), len(frames) - 1)
        there = np.flatnonzero(frames[place] == wanted)
        yield offset, there, place[there]
