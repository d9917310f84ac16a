"""Tiny clips of an indoor camera that nobody turned: lights go off and on, the camera moves, the room tells little.

Every frame stands upright and carries the camera's own noise only, so whatever is found there is found falsely.

    python -m tests.lit_rooms [ROOMS]

prints what `diagnose` finds in every scene, over that many rooms, as a table in Markdown.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from vad.data.clips import MappedClip
from vad.quality import diagnosis

HEIGHT, WIDTH = 90, 120
BORDER = 16
"""Pixels of the room around what a camera at rest sees: where it shakes and turns to."""
FRAMES = 40


@dataclass(frozen=True)
class Room:
    """What a camera looks at; all arrays are (H + 2 BORDER, W + 2 BORDER).

    `surface` is the share of light that each place reflects, `lamps` the light that reaches it while the lamps are on,
    `rest` the light while they are off: that of a window or a screen low in the room.
    """

    surface: np.ndarray
    lamps: np.ndarray
    rest: np.ndarray


class Camera(NamedTuple):
    """How a camera takes a clip: by frame the lamps, 1 on to 0 off, and how many pixels down and right it looks.

    The deviation of its noise is in grey levels, with the lamps on and off; each grain of noise in the dark is
    `grain` pixels wide. `adapts` is auto-exposure; `cover` is the share of the frame's height and width that an
    object covers.
    """

    lamps: np.ndarray
    down: np.ndarray
    right: np.ndarray
    noise: float = 2.0
    dark_noise: float = 2.0
    grain: float = 0.0
    adapts: bool = False
    cover: float = 0.0


def room(rng: np.random.Generator, rest: float = 0.12) -> Room:
    """A room with a bright ceiling, a wall, a floor and furniture. The lamps hang high; `rest` is left without them."""
    height, width = HEIGHT + 2 * BORDER, WIDTH + 2 * BORDER
    surface = np.empty((height, width), np.float32)
    ceiling, floor = int(height * rng.uniform(0.15, 0.35)), int(height * rng.uniform(0.6, 0.8))
    surface[:ceiling], surface[ceiling:floor], surface[floor:] = rng.uniform((0.6, 0.35, 0.15), (0.9, 0.7, 0.5))
    for _ in range(30):
        high, wide = rng.integers(4, 30, 2)
        top, left = rng.integers(0, height - high), rng.integers(0, width - wide)
        surface[top : top + high, left : left + wide] = rng.uniform(0.08, 0.9)
    surface = cv2.GaussianBlur((surface * rng.uniform(0.92, 1.08, surface.shape)).astype(np.float32), (3, 3), 0)
    return Room(surface, _glow(rng, 0.0, 0.25) + 0.25, rest * (_glow(rng, 0.75, 1.0) + 0.1))


def _glow(rng: np.random.Generator, highest: float, lowest: float) -> np.ndarray:
    """Light that falls off from 1 at a place between two shares of the room's height, 0 at its top."""
    rows, columns = np.mgrid[: HEIGHT + 2 * BORDER, : WIDTH + 2 * BORDER].astype(np.float32)
    row = (HEIGHT + 2 * BORDER) * rng.uniform(highest, lowest)
    column = (WIDTH + 2 * BORDER) * rng.uniform(0.1, 0.9)
    reach = HEIGHT * rng.uniform(0.3, 0.8)
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * reach**2)).astype(np.float32)


def symmetric(plain: Room, differs: float = 0.0) -> Room:
    """A room that looks the same top to bottom by lamplight, but for the share `differs` of what it was."""

    def fold(image: np.ndarray) -> np.ndarray:
        return (1 - differs) * (image + image[::-1]) / 2 + differs * image

    return Room(fold(plain.surface), fold(plain.lamps), plain.rest)


def wall(plain: Room) -> Room:
    """A wall of one colour, under even lamps."""
    return replace(plain, surface=np.full_like(plain.surface, 0.5), lamps=np.ones_like(plain.lamps))


