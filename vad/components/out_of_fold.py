"""Which clips a component learns from and which it scores with that: never a clip that it has learned from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import pandas as pd

from vad.data import clips
from vad.data.clips import Clip, MappedClip
from vad.storage import tables
from vad.storage.store import Arrays, Job, Store

Key = tuple[str, str]
"""A clip's split and name."""
Some = TypeVar("Some", bound=Clip)


class Part(NamedTuple, Generic[Some]):
    """Training clips to learn from, and the clips (split, clip) to score with what they taught."""

    training: list[Clip]
    scored: list[tuple[str, Some]]
    fold: int
    """The fold that is left out and scored; -1 where nothing is."""


class Weights(NamedTuple):
    """Where a network's weights lie: the file of those fitted on all training clips, and the folder of the halves'."""

    whole: Path
    halves: Path

    def of(self, half: int) -> Path:
        """The weights that score the clips of a half, of which they learned nothing; those of the whole for -1."""
        return self.whole if half < 0 else self.halves / f"{half}.safetensors"

    def paths(self) -> list[Path]:
        """All of these files, in the order of `fits`."""
        return [self.of(half) for half in (-1, 0, 1)]


class Fit(NamedTuple):
    """A training of a network: where its weights go, the clips that it is fitted on, and clips that it never sees."""

    weights: Path
    training: list[MappedClip]
    unseen: list[MappedClip]


def folds_of(diagnosed: pd.DataFrame) -> dict[Key, int]:
    """Clip -> its fold, from a table (split, video, fold); -1 for a clip that nothing is learned from."""
    rows = diagnosed.drop_duplicates(["split", "video"])
    keys = zip(rows["split"].astype(str), rows["video"].astype(str), strict=True)
    return dict(zip(keys, rows["fold"].astype(int).tolist(), strict=True))


def folds_in(resized: Path, splits: Sequence[str] = ("train", *tables.SCORED)) -> dict[Key, int]:
    """Clip -> its fold, of the resized clips of some splits in a folder."""
    columns = [*tables.KEYS, "fold"]
    return folds_of(pd.concat([tables.read_csv(resized / split / clips.INDEX, columns) for split in splits]))


def halves(folds: Mapping[Key, int]) -> dict[Key, int]:
    """Clip -> its half of the folds, 0 or 1; -1 without a fold. Maps can afford a fold a video, networks two."""
    return {key: fold % 2 if fold >= 0 else -1 for key, fold in folds.items()}


def fits(weights: Weights, resized: Path) -> list[Fit]:
    """The trainings of a network: on all training clips and, where there are folds, on all but each of the halves."""
    training = clips.open_resized(resized, "train")
    half_of = halves(folds_in(resized, ["train"]))
    found = [Fit(weights.whole, training, clips.open_resized(resized, "holdout"))]
    for half in sorted(set(half_of.values()) - {-1}):
        sides: tuple[list[MappedClip], list[MappedClip]] = ([], [])
        for clip in training:
            sides[half_of["train", clip.video] == half].append(clip)
        found.append(Fit(weights.of(half), *sides))
    return found


def scored_splits(folds: Mapping[Key, int]) -> tuple[str, ...]:
    """The splits whose frames get a score, in order: training clips where they are scored out of fold."""
    folded = any(split == "train" and fold >= 0 for (split, _), fold in folds.items())
    return ("train", "validation", "test") if folded else ("holdout", "validation", "test")


def parts(
    training: Sequence[Clip], seen: Mapping[str, Sequence[Some]], folds: Mapping[Key, int]
) -> Iterator[Part[Some]]:
    """Every clip of `seen`, by split, once: those of a fold by the training clips of the others, the rest by all."""
    keyed = [(split, clip) for split, found in seen.items() for clip in found]
    for fold in sorted({folds[split, clip.video] for split, clip in keyed}):
        taught = [clip for clip in training if fold < 0 or folds["train", clip.video] != fold]
        yield Part(taught, [(split, clip) for split, clip in keyed if folds[split, clip.video] == fold], fold)


def measured(
    kept: Store,
    what: str,
    parts: Iterator[Part[Some]],
    learn: Callable[[Part[Some]], tuple[Any, Callable[[Some], Arrays]]],
) -> dict[Key, Arrays]:
    """Clip -> what is measured of it, which the store keeps.

    `learn`: a part -> all that its results depend on besides the clip, as JSON has it, and what measures a clip.
    """
    jobs = {}
    for part in parts:
        made_of, measure = learn(part)
        for split, clip in part.scored:
            jobs[split, clip.video] = Job([made_of, clip.digest()], partial(measure, clip))
    return dict(zip(jobs, kept.all(list(jobs.values()), what), strict=True))
