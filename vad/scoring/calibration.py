"""Rescaling scores: by what is normal, or, to show the harm, by the very frames that are scored."""

import numpy as np
import pandas as pd

from vad import VadError


def normalise(values: np.ndarray, table: pd.DataFrame, how: str) -> np.ndarray:
    """Rescale values (T,) of the frames in `table`.

    `global`: to 0..1 over each split. `per_video`: to 0..1 over each clip. `calibrated`: to zero mean and unit
    deviation over the untouched held-out normal frames. `calibrated_above`: the same, with 0 for what is below that
    mean, so that one component's quiet can't cancel another's alarm; frames whose score is 0 tie. `none`: unchanged.
    The first two look at the frames that they score. Values that are all equal become 0.
    """
    if how == "none":
        return values
    if how in ("calibrated", "calibrated_above"):
        normal = values[(table["split"] == "holdout").to_numpy()]
        if not len(normal):
            raise VadError(f"aggregate.normalise = {how}: there are no held-out frames to calibrate on")
        deviation = float(normal.std())
        distances = (values - normal.mean()) / deviation if deviation else np.zeros_like(values)
        return distances.clip(min=0) if how == "calibrated_above" else distances
    groups = table.groupby(["split"] if how == "global" else ["split", "video"], sort=False).indices
    result = np.empty_like(values)
    for rows in groups.values():
        low, high = values[rows].min(), values[rows].max()
        result[rows] = (values[rows] - low) / (high - low) if high > low else 0.0
    return result
