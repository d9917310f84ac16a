"""Tables of recipes: their figures, their steps, and how far pooling alone goes."""

import textwrap
from typing import Any

from experiments import effects, evidence
from experiments.effects import FIGURE, Results
from experiments.experiment import BASE, Experiment
from experiments.markdown import effect, p_value, table

POOLING = """\
The background is a map of single frames as the autoencoder's errors are, but pooled by place: the block that is largest
for its place. Is what lies past the ceiling a matter of pooling? AP at .2456, frames upright. Of the autoencoder's
errors: as the recipe averages them (`repaired`); their top percent; their map pooled by place, tuned on nothing; and
mixtures tuned *on the test labels*, without and with that map. Beside them what no label tuned, pooled by place as
well: the background, flow, `blocks`. An empty cell was not computed."""


def figures(names: list[str], found: dict[str, Results]) -> str:
    """AP at the prevalence and AUROC of each experiment on each data set, with intervals over clips."""
    rows = []
    for name in names:
        if not any(name in results for results in found.values()):
            continue
        row = ["`reference`" if name == BASE else f"`{name}`"]
        for results in found.values():
            own = results[name]["figures"]["benchmark"] if name in results else None
            row.append(f"{_with_interval(own, FIGURE)}, {_with_interval(own, 'auroc')}" if own else "")
        rows.append(row)
    return table(["", *(f"{name}: AP, AUROC" for name in found)], rows)


def _with_interval(figures: dict[str, Any], name: str) -> str:
    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
    return f"{figures[name]:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def steps(names: list[str], experiments: dict[str, Experiment], found: dict[str, Results]) -> str:
    """Each experiment's difference against what it is compared with, with its interval over source videos."""
    readings = {data: evidence.reading(data, results) for data, results in found.items()}
    rows = []
    for name in names:
        if not any(name in results for results in found.values()):
            continue
        row = [f"`{name}`", f"`{experiments[name].against}`"]
        for data, results in found.items():
            row.append(_difference(results[name], readings[data]) if name in results else "")
        rows.append(row)
    return table(["", "against", *(f"{name}: difference, p" for name in found)], rows)


def _difference(result: dict[str, Any], reading: effects.Reading) -> str:
    compared = result["difference"]["benchmark"]
    if compared["ranking"]["same"]:
        return "exactly 0: the same ranking"
    change = reading.difference(compared, 0)
    return f"{effect(change)}, p {p_value(change.p(0))}" if change else f"{compared[FIGURE]['difference']:+.4f}"


def pooling(found: dict[str, Results]) -> str:
    """A single-frame autoencoder, however pooled, beside what looks at single frames and at motion."""
    ran = ("repaired", "pixel_l1_top_only", "background_local_only", "flow_local_only", "blocks")
    rows = []
    for data, results in found.items():
        figures = {name: results[name]["figures"]["benchmark"][FIGURE] if name in results else None for name in ran}
        oracle = results.get("oracle", {})
        errors = [
            oracle.get("alone", {}).get("pixel_l1_local"),
            oracle.get(FIGURE),
            oracle.get("by_place", {}).get(FIGURE),
        ]
        values = [figures["repaired"], figures["pixel_l1_top_only"], *errors, *(figures[name] for name in ran[2:])]
        rows.append([data, *("" if value is None else f"{value:.3f}" for value in values)])
    heads = ["errors: mean", "top percent", "by place", "oracle", "oracle, by place", "background", "flow", "`blocks`"]
    return "\n\n".join([table(["data", *heads], rows), *_remains(found)])


WITHOUT = "These are figures without an interval."


def _remains(found: dict[str, Results]) -> list[str]:
    """What is left for motion, where the autoencoder's errors were pooled by place as well."""
    said = []
    for data, results in found.items():
        placed = results.get("oracle", {}).get("alone", {}).get("pixel_l1_local")
        others = [results.get(name) for name in ("repaired", "pixel_l1_top_only", "blocks")]
        if placed is None or not all(others):
            continue
        mean, top, motion = (one["figures"]["benchmark"][FIGURE] for one in others if one)
        pooled = max(mean, top, placed)
        sign = "motion has more to give" if motion > pooled else "no sign there that motion adds to pooling"
        said.append(
            f"On `{data}` the errors of single frames, untuned, reach {pooled:.3f} by the best of three poolings, and "
            f"`blocks`, which is mostly motion, {motion:.3f}: {sign}."
        )
    return [textwrap.fill(" ".join([*said, WITHOUT]), 120, break_on_hyphens=False)] if said else []
