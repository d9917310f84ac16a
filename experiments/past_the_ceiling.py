"""Write experiments/past_the_ceiling.md from the results of recipes and their steps, and from nothing else.

    python -m experiments.past_the_ceiling

What goes beyond the reference: by how much, which step gave it, how the former `best`, `blocks`,
was chosen, and whether the validation that chose it could be trusted.
"""

import argparse
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import spearmanr

from experiments import ablations, effects, recipe_tables
from experiments.effects import FIGURE, Results
from experiments.experiment import BASE, Experiment
from experiments.markdown import GUIDED, table
from project import workspaces
from vad.storage import files, tables

PAGE = Path(__file__).with_name("past_the_ceiling.md")
DATA = workspaces.of_page("past_the_ceiling")
DRAWS = workspaces.draws()
"""The replicas again, corrupted by other draws."""
HEAD = """\
Made by `python -m experiments.past_the_ceiling` from `experiments/results/` and `experiments/recipes.yaml`; not to be
edited by hand. `make recipe NAME=motion` runs a recipe on your data; `make ablation NAME=motion DATA=ped2-replica` runs
it here again, as a DVC experiment. These experiments hold two clips out. What `best` is now was chosen out of fold:
[choice.md](choice.md); it was `blocks` when these were run.

AP is at the competition's 24.56 % of anomalous frames, a random ranking has .246. Intervals are 95 %: of figures the
percentiles of a bootstrap over clips, which below ten clips describe and prove nothing; of differences Student's over
source videos ([METHODS](../docs/METHODS.md#4-intervals-differences-verdicts)).

{guided}"""
PUBLISHED = """\
`ped2` and `avenue` are clean clips: six of Ped2's twelve test clips, and of Avenue a few minutes. What papers report is
for the full sets, after training on all of their training clips, mostly with networks trained for hours on a GPU, and
mostly with scores rescaled within each clip, which looks at the whole of a test clip: *other conditions*, so this ranks
no methods. Frame-level AUROC, as their authors state it:"""
ELSEWHERE = [
    ("Hasan et al., Learning Temporal Regularity in Video Sequences, CVPR 2016", ".900", ".702"),
    ("Luo et al., Remembering History with Convolutional LSTM for Anomaly Detection, ICME 2017", ".881", ".770"),
    ("Liu et al., Future Frame Prediction for Anomaly Detection, CVPR 2018", ".954", ".851"),
    ("Gong et al., Memorizing Normality to Detect Anomaly (MemAE), ICCV 2019", ".941", ".833"),
    ("Park et al., Learning Memory-guided Normality for Anomaly Detection, CVPR 2020", ".970", ".885"),
    ("Astrid et al., Synthetic Temporal Anomaly Guided End-to-End Video Anomaly Detection, ICCVW 2021", ".984", ".871"),
]
CHOSEN = """\
The candidates by their AP on validation, the mean over {chosen_on}, and how many networks they train. `blocks` is, of
those within {tie} of the highest, the one that trains the fewest, and of these the highest. A validation set here has
one or two clips, and its AP an error of about a tenth, so {tie} decides nothing, while a network costs a user minutes
of training. That tie-break was written when the figures on validation were known, and those on the benchmark, too.

{later} came later. Of many candidates one is always ahead by luck, so a later one would have replaced it only where
it is more than {tie} above it; that, too, was written when the figures were known."""
TRUST = """\
Over all experiments of a data set, ablations and recipes alike: Spearman's rank correlation between AP on validation
and AP on the benchmark. Where it is high, choosing on validation chooses well."""

OTHER_EVENTS = """\
Where it is low, validation is small: that of the Avenue replica is 33 frames of one clip with one event, which most
candidates find, and a tie ranks nothing. Other events for the candidates that train no network: `faint`, of the same
kinds at `validation.visibility` {visibility} instead of 1, so that one sees through them; `copies`, {copies} copies of
each clip with events of their own. Mean AP on validation, and its rank correlation with AP on the benchmark, which
stays the same; what is empty was not run:"""


def page() -> str:
    """The whole document as Markdown."""
    stated, experiments, found = read()
    recipes = [BASE, *stated["recipes"]]
    components = [f"{component}_only" for component in stated["alone"]["components"]]
    alone = components + [name for name in stated["steps"] if name.endswith("_only")]
    steps = [name for name in experiments if name not in (*recipes, *alone) and not _other_events(name, stated)]
    return (
        "\n\n".join(
            [
                "# Past the ceiling: repaired frames, motion, and what they add",
                HEAD.format(guided=GUIDED),
                "## The recipes",
                "\n".join(f"- `{name}`: {entry['says']}" for name, entry in stated["recipes"].items()),
                recipe_tables.figures(recipes, found),
                *_published(found),
                "## Each component alone, on repaired frames",
                recipe_tables.figures(alone, found),
                "Each against another, paired; above 0 it is the better one:",
                recipe_tables.steps(alone, experiments, found),
                "## Is it motion, or the pooling?",
                recipe_tables.POOLING,
                recipe_tables.pooling(found),
                *_draws(recipes, alone, experiments),
                "## Step by step",
                "Each against the one it is compared with, paired.",
                recipe_tables.steps([*stated["recipes"], *steps], experiments, found),
                "## How `blocks` was chosen",
                _wrapped(
                    CHOSEN.format(
                        chosen_on=_names(stated["chosen_on"]),
                        later=_names([name for name, *_ in ranked(stated, found) if name in stated["later"]]),
                        tie=stated["tie"],
                    )
                ),
                _choice(stated, experiments, found),
                "## Can validation be trusted?",
                TRUST,
                _trust(stated, effects.read_results(ablations.RESULTS)),
                _wrapped(
                    OTHER_EVENTS.format(
                        visibility=stated["validations"]["faint"]["validation.visibility"],
                        copies=stated["validations"]["copies"]["validation.copies"],
                    )
                ),
                _on_other_events(stated, found),
            ]
        )
        + "\n"
    )


