"""What synthetic events are made of: the moving figures of a clip, alien objects, and how they are put into a frame.

No detector is at hand, only the clip itself: figures are connected regions that differ from the median background.
A sprite is a cut-out (h, w, 4) float32, RGB in 0..255 and opacity in 0..1, with a transparent margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from scipy import ndimage

from vad.data.sampling import evenly_spaced
from vad.storage.progress import parallel

_BACKGROUND_FRAMES = 41
_SHORTEST = 5
MARGIN = 4  # transparent pixels around a sprite, so that its soft edge has room


@dataclass(frozen=True)
class Blob:
    """A figure in the frame at `position` of its clip: the corner of its box, and its filled mask (h, w) bool."""

    position: int
    left: int
    top: int
    mask: np.ndarray

    @property
    def foot(self) -> np.ndarray:
        """Where it touches the ground: (x, y) in pixels."""
        height, width = self.mask.shape
        return np.array([self.left + width / 2, self.top + height])


@dataclass(frozen=True)
class Scene:
    """What is usual in a clip; lengths in pixels, pace in pixels a frame.

    `person` maps the y of a foot to a person's height: (slope, intercept). `headings` (N, 2) are the unit vectors
    of the walks, `feet` (M, 2) the places where people walk, `contrast` is how far people stand out, in grey levels.
    """

    background: np.ndarray
    tracks: tuple[tuple[Blob, ...], ...]
    feet: np.ndarray
    headings: np.ndarray
    pace: float
    person: tuple[float, float]
    contrast: float
    grey: bool

    def height_at(self, y: np.ndarray | float) -> np.ndarray:
        """The height of a person whose feet are at the rows y, in pixels."""
        tall = len(self.background)
        return np.asarray(np.clip(self.person[0] * np.asarray(y) + self.person[1], 0.05 * tall, 0.7 * tall))

    def place(self, rng: np.random.Generator) -> np.ndarray:
        """A foot (x, y) near where people walk; where nobody does, anywhere in the lower part of the frame."""
        height, width = self.background.shape[:2]
        if not len(self.feet):
            return rng.uniform((0.1 * width, 0.45 * height), (0.9 * width, 0.95 * height))
        spot = self.feet[rng.integers(len(self.feet))] + rng.normal(0, 0.04, 2) * height
        return np.asarray(np.clip(spot, (0.05 * width, 0.1 * height), (0.95 * width, 0.98 * height)))

    def rarest_way(self, rng: np.random.Generator) -> np.ndarray:
        """Of right, down, left and up, the unit vector of the way that the fewest walks go."""
        quarters = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        counts = np.bincount((self.headings @ quarters.T).argmax(axis=1), minlength=4)
        return np.asarray(quarters[rng.choice(np.flatnonzero(counts == counts.min()))])

    def usual_way(self, rng: np.random.Generator) -> np.ndarray:
        """The unit vector of one of the clip's walks; right or left where nobody walks."""
        if not len(self.headings):
            return np.array([rng.choice([-1.0, 1.0]), 0.0])
        return np.asarray(self.headings[rng.integers(len(self.headings))])


def survey(frames: Sequence[np.ndarray], numbers: np.ndarray) -> Scene:
    """What is usual in a clip of frames (H, W, 3) uint8 with ascending frame numbers."""
    sample = evenly_spaced(len(frames), _BACKGROUND_FRAMES)
    rows = zip(*(frames[i] for i in sample), strict=True)  # row by row: the stack of whole frames would be large
    background = np.stack(list(parallel(partial(np.median, axis=0), rows))).astype(np.uint8)
    places = range(len(frames))
    blobs = list(parallel(lambda place: find_blobs(frames[place], background, place), places))
    tracks = _credible(follow(blobs, numbers), frames, background)
    height = len(background)
    moves = np.array([t[-1].foot - t[0].foot for t in tracks]).reshape(-1, 2)
    elapsed = np.array([numbers[t[-1].position] - numbers[t[0].position] for t in tracks], float)
    distances = np.linalg.norm(moves, axis=1)
    walked = distances > 0.03 * height  # less is the outline's flicker
    figures = [blob for track in tracks for blob in track]
    middles = [track[len(track) // 2] for track in tracks]
    contrasts = [
        np.abs(_cut(frames[b.position], b) - _cut(background, b).astype(float))[b.mask].mean() for b in middles
    ]
    return Scene(
        background=background,
        tracks=tracks,
        feet=np.array([b.foot for b in figures]).reshape(-1, 2),
        headings=moves[walked] / distances[walked, None],
        pace=float(np.median((distances / elapsed)[walked])) if walked.any() else 0.006 * height,
        person=_perspective(figures, height),
        contrast=float(np.clip(np.median(contrasts), 25, 70)) if contrasts else 35.0,
        grey=float(np.ptp(background.astype(float), axis=2).mean()) < 4,
    )


def find_blobs(frame: np.ndarray, background: np.ndarray, position: int) -> list[Blob]:
    """The figures of a frame: filled regions unlike the background, of a person's size, clear of the frame's border."""
    height, width = frame.shape[:2]
    difference = contrast(cv2.blur(frame, (3, 3)), cv2.blur(background, (3, 3)))
    threshold = max(18.0, 6 * _median(difference))
    side = max(3, round(height / 80)) | 1
    unlike = (difference > threshold).astype(np.uint8)
    upright = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, 2 * side + 1))  # joins legs and head to the body
    closed = cv2.morphologyEx(unlike, cv2.MORPH_CLOSE, upright)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(closed)
    blobs = []
    for label, (left, top, w, h, area) in enumerate(boxes[1:], 1):
        inside = left > 1 and top > 1 and left + w < width - 1 and top + h < height - 1
        if inside and 0.06 <= h / height <= 0.6 and 0.9 <= h / w <= 5 and area > 0.35 * w * h:
            part = ndimage.binary_fill_holes(labels[top : top + h, left : left + w] == label)
            blobs.append(Blob(position, int(left), int(top), part))
    return blobs


