"""Infer: the autoencoder on every view of every frame -> its reconstruction errors, everything a score could want."""

from pathlib import Path

import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.components import reconstruction
from vad.data import clips
from vad.models import autoencoder, inference, runtime
from vad.storage import needs, tables
from vad.storage.progress import over_clips


def main(needed: Path, weights: Path, resized: Path, components: Path) -> None:
    if not needs.read(needed):
        tables.write_components(components, tables.empty())
        return
    precision = params.load(PARAMS).infer.precision
    fabric = runtime.fabric(precision)
    model = inference.prepared(fabric, autoencoder.load(weights), precision)
    tables_by_clip = []
    for split in tables.SCORED:
        for clip in over_clips(clips.open_resized(resized, split), f"scoring {split}"):
            columns = reconstruction.score(fabric, model, clip)
            tables_by_clip.append(pd.concat([clips.keys(split, [clip]), columns], axis=1))
    tables.write_components(components, pd.concat(tables_by_clip))


if __name__ == "__main__":
    run(main)
