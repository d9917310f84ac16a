"""Kinds of anomaly: how many events each has, and a mean over kinds in which every one counts alike.

Validation makes the kinds, so how often each comes says nothing about the test clips, and a method that is good at the
frequent ones must not be chosen for that.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

LEAST = 3
"""Events of a kind below which its AP is luck."""
UNNAMED = "unnamed"
"""The kind of anomalous frames whose labels name none."""


def names(labels: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The kind (T,) of each anomalous frame, `unnamed` where there is none; empty for normal frames."""
    named = pd.Series(np.asarray(kinds, dtype=object)).fillna("").replace("", UNNAMED).astype(str)
    return np.where(np.asarray(labels) == 1, named.to_numpy(dtype=object), "")


def events_by_kind(labels: np.ndarray, kinds: np.ndarray, videos: np.ndarray, frames: np.ndarray) -> dict[str, int]:
    """Kind -> how many events it has: runs of its frames in the order of a clip's numbers. Each argument is (T,)."""
    table = pd.DataFrame({"video": np.asarray(videos), "frame": np.asarray(frames), "kind": names(labels, kinds)})
    table = table.sort_values(["video", "frame"], kind="stable")
    begins = (table["kind"] != "") & (
        (table["kind"] != table["kind"].shift()) | (table["video"] != table["video"].shift())
    )
    return {str(kind): int(count) for kind, count in table.loc[begins, "kind"].value_counts().sort_index().items()}


def rare(by_kind: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The kinds with fewer than LEAST `events`."""
    return [kind for kind, figures in by_kind.items() if figures["events"] < LEAST]


def mean_ap(by_kind: Mapping[str, Mapping[str, Any]]) -> float:
    """The mean of `ap_at_prevalence` over kinds; NaN where there are none, or one has fewer than LEAST `events`."""
    if not by_kind or rare(by_kind):
        return math.nan
    return float(np.mean([figures["ap_at_prevalence"] for figures in by_kind.values()]))
