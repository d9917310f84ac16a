"""Rescaling scores: by what is normal, or, to show the harm, by the very frames that are scored."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd

from vad import VadError

TAIL = 0.05
"""Share of the normal values beyond which their tail is taken for exponential: few values tell what is rarer."""


def normalise(values: np.ndarray, table: pd.DataFrame, how: str) -> np.ndarray:
    """Rescale values (T,) of the frames in `table` (split, video, and fold where there are folds).

    `calibrated`, `calibrated_above`, `calibrated_log` and `calibrated_tail` rescale by normal frames that nothing was
    learned from: those held out, or all of training, scored out of fold. What belongs to a fold is rescaled by the
    other folds. `global`: to 0..1 over each split. `per_video`: to 0..1 over each clip. These two look at the frames
    that they score. `none`: unchanged. Values that are all equal become 0.
    """
    if how == "none":
        return values
    result = np.zeros(len(values))
    if how in CALIBRATIONS:
        for rows, normal in by_others(table):
            if not normal.any():
                raise VadError(f"aggregate.normalise = {how}: there are no held-out frames to calibrate on")
            result[rows] = CALIBRATIONS[how](values[rows], values[normal])
        return result
    groups = table.groupby(["split"] if how == "global" else ["split", "video"], sort=False).indices
    for members in groups.values():
        low, high = values[members].min(), values[members].max()
        result[members] = (values[members] - low) / (high - low) if high > low else 0.0
    return result


def by_others(table: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of a table and the normal rows that they are compared with, both (T,) bool: those of other folds."""
    normal = table["split"].isin(("holdout", "train")).to_numpy()
    fold = table["fold"].to_numpy() if "fold" in table else np.full(len(table), -1)
    for each in np.unique(fold):
        yield fold == each, normal & ((fold != each) | (each < 0))


def z(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Deviations of `values` (T,) from the mean of `normal` (N,), in its standard deviations."""
    deviation = float(normal.std())
    return (values - normal.mean()) / deviation if deviation else np.zeros_like(values)


def z_above(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The same, but 0 below the mean: a low value of one component can't cancel another's high one. Such frames tie."""
    return z(values, normal).clip(min=0)


def log_z(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The same of logarithms, for values from 0 up: residuals and flows are skewed, their logarithms hardly.

    Where normal frames have values below 0, which have no logarithm, it is `z` of the values.
    """
    if normal.min() < 0:
        return z(values, normal)
    floor = 0.01 * float(np.median(normal)) or float(normal.mean()) or 1.0
    return z(np.log(values.clip(min=0) + floor), np.log(normal.clip(min=0) + floor))


def tail(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """-log p of `values` (T,): p is the share of `normal` (N,) that is as large, beyond its top TAIL exponential."""
    ordered = np.sort(normal)
    border = float(np.quantile(ordered, 1 - TAIL))
    above = ordered[ordered > border]
    scale = float((above - border).mean()) if len(above) else 0.0
    larger = len(ordered) - np.searchsorted(ordered, values, side="left")
    empirical = -np.log((larger + 1) / (len(ordered) + 1))
    if not scale:
        return empirical
    beyond = -np.log(TAIL) + (values - border) / scale
    return np.where(values > border, np.maximum(beyond, -np.log(TAIL)), np.minimum(empirical, -np.log(TAIL)))


CALIBRATIONS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "calibrated": z,
    "calibrated_above": z_above,
    "calibrated_log": log_z,
    "calibrated_tail": tail,
}
"""Values (T,) and normal ones (N,) -> rescaled values (T,), higher for more anomalous ones."""
