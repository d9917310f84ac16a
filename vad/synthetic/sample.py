"""The built-in sample: a small labelled surveillance data set, made from a seed.

People walk along a walkway in both directions: that is normal. What happens on some stretches of the test clips is
not: see `EVENTS`. The test frames then get the competition's corruption, whatever their label.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from vad.quality import corruption
from vad.storage import files
from vad.synthetic import scene
from vad.synthetic.scene import HEIGHT, RUN, STAND, THROW, WALK, WIDTH, Gait, Look, Part

TRAINING, TESTING = 8, 10
FRAME_RATE = 10.0
JPEG_QUALITY = 95
SENSOR_NOISE = 2.5
FLIP, NOISE, DROP = 0.10, 0.20, 0.017
EVENT_SHARE = 0.245, 0.255
"""Between these lies the share of anomalous frames among the test frames that are written."""
AWAY = 1e3


@dataclass(frozen=True)
class Event:
    """Something unusual in the frames [start, stop) of a clip; `variant` 0 or 1 chooses how it happens."""

    kind: str
    variant: int
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """What a clip will show, and which of its `count` frames are written, how corrupted.

    `kept` has the rows of `corruption.plan` for the frames that are written, by frame number.
    """

    split: str
    video: str
    count: int
    is_video: bool
    events: list[Event]
    kept: pd.DataFrame
    seed: tuple[int, int]

    def rng(self, purpose: int) -> np.random.Generator:
        """A random generator of the clip's own, by purpose: 1 normal, 2 events, 3 camera noise, 4 corruption."""
        return np.random.default_rng([*self.seed, purpose])

    def kinds(self) -> list[str]:
        """The kind of the event at each of the `count` frames, empty where all is normal."""
        kinds = [""] * self.count
        for event in self.events:
            kinds[event.start : event.stop] = [event.kind] * (event.stop - event.start)
        return kinds


@dataclass(frozen=True)
class Clip:
    """A clip before cuts and corruption: `frames` (T, 180, 320, 3) uint8 RGB, label 0 or 1 and kind of each frame."""

    plan: Plan
    frames: np.ndarray
    labels: np.ndarray
    kinds: list[str]


@dataclass(frozen=True)
class Actor:
    """A figure: its path x, z (T,) in metres, x = AWAY where it is absent, and its parts at a frame."""

    x: np.ndarray
    z: np.ndarray
    parts: Callable[[int], list[Part]]


def plan_clips(seed: int) -> list[Plan]:
    """The clips of the sample: 8 for training, then 10 for testing; drawn until events, cuts and gaps are as wanted."""
    rng = np.random.default_rng([seed, 0, 1])
    training = []
    for k in range(1, TRAINING + 1):
        # The last two are long: held out by default, they are what validation clips are made of.
        count = int(rng.integers(150, 161) if k > TRAINING - 2 else rng.integers(42, 49))
        whole = corruption.plan(count, rng, flip=0, noise=0, drop=0)
        training.append(Plan("training", f"{k:02d}", len(whole), k % 2 == 0, [], whole, (seed, k)))
    while True:
        cast = [(kind, variant) for kind in EVENTS for variant in (0, 1)]
        rng.shuffle(cast)
        videos = rng.permutation(TESTING) < 3
        testing = []
        for k, share in enumerate(rng.permutation([2, 2, 2, 1, 1, 1, 1, 1, 1, 0])):
            count, events = _programme(rng, [cast.pop() for _ in range(share)])
            kept = _corruption(rng, count, bool(videos[k]))
            seeds = seed, TRAINING + 1 + k
            testing.append(Plan("testing", f"{k + 1:02d}", count, bool(videos[k]), events, kept, seeds))
        anomalous = np.concatenate([np.array(plan.kinds())[plan.kept.index] != "" for plan in testing])
        numbers = [plan.kept.index for plan in testing]
        cut, gaps = (any(n[0] > 0 for n in numbers), any(n[-1] - n[0] >= len(n) for n in numbers))
        if EVENT_SHARE[0] <= anomalous.mean() <= EVENT_SHARE[1] and cut and gaps:
            return training + testing


