"""A street scene for the sample: a fixed camera, a textured backdrop, and people built of rounded limbs.

Positions are in metres on the ground: x to the right, z away from the camera. A figure is a list of parts, in metres
from the ground between its feet: across (to the right) and up.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

Point = tuple[float, float]

WIDTH, HEIGHT = 320, 180
FOCAL, HORIZON, CAMERA_HEIGHT = 220.0, 45.0, 2.0
WALL = 11.0
WALKWAY = 5.0, 8.4
DOOR = 1.6
DETAIL = 4
"""Figures and backdrop are drawn this many times larger, then averaged down: no stair steps at their edges."""


def half_width(z: float) -> float:
    """How far to either side the camera sees at the distance `z`, metres."""
    return WIDTH / 2 * z / FOCAL


@dataclass(frozen=True)
class Part:
    """The convex hull of `circles` (across, up, radius), metres, in one colour (RGB); large `depth` is far away."""

    circles: list[tuple[float, float, float]]
    colour: np.ndarray
    depth: float = 0.0


def bar(ends: list[Point], radius: float, colour: np.ndarray, depth: float = 0.0) -> Part:
    """A part of one thickness."""
    return Part([(across, up, radius) for across, up in ends], colour, depth)


@dataclass(frozen=True)
class Look:
    """What sets a person apart: height in metres, colours (RGB 0..255), a pack on the back or none."""

    height: float
    girth: float
    skin: np.ndarray
    hair: np.ndarray
    shirt: np.ndarray
    trousers: np.ndarray
    pack: np.ndarray | None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Look":
        """A person nobody has seen before."""

        def cloth(darkest: float, lightest: float) -> np.ndarray:
            grey, tint = rng.uniform(darkest, lightest), rng.normal(0, 1, 3)
            return np.clip(grey * (1 + rng.uniform(0.05, 0.35) * (tint - tint.mean())), 12, 235)

        skin = np.array([226, 182, 150]) * rng.uniform(0.45, 1)
        hair = np.array([95, 70, 48]) * rng.uniform(0.25, 1.5)
        pack = cloth(30, 120) if rng.random() < 0.4 else None
        return cls(rng.uniform(1.52, 1.9), rng.uniform(0.9, 1.2), skin, hair, cloth(45, 190), cloth(30, 110), pack)


@dataclass(frozen=True)
class Gait:
    """How limbs move: angles in radians, `stride` in metres a full cycle, `lift` of the hips above standing metres."""

    swing: float
    knee: float
    elbow: float
    lean: float
    stride: float
    thigh: float = 0.0
    arm: float = 0.0
    seat: float | None = None


WALK = Gait(swing=0.42, knee=0.75, elbow=0.35, lean=0.04, stride=1.4)
RUN = Gait(swing=0.8, knee=1.7, elbow=1.5, lean=0.22, stride=2.6)
STAND = Gait(swing=0.03, knee=0.05, elbow=0.25, lean=0.0, stride=1.4)
THROW = Gait(swing=0.36, knee=0.75, elbow=0.3, lean=-0.06, stride=1.4, arm=2.5)
RIDE = Gait(swing=0.4, knee=0.35, elbow=0.3, lean=0.45, stride=4.0, thigh=1.05, arm=0.6, seat=0.95)


def person(look: Look, heading: float, phase: float, gait: Gait) -> list[Part]:
    """The parts of a person that walks towards `heading` (0 right, pi/2 away), `phase` in radians of the stride."""
    size, width = look.height, look.girth * look.height
    cos, sin = math.cos(heading), math.sin(heading)
    joints = _joints(size, phase, gait)
    parts = []

    def add(circles: list[tuple[Point, float, float]], colour: np.ndarray, nearer: float = 0.0) -> None:
        """Add a part from circles (joint, metres to the left, radius as a share of the width)."""
        depths = [ahead * sin + aside * cos for (ahead, _), aside, _ in circles]
        depth = sum(depths) / len(depths) - nearer
        shade = 1 - min(max(depth, -0.1), 0.25)  # the far arm and leg lie in the body's shadow
        # Seen from above: what is farther away stands higher in the image.
        placed = [
            (ahead * cos - aside * sin, up + 0.3 * far, radius * width)
            for ((ahead, up), aside, radius), far in zip(circles, depths, strict=True)
        ]
        parts.append(Part(placed, colour * shade, depth))

    hip, shoulder, neck, head = (joints[name] for name in ("hip", "shoulder", "neck", "head"))
    for side in "left", "right":
        knee, ankle, elbow, hand = (joints[f"{side} {name}"] for name in ("knee", "ankle", "elbow", "hand"))
        sign = 1 if side == "left" else -1
        leg, arm = sign * 0.045 * width, sign * 0.115 * width
        add([(ankle, leg, 0.024), (_shift(ankle, size, 0.075, -0.02), leg, 0.016)], look.trousers * 0.45)
        add([(knee, leg, 0.04), (ankle, leg, 0.027)], look.trousers)
        add([(hip, leg, 0.056), (knee, leg, 0.042)], look.trousers)
        add([(_shift(shoulder, size, 0, -0.012), arm, 0.034), (elbow, arm, 0.028)], look.shirt * 0.93)
        add([(elbow, arm, 0.026), (hand, arm, 0.02)], look.shirt * 0.88)
        add([(hand, arm, 0.023)], look.skin)
    hips = [(hip, aside * width, 0.06) for aside in (-0.04, 0.04)]
    shoulders = [(shoulder, aside * width, 0.05) for aside in (-0.075, 0.075)]
    add(hips + shoulders, look.shirt, nearer=0.1)
    add([(neck, 0, 0.03), (_shift(neck, size, 0, 0.02), 0, 0.028)], look.skin * 0.85)
    add([(_shift(head, size, 0.012, -0.018), 0, 0.045), (head, 0, 0.055)], look.skin)
    add([(_shift(head, size, -0.016, 0.02), 0, 0.056), (_shift(head, size, -0.022, -0.01), 0, 0.05)], look.hair)
    if look.pack is not None:
        bottom, top = _shift(hip, size, -0.085, 0.1), _shift(shoulder, size, -0.085, 0)
        add([(bottom, 0, 0.06), (top, 0, 0.05)], look.pack)
    return parts


def _joints(size: float, phase: float, gait: Gait) -> dict[str, Point]:
    """Where the joints of a person `size` metres tall are: metres ahead and up. The lower foot stands on the ground."""
    joints = {}
    phases = {"left": phase, "right": phase + math.pi}
    for side, angle in phases.items():
        thigh = gait.thigh + gait.swing * math.sin(angle)
        shin = gait.swing * math.sin(angle) - 0.08 - gait.knee * max(0.0, math.cos(angle))
        joints[f"{side} knee"] = _bone((0, 0), thigh, 0.245 * size)
        joints[f"{side} ankle"] = _bone(joints[f"{side} knee"], shin, 0.245 * size)
    lowest = min(joints[f"{side} ankle"][1] for side in phases) - 0.035 * size
    rise = -lowest if gait.seat is None else gait.seat
    joints = {name: (ahead, up + rise) for name, (ahead, up) in joints.items()}
    joints["hip"] = 0.0, rise
    joints["shoulder"] = _bone((0.0, rise), math.pi - gait.lean, 0.29 * size)
    joints["neck"] = _bone(joints["shoulder"], math.pi - gait.lean, 0.06 * size)
    joints["head"] = _shift(joints["neck"], size, 0.012, 0.065)
    for side, angle in phases.items():
        raised = gait.arm if side == "left" or gait.seat else 0.0
        upper = raised if gait.seat else raised - 0.9 * gait.swing * math.sin(angle)
        joints[f"{side} elbow"] = _bone(joints["shoulder"], upper, 0.165 * size)
        joints[f"{side} hand"] = _bone(joints[f"{side} elbow"], upper + gait.elbow, 0.15 * size)
    return joints


def _bone(root: Point, angle: float, length: float) -> Point:
    """The far end of a bone that hangs from `root`, turned forward by `angle`."""
    return root[0] + length * math.sin(angle), root[1] - length * math.cos(angle)


def _shift(joint: Point, size: float, ahead: float, up: float) -> Point:
    return joint[0] + ahead * size, joint[1] + up * size


def bicycle(look: Look, side: int, phase: float) -> list[Part]:
    """A person on a bicycle that rolls to the right (`side` 1) or to the left (-1)."""
    metal, tyre = look.shirt * 0.4 + 40, np.full(3, 28.0)
    turn = np.linspace(0, 2 * np.pi, 17)
    rims = [[(side * hub + 0.33 * np.cos(a), 0.34 + 0.33 * np.sin(a)) for a in turn] for hub in (-0.55, 0.5)]
    wheels = [bar(list(ends), 0.022, tyre, 0.05) for rim in rims for ends in pairwise(rim)]
    spokes = [bar([rim[k], rim[k + 8]], 0.005, metal, 0.05) for rim in rims for k in range(0, 8, 2)]
    saddle, crank, rear, fork, grip = (-0.15, 0.85), (-0.05, 0.34), (-0.55, 0.34), (0.5, 0.34), (0.36, 1.0)
    tubes = [(rear, saddle), (saddle, crank), (rear, crank), (crank, grip), (saddle, grip), (fork, grip)]
    frame = [bar([(side * a, b), (side * c, d)], 0.022, metal, 0.04) for (a, b), (c, d) in tubes]
    rider = [
        Part([(across - 0.15 * side, up, radius) for across, up, radius in limb.circles], limb.colour, limb.depth)
        for limb in person(look, 0 if side > 0 else math.pi, phase, RIDE)
    ]
    return wheels + spokes + frame + rider


def cart(look: Look) -> list[Part]:
    """A luggage cart that has rolled away from its owner, with two pieces on it."""
    steel, load = np.full(3, 165.0), look.shirt
    return [
        *(bar([(across, 0.1)], 0.1, np.full(3, 30.0)) for across in (-0.42, 0.42)),
        bar([(-0.55, 0.24), (0.55, 0.24)], 0.035, steel),
        bar([(-0.55, 0.24), (-0.68, 1.0)], 0.025, steel),
        bar([(-0.42, 0.3), (0.45, 0.3), (0.45, 0.78), (-0.42, 0.78)], 0.02, load),
        bar([(-0.42, 0.55), (0.45, 0.55)], 0.03, load * 0.7),
        bar([(-0.3, 0.82), (0.15, 0.82), (0.15, 1.02), (-0.3, 1.02)], 0.03, look.trousers + 40),
    ]


def fractal(rng: np.random.Generator, shape: tuple[int, int], finest: float = 1.0, octaves: int = 6) -> np.ndarray:
    """Noise of many scales (H, W) float32, mean 0, deviation 1; each octave twice as coarse and 1.5 times as strong."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = finest * 2**octave
        grid = rng.standard_normal((int(shape[0] / cell) + 2, int(shape[1] / cell) + 2), np.float32)
        total += 1.5**octave * cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / total.std()


