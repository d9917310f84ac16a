"""Labelled validation clips from normal ones: synthetic events as label, the competition's corruption on top.

Methods are chosen on these clips. Most events are composited; where time runs fast or backwards a whole frame is one,
without a seam. People are pasted into normal stretches, too, so that a seam is no label.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from vad import params
from vad.quality import corruption
from vad.synthetic import acts, events
from vad.synthetic.acts import Act, Stage, Walk

Kind = Literal["moving", "standing", "fast", "skipped", "wrong_way", "close", "misplaced", "patch"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ACTS: Mapping[Kind, Callable[[Stage], Act]] = {
    "moving": acts.moving,
    "standing": acts.standing,
    "fast": acts.fast,
    "wrong_way": acts.wrong_way,
    "close": acts.close,
    "misplaced": acts.misplaced,
    "patch": acts.patch,
}
"""Kinds that are composited -> what works them out."""
STRANGERS = 4
"""Walks of each clip that may appear in others."""

_TYPICAL, _SHORT = 40, 13  # frames of an event, and of one where a run has no room for two
_STANDING, _OF_RUN = 120, 0.5  # frames that somebody stands, and of a short run the share
_SKIP = 3  # frames of a clip a frame, where time runs fast
_ONE_WAY = 0.6  # length of the mean heading from which on traffic has a direction
_LARGEST_GAP = 5  # a longer one ends a scene: an event across it would jump
_TRIES = 6


@dataclass(frozen=True)
class Event:
    """A synthetic event over the frame numbers first..last, both included."""

    kind: Kind
    first: int
    last: int

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """The positions of its frames among frame numbers (T,)."""
        return np.flatnonzero((numbers >= self.first) & (numbers <= self.last))


@dataclass(frozen=True)
class Source:
    """A normal clip: its frames (H, W, 3) uint8, their ascending numbers (T,), and what is usual in it."""

    frames: Sequence[np.ndarray]
    numbers: np.ndarray
    scene: events.Scene

    @classmethod
    def of(cls, frames: Sequence[np.ndarray], numbers: np.ndarray) -> "Source":
        """Survey a clip. Raises ValueError when the numbers do not ascend."""
        numbers = np.asarray(numbers)
        if (np.diff(numbers) <= 0).any():
            raise ValueError("frame numbers must ascend")
        return cls(frames, numbers, events.survey(frames, numbers))


def deal(rng: np.random.Generator) -> Iterator[Kind]:
    """An endless deck of kinds, shuffled anew whenever all are dealt: a few events show as many kinds as can be."""
    while True:
        yield from (KINDS[i] for i in rng.permutation(len(KINDS)))


def plan_events(numbers: np.ndarray, share: float, rng: np.random.Generator, deck: Iterator[Kind]) -> list[Event]:
    """Disjoint events over about `share` in (0, 1) of a clip's frames, ascending, with normal frames between them.

    `numbers` are the clip's frame numbers, ascending. No event spans a gap of more than a few frame numbers. Somebody
    who stands does so for long: beyond the share, for up to 120 frames or the larger part of a run.
    """
    numbers = np.asarray(numbers)
    planned: list[Event] = []
    wanted = 0.0
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > _LARGEST_GAP) + 1):
        wanted += share * len(run)
        lengths = _lengths(len(run), round(wanted), rng)
        wanted -= sum(lengths)
        kinds = [next(deck) for _ in lengths]
        lengths = _fitting(lengths, kinds, len(run))
        spare = len(run) - sum(lengths) - max(0, len(lengths) - 1)
        cuts = np.sort(rng.integers(0, spare + 1, len(lengths)))
        position = 0
        for kind, length, skip in zip(kinds, lengths, np.diff(cuts, prepend=0), strict=True):
            position += int(skip)
            planned.append(Event(kind, int(run[position]), int(run[position + length - 1])))
            position += length + 1
    return planned


def make_validation_clip(
    source: Source,
    settings: params.Validation,
    rng: np.random.Generator,
    deck: Iterator[Kind],
    strangers: Sequence[Walk] = (),
) -> tuple[list[np.ndarray], pd.DataFrame]:
    """A labelled clip made of a normal one: frames (H, W, 3) uint8 and their table, dropped frames absent from both.

    `strangers` walk in other clips. The table has the columns frame (number), label (0 or 1), kind ("" where normal),
    flipped and noisy (bool). Where time runs fast the clip becomes shorter. The corruption has its own random stream:
    it depends on the seed and on the number of frames, never on the events.
    """
    planning, pasting, rendering, corrupting = rng.spawn(4)
    planned = plan_events(source.numbers, settings.event_share, planning, deck)
    order, warped = replay(source, planned)
    numbers = source.numbers[: len(order)]
    normal = with_passers_by(source, [source.frames[place] for place in order], len(planned), pasting)
    rendered = render_events(source, normal, planned, rendering, settings.visibility, strangers)
    table = corruption.plan(len(rendered), corrupting, settings.flip, settings.noise, settings.drop)
    table.insert(0, "frame", numbers)
    table.insert(1, "label", [int(a is not b) for a, b in zip(normal, rendered, strict=True)])
    table.insert(2, "kind", "")
    table.loc[[place for place in warped if _moves(normal, place)], "label"] = 1
    for event in planned:
        table.loc[table["frame"].between(event.first, event.last) & (table["label"] == 1), "kind"] = event.kind
    kept = table[~table["dropped"]].drop(columns="dropped")
    images = [
        corruption.apply(rendered[position], flipped, noisy, corrupting)
        for position, flipped, noisy in zip(kept.index, kept["flipped"], kept["noisy"], strict=True)
    ]
    return images, kept.reset_index(drop=True)


def replay(source: Source, planned: Sequence[Event]) -> tuple[list[int], list[int]]:
    """The source's frame at each position of the new clip, and at which positions time runs unlike elsewhere.

    `skipped` runs fast; `wrong_way` backwards, where traffic has a direction. Time goes on from there without a jump.
    """
    headings = source.scene.headings
    one_way = len(headings) > 2 and float(np.linalg.norm(headings.mean(axis=0))) > _ONE_WAY
    pace = {"skipped": _SKIP, **({"wrong_way": -1} if one_way else {})}
    step_of = {
        int(row): pace[event.kind] for event in planned if event.kind in pace for row in event.rows(source.numbers)
    }
    order, place = [0], 0
    for position in range(1, len(source.frames)):
        place = max(0, place + step_of.get(position, 1))
        if place >= len(source.frames):
            break
        order.append(place)
    return order, [position for position in sorted(step_of) if 0 < position < len(order)]


def with_passers_by(
    source: Source, frames: Sequence[np.ndarray], count: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The frames of a clip with `count` of its walks pasted in once more, at other times: normal, but for the seam."""
    result = list(frames)
    for _ in range(count if source.scene.tracks else 0):
        first = int(rng.integers(len(frames)))
        positions = np.arange(first, min(first + acts.LONGEST, len(frames)))
        stage = Stage(source.scene, source.frames, result[first], positions - first, rng)
        act = acts.passer_by(stage)
        for position, image in _perform(act, result, positions[: len(act.sprites)], 1.0).items():
            result[position] = image
    return result