def blinds(plain: Room, rng: np.random.Generator) -> Room:
    """Blinds before the room: half a slat further down they look like themselves turned."""
    rows = np.arange(len(plain.surface), dtype=np.float32)[:, None]
    slats = 0.5 + 0.35 * np.sin(2 * np.pi * (rows / rng.uniform(14, 24) + rng.random()))
    return replace(plain, surface=0.9 * slats + 0.1 * plain.surface, lamps=np.ones_like(plain.lamps))


def at_rest() -> Camera:
    """A camera that stands still while the lamps are on."""
    return Camera(np.ones(FRAMES), np.zeros(FRAMES), np.zeros(FRAMES))


def switched(camera: Camera, fade: int = 1) -> Camera:
    """The same with the lamps off in the middle half of the clip, fading within `fade` frames."""
    outside = np.abs(np.arange(FRAMES) - (FRAMES - 1) / 2) - FRAMES / 4
    return camera._replace(lamps=np.clip(0.5 + outside / fade, 0, 1))


def shaken(camera: Camera, rng: np.random.Generator) -> Camera:
    """The same, shaken by a few pixels up and down and to the sides."""
    down, right = rng.normal(0, 2, (2, FRAMES))
    return camera._replace(down=down, right=right)


def turned(camera: Camera, down: float, right: float) -> Camera:
    """The same, turning slowly until it looks that many pixels further down and to the right."""
    share = np.linspace(0, 1, FRAMES)
    return camera._replace(down=down * share, right=right * share)