def _median(image: np.ndarray) -> float:
    """The median of an image (H, W) uint8, by counting: NumPy sorts, which takes ten times as long."""
    below = np.cumsum(cv2.calcHist([image], [0], None, [256], [0, 256]).astype(int))
    low, high = np.searchsorted(below, [(image.size + 1) // 2, image.size // 2 + 1])
    return float(low + high) / 2


def follow(blobs: Sequence[Sequence[Blob]], numbers: np.ndarray) -> tuple[tuple[Blob, ...], ...]:
    """Figures linked over adjacent frame numbers by their boxes' overlap: tracks of at least _SHORTEST frames."""
    done: list[list[Blob]] = []
    open_tracks: list[list[Blob]] = []
    for position, found in enumerate(blobs):
        if position and numbers[position] - numbers[position - 1] != 1:
            done, open_tracks = done + open_tracks, []
        rest = list(found)
        extended = []
        for track in open_tracks:
            best = max(rest, key=lambda blob, last=track[-1]: _overlap(last, blob), default=None)  # type: ignore[misc]
            if best is not None and _overlap(track[-1], best) > 0.5:
                rest.remove(best)
                extended.append([*track, best])
            else:
                done.append(track)
        open_tracks = extended + [[blob] for blob in rest]
    return tuple(tuple(track) for track in done + open_tracks if len(track) >= _SHORTEST)


def sprite_of(frame: np.ndarray, blob: Blob) -> np.ndarray:
    """A figure cut from its frame with a soft edge -> sprite."""
    height, width = frame.shape[:2]
    top, left = blob.top - MARGIN, blob.left - MARGIN
    rows = np.clip(np.arange(top, top + len(blob.mask) + 2 * MARGIN), 0, height - 1)
    columns = np.clip(np.arange(left, left + blob.mask.shape[1] + 2 * MARGIN), 0, width - 1)
    return _soften(frame[np.ix_(rows, columns)], np.pad(blob.mask, MARGIN))


def alien(
    scene: Scene, rng: np.random.Generator, size: tuple[int, int], around: float, mask: np.ndarray | None = None
) -> np.ndarray:
    """An object that does not belong: `size` (h, w) pixels of the scene's texture from elsewhere, recoloured -> sprite.

    `around` is the brightness where it will stand: it stands out from that about as much as people do. `mask` is its
    outline; without one it is an ellipse or a rounded box.
    """
    h, w = max(6, size[0]), max(6, size[1])
    tall, wide = scene.background.shape[:2]
    zoom = rng.uniform(0.5, 2)
    ch, cw = min(tall, max(4, round(h * zoom))), min(wide, max(4, round(w * zoom)))
    top, left = rng.integers(0, tall - ch + 1), rng.integers(0, wide - cw + 1)
    cut = scene.background[top : top + ch, left : left + cw]
    texture = cv2.resize(cut, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32)
    texture -= texture.mean(axis=(0, 1))
    coarse = cv2.resize(rng.normal(size=(5, 4)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    texture += 12 * coarse[..., None]  # else a patch of plain wall would be a flat blot
    step = scene.contrast * rng.uniform(1.0, 1.5)
    upward = rng.random() < 0.5 if 30 + step < around < 225 - step else around < 128
    level = around + step if upward else around - step
    tint = np.zeros(3) if scene.grey else rng.uniform(-0.6, 0.6, 3) * step
    if mask is None:
        mask = _outline(h, w, rng)
    colours = np.clip(texture * rng.uniform(0.7, 1.3) + level + tint - tint.mean(), 0, 255)
    mask = cv2.resize(mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST).astype(bool)
    colours = np.pad(colours, ((MARGIN,) * 2, (MARGIN,) * 2, (0, 0)), mode="edge")
    return _soften(colours, np.pad(mask, MARGIN))


def paste(image: np.ndarray, sprite: np.ndarray, foot: np.ndarray, scale: float, opacity: float) -> np.ndarray:
    """A copy of an image (H, W, 3) uint8 with a sprite on it, scaled, its foot at (x, y) to a fraction of a pixel."""
    height, width = image.shape[:2]
    h, w = sprite.shape[:2]
    left, top = foot[0] - scale * w / 2, foot[1] - scale * (h - MARGIN)
    x0, x1 = max(0, int(np.floor(left))), min(width, int(np.ceil(left + scale * w)))
    y0, y1 = max(0, int(np.floor(top))), min(height, int(np.ceil(top + scale * h)))
    result = image.copy()
    if x0 >= x1 or y0 >= y1:
        return result
    centre = (scale - 1) / 2  # pixel centres, not corners, scale about the origin
    matrix = np.array([[scale, 0, left - x0 + centre], [0, scale, top - y0 + centre]])
    size, flags = (x1 - x0, y1 - y0), cv2.INTER_CUBIC if scale > 1.5 else cv2.INTER_LINEAR
    # Only the opacity falls to 0 outside the sprite: colours that did so too would darken its edge.
    colours = cv2.warpAffine(sprite[..., :3], matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    alpha = np.clip(cv2.warpAffine(sprite[..., 3], matrix, size, flags=flags), 0, 1)[..., None]
    patch = image[y0:y1, x0:x1].astype(np.float32)
    blend = patch + opacity * alpha * (colours - patch)
    result[y0:y1, x0:x1] = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
    return result


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far two images (H, W, 3) uint8 differ at each pixel, in their most different channel -> (H, W) uint8."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return np.asarray(cv2.max(cv2.max(red, green), blue))


def brightness(image: np.ndarray, foot: np.ndarray, height: float) -> float:
    """Mean grey level 0..255 of the part of an image that a figure of this height would cover."""
    tall, wide = image.shape[:2]
    bottom = int(np.clip(foot[1], 2, tall))
    top = int(np.clip(foot[1] - height, 0, bottom - 2))
    left = int(np.clip(foot[0] - height / 4, 0, wide - 2))
    right = int(np.clip(foot[0] + height / 4, left + 2, wide))
    return float(image[top:bottom, left:right].mean())


def _credible(
    tracks: Sequence[tuple[Blob, ...]], frames: Sequence[np.ndarray], background: np.ndarray
) -> tuple[tuple[Blob, ...], ...]:
    """The tracks that look like whole figures: sharp in the frame, and no fragment beside the clip's larger ones."""
    sharp = []
    for track in tracks:
        blob = track[len(track) // 2]
        rim = blob.mask & ~ndimage.binary_erosion(blob.mask, iterations=2)
        # Where somebody left who stood in the background, the outline is an edge of the background, not of the frame.
        here, behind = (_edges(_cut(image, blob))[rim].mean() for image in (frames[blob.position], background))
        if here > 1.2 * behind:
            sharp.append(track)
    tall = np.array([len(track[len(track) // 2].mask) for track in sharp])
    return tuple(t for t, h in zip(sharp, tall, strict=True) if h >= 0.6 * np.percentile(tall, 90))


def _edges(image: np.ndarray) -> np.ndarray:
    grey = image.mean(axis=2).astype(np.float32)
    return np.asarray(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)))


def _perspective(figures: Sequence[Blob], height: int) -> tuple[float, float]:
    """(slope, intercept) of a person's height over the y of the foot; a constant where there are too few figures."""
    tall = np.array([len(blob.mask) for blob in figures], float)
    rows = np.array([blob.foot[1] for blob in figures], float)
    if len(figures) < 20 or np.ptp(rows) < 0.1 * height:
        return 0.0, float(np.median(tall)) if len(figures) else 0.18 * height
    slope = float(np.clip(np.polyfit(rows, tall, 1)[0], 0, 0.5))  # who is nearer is never smaller
    return slope, float(np.median(tall) - slope * np.median(rows))


def _overlap(one: Blob, other: Blob) -> float:
    """Intersection over union of two boxes, 0..1."""
    (h, w), (oh, ow) = one.mask.shape, other.mask.shape
    x = min(one.left + w, other.left + ow) - max(one.left, other.left)
    y = min(one.top + h, other.top + oh) - max(one.top, other.top)
    common = max(0, x) * max(0, y)
    return float(common / (h * w + oh * ow - common))


def _cut(image: np.ndarray, blob: Blob) -> np.ndarray:
    h, w = blob.mask.shape
    return image[blob.top : blob.top + h, blob.left : blob.left + w]


def _soften(colours: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A sprite of colours (h, w, 3) whose opacity falls off over the edge of a mask (h, w)."""
    sigma = max(0.8, len(mask) / 60)
    opacity = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)
    # Shifted inwards: the rim of a mask shows the old background, which would be a halo in the new place.
    opacity = np.clip(opacity * 1.5 - 0.5, 0, 1)
    return np.dstack([colours.astype(np.float32), opacity])


def _outline(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """The mask (h, w) of an ellipse or of a box with round corners."""
    y, x = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    power = rng.choice([2.0, 5.0])
    return np.asarray(np.abs(x) ** power + np.abs(y) ** power <= 1)
