"""One picture of a film: a frame under its heat, what is known of it, and where in its clip's score it stands."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from reports import film_curve
from reports.film_curve import SOFT, Story
from vad.evaluation import plots

WIDTH, MARGIN, BORDER = 960, 12, 6
BOX = (WIDTH - 2 * MARGIN, 624)
"""Width and height, in pixels, that every frame is brought to fit into: small ones grow."""
HEADER, KEY, CURVE = 92, 50, 206
"""Heights of what stands above the frame and below it."""
PAPER, INK, FAINT = "#ffffff", "#1c2430", "#b4bfcc"
COOL, HOT = 0.7, 3.0
"""Heat that is not seen yet, and that is drawn brightest; in between by its logarithm."""
STRONGEST = 0.7
"""Opacity of the brightest heat: something of the frame stays visible."""


class Sheet(NamedTuple):
    """What the pictures of a clip share: `blank`, one without a frame, and `past`, its curve as drawn up to now.

    `points` are the pixels (T, 2), x and y, of each frame's score in the picture.
    """

    blank: np.ndarray
    past: np.ndarray
    points: np.ndarray


def sheet(story: Story, shape: tuple[int, ...]) -> Sheet:
    """The sheet of a clip whose frames have the shape (height, width, ...)."""
    past, points = film_curve.curve(story, (WIDTH, CURVE), 1.0)
    future, _ = film_curve.curve(story, (WIDTH, CURVE), 0.35)
    height = fitted(shape)[1]
    # H.264 takes even heights.
    above = HEADER + height + height % 2 + KEY
    image = Image.fromarray(np.concatenate([np.full((above, WIDTH, 3), 255, np.uint8), future]))
    draw, font = ImageDraw.Draw(image), _font(26, bold=True)
    draw.text((MARGIN, 12), shortened(story.title, font, 330), INK, font)
    _draw_key(image, story, above - KEY + 18)
    return Sheet(np.asarray(image), past, points + np.array([0, above]))


def compose(story: Story, shared: Sheet, place: int, frame: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture (H, WIDTH, 3) uint8, H even, of the clip's frame at `place` (from 0).

    `frame` is (H, W, 3) uint8, `heat` a map (h, w) over it, of any size, 1 being about the largest that is usual.
    """
    picture = shared.blank.copy()
    anomalous = bool(story.anomalous()[place])
    _put(picture, heated(frame, heat), anomalous)
    x, y = (round(value) for value in shared.points[place].tolist())
    picture[-CURVE:, :x] = shared.past[:, :x]
    cv2.line(picture, (x, len(picture) - CURVE), (x, len(picture) - film_curve.BELOW), ImageColor.getrgb(INK), 1)
    cv2.circle(picture, (x, y), 7, ImageColor.getrgb(PAPER), -1, cv2.LINE_AA)
    colour = plots.ANOMALOUS if anomalous else plots.NORMAL
    cv2.circle(picture, (x, y), 5, ImageColor.getrgb(colour), -1, cv2.LINE_AA)
    image = Image.fromarray(picture)
    _draw_header(ImageDraw.Draw(image), story, place)
    return np.asarray(image)


