"""How well scores rank anomalous frames above normal ones, taken apart by clip, kind and onset, with an interval.

Labels are 1 for an anomalous frame and 0 for a normal one; of scores only the order matters, ties included. A figure
that one class alone can't give is NaN. numpy and pandas only: the stage `evaluate` must start fast.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vad import VadError
from vad.evaluation import over_kinds
from vad.evaluation.bootstrap import bootstrap_clips
from vad.evaluation.curves import (
    Ranked,
    ap_at_prevalence,
    ap_contributions,
    auroc,
    average_precision,
    precision_recall,
    prevalence_weights,
)
from vad.evaluation.digest import ranking_digest
from vad.evaluation.onsets import Onset, event_onsets, onset_recall

__all__ = [
    "Onset",
    "Ranked",
    "ap_at_prevalence",
    "ap_by_kind",
    "ap_contributions",
    "auroc",
    "average_precision",
    "check_frames",
    "event_onsets",
    "headline",
    "macro_auroc",
    "onset_recall",
    "precision_recall",
    "prevalence_weights",
    "ranking_digest",
    "shares",
    "summarise",
    "summary",
    "without_nan",
]

SUMMARY = {"ap": "ap", "ap_eq": "ap_at_prevalence", "auc": "auroc"}
"""Short names of figures -> those of `summarise`."""


def summarise(
    table: pd.DataFrame, *, prevalence: float, draws: int, seed: int, onset_precision: float
) -> dict[str, Any]:
    """All figures of scored frames (columns video, frame, score, label, kind), ready for JSON: None for NaN.

    - `frames`, `positives` (anomalous frames), `clips`: how many; `base_rate`, the share of anomalous frames;
    - `ap`, `ap_at_prevalence`, `auroc`, in 0..1; with `_low` and `_high` their 95 % intervals, from `draws` resamples;
    - `prevalence`, as given; `macro_auroc`, in 0..1, and `macro_clips`, over how many clips it is;
    - `bootstrap`: `draws` and `redrawn`, how many; `descriptive`, whether there are fewer than ten clips;
    - `kinds`: as `ap_by_kind` gives it; `onset`: the fields of `Onset`, and the `precision` that it keeps;
    - `ranking`: the digest of the order of the frames.

    Floats keep every bit, so that no difference shows as exactly 0. Raises VadError as `check_frames` does.
    """
    check_frames(table)
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    videos, frames, kinds = table["video"].to_numpy(), table["frame"].to_numpy(), table["kind"].to_numpy()
    ranked = Ranked(labels, scores)
    resampled = bootstrap_clips(table, lambda weights: headline(ranked, weights, prevalence), draws, seed)
    result: dict[str, Any] = {
        "frames": len(table),
        "positives": int(labels.sum()),
        "clips": int(table["video"].nunique()),
        "base_rate": float(labels.mean()) if len(table) else math.nan,
    }
    for name, value in headline(ranked, None, prevalence).items():
        low, high = resampled.interval(name)
        result |= {name: value, f"{name}_low": low, f"{name}_high": high}
    macro, clips = macro_auroc(labels, scores, videos)
    result |= {"prevalence": prevalence, "macro_auroc": macro, "macro_clips": clips}
    result["bootstrap"] = {
        "draws": len(resampled.values),
        "redrawn": resampled.redrawn,
        "descriptive": resampled.descriptive,
    }
    result["kinds"] = ap_by_kind(labels, scores, kinds, prevalence)
    for kind, events in over_kinds.events_by_kind(labels, kinds, videos, frames).items():
        result["kinds"][kind]["events"] = events
    result |= {"ap_over_kinds": over_kinds.mean_ap(result["kinds"]), "rare_kinds": over_kinds.rare(result["kinds"])}
    onset = onset_recall(labels, scores, videos, frames, onset_precision)
    result["onset"] = {"precision": onset_precision, **onset._asdict()}
    result["ranking"] = ranking_digest(table, scores)
    return {name: without_nan(value) for name, value in result.items()}


def summary(evaluation: Mapping[str, Any], loss: float | None) -> dict[str, Any]:
    """The few figures that decide, of what `summarise` gave for each part, under names that fit a terminal.

    Of the benchmark `ap`; `ap_eq`, AP at the prevalence, and `ci`, its 95 % interval; `auc`, AUROC; `rank`, a digest of
    the order of the frames. Under `val` the same of validation, without an interval, and `kinds`, the mean of AP at the
    prevalence over kinds of event, null where one is too rare. `loss`: the final one of training. Four decimals. A part
    without labels is left out.
    """
    result = {**_short(evaluation.get("benchmark")), "val": _short(evaluation.get("validation"))}
    if result["val"]:
        result["val"].pop("ci", None)
        balanced = evaluation["validation"]["ap_over_kinds"]
        result["val"]["kinds"] = None if balanced is None else round(balanced, 4)
    return {
        **{name: value for name, value in result.items() if value},
        **({} if loss is None else {"loss": round(loss, 6)}),
    }


def _short(figures: Mapping[str, Any] | None) -> dict[str, Any]:
    if not figures:
        return {}
    row = {name: None if figures[full] is None else round(figures[full], 4) for name, full in SUMMARY.items()}
    low, high = (figures[f"ap_at_prevalence_{end}"] for end in ("low", "high"))
    interval = {} if low is None else {"ci": f"{low:.3f}-{high:.3f}".replace("0.", ".")}
    return {"ap": row["ap"], "ap_eq": row["ap_eq"], **interval, "auc": row["auc"], "rank": figures["ranking"][:6]}


def headline(ranked: Ranked, weights: np.ndarray | None, prevalence: float) -> dict[str, float]:
    """`ap`, `ap_at_prevalence` and `auroc`, 0..1, of frames that weigh `weights` (T,), or 1 each; NaN for one class."""
    counts = ranked.counts(weights)
    return {
        "ap": counts.average_precision(),
        "ap_at_prevalence": counts.at_prevalence(prevalence).average_precision(),
        "auroc": counts.auroc(),
    }


def without_nan(value: Any) -> Any:
    """Nested mappings and lists with None for NaN, which JSON lacks."""
    if isinstance(value, Mapping):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def check_frames(table: pd.DataFrame) -> None:
    """Refuse scored frames (columns video, frame, score, label) that figures can't be made of.

    Raises VadError, naming the first clip and frame, for a frame that comes twice, a label other than 0 or 1, a
    score that is not finite.
    """
    problems = {
        "it comes more than once; keep one row a frame": table.duplicated(["video", "frame"]),
        "its label is neither 0 nor 1; mend the labels": ~table["label"].isin([0, 1]),
        "its score is not finite; run `dvc repro -f infer`": ~np.isfinite(table["score"].to_numpy(np.float64)),
    }
    for what, bad in problems.items():
        rows = np.flatnonzero(bad)
        if len(rows):
            row = table.iloc[rows[0]]
            raise VadError(f"clip {row['video']} frame {row['frame']}: {what}")


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """What each clip and each kind adds to the AP: columns scope (clip or kind), name, frames, positives, ap_share.

    `table` as for `summarise`. Within a scope the shares sum to the AP; a kind's frames are its anomalous ones.
    Shares are NaN for one class.
    """
    check_frames(table)
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    frames = pd.DataFrame(
        {
            "clip": table["video"].to_numpy(),
            "kind": over_kinds.names(labels, table["kind"].to_numpy()),
            "positive": labels,
            "share": ap_contributions(labels, scores),
        }
    )
    parts = []
    for scope, rows in (("clip", frames), ("kind", frames[frames["positive"] == 1])):
        grouped = rows.groupby(scope).agg(
            frames=("positive", "size"),
            positives=("positive", "sum"),
            ap_share=("share", lambda part: part.sum(skipna=False)),
        )
        parts.append(grouped.rename_axis("name").reset_index().assign(scope=scope))
    return pd.concat(parts, ignore_index=True)[["scope", "name", "frames", "positives", "ap_share"]]


def macro_auroc(labels: np.ndarray, scores: np.ndarray, videos: np.ndarray) -> tuple[float, int]:
    """Mean AUROC over the clips that hold both classes, and how many they are; NaN and 0 where none does."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    clips = pd.Series(range(len(labels))).groupby(np.asarray(videos)).indices.values()
    areas = np.array([auroc(labels[rows], scores[rows]) for rows in clips])
    areas = areas[~np.isnan(areas)]
    return (float(areas.mean()), len(areas)) if len(areas) else (float("nan"), 0)


def ap_by_kind(
    labels: np.ndarray, scores: np.ndarray, kinds: np.ndarray, prevalence: float
) -> dict[str, dict[str, float]]:
    """Kind of anomaly -> figures of it alone against all normal frames.

    `ap`, `ap_at_prevalence` and `base_rate` in 0..1, `frames`: how many are of that kind. Kinds differ in base rate and
    with it in AP: compare them at one `prevalence`. Kinds of normal frames are ignored.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    names = over_kinds.names(labels, kinds)
    result = {}
    for kind in sorted(set(names[labels == 1])):
        rows = (labels == 0) | (names == kind)
        chosen = labels[rows]
        result[kind] = {
            "ap": average_precision(chosen, scores[rows]),
            "ap_at_prevalence": ap_at_prevalence(chosen, scores[rows], prevalence),
            "base_rate": float(chosen.mean()),
            "frames": int(chosen.sum()),
        }
    return result
