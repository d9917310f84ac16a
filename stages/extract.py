"""Extract: clips as they were found -> one zip of images a clip, divided into train, holdout, validation and test."""

import hashlib
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.data import clips, decode, folds, inventory, sources
from vad.data.division import Division, divide, whole
from vad.storage import files, tables
from vad.storage.progress import parallel, progress


class Job(NamedTuple):
    """A clip to be stored: where it goes, where it comes from, and which of its frames belong there; None for all.

    `left_out`: frames between these that don't.
    """

    path: Path
    source: sources.Source
    numbers: np.ndarray | None = None
    left_out: np.ndarray | None = None

    def digest(self, on_bad_frame: str) -> str:
        """What the stored clip is made of."""
        part = "all" if self.numbers is None else f"{self.numbers[0]}-{self.numbers[-1]}"
        if self.left_out is not None:
            part += f" without {hashlib.blake2b(self.left_out.tobytes(), digest_size=16).hexdigest()}"
        return f"{VERSION} {self.source.digest} {part} {on_bad_frame}"


VERSION = "2"
"""Raised when the same source would give other files: clips extracted before are then made anew."""


def main(raw: Path, frames: Path, counts: Path) -> None:
    """Write SPLIT/CLIP.zip and index.csv (split, video, frame, imputed, fold) into `frames`.

    `counts`: by split the number of `clips`, of `frames`, and of `imputed` frames; under `ignored`, by reason, the
    number of `files` that are not used and the `first` of them. Raises VadError for a bad frame, unless
    `data.on_bad_frame` says impute.
    """
    data = params.load(PARAMS).data
    manifest = sources.read_manifest(raw / "manifest.json")
    training = manifest["training"]
    numbers = {clip.video: found for clip, found in zip(training, parallel(decode.numbers, training), strict=True)}
    contents = {clip.video: sources.frame_contents(clip, numbers[clip.video]) for clip in training}
    division = divide(numbers, data.holdout_clips, contents) if data.folds == 1 else whole(numbers)
    parts, left_out = division.parts, division.left_out
    jobs = [
        Job(frames / part / f"{source.video}.zip", source, parts[part][source.video], left_out.get(source.video))
        for part in parts
        for source in training
        if source.video in parts[part]
    ]
    jobs += [Job(frames / "test" / f"{source.video}.zip", source) for source in manifest["testing"]]
    _remove_others(frames, {job.path for job in jobs})
    store = partial(_store, on_bad_frame=data.on_bad_frame)
    index = pd.concat(progress(parallel(store, jobs), "extracting", len(jobs)))
    fold_of = folds.of(numbers, contents, data.folds)
    index["fold"] = np.where(index["split"] == "train", index["video"].map(fold_of).fillna(-1), -1).astype(int)
    tables.write_csv(frames / "index.csv", index)
    by_split = index.groupby("split", sort=False)
    summary = by_split.agg(clips=("video", "nunique"), frames=("frame", "size"), imputed=("imputed", "sum"))
    ignored = inventory.read_ignored(raw / "ignored.json") | tell_copies(division)
    counted = {str(split): row.to_dict() for split, row in summary.iterrows()}
    files.write_json(counts, counted | ({"ignored": ignored} if ignored else {}))


def tell_copies(division: Division) -> dict[str, dict[str, Any]]:
    """Print which training clips are the same, and how many held-out frames have the content of a training frame.

    Returns of these frames, if there are any: reason -> `files`, how many, and `first`, the first of them.
    """
    for names in division.copies:
        print(f"training clips {', '.join(names)}: the same content; they are kept on one side", file=sys.stderr)
    names = [f"{clip} frame {number}" for clip, numbers in division.left_out.items() for number in numbers.tolist()]
    if not names:
        return {}
    left_out = inventory.Ignored.of(names)
    print(f"held-out frames that training has too, not used: {left_out.files} ({left_out.first})", file=sys.stderr)
    return {"held-out frames that training has too": left_out._asdict()}


def _store(job: Job, on_bad_frame: str) -> pd.DataFrame:
    """Store one clip, or the frames of it that belong there, unless that is what already lies there; its index."""
    digest = job.digest(on_bad_frame)
    if clips.read_digest(job.path) != digest:
        wanted = None if job.numbers is None else set(job.numbers.tolist())
        clips.write_zip(job.path, decode.frames(job.source, wanted, on_bad_frame == "impute"), digest)
    with clips.open_zip(job.path) as clip:
        return clips.keys(job.path.parent.name, [clip]).assign(imputed=clip.imputed().astype(int))


def _remove_others(frames: Path, expected: set[Path]) -> None:
    for path in frames.glob("*/*.zip"):
        if path not in expected:
            path.unlink()


if __name__ == "__main__":
    run(main)