def film(seen: Room, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """The frames (T, H, W, 3) uint8 that a camera takes of a room in which somebody walks."""
    frames = []
    exposure, start = 1.0, rng.uniform(0, WIDTH)
    for index, lit in enumerate(camera.lamps):
        surface = seen.surface.copy()
        left = BORDER + int(start + 3 * index) % (WIDTH - 14)
        surface[BORDER + 40 : BORDER + 75, left : left + 12] = 0.75
        if camera.cover:
            top, wide = int((1 - camera.cover) * len(surface)), int(camera.cover * surface.shape[1])
            surface[top:, :wide] = 0.2 + 0.3 * (np.arange(wide) // 9 % 2)
        light = surface * (lit * seen.lamps + (1 - lit) * seen.rest)
        place = np.array([[1, 0, BORDER + camera.right[index]], [0, 1, BORDER + camera.down[index]]], np.float32)
        view = cv2.warpAffine(light, place, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        if camera.adapts:  # towards a mean of 0.4, over a few frames
            exposure = float(np.clip(exposure * (0.4 / max(exposure * view.mean(), 0.01)) ** 0.3, 0.2, 12))
        grey = 255 * np.clip(exposure * view, 0, 1) ** 0.8
        noise = _noise(camera, float(lit), rng) * max(exposure, 1.0) ** 0.5
        frames.append(np.clip(grey[:, :, None] * (1.0, 0.97, 0.92) + noise, 0, 255).astype(np.uint8))
    return np.stack(frames)


def _noise(camera: Camera, lit: float, rng: np.random.Generator) -> np.ndarray:
    """The camera's noise (H, W, 3) in grey levels."""
    noise = rng.normal(0, 1, (HEIGHT, WIDTH, 3))
    dark = noise
    if camera.grain:
        dark = cv2.GaussianBlur(noise, (0, 0), camera.grain / 2)
        dark = dark / dark.std()
    return np.asarray(lit * camera.noise * noise + (1 - lit) * camera.dark_noise * dark)


Scene = Callable[[np.random.Generator], tuple[Room, Camera]]

SCENES: dict[str, Scene] = {
    "lights off and on": lambda rng: (room(rng), switched(at_rest())),
    "lights fade": lambda rng: (room(rng), switched(at_rest(), fade=16)),
    "near black": lambda rng: (room(rng, rest=0.01), switched(at_rest())),
    "night noise": lambda rng: (room(rng, rest=0.05), switched(at_rest()._replace(dark_noise=8.0))),
    "coarse night noise": lambda rng: (room(rng, 0.02), switched(at_rest()._replace(dark_noise=8.0, grain=5.0))),
    "auto-exposure": lambda rng: (room(rng), switched(at_rest()._replace(adapts=True))),
    "shake": lambda rng: (room(rng), shaken(at_rest(), rng)),
    "shake, lights off and on": lambda rng: (room(rng), switched(shaken(at_rest(), rng))),
    "pan": lambda rng: (room(rng), turned(at_rest(), 0, BORDER)),
    "tilt": lambda rng: (room(rng), turned(at_rest(), BORDER, 0)),
    "tilt, lights off and on": lambda rng: (room(rng), switched(turned(at_rest(), BORDER, 0))),
    "symmetric": lambda rng: (symmetric(room(rng)), at_rest()),
    "symmetric, lights off and on": lambda rng: (symmetric(room(rng)), switched(at_rest())),
    "nearly symmetric": lambda rng: (symmetric(room(rng), 0.1), at_rest()),
    "nearly symmetric, lights off and on": lambda rng: (symmetric(room(rng), 0.1), switched(at_rest())),
    "uniform wall": lambda rng: (wall(room(rng)), at_rest()),
    "uniform wall, lights off and on": lambda rng: (wall(room(rng)), switched(at_rest())),
    "large object": lambda rng: (room(rng), at_rest()._replace(cover=0.85)),
    "large object, lights off and on": lambda rng: (room(rng), switched(at_rest()._replace(cover=0.85))),
    "blinds, shake": lambda rng: (blinds(room(rng), rng), shaken(at_rest(), rng)),
    "blinds, tilt": lambda rng: (blinds(room(rng), rng), turned(at_rest(), BORDER, 0)),
    "blinds, lights off and on": lambda rng: (blinds(room(rng), rng), switched(at_rest())),
}


class Found(NamedTuple):
    """Frames of a clip falsely found flipped, falsely found noisy, and found once they are flipped in earnest."""

    flipped: int
    noisy: int
    true_flips: int


def find(name: str, seed: int, shown: bool) -> Found:
    """What `diagnose` finds in a scene of SCENES; training is the same room at rest and by light.

    `shown`: training has a clip of what happens in the scene, too.
    """
    rng = np.random.default_rng([seed, list(SCENES).index(name)])
    seen, camera = SCENES[name](rng)
    training = [clip("01", film(seen, at_rest(), rng)), *([clip("02", film(seen, camera, rng))] if shown else [])]
    known = diagnosis.backgrounds(training)
    lines = diagnosis.thresholds(pd.concat([diagnosis.measure_clip("train", found, known) for found in training]))
    frames = film(seen, camera, rng)
    upright, flipped = (
        diagnosis.decide(diagnosis.measure_clip("test", clip("03", shot), known), lines)
        for shot in (frames, frames[:, ::-1])
    )
    return Found(int(upright["flipped"].sum()), int(upright["noisy"].sum()), int(flipped["flipped"].sum()))


def clip(video: str, frames: np.ndarray) -> MappedClip:
    return MappedClip(video, np.arange(len(frames)), Path(video), np.ascontiguousarray(frames))


if __name__ == "__main__":
    rooms = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    counts = [f"{training}: {count.replace('_', ' ')}" for training in ("unseen", "shown") for count in Found._fields]
    print("|", " | ".join(["scene", "frames", *counts]), "|")
    print("|", " | ".join(["---"] * (2 + len(counts))), "|")
    for name in SCENES:
        sums = [np.sum([find(name, seed, shown) for seed in range(rooms)], axis=0) for shown in (False, True)]
        print(f"| {name} | {rooms * FRAMES} |", " | ".join(str(count) for count in np.concatenate(sums)), "|")
