"""Labelled validation clips from held-out normal ones: synthetic events as label, the competition's corruption on top.

Methods are chosen on these clips, so the events imitate what real ones are made of: figures that run, loiter, walk
against the stream or close to the camera, and objects that do not belong, moving or left standing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from vad import params
from vad.quality import corruption
from vad.synthetic import events

Kind = Literal["moving", "standing", "fast", "wrong_way", "close"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_TYPICAL, _LONG, _LONGEST = 8, 30, 40  # frames of an event; where many are wanted, they are long on average
_LARGEST_GAP = 5  # a longer one ends a scene: an event across it would jump
_TRIES = 6


@dataclass(frozen=True)
class Event:
    """A synthetic event over the frame numbers first..last, both included."""

    kind: Kind
    first: int
    last: int


@dataclass(frozen=True)
class Stage:
    """Where an event plays: its clip, what is usual there, the frame amidst it, the frame numbers since its start."""

    scene: events.Scene
    frames: Sequence[np.ndarray]
    frame: np.ndarray
    steps: np.ndarray
    rng: np.random.Generator

    def tall(self, place: np.ndarray) -> float:
        """The height of a person whose foot is at (x, y), in pixels."""
        return float(self.scene.height_at(place[1]))


@dataclass(frozen=True)
class Act:
    """An event worked out: a sprite, where its foot stands (T, 2) and its scale (T,), for each of T frames."""

    sprites: list[np.ndarray]
    feet: np.ndarray
    scales: np.ndarray


def deal(rng: np.random.Generator) -> Iterator[Kind]:
    """An endless deck of kinds, shuffled anew whenever all are dealt: a few events show as many kinds as can be."""
    while True:
        yield from (KINDS[i] for i in rng.permutation(len(KINDS)))


def plan_events(numbers: np.ndarray, share: float, rng: np.random.Generator, deck: Iterator[Kind]) -> list[Event]:
    """Disjoint events over about `share` in (0, 1) of a clip's frames, ascending, with normal frames between them.

    `numbers` are the clip's frame numbers, ascending. No event spans a gap of more than a few frame numbers.
    Raises ValueError when the numbers do not ascend.
    """
    numbers = np.asarray(numbers)
    if (np.diff(numbers) <= 0).any():
        raise ValueError("frame numbers must ascend")
    planned: list[Event] = []
    wanted = 0.0
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > _LARGEST_GAP) + 1):
        wanted += share * len(run)
        lengths = _lengths(len(run), round(wanted), rng)
        wanted -= sum(lengths)
        spare = len(run) - sum(lengths) - max(0, len(lengths) - 1)
        cuts = np.sort(rng.integers(0, spare + 1, len(lengths)))
        position = 0
        for length, skip in zip(lengths, np.diff(cuts, prepend=0), strict=True):
            position += int(skip)
            planned.append(Event(next(deck), int(run[position]), int(run[position + length - 1])))
            position += length + 1
    return planned


def render_events(
    frames: Sequence[np.ndarray],
    numbers: np.ndarray,
    planned: Sequence[Event],
    rng: np.random.Generator,
    visibility: float = 1.0,
) -> list[np.ndarray]:
    """The frames (H, W, 3) uint8 of a clip with events composited; all others are the very same arrays.

    Events are as opaque as `visibility` says. A frame of an event in which it can't be seen stays as it was as well.
    """
    numbers = np.asarray(numbers)
    result = list(frames)
    scene = events.survey(frames, numbers)
    for event in planned:
        positions = np.flatnonzero((numbers >= event.first) & (numbers <= event.last))
        steps = (numbers[positions] - event.first).astype(float)
        stage = Stage(scene, frames, frames[positions[len(positions) // 2]], steps, rng)
        best: dict[int, np.ndarray] = {}
        for _ in range(_TRIES):
            shown = _perform(_work_out(event.kind, stage), frames, positions, visibility)
            best = max(best, shown, key=len)
            if len(best) == len(positions):
                break
        for position, image in best.items():
            result[position] = image
    return result


def make_validation_clip(
    frames: Sequence[np.ndarray],
    numbers: np.ndarray,
    settings: params.Validation,
    rng: np.random.Generator,
    deck: Iterator[Kind],
) -> tuple[list[np.ndarray], pd.DataFrame]:
    """A labelled clip made of a normal one: frames (H, W, 3) uint8 and their table, dropped frames absent from both.

    The table has the columns frame (number), label (0 or 1), kind ("" where normal), flipped and noisy (bool).
    The corruption has its own random stream: it depends on the seed, never on the events.
    """
    numbers = np.asarray(numbers)
    planning, rendering, corrupting = rng.spawn(3)
    planned = plan_events(numbers, settings.event_share, planning, deck)
    rendered = render_events(frames, numbers, planned, rendering, settings.visibility)
    table = corruption.plan(len(frames), corrupting, settings.flip, settings.noise, settings.drop)
    table.insert(0, "frame", numbers)
    table.insert(1, "label", [int(a is not b) for a, b in zip(frames, rendered, strict=True)])
    table.insert(2, "kind", "")
    for event in planned:
        table.loc[table["frame"].between(event.first, event.last) & (table["label"] == 1), "kind"] = event.kind
    kept = table[~table["dropped"]].drop(columns="dropped")
    images = [
        corruption.apply(rendered[position], flipped, noisy, corrupting)
        for position, flipped, noisy in zip(kept.index, kept["flipped"], kept["noisy"], strict=True)
    ]
    return images, kept.reset_index(drop=True)


def _lengths(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """Lengths of events that sum to about `wanted` of the `count` frames of a run; none where there is no room."""
    if count < 4 or wanted < min(3, count // 4):
        return []
    # A few kinds a clip rather than one long event; never so many that they would touch.
    number = max(min(5, wanted // _TYPICAL), -(-wanted // _LONG), 1)
    wanted = min(wanted, count - number - 1)
    parts = rng.uniform(0.7, 1.3, number)
    ends = np.rint(np.cumsum(parts) / parts.sum() * wanted).astype(int)
    return [int(min(length, _LONGEST)) for length in np.diff(ends, prepend=0)]


def _perform(act: Act, frames: Sequence[np.ndarray], positions: np.ndarray, visibility: float) -> dict[int, np.ndarray]:
    """The frames, by position, in which an act can be seen; it appears and goes within three frames."""
    height, width = frames[0].shape[:2]
    order = np.arange(len(positions))
    opacity = visibility * np.minimum(1, (np.minimum(order, order[::-1]) + 2) / 4)
    shown = {}
    for i, position in enumerate(positions):
        image = events.paste(frames[position], act.sprites[i], act.feet[i], float(act.scales[i]), float(opacity[i]))
        if (events.contrast(image, frames[position]) >= 12).sum() >= max(12, 0.0008 * height * width):
            shown[int(position)] = image
    return shown


def _work_out(kind: Kind, stage: Stage) -> Act:
    """Who or what appears in an event, and where, drawn anew on each call."""
    scene, steps, rng = stage.scene, stage.steps, stage.rng
    if kind == "standing":
        return _stand(stage)
    if kind == "close":
        return _pass_close(stage)
    place, way = scene.place(rng), scene.usual_way(rng)
    if kind == "moving":
        sprite = _object(stage, place, (0.5, 1.1))
        feet = _walk(scene, place, way * scene.pace * rng.uniform(1, 2), steps)
        return Act([sprite] * len(steps), feet, scene.height_at(feet[:, 1]) / stage.tall(place))
    if kind == "fast" and rng.random() < 0.4:
        return _throw(stage, place, way)
    if kind == "fast":
        speed, tempo = rng.uniform(3, 5), 2
    else:
        way, speed, tempo = scene.rarest_way(rng), rng.uniform(1, 1.5), 1
    sprites, native = _figure(stage)
    feet = _walk(scene, place, way * scene.pace * speed, steps)
    going = np.gradient(feet[:, 0]) if len(feet) > 1 else way[:1]
    cast = [sprites[_to_and_fro(int(step) * tempo, len(sprites))] for step in steps]
    cast = [s[:, ::-1] if native * dx < -1e-6 else s for s, dx in zip(cast, going, strict=True)]
    return _lit(Act(cast, feet, scene.height_at(feet[:, 1]) / _tall(sprites)), stage)


def _stand(stage: Stage) -> Act:
    """A figure that loiters or an object left behind, where nobody is; people never stand quite still."""
    steps, rng = stage.steps, stage.rng
    residual = events.contrast(stage.frame, stage.scene.background)
    places = [stage.scene.place(rng) for _ in range(12)]
    place = min(places, key=lambda spot: events.brightness(residual, spot, stage.tall(spot)))
    feet = np.repeat(place[None], len(steps), axis=0)
    if rng.random() < 0.5:
        return Act([_object(stage, place, (0.4, 1.0))] * len(steps), feet, np.ones(len(steps)))
    sprites = _figure(stage)[0][:1]
    feet[:, 0] += 0.02 * stage.tall(place) * np.sin(steps / rng.uniform(3, 6))
    return _lit(Act(sprites * len(steps), feet, np.full(len(steps), stage.tall(place) / _tall(sprites))), stage)


def _pass_close(stage: Stage) -> Act:
    """A figure about as tall as the frame that crosses it from one side, its feet below the lower border."""
    steps, rng = stage.steps, stage.rng
    height, width = stage.scene.background.shape[:2]
    sprites, native = _figure(stage)
    tall = rng.uniform(0.8, 1.4) * height
    scale = tall / _tall(sprites)
    wide = float(np.median([sprite.shape[1] for sprite in sprites])) * scale
    speed = min((width + 0.2 * wide) / max(1.0, steps[-1]), 0.06 * width)
    x = steps * speed - 0.1 * wide  # it starts, and mostly ends, partly in view
    forward = rng.random() < 0.5
    feet = np.column_stack([x if forward else width - x, np.full(len(steps), tall + rng.uniform(0, 0.4) * height)])
    mirrored = (native > 0) != forward
    cast = [sprites[_to_and_fro(int(step), len(sprites))] for step in steps]
    return Act([s[:, ::-1] for s in cast] if mirrored else cast, feet, np.full(len(steps), scale))


def _throw(stage: Stage, place: np.ndarray, way: np.ndarray) -> Act:
    """A small object that flies in arcs from a person's height."""
    scene, steps, rng = stage.scene, stage.steps, stage.rng
    sprite = _object(stage, place, (0.25, 0.4))
    phase = steps / rng.uniform(12, 20) % 1
    feet = _walk(scene, place, way * [1, 0] * scene.pace * rng.uniform(2, 4), steps)
    feet[:, 1] -= stage.tall(place) * (0.6 + rng.uniform(0.6, 1.4) * 4 * phase * (1 - phase))
    return Act([sprite] * len(steps), feet, np.ones(len(steps)))


