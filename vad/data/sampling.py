"""Some of many: which frames stand for all where all would take too long."""

import numpy as np


def evenly_spaced(count: int, most: int) -> list[int]:
    """Positions from 0 to `count` - 1, ascending: all of them, or `most`, evenly spaced from the first to the last."""
    positions: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return positions
