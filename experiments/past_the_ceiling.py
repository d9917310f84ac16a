"""Write experiments/past_the_ceiling.md from the results of recipes and their steps, and from nothing else.

    python -m experiments.past_the_ceiling

What goes beyond the reference: by how much, and which step gave it. How `best` is chosen: `experiments/choice.py`.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml

from experiments import ablations, effects, recipe_tables
from experiments.effects import Results
from experiments.experiment import BASE, Experiment
from experiments.markdown import GUIDED, table
from project import workspaces
from vad.storage import files

PAGE = Path(__file__).with_name("past_the_ceiling.md")
DATA = workspaces.of_page("past_the_ceiling")
DRAWS = workspaces.draws()
"""The replicas again, corrupted by other draws."""
HEAD = """\
Made by `python -m experiments.past_the_ceiling` from `experiments/results/` and `experiments/recipes.yaml`; not to be
edited by hand. `make recipe NAME=motion` runs a recipe on your data; `make ablation NAME=motion DATA=ped2-replica` runs
it here again, as a DVC experiment. These experiments hold two clips out. What `best` is now was chosen out of fold:
[choice.md](choice.md); it was `blocks` when these were run.

Rows with motion were run at two times. On `ped2`, `ped2-replica` and its draws, and in `with_convlstm`, flow was still
that of the preset `fast`; on the others it is `medium`, the preset of today. Compare rows within a column.
[choice.md](choice.md) has `blocks`, `motion` and components on the replicas and the sample with `medium`, out of fold.

AP is at the competition's 24.56 % of anomalous frames, a random ranking has .246. Intervals are 95 %: of figures the
percentiles of a bootstrap over clips, which below ten clips describe and prove nothing; of differences Student's over
source videos ([METHODS](../docs/METHODS.md#4-intervals-differences-verdicts)).

{guided}"""
PUBLISHED = """\
`ped2` are clean clips, six of Ped2's twelve test clips. What papers report is for the full sets, after training on all
of their training clips, mostly with networks trained for hours on a GPU, and mostly with scores rescaled within each
clip, which looks at the whole of a test clip: *other conditions*, so this ranks no methods. Frame-level AUROC, as their
authors state it:"""
ELSEWHERE = [
    ("Hasan et al., Learning Temporal Regularity in Video Sequences, CVPR 2016", ".900", ".702"),
    ("Luo et al., Remembering History with Convolutional LSTM for Anomaly Detection, ICME 2017", ".881", ".770"),
    ("Liu et al., Future Frame Prediction for Anomaly Detection, CVPR 2018", ".954", ".851"),
    ("Gong et al., Memorizing Normality to Detect Anomaly (MemAE), ICCV 2019", ".941", ".833"),
    ("Park et al., Learning Memory-guided Normality for Anomaly Detection, CVPR 2020", ".970", ".885"),
    ("Astrid et al., Synthetic Temporal Anomaly Guided End-to-End Video Anomaly Detection, ICCVW 2021", ".984", ".871"),
]


def page() -> str:
    """The whole document as Markdown."""
    stated, experiments, found = read()
    recipes = [BASE, *stated["recipes"]]
    components = [f"{component}_only" for component in stated["alone"]["components"]]
    alone = components + [name for name in stated["steps"] if name.endswith("_only")]
    steps = [name for name in experiments if name not in (*recipes, *alone)]
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


def _draws(recipes: list[str], alone: list[str], experiments: dict[str, Experiment]) -> list[str]:
    """The recipes and the components alone on replicas of other draws, where they ran."""
    results = effects.read_results(ablations.RESULTS)
    found = {name: results[name] for name in DRAWS if BASE in results.get(name, {})}
    figures = recipe_tables.figures([*recipes, *alone], found)
    paired = recipe_tables.steps([*(name for name in recipes if name != BASE), *alone], experiments, found)
    return ["## The same clips, corrupted by other draws", figures, "Paired:", paired] if found else []


def _published(found: dict[str, Results]) -> list[str]:
    """What others reached, where there are figures on the same clips to read beside it."""
    others = table(["", "Ped2, all of it", "Avenue, all of it"], [list(row) for row in ELSEWHERE])
    return [PUBLISHED, others] if {"ped2", "avenue"} & set(found) else []


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files.write_text(PAGE, page())
