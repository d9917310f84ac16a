"""Predict: small frames -> how far each is from what a network, trained here, predicts from those before it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stages import PARAMS, run
from vad import clips, files, params, repair, tables
from vad.progress import progress

if TYPE_CHECKING:
    from vad.prediction import Predictor

SCORED = ("holdout", "validation", "test")
CELL = 4
"""Pixels along the side of a cell in frames of SIDE pixels; in proportion at other sizes."""
SIDE = 128


def main(resized: Path, diagnosis: Path, weights: Path, components: Path, metrics: Path) -> None:
    settings = params.load(PARAMS)
    if not settings.predict.enabled:
        keys = [clips.keys(split, [clip]) for split in SCORED for clip in clips.open_resized(resized, split)]
        tables.write_components(components, pd.concat(keys))
        files.write_text(weights, "")
        files.write_json(metrics, {"enabled": False})
        return
    diagnosed = tables.read_csv(diagnosis, repair.COLUMNS)
    upright = {split: read(resized, split, diagnosed, settings.repair.unflip) for split in ("train", *SCORED)}
    model, figures = trained(upright, settings, weights)
    tables.write_components(components, scored(model, {split: upright[split] for split in SCORED}, settings.predict))
    files.write_json(metrics, {"enabled": True, **figures})


def read(resized: Path, split: str, diagnosed: pd.DataFrame, unflip: bool) -> list[clips.Clip]:
    """The resized clips of a split; with `unflip` those of its frames that were found flipped are turned upright."""
    found = clips.open_resized(resized, split)
    return [repair.repaired(clip, repair.found_in(diagnosed, split, clip), unflip=unflip) for clip in found]


def trained(
    upright: dict[str, list[clips.Clip]], settings: params.Params, weights: Path
) -> tuple["Predictor", dict[str, Any]]:
    """The network, trained on split `train` and written to `weights`, and the figures of its training."""
    from vad import prediction, runtime

    runtime.seed(settings.seed)
    model = prediction.Predictor(settings.predict.history)
    fabric = runtime.fabric(settings.predict.precision)
    history = prediction.fit(fabric, model, upright["train"], upright["holdout"], settings.predict)
    prediction.save(model, weights, {"predict": settings.predict.model_dump(mode="json"), "seed": settings.seed})
    best = prediction.best_epoch(history)
    figures = {
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "windows": len(prediction.windows(upright["train"], settings.predict.history, "train")),
        "epochs": int(history["epoch"].iloc[-1]),
        "steps": int(history["steps"].iloc[-1]),
        "best_epoch": best,
        "holdout": round(history["holdout"].iloc[best], 6),
        "holdout_of_copying": round(history["holdout"].iloc[0], 6),
        "loss": {part: history[part].iloc[1:].round(6).tolist() for part in ("train", "holdout")},
    }
    return model, figures


def scored(model: "Predictor", upright: dict[str, list[clips.Clip]], predict: params.Predict) -> pd.DataFrame:
    """The keys and prediction_mean, _max, _top and _local of every frame of `upright`, split after split."""
    from vad.pooling import Places, blocks

    cells = {
        split: [cells_of(model, clip, predict) for clip in progress(found, f"scoring {split}")]
        for split, found in upright.items()
    }
    # Held-out frames, not those of training: the network has made its errors on these small, most of all where
    # something moved in them, and on that scale any other frame would look strange.
    places = Places([blocks(frame) for clip in cells["holdout"] for frame in clip])
    parts = []
    for split, found in upright.items():
        for clip, frames in zip(found, cells[split], strict=True):
            pooled = pd.DataFrame([places.pool(frame) for frame in frames]).add_prefix("prediction_")
            parts.append(pd.concat([clips.keys(split, [clip]), pooled], axis=1))
    return pd.concat(parts, ignore_index=True)


def cells_of(model: "Predictor", clip: clips.Clip, predict: params.Predict) -> list[np.ndarray]:
    """The cells (h, w) of each frame's error, in order."""
    from vad import prediction, runtime
    from vad.pooling import to_cells

    # A Fabric of its own: scores are float32 whatever the training's precision.
    errors = prediction.errors(runtime.fabric(), model, clip, predict)
    return [to_cells(error, max(1, len(error) * CELL // SIDE)) for error in errors]


if __name__ == "__main__":
    run(main)
