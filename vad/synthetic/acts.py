"""Synthetic events worked out: who or what appears, where it goes, and how large it is, frame by frame.

They imitate what real events are made of: figures that run, loiter, walk against the stream, close to the camera or
where nobody walks, objects that do not belong, moving or left standing, and pieces of another time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vad.synthetic import events

LONGEST = 40
"""Frames of a walk of which a figure is made, and of most events."""
_STRIDE = 30


class Walk(NamedTuple):
    """Somebody walking: sprites one after another, and how far along x the walk went, in pixels."""

    sprites: list[np.ndarray]
    along: float


@dataclass(frozen=True)
class Stage:
    """Where an event plays: what is usual there, the frame amidst it, the frame numbers since its start.

    `frames` are those that `scene` was surveyed in. `strangers` walk in other clips.
    """

    scene: events.Scene
    frames: Sequence[np.ndarray]
    frame: np.ndarray
    steps: np.ndarray
    rng: np.random.Generator
    strangers: Sequence[Walk] = ()

    def tall(self, place: np.ndarray) -> float:
        """The height of a person whose foot is at (x, y), in pixels."""
        return float(self.scene.height_at(place[1]))


@dataclass(frozen=True)
class Act:
    """An event worked out: a sprite, where its foot stands (T, 2) and its scale (T,), for each of T frames."""

    sprites: list[np.ndarray]
    feet: np.ndarray
    scales: np.ndarray


def moving(stage: Stage) -> Act:
    """An object that does not belong, on a usual way, as fast as people or twice as fast."""
    scene, steps, rng = stage.scene, stage.steps, stage.rng
    place, way = scene.place(rng), scene.usual_way(rng)
    sprite = _object(stage, place, (0.5, 1.1))
    feet = _walk(scene, place, way * scene.pace * rng.uniform(1, 2), steps)
    return Act([sprite] * len(steps), feet, scene.height_at(feet[:, 1]) / stage.tall(place))


def standing(stage: Stage) -> Act:
    """A figure that loiters or an object left behind, where nobody is; people never stand quite still."""
    steps, rng = stage.steps, stage.rng
    residual = events.contrast(stage.frame, stage.scene.background)
    places = [stage.scene.place(rng) for _ in range(12)]
    place = min(places, key=lambda spot: events.brightness(residual, spot, stage.tall(spot)))
    feet = np.repeat(place[None], len(steps), axis=0)
    if rng.random() < 0.5:
        return Act([_object(stage, place, (0.4, 1.0))] * len(steps), feet, np.ones(len(steps)))
    sprites = _figure(stage).sprites[:1]
    feet[:, 0] += 0.02 * stage.tall(place) * np.sin(steps / rng.uniform(3, 6))
    return _lit(Act(sprites * len(steps), feet, np.full(len(steps), stage.tall(place) / _tall(sprites))), stage)


def fast(stage: Stage) -> Act:
    """A figure that runs, or something thrown."""
    scene, rng = stage.scene, stage.rng
    place, way = scene.place(rng), scene.usual_way(rng)
    if rng.random() < 0.4:
        return _throw(stage, place, way)
    return _go(stage, _figure(stage), place, way * scene.pace * rng.uniform(3, 5), tempo=2)


def wrong_way(stage: Stage) -> Act:
    """A figure that walks where the fewest walks go."""
    scene, rng = stage.scene, stage.rng
    place = scene.place(rng)
    return _go(stage, _figure(stage), place, scene.rarest_way(rng) * scene.pace * rng.uniform(1, 1.5))


def misplaced(stage: Stage) -> Act:
    """Somebody from another clip, half or twice as tall as people are here, or as tall, but where nobody walks."""
    scene, rng = stage.scene, stage.rng
    strangers = stage.strangers
    walk = strangers[int(rng.integers(len(strangers)))] if strangers else _figure(stage)
    velocity = scene.usual_way(rng) * scene.pace * rng.uniform(0.7, 1.3)
    if rng.random() < 0.5:
        return _go(stage, walk, _off_the_paths(scene, rng), velocity)
    size = rng.uniform(0.4, 0.6) if rng.random() < 0.5 else rng.uniform(1.6, 2.2)
    return _go(stage, walk, scene.place(rng), velocity, size=size)


def patch(stage: Stage) -> Act:
    """A piece of another time at another place: somebody and what is around, softly bordered (Astrid et al., 2021)."""
    scene, steps, rng = stage.scene, stage.steps, stage.rng
    place = scene.place(rng)
    height, width = scene.background.shape[:2]
    tall = round(stage.tall(place) * rng.uniform(0.8, 1.5))
    wide = round(tall * rng.uniform(0.6, 1.2))
    if scene.tracks:
        track = scene.tracks[rng.integers(len(scene.tracks))]
        begin = int(rng.integers(len(track)))
        foot, first = track[begin].foot, track[begin].position
    else:
        foot, first = scene.place(rng), int(rng.integers(len(stage.frames)))
    left = int(np.clip(foot[0] - wide / 2, 0, max(0, width - wide)))
    top = int(np.clip(foot[1] - 0.9 * tall, 0, max(0, height - tall)))
    mask = np.ones((min(tall, height), min(wide, width)), bool)
    cast = [
        events.sprite_of(stage.frames[min(first + int(step), len(stage.frames) - 1)], events.Blob(0, left, top, mask))
        for step in steps
    ]
    feet = _walk(scene, place, scene.usual_way(rng) * scene.pace * rng.uniform(0, 1), steps)
    return Act(cast, feet, np.ones(len(steps)))


def close(stage: Stage) -> Act:
    """A figure about as tall as the frame that crosses it from one side, its feet below the lower border."""
    steps, rng = stage.steps, stage.rng
    height, width = stage.scene.background.shape[:2]
    sprites, along = _figure(stage)
    tall = rng.uniform(0.8, 1.4) * height
    scale = tall / _tall(sprites)
    wide = float(np.median([sprite.shape[1] for sprite in sprites])) * scale
    speed = min((width + 0.2 * wide) / max(1.0, steps[-1]), 0.06 * width)
    x = steps * speed - 0.1 * wide  # it starts, and mostly ends, partly in view
    forward = rng.random() < 0.5
    feet = np.column_stack([x if forward else width - x, np.full(len(steps), tall + rng.uniform(0, 0.4) * height)])
    mirrored = (along > 0) != forward
    cast = [sprites[_to_and_fro(int(step), len(sprites))] for step in steps]
    return Act([s[:, ::-1] for s in cast] if mirrored else cast, feet, np.full(len(steps), scale))


def passer_by(stage: Stage) -> Act:
    """Somebody of the clip once more, on the same way as before: nothing but the seam tells it from a normal walk."""
    scene, rng = stage.scene, stage.rng
    track = scene.tracks[rng.integers(len(scene.tracks))]
    count = min(len(track), len(stage.steps))
    begin = int(rng.integers(len(track) - count + 1))
    chosen = track[begin : begin + count]
    sprites = [events.sprite_of(stage.frames[blob.position], blob) for blob in chosen]
    return Act(sprites, np.array([blob.foot for blob in chosen]), np.ones(count))


def walks(scene: events.Scene, frames: Sequence[np.ndarray], count: int) -> list[Walk]:
    """At most `count` walks of a clip, the longest ones, to appear in other clips."""
    chosen = sorted(scene.tracks, key=len, reverse=True)[:count]
    return [_of_track(track[:LONGEST], frames) for track in chosen]


def _of_track(track: Sequence[events.Blob], frames: Sequence[np.ndarray]) -> Walk:
    sprites = [events.sprite_of(frames[blob.position], blob) for blob in track]
    return Walk(sprites, float(track[-1].foot[0] - track[0].foot[0]))


def _figure(stage: Stage) -> Walk:
    """Somebody of the clip walking; an alien where nobody walks."""
    scene, rng = stage.scene, stage.rng
    if not scene.tracks:
        tall = stage.tall(scene.place(rng))
        size = (round(tall), round(tall * rng.uniform(0.4, 0.6)))
        return Walk([events.alien(scene, rng, size, float(scene.background.mean()))], 1.0)
    length = np.array([min(len(track), _STRIDE) for track in scene.tracks], float)
    track = scene.tracks[rng.choice(len(scene.tracks), p=length / length.sum())]
    begin = int(rng.integers(max(1, len(track) - 2 * LONGEST)))
    return _of_track(track[begin : begin + 2 * LONGEST], stage.frames)


def _go(stage: Stage, walk: Walk, place: np.ndarray, velocity: np.ndarray, tempo: int = 1, size: float = 1.0) -> Act:
    """A walk past a place, at a velocity in pixels a frame; `size` in heights of a person there."""
    scene, steps = stage.scene, stage.steps
    feet = _walk(scene, place, velocity, steps)
    going = np.gradient(feet[:, 0]) if len(feet) > 1 else velocity[:1]
    cast = [walk.sprites[_to_and_fro(int(step) * tempo, len(walk.sprites))] for step in steps]
    cast = [s[:, ::-1] if walk.along * dx < -1e-6 else s for s, dx in zip(cast, going, strict=True)]
    return _lit(Act(cast, feet, size * scene.height_at(feet[:, 1]) / _tall(walk.sprites)), stage)


def _throw(stage: Stage, place: np.ndarray, way: np.ndarray) -> Act:
    """A small object that flies in arcs from a person's height."""
    scene, steps, rng = stage.scene, stage.steps, stage.rng
    sprite = _object(stage, place, (0.25, 0.4))
    phase = steps / rng.uniform(12, 20) % 1
    feet = _walk(scene, place, way * [1, 0] * scene.pace * rng.uniform(2, 4), steps)
    feet[:, 1] -= stage.tall(place) * (0.6 + rng.uniform(0.6, 1.4) * 4 * phase * (1 - phase))
    return Act([sprite] * len(steps), feet, np.ones(len(steps)))


def _off_the_paths(scene: events.Scene, rng: np.random.Generator) -> np.ndarray:
    """A foot (x, y) far from where people walk, in the part of the frame where a person can stand."""
    height, width = scene.background.shape[:2]
    places = rng.uniform((0.1 * width, 0.25 * height), (0.9 * width, 0.95 * height), (12, 2))
    if not len(scene.feet):
        return np.asarray(places[0])
    nearest = np.linalg.norm(places[:, None] - scene.feet[None, ::5], axis=2).min(axis=1)
    return np.asarray(places[nearest.argmax()])


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