def _programme(rng: np.random.Generator, cast: list[tuple[str, int]]) -> tuple[int, list[Event]]:
    """The length of a test clip and its events, one after the other, at random times."""
    lengths = [int(rng.integers(*EVENTS[kind].frames, endpoint=True)) for kind, _ in cast]
    count = int(rng.integers(46, 66))
    # At least three normal frames before, between and after.
    pauses = 3 + rng.multinomial(count - sum(lengths) - 3 * (len(cast) + 1), rng.dirichlet(np.full(len(cast) + 1, 1.5)))
    events, start = [], 0
    for (kind, variant), pause, length in zip(cast, pauses[:-1], lengths, strict=True):
        start += int(pause)
        events.append(Event(kind, variant, start, start + length))
        start += length
    return count, events


def _corruption(rng: np.random.Generator, count: int, is_video: bool) -> pd.DataFrame:
    """Which frames of a test clip are written, how corrupted.

    A video keeps all its frames: their numbers are positions, so it can't tell that some are missing.
    """
    if is_video:
        return corruption.plan(count, rng, FLIP, NOISE, drop=0)
    fate = corruption.plan(count, rng, FLIP, NOISE, DROP).iloc[corruption.cut_ends(count, rng)]
    return fate[~fate["dropped"]]


def _lane(rng: np.random.Generator) -> float:
    near, far = scene.WALKWAY
    return float(rng.uniform(near + 0.9, far - 0.4))


def _pace(rng: np.random.Generator) -> float:
    """A walker's metres a frame."""
    return float(rng.uniform(0.8, 1.2)) / FRAME_RATE


def _walker(
    rng: np.random.Generator,
    vx: np.ndarray,
    vz: np.ndarray,
    gaits: list[Gait],
    at: int,
    place: tuple[float, float],
) -> Actor:
    """A new person with the velocities (T,) in metres a frame, who is at `place` (x, z) at the frame `at`."""
    x, z = (np.concatenate([[0], np.cumsum(v)]) for v in (vx, vz))
    x, z = (v[:-1] - v[at] + here for v, here in zip((x, z), place, strict=True))
    speed = np.hypot(vx, vz)
    heading = np.where(speed > 0, np.arctan2(vz, vx), rng.uniform(-1.2, -0.4) * np.pi / 1.6)
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(2 * np.pi * speed / [gait.stride for gait in gaits])
    look = Look.draw(rng)
    return Actor(x, z, lambda t: scene.person(look, heading[t], phase[t], gaits[t]))


def _passer_by(rng: np.random.Generator, count: int) -> Actor:
    """A normal person: along the walkway, in either direction, at an even pace."""
    z = _lane(rng)
    vx = np.full(count, rng.choice([-1, 1]) * _pace(rng))
    x = rng.uniform(-1, 1) * scene.half_width(z)
    return _walker(rng, vx, np.zeros(count), [WALK] * count, int(rng.integers(count)), (x, z))


def _running(rng: np.random.Generator, event: Event, count: int) -> list[Actor]:
    """A walker breaks into a run and leaves the picture."""
    side, z = rng.choice([-1, 1]), _lane(rng)
    gaits = [WALK] * event.start + [RUN] * (count - event.start)
    vx = side * np.repeat([_pace(rng), rng.uniform(4.6, 5.4) / FRAME_RATE], [event.start, count - event.start])
    edge = side * (scene.half_width(z) + 0.3)
    return [_walker(rng, vx, np.zeros(count), gaits, event.stop, (edge, z))]


def _wrong_way(rng: np.random.Generator, event: Event, count: int) -> list[Actor]:
    """A walker leaves the walkway: up to the door and in, or across the near lawn and out of the picture."""
    side, length = rng.choice([-1, 1]), event.stop - event.start
    vx, vz = np.full(count, side * _pace(rng)), np.zeros(count)
    if event.variant:
        start, end = 5.4, 3.7
        vx[event.start :] *= 0.8
        goal = side * (scene.half_width(end) + 0.25)
    else:
        start, end = rng.uniform(7.6, 7.9), scene.WALL - 0.5
        vx[event.start : event.stop] = 0.01 * side
        goal = scene.DOOR
    vz[event.start : event.stop] = (end - start) / length
    walker = _walker(rng, vx, vz, [WALK] * count, event.stop, (goal, end))
    walker.x[event.stop :] = AWAY
    return [walker]


