"""A digest of a ranking: equal for equal orders of the same frames, whatever the scores."""

import csv
import hashlib
import io
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from vad.storage import tables

CHUNK = 1 << 16
"""Rows that are put into words at a time."""
FOUR_DIGITS = np.frombuffer(b"".join(b"%04d" % number for number in range(10000)), np.uint8).reshape(-1, 4)


def ranking_digest(keys: pd.DataFrame, scores: np.ndarray) -> str:
    """Sixteen hex digits that stand for the order of scores (T,) alone, ties included.

    `keys` names the frames (columns split, video, frame, or those of them that there are); the order of the rows
    doesn't matter. Scores transformed without merging or swapping any two keep their digest. It is the start of the
    SHA-256 of a CSV file of the keys in order and the rank of each frame; pandas would take ten times as long for it.
    """
    columns = [name for name in tables.KEYS if name in keys]
    numbers = [np.unique(np.asarray(scores), return_inverse=True)[1]]
    if "frame" in columns:
        numbers.insert(0, keys["frame"].to_numpy(np.int64))
    names = [name for name in columns if name != "frame"]
    clip, found = np.zeros(len(keys), np.int64), []
    for name in names:
        code, values = _codes(keys[name].to_numpy())
        clip = clip * len(values) + code
        found.append(values)
    order = _sorted([clip, *numbers[:-1]])
    starts = np.array([_start(row) for row in product(*found)])
    digest = hashlib.sha256(",".join([*columns, "rank\n"]).encode())
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]
        digest.update(_lines(starts[clip[rows]], [values[rows] for values in numbers]))
    return digest.hexdigest()[:16]


def _codes(names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place (T,) of each name (T,) among the distinct ones, and these, sorted; names come in runs."""
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])[: len(names)])
    code, values = pd.factorize(names[starts], sort=True)
    return np.repeat(code, np.diff(starts, append=len(names))), values


def _sorted(keys: Sequence[np.ndarray]) -> np.ndarray:
    """The order (T,) of rows by keys (T,), the first foremost; no sorting where they are in order, as tables are."""
    rises, equal = np.zeros(max(len(keys[0]) - 1, 0), bool), True
    for key in keys:
        step = key[1:] - key[:-1]
        rises |= equal & (step > 0)
        equal &= step == 0
    return np.arange(len(keys[0])) if (rises | equal).all() else np.lexsort(keys[::-1])


def _start(values: Sequence[str]) -> bytes:
    """The beginning of a line of CSV, its last comma included."""
    if not values:
        return b""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()[:-1].encode() + b","


def _lines(starts: np.ndarray, numbers: Sequence[np.ndarray]) -> bytes:
    """Lines that begin as `starts` (T,) say and go on with numbers (T,) from 0 up, commas between them."""
    letters = starts.view(np.uint8).reshape(len(starts), -1)
    parts, kept = [letters], [letters > 0]
    for place, values in enumerate(numbers):
        kind = np.uint32 if values.max() < 2**32 else np.uint64  # half the time
        values, width = values.astype(kind), len(str(values.max()))
        groups = range((width - 1) // 4, -1, -1)
        digits = np.concatenate([FOUR_DIGITS[values // kind(10000**one) % kind(10000)] for one in groups], axis=1)
        parts.append(digits[:, -width:])
        kept.append(values[:, None] >= np.append(10 ** np.arange(width - 1, 0, -1, dtype=kind), kind(0)))
        parts.append(np.full((len(values), 1), ord("\n" if place == len(numbers) - 1 else ","), np.uint8))
        kept.append(np.ones((len(values), 1), bool))
    return np.concatenate(parts, axis=1)[np.concatenate(kept, axis=1)].tobytes()
