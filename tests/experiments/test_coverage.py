"""The simulation of coverage computes what it says: AP as elsewhere, its derivatives, intervals that hold more."""

import numpy as np
import pytest

from experiments import coverage
from experiments.markdown import between
from vad.evaluation.curves import Ranked


def test_the_difference_of_weighed_videos_is_that_of_weighed_frames_and_so_are_its_derivatives() -> None:
    rng = np.random.default_rng(0)
    labels, first, second = coverage.videos(7, 0.5, rng)
    difference = coverage.Difference(labels, first, second)
    weights = rng.integers(1, 4, (3, 7)).astype(float)
    values, slopes = difference(weights)
    for value, slope, one in zip(values, slopes, weights, strict=True):
        frames = np.repeat(one, coverage.FRAMES)
        after, before = (
            Ranked(labels.ravel(), scores.ravel()).counts(frames).at_prevalence(coverage.PREVALENCE).average_precision()
            for scores in (second, first)
        )
        assert value == pytest.approx(after - before)
        moved, _ = difference(one + 1e-6 * np.eye(7))
        np.testing.assert_allclose((moved - value) / 1e-6, slope, atol=1e-6)


def test_with_few_videos_the_interval_in_use_holds_the_truth_more_often_than_percentiles_do() -> None:
    rng = np.random.default_rng(1)
    found = coverage.coverage(6, 1.0, coverage.truth_of(1.0, rng), 40, rng)
    assert found["Student's, bootstrap error"][0] > found["percentile"][0]


def test_the_page_has_the_table_of_every_method() -> None:
    page = coverage.PAGE.read_text(encoding="utf-8")
    assert between(page, coverage.MARK, "") != page
    assert all(f"| {name} |" in page for name in coverage.METHODS)
