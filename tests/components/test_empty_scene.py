"""The background follows camera and light from clip to clip, and stays where it is in doubt."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vad.components import empty_scene
from vad.components.motion import Normality
from vad.data import clips
from vad.params import Motion

LARGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (140, 200)).astype(np.float32), (0, 0), 2)
WIDE = cv2.normalize(LARGE, None, 40, 200, cv2.NORM_MINMAX)


def seen(x: float, y: float, people: int = 0, light: float = 0) -> np.ndarray:
    """What a camera sees that is moved so that the scene lies x pixels to the right and y down: luma (96, 128)."""
    moved = cv2.warpAffine(WIDE, np.array([[1, 0, x], [0, 1, y]], np.float32), (200, 140))[20:116, 30:158]
    image = moved + light + np.random.default_rng([people, round(10 * abs(x + 2 * y))]).normal(0, 3, moved.shape)
    for person in range(people):
        image[40 : 40 + 20, 12 + 30 * person : 20 + 30 * person] = 230
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("x", "y"), [(3.0, 1.0), (-1.5, 0.5), (0.0, -4.0)])
def test_a_shift_is_found_whatever_the_light_and_the_people(x: float, y: float) -> None:
    found = empty_scene.shift(seen(0, 0), seen(x, y, people=3, light=20))
    np.testing.assert_allclose(found, (x, y), atol=0.2)
    moved = empty_scene.moved(seen(0, 0), seen(x, y))
    inside = np.s_[8:-8, 8:-8]
    far, near = (np.abs(image.astype(float) - seen(x, y))[inside].mean() for image in (seen(0, 0), moved))
    assert near < 5 < far


@pytest.mark.parametrize(
    "image",
    [
        seen(0, 0, people=3, light=20),
        seen(0.1, 0, people=1),
        np.full((96, 128), 90, np.uint8),
        np.random.default_rng(1).integers(0, 256, (96, 128)).astype(np.uint8),
    ],
    ids=["the same place", "a tenth of a pixel", "a wall", "another scene"],
)
def test_in_doubt_the_background_stays_where_it_is(image: np.ndarray) -> None:
    background = seen(0, 0)
    assert empty_scene.shift(background, image) == (0, 0)
    assert empty_scene.moved(background, image) is background
    flat = np.full((96, 128), 90, np.uint8)
    assert empty_scene.moved(flat, image) is flat


def test_light_that_differs_broadly_is_taken_over_and_what_stands_there_is_not() -> None:
    empty, across = seen(0, 0).astype(np.float32), np.linspace(-30, 30, 128, dtype=np.float32)
    lit = empty + across
    stands = lit.copy()
    stands[40:60, 60:64] += 80
    found = empty_scene.lit(empty, stands)
    assert np.abs(found - lit)[:, 16:-16].mean() < 3 < np.abs(empty - lit).mean()
    assert (stands - found)[42:58, 61:63].mean() > 60


def clip(video: str, x: float, light: float = 0) -> clips.MappedClip:
    across = np.linspace(-light, light, 128)
    frames = np.stack([(seen(x, 0, people=n % 3) + across).clip(0, 255).astype(np.uint8) for n in range(12)])
    return clips.MappedClip(video, np.arange(12), Path("01.npy"), frames[..., None].repeat(3, axis=-1))


def test_a_camera_that_was_moved_makes_no_anomalies_of_edges() -> None:
    training = [clip("01", 0), clip("02", 0), clip("03", 3)]

    (at_home, moved), (followed_at_home, followed) = (
        residuals(training, clip("04", 3), registration=on) for on in (False, True)
    )
    assert followed_at_home == pytest.approx(at_home, rel=0.05) and followed < 0.6 * moved


def test_light_of_another_hour_makes_no_anomalies() -> None:
    training = [clip("01", 0), clip("02", 0), clip("03", 0)]
    (at_home, darker), (lit_at_home, lit) = (
        residuals(training, clip("04", 0, light=25), light=on) for on in (False, True)
    )
    assert lit_at_home == pytest.approx(at_home, rel=0.05) and lit < 0.6 * darker


def residuals(training: list[clips.MappedClip], other: clips.MappedClip, **on: bool) -> tuple[float, float]:
    """The median residual over the frames of a clip like those of training, and of another clip."""
    switches = {"registration": False, "light": False} | on
    normality = Normality(training, Motion(components=("background",), flow="fast", flow_rows=0, shrink=0, **switches))
    found = (list(normality.score(each)) for each in (clip("04", 0), other))
    at_home, away = (float(np.median([row["background_mean"] for row in rows])) for rows in found)
    return at_home, away
