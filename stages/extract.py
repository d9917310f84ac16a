"""Extract: clips as they were found -> one zip of images a clip, divided into train, holdout, validation and test."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.data import clips, decode, folds, sources
from vad.storage import files, tables
from vad.storage.progress import parallel, progress

Job = tuple[Path, sources.Source, np.ndarray | None]
"""Where a clip goes, where it comes from, and which of its frames belong there; None for all."""
VERSION = "2"
"""Raised when the same source would give other files: clips extracted before are then made anew."""


def main(raw: Path, frames: Path, counts: Path) -> None:
    """Write SPLIT/CLIP.zip and index.csv (split, video, frame, imputed, fold) into `frames`.

    `counts`: by split the number of clips, of frames, and of imputed ones. Raises VadError for a bad frame, unless
    `data.on_bad_frame` says impute.
    """
    data = params.load(PARAMS).data
    manifest = sources.read_manifest(raw / "manifest.json")
    training = manifest["training"]
    numbers = {clip.video: found for clip, found in zip(training, parallel(decode.numbers, training), strict=True)}
    parts = clips.divide(numbers, data.holdout_clips) if data.folds == 1 else {"train": numbers}
    jobs: list[Job] = [
        (frames / part / f"{source.video}.zip", source, parts[part][source.video])
        for part in parts
        for source in training
        if source.video in parts[part]
    ]
    jobs += [(frames / "test" / f"{source.video}.zip", source, None) for source in manifest["testing"]]
    _remove_others(frames, {path for path, _, _ in jobs})
    store = partial(_store, on_bad_frame=data.on_bad_frame)
    index = pd.concat(progress(parallel(store, jobs), "extracting", len(jobs)))
    fold_of = folds.of(numbers, {clip.video: clip.digest for clip in training}, data.folds)
    index["fold"] = np.where(index["split"] == "train", index["video"].map(fold_of).fillna(-1), -1).astype(int)
    tables.write_csv(frames / "index.csv", index)
    by_split = index.groupby("split", sort=False)
    summary = by_split.agg(clips=("video", "nunique"), frames=("frame", "size"), imputed=("imputed", "sum"))
    files.write_json(counts, {split: row.to_dict() for split, row in summary.iterrows()})


def _store(job: Job, on_bad_frame: str) -> pd.DataFrame:
    """Store one clip, or the frames of it that belong there, unless that is what already lies there; its index."""
    path, source, numbers = job
    part = "all" if numbers is None else f"{numbers[0]}-{numbers[-1]}"
    digest = f"{VERSION} {source.digest} {part} {on_bad_frame}"
    if clips.read_digest(path) != digest:
        wanted = None if numbers is None else set(numbers.tolist())
        clips.write_zip(path, decode.frames(source, wanted, on_bad_frame == "impute"), digest)
    with clips.open_zip(path) as clip:
        return clips.keys(path.parent.name, [clip]).assign(imputed=clip.imputed().astype(int))


def _remove_others(frames: Path, expected: set[Path]) -> None:
    for path in frames.glob("*/*.zip"):
        if path not in expected:
            path.unlink()


if __name__ == "__main__":
    run(main)