def fitted(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height, at least 1, that a frame of a shape (height, width, ...) has in the picture."""
    height, width = shape[:2]
    scale = min(BOX[0] / width, BOX[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def heated(frame: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) uint8, brought to its size in the picture, under its heat (h, w)."""
    size = fitted(frame.shape)
    smaller = size[0] < frame.shape[1]
    image = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    strength = cv2.resize(strengths(heat), size, interpolation=cv2.INTER_LINEAR)
    opacity = _opacity(strength)
    return cv2.blendLinear(_coloured(strength), image, opacity, 1 - opacity)


def strengths(heat: np.ndarray) -> np.ndarray:
    """Heat of any shape -> how strongly it is drawn, 0 to 1, float32."""
    logarithm = np.log(np.maximum(heat, COOL) / COOL) / np.log(HOT / COOL)
    return np.minimum(logarithm, 1).astype(np.float32)


def shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """As much of a text as fits into `width` pixels, with an ellipsis where something is left out."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def decimals(span: float) -> int:
    """Digits after the point that tell scores apart whose range is `span`, 0 to 8."""
    return int(np.clip(2 - np.floor(np.log10(span)), 0, 8)) if span > 0 else 4


def _opacity(strength: np.ndarray) -> np.ndarray:
    return STRONGEST * cv2.sqrt(strength)


def _coloured(strength: np.ndarray) -> np.ndarray:
    """Strengths (h, w) in 0 to 1 -> (h, w, 3) uint8."""
    return cv2.applyColorMap((strength * 255).astype(np.uint8), _palette())


@cache
def _palette() -> np.ndarray:
    # From where magma is no longer nearly black: faint heat must not look like a shadow.
    colours = matplotlib.colormaps["magma"](np.linspace(0.45, 1, 256))[:, None, :3]
    return (colours * 255).round().astype(np.uint8)


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    # The one that comes with matplotlib: there on every machine.
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


def _put(picture: np.ndarray, image: np.ndarray, anomalous: bool) -> None:
    """Put a frame into its place, with a border where it is anomalous in truth."""
    room = len(picture) - HEADER - KEY - CURVE
    # Another size than that of the clip's first frame may be higher than the room.
    height, width = min(len(image), room), image.shape[1]
    top, left = HEADER + (room - height) // 2, (WIDTH - width) // 2
    if anomalous:
        around = slice(top - BORDER, top + height + BORDER), slice(left - BORDER, left + width + BORDER)
        picture[around] = ImageColor.getrgb(plots.ANOMALOUS)
    picture[top : top + height, left : left + width] = image[:height]


def _draw_header(draw: ImageDraw.ImageDraw, story: Story, place: int) -> None:
    large, small, right = _font(26), _font(16), WIDTH - MARGIN
    draw.text((360, 12), f"frame {story.numbers[place]}", INK, large)
    longest = large.getlength(f"frame {story.numbers[-1]}")
    draw.text((360 + longest + 12, 21), f"{place + 1} of {len(story.numbers)}", SOFT, small)
    score = f"{story.scores[place]:.{decimals(story.high - story.low)}f}"
    draw.text((right, 12), f"score {score}", INK, large, anchor="ra")
    draw.text((right, 57), f"rank {story.ranks[place]} of {story.ranked}", SOFT, small, anchor="ra")
    if story.labels is None:
        x = _draw_chip(draw, MARGIN, "truth: unknown", None)
    elif story.labels[place]:
        kind = story.kinds[place]
        x = _draw_chip(draw, MARGIN, "truth: anomalous" + (f", {kind}" if kind else ""), plots.ANOMALOUS)
    else:
        x = _draw_chip(draw, MARGIN, "truth: normal", None)
    for mark in story.marks:
        if mark.frames[place]:
            x = _draw_chip(draw, x, mark.says, mark.colour)


def _draw_chip(draw: ImageDraw.ImageDraw, left: float, text: str, colour: str | None) -> float:
    """A label, filled with `colour` where there is one; returns where the next begins."""
    font = _font(16)
    text = shortened(text, font, 300)
    right = left + font.getlength(text) + 24
    draw.rounded_rectangle((left, 50, right, 78), 14, fill=colour, outline=colour or FAINT)
    draw.text(((left + right) / 2, 64), text, PAPER if colour else SOFT, font, anchor="mm")
    return right + 8


def _draw_key(image: Image.Image, story: Story, top: int) -> None:
    """What the colours mean: a strip of heat over a grey frame, and the parts of the curve."""
    draw, font, width = ImageDraw.Draw(image), _font(14), 180
    strength = np.tile(np.linspace(0, 1, width, dtype=np.float32), (12, 1))
    grey = np.full((*strength.shape, 3), 150, np.uint8)
    strip = cv2.blendLinear(_coloured(strength), grey, _opacity(strength), 1 - _opacity(strength))
    image.paste(Image.fromarray(strip), (MARGIN, top + 2))
    for value, text in ((1, "1"), (2, "2"), (HOT, f"{HOT:.0f}+")):
        x = MARGIN + float(strengths(np.array(value))) * width
        draw.text((x, top + 16), text, SOFT, font, anchor="ra" if value == HOT else "ma")
    heat = f"heat: {story.heat}, times what is usual at its place"
    says = shortened(heat if story.heat else "no heat: the score looks at no place", font, 520)
    draw.text((MARGIN + width + 14, top), says, INK, font)
    x = WIDTH - MARGIN - (200 if story.labels is not None else 72)
    draw.line((x, top + 9, x + 24, top + 9), plots.NORMAL, 3)
    draw.text((x + 30, top), "score", INK, font)
    if story.labels is not None:
        red, green, blue = (round(255 - 0.25 * (255 - value)) for value in ImageColor.getrgb(plots.ANOMALOUS)[:3])
        draw.rectangle((x + 90, top + 1, x + 112, top + 16), (red, green, blue))
        draw.text((x + 118, top), "anomalous", INK, font)
