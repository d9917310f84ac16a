"""Prediction: how far each frame is from what a network predicts from the frames before it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vad.components import out_of_fold, pooling
from vad.components.out_of_fold import Part
from vad.data.clips import Clip
from vad.models import predictor, runtime
from vad.params import Params
from vad.quality import reading, repair
from vad.storage import store, tables
from vad.storage.store import Store

CELL = 4
"""Pixels along the side of a cell in frames of SIDE pixels; in proportion at other sizes."""
SIDE = 128


def measure(settings: Params, kept: Store, weights: Path, halves: Path, resized: Path, diagnosis: Path) -> pd.DataFrame:
    """The keys and prediction_POOL for every one of pooling.POOLS, of every scored frame.

    `weights` are the predictor's, in `halves` those of the halves; `resized` holds a folder a split. Raises VadError
    for a file that is none of it.
    """
    networks = out_of_fold.Weights(weights, halves)
    diagnosed = repair.Diagnosis(tables.read_csv(diagnosis, repair.COLUMNS))
    folds = out_of_fold.folds_in(resized)
    splits = out_of_fold.scored_splits(folds)
    seen = {split: reading.resized(resized, split, diagnosed, settings.repair) for split in splits}

    def learn(part: Part[Clip]) -> tuple[Any, Callable[[Clip], store.Arrays]]:
        path = networks.of(part.fold)
        model = predictor.load(path)
        return store.digest_of_file(path), lambda clip: {
            "cells": np.stack(cells_of(model, clip, settings.predict.batch_size))
        }

    parts = out_of_fold.parts([], seen, out_of_fold.halves(folds))
    found = out_of_fold.measured(kept, "prediction", parts, learn)
    return pooling.table({key: arrays["cells"] for key, arrays in found.items()}, seen, "prediction", folds)


def cells_of(model: predictor.Predictor, clip: Clip, batch_size: int) -> list[np.ndarray]:
    """The cells (h, w) of each frame's error, in order."""
    # A Fabric of its own: scores are float32 whatever the training's precision.
    errors = predictor.errors(runtime.fabric(), model, clip, batch_size)
    return [pooling.to_cells(error, max(1, len(error) * CELL // SIDE)) for error in errors]
