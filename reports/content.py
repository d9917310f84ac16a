"""What the report shows of frames: scores with truth and corruption, curves, shares, false alarms and misses."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from project import revisions
from vad import VadError
from vad.evaluation import bootstrap, curves, plots
from vad.storage import tables

SCORES, LABELLED, DIAGNOSIS = Path("data/scores.csv"), Path(revisions.SCORES), Path("data/diagnosis.csv")
MARKS = ["flipped", "noisy", "frozen"]
"""What `diagnose` finds in a frame itself; which numbers are missing is seen from the others."""
WORST = 6
"""Frames that are shown of each way to go wrong."""
APART = 12
"""Frame numbers that lie at least between two of them in a clip: neighbours look alike."""
RECALLS = np.linspace(0.01, 1, 100)
DIGITS = 6
MOST = 50_000
"""Frames of a part that the page has scores of, about: about 60 bytes each."""


def require(paths: Iterable[Path]) -> None:
    """Raises VadError for the first of the pipeline's outputs that is missing."""
    for path in paths:
        if not path.is_file():
            raise VadError(f"{path}: no such file; make it with `dvc repro`")


def read_frames() -> pd.DataFrame:
    """Every scored frame: split, video, frame, score, label (NaN where there is none), kind and the marks, 0 or 1.

    Raises VadError when a table is missing, or was not made with the scores that there are now.
    """
    frames = tables.read_csv(SCORES, [*tables.KEYS, "score"])[[*tables.KEYS, "score"]]
    known = tables.read_csv(LABELLED, [*tables.KEYS, "score", "label", "kind"]).rename(columns={"score": "then"})
    found = tables.read_csv(DIAGNOSIS, [*tables.KEYS, *MARKS])[[*tables.KEYS, *MARKS]]
    joined = frames.merge(known, on=tables.KEYS, how="outer").merge(found, on=tables.KEYS, how="left")
    if joined["score"].isna().any() or (joined["then"].notna() & (joined["then"] != joined["score"])).any():
        raise VadError(f"{LABELLED}: made of other scores than those in {SCORES}; run `dvc repro`")
    if joined[MARKS].isna().any(axis=None):
        raise VadError(f"{DIAGNOSIS}: not of all the frames in {SCORES}; run `dvc repro`")
    return joined.drop(columns="then").fillna({"kind": ""}).astype(dict.fromkeys(MARKS, int))


def shown(frames: pd.DataFrame, groups: Iterable[dict[str, Any]]) -> list[str]:
    """The clips of a split that the page shows, all of them up to MOST frames.

    Of more, those of the `worst` frames, and as many others as fit besides, by their highest score.
    """
    lengths = frames.groupby("video")["score"].agg(["size", "max"])
    first = dict.fromkeys(row["video"] for group in groups for row in group["frames"])
    ordered = [*first, *lengths.drop(list(first)).sort_values("max", ascending=False, kind="stable").index]
    fits = lengths.loc[ordered, "size"].cumsum() <= MOST
    return sorted({*first, *fits.index[fits]})


