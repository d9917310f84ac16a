"""How soon an event is seen: recall on its first frames."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from vad.evaluation.curves import precision_recall


class Onset(NamedTuple):
    """Recall on the first frames of events, at the threshold that keeps a precision."""

    recall: float
    threshold: float | None
    frames: int
    events: int


def onset_recall(
    labels: np.ndarray,
    scores: np.ndarray,
    videos: np.ndarray,
    frames: np.ndarray,
    precision: float,
    frames_after: int = 5,
) -> Onset:
    """Recall over the first `frames_after` frames of each event, each argument (T,): how soon an event is seen.

    The threshold is the lowest one at which the precision over all frames is at least `precision`; where none is,
    the recall is 0 and the threshold None. An event is a run of anomalous frames of a clip by frame number: a normal
    frame ends it, missing numbers don't. NaN without events.
    """
    reached, _, thresholds = precision_recall(labels, scores)
    first, events = event_onsets(labels, videos, frames, frames_after)
    if not events:
        return Onset(float("nan"), None, 0, 0)
    kept = thresholds[reached >= precision]
    if not len(kept):
        return Onset(0.0, None, int(first.sum()), events)
    found = np.asarray(scores)[first] >= kept[-1]
    return Onset(float(found.mean()), float(kept[-1]), int(first.sum()), events)


def event_onsets(
    labels: np.ndarray, videos: np.ndarray, frames: np.ndarray, frames_after: int
) -> tuple[np.ndarray, int]:
    """Which frames (T,) bool are among the first `frames_after` that are left of their event, and how many events."""
    clips = pd.factorize(np.asarray(videos))[0]
    order = np.lexsort((np.asarray(frames), clips))
    positive, clip = (np.asarray(labels) == 1)[order], clips[order]
    follows = np.append(False, positive[:-1] & (clip[1:] == clip[:-1]))[: len(order)]
    starts = positive & ~follows
    place = np.arange(len(order))
    since = place - np.maximum.accumulate(np.where(starts, place, 0))
    result = np.empty(len(order), dtype=bool)
    result[order] = positive & (since < frames_after)
    return result, int(starts.sum())
