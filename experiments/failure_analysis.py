"""Write experiments/failure_analysis.md from the results of the ablations, and from nothing else.

    python -m experiments.failure_analysis

Also draws docs/images/ablations.png, every difference with its interval.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from experiments import ablations, verdicts
from experiments.ablations import BASE, Experiment
from experiments.markdown import effect as effect_text
from experiments.markdown import p_value, table
from experiments.results import CURVE
from experiments.verdicts import FIGURE, LEVEL, OPEN, UNTESTED, Results, Verdict
from project import workspaces
from vad.evaluation import plots
from vad.storage import files

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PAGE = Path(__file__).with_name("failure_analysis.md")
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "ablations.png"
DATA = workspaces.of_page("failure_analysis")
ORACLE = "oracle"
MADE = """\
Made by `python -m experiments.failure_analysis` from `experiments/results/` and `experiments/ablations.yaml`; not to be
edited by hand. `make ablations DATA=sample` runs all of it again, `make ablation NAME=per_video DATA=sample` one
experiment; each is a DVC experiment in the data set's clone, `.dvc/tmp/workspaces/sample`."""
LUCK = """\
On {data}, {count} seeds give AP at .2456 of {values}: standard deviation {spread:.4f}, range {range:.4f}. Two
trainings of the same recipe differ by {pair:.4f} (one standard deviation of the difference). Of the gains that the
reference reports, in that unit: {beside}. Settings of one trained network are compared without this luck, two
trainings are not."""
COLLAPSE = """\
What a collapsed network would show is next to no variance of its bottleneck over frames, few dimensions in use
(effective rank) and the same error for every frame (score spread): vad/models/collapse.py. By steps, from the untrained
network on; the reference trained 5,750 steps."""
COLLAPSES = ("feature variance", "effective rank", "score spread")
REPORTED = (0.0013, 0.002, 0.008)
"""Gains in AP that the reference reports for features, for L1 and at most."""