def _loitering(rng: np.random.Generator, event: Event, count: int) -> list[Actor]:
    """A walker stops, stands about, and walks on."""
    z = _lane(rng)
    vx = np.full(count, rng.choice([-1, 1]) * _pace(rng))
    vx[event.start : event.stop] = 0
    gaits = [STAND if v == 0 else WALK for v in vx]
    place = rng.uniform(-0.7, 0.7) * scene.half_width(z), z
    return [_walker(rng, vx, np.zeros(count), gaits, event.start, place)]


def _thrown_object(rng: np.random.Generator, event: Event, count: int) -> list[Actor]:
    """A walker throws a bag high up and catches it."""
    z = _lane(rng)
    vx = np.full(count, rng.choice([-1, 1]) * _pace(rng))
    gaits = [THROW if event.start <= t < event.stop else WALK for t in range(count)]
    place = rng.uniform(-0.5, 0.5) * scene.half_width(z), z
    thrower = _walker(rng, vx, np.zeros(count), gaits, event.start, place)
    colour, length = Look.draw(rng).shirt, event.stop - event.start

    def bag(t: int) -> list[Part]:
        flown = (t - event.start + 0.5) / length
        up = 1.75 + 9.81 / 2 * (length / FRAME_RATE) ** 2 * flown * (1 - flown)
        across, above = 0.13 * np.cos(5 * flown), 0.13 * np.sin(5 * flown)
        return [Part([(across, up + above, 0.16), (-across, up - above, 0.12)], colour)]

    x = np.full(count, AWAY)
    x[event.start : event.stop] = (thrower.x + 0.25 * np.sign(vx))[event.start : event.stop]
    return [thrower, Actor(x, thrower.z - 0.05, bag)]


def _foreign_object(rng: np.random.Generator, event: Event, count: int) -> list[Actor]:
    """A bicycle, or a luggage cart that rolls by itself, crosses the picture."""
    side, z, look = int(rng.choice([-1, 1])), _lane(rng), Look.draw(rng)
    x = side * _crossing(event, count, scene.half_width(z) + 0.25)
    if event.variant:
        return [Actor(x, np.full(count, z), lambda t: scene.cart(look))]
    return [Actor(x, np.full(count, z), lambda t: scene.bicycle(look, side, 2.2 * side * x[t]))]


def _close(rng: np.random.Generator, event: Event, count: int) -> list[Actor]:
    """Somebody passes right in front of the camera."""
    side, z, look = int(rng.choice([-1, 1])), rng.uniform(2.0, 2.3), Look.draw(rng)
    x = side * _crossing(event, count, scene.half_width(z) - 0.05)
    heading = 0.0 if side > 0 else np.pi
    return [Actor(x, np.full(count, z), lambda t: scene.person(look, heading, 2 * np.pi * side * x[t] / 1.6, WALK))]


def _crossing(event: Event, count: int, edge: float) -> np.ndarray:
    """From -edge to edge during the event at an even pace (T,); out of the picture before and after."""
    step = 2 * edge / (event.stop - event.start - 1)
    x = -edge + step * (np.arange(count) - event.start)
    return np.where(np.abs(x) < edge + step / 2, x, AWAY)


@dataclass(frozen=True)
class Kind:
    """A kind of event: who acts in it, and the fewest and most frames it lasts."""

    actors: Callable[[np.random.Generator, Event, int], list[Actor]]
    frames: tuple[int, int]


EVENTS = {
    "running": Kind(_running, (9, 12)),
    "wrong_way": Kind(_wrong_way, (11, 13)),
    "loitering": Kind(_loitering, (10, 13)),
    "thrown_object": Kind(_thrown_object, (8, 9)),
    "foreign_object": Kind(_foreign_object, (14, 16)),
    "close": Kind(_close, (11, 13)),
}


