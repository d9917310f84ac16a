"""A mean over kinds counts every kind alike, and is refused where one is too rare."""

import math

import numpy as np
import pandas as pd
import pytest

from vad.evaluation import metrics, over_kinds


def test_events_are_runs_of_a_kind_within_a_clip() -> None:
    kinds = np.array(["", "fast", "fast", "", "fast", "close", "close", "", ""])
    labels = (kinds != "").astype(int)
    videos = np.array(["01"] * 6 + ["02"] * 3)
    frames = np.array([0, 1, 2, 3, 4, 5, 1, 0, 2])
    found = over_kinds.events_by_kind(labels, kinds, videos, frames)
    assert found == {"close": 2, "fast": 2}


def figures(events: int, ap: float) -> dict[str, float]:
    return {"events": events, "ap_at_prevalence": ap}


def test_kinds_count_alike_however_often_they_come() -> None:
    assert over_kinds.mean_ap({"often": figures(90, 0.2), "seldom": figures(3, 0.8)}) == pytest.approx(0.5)


def test_a_rare_kind_refuses_the_mean_and_is_named() -> None:
    by_kind = {"often": figures(90, 0.2), "rare": figures(2, 1.0)}
    assert math.isnan(over_kinds.mean_ap(by_kind)) and over_kinds.rare(by_kind) == ["rare"]
    assert math.isnan(over_kinds.mean_ap({}))


def test_the_summary_of_validation_has_the_mean_over_kinds() -> None:
    rng = np.random.default_rng(0)
    frames = 240
    kinds = np.where(np.arange(frames) % 20 < 5, np.where(np.arange(frames) % 40 < 20, "fast", "close"), "")
    table = pd.DataFrame(
        {"split": "validation", "video": "01", "frame": range(frames), "score": rng.random(frames), "kind": kinds}
    ).assign(label=(kinds != "").astype(int))
    found = metrics.summarise(table, prevalence=0.25, draws=10, seed=0, onset_precision=0.5)
    by_kind = [row["ap_at_prevalence"] for row in found["kinds"].values()]
    assert found["ap_over_kinds"] == pytest.approx(np.mean(by_kind)) and found["rare_kinds"] == []
    assert metrics.summary({"validation": found}, None)["val"]["kinds"] == round(found["ap_over_kinds"], 4)