def backdrop(rng: np.random.Generator) -> np.ndarray:
    """The empty scene (180, 320, 3) float32 in 0..255: a brick front, a lawn, a paved walkway, a lawn."""
    height, width = HEIGHT * DETAIL, WIDTH * DETAIL
    shape = (height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / DETAIL
    z = FOCAL * CAMERA_HEIGHT / np.maximum(rows - HORIZON, 1)
    ground = z < WALL
    x = (columns - WIDTH / 2) * np.where(ground, z, WALL) / FOCAL
    up = CAMERA_HEIGHT - (rows - HORIZON) * WALL / FOCAL
    grain, patches, blades = fractal(rng, shape, 2), fractal(rng, shape, 24, 4), fractal(rng, shape, 2, 3)

    def paint_over(where: np.ndarray, colour: tuple[int, int, int], texture: np.ndarray) -> None:
        image[where] = np.array(colour) * rng.normal(1, 0.04, 3) * (1 + texture[where])[:, None]

    image = np.zeros((*shape, 3), np.float32)
    brick_row = np.floor(up / 0.2)
    brick = (x + 0.25 * (brick_row % 2)) / 0.5
    joint = (up % 0.2 < 0.03) | (brick % 1 < 0.05)
    tone = rng.normal(0, 0.07, 997)[(np.floor(brick) * 31 + brick_row * 57).astype(int) % 997]
    paint_over(~ground, (158, 112, 92), tone + 0.05 * grain + 0.08 * patches)
    paint_over(~ground & joint, (172, 160, 146), 0.06 * grain)
    paint_over(~ground & (up < 0.45), (128, 124, 118), 0.07 * grain + 0.05 * patches)
    paint_over(~ground & (np.abs(up - 3.35) < 0.12), (190, 184, 172), 0.05 * grain)
    for middle, low, high, wide in [
        (-5.9, 1.0, 2.7, 1.1),
        (-2.9, 1.0, 2.7, 1.1),
        (DOOR, 0.0, 2.4, 0.75),
        (5.2, 1.0, 2.7, 1.1),
    ]:
        framed = (np.abs(x - middle) < wide) & (up < high) & (up > low)
        glass = (np.abs(x - middle) < wide - 0.1) & (up < high - 0.1) & (up > low + 0.1 * (low > 0))
        paint_over(framed & ~ground, (205, 200, 190), 0.04 * grain)
        paint_over(
            glass & ~ground, (58, 66, 76), 0.22 * patches + 0.12 * (up - low) + 0.25 * (np.abs(x - middle) < 0.05)
        )
    paint_over(ground, (96, 118, 62), 0.13 * blades + 0.1 * patches)
    path = (z > WALKWAY[0]) & (z < WALKWAY[1]) | (np.abs(x - DOOR) < 0.9) & (z > WALKWAY[1])
    slab = np.floor(x / 0.9) * 13 + np.floor(z / 0.6) * 29
    tone = rng.normal(0, 0.035, 997)[slab.astype(int) % 997]
    paint_over(ground & path, (166, 160, 150), tone + 0.05 * grain + 0.06 * patches)
    paint_over(ground & path & ((x % 0.9 < 0.035) | (z % 0.6 < 0.035)), (128, 123, 114), 0.05 * grain)
    for kerb in WALKWAY:
        paint_over(ground & (np.abs(z - kerb) < 0.07), (186, 182, 172), 0.05 * grain)
    shade = fractal(rng, shape, 20, 4) + 1.8 * np.exp(-(((columns - 60) / 70) ** 2) - ((rows - 128) / 26) ** 2) - 1.7
    image *= (1 - 0.3 / (1 + np.exp(-6 * shade)) * ground)[..., None]  # the dappled shadow of a tree out of view
    image *= (1 - 0.35 * np.exp(-np.abs(z - WALL) / 0.5) * ground)[..., None]
    return cv2.GaussianBlur(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), (0, 0), 0.5)


