"""Write experiments/failure_analysis.md from the results of the ablations, and from nothing else.

    python -m experiments.failure_analysis

Also draws docs/images/claims.png, the effect of each claim's tests, and ablations.png, every difference.
"""

import argparse
import math
import textwrap
from pathlib import Path
from statistics import stdev
from typing import Any

from experiments import claim_sections, effects, evidence, pictures, verdicts
from experiments.effects import FIGURE, Results
from experiments.evidence import Evidence
from experiments.experiment import BASE, Experiment
from experiments.markdown import table
from experiments.verdicts import DECIDED, LEVEL
from project import workspaces
from vad.storage import files

PAGE = Path(__file__).with_name("failure_analysis.md")
PICTURES = Path(__file__).parents[1] / "docs" / "images"
DATA = workspaces.of_page("failure_analysis")
ORACLE = "oracle"
MADE = """\
Made by `python -m experiments.failure_analysis` from `experiments/results/` and `experiments/ablations.yaml`; not to be
edited by hand. `make ablations DATA=sample` runs all of it again and writes this page, `make ablation NAME=per_video
DATA=sample` runs one experiment, after which the command above writes the page. Each is a DVC experiment in the data
set's clone, `.dvc/tmp/workspaces/sample`; what a run is going to take is said when it starts."""
DATA_SETS = """\
The recipe as it is (`base`) on each data set, 95 % percentile intervals over clips, and the minutes that it takes on
two cores:

"""
LUCK = """\
On {data}, {count} seeds give AP at .2456 of {values}: standard deviation {spread:.4f}, range {range:.4f}. Two
trainings of the same recipe differ by {pair:.4f} (one standard deviation of the difference). Of the gains that the
reference reports, in that unit: {beside}. Settings of one trained network are compared without this luck, two
trainings are not."""
REPORTED = (0.0013, 0.002, 0.008)
"""Gains in AP that the reference reports for features, for L1 and at most."""


def page() -> str:
    """The whole document as Markdown."""
    known = evidence.gather()
    parts = [
        "# Failure analysis: what the reference says helps or harms, tested",
        MADE,
        "## The verdicts",
        _counts(known),
        verdict_table(known),
        _real_clips(known),
        _data_sets(known.found, known.experiments),
        "![The effect of each claim's tests by data set and pooled](../docs/images/claims.png)",
        "![Every difference with its interval](../docs/images/ablations.png)",
        "## How a verdict is reached",
        verdicts.RULE.format(effect=known.border, level=LEVEL),
        _luck(known.found),
        _pairs_of_seeds(known),
        *[claim_sections.section(number, claim, known) for number, claim in known.stated["claims"].items()],
        _ceiling(known.found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _counts(known: Evidence) -> str:
    """How many claims are decided, now and before, and which verdicts changed."""
    rows, changed = [], []
    columns = {
        "on real clips": (known.on_real_clips, None),
        **{words: (judged, None) for words, judged in known.by_seeds.items()},
        **{name: (judged, known.before[name]) for name, judged in known.judged.items()},
    }
    for name, (now, before) in columns.items():
        decided = [str(number) for number, verdict in now.items() if verdict.word in DECIDED]
        old = [str(number) for number, verdict in (before or {}).items() if verdict.word in DECIDED]
        rows.append([name, _listed(decided), "" if before is None else _listed(old)])
        for number, verdict in now.items():
            if before and verdict.word != before[number].word:
                changed.append(f"{number} on {name} ({before[number]} -> {verdict})")
    said = f"Verdicts that changed with the intervals: {'; '.join(changed)}." if changed else "No verdict changed."
    heads = ["", f"decided of {len(known.stated['claims'])}", "decided before"]
    return table(heads, rows) + "\n\n" + textwrap.fill(said, 120)


def _listed(numbers: list[str]) -> str:
    return f"{len(numbers)}: {', '.join(numbers)}" if numbers else "0"


def verdict_table(known: Evidence) -> str:
    """The verdicts on every claim, on real clips and by data set, as Markdown; beside them what was said before."""
    rows = [
        [
            str(number),
            claim["claim"],
            str(known.on_real_clips[number]),
            *(str(judged[number]) for judged in known.by_seeds.values()),
            *_now_and_before(number, known),
        ]
        for number, claim in known.stated["claims"].items()
    ]
    return table(["", "claim", "on real clips", *known.by_seeds, *known.judged], rows)


def _now_and_before(number: int, known: Evidence) -> list[str]:
    cells = []
    for name, judged in known.judged.items():
        now, before = judged[number], known.before[name][number]
        cells.append(str(now) if now.word == before.word else f"{now}; before: {before}")
    return cells


def _real_clips(known: Evidence) -> str:
    said = [f"{scene} ({', '.join(f'`{name}`' for name in names)})" for scene, names in known.scenes.items()]
    return textwrap.fill(
        f"Real clips are the replicas that have results: {'; '.join(said)}. A claim is judged on those that ran its "
        "test; its section says how many videos these have.",
        120,
        break_on_hyphens=False,
    )


def _data_sets(found: dict[str, Results], experiments: dict[str, Experiment]) -> str:
    tested = {experiment.name for experiment in experiments.values() if experiment.claim}
    rows, rows_of = [], workspaces.datasets()
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
                str(rows_of[name].get("minutes", "")),
            ]
        )
    heads = [
        "data",
        "what it is",
        "clips",
        "frames",
        "anomalous",
        "AP",
        "AP at .2456",
        "AUROC",
        "experiments",
        "minutes",
    ]
    return DATA_SETS + table(heads, rows)


