"""From the components of a frame to its anomaly score: views, weights, normalisation, gamma, smoothing.

Average Precision looks at the order of the scores alone, so what matters here is what changes the order.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from vad import VadError
from vad.params import MEASURED, Component, Params, View
from vad.scoring import calibration, smoothing
from vad.storage.tables import KEYS

UPRIGHT: dict[View, View] = {"identity": "vflip", "vflip": "identity", "hflip": "rot180", "rot180": "hflip"}
"""Of a frame that is flipped top to bottom, the view that shows what a view of the upright frame would."""
STATIC = "static"
OF_TWO_FRAMES = ("change", "difference", "flow", "direction", "prediction")
"""Families of components of a frame and the one before it: static on that one is in them as well."""
OVER_VIEWS: Mapping[str, Callable[..., np.ndarray]] = {"mean": np.mean, "min": np.min, "max": np.max}


def anomaly_scores(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Components of frames (columns split, video, frame, components) -> (split, video, frame, score), float64.

    A component `c` is the columns `c/view` of the views in `tta`, or a column `c` that has no views. In order:
    interpolate components at static frames, normalise components, gamma on components, weighted sum, gamma on views,
    mean, min or max over views, normalise the score, gamma on the score, smooth. Raises VadError for an absent
    component.
    """
    aggregate, gamma = params.aggregate, params.gamma
    views = []
    for view in params.tta:
        fused = np.zeros(len(table))
        for name, weight in aggregate.weights.items():
            values = component(table, name, view, params.repair.unflip)
            if params.repair.interpolate:
                values = interpolate(values, table, of_two_frames=of_two_frames(name, params))
            if aggregate.normalise_on == "component":
                values = calibration.normalise(values, table, aggregate.normalise)
            if params.gamma_on == "component":
                values = signed_power(values, gamma)
            fused += weight * values
        views.append(signed_power(fused, gamma) if params.gamma_on == "view" else fused)
    score = OVER_VIEWS[aggregate.views](views, axis=0)
    if aggregate.normalise_on == "score":
        score = calibration.normalise(score, table, aggregate.normalise)
    if params.gamma_on == "score":
        score = distinct_power(score, gamma)
    return table[KEYS].assign(score=smoothing.smooth(score, table, aggregate.smooth))


def with_diagnosis(components: pd.DataFrame, diagnosed: pd.DataFrame) -> pd.DataFrame:
    """Components of frames with the columns flipped, static, noise and change of their diagnosis (T,) beside them.

    A clip's first frame has the change of the second. Raises VadError for a frame that was not diagnosed.
    """
    table = components.merge(diagnosed[[*KEYS, STATIC, *MEASURED]], on=KEYS, how="left", validate="one_to_one")
    unknown = table[table["flipped"].isna()]
    if len(unknown):
        row = unknown.iloc[0]
        raise VadError(
            f"diagnosis: no row for {row['split']} clip {row['video']} frame {row['frame']}; run `dvc repro diagnose`"
        )
    table["change"] = table.groupby(["split", "video"], sort=False)["change"].bfill().fillna(0.0)
    return table


def component(table: pd.DataFrame, name: str, view: View, unflip: bool = False) -> np.ndarray:
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
    raise VadError(f"aggregate.weights.{name}: no such component in view {view}; run `dvc repro -f infer`")


def of_two_frames(name: Component, params: Params) -> bool:
    """Whether a component looks at the frame before as well: a memory does if its network does."""
    family = name.split("_")[0]
    return family in OF_TWO_FRAMES or (family == "memory" and params.memory.features == "predictor")


def interpolate(values: np.ndarray, table: pd.DataFrame, of_two_frames: bool) -> np.ndarray:
    """Values (T,) with those of static frames taken from the frames around them, linear in the frame number.

    With `of_two_frames`, so are those of the frame after a static one. At the ends of a clip the nearest stands in;
    a clip that is static throughout stays as it is.
    """
    frames, static = table["frame"].to_numpy(), table[STATIC].to_numpy() == 1
    result = values.copy()
    for rows in table.groupby(["split", "video"], sort=False).indices.values():
        ordered = np.asarray(rows)[np.argsort(frames[rows])]
        bad: np.ndarray = static[ordered]
        if of_two_frames:
            bad = bad | np.concatenate([[False], bad[:-1]])
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
    for index in range(1, len(powers)):
        if powers[index] <= powers[index - 1]:
            powers[index] = np.nextafter(powers[index - 1], np.inf)
    return powers[place]
