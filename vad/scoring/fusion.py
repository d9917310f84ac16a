"""From the components of a frame to its anomaly score: views, weights, normalisation, gamma, smoothing.

Average Precision looks at the order of the scores alone, so what matters here is what changes the order.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from vad import VadError, registry
from vad.params import Params
from vad.scoring import calibration, smoothing
from vad.storage import tables
from vad.storage.tables import KEYS

UPRIGHT: dict[str, str] = {"identity": "vflip", "vflip": "identity", "hflip": "rot180", "rot180": "hflip"}
"""Of a frame that is flipped top to bottom, the view that shows what a view of the upright frame would."""
NOISY = "noisy"
FUSIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "sum": lambda parts: parts.sum(0),
    "max": lambda parts: parts.max(0),
    "l2": lambda parts: np.sqrt(np.square(parts.clip(min=0)).sum(0)),
}
"""Weighted components (C, T) -> (T,). Under `max` and `l2` what is quiet can't cancel what is loud."""
Reading = Callable[[pd.DataFrame, Params, str, str], np.ndarray]
"""What gives a component (T,), by its name, in a view of a table."""
OVER_VIEWS: Mapping[str, Callable[..., np.ndarray]] = {"mean": np.mean, "min": np.min, "max": np.max}


def anomaly_scores(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Components of frames (columns split, video, frame, components) -> (split, video, frame, score), float64.

    A component `c` is the columns `c/view` of the views in `tta`, or a column `c` that has no views. In order:
    interpolate components at noisy frames, normalise components, gamma on components, weighted fusion, gamma on views,
    mean, min or max over views, normalise the score, gamma on the score, smooth. Raises VadError for an absent
    component.
    """
    return table[KEYS].assign(score=smoothing.smooth(fused(table, params), table, params.aggregate.smooth))


def repaired(table: pd.DataFrame, params: Params, name: str, view: str) -> np.ndarray:
    """A component (T,) in a view, after what `repair` says: of upright frames, without noisy ones."""
    values = component(table, name, view, params.repair.unflip)
    return interpolate(values, table, registry.frames_back(name, params)) if params.repair.interpolate else values


def measured(table: pd.DataFrame, params: Params, name: str, view: str, of: Reading = repaired) -> np.ndarray:
    """A component (T,) in a view as it goes into fusion, its weight apart. `of` gives it as it was measured."""
    values = of(table, params, name, view)
    if params.aggregate.normalise_on == "component":
        values = calibration.normalise(values, table, params.aggregate.normalise)
    return signed_power(values, params.gamma) if params.gamma_on == "component" else values


def fused(table: pd.DataFrame, params: Params, of: Reading = measured) -> np.ndarray:
    """The scores (T,) before they are smoothed. `of` gives a component in a view: who scores often may keep some."""
    aggregate, gamma = params.aggregate, params.gamma
    weights = {name: weight for name, weight in aggregate.weights.items() if weight}
    views = []
    for view in params.tta:
        parts = np.stack([weight * of(table, params, name, view) for name, weight in weights.items()])
        together = FUSIONS[aggregate.fuse](parts)
        views.append(signed_power(together, gamma) if params.gamma_on == "view" else together)
    score = OVER_VIEWS[aggregate.views](views, axis=0)
    if aggregate.normalise_on == "score":
        score = calibration.normalise(score, table, aggregate.normalise)
    return distinct_power(score, gamma) if params.gamma_on == "score" else score


def read(components: Path, diagnosis: Path) -> pd.DataFrame:
    """Every scored frame with all that is known of it: the keys, noisy, and the components of all families.

    `components` holds a table a family, `diagnosis` is the CSV of `diagnose`. Raises VadError when a table is missing
    or of other frames.
    """
    families = [tables.read_components(components / f"{row.name}.npz") for row in registry.FAMILIES if row.code]
    columns = [*KEYS, NOISY, "fold", *registry.maps("diagnosis")]
    return tables.join(scored_frames(tables.read_csv(diagnosis, columns)[columns]), families)


def scored_frames(diagnosed: pd.DataFrame) -> pd.DataFrame:
    """The rows of a diagnosis whose frames get a score, split after split.

    A clip's first frame has the change of the second.
    """
    splits = ("train" if (diagnosed["fold"] >= 0).any() else "holdout", "validation", "test")
    table = pd.concat([diagnosed[diagnosed["split"] == split] for split in splits], ignore_index=True)
    table["change"] = table.groupby(["split", "video"], sort=False)["change"].bfill().fillna(0.0)
    return table


def component(table: pd.DataFrame, name: str, view: str, unflip: bool = False) -> np.ndarray:
    """The values (T,) of a component in a view. Raises VadError when the table lacks it.

    With `unflip`, frames found flipped give what they would if turned upright: the views are a group, so that is
    another of their views, and needs no new inference.
    """
    for column in (f"{name}/{view}", name):
        if column in table:
            values = table[column].to_numpy(np.float64)
            if unflip and column != name:
                upright = table[f"{name}/{UPRIGHT[view]}"].to_numpy(np.float64)
                return np.where(table["flipped"].to_numpy() == 1, upright, values)
            return values
    raise VadError(f"aggregate.weights.{name}: no such component in view {view}; run `dvc repro`")


def interpolate(values: np.ndarray, table: pd.DataFrame, frames_back: int) -> np.ndarray:
    """Values (T,) with those of noisy frames taken from the frames around them, linear in the frame number.

    So are those of the `frames_back` frames after a noisy one, whose component looks at it as well; the first frames
    of a clip look at as many after them instead. At the ends of a clip the nearest stands in; where a clip has no other
    frames, it stays as it is.
    """
    frames, noisy = table["frame"].to_numpy(), table[NOISY].to_numpy() == 1
    result = values.copy()
    for rows in table.groupby(["split", "video"], sort=False).indices.values():
        ordered = np.asarray(rows)[np.argsort(frames[rows])]
        bad: np.ndarray = noisy[ordered]
        for step in range(1, min(frames_back, len(bad) - 1) + 1):
            bad[step:] |= noisy[ordered][:-step]
            first = min(frames_back, len(bad) - step)
            bad[:first] |= noisy[ordered][step : step + first]
        if bad.any() and not bad.all():
            good = ordered[~bad]
            result[ordered[bad]] = np.interp(frames[ordered[bad]], frames[good], values[good])
    return result


def signed_power(values: np.ndarray, gamma: float) -> np.ndarray:
    """Values to the power gamma, keeping their sign."""
    return np.sign(values) * np.abs(values) ** gamma


def distinct_power(values: np.ndarray, gamma: float) -> np.ndarray:
    """Values to the power gamma, keeping their sign and order, and every two different values different.

    A power is monotone and so can't change a ranking, but rounded to doubles it can merge neighbours. Where it
    does, the larger takes the next double up.
    """
    unique, place = np.unique(values, return_inverse=True)
    powers = signed_power(unique, gamma)
    for index in np.flatnonzero(powers[1:] <= powers[:-1]) + 1:
        while index < len(powers) and powers[index] <= powers[index - 1]:
            powers[index] = np.nextafter(powers[index - 1], np.inf)
            index += 1
    return powers[place]
