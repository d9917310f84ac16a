"""Memory: small frames -> how far each patch is, to a network, from the nearest of normal frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.components import pooling
from vad.data import clips
from vad.quality import repair
from vad.storage import tables
from vad.storage.progress import progress

if TYPE_CHECKING:
    from vad.components.memory import Memory

SCORED = ("holdout", "validation", "test")
SAMPLED = 400
"""Training frames, at most, whose patches may be remembered."""


def main(autoencoder: Path, predictor: Path, resized: Path, diagnosis: Path, components: Path) -> None:
    settings = params.load(PARAMS)
    keys = [clips.keys(split, [clip]) for split in SCORED for clip in clips.open_resized(resized, split)]
    table = pd.concat(keys, ignore_index=True)
    if settings.memory.enabled:
        table = pd.concat([table, score(autoencoder, predictor, resized, diagnosis, settings)], axis=1)
    tables.write_components(components, table)


def score(autoencoder: Path, predictor: Path, resized: Path, diagnosis: Path, settings: params.Params) -> pd.DataFrame:
    """memory_POOL for every one of pooling.POOLS, of every frame of SCORED, in order."""
    remembered = learned(autoencoder, predictor, resized, settings)
    diagnosed = tables.read_csv(diagnosis, repair.COLUMNS)
    cells = {split: list[list[np.ndarray]]() for split in SCORED}
    for split in SCORED:
        for clip in progress(clips.open_resized(resized, split), f"remembering {split}"):
            found = repair.found_in(diagnosed, split, clip)
            righted = repair.repaired(clip, found, unflip=settings.repair.unflip)
            cells[split].append(cells_of(remembered, righted))
    # Held-out frames, not those of training: patches of these are in the memory, at no distance at all.
    places = pooling.Places([frame for clip in cells["holdout"] for frame in clip])
    pooled = pooling.pool_by_others(cells["holdout"])
    pooled += [places.pool(frame) for split in SCORED[1:] for clip in cells[split] for frame in clip]
    return pd.DataFrame(pooled).add_prefix("memory_")


def learned(autoencoder: Path, predictor: Path, resized: Path, settings: params.Params) -> "Memory":
    """The patches of training frames that are remembered."""
    import torch

    from vad.components import memory
    from vad.models import predictor as prediction
    from vad.models import runtime
    from vad.models.autoencoder import Autoencoder, load

    fabric = runtime.fabric()
    chosen = settings.memory
    network: Autoencoder | prediction.Predictor | memory.Pretrained
    if chosen.features == "autoencoder":
        network = load(autoencoder)
    elif chosen.features == "predictor":
        network = prediction.load(predictor)
    else:
        network = memory.Pretrained(chosen.features, chosen.weights)
    fabric.to_device(network.eval().requires_grad_(False))
    remembered = memory.Memory(network, chosen.layers, chosen.neighbours, torch.device(fabric.device))
    training = [seen_by(remembered, clip) for clip in clips.open_resized(resized, "train")]
    remembered.learn(sampled(training), chosen.patches, settings.seed)
    return remembered


def seen_by(remembered: "Memory", clip: clips.Clip) -> clips.Clip:
    """A clip of what the memory's network looks at: single frames, or each with those before it."""
    from vad.models.predictor import Leads, Predictor

    network = remembered.network
    if not isinstance(network, Predictor):
        return clip
    return Leads(clip.video, clip.numbers, clip.path, clip, network.history)


def cells_of(remembered: "Memory", clip: clips.Clip) -> list[np.ndarray]:
    """The cells (h, w) of each frame's distances, in order."""
    return [pooling.to_cells(distances, 1) for distances in remembered.maps(seen_by(remembered, clip))]


def sampled(training: Sequence[clips.Clip]) -> Iterator[np.ndarray]:
    """At most SAMPLED training frames, spread evenly over all of them."""
    frames = [(clip, int(number)) for clip in training for number in clip.numbers]
    for place in np.unique(np.linspace(0, len(frames) - 1, SAMPLED).round().astype(int)):
        clip, number = frames[place]
        yield clip.frame(number)


if __name__ == "__main__":
    run(main)