def render_clips(seed: int) -> Iterator[Clip]:
    """The clips of the sample before cuts and corruption, training first; rendered on every core."""
    plans = plan_clips(seed)
    backdrop = scene.backdrop(np.random.default_rng([seed, 0, 2]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda plan: render(plan, backdrop), plans)


def render(plan: Plan, backdrop: np.ndarray) -> Clip:
    """The clip of a plan before cuts and corruption, in front of a backdrop (180, 320, 3)."""
    # A generator for each, so that a clip without its events is the same clip but for them.
    rng, chance, noise = plan.rng(1), plan.rng(2), plan.rng(3)
    actors = [_passer_by(rng, plan.count) for _ in range(rng.integers(3, 7))]
    for event in plan.events:
        actors += EVENTS[event.kind].actors(chance, event, plan.count)
    cloth = scene.fractal(rng, (256, 256), 2, 4)
    times = np.arange(plan.count)
    light = rng.uniform(0.93, 1.07) + 0.03 * np.sin(2 * np.pi * (times / rng.uniform(60, 120) + rng.random()))
    frames = np.empty((plan.count, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(plan.count):
        image = backdrop.copy()
        for actor in sorted(actors, key=lambda actor: -actor.z[t]):
            if abs(actor.x[t]) < scene.half_width(actor.z[t]) + 1.5:
                scene.paint(image, actor.x[t], actor.z[t], actor.parts(t), cloth)
        image *= light[t]
        image += SENSOR_NOISE * noise.standard_normal(image.shape, np.float32)
        frames[t] = np.clip(image, 0, 255)
    kinds = plan.kinds()
    return Clip(plan, frames, np.array([int(kind != "") for kind in kinds]), kinds)


Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]


def make_sample(root: Path, seed: int, progress: Progress = lambda items, what, total: items) -> None:
    """Write the sample into the folder `root`: training/, testing/, labels.csv and, as truth, corruption.csv.

    labels.csv has a row (video, frame, label, kind) for every test frame, corruption.csv a row (video, frame,
    flipped, noisy). The same seed gives the same bytes. `progress(items, what, total)` may show how far it is.
    """
    rows = []
    for clip in progress(render_clips(seed), "making the sample", TRAINING + TESTING):
        plan, numbers = clip.plan, clip.plan.kept.index.to_numpy()
        _write(clip, root / plan.split / plan.video)
        if plan.split == "testing":
            truth = {"label": clip.labels[numbers], "kind": np.array(clip.kinds)[numbers]}
            nuisance = {name: plan.kept[name].to_numpy(int) for name in ("flipped", "noisy")}
            rows.append(pd.DataFrame({"video": plan.video, "frame": numbers} | truth | nuisance))
    table = pd.concat(rows)
    for name, columns in {"labels": ["label", "kind"], "corruption": ["flipped", "noisy"]}.items():
        text = table[["video", "frame", *columns]].to_csv(index=False, lineterminator="\n")
        files.write_text(root / f"{name}.csv", text)


def _write(clip: Clip, path: Path) -> None:
    """Write the kept frames of a clip, corrupted as planned, as a video or as a folder of numbered images."""
    rng = clip.plan.rng(4)
    kept = clip.plan.kept
    images = (
        (number, corruption.apply(clip.frames[number], flipped, noisy, rng)[..., ::-1])
        for number, flipped, noisy in zip(kept.index, kept["flipped"], kept["noisy"], strict=True)
    )
    if clip.plan.is_video:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path.with_suffix(".avi")) as temporary:
            # OpenCV's own Motion JPEG: there whatever codecs the machine has.
            codec = cv2.VideoWriter.fourcc(*"MJPG")
            writer = cv2.VideoWriter(str(temporary), cv2.CAP_OPENCV_MJPEG, codec, FRAME_RATE, (WIDTH, HEIGHT))
            writer.set(cv2.VIDEOWRITER_PROP_QUALITY, JPEG_QUALITY)
            for _, image in images:
                writer.write(np.ascontiguousarray(image))
            writer.release()
        return
    path.mkdir(parents=True, exist_ok=True)
    for number, image in images:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (path / f"frame_{number:05d}.jpg").write_bytes(data.tobytes())
