"""A detector's boxes: how unlike the boxes of training frames those of a frame look, and how unlike them they move.

After methods that look at objects one by one: R. T. Ionescu et al., Object-centric auto-encoders, CVPR 2019;
M.-I. Georgescu et al., A background-agnostic framework, PAMI 2021; T. Reiss and Y. Hoshen, Attribute-based
representations, 2022 (AI-VAD), whose nearest neighbours these are; and of patches S. Ahn et al., VideoPatchCore, ACCV
2024. Their networks and their further attributes are not part of it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vad import VadError
from vad.components import out_of_fold, pairs
from vad.components.directions import BINS, bins
from vad.components.out_of_fold import Part
from vad.components.pairs import Flow, Pair
from vad.components.regions import QUANTILE
from vad.data import clips
from vad.data.clips import Clip
from vad.data.sampling import evenly_spaced
from vad.models import detector, inference, runtime
from vad.models.detector import Detector
from vad.params import Objects, Params
from vad.quality import reading, repair
from vad.storage import store, tables
from vad.storage.progress import parallel
from vad.storage.store import Job, Lazy, Store

SAMPLED = 1000
"""Training frames, at most, whose boxes may be remembered."""


class Seen(NamedTuple):
    """The boxes of a frame: how they look (N, C), and how they move (N, BINS + 2), see `movement`."""

    looks: np.ndarray
    moves: np.ndarray


def measure(settings: Params, kept: Store, frames: Path, validation: Path, diagnosis: Path) -> pd.DataFrame:
    """The keys, `objects_appearance` and `objects_velocity`, at least 0, of every scored frame.

    `frames` holds zipped clips, a folder a split, `validation` those of validation. Raises VadError for weights that
    are not the detector's, and where it finds nothing in training frames.
    """
    table = tables.read_csv(diagnosis, [*repair.COLUMNS, "fold"])
    diagnosed, folds = repair.Diagnosis(table), out_of_fold.folds_of(table)
    splits = out_of_fold.scored_splits(folds)
    seen = {s: reading.at_full_size(frames, validation, s, diagnosed, settings.repair) for s in splits}
    training = clips.open_zips(frames / "train")
    network = Lazy(partial(detector.load, settings.objects))
    weights = settings.objects.weights
    origin = store.digest_of_file(weights) if weights and weights.exists() else ""
    contents = [clip.digest() for clip in training]
    sample = Lazy(partial(sampled, training, kept, origin, network, settings))

    def learn(part: Part[Clip]) -> tuple[Any, Callable[[Clip], store.Arrays]]:
        taught = [origin, contents, [clip.video for clip in part.training]]
        known = Lazy(partial(_learned, part.training, sample, settings.objects))
        return taught, partial(_scored, known, network, settings)

    found = out_of_fold.measured(kept, "objects", out_of_fold.parts(training, seen, folds), learn)
    parts = [clips.keys(s, [clip]).join(store.to_table(found[s, clip.video])) for s in splits for clip in seen[s]]
    return pd.concat(parts, ignore_index=True)


def _learned(training: Sequence[Clip], sample: "Lazy[dict[str, Seen]]", settings: Objects) -> "Known":
    found = sample.get()
    return Known([found[clip.video] for clip in training if clip.video in found], settings)


def _scored(known: "Lazy[Known]", network: Lazy[Detector], settings: Params, clip: Clip) -> store.Arrays:
    usual = known.get()
    looked = look(network.get(), clip, range(len(clip)), settings.motion.flow)
    return store.of_table(pd.DataFrame([usual.score(seen) for seen in looked]))


def sampled(
    training: Sequence[Clip], kept: Store, origin: str, network: Lazy[Detector], settings: Params
) -> dict[str, Seen]:
    """Clip -> the boxes of those of its frames that are among SAMPLED, spread over training clips.

    What a clip gave is kept, however many folds, shares and runs learn from it.
    """
    frames = [(clip, place) for clip in training for place in range(len(clip))]
    places = defaultdict(list)
    for index in evenly_spaced(len(frames), SAMPLED):
        clip, place = frames[index]
        places[clip.video].append(place)

    def boxes(clip: Clip) -> store.Arrays:
        found = look(network.get(), clip, places[clip.video], settings.motion.flow)
        looks, moves = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return {"looks": looks, "moves": moves}

    return {
        clip.video: Seen(**kept.one(Job([origin, clip.digest(), places[clip.video]], partial(boxes, clip))))
        for clip in training
        if clip.video in places
    }


def look(network: Detector, clip: Clip, places: Sequence[int], preset: str) -> Iterator[Seen]:
    """The boxes of the frames at some places of a clip, in order. `preset`, of optical flow: one of pairs.PRESETS."""

    def read(place: int) -> tuple[np.ndarray, Flow]:
        # The first frame moves as it will towards the second.
        later = min(max(place, 1), len(clip) - 1)
        before, number = clip.numbers[[max(later - 1, 0), later]].tolist()
        image = clip.frame(int(clip.numbers[place]))
        size = image.shape[:2]
        first, second = (pairs.scaled(_luma(clip.frame(n)), size) for n in (before, number))
        return image, pairs.optical_flow(Pair(first, second, max(1, number - before)), preset)

    def see(frame: tuple[np.ndarray, Flow]) -> Seen:
        image, flow = frame
        found = network.find(image)
        moves = [movement(flow, box) for box in found.boxes]
        return Seen(found.features, np.array(moves, np.float32).reshape(-1, BINS + 2))

    return inference.on_all_cores(runtime.fabric(), see, parallel(read, places))


def _luma(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)


def movement(flow: Flow, box: np.ndarray) -> np.ndarray:
    """How what is in a box moves, in heights of the box a frame, so that it is the same near and far: (BINS + 2,).

    The mean over its pixels of the flow (H, W) in each direction; the sum of these; and the QUANTILE of the flow.
    `box`: left, top, right, bottom in shares of the frame's sides.
    """
    height, width = flow.size.shape
    left, top = (min(int(share * side), side - 1) for share, side in zip(box[:2], (width, height), strict=True))
    right, bottom = (int(np.ceil(share * side)) for share, side in zip(box[2:], (width, height), strict=True))
    part = np.s_[top : max(bottom, top + 1), left : max(right, left + 1)]
    size, x, y = (each[part].ravel() / (max(bottom, top + 1) - top) for each in flow)
    histogram = np.bincount(bins(x, y), size, BINS) / len(size)
    return np.array([*histogram, size.mean(), np.quantile(size, QUANTILE)])


class Known:
    """The boxes of training frames that are remembered, to compare others with."""

    def __init__(self, seen: Sequence[Seen], settings: Objects) -> None:
        """Remember of all boxes at most `objects.remembered`, spread over them. Raises VadError where there is none."""
        self.neighbours = settings.neighbours
        count = sum(len(boxes.looks) for boxes in seen)
        if not count:
            raise VadError(
                f"objects: {settings.detector} finds nothing in training frames with a score of {settings.min_score}; "
                "lower objects.min_score, or correct objects.weights"
            )
        chosen = evenly_spaced(count, settings.remembered)
        self.looks, self.moves = (torch.from_numpy(np.concatenate(parts)[chosen]) for parts in zip(*seen, strict=True))

    def score(self, seen: Seen) -> dict[str, float]:
        """`objects_appearance` and `objects_velocity` of a frame: how far its strangest box is from its nearest.

        0 without a box, as if it were of training frames: where nothing is found nothing is strange.
        """
        return {
            "objects_appearance": self._farthest(seen.looks, self.looks),
            "objects_velocity": self._farthest(seen.moves, self.moves),
        }

    def _farthest(self, boxes: np.ndarray, remembered: Tensor) -> float:
        """The largest of boxes' (N, C) mean distances to their nearest neighbours."""
        if not len(boxes):
            return 0.0
        distances = torch.cdist(torch.from_numpy(boxes), remembered)
        nearest = distances.topk(min(self.neighbours, len(remembered)), largest=False).values
        return float(nearest.mean(1).max())
