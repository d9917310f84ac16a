"""Scores as an alarm: which events it finds, how soon, and how often it goes off for nothing.

The threshold comes from normal frames that nothing was learned from, never from labels of test frames. Frames are told
apart by their numbers: a clip may have gaps.
"""

import bisect
import itertools
import math
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

HOUR = 3600
"""Seconds."""
FIGURES = ("found", "delay", "false_alarms", "false_alarms_per_hour", "normal_in_alarm")


class Rule(NamedTuple):
    """When there is an alarm: at a score from `threshold` up, NaN where there is nothing to learn it from."""

    threshold: float
    hours: float
    """Of the normal frames that it was learned from."""


def learn(normal: pd.DataFrame, per_hour: float, frames_per_second: float) -> Rule:
    """The rule that gives at most `per_hour` alarms on normal frames (columns video, frame, score).

    Its threshold is the lowest normal score at which, and above which, they are no more. The largest normal score where
    the frames are too few for one alarm at that rate.
    """
    hours = len(normal) / frames_per_second / HOUR
    allowed = math.floor(per_hour * hours * (1 + 1e-12))
    if not len(normal):
        return Rule(math.nan, hours)
    if not allowed:
        return Rule(float(normal["score"].max()), hours)
    return Rule(_lowest(normal, allowed, frames_per_second), hours)


def _lowest(normal: pd.DataFrame, allowed: int, frames_per_second: float) -> float:
    """The threshold, on the way down from the largest score; not below the first that gives too many alarms.

    Far below there may be few again: when all frames are in alarm, each clip has one.
    """
    on: dict[str, list[int]] = defaultdict(list)
    threshold, count = float(np.nextafter(normal["score"].max(), np.inf)), 0
    for score, rows in normal.sort_values("score", ascending=False).groupby("score", sort=False):
        for video, frame in zip(rows["video"], rows["frame"], strict=True):
            count += _added(on[video], int(frame), frames_per_second)
        if count > allowed:
            break
        threshold = float(score)  # type: ignore[arg-type]
    return threshold


def _added(on: list[int], frame: int, frames_per_second: float) -> int:
    """Put a frame among those of its clip that are in alarm, sorted; returns how many alarms that makes more."""
    place = bisect.bisect(on, frame)
    around = [*on[max(place - 1, 0) : place], frame, *on[place : place + 1]]
    before = len(around) == 3 and _joined(around[0], around[2], frames_per_second)
    on.insert(place, frame)
    return 1 - sum(_joined(a, b, frames_per_second) for a, b in itertools.pairwise(around)) + before


def _joined(frame: Any, later: Any, frames_per_second: float) -> Any:
    """Whether two frames of a clip, both in alarm, are of one: less than a second lies between them."""
    return later - frame - 1 < frames_per_second


def alarms(table: pd.DataFrame, threshold: float, frames_per_second: float) -> np.ndarray:
    """The number (T,) of the alarm that each frame lies in, -1 outside of any.

    `table` (video, frame, score) is sorted by clip and frame. An alarm is a run of frames of a clip with scores from
    `threshold` up; runs less than a second apart are one, and what lies between them is in alarm.
    """
    on = np.flatnonzero(table["score"].to_numpy() >= threshold)
    result = np.full(len(table), -1)
    if len(on):
        clips, frames = pd.factorize(table["video"])[0][on], table["frame"].to_numpy()[on]
        begins = (clips[1:] != clips[:-1]) | ~_joined(frames[:-1], frames[1:], frames_per_second)
        number = np.append(0, np.cumsum(begins))
        for alarm in range(number[-1] + 1):
            members = on[number == alarm]
            result[members[0] : members[-1] + 1] = alarm
    return result


def judge(labelled: pd.DataFrame, rule: Rule, frames_per_second: float) -> dict[str, Any]:
    """What a rule's alarms are worth on labelled frames (video, frame, score, label); NaN for what can't be told.

    `events`, runs of anomalous frames of a clip, and `found`, those with a frame in alarm; `delay`, the median over
    these from an event's first frame to its first in alarm, seconds; `false_alarms`, those without an anomalous frame,
    and `false_alarms_per_hour` of normal frames; `normal_in_alarm`, the share of normal frames. Beside
    them the rule: `threshold`, and `learned_from_hours`, of normal frames.
    """
    table = labelled.sort_values(["video", "frame"], ignore_index=True)
    anomalous = (table["label"] == 1).to_numpy()
    result = {"threshold": rule.threshold, "learned_from_hours": rule.hours}
    events = table.assign(event=event_numbers(table["video"], anomalous))[anomalous]
    result["events"] = int(events["event"].nunique())
    if math.isnan(rule.threshold):
        return result | dict.fromkeys(FIGURES, math.nan)
    alarm = alarms(table, rule.threshold, frames_per_second)
    first = events.groupby("event")["frame"].min()
    seen = events[alarm[anomalous] >= 0].groupby("event")["frame"].min()
    false = len(set(alarm[alarm >= 0]) - set(alarm[anomalous]))
    hours = float((~anomalous).sum()) / frames_per_second / HOUR
    figures = (
        len(seen),
        float((seen - first[seen.index]).median()) / frames_per_second,
        false,
        false / hours if hours else math.nan,
        float((alarm[~anomalous] >= 0).mean()) if hours else math.nan,
    )
    return result | dict(zip(FIGURES, figures, strict=True))


def event_numbers(videos: pd.Series, anomalous: np.ndarray) -> np.ndarray:
    """The number (T,), from 1, of the event that each anomalous frame (T,) bool is of; frames are sorted.

    An event is a run of anomalous frames of a clip: a normal frame ends it, missing numbers don't.
    """
    follows = np.append(False, anomalous[:-1])[: len(anomalous)] & (videos == videos.shift()).to_numpy()
    return np.cumsum(anomalous & ~follows)