def _figure(stage: Stage) -> tuple[list[np.ndarray], float]:
    """The sprites of somebody of the clip walking, and the sign of their way along x; an alien where nobody walks."""
    scene, rng = stage.scene, stage.rng
    if not scene.tracks:
        tall = stage.tall(scene.place(rng))
        size = (round(tall), round(tall * rng.uniform(0.4, 0.6)))
        return [events.alien(scene, rng, size, float(scene.background.mean()))], 1.0
    length = np.array([min(len(track), 30) for track in scene.tracks], float)
    track = scene.tracks[rng.choice(len(scene.tracks), p=length / length.sum())]
    begin = int(rng.integers(max(1, len(track) - 2 * _LONGEST)))
    track = track[begin : begin + 2 * _LONGEST]
    sprites = [events.sprite_of(stage.frames[blob.position], blob) for blob in track]
    return sprites, float(track[-1].foot[0] - track[0].foot[0])


def _object(stage: Stage, place: np.ndarray, heights: tuple[float, float]) -> np.ndarray:
    """The sprite of an alien object for a place, `heights` (least, most) in heights of a person there."""
    scene, rng = stage.scene, stage.rng
    tall = stage.tall(place) * rng.uniform(*heights)
    wide = tall * rng.uniform(0.5, 1.4)
    mask = None
    if scene.tracks and rng.random() < 0.3:
        track = scene.tracks[rng.integers(len(scene.tracks))]
        mask = track[len(track) // 2].mask
        wide = tall * mask.shape[1] / mask.shape[0]
    around = events.brightness(stage.frame, place, tall)
    return events.alien(scene, rng, (round(tall), round(wide)), around, mask)


def _walk(scene: events.Scene, place: np.ndarray, velocity: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Feet (T, 2) on a straight way past a place, pixels a frame; at the border of the frame or the ground it turns."""
    height, width = scene.background.shape[:2]
    rows = scene.feet[:, 1] if len(scene.feet) else np.array([0.4, 0.98]) * height
    low = np.array([0.03 * width, min(rows.min(), place[1])])
    span = np.array([0.94 * width, max(1.0, max(rows.max(), place[1]) - low[1])])
    feet = place + (steps - steps.mean())[:, None] * velocity - low
    return np.asarray(low + span - np.abs(feet % (2 * span) - span))


def _lit(act: Act, stage: Stage) -> Act:
    """The act with its sprites as bright as the light where it plays suggests, against that of the clip's walks."""
    here, *usual = (
        events.brightness(stage.frame, foot, stage.tall(foot))
        for foot in (act.feet[len(act.feet) // 2], *stage.scene.feet[::50])
    )
    gain = np.ones(4, np.float32)
    gain[:3] = np.clip(np.sqrt((here + 20) / (np.median(usual or [here]) + 20)), 0.8, 1.25)
    return Act([sprite * gain for sprite in act.sprites], act.feet, act.scales)


def _tall(sprites: Sequence[np.ndarray]) -> float:
    """The usual height of a figure's sprites in pixels, without their margins."""
    return float(np.median([len(sprite) for sprite in sprites])) - 2 * events.MARGIN


def _to_and_fro(step: int, length: int) -> int:
    """An index that runs up to length - 1 and back, so that a walk goes on without a jump."""
    turn = step % max(1, 2 * length - 2)
    return min(turn, 2 * length - 2 - turn) if length > 1 else 0