def _luck(found: dict[str, Results]) -> str:
    """How far training seeds alone move AP, beside the gains that the reference reports."""
    parts = []
    for name, results in found.items():
        values = [results[seed]["figures"]["benchmark"][FIGURE] for seed in effects.SEEDS if seed in results]
        if len(values) < 2:
            continue
        spread = math.sqrt(effects.seed_variance(results))
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


def _pairs_of_seeds(known: Evidence) -> str:
    """What is known of the luck of each encoder that a claim is about: the changes by seed."""
    rows = []
    for claim in known.stated["claims"].values():
        for test in claim["tests"]:
            names = [test["experiment"], *test.get("seeds", [])]
            if known.experiments.get(names[0]) is None or known.experiments[names[0]].cost() < 3:
                continue
            for data, results in known.found.items():
                ran = [
                    results[name]["difference"]["benchmark"][FIGURE]["difference"] for name in names if name in results
                ]
                if ran:
                    spread = f"{stdev(ran):.4f}" if len(ran) > 1 else "one seed: not known"
                    rows.append([data, f"`{names[0]}`", ", ".join(f"{change:+.4f}" for change in ran), spread])
    if not rows:
        return ""
    heads = ["data", "encoder", "change against ResNet-18 of the same seed", "standard deviation"]
    return "Another encoder's luck is its own, known from pairs of seeds alone:\n\n" + table(heads, rows)


def _ceiling(found: dict[str, Results]) -> str:
    rows = []
    for name, results in found.items():
        if ORACLE not in results:
            continue
        oracle, base = results[ORACLE], results[BASE]["figures"]["benchmark"]
        by_place = oracle.get("by_place")
        rows.append(
            [
                name,
                f"{base[FIGURE]:.3f}",
                f"{oracle['best_single'][FIGURE]:.3f} (`{oracle['best_single']['component']}`)",
                f"{oracle[FIGURE]:.3f}",
                _shares(oracle),
                f"{by_place[FIGURE]:.3f}: {_shares(by_place)}" if by_place else "",
            ]
        )
    if not rows:
        return ""
    heads = [
        "data",
        "the recipe, honestly",
        "oracle: best single",
        "oracle: best mixture",
        "of what",
        "with pooling by place",
    ]
    return (
        "## The ceiling (oracle: tuned on the test labels)\n\nHow far could a single-frame autoencoder go at all? "
        "Component, view and weights are chosen here *on the labels they are scored on*, of all errors in all views, "
        "frames upright. A greedy search found the mixture, so a better one may exist; no honest procedure "
        "is to be expected to reach it. The last column adds the map of the errors pooled by place, as the "
        "background's is ([past_the_ceiling.md](past_the_ceiling.md#is-it-motion-or-the-pooling)).\n\n"
        + table(heads, rows)
    )


def _shares(oracle: dict[str, Any]) -> str:
    return ", ".join(f"{key} {share:.0%}" for key, share in oracle["chosen"].items())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files.write_text(PAGE, page())
    pictures.draw_claims(PICTURES / "claims.png", evidence.gather())
    pictures.draw_experiments(PICTURES / "ablations.png", evidence.gather())