def read() -> tuple[dict[str, Any], dict[str, Experiment], dict[str, Results]]:
    """What recipes.yaml states, name -> experiment, and data set -> its results, where any of them ran on it."""
    stated = yaml.safe_load(ablations.RECIPES.read_text(encoding="utf-8"))
    experiments = ablations.load_recipes()
    found = effects.read_results(ablations.RESULTS)
    return stated, experiments, {name: found[name] for name in DATA if set(found.get(name, {})) & set(experiments)}


def ranked(stated: dict[str, Any], found: dict[str, Results]) -> list[tuple[str, float, list[float]]]:
    """Candidates that ran on all of `chosen_on`: name, mean AP on validation and its parts, the best first.

    The later ones among them.
    """
    rows = []
    for name in (*stated["candidates"], *stated["later"]):
        results = [found.get(data, {}).get(name) for data in stated["chosen_on"]]
        if all(results):
            values = [result["figures"]["validation"][FIGURE] for result in results if result]
            rows.append((name, sum(values) / len(values), values))
    return sorted(rows, key=lambda row: -row[1])


def _draws(recipes: list[str], alone: list[str], experiments: dict[str, Experiment]) -> list[str]:
    """The recipes and the components alone on replicas of other draws, where they ran."""
    results = effects.read_results(ablations.RESULTS)
    found = {name: results[name] for name in DRAWS if name in results}
    figures = recipe_tables.figures([*recipes, *alone], found)
    paired = recipe_tables.steps([*(name for name in recipes if name != BASE), *alone], experiments, found)
    return ["## The same clips, corrupted by other draws", figures, "Paired:", paired] if found else []


def chosen(stated: dict[str, Any], experiments: dict[str, Experiment], found: dict[str, Results]) -> str:
    """The candidate that the rule makes `best`, or the later one that replaces it."""
    means = {name: mean for name, mean, _ in ranked(stated, found)}
    first = {name: mean for name, mean in means.items() if name not in stated["later"]}
    tied = [name for name, mean in first.items() if mean >= max(first.values()) - stated["tie"]]
    best = min(tied, key=lambda name: (experiments[name].networks(), -means[name]))
    ahead = [name for name, mean in means.items() if name in stated["later"] and mean > means[best] + stated["tie"]]
    return ahead[0] if ahead else best


def _published(found: dict[str, Results]) -> list[str]:
    """What others reached, where there are figures on the same clips to read beside it."""
    others = table(["", "Ped2, all of it", "Avenue, all of it"], [list(row) for row in ELSEWHERE])
    return [PUBLISHED, others] if {"ped2", "avenue"} & set(found) else []


def _wrapped(text: str) -> str:
    """Paragraphs whose lines end where those of the rest of the page do."""
    return "\n\n".join(textwrap.fill(paragraph, 120, break_on_hyphens=False) for paragraph in text.split("\n\n"))


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _choice(stated: dict[str, Any], experiments: dict[str, Experiment], found: dict[str, Results]) -> str:
    rows = []
    for name, mean, values in ranked(stated, found):
        scored = [found[data][name]["figures"]["benchmark"][FIGURE] for data in stated["chosen_on"]]
        trained = str(experiments[name].networks())
        rows.append([f"`{name}`", trained, f"{mean:.3f}", *(f"{v:.3f}" for v in values), *(f"{v:.3f}" for v in scored)])
    heads = [f"{data}: {part}" for part in tables.PARTS for data in stated["chosen_on"]]
    return table(["", "networks", "validation, mean", *heads], rows)


def _trust(stated: dict[str, Any], found: dict[str, Results]) -> str:
    rows = []
    for data in DATA:
        ran = {name: result for name, result in found.get(data, {}).items() if not _other_events(name, stated)}
        parts = [result["figures"] for result in ran.values() if "figures" in result]
        pairs = [[both[part][FIGURE] for part in tables.PARTS] for both in parts if set(tables.PARTS) <= set(both)]
        if len(pairs) > 2:
            rows.append([data, str(len(pairs)), f"{spearmanr(pairs).statistic:+.2f}"])
    return table(["data", "experiments", "rank correlation"], rows)


def _other_events(name: str, stated: dict[str, Any]) -> bool:
    return name.rpartition("_")[2] in stated["validations"]


def _on_other_events(stated: dict[str, Any], found: dict[str, Results]) -> str:
    candidates = [*stated["candidates"], *stated["later"]]
    others = [f"_{how}" for how in stated["validations"]]
    rows = []
    for data, results in found.items():
        ran = [other for other in others if any(name + other in results for name in candidates)]
        names = [name for name in candidates if all(name + suffix in results for suffix in ("", *ran))]
        if not ran:
            continue
        scored = [results[name]["figures"]["benchmark"][FIGURE] for name in names]
        row = [data, str(len(names))]
        for suffix in ("", *others):
            values = [
                results[name + suffix]["figures"]["validation"][FIGURE] for name in names if name + suffix in results
            ]
            known = len(values) == len(scored) > 2
            row.append(f"{np.mean(values):.3f}, {spearmanr(values, scored).statistic:+.2f}" if known else "")
        rows.append(row)
    heads = ["as they are", *stated["validations"]]
    return table(["data", "candidates", *(f"{head}: AP, rank correlation" for head in heads)], rows)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files.write_text(PAGE, page())
