"""Validation: held-out normal frames -> labelled clips with synthetic events and the competition's corruption."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.data import clips
from vad.storage import tables
from vad.storage.progress import progress
from vad.synthetic import acts, events, validation

LOOKED_AT = 100
"""Frames of a clip in which walks for other clips are looked for."""


def main(frames: Path, validated: Path) -> None:
    """Write clips/CLIP-COPY.zip and labels.csv (video, frame, label, kind, flipped, noisy) into `validated`."""
    loaded = params.load(PARAMS)
    settings, data = loaded.validation, loaded.data
    deck = validation.deal(np.random.default_rng(settings.seed))
    truth = []
    # Copies of the held-out clips; where every clip is scored out of fold, of every clip.
    source = "validation" if data.folds == 1 else "train"
    found = clips.open_zips(frames / source) if data.folds else []
    walks = {clip.video: _walks(clip) for clip in progress(found, "looking who walks")}
    copies = list(product(found, range(1, settings.copies + 1)))
    for index, (clip, copy) in enumerate(progress(copies, "making validation clips")):
        rng = np.random.default_rng([settings.seed, index])
        video = f"{clip.video}-{copy}"
        strangers = [walk for other, found_there in walks.items() if other != clip.video for walk in found_there]
        normal = validation.Source.of(list(clip), clip.numbers)
        images, table = validation.make_validation_clip(normal, settings, rng, deck, strangers)
        # Every frame is encoded anew, not just the changed ones: else the encoding would tell them apart.
        encoded = ((number, *clips.encode(image)) for number, image in zip(table["frame"], images, strict=True))
        clips.write_zip(validated / "clips" / f"{video}.zip", encoded, f"validation of {clip.path.name}")
        truth.append(table.assign(video=video))
    columns = ["video", "frame", "label", "kind", "flipped", "noisy"]
    table = pd.concat(truth) if truth else pd.DataFrame(columns=columns)
    tables.write_csv(validated / "labels.csv", table[columns].astype({"flipped": int, "noisy": int}))


def _walks(clip: clips.Clip) -> list[acts.Walk]:
    """Who walks in a clip and may appear in others: looked for in its first frames, for they are held in memory."""
    numbers = clip.numbers[:LOOKED_AT]
    frames = [clip.frame(int(number)) for number in numbers]
    return acts.walks(events.survey(frames, numbers), frames, validation.STRANGERS)


if __name__ == "__main__":
    run(main)
