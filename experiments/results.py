"""An experiment beside another, from the files that both left: figures, differences, groups of frames."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from vad import VadError
from vad.evaluation import comparison, metrics
from vad.evaluation.bootstrap import bootstrap_clips
from vad.evaluation.curves import Ranked
from vad.storage import tables

READ = (
    "data/labelled_scores.csv",
    "data/diagnosis.csv",
    "metrics/evaluation.json",
    "metrics/train.json",
    "metrics/plots/loss.csv",
)
"""What is kept of an experiment, to compare it with."""
PARTS = tables.PARTS
GROUPS = ("flipped", "noisy")
CURVE = ("steps", "holdout", "feature_variance", "effective_rank", "score_spread")
DRAWS, SEED = 1000, 82
SIDES = ("against", "experiment")
FIGURE = "ap_at_prevalence"


def compare(
    before: Path,
    after: Path,
    parts: Collection[str] = tuple(PARTS),
    sources: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Everything that is recorded of an experiment whose files lie in `after`, against those in `before`.

    `figures` are its own, by part; `difference` the paired ones, of `parts`, as `comparison.compare` gives them without
    single frames, on the benchmark over source videos as well; `groups` the same of flipped, noisy and clean test
    frames alone; `own` how far its AP at the prevalence moves over source videos; `train` its losses, and `curve` of
    a network that was trained for it, by epoch its held-out loss and its collapse after so many steps. `sources` names
    the video of each test clip that shares it with another; any other clip is a video of its own.
    """
    scored = {side: _labelled(folder) for side, folder in zip(SIDES, (before, after), strict=True)}
    figures = json.loads((after / "evaluation.json").read_text(encoding="utf-8"))
    result: dict[str, Any] = {"figures": figures, "difference": {}, "groups": {}}
    for part, split in PARTS.items():
        if part not in figures or part not in parts:
            continue
        a, b = (scored[side][scored[side]["split"] == split] for side in SIDES)
        paired = comparison.pair(a, b, SIDES, part)
        prevalence = figures[part]["prevalence"]
        if part == "benchmark":
            paired["group"] = paired["video"].map(lambda clip: sources.get(clip, clip))
            result["own"] = {"resampled": {"videos": _over_videos(paired, prevalence)}}
        result["difference"][part] = _summary(paired, prevalence)
        if part == "benchmark":
            for name, rows in _groups(paired, after).items():
                result["groups"][name] = {"frames": len(rows), **_headline(_summary(rows, prevalence))}
    trained, other = (json.loads((folder / "train.json").read_text(encoding="utf-8")) for folder in (after, before))
    result["train"] = trained
    if before == after or trained != other:
        history = pd.read_csv(after / "loss.csv")[list(CURVE)]
        result["curve"] = metrics.without_nan(history.to_dict("list"))
    return result


def _labelled(folder: Path) -> pd.DataFrame:
    return tables.read_csv(folder / "labelled_scores.csv", [*tables.KEYS, "score", "label", "kind"]).fillna(
        {"kind": ""}
    )


def _over_videos(paired: pd.DataFrame, prevalence: float) -> dict[str, Any]:
    ranked = Ranked(paired["label"].to_numpy(), paired["b"].to_numpy())
    drawn = bootstrap_clips(
        paired.assign(video=paired["group"]),
        lambda weights: {FIGURE: ranked.counts(weights).at_prevalence(prevalence).average_precision()},
        DRAWS,
        SEED,
    )
    low, high = drawn.interval(FIGURE)
    error = float(drawn.values[FIGURE].std()) if len(drawn.values) else None
    return metrics.without_nan(
        {"units": int(paired["group"].nunique()), FIGURE: {"low": low, "high": high, "error": error}}
    )


def _summary(paired: pd.DataFrame, prevalence: float) -> dict[str, Any]:
    compared = comparison.compare(paired, prevalence=prevalence, draws=DRAWS, seed=SEED)
    del compared["by_frame"]
    return compared


def _headline(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: summary[name] for name in ("positives", "clips", "ap_at_prevalence", "auroc", "resampled")}


def _groups(paired: pd.DataFrame, folder: Path) -> dict[str, pd.DataFrame]:
    """The frames by what was done to them, as found by `diagnose`; a frame may be both flipped and noisy."""
    found = tables.read_csv(folder / "diagnosis.csv", [*tables.KEYS, *GROUPS])[[*tables.KEYS, *GROUPS]]
    both = paired.merge(found, on=tables.KEYS, how="left", validate="one_to_one")
    if both[list(GROUPS)].isna().any(axis=None):
        raise VadError(f"{folder}/diagnosis.csv: scored frames are missing; run `dvc repro diagnose`")
    groups = {name: both[both[name] == 1] for name in GROUPS}
    groups["clean"] = both[(both[list(GROUPS)] == 0).all(axis=1)]
    return {name: rows.drop(columns=list(GROUPS)) for name, rows in groups.items() if len(rows)}
