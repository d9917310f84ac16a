"""How far an autoencoder has collapsed: whether its bottleneck and its errors still tell one frame from another.

Each figure is read beside that of the same network before training, since its scale is the network's own.
"""

import numpy as np


def feature_variance(features: np.ndarray) -> float:
    """Mean over channels of the variance over frames of features (N, C), N frames -> unit of the features, squared.

    0 where every frame gives the same features: complete collapse, as Chen and He, *Exploring simple siamese
    representation learning* (CVPR 2021), watch it by the standard deviation per channel.
    """
    return float(features.astype(np.float64).var(axis=0).mean())


def effective_rank(features: np.ndarray) -> float:
    """How many directions the frames of features (N, C) spread in, from 1 to min(N - 1, C); 0 where all are alike.

    The exponential of the entropy of the singular values, normalised to sum 1, of the features less their mean over
    frames: Roy and Vetterli, *The effective rank* (EUSIPCO 2007).
    """
    features = features.astype(np.float64)
    values = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)
    # Of features that are all alike, the rounding of float32 is left, and rounding has full rank.
    values = values[values > np.finfo(np.float32).eps * np.linalg.norm(features)]
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(values) else 0.0


def score_spread(scores: np.ndarray) -> float:
    """Coefficient of variation of scores (N,), at least 0: their standard deviation as a share of their mean."""
    scores = scores.astype(np.float64)
    return float(scores.std() / scores.mean()) if scores.any() else 0.0
