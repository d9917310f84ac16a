"""Which training frames the networks learn from, and which are held out."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vad import VadError

GUARD = 16
"""Frames left out between two parts of a clip, so that neighbours do not end up on both sides."""

Parts = dict[str, dict[str, np.ndarray]]
"""train, holdout and validation -> clip -> its frame numbers there, ascending."""


class Division(NamedTuple):
    """How training clips were divided.

    `copies`: clips of the same content, which are kept on one side. `left_out`: of held-out clips the numbers of
    frames that are in no part, because training has the same content.
    """

    parts: Parts
    copies: list[list[str]]
    left_out: dict[str, np.ndarray]


def divide(
    clips: Mapping[str, np.ndarray], holdout_clips: int, contents: Mapping[str, np.ndarray] | None = None
) -> Division:
    """Divide training clips (video -> frame numbers, ascending) into train, holdout and validation, disjoint.

    The last `holdout_clips` clips never enter training; where that would leave fewer than two, or there are fewer
    than four clips, the last third of the last clip is held out instead, behind a guard gap. Of what is held out
    the first half of every clip is `holdout`, untouched, to calibrate on; the second half, behind a guard gap, is
    what `validation` is made of. Raises VadError when a part would be empty, and when no
    clip in train has two frames.

    `contents` are hashes of the frames, for each clip as many as it has frames; 0 is equal to no other. Copies of a
    clip count as the first of them, and no content is both in train and held out.
    """
    contents = contents or {name: np.zeros(len(numbers), np.uint64) for name, numbers in clips.items()}
    alike = _alike(contents)
    if len(alike) >= 4 and len(alike) - holdout_clips >= 2:
        held = {name: clips[name] for names in alike[-holdout_clips:] for name in names}
        train = {name: clips[name] for names in alike[:-holdout_clips] for name in names}
    else:
        starts = {name: len(clips[name]) * 2 // 3 for name in alike[-1]}
        held = {name: clips[name][start:] for name, start in starts.items()}
        train = {**clips, **{name: clips[name][: max(start - GUARD, 0)] for name, start in starts.items()}}
    left_out = _trained(clips, contents, train, held)
    parts: Parts = {"train": train, "holdout": {}, "validation": {}}
    for name, numbers in held.items():
        numbers = np.setdiff1d(numbers, left_out.get(name, []))
        middle = len(numbers) // 2
        parts["holdout"][name] = numbers[: max(middle - GUARD // 2, 0)]
        parts["validation"][name] = numbers[middle + GUARD // 2 :]
    for part, chosen in parts.items():
        if not any(map(len, chosen.values())):
            raise VadError(
                f"data.holdout_clips = {holdout_clips}: leaves no frame for {part} of {len(alike)} training clips; "
                "give more or longer clips"
            )
        parts[part] = {name: numbers for name, numbers in sorted(chosen.items()) if len(numbers)}
    _refuse_stills(parts["train"])
    return Division(parts, [names for names in alike if len(names) > 1], left_out)


def whole(clips: Mapping[str, np.ndarray]) -> Division:
    """All training clips in train. Raises VadError when none has two frames."""
    _refuse_stills(clips)
    return Division({"train": dict(clips)}, [], {})


def _refuse_stills(train: Mapping[str, np.ndarray]) -> None:
    if max(map(len, train.values())) < 2:
        raise VadError("training: no clip has two frames to see change between; give longer clips")


def _alike(contents: Mapping[str, np.ndarray]) -> list[list[str]]:
    """The names of clips, ascending, those of the same content together: where the first of them is."""
    found: dict[bytes, list[str]] = {}
    for name in sorted(contents):
        known = np.unique(contents[name])
        found.setdefault(known.tobytes() if known.any() else name.encode(), []).append(name)
    return list(found.values())


def _trained(
    clips: Mapping[str, np.ndarray],
    contents: Mapping[str, np.ndarray],
    train: Mapping[str, np.ndarray],
    held: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Of held-out clips the frame numbers whose content is among that of training frames."""

    def of(name: str, numbers: np.ndarray) -> np.ndarray:
        return contents[name][np.isin(clips[name], numbers)]

    learned = np.concatenate([of(name, numbers) for name, numbers in train.items()])
    shared = {name: numbers[np.isin(of(name, numbers), learned[learned != 0])] for name, numbers in held.items()}
    return {name: numbers for name, numbers in shared.items() if len(numbers)}