def page() -> str:
    """The whole document as Markdown."""
    stated, experiments = ablations.load()
    found = verdicts.read_results(ablations.RESULTS)
    found = {name: found[name] for name in DATA if name in found}
    border = stated["effect"]
    judged = {name: verdicts.judge(stated["claims"], results, border) for name, results in found.items()}
    parts = [
        "# Failure analysis: what the reference says helps or harms, tested",
        MADE,
        "## The verdicts",
        verdict_table(),
        _data_sets(found, experiments),
        "![Every difference with its interval](../docs/images/ablations.png)",
        "## How a verdict is reached",
        verdicts.RULE.format(effect=border, level=LEVEL),
        _luck(found),
        *[_claim(number, claim, experiments, found, judged) for number, claim in stated["claims"].items()],
        _ceiling(found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict_table() -> str:
    """The verdicts of every data set on every claim, as Markdown."""
    stated, _ = ablations.load()
    found = verdicts.read_results(ablations.RESULTS)
    judged = {name: verdicts.judge(stated["claims"], found[name], stated["effect"]) for name in DATA if name in found}
    rows = [
        [str(number), claim["claim"], *(str(verdict[number]) for verdict in judged.values())]
        for number, claim in stated["claims"].items()
    ]
    return table(["", "claim", *judged], rows)


def _data_sets(found: dict[str, Results], experiments: dict[str, Experiment]) -> str:
    tested = {experiment.name for experiment in experiments.values() if experiment.claim}
    rows = []
    for name, results in found.items():
        base = results[BASE]["figures"]["benchmark"]
        interval = f"{base[f'{FIGURE}_low']:.3f} to {base[f'{FIGURE}_high']:.3f}"
        rows.append(
            [
                name,
                DATA[name],
                str(base["clips"]),
                str(base["frames"]),
                f"{base['base_rate']:.1%}",
                f"{base['ap']:.3f}",
                f"{base[FIGURE]:.3f} ({interval})",
                f"{base['auroc']:.3f}",
                str(sum(name in tested for name in results)),
            ]
        )
    heads = ["data", "what it is", "clips", "frames", "anomalous", "AP", "AP at .2456", "AUROC", "experiments"]
    return "The recipe as it is (`base`) on each data set, 95 % intervals over clips:\n\n" + table(heads, rows)


def _luck(found: dict[str, Results]) -> str:
    """How far training seeds alone move AP, beside the gains that the reference reports."""
    parts = []
    for name, results in found.items():
        values = [results[seed]["figures"]["benchmark"][FIGURE] for seed in verdicts.SEEDS if seed in results]
        if len(values) < 2:
            continue
        spread = math.sqrt(verdicts.seed_variance(results))
        beside = ", ".join(f"{gain:+g} is {gain / (spread * math.sqrt(2)):.2g}" for gain in REPORTED)
        parts.append(
            LUCK.format(
                data=name,
                count=len(values),
                values=", ".join(f"{value:.4f}" for value in values),
                spread=spread,
                range=max(values) - min(values),
                pair=spread * math.sqrt(2),
                beside=beside,
            )
        )
    return "## How large is luck?\n\n" + "\n\n".join(parts) if parts else ""


def _claim(
    number: int,
    claim: dict[str, Any],
    experiments: dict[str, Experiment],
    found: dict[str, Results],
    judged: dict[str, dict[int, Verdict]],
) -> str:
    parts = [f"## {number}. {claim['claim']}"]
    for name, results in found.items():
        verdict = judged[name][number]
        text = f"**{name}: {verdict}**"
        if verdict.word != OPEN and not math.isnan(verdict.p):
            text += f", p {p_value(verdict.p)}"
        if verdict.word == OPEN and verdict.clips_needed:
            text += f"; if the effect stayed as it is, some {verdict.clips_needed} clips would decide it"
        for test in claim["tests"]:
            effect = verdicts.effect_of_test(test, results)
            if effect:
                group = f", {test['group']} frames alone" if "group" in test else ""
                against = " over chance" if test.get("against") == "chance" else ""
                text += f". `{test['experiment']}`{group}: {effect_text(effect.times(test['sign']))}{against}"
        if verdict.word != UNTESTED:
            parts.append(text + ".")
        if claim["tests"][0]["experiment"] == "any":
            parts += _opposed(results)
    names = [name for name, experiment in experiments.items() if experiment.claim == number]
    ran = [name for name in names if any(name in results for results in found.values())]
    if ran:
        parts.append(
            table(["experiment", "set", "against", *_heads(found)], [_row(experiments[n], found) for n in ran])
        )
    if curves := _curves(claim.get("curves", []), found):
        parts += [COLLAPSE, curves]
    if claim.get("why"):
        parts.append(claim["why"])
    return "\n\n".join(parts)


def _curves(names: list[str], found: dict[str, Results]) -> str:
    rows = []
    for data, results in found.items():
        for name in (name for name in names if "curve" in results.get(name, {})):
            steps, *figures = (results[name]["curve"][column] for column in CURVE)
            last = len(steps) - 1
            for at in sorted({0, min(1, last), len(steps) // 2, last}):
                held_out, variance, rank, spread = (values[at] for values in figures)
                texts = [
                    "" if held_out is None else f"{held_out:.5f}",
                    f"{variance:.5f}",
                    f"{rank:.1f}",
                    f"{spread:.4f}",
                ]
                rows.append([data, f"`{name}`", str(int(steps[at])), *texts])
    return table(["data", "experiment", "steps", "held-out loss", *COLLAPSES], rows) if rows else ""


def _heads(found: dict[str, Results]) -> list[str]:
    return [head for name in found for head in (f"{name}: AP, AP at .2456", "difference, 95 %, p")]


def _row(experiment: Experiment, found: dict[str, Results]) -> list[str]:
    changes = ", ".join(f"`{key}: {_value(value)}`" for key, value in experiment.set.items())
    cells = [f"`{experiment.name}`", changes, f"`{experiment.against}`"]
    for results in found.values():
        result = results.get(experiment.name)
        if result is None:
            cells += ["", ""]
            continue
        own, compared = result["figures"]["benchmark"], result["difference"]["benchmark"]
        effect = verdicts.effect_of(compared, own["clips"])
        drawn = list(compared["resampled"].values())[-1]
        cells.append(f"{own['ap']:.4f}, {own[FIGURE]:.4f}")
        if compared["ranking"]["same"]:
            cells.append("exactly 0: the same ranking")
        else:
            cells.append(f"{effect_text(effect)}, p {p_value(drawn[FIGURE]['p'])}" if effect else "-")
    return cells


def _opposed(results: Results) -> list[str]:
    rows = verdicts.opposed(results, 0.01)[:5]
    return (
        ["; ".join(f"`{name}`: {kind} {gain:+.3f}, all {change:+.3f}" for name, kind, gain, change in rows)]
        if rows
        else []
    )


def _ceiling(found: dict[str, Results]) -> str:
    rows = []
    for name, results in found.items():
        if ORACLE not in results:
            continue
        oracle, base = results[ORACLE], results[BASE]["figures"]["benchmark"]
        rows.append(
            [
                name,
                f"{base[FIGURE]:.3f}",
                f"{oracle['best_single'][FIGURE]:.3f} (`{oracle['best_single']['component']}`)",
                f"{oracle[FIGURE]:.3f}",
                ", ".join(f"{key} {share:.0%}" for key, share in oracle["chosen"].items()),
            ]
        )
    if not rows:
        return ""
    heads = ["data", "the recipe, honestly", "oracle: best single", "oracle: best mixture", "of what"]
    return (
        "## The ceiling (oracle: tuned on the test labels)\n\nHow far could a single-frame autoencoder go at all? "
        "Component, view and weights are chosen here *on the labels they are scored on*, of all errors in all views, "
        "frames upright. A greedy search found the mixture, so a better one may exist; no honest procedure "
        "is to be expected to reach it.\n\n" + table(heads, rows)
    )


def _value(value: Any) -> str:
    return "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}" if isinstance(value, dict) else str(value)


def draw(path: Path) -> None:
    """Draw every experiment's difference in AP with its interval, a column a data set, as a PNG."""
    _, experiments = ablations.load()
    found = verdicts.read_results(ablations.RESULTS)
    found = {name: found[name] for name in DATA if name in found}
    names = [e.name for e in experiments.values() if e.claim and any(e.name in results for results in found.values())]
    figure, axes = plt.subplots(
        1, len(found), figsize=(4.2 * len(found) + 1, 0.17 * len(names) + 1), sharey=True, squeeze=False
    )
    for axis, (data, results) in zip(axes.flat, found.items(), strict=True):
        for place, name in enumerate(names):
            result = results.get(name)
            compared = result and result["difference"]["benchmark"]
            effect = verdicts.effect_of(compared, 0) if compared else None
            if effect:
                clear = effect.low > 0 or effect.high < 0
                colour = plots.ANOMALOUS if clear and effect.value < 0 else plots.NORMAL if clear else "grey"
                axis.plot([effect.low, effect.high], [place, place], color=colour, linewidth=1.2)
                axis.plot(effect.value, place, marker="<" if effect.value < 0 else ">", color=colour, markersize=4)
        axis.axvspan(-0.01, 0.01, color="0.9")
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set_title(data, fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
        axis.set_xlabel("change in AP at .2456", fontsize=8)
    axes.flat[0].set_yticks(np.arange(len(names)), names)
    axes.flat[0].invert_yaxis()
    figure.tight_layout()
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=80, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files.write_text(PAGE, page())
    draw(PICTURE)
