"""What the competition did to its test frames, each frame on its own and whatever its label.

About 10 % are flipped top to bottom, a minority covered with coloured noise, a few are missing; the heads and
tails of some clips are cut. It is a nuisance and no anomaly: flipped frames are anomalous as often as others.
"""

import numpy as np
import pandas as pd

NOISE_AMPLITUDE = 38.0
"""Half width of the uniform noise, in grey levels of 255."""
CUT, LONGEST_CUT = 0.3, 0.125


def plan(count: int, rng: np.random.Generator, flip: float, noise: float, drop: float) -> pd.DataFrame:
    """Which of `count` frames are flipped, covered with noise, dropped: three boolean columns, one row a frame.

    `flip`, `noise` and `drop` are probabilities in [0, 1], drawn independently for each frame.
    """
    draws = rng.random((count, 3)) < (flip, noise, drop)
    return pd.DataFrame(draws, columns=["flipped", "noisy", "dropped"])


def cut_ends(count: int, rng: np.random.Generator) -> slice:
    """The part of a clip of `count` frames that is left when its head and its tail are each cut with probability CUT.

    Each cut takes up to the share LONGEST_CUT of the clip.
    """
    head, tail = (int(rng.integers(0, int(count * LONGEST_CUT) + 1)) if rng.random() < CUT else 0 for _ in range(2))
    return slice(head, count - tail)


def apply(image: np.ndarray, flipped: bool, noisy: bool, rng: np.random.Generator) -> np.ndarray:
    """A corrupted copy of an image (H, W, 3) uint8: flipped top to bottom, coloured noise added, clipped to 0..255."""
    if flipped:
        image = image[::-1]
    if noisy:
        added = rng.uniform(-NOISE_AMPLITUDE, NOISE_AMPLITUDE, image.shape)
        image = np.clip(image + added, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)
