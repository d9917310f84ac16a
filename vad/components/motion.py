"""What moves how in a clip, and what stands where nothing stood before: maps over the frame from classical vision.

No network is trained. What is normal comes from training frames: the background is their median, and each place of the
frame has its own scale and its own usual directions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vad import VadError
from vad.components import empty_scene, out_of_fold, pooling, regions
from vad.components.directions import Directions
from vad.components.out_of_fold import Part
from vad.components.pairs import CELL, Pair, Size, flow_cells, frame_change, optical_flow, pairs, scaled
from vad.data import clips
from vad.data.clips import Clip
from vad.data.sampling import evenly_spaced
from vad.params import Motion, Params
from vad.quality import reading, repair
from vad.quality.diagnosis import backgrounds, luma
from vad.storage import store, tables
from vad.storage.progress import parallel
from vad.storage.store import Lazy, Store

SAMPLED = 1000
"""Pairs of training frames, at most, from which the usual is learned."""
_STEP = 4


def background_residual(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    """How far a frame's luma (H, W) is from the background (H, W), grey levels, whatever the light: (H, W) float32.

    The light is the median difference over the frame, which people do not reach.
    """
    difference = image.astype(np.float32) - background
    return np.abs(difference - np.median(difference[::_STEP, ::_STEP]))


def measure(settings: Params, kept: Store, frames: Path, validation: Path, diagnosis: Path) -> pd.DataFrame:
    """The keys and MAP_POOL for every map of `motion.components` and every one of pooling.POOLS, of each scored frame.

    `frames` holds zipped clips, a folder a split, `validation` those of validation. Raises VadError where no training
    clip has two frames.
    """
    table = tables.read_csv(diagnosis, [*repair.COLUMNS, "fold"])
    diagnosed, folds = repair.Diagnosis(table), out_of_fold.folds_of(table)
    splits = out_of_fold.scored_splits(folds)
    seen = {s: reading.at_full_size(frames, validation, s, diagnosed, settings.repair) for s in splits}
    training = clips.open_zips(frames / "train")
    contents = {clip.video: clip.digest() for clip in training}
    sample = Lazy(partial(Sample, training, settings.motion))

    def learn(part: Part[Clip]) -> tuple[Any, Callable[[Clip], store.Arrays]]:
        taught = [[*contents.values()], [clip.video for clip in part.training]]
        normality = Lazy(partial(_learned, part.training, settings.motion, sample))
        return taught, partial(_scored, normality)

    found = out_of_fold.measured(kept, "motion", out_of_fold.parts(training, seen, folds), learn)
    parts = [clips.keys(s, [clip]).join(store.to_table(found[s, clip.video])) for s in splits for clip in seen[s]]
    return pd.concat(parts, ignore_index=True)


def _learned(training: Sequence[Clip], settings: Motion, sample: "Lazy[Sample]") -> "Normality":
    return Normality(training, settings, sample.get())


def _scored(normality: "Lazy[Normality]", clip: Clip) -> store.Arrays:
    return store.of_table(pd.DataFrame(normality.get().score(clip)))


Cells = dict[str, Any]
"""What is seen of a frame: cells (h, w) of residual, change, size and direction bin of flow, and regions.Flow."""


def look(pair: Pair, settings: Motion) -> Cells:
    """What is seen of a pair of frames without knowing any other: as far as `motion.components` asks for it."""
    found: Cells = {}
    asked = set(settings.components)
    if "change" in asked:
        found["change"] = pooling.to_cells(frame_change(pair), CELL)
    if asked & {"flow", "direction", "velocity"}:
        flow = optical_flow(pair, settings.flow, settings.flow_rows)
        if asked & {"flow", "direction"}:
            found["flow"], found["bins"] = flow_cells(flow, pair.image.shape)
        if "velocity" in asked:
            found["fine"] = regions.cells_of(flow)
    return found


class Sample:
    """Pairs of neighbours, at most SAMPLED, spread over training clips: what is usual is learned from them.

    What needs no background is looked at once, however many folds learn from it.
    """

    def __init__(self, training: Sequence[Clip], settings: Motion) -> None:
        """Raises VadError where no clip has two frames."""
        self.settings = settings
        self.seen: dict[tuple[str, int], Cells] = {}
        self._medians: dict[str, np.ndarray] = {}
        places = [(clip, place) for clip in training for place in range(1, len(clip))]
        if not places:
            raise VadError("data/frames/train: no clip has two frames; motion takes longer training clips")
        self.places = [places[index] for index in evenly_spaced(len(places), SAMPLED)]

    def median(self, clip: Clip, size: Size) -> np.ndarray:
        """A training clip without its people: see empty_scene.median."""
        if clip.video not in self._medians:
            self._medians[clip.video] = empty_scene.median(clip, size)
        return scaled(self._medians[clip.video], size)

    def cells(self, size: Size, backgrounds: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Cells]]:
        """The clip and the cells of the pairs of some clips, at a size (H, W), residuals from each one's background."""

        def see(chosen: tuple[Clip, int]) -> tuple[str, Cells]:
            clip, place = chosen
            first, second = clip.numbers[place - 1 : place + 1].tolist()
            image = scaled(luma(clip, second), size)
            key = clip.video, second
            if key not in self.seen:
                self.seen[key] = look(Pair(scaled(luma(clip, first), size), image, second - first), self.settings)
            return clip.video, with_residual(self.seen[key], image, backgrounds[clip.video], self.settings)

        return parallel(see, [(clip, place) for clip, place in self.places if clip.video in backgrounds])


