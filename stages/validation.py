"""Validation: held-out normal frames -> labelled clips with synthetic events and the competition's corruption."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.data import clips
from vad.evaluation import over_kinds
from vad.storage import tables
from vad.storage.progress import parallel, progress
from vad.synthetic import acts, events, validation

MOST_COPIES = 8
"""Of each clip, where the kinds of events that it shows are still too few to be averaged."""
LOOKED_AT = 100
"""Frames of a clip in which walks for other clips are looked for."""


def main(frames: Path, validated: Path) -> None:
    """Write clips/CLIP-COPY.zip and labels.csv (video, frame, label, kind, flipped, noisy) into `validated`."""
    loaded = params.load(PARAMS)
    settings, data = loaded.validation, loaded.data
    deck = validation.deal(np.random.default_rng(settings.seed))
    truth: list[pd.DataFrame] = []
    # Copies of the held-out clips; where every clip is scored out of fold, of every clip.
    source = "validation" if data.folds == 1 else "train"
    found = clips.open_zips(frames / source) if data.folds else []
    walks = {clip.video: _walks(clip) for clip in progress(found, "looking who walks")}
    for index, (copy, clip) in enumerate(_copies(found, settings.copies, data.folds, truth)):
        rng = np.random.default_rng([settings.seed, index])
        video = f"{clip.video}-{copy}"
        strangers = [walk for other, found_there in walks.items() if other != clip.video for walk in found_there]
        normal = validation.Source.of(list(parallel(clip.frame, clip.numbers.tolist())), clip.numbers)
        images, table = validation.make_validation_clip(normal, settings, rng, deck, strangers)
        # Every frame is encoded anew, not just the changed ones: else the encoding would tell them apart.
        encoded = zip(table["frame"], parallel(clips.encode, images), strict=True)
        stored = ((number, *content) for number, content in encoded)
        clips.write_zip(validated / "clips" / f"{video}.zip", stored, f"validation of {clip.path.name}")
        truth.append(table.assign(video=video))
    columns = ["video", "frame", "label", "kind", "flipped", "noisy"]
    table = pd.concat(truth) if truth else pd.DataFrame(columns=columns)
    tables.write_csv(validated / "labels.csv", table[columns].astype({"flipped": int, "noisy": int}))


def _copies(
    found: Sequence[clips.Clip], copies: int, folds: int, made: Sequence[pd.DataFrame]
) -> Iterator[tuple[int, clips.Clip]]:
    """Each clip with the number of its copy, from 1: `copies` of all, or with folds more until no kind is rare.

    `made` are the tables of the copies that were made so far.
    """
    for copy in range(1, max(copies, MOST_COPIES if folds > 1 else 0) + 1):
        if copy > copies and not _rare(made):
            return
        for clip in progress(found, f"making validation clips, copy {copy}"):
            yield copy, clip


def _rare(made: Sequence[pd.DataFrame]) -> list[str]:
    """The kinds whose figures would be luck."""
    frames = pd.concat(made)
    counts = over_kinds.events_by_kind(*(frames[name].to_numpy() for name in ("label", "kind", "video", "frame")))
    return [kind for kind in validation.KINDS if counts.get(kind, 0) < over_kinds.LEAST]


def _walks(clip: clips.Clip) -> list[acts.Walk]:
    """Who walks in a clip and may appear in others: looked for in its first frames, for they are held in memory."""
    numbers = clip.numbers[:LOOKED_AT]
    frames = list(parallel(clip.frame, numbers.tolist()))
    return acts.walks(events.survey(frames, numbers), frames, validation.STRANGERS)


if __name__ == "__main__":
    run(main)
