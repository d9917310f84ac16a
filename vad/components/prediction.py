"""Prediction: how far each frame is from what a network predicts from the frames before it."""

from pathlib import Path

import numpy as np
import pandas as pd

from vad.components import pooling
from vad.data.clips import Clip
from vad.models import predictor, runtime
from vad.params import Params
from vad.quality import reading, repair
from vad.storage import store, tables
from vad.storage.store import Store

CELL = 4
"""Pixels along the side of a cell in frames of SIDE pixels; in proportion at other sizes."""
SIDE = 128


def measure(settings: Params, kept: Store, weights: Path, resized: Path, diagnosis: Path) -> pd.DataFrame:
    """The keys and prediction_POOL for every one of pooling.POOLS, of every scored frame.

    `weights` are the predictor's; `resized` holds a folder a split. Raises VadError for a file that is none of it.
    """
    diagnosed = tables.read_csv(diagnosis, repair.COLUMNS)
    model = predictor.load(weights)
    seen = {split: reading.resized(resized, split, diagnosed, settings.repair) for split in tables.SCORED}
    size = settings.predict.batch_size
    origin = store.digest_of_file(weights)
    cells = pooling.cells_of_clips(kept, seen, "prediction", origin, lambda clip: cells_of(model, clip, size))
    return pooling.table(cells, seen, "prediction")


def cells_of(model: predictor.Predictor, clip: Clip, batch_size: int) -> list[np.ndarray]:
    """The cells (h, w) of each frame's error, in order."""
    # A Fabric of its own: scores are float32 whatever the training's precision.
    errors = predictor.errors(runtime.fabric(), model, clip, batch_size)
    return [pooling.to_cells(error, max(1, len(error) * CELL // SIDE)) for error in errors]
