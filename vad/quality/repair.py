"""Frames as they were before the corruption that `diagnose` found, as far as `repair` in params.yaml says so.

The one place that repairs: a clip read through `repaired` has repaired frames, whatever their size.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from vad import VadError
from vad.data.clips import Clip
from vad.storage import store
from vad.storage.tables import KEYS


class Found(NamedTuple):
    """The frame numbers of a clip that were found flipped and those found covered with noise."""

    flipped: frozenset[int] = frozenset()
    noisy: frozenset[int] = frozenset()


@dataclass(frozen=True)
class RepairedClip(Clip):
    """A clip whose frames are repaired when they are read."""

    source: Clip
    found: Found
    unflip: bool
    denoise: bool

    def digest(self) -> str:
        return store.digest(self.source.digest(), *map(sorted, self.found), self.unflip, self.denoise)

    def frame(self, number: int) -> np.ndarray:
        image = self._denoised(number) if self.denoise and number in self.found.noisy else self.source.frame(number)
        return image[::-1] if self.unflip and number in self.found.flipped else image

    def _denoised(self, number: int) -> np.ndarray:
        """The pixelwise median of a frame and the nearest clean ones before and after it, turned as it is.

        What the two agree on wins over the noise; where only one of them moved, the frame itself decides. At an end
        of a clip the two nearest of one side serve; the frame stays as it is where there are no two of its size.
        """
        image = self.source.frame(number)
        clean = self.numbers[~np.isin(self.numbers, list(self.found.noisy))]
        place = int(np.searchsorted(clean, number))
        first = min(max(place - 1, 0), max(len(clean) - 2, 0))
        others = [self._turned_as(number, int(other)) for other in clean[first : first + 2]]
        if len(others) < 2 or any(other.shape != image.shape for other in others):
            return image
        low, high = np.minimum(*others), np.maximum(*others)
        return np.clip(image, low, high)

    def _turned_as(self, number: int, other: int) -> np.ndarray:
        image = self.source.frame(other)
        return image[::-1] if (number in self.found.flipped) != (other in self.found.flipped) else image


def repaired(clip: Clip, found: Found, *, unflip: bool = False, denoise: bool = False) -> Clip:
    """The clip with its frames turned upright and cleaned of noise, or itself where nothing is to be done."""
    if not ((unflip and found.flipped) or (denoise and found.noisy)):
        return clip
    return RepairedClip(clip.video, clip.numbers, clip.path, clip, found, unflip, denoise)


COLUMNS = [*KEYS, *Found._fields]


class Diagnosis:
    """What a table of `diagnose` says of clips; it has `COLUMNS`, others may be there as well."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._frames = table["frame"].to_numpy()
        self._found = [table[name].to_numpy() == 1 for name in Found._fields]
        # Looked for in the whole table, the rows of many clips would take the square of their number.
        self._rows = table.groupby(["split", "video"], sort=False).indices

    def of(self, split: str, clip: Clip) -> Found:
        """What is found in a clip of a split. Raises VadError where one of its frames has no row."""
        rows = self._rows.get((split, clip.video), np.array([], int))
        frames = self._frames[rows]
        missing = np.setdiff1d(clip.numbers, frames)
        if len(missing):
            key = f"{split} clip {clip.video} frame {missing[0]}"
            raise VadError(f"diagnosis: no row for {key}; run `dvc repro diagnose`")
        return Found(*(frozenset(frames[found[rows]].tolist()) for found in self._found))
