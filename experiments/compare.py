"""Compare two revisions: is b better than a, could that be chance, and which frames made the difference?

    python -m experiments.compare main workspace
    python -m experiments.compare softer harder --json difference.json --picture difference.png

A revision is anything Git or DVC names: a commit, a branch, an experiment; or `workspace`. Differences are b minus a.
"""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import rankdata

from project import revisions
from vad import VadError
from vad.evaluation import comparison, plots
from vad.storage import files, tables

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SEED = 82
FIGURES = {"ap": "AP", "ap_at_prevalence": "AP at {:g}", "auroc": "AUROC"}
SHOWN = 5
"""Gains and losses that are listed, at most, of each."""
BARS = 24
FEW_CLIPS = (
    "  Fewer than ten clips: their interval only describes these clips. Blocks of frames, each as long as the median\n"
    "  event, stand for other stretches of the same clips, and say nothing about other clips."
)


def compare(names: tuple[str, str], parts: list[str], draws: int) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """How two revisions differ, ready for JSON, and part -> its paired frames.

    `a` and `b`, their names; `parameters`, dotted key -> `a` and `b` for each that differs; `parts`, part -> what
    `comparison.compare` gives. Raises VadError when a revision can't be read, or the two differ in frames or labels.
    """
    a, b = (revisions.read(name) for name in names)
    result: dict[str, Any] = {"a": a.name, "b": b.name, "parameters": _differing(a.params, b.params), "parts": {}}
    tables = {}
    for part in parts:
        if (part in a.parts) != (part in b.parts):
            raise VadError(f"{part}: {names[part in b.parts]} alone has labels for it; leave it out with --part")
        if part in a.parts:
            try:
                tables[part] = comparison.pair(a.parts[part], b.parts[part], names, part)
            except VadError as error:
                raise VadError(f"{error}; or leave the {part} out with --part") from None
            prevalence = b.params["evaluate.prevalence"]
            result["parts"][part] = comparison.compare(tables[part], prevalence=prevalence, draws=draws, seed=SEED)
    if not tables:
        raise VadError(f"{' and '.join(names)}: no labels for the {' or the '.join(parts)}; nothing to compare by")
    return result, tables