def paint(image: np.ndarray, x: float, z: float, parts: list[Part], cloth: np.ndarray) -> None:
    """Paint a figure that stands at (x, z) into an image (180, 320, 3) float32, with its shadow on the ground.

    `cloth` is noise (H, W) that gives its surface some texture.
    """
    scale = FOCAL / z
    foot = np.array([WIDTH / 2 + scale * x, HORIZON + scale * CAMERA_HEIGHT])
    parts = sorted(parts, key=lambda part: -part.depth)
    circles = np.array([circle for part in parts for circle in part.circles]) * (scale, -scale, scale) + (*foot, 0)
    low = np.floor((circles[:, :2] - circles[:, 2:]).min(0)).astype(int) - 2
    high = np.ceil((circles[:, :2] + circles[:, 2:]).max(0)).astype(int) + 3
    if low[0] >= WIDTH or high[0] <= 0:
        return
    size = high - low
    canvas = np.zeros((size[1] * DETAIL, size[0] * DETAIL, 4), np.uint8)
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    around = np.stack([np.cos(turn), np.sin(turn)], 1)
    rims = ((circles[:, None, :2] + circles[:, None, 2:] * around - low) * DETAIL).round().astype(np.int32)
    first = np.cumsum([0] + [len(part.circles) for part in parts])
    for part, start, stop in zip(parts, first, first[1:], strict=False):
        hull = cv2.convexHull(rims[start:stop].reshape(-1, 2))
        cv2.fillConvexPoly(canvas, hull, (*np.minimum(part.colour, 255).tolist(), 255))
    drawn = cv2.resize(canvas, size.tolist(), interpolation=cv2.INTER_AREA).astype(np.float32)
    alpha = drawn[..., 3] / 255
    soft = cv2.GaussianBlur(alpha, (0, 0), max(0.05 * scale, 0.6))
    light = 1 + np.clip(np.gradient(soft, axis=1) * 0.12 * scale, -0.3, 0.3)  # rounder: lit from the left
    light += 0.07 * cloth[: size[1], : size[0]]
    _cast_shadow(image, alpha, low, foot)
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(high, (WIDTH, HEIGHT))
    inside = np.s_[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]
    cover = alpha[inside][..., None]
    target = image[top:bottom, left:right]
    target *= 1 - cover
    target += drawn[inside][..., :3] * light[inside][..., None]


def _cast_shadow(image: np.ndarray, alpha: np.ndarray, low: np.ndarray, foot: np.ndarray) -> None:
    """Darken the ground where the silhouette `alpha`, whose corner is `low`, falls on it: away, to the right."""
    height, width = alpha.shape
    below = foot[1] - low[1]
    # A point `v` pixels above the foot lands 0.55 v to the right and 0.2 v up, in a box as wide as both.
    box = int(width + 0.55 * height) + 4, int(0.2 * height) + 8
    top = int(foot[1]) - box[1] + 4
    lean = np.array([[1, -0.55, 0.55 * below], [0, 0.2, foot[1] - top - 0.2 * below]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, lean, box), (0, 0), 1.0)
    rows, columns = slice(max(top, 0), top + box[1]), slice(max(low[0], 0), low[0] + box[0])
    target = image[rows, columns]
    shadow = shadow[rows.start - top :, columns.start - low[0] :][: target.shape[0], : target.shape[1]]
    target *= 1 - 0.4 * shadow[..., None]
