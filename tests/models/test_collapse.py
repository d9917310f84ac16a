"""Collapse: figures whose value is known by hand, and rounding that must not be mistaken for life."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from vad.models import collapse

DIRECTIONS = hadamard(16)[:, 1:].astype(np.float64)
"""(16, 15): orthogonal columns of equal length and of mean 0."""


def turned(features: np.ndarray, channels: int = 32) -> np.ndarray:
    """The same cloud of frames, moved and turned in a space of more channels."""
    generator = np.random.default_rng(5)
    basis = np.linalg.qr(generator.normal(size=(channels, features.shape[1])))[0]
    return (features @ basis.T + generator.normal(size=channels)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 7, 15])
def test_effective_rank_counts_directions_of_equal_strength(count: int) -> None:
    assert collapse.effective_rank(turned(DIRECTIONS[:, :count])) == pytest.approx(count, rel=1e-5)


def test_a_weaker_direction_counts_for_less() -> None:
    strengths = np.array([3.0, 1.0])
    expected = 0.75**-0.75 * 0.25**-0.25  # the exponential of the entropy of shares 3/4 and 1/4
    assert collapse.effective_rank(turned(DIRECTIONS[:, :2] * strengths)) == pytest.approx(expected, rel=1e-5)


def test_scale_changes_the_variance_and_not_the_rank() -> None:
    features = turned(DIRECTIONS[:, :5])
    assert collapse.effective_rank(features * 1000) == pytest.approx(collapse.effective_rank(features), rel=1e-5)
    assert collapse.feature_variance(features * 10) == pytest.approx(
        100 * collapse.feature_variance(features), rel=1e-5
    )


def test_the_variance_is_over_frames_and_the_mean_over_channels() -> None:
    features = np.array([[0, 10, 5], [2, 10, 7]], np.float32)
    assert collapse.feature_variance(features) == pytest.approx((1 + 0 + 1) / 3)


def test_frames_that_differ_by_rounding_alone_have_collapsed() -> None:
    same = np.tile(np.random.default_rng(5).normal(size=(1, 512)), (64, 1)).astype(np.float32)
    rounding = np.random.default_rng(6).integers(-1, 2, same.shape) * np.spacing(same)
    assert collapse.effective_rank(same) == collapse.feature_variance(same) == 0
    assert collapse.effective_rank(same + rounding) == 0
    assert collapse.effective_rank(same + 1000 * rounding) > 50


def test_the_spread_is_relative_to_the_mean() -> None:
    scores = np.array([1, 3], np.float32)
    assert collapse.score_spread(scores) == collapse.score_spread(7 * scores) == pytest.approx(0.5)
    assert collapse.score_spread(np.full(4, 0.3, np.float32)) == pytest.approx(0, abs=1e-12)
    assert collapse.score_spread(np.zeros(4, np.float32)) == 0
