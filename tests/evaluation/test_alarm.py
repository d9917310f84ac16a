"""An alarm keeps to its rate on normal frames, and is judged by events, delays and false alarms."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad.evaluation import alarm

FPS = 5.0


def frames(scores: list[float], video: str = "01", first: int = 0, labels: list[int] | None = None) -> pd.DataFrame:
    numbers = range(first, first + len(scores))
    return pd.DataFrame({"video": video, "frame": numbers, "score": scores, "label": labels or [0] * len(scores)})


def runs(table: pd.DataFrame, threshold: float) -> int:
    """How many alarms there are, counted frame by frame."""
    count, last = 0, ("", 0)
    for row in table.sort_values(["video", "frame"]).itertuples():
        if row.score >= threshold:
            count += last[0] != row.video or (row.frame - last[1] - 1) / FPS >= 1
            last = row.video, row.frame
    return count


def test_runs_less_than_a_second_apart_are_one_alarm_and_clips_have_their_own() -> None:
    scores = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]
    table = pd.concat([frames(scores), frames([1, 0], "02")], ignore_index=True)
    assert alarm.alarms(table, 1, FPS).tolist() == [0] * 6 + [-1] * 5 + [1, 1] + [2, -1]
    assert alarm.alarms(table, 2, FPS).tolist() == [-1] * 15


def test_frames_are_apart_by_their_numbers() -> None:
    gap = frames([1.0] * 20).query("frame < 5 or frame >= 12")
    assert alarm.alarms(gap, 1, FPS).max() == 1
    assert alarm.alarms(gap.assign(frame=range(len(gap))), 1, FPS).max() == 0


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=60), min_size=1, max_size=3),
    st.integers(1, 6),
)
def test_the_threshold_is_the_lowest_that_no_higher_one_makes_too_loud(clips: list[list[int]], allowed: int) -> None:
    table = pd.concat([frames([float(s) for s in clip], f"{n}") for n, clip in enumerate(clips)], ignore_index=True)
    hours = len(table) / FPS / 3600
    rule = alarm.learn(table, allowed / hours, FPS)
    levels = np.unique(table["score"])[::-1]
    loud = [level for level in levels if runs(table, level) > allowed]
    kept = [level for level in levels if not loud or level > loud[0]]
    assert rule.threshold == (kept[-1] if kept else np.nextafter(levels[0], np.inf))
    assert runs(table, rule.threshold) <= allowed and rule.hours == hours


def test_a_threshold_that_keeps_every_frame_in_alarm_is_not_taken_for_a_quiet_one() -> None:
    table = frames(([3.0] + [0.0] * 9) * 10)
    table.loc[0, "score"] = 5.0
    assert runs(table, 0) == 1 and runs(table, 3) == 10
    assert alarm.learn(table, 1 / (len(table) / FPS / 3600), FPS).threshold == 5


def test_too_little_footage_takes_the_largest_normal_score_and_says_how_much_there_was() -> None:
    rule = alarm.learn(frames([1.0, 5.0, 3.0] * 100), 10, 25)
    assert rule == (5.0, 300 / 25 / 3600)


def test_events_delays_and_false_alarms_are_those_counted_by_hand() -> None:
    labels = [0] * 10 + [1] * 10 + [0] * 10 + [1] * 5 + [0] * 15
    scores = [0.0] * 50
    scores[2] = 9  # false
    scores[14:16] = [9, 9]  # four frames late
    scores[45] = scores[49] = 9  # one false alarm, ends included
    first = frames(scores, "01", 100, labels)
    second = frames([9.0] * 4 + [0.0] * 6, "02", 0, [1] * 10)
    found = alarm.judge(pd.concat([second, first]).sample(frac=1, random_state=0), alarm.Rule(9, 2), FPS)
    assert found == {
        "threshold": 9, "learned_from_hours": 2, "events": 3, "found": 2, "delay": pytest.approx(0.4),
        "false_alarms": 2, "false_alarms_per_hour": pytest.approx(2 / (35 / FPS / 3600)),
        "normal_in_alarm": pytest.approx(6 / 35),
    }  # fmt: skip


def test_labels_of_the_judged_frames_leave_the_threshold_alone_and_gaps_leave_an_event_whole() -> None:
    table = frames([3.0] * 20, labels=[1] * 20).query("frame < 8 or frame > 9")
    found = alarm.judge(table, alarm.Rule(4, 1), FPS)
    assert (found["events"], found["found"], found["threshold"]) == (1, 0, 4)
    assert math.isnan(found["delay"]) and math.isnan(found["false_alarms_per_hour"])


def test_without_normal_frames_there_is_no_alarm() -> None:
    rule = alarm.learn(frames([]), 10, 25)
    assert math.isnan(rule.threshold) and rule.hours == 0
    found = alarm.judge(frames([1.0, 2.0], labels=[0, 1]), rule, 25)
    assert found["events"] == 1 and all(math.isnan(found[name]) for name in alarm.FIGURES)
