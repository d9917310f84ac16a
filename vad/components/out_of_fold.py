"""Which clips a component learns from and which it scores with that: never a clip that it has learned from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from vad.data.clips import Clip

Key = tuple[str, str]
"""A clip's split and name."""


class Part(NamedTuple):
    """Training clips to learn from, and the clips (split, clip) to score with what they taught."""

    training: list[Clip]
    scored: list[tuple[str, Clip]]


def folds_of(diagnosed: pd.DataFrame) -> dict[Key, int]:
    """Clip -> its fold, from a diagnosis (split, video, fold); -1 for a clip that nothing is learned from."""
    rows = diagnosed.drop_duplicates(["split", "video"])
    keys = zip(rows["split"].astype(str), rows["video"].astype(str), strict=True)
    return dict(zip(keys, rows["fold"].astype(int).tolist(), strict=True))


def scored_splits(folds: Mapping[Key, int]) -> tuple[str, ...]:
    """The splits whose frames get a score, in order: training clips where they are scored out of fold."""
    folded = any(split == "train" and fold >= 0 for (split, _), fold in folds.items())
    return ("train", "validation", "test") if folded else ("holdout", "validation", "test")


def parts(training: Sequence[Clip], seen: Mapping[str, Sequence[Clip]], folds: Mapping[Key, int]) -> Iterator[Part]:
    """Every clip of `seen`, by split, once: those of a fold by the training clips of the others, the rest by all."""
    keyed = [(split, clip) for split, found in seen.items() for clip in found]
    for fold in sorted({folds[split, clip.video] for split, clip in keyed}):
        taught = [clip for clip in training if fold < 0 or folds["train", clip.video] != fold]
        yield Part(taught, [(split, clip) for split, clip in keyed if folds[split, clip.video] == fold])
