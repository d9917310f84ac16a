"""The picture of a sweep: the AP of every variant, and what those at the top have in common."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from vad.evaluation import plots
from vad.evaluation.plots import ANOMALOUS, NORMAL

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PARAMETER = ("gamma", "repair", "aggregate")


def draw(path: Path, table: pd.DataFrame) -> None:
    """Draw the variants of a sweep, by falling AP, as a PNG: left their AP, right the share of each value among ties.

    `table` as `experiments.sweep` writes it: the columns variant, ap, low, high, tied and a column a parameter.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=(1, 1.1))
    best, usual = table.iloc[0], table[table["variant"] == 0]
    rank = np.arange(1, len(table) + 1)
    tied = table["tied"].to_numpy()
    left.axhspan(best["low"], best["high"], color=NORMAL, alpha=0.12, label="95 % interval of the best")
    left.plot(rank[tied], table["ap"][tied], ".", color=NORMAL, label=f"{tied.sum()} that tie with the best")
    left.plot(rank[~tied], table["ap"][~tied], ".", color="grey", markersize=2, label="the others")
    left.plot(usual.index + 1, usual["ap"], "D", color=ANOMALOUS, label="params.yaml")
    left.set_xlabel("variants by falling AP")
    left.set_ylabel("AP on validation")
    left.legend(fontsize=8)
    shares = _shares(table)
    place = np.arange(len(shares))[::-1]
    right.barh(place + 0.2, shares["tied"], height=0.4, color=NORMAL, label="among those that tie")
    right.barh(place - 0.2, shares["all"], height=0.4, color="lightgrey", label="among all")
    right.set_yticks(place, shares.index, fontsize=7)
    right.set_xlabel("share of variants")
    right.legend(fontsize=8)
    figure.tight_layout()
    plots.save(figure, path)


def _shares(table: pd.DataFrame, most: int = 24) -> pd.DataFrame:
    """The share of each changed value among ties and among all variants: the values whose shares differ most."""
    found = {}
    for key in table.columns[table.columns.str.startswith(PARAMETER)].drop("aggregate.weights", errors="ignore"):
        for value in sorted(set(table[key]) - {""}):
            has = table[key] == value
            found[f"{key.removeprefix('aggregate.')} = {value}"] = (has[table["tied"]].mean(), has.mean())
    shares = pd.DataFrame(found.values(), index=list(found), columns=["tied", "all"])
    order = (shares["tied"] - shares["all"]).abs().sort_values(ascending=False, kind="stable").index[:most]
    return shares.loc[order]
