"""Pictures of the failure analysis: the effect of each claim's tests, and of every experiment, with intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.effects import Effect
from experiments.evidence import Evidence
from vad.evaluation import plots

matplotlib.use("Agg")
from matplotlib import pyplot as plt

POOLED = "on real clips"
COLOURS = {
    POOLED: "black",
    "sample": "#aaaaaa",
    "ped2": "#7fb3d5",
    "ped2-replica": "#1f618d",
    "avenue-replica": "#009e73",
    "ped1-replica": "#cc79a7",
}
SEEDS = "#666666"
"""Of the data sets that were made from several seeds."""
ROW = 0.8
"""Of a row's height, what its data sets take together."""
EDGE = 0.45
"""Changes beyond this are drawn at the edge."""


def draw_claims(path: Path, known: Evidence) -> None:
    """Draw the effect of every claim's tests in the direction it expects, by data set and pooled, as a PNG."""
    tests = [
        (number, place, test)
        for number, claim in known.stated["claims"].items()
        for place, test in enumerate(claim["tests"])
        if test["experiment"] != "any"
    ]
    figure, axis = plt.subplots(figsize=(9.5, 0.75 * len(tests) + 1.4))
    sources = {name: known.tested[name] for name in known.found} | known.over_seeds | {POOLED: known.pooled}
    for row, (number, place, _) in enumerate(tests):
        words = str(known.on_real_clips[number]) if known.pooled[number][place] else "decides nothing yet"
        axis.text(EDGE * 1.02, row, words, fontsize=8, va="center")
        for at, (name, tested) in enumerate(sources.items()):
            effect = tested[number][place]
            if effect:
                _bar(
                    axis,
                    row + (at - (len(sources) - 1) / 2) * ROW / len(sources),
                    effect,
                    COLOURS.get(name, SEEDS),
                    name == POOLED,
                )
    axis.axvline(0, color="black", linewidth=0.6)
    axis.axvline(known.border, color=plots.ANOMALOUS, linewidth=1, linestyle="--")
    axis.axvspan(known.border, EDGE, color="0.95", zorder=0)
    axis.set_yticks(range(len(tests)), [_label(number, test, known.stated["claims"]) for number, _, test in tests])
    axis.tick_params(labelsize=8)
    axis.set_ylim(len(tests) - 0.5, -0.5)
    axis.set_xlim(-EDGE, EDGE)
    axis.set_xlabel(
        f"change in AP at .2456, to the right as the claim expects; dashed: the border of interest, {known.border:g}",
        fontsize=8,
    )
    handles = [Line2D([], [], color=COLOURS.get(name, SEEDS), linewidth=2, label=name) for name in sources]
    axis.legend(handles=handles, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncol=4, frameon=False)
    figure.tight_layout()
    plots.save(figure, path, 80)


def _bar(axis: Axes, height: float, effect: Effect, colour: str, bold: bool) -> None:
    low, high = np.clip([effect.low, effect.high], -EDGE, EDGE)
    axis.plot([low, high], [height, height], color=colour, linewidth=2.4 if bold else 1.3, solid_capstyle="butt")
    axis.plot(np.clip(effect.value, -EDGE, EDGE), height, marker="D" if bold else "o", color=colour, markersize=4)


def _label(number: int, test: dict[str, Any], claims: dict[int, dict[str, Any]]) -> str:
    words = f"{number}. {claims[number]['claim']}"
    if len(claims[number]["tests"]) == 1:
        return _wrap(words)
    group = f", {test['group']} frames" if "group" in test else ""
    return _wrap(f"{words} ({test['experiment']}{group})")


def _wrap(text: str, width: int = 46) -> str:
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def draw_experiments(path: Path, known: Evidence) -> None:
    """Draw every experiment's difference in AP with its interval, a column a data set, as a PNG."""
    ran = [e.name for e in known.experiments.values() if e.claim and any(e.name in r for r in known.found.values())]
    figure, axes = plt.subplots(
        1, len(known.found), figsize=(4.2 * len(known.found) + 1, 0.17 * len(ran) + 1), sharey=True, squeeze=False
    )
    for axis, data in zip(axes.flat, known.found, strict=True):
        _column(axis, [_difference(known, data, name) for name in ran])
        axis.axvspan(-known.border, known.border, color="0.9")
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set_title(data, fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
        axis.set_xlabel("change in AP at .2456", fontsize=8)
    axes.flat[0].set_yticks(np.arange(len(ran)), ran)
    axes.flat[0].invert_yaxis()
    figure.tight_layout()
    plots.save(figure, path, 80)


def _difference(known: Evidence, data: str, name: str) -> Effect | None:
    result = known.found[data].get(name)
    return known.readings[data].difference(result["difference"]["benchmark"], 0) if result else None


def _column(axis: Axes, found: Sequence[Effect | None]) -> None:
    for place, effect in enumerate(found):
        if effect:
            clear = effect.low > 0 or effect.high < 0
            colour = plots.ANOMALOUS if clear and effect.value < 0 else plots.NORMAL if clear else "grey"
            axis.plot([effect.low, effect.high], [place, place], color=colour, linewidth=1.2)
            axis.plot(effect.value, place, marker="<" if effect.value < 0 else ">", color=colour, markersize=4)
