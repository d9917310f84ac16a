"""Which way something moves, and how usual that is at its place: people keep to the sides of a way."""

from collections.abc import Iterable

import numpy as np

from vad import VadError
from vad.components import pooling

BINS = 8
"""Directions that are told apart."""


def bins(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The direction of movements, their parts along x and y of any shape: int, 0 to BINS - 1."""
    turn = np.arctan2(y, x) / (2 * np.pi) % 1
    return (turn * BINS).round().astype(int) % BINS


class Directions:
    """How usual each direction of movement is at each place: log-probabilities (BINS, h, w)."""

    def __init__(self, training: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """`training` are sizes and bins of normal frames, as `flow_cells` gives them. Fast movement counts for more."""
        total: np.ndarray | None = None
        for size, bins in training:
            total = np.zeros((BINS, *size.shape), np.float32) if total is None else total
            for direction in range(BINS):
                total[direction] += np.where(bins == direction, size, 0)
        if total is None:
            raise VadError("motion: no training frames to learn directions from")
        near = np.stack([pooling.blocks(counts) for counts in total])
        # Neighbouring directions count half: nobody walks in a straight line.
        near = near + 0.5 * (np.roll(near, 1, 0) + np.roll(near, -1, 0))
        prior = near.sum((1, 2), keepdims=True)
        prior = prior / max(float(prior.sum()), 1e-9) + 1 / BINS
        weight = float(near.sum(0).mean()) or 1.0
        self.log_probability = np.log((near + weight * prior / 2) / (near.sum(0) + weight))

    def rarity(self, size: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """How rarely something moves this way here (h, w), in nats, times how fast it does, pixels a frame."""
        rows, columns = np.indices(bins.shape)
        return size * -self.log_probability[bins, rows, columns]