def describe_clips(frames: pd.DataFrame, videos: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The clips of a split, or those named, ready for JSON, a dict each.

    `video`, its name; a value a frame of `frame` (its number), `score`, `rank` (1: the highest), `flipped`, `noisy`,
    `frozen` (0 or 1), and where there are labels `label` (0 or 1) and `kind`; `missing`, the runs [first, last] of
    numbers that are absent inside the clip.
    """
    ranked = frames.assign(rank=frames["score"].rank(ascending=False, method="min").astype(int))
    described = []
    chosen = ranked if videos is None else ranked[ranked["video"].isin(videos)]
    for video, rows in chosen.groupby("video", sort=True):
        rows = rows.sort_values("frame")
        numbers = rows["frame"].to_numpy()
        columns = {"score": rows["score"].map(_short), "rank": rows["rank"], **{name: rows[name] for name in MARKS}}
        if labelled(rows):
            columns |= {"label": rows["label"].astype(int), "kind": rows["kind"]}
        described.append(
            {
                "video": video,
                "frame": numbers.tolist(),
                "missing": [[a + 1, b - 1] for a, b in pairwise(numbers.tolist()) if b > a + 1],
                **{name: column.tolist() for name, column in columns.items()},
            }
        )
    return described


def labelled(frames: pd.DataFrame) -> bool:
    """Whether labels are known; they are of all frames of a split or of none."""
    return bool(frames["label"].notna().all())


def curve(frames: pd.DataFrame, draws: int, seed: int) -> dict[str, Any] | None:
    """Precision over recall, with the 95 % interval of the precision over resamples of the clips.

    `recall` and `precision`, the curve; `band`, recalls, with `low` and `high`, the interval there: empty for a single
    clip; `base_rate`, the share of anomalous frames; all in 0..1. `descriptive`: fewer than ten clips. None for one
    class. With the parameters of `evaluate` the resamples are those of its intervals.
    """
    if frames["label"].nunique() < 2:
        return None
    points = plots.precision_recall(frames)
    drawn = bootstrap.bootstrap_clips(frames, _precision_by_recall(frames), draws, seed)
    band = drawn.values.quantile([0.025, 0.975]).to_numpy() if len(drawn.values) else np.empty((2, 0))
    return {
        "recall": shorten(points["recall"]),
        "precision": shorten(points["precision"]),
        "band": shorten(RECALLS[: band.shape[1]]),
        "low": shorten(band[0]),
        "high": shorten(band[1]),
        "base_rate": float(frames["label"].mean()),
        "descriptive": drawn.descriptive,
    }


def _precision_by_recall(frames: pd.DataFrame) -> Callable[[np.ndarray], dict[str, float]]:
    """A statistic for `bootstrap_clips`: the precision at the highest threshold that reaches each of RECALLS."""
    ranked = curves.Ranked(frames["label"].to_numpy(), frames["score"].to_numpy())

    def precision(weights: np.ndarray) -> dict[str, float]:
        counts = ranked.counts(weights)
        reached = np.searchsorted(counts.positives, RECALLS * counts.positives[-1])
        return dict(zip(map(str, RECALLS), counts.precision()[reached], strict=True))

    return precision


def worst(frames: pd.DataFrame) -> list[dict[str, Any]]:
    """The frames that most deserve a look, in groups: `title`, and `frames`, each with `video` and `frame` (number).

    With labels: normal frames of the highest scores, and anomalous frames of the lowest; else the highest scores.
    """
    if not labelled(frames):
        return [{"title": "Highest scores", "frames": _apart(frames, highest=True)}]
    return [
        {"title": "False alarms", "frames": _apart(frames[frames["label"] == 0], highest=True)},
        {"title": "Misses", "frames": _apart(frames[frames["label"] == 1], highest=False)},
    ]


def _apart(frames: pd.DataFrame, highest: bool) -> list[dict[str, Any]]:
    chosen: list[dict[str, Any]] = []
    ordered = frames.sort_values("score", ascending=not highest, kind="stable")
    for video, frame in ordered[["video", "frame"]].itertuples(index=False, name=None):
        if all(other["video"] != video or abs(other["frame"] - frame) > APART for other in chosen):
            chosen.append({"video": video, "frame": frame})
        if len(chosen) == WORST:
            break
    return chosen


def describe_shares(shares: pd.DataFrame, part: str) -> dict[str, Any]:
    """Scope (clip or kind) -> what each clip or kind adds to the AP of a part, a dict each, the largest share first.

    `name`; `frames` and `positives` (anomalous frames), how many; `ap_share`, what it adds; `most`, what it would add
    in a perfect order: its share of the anomalous frames. `shares` is metrics/shares.csv.
    """
    rows = shares[shares["part"] == part]
    described = {}
    for scope, group in rows.groupby("scope", sort=True):
        ordered = group.sort_values("ap_share", ascending=False, kind="stable")
        columns = ordered.assign(most=ordered["positives"] / max(ordered["positives"].sum(), 1))
        described[str(scope)] = columns[["name", "frames", "positives", "ap_share", "most"]].to_dict("records")
    return described


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def shorten(values: "pd.Series | np.ndarray") -> list[float]:
    """Values with the few digits that a chart shows."""
    return [_short(value) for value in values]