def with_residual(cells: Cells, image: np.ndarray, background: np.ndarray, settings: Motion) -> Cells:
    """The cells of a frame of luma (H, W), and those of its residual where `motion.components` asks for it."""
    if "background" not in settings.components:
        return cells
    return cells | {"background": pooling.to_cells(background_residual(image, background), CELL)}


class Normality:
    """What is usual in a data set: size of its frames, background, and per component the scale of each place."""

    def __init__(self, training: Sequence[Clip], settings: Motion, sample: Sample | None = None) -> None:
        """Learn from training clips, by those pairs of `sample` that are theirs, or by pairs of their own.

        Raises VadError where no clip has two frames.
        """
        self.settings = settings
        known = backgrounds(training)
        # Frames of any other size are brought to that of the background that the most training frames gave.
        self.size, chosen = max(known.items(), key=lambda item: item[1].count)
        self.background = chosen.luma
        sample = sample or Sample(training, settings)
        videos = [clip.video for clip in training]
        asked = {clip.video for clip, _ in sample.places}
        behind = {clip.video: self.background_of(clip, sample.median) for clip in training if clip.video in asked}
        sampled = list(sample.cells(self.size, behind))
        if not sampled:
            sample = Sample(training, settings)
            sampled = list(sample.cells(self.size, {clip.video: self.background_of(clip) for clip in training}))
        self.directions: Directions | None = None
        if "direction" in settings.components:
            self.directions = Directions((cells["flow"], cells["bins"]) for _, cells in sampled)
        halves = self._halves(sampled, videos)
        found: list[regions.Regions | None] = [None] * len(sampled)
        if "velocity" in settings.components:
            found = [*self._know_regions(sampled, halves)]
        maps = [self._maps(cells, at, half) for (_, cells), at, half in zip(sampled, found, halves, strict=True)]
        shrunk = [video for video, _ in sampled], settings.shrink
        scales = parallel(lambda name: pooling.PlaceScales([m[name] for m in maps], *shrunk), settings.components)
        self.places = dict(zip(settings.components, scales, strict=True))

    def background_of(self, clip: Clip, median: Callable[[Clip, Size], np.ndarray] = empty_scene.median) -> np.ndarray:
        """The background (H, W) as a clip shows it, as far as `motion.registration` and `motion.light` say so."""
        found, asked = self.background, self.settings
        if "background" in asked.components and (asked.registration or asked.light):
            seen = median(clip, self.size)
            found = empty_scene.moved(found, seen) if asked.registration else found
            found = empty_scene.lit(found, seen) if asked.light else found
        return found

    def score(self, clip: Clip) -> Iterator[dict[str, float]]:
        """The components of each frame of a clip, in order: `COMPONENT_POOL` -> value."""
        background = self.background_of(clip)

        def pooled(pair: Pair) -> dict[str, float]:
            found = self.maps(pair, background).items()
            return {
                f"{name}_{pool}": value
                for name, cells in found
                for pool, value in self.places[name].pool(cells).items()
            }

        return parallel(pooled, pairs(clip, self.size))

    def maps(self, pair: Pair, background: np.ndarray) -> dict[str, np.ndarray]:
        """Component -> its map (h, w) of one frame, `background` (H, W) being that of its clip."""
        return self._maps(with_residual(look(pair, self.settings), pair.image, background, self.settings))

    def _maps(
        self, cells: Mapping[str, Any], moving: regions.Regions | None = None, half: int | None = None
    ) -> dict[str, np.ndarray]:
        """Component -> its map (h, w), from a frame's cells, and where they are known already from its regions.

        `half` of a training frame, see regions.Known.
        """
        found = {name: cells[name] for name in self.settings.components if name in cells}
        if self.directions:
            found["direction"] = self.directions.rarity(cells["flow"], cells["bins"])
        if "velocity" in self.settings.components:
            found["velocity"] = self.known.map_of(self._regions(cells) if moving is None else moving, half)
        return found

    def _regions(self, cells: Mapping[str, Any]) -> regions.Regions:
        return regions.find(cells["fine"], self.fast, self.slowest)

    def _know_regions(self, sampled: Sequence[tuple[str, Cells]], of_half: Sequence[int]) -> list[regions.Regions]:
        speeds = np.stack([pooling.blocks(cells["fine"].size) for _, cells in sampled])
        self.slowest = regions.SHARE * float(np.median(pooling.place_scale(speeds)))
        self.fast = pooling.place_scale(speeds, [video for video, _ in sampled], self.settings.shrink)
        found = list(parallel(self._regions, (cells for _, cells in sampled)))
        halves: tuple[list[regions.Regions], list[regions.Regions]] = ([], [])
        for moving, half in zip(found, of_half, strict=True):
            halves[half].append(moving)
        self.known = regions.Known(halves)
        return found

    @staticmethod
    def _halves(sampled: Sequence[tuple[str, Cells]], videos: Sequence[str]) -> list[int]:
        """The half of each sampled frame: that of its clip, or of a single clip the earlier or the later half."""
        if len(videos) == 1:
            return [int(place >= len(sampled) / 2) for place in range(len(sampled))]
        half = {video: place % 2 for place, video in enumerate(videos)}
        return [half[video] for video, _ in sampled]
