"""Predict: the predictor on small frames -> how far each is from what the frames before it promise."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.data import clips
from vad.quality import repair
from vad.storage import tables
from vad.storage.progress import progress

if TYPE_CHECKING:
    from vad.models.predictor import Predictor

SCORED = ("holdout", "validation", "test")
CELL = 4
"""Pixels along the side of a cell in frames of SIDE pixels; in proportion at other sizes."""
SIDE = 128


def main(weights: Path, resized: Path, diagnosis: Path, components: Path) -> None:
    settings = params.load(PARAMS)
    if not settings.predict.enabled:
        keys = [clips.keys(split, [clip]) for split in SCORED for clip in clips.open_resized(resized, split)]
        tables.write_components(components, pd.concat(keys))
        return
    from vad.models import predictor

    diagnosed = tables.read_csv(diagnosis, repair.COLUMNS)
    upright = {split: read(resized, split, diagnosed, settings.repair.unflip) for split in SCORED}
    tables.write_components(components, scored(predictor.load(weights), upright, settings.predict.batch_size))


def read(resized: Path, split: str, diagnosed: pd.DataFrame, unflip: bool) -> list[clips.Clip]:
    """The resized clips of a split; with `unflip` those of its frames that were found flipped are turned upright."""
    found = clips.open_resized(resized, split)
    return [repair.repaired(clip, repair.found_in(diagnosed, split, clip), unflip=unflip) for clip in found]


def scored(model: "Predictor", upright: dict[str, list[clips.Clip]], batch_size: int) -> pd.DataFrame:
    """The keys and prediction_POOL for every one of pooling.POOLS, of every frame of `upright`, split after split."""
    from vad.components.pooling import Places, pool_by_others

    cells = {
        split: [cells_of(model, clip, batch_size) for clip in progress(found, f"scoring {split}")]
        for split, found in upright.items()
    }
    # Held-out frames, not those of training: the network has made its errors on these small, most of all where
    # something moved in them, and on that scale any other frame would look strange.
    places = Places([frame for clip in cells["holdout"] for frame in clip])
    pooled = pool_by_others(cells["holdout"])
    pooled += [places.pool(frame) for split in SCORED[1:] for clip in cells[split] for frame in clip]
    keys = [clips.keys(split, [clip]) for split, found in upright.items() for clip in found]
    return pd.concat([pd.concat(keys, ignore_index=True), pd.DataFrame(pooled).add_prefix("prediction_")], axis=1)


def cells_of(model: "Predictor", clip: clips.Clip, batch_size: int) -> list[np.ndarray]:
    """The cells (h, w) of each frame's error, in order."""
    from vad.components.pooling import to_cells
    from vad.models import predictor, runtime

    # A Fabric of its own: scores are float32 whatever the training's precision.
    errors = predictor.errors(runtime.fabric(), model, clip, batch_size)
    return [to_cells(error, max(1, len(error) * CELL // SIDE)) for error in errors]


if __name__ == "__main__":
    run(main)
