"""Infer: the autoencoder on every view of every frame -> its reconstruction errors, everything a score could want."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric

from stages import run
from vad import registry
from vad.components import reconstruction, views
from vad.data import clips
from vad.models import autoencoder, runtime
from vad.storage import needs, tables
from vad.storage.progress import over_clips

BATCH = 32


def main(needed: Path, weights: Path, resized: Path, components: Path) -> None:
    if not needs.read(needed):
        tables.write_components(components, tables.empty())
        return
    fabric = runtime.fabric()
    model = autoencoder.load(weights)
    fabric.to_device(model)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    tables_by_clip = []
    for split in tables.SCORED:
        for clip in over_clips(clips.open_resized(resized, split), f"scoring {split}"):
            columns = score(fabric, model, clip)
            tables_by_clip.append(pd.concat([clips.keys(split, [clip]), columns], axis=1))
    tables.write_components(components, pd.concat(tables_by_clip))


@torch.inference_mode()
def score(fabric: Fabric, model: autoencoder.Autoencoder, clip: clips.MappedClip) -> pd.DataFrame:
    """Every component of every view of a clip's frames: (T,) rows, columns `component/view`."""
    batches = []
    for start in range(0, len(clip), BATCH):
        frames = torch.from_numpy(np.array(clip.array[start : start + BATCH]))
        images = autoencoder.to_images(fabric.to_device(frames))
        row: dict[str, np.ndarray] = {}
        for name in registry.VIEWS:
            seen = views.view(name)(images).contiguous(memory_format=torch.channels_last)
            found = reconstruction.components(seen, *model.score_views(seen))
            row |= {f"{component}/{name}": values.cpu().numpy() for component, values in found.items()}
        batches.append(pd.DataFrame(row))
    return pd.concat(batches, ignore_index=True)


if __name__ == "__main__":
    run(main)
