"""Two rankings of the same frames, b against a: by how much b is better, whether that could be luck, and what moved.

Differences are b minus a. Both rankings are weighed alike in every resample: what makes some clips hard for both
cancels out.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from vad import VadError
from vad.evaluation.bootstrap import DESCRIPTIVE_BELOW, bootstrap_clips
from vad.evaluation.curves import Ranked, ap_contributions
from vad.evaluation.metrics import check_frames, headline, ranking_digest, without_nan
from vad.evaluation.over_kinds import UNNAMED
from vad.storage import tables

SHORTEST_BLOCK = 10
"""Frames of a block at least: neighbours score alike, however short the events are."""
_VALUES = ["a", "b", "difference"]


def pair(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str], part: str) -> pd.DataFrame:
    """Scored frames of two revisions (split, video, frame, score, label, kind) -> one table with scores `a` and `b`.

    Raises VadError, naming the revisions and the part, unless both hold the same frames with the same labels:
    otherwise the difference would be one of the data.
    """
    remedy = "compare revisions with the same data and validation parameters"
    for name, table in zip(names, (a, b), strict=True):
        try:
            check_frames(table)
        except VadError as error:
            raise VadError(f"{name}, {part}: {error}") from None
    both = a.rename(columns={"score": "a"}).merge(
        b[[*tables.KEYS, "label", "score"]].rename(columns={"score": "b", "label": "label_b"}),
        on=tables.KEYS, how="outer", indicator="side",
    )  # fmt: skip
    for name, side in zip(names, ("left_only", "right_only"), strict=True):
        alone = both[both["side"] == side]
        if len(alone):
            raise VadError(f"{part}: {_count(alone)} scored in {name} alone; {remedy}")
    differing = both[both["label"] != both["label_b"]]
    if len(differing):
        raise VadError(f"{part}: {_count(differing)} labelled otherwise in {names[1]} than in {names[0]}; {remedy}")
    return both[[*tables.KEYS, "label", "kind", "a", "b"]]


def _count(frames: pd.DataFrame) -> str:
    first = frames.iloc[0]
    return f"{len(frames)} frames, the first clip {first['video']} frame {first['frame']}, are"


def compare(table: pd.DataFrame, *, prevalence: float, draws: int, seed: int) -> dict[str, Any]:
    """How b differs from a, ready for JSON: None where one class alone gives no figure.

    `table` has the columns split, video, frame, label, kind and the scores a and b. The result has
    - `frames`, `positives` (anomalous frames), `clips`: how many; `prevalence`, as given;
    - `ap`, `ap_at_prevalence`, `auroc`: each `a`, `b` and their `difference`, all in 0..1;
    - `resampled`: over `clips`, over `blocks` of frames where clips are fewer than ten, and over `videos` where a
      column `group` names each frame's source video: of each difference the 95 % interval, `low` and `high`, its p
      value `p` and the resamples' standard deviation `error`; `units`, `draws`, `redrawn`: how many; `descriptive`;
    - `ranking`: as `agreement` gives it;
    - `by_clip`, `by_kind`, `by_frame`: what each gained or lost; each of the three sums to the difference in AP.
    """
    labels = table["label"].to_numpy()
    ranked = {side: Ranked(labels, table[side].to_numpy()) for side in ("a", "b")}

    def differences(weights: np.ndarray | None) -> dict[str, float]:
        before, after = (headline(ranked[side], weights, prevalence) for side in ("a", "b"))
        return {name: after[name] - before[name] for name in before}

    values = {side: headline(ranked[side], None, prevalence) for side in ("a", "b")}
    units = {"clips": table["video"]}
    if table["video"].nunique() < DESCRIPTIVE_BELOW:
        units["blocks"] = blocks(table, block_length(table))
    if "group" in table:
        units["videos"] = table["group"]
    result: dict[str, Any] = {
        "frames": len(table),
        "positives": int(labels.sum()),
        "clips": int(table["video"].nunique()),
        "prevalence": prevalence,
    }
    for name, difference in differences(None).items():
        result[name] = {"a": values["a"][name], "b": values["b"][name], "difference": difference}
    result["resampled"] = {
        unit: _resample(table.assign(video=names), differences, draws, seed) for unit, names in units.items()
    }
    if "blocks" in units:
        result["resampled"]["blocks"]["length"] = block_length(table)
    moved = movement(table)
    return without_nan(
        result
        | {"ranking": agreement(table)}
        | {f"by_{name}": _rows(rows) for name, rows in (("clip", _by_clip(table, moved)), ("kind", _by_kind(moved)))}
        | {"by_frame": _rows(moved[moved["difference"] != 0])}
    )


def _resample(
    table: pd.DataFrame, differences: Callable[[np.ndarray | None], dict[str, float]], draws: int, seed: int
) -> dict[str, Any]:
    drawn = bootstrap_clips(table, differences, draws, seed)
    result: dict[str, Any] = {
        "units": int(table["video"].nunique()),
        "draws": len(drawn.values),
        "redrawn": drawn.redrawn,
        "descriptive": drawn.descriptive,
    }
    for name in differences(None):
        low, high = drawn.interval(name)
        values = drawn.values[name].to_numpy() if len(drawn.values) else np.empty(0)
        error = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        result[name] = {"low": low, "high": high, "p": p_value(values), "error": error}
    return result


def p_value(differences: np.ndarray) -> float:
    """Two-sided bootstrap p value of resampled differences (draws,): min(1, 2 min(P(d <= 0), P(d >= 0))).

    1 where nothing differs; NaN without draws. The smallest it can be above 0 is 2 / draws.
    """
    if not len(differences):
        return math.nan
    return min(1.0, 2 * float(min(np.mean(differences <= 0), np.mean(differences >= 0))))


def block_length(table: pd.DataFrame) -> int:
    """Frames of a block: the median length of an event (columns video, frame, label), at least ten.

    Shorter blocks would take the frames of one event for independent ones; longer ones leave few to draw from.
    """
    ordered = table.sort_values(["video", "frame"])
    starts = (ordered["label"] != ordered["label"].shift()) | (ordered["video"] != ordered["video"].shift())
    runs = ordered.assign(run=starts.cumsum())[ordered["label"] == 1].groupby("run")["frame"]
    lengths = runs.max() - runs.min() + 1
    return max(SHORTEST_BLOCK, round(lengths.median())) if len(lengths) else SHORTEST_BLOCK


def blocks(table: pd.DataFrame, length: int) -> pd.Series:
    """The block of each frame (T,), named "video/block": `length` frame numbers of one clip, counted from its first.

    Drawn instead of clips where those are few. An interval over blocks says how far other stretches of the same
    clips would move a figure, and nothing about other clips.
    """
    since = table["frame"] - table.groupby("video")["frame"].transform("min")
    return table["video"].astype(str) + "/" + (since // length).astype(str)


def agreement(table: pd.DataFrame) -> dict[str, Any]:
    """How alike the scores a and b (columns of `table`) rank.

    `same`: whether they rank alike, ties included. `spearman` and `kendall`: Spearman's rho and Kendall's tau-b, in
    -1..1, NaN where all scores of a ranking are equal.
    """
    same = ranking_digest(table, table["a"].to_numpy()) == ranking_digest(table, table["b"].to_numpy())
    if min(table["a"].nunique(), table["b"].nunique()) < 2:
        return {"same": same, "spearman": math.nan, "kendall": math.nan}
    if same:
        return {"same": True, "spearman": 1.0, "kendall": 1.0}
    return {
        "same": False,
        "spearman": float(stats.spearmanr(table["a"], table["b"]).statistic),
        "kendall": float(stats.kendalltau(table["a"], table["b"]).statistic),
    }


def movement(table: pd.DataFrame) -> pd.DataFrame:
    """What each anomalous frame of `table` (as for `compare`) adds to both APs, most gained first.

    Columns video, frame, kind, a, b, difference, rank_a, rank_b; ranks of all frames count from 1, the highest
    score, equal scores sharing the middle one. The differences sum to that of the AP; NaN for one class.
    """
    labels = table["label"].to_numpy()
    result = table[["video", "frame"]].assign(kind=table["kind"].replace("", UNNAMED))
    for side in ("a", "b"):
        result[side] = ap_contributions(labels, table[side].to_numpy())
        result[f"rank_{side}"] = stats.rankdata(-table[side].to_numpy())
    result["difference"] = result["b"] - result["a"]
    result = result[["video", "frame", "kind", "a", "b", "difference", "rank_a", "rank_b"]]
    return result[labels == 1].sort_values("difference", ascending=False, kind="stable", ignore_index=True)


def _by_clip(table: pd.DataFrame, moved: pd.DataFrame) -> pd.DataFrame:
    """All clips, those without an anomalous frame too: they gain and lose nothing."""
    frames = table.groupby("video").agg(frames=("label", "size"), positives=("label", "sum"))
    gains = moved.groupby("video")[_VALUES].sum(min_count=1).reindex(frames.index)
    return _sorted(frames.join(gains.where(frames["positives"] > 0, 0.0)))


def _by_kind(moved: pd.DataFrame) -> pd.DataFrame:
    kinds = moved.groupby("kind")
    return _sorted(kinds.size().to_frame("frames").join(kinds[_VALUES].sum(min_count=1)))


def _sorted(groups: pd.DataFrame) -> pd.DataFrame:
    return groups.rename_axis("name").reset_index().sort_values("difference", ascending=False, kind="stable")


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False, name=None)]