def _differing(a: dict[str, Any], b: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The values on both sides of the parameters that differ; a side that lacks a parameter has no entry."""
    found = {
        key: {side: params[key] for side, params in (("a", a), ("b", b)) if key in params} for key in sorted({*a, *b})
    }
    return {key: values for key, values in found.items() if len(values) == 1 or values["a"] != values["b"]}


def describe(result: dict[str, Any]) -> str:
    """The comparison as text for people."""
    lines = [f"a = {result['a']}, b = {result['b']}; differences are b - a, with 95 % intervals", ""]
    for key, values in result["parameters"].items():
        lines.append(f"{key}: {' -> '.join(str(values[side]) if side in values else 'absent' for side in 'ab')}")
    lines += [] if result["parameters"] else ["no parameter differs"]
    for part, found in result["parts"].items():
        lines += ["", f"{part}: {found['frames']} frames of {found['clips']} clips, {found['positives']} anomalous"]
        for name, title in FIGURES.items():
            lines += _figure_lines(title.format(found["prevalence"]), name, found)
        lines += [FEW_CLIPS] if "blocks" in found["resampled"] else []
        ranking = found["ranking"]
        alike = f"Spearman {_number(ranking['spearman'])}, Kendall {_number(ranking['kendall'])}"
        lines.append(f"  ranking: {'the same' if ranking['same'] else alike}")
        for scope in ("clip", "kind"):
            lines += _moved(scope, [(row["name"], row["difference"]) for row in found[f"by_{scope}"]])
        frames = [
            (
                f"{row['video']}/{row['frame']} {row['kind']} rank {row['rank_a']:g} -> {row['rank_b']:g}",
                row["difference"],
            )
            for row in found["by_frame"]
        ]
        lines += _moved("frame", frames)
    return "\n".join(lines)


def _figure_lines(title: str, name: str, found: dict[str, Any]) -> list[str]:
    values = found[name]
    start = f"  {title:<12} {_number(values['a'])} -> {_number(values['b'])}  {_number(values['difference'], '+')}"
    lines = []
    for unit, drawn in found["resampled"].items():
        interval = f"[{_number(drawn[name]['low'], '+')}, {_number(drawn[name]['high'], '+')}]"
        # A p value over a handful of clips would look like a verdict: it is in the JSON alone.
        p = "" if drawn["descriptive"] else f"  p {_p(drawn[name]['p'], drawn['draws'])}"
        lines.append(f"{start}  {interval}{p}  over {_units(unit, drawn)}")
        start = " " * len(start)
    return lines


def _units(unit: str, drawn: dict[str, Any]) -> str:
    length = f" of {drawn['length']} frames" if "length" in drawn else ""
    return f"{drawn['units']} {unit}{length}" + (", descriptive" if drawn["descriptive"] else "")


def _number(value: float | None, sign: str = "") -> str:
    return f"{'-':>{7 if sign else 6}}" if value is None else f"{value:{sign}.4f}"


def _p(value: float | None, draws: int) -> str:
    if value is None:
        return "-"
    return f"< {2 / draws:.2g}" if value == 0 else f"= {value:.2g}"


def _moved(scope: str, rows: list[tuple[str, float | None]]) -> list[str]:
    """The largest gains and the largest losses in AP, a line each."""
    changed = [(name, value) for name, value in rows if value]
    gained = [row for row in changed if row[1] > 0][:SHOWN]
    lost = [row for row in changed[::-1] if row[1] < 0][:SHOWN]
    lines = []
    for word, some in (("gained", gained), ("lost", lost)):
        text = f"AP {word} by {scope}: " + "; ".join(f"{name} {value:+.4f}" for name, value in some)
        lines += textwrap.wrap(text, 118, initial_indent="  ", subsequent_indent="    ") if some else []
    return lines


def draw(path: Path, result: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    """Draw, a row a part, what clips and kinds gained or lost and how each frame's rank changed, as a PNG."""
    height = max(4.0, 0.2 * max(len(found["by_clip"][:BARS]) for found in result["parts"].values()))
    figure, rows = plt.subplots(len(tables), 3, figsize=(13, height * len(tables) + 0.6), squeeze=False)
    for axes, (part, table) in zip(rows, tables.items(), strict=True):
        found = result["parts"][part]
        unit, drawn = list(found["resampled"].items())[-1]
        interval = drawn["ap"]
        _bars(axes[0], found["by_clip"], "clip")
        _bars(axes[1], found["by_kind"], "kind")
        _ranks(axes[2], table, result)
        axes[0].set_title(
            f"{part}: AP {_number(found['ap']['difference'], '+')} "
            f"[{_number(interval['low'], '+')}, {_number(interval['high'], '+')}] over {_units(unit, drawn)}",
            loc="left", fontsize=10,
        )  # fmt: skip
    figure.suptitle(f"{result['b']} against {result['a']}", fontsize=12)
    figure.tight_layout()
    plots.save(figure, path, 90)


def _bars(axis: Axes, rows: list[dict[str, Any]], what: str) -> None:
    shown = [row for row in rows if row["difference"] is not None]
    if len(shown) > BARS:
        shown = sorted(
            sorted(shown, key=lambda row: -abs(row["difference"]))[:BARS], key=lambda row: -row["difference"]
        )
    values = [row["difference"] for row in shown]
    colours = [plots.NORMAL if value > 0 else plots.ANOMALOUS for value in values]
    axis.barh([row["name"] for row in shown], values, color=colours)
    axis.invert_yaxis()
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel(f"AP gained or lost, by {what}")
    axis.tick_params(labelsize=8)


def _ranks(axis: Axes, table: pd.DataFrame, result: dict[str, Any]) -> None:
    ranks = {side: rankdata(-table[side].to_numpy()) for side in ("a", "b")}
    for label, name, colour, marker in ((0, "normal", plots.NORMAL, "."), (1, "anomalous", plots.ANOMALOUS, "^")):
        rows = (table["label"] == label).to_numpy()
        axis.scatter(ranks["a"][rows], ranks["b"][rows], s=22, color=colour, marker=marker, alpha=0.5, label=name, lw=0)
    axis.plot([1, len(table)], [1, len(table)], color="black", linewidth=0.8)
    # The first ranks make the AP: they get the room.
    axis.set(xscale="log", yscale="log")
    axis.set_xlabel(f"rank in {result['a']} (1: most anomalous)")
    axis.set_ylabel(f"rank in {result['b']}")
    axis.legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs=2, metavar="REVISION")
    parser.add_argument("--part", choices=list(tables.PARTS), help="this part alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw what moved here, as a PNG")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws")
    arguments = parser.parse_args()
    a, b = arguments.revisions
    try:
        result, paired = compare((a, b), [arguments.part] if arguments.part else list(tables.PARTS), arguments.draws)
    except VadError as error:
        sys.exit(str(error))
    if arguments.json:
        files.write_json(arguments.json, result)
    if arguments.picture:
        draw(arguments.picture, result, paired)
    print(describe(result))


if __name__ == "__main__":
    main()
