"""The synthetic clips of any number go through the stages, and slopes are read off right."""

import math
from pathlib import Path

import pytest

from benchmarks import scale


def test_the_stages_take_the_synthetic_clips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scale, "CLIP", 40)
    monkeypatch.setattr(scale, "STAGES", ("check", "fetch", "extract"))
    found = scale.costs(tmp_path, 320)
    assert list(found) == ["check", "fetch", "extract"]
    assert all(cost.processor > 0 and cost.megabytes > 5 for cost in found.values())


def test_a_quadratic_stage_shows_a_slope_of_two(tmp_path: Path) -> None:
    def cost(seconds: float) -> scale.Cost:
        return scale.Cost(seconds, seconds, 100)

    found = {
        size: dict.fromkeys(scale.SHOWN, cost(size * 0.001)) | {"motion": cost((size / 1000) ** 2)}
        for size in (1000, 10_000)
    }
    assert math.isclose(scale.slope(found, "motion"), 2) and math.isclose(scale.slope(found, "resize"), 1)
    assert "| motion | 1.00 | 10.00 | 100 | 100 | 2.00 |" in scale.table(found)
    scale.draw(tmp_path / "scale.png", found)
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")


def test_the_figures_of_many_scores_are_all_timed() -> None:
    assert list(scale.figures(2000)) == [
        "AP, AP at a prevalence, AUROC", "AUROC by clip", "digest of the ranking", "megabytes",
    ]  # fmt: skip