def render_events(
    source: Source,
    frames: Sequence[np.ndarray],
    planned: Sequence[Event],
    rng: np.random.Generator,
    visibility: float = 1.0,
    strangers: Sequence[Walk] = (),
) -> list[np.ndarray]:
    """The frames (H, W, 3) uint8 of a clip with events composited; all others are the very same arrays.

    `frames` are the first of the source's or others in their place. Events are as opaque as `visibility` says. A frame
    of an event in which it can't be seen stays as it was as well.
    """
    numbers = source.numbers[: len(frames)]
    warped = set(replay(source, planned)[1])
    result = list(frames)
    for event in planned:
        positions = event.rows(numbers)
        if event.kind not in ACTS or not len(positions) or warped & set(positions.tolist()):
            continue
        steps = (numbers[positions] - event.first).astype(float)
        middle = frames[positions[len(positions) // 2]]
        stage = Stage(source.scene, source.frames, middle, steps, rng, strangers)
        best: dict[int, np.ndarray] = {}
        for _ in range(_TRIES):
            shown = _perform(ACTS[event.kind](stage), frames, positions, visibility)
            best = max(best, shown, key=len)
            if len(best) == len(positions):
                break
        for position, image in best.items():
            result[position] = image
    return result


def _lengths(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """Lengths of events that sum to about `wanted` of the `count` frames of a run; none where there is no room."""
    if count < 4 or wanted < min(3, count // 4):
        return []
    # About as long as real ones; two kinds a clip rather than one, and never so many that they would touch.
    number = max(1, round(wanted / _TYPICAL), min(2, wanted // _SHORT))
    wanted = min(wanted, count - number - 1)
    parts = rng.uniform(0.7, 1.3, number)
    ends = np.rint(np.cumsum(parts) / parts.sum() * wanted).astype(int)
    return [int(min(length, 2 * _TYPICAL)) for length in np.diff(ends, prepend=0)]


def _fitting(lengths: Sequence[int], kinds: Sequence[Kind], count: int) -> list[int]:
    """The lengths as kinds need them, in a run of `count` frames.

    The first event of somebody who stands is as long as there is room; where time runs fast, frames are used up.
    """
    result = [min(n, count // (2 * _SKIP)) if kind == "skipped" else n for n, kind in zip(lengths, kinds, strict=True)]
    if "standing" in kinds:
        place = list(kinds).index("standing")
        room = count - (sum(result) - result[place]) - 2 * len(result)
        result[place] = max(result[place], min(_STANDING, int(_OF_RUN * count), room))
    return [max(1, n) for n in result]


def _perform(act: Act, frames: Sequence[np.ndarray], positions: np.ndarray, visibility: float) -> dict[int, np.ndarray]:
    """The frames, by position, in which an act can be seen; it appears and goes within three frames."""
    order = np.arange(len(positions))
    opacity = visibility * np.minimum(1, (np.minimum(order, order[::-1]) + 2) / 4)
    shown = {}
    for i, position in enumerate(positions):
        image = events.paste(frames[position], act.sprites[i], act.feet[i], float(act.scales[i]), float(opacity[i]))
        if _differ(image, frames[position]):
            shown[int(position)] = image
    return shown


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether somebody can be seen in one of two images and not in the other."""
    height, width = one.shape[:2]
    return bool((events.contrast(one, other) >= 12).sum() >= max(12, 0.0008 * height * width))


def _moves(frames: Sequence[np.ndarray], position: int) -> bool:
    """Whether something moved since the frame before: where nothing does, nobody sees how time runs."""
    return _differ(frames[position], frames[position - 1])
