"""Scores that somebody else gives to frames, from a CSV: a component beside those that are measured here.

A CSV that has the normal frames as well is calibrated on them. A submission has the test frames alone and says nothing
of what is normal, so its scores are taken by their ranks.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from vad import VadError
from vad.components import out_of_fold
from vad.data import frame_ids, own_scores
from vad.params import Params
from vad.storage import tables
from vad.storage.store import Store

FRAME = [*tables.KEYS, "Id"]
"""Columns that say which frame a row is of; the one beside them is the score."""


def measure(settings: Params, _kept: Store, diagnosis: Path) -> pd.DataFrame:
    """The keys, `given` and `given_known` of every scored frame, from the CSV of `data.scores`.

    With normal frames in it, the values are its own; validation frames that it lacks get the median of the normal ones.
    Without, values are the standard normal quantiles of ranks within the split; normal frames get evenly spaced ones,
    of deviation 1, and validation frames 0. Raises VadError for rows that don't fit the scored frames.
    """
    path = own_scores.find(settings.data.scores)
    rows = read(path)
    diagnosed = tables.read_csv(diagnosis, [*tables.KEYS, "fold"])
    splits = out_of_fold.scored_splits(out_of_fold.folds_of(diagnosed))
    frames = diagnosed.loc[diagnosed["split"].isin(splits), tables.KEYS]
    table = _join(frames.assign(Id=frame_ids.of(frames["video"], frames["frame"])), rows, splits, path)
    normal = (table["split"] == splits[0]).to_numpy()
    values, known = table["given"].to_numpy(np.float64, copy=True), table["given"].notna().to_numpy()
    if known[normal].any():
        values = np.where(known, values, np.median(values[normal]))
    else:
        for split in set(table.loc[known, "split"]):
            of_split = (table["split"] == split).to_numpy()
            values[of_split] = quantiles(values[of_split])
        values[normal] = _spaced(int(normal.sum()))
        values = np.nan_to_num(values)
    return table[tables.KEYS].assign(**{"given": values, own_scores.KNOWN: known.astype(np.float64)})


def read(path: Path) -> pd.DataFrame:
    """The rows (split, Id, given, row) of a CSV of scores; without a column `split` they are of test frames.

    `row` is the line in the file. Raises VadError for columns that leave open which is the score, a frame that is none,
    one that comes twice and a score that is not finite.
    """
    table = tables.read_csv(path, [])
    scores = [str(name) for name in table if name not in FRAME]
    if len(scores) != 1:
        several = f"several columns of scores, {', '.join(map(frame_ids.shown, scores))}"
        what = several if scores else "no column of scores"
        raise VadError(f"{path}: {what}; it takes Id, or video and frame, and one column more")
    table = frame_ids.read(table, path).assign(row=np.arange(len(table)) + 2)
    table["split"] = table.get("split", "test")
    table["given"] = pd.to_numeric(table[scores[0]], errors="coerce").astype(np.float64)
    for bad, what, remedy in (
        (~np.isfinite(table["given"]), f"its {frame_ids.shown(scores[0])} is not a finite number", "mend it"),
        (table.duplicated(["split", "Id"]), "it comes more than once", "keep one row a frame"),
    ):
        if bad.any():
            raise VadError(f"{path}: {_told(table[bad].iloc[0])}: {what}; {remedy}")
    return table[["split", "Id", "given", "row"]]


def _join(frames: pd.DataFrame, rows: pd.DataFrame, splits: Collection[str], path: Path) -> pd.DataFrame:
    """Frames (split, video, frame, Id) with `given` beside them, NaN in splits that the CSV lacks.

    Raises VadError for a row of no such frame, and for a frame without a row in a split that must be whole.
    """
    keys = ["split", "Id"]
    strange = rows[~pd.MultiIndex.from_frame(rows[keys]).isin(pd.MultiIndex.from_frame(frames[keys]))]
    if len(strange):
        raise VadError(
            f"{path}: {_told(strange.iloc[0])}: not among the scored frames of {', '.join(splits)}; "
            "remove the row, or name clip and frame as they are named here"
        )
    table = frames.merge(rows, on=keys, how="left", validate="one_to_one")
    absent = table[table["given"].isna() & table["split"].isin({"test", *rows["split"]})]
    if len(absent):
        row = absent.iloc[0]
        raise VadError(
            f"{path}: no score for {row['split']} clip {row['video']} frame {row['frame']} and {len(absent) - 1} "
            "more; add their rows"
        )
    return table


def _told(row: pd.Series) -> str:
    return f"row {row['row']}, {frame_ids.shown(row['split'])} frame {frame_ids.shown(row['Id'])}"


def quantiles(values: np.ndarray) -> np.ndarray:
    """Standard normal quantiles (T,) of ranks: those of (rank - 1/2) / T; equal values (T,) share their mean rank."""
    ranks = pd.Series(values).rank(method="average").to_numpy()
    return ndtri((ranks - 0.5) / len(values))


def _spaced(count: int) -> np.ndarray:
    """Evenly spaced quantiles (count,) of mean 0 and deviation 1, the scale that `calibrated` leaves as it is.

    Shuffled, so that every clip has large and small ones: a fold is calibrated on the clips of the others.
    """
    spaced = quantiles(np.random.default_rng(0).permutation(count))
    return spaced / (float(spaced.std()) or 1.0) if count else spaced
