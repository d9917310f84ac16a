"""How `best` is chosen, on validation out of fold: measure the candidates, and write experiments/choice.md.

    python -m experiments.choice sample ped2-replica      # measure on these data sets, then write the page
    python -m experiments.choice                          # the page alone

The pipeline runs once a data set, in its clone (project/workspaces.py); every candidate is then scored in this process,
by the same functions as in the stages.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import ablations, trust
from experiments.candidates import BEST, candidates, measure, stated
from experiments.experiment import BASE
from experiments.markdown import GUIDED, between, table
from project import workspaces
from vad import VadError
from vad.evaluation import over_kinds
from vad.storage import files

PAGE = Path(__file__).with_name("choice.md")
README = Path(__file__).parents[1] / "README.md"
MARK = "<!-- made by experiments/choice.py -->"
NAME = "choice.json"
Found = dict[str, dict[str, Any]]
"""What `measure` recorded, by data set."""
HEAD = """\
Made by `python -m experiments.choice` from `experiments/results/*/choice.json` and `experiments/recipes.yaml`; not to
be edited by hand. `python -m experiments.choice ped2-replica` measures a data set again.

Every training clip is scored by what the other training clips teach. Calibration uses these scores, and validation is
made of corrupted copies of all training clips with events of {kinds} kinds, scored out of fold as well
([METHODS](../docs/METHODS.md)). AP is at the competition's 24.56 % of anomalous frames. On validation it is the mean
over kinds of event, each against all normal frames. The test clips' labels are opened for the columns "benchmark"
alone.

{guided}"""
RULE = """\
{count} candidates: every combination of maps, pools, a way to calibrate and fuse, and a smoothing, as `choice` in
[recipes.yaml](recipes.yaml) lists them. Of each, AP on validation, and of that the mean over {data}. Those within
{tie} of the highest tie; of them the ones with the fewest components, of these the highest. {tied} of them tie. The
highest:"""
TRUST = """\
Spearman's rank correlation, among the candidates, between AP on validation and on the benchmark. Regret: by how much
the best candidate on a data set's benchmark is above the one that the rule chose, and above the one that this data
set's own validation would have chosen. In brackets: 95 % intervals over {draws} resamples of the clips of both.
With few clips such intervals are too short, and a resample adds noise to both rankings, which pulls a correlation
toward 0 ([METHODS](../docs/METHODS.md#7-validation)).

*Hold-out*: the same candidates, validated and calibrated on the last two training clips instead of on folds, as it was
before there were folds; the first half of each calibrates, the second half validates. It has one event each of a few
kinds, so its mean over kinds is over these alone, and its regret is against the best candidate that is calibrated as it
is. Draws of a corruption share their training clips, and with them validation: they say nothing new about that.

`{kept}` had no part in the design of validation, nor in the choice: its figures were looked at once, after the commits
{committed}."""
LEFT_OUT = """\
Events of each kind. Of left-out training clips, each component of `best`, calibrated by the other clips: mean and
deviation of `calibrated`, which should be 0 and 1, and the share beyond the others' 95 % quantile, which should be .05.
Seconds are those of the whole pipeline, folds included, on two cores that had other work as well; draws took over what
was kept of the training clips of the first."""
RECIPES = """\
Benchmark, AP and AUROC, 95 % intervals by bootstrap over clips; below ten clips they describe and prove nothing. Each
component alone is calibrated (`calibrated_log`) and smoothed as `best` is. Data sets beside each other have the same
clips, corrupted by other seeds. `reference` and `repaired` have a network, and are experiments of the
[failure analysis](failure_analysis.md)."""


def read() -> Found:
    """What was measured, in the order of datasets.yaml."""
    paths = {name: ablations.RESULTS / name / NAME for name in workspaces.datasets()}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def means(choice: Mapping[str, Any], found: Found) -> dict[str, float]:
    """Candidate -> its AP on validation, the mean over the data sets that it is chosen on, the highest first."""
    rows = {
        name: sum(found[data]["candidates"][name]["validation"] for data in choice["data"]) / len(choice["data"])
        for name in candidates(choice)
    }
    return dict(sorted(rows.items(), key=lambda row: -row[1]))


def tied(choice: Mapping[str, Any], found: Found) -> list[str]:
    """The candidates within the tie, the chosen one first."""
    mean, known = means(choice, found), candidates(choice)
    highest = max(mean.values())
    return sorted(
        (name for name in mean if mean[name] >= highest - choice["tie"]),
        key=lambda name: (known[name].components, -mean[name]),
    )


def page() -> str:
    """The whole document as Markdown."""
    choice, found = stated(), read()
    within = tied(choice, found)
    rule = RULE.format(count=len(candidates(choice)), data=_names(choice["data"]), tie=choice["tie"], tied=len(within))
    kinds = len(next(iter(found.values()))["events"])
    return (
        "\n\n".join(
            [
                "# How `best` is chosen",
                HEAD.format(kinds=kinds, guided=GUIDED),
                "## The rule and the choice",
                rule,
                _candidates(list(means(choice, found))[:12], choice, found),
                f"The rule chooses `{within[0]}`. It is the recipe `{BEST}`:",
                _candidates(within[:5], choice, found),
                "## Can validation be trusted?",
                TRUST.format(
                    kept="`, `".join(choice["kept"]), committed=_commits(choice["committed"]), draws=trust.DRAWS
                ),
                _trust(found),
                _improved(choice, found),
                LEFT_OUT,
                _events(found),
                "## The recipes, and each component alone",
                RECIPES,
                *(_recipes(group, found) for group in _groups(found)),
            ]
        )
        + "\n"
    )


def in_readme(text: str) -> str:
    """README.md with the figures of the recipes put between its two marks."""
    choice, found = stated(), read()
    data = [*choice["data"], *choice["kept"]]
    rows = [["`reference`", *(_of_network(name, BASE) for name in data)]]
    for recipe in choice["beside"]:
        own = (found[name]["recipes"][recipe]["benchmark"] for name in data)
        rows.append([f"`{recipe}`", *map(_ap_and_auroc, own)])
    return between(text, MARK, table(["", *(f"{name}: AP, AUROC" for name in data)], rows))


def _of_network(data: str, experiment: str) -> str:
    """The figures of an experiment with the autoencoder, which `measure` leaves out."""
    path = ablations.RESULTS / data / f"{experiment}.json"
    if not path.exists():
        return "not run"
    return _ap_and_auroc(json.loads(path.read_text(encoding="utf-8"))["figures"]["benchmark"])


def _ap_and_auroc(figures: Mapping[str, Any]) -> str:
    return f"{_interval(figures, 'ap_at_prevalence')}, {_interval(figures, 'auroc')}"


def _commits(known: Mapping[str, str]) -> str:
    return ", ".join(f"{commit} ({what})" for what, commit in known.items())


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _candidates(names: list[str], choice: Mapping[str, Any], found: Found) -> str:
    mean = means(choice, found)
    data = [*choice["data"], *(name for name in choice["kept"] if name in found)]
    heads = [*(f"{name}: validation" for name in choice["data"]), *(f"{name}: benchmark AP, AUROC" for name in data)]
    rows = []
    for name in names:
        own = {where: found[where]["candidates"][name] for where in data}
        on_validation = [f"{own[where]['validation']:.3f}" for where in choice["data"]]
        on_benchmark = [f"{figures['ap']:.3f}, {figures['auroc']:.3f}" for figures in own.values()]
        rows.append([f"`{name}`", f"{mean[name]:.3f}", *on_validation, *on_benchmark])
    return table(["maps, pools, calibration, fusion, sigma", "validation, mean", *heads], rows)


def _trust(found: Found) -> str:
    rows = []
    for data, measured in found.items():
        folds, before = measured["trust"], measured.get("hold_out", {}).get("trust", {})
        rows.append(
            [
                data,
                _figure(before.get("correlation"), "+.2f") + _too_few(measured),
                _figure(folds["correlation"], "+.2f"),
                f"{max(candidate['ap'] for candidate in measured['candidates'].values()):.3f}",
                _figure(folds.get("regret"), ".3f"),
                _figure(before.get("own_regret"), ".3f"),
                _figure(folds["own_regret"], ".3f"),
            ]
        )
    heads = ["rank correlation, hold-out", "rank correlation, folds", "best candidate's AP", "regret of the choice"]
    return table(["data", *heads, "regret of its own choice, hold-out", "regret of its own choice, folds"], rows)


def _improved(choice: Mapping[str, Any], found: Found) -> str:
    """In words: where folds rank better than a hold-out did, and whether that goes for data that had no part."""
    before = {data: measured["hold_out"]["trust"] for data, measured in found.items() if "hold_out" in measured}
    after = {data: measured["trust"] for data, measured in found.items()}
    higher = [data for data in before if after[data]["correlation"][0] > before[data]["correlation"][0]]
    lower = [data for data in before if after[data]["own_regret"][0] < before[data]["own_regret"][0]]
    sure = [data for data, own in after.items() if own["correlation"][1] > 0 or own["correlation"][2] < 0]
    kept = "; ".join(
        f"on `{data}`, which had no part, the correlation goes from {before[data]['correlation'][0]:+.2f} to "
        f"{after[data]['correlation'][0]:+.2f}, the regret from {before[data]['own_regret'][0]:.3f} to "
        f"{after[data]['own_regret'][0]:.3f}"
        for data in choice["kept"]
        if data in before
    )
    return (
        f"With folds the correlation is higher than with a hold-out on {_names(higher) or 'none'}, and the regret of "
        f"what validation itself would choose is lower on {_names(lower) or 'none'}; {kept}. Most of these changes are "
        f"smaller than their intervals. With folds the interval excludes 0 on {_names(sure) or 'none'} alone: "
        "elsewhere these clips show neither that validation ranks nor that it does not."
    )


def _too_few(measured: Mapping[str, Any]) -> str:
    """How many kinds of event the hold-out has at all, where some come less often than a mean over kinds needs."""
    if "hold_out" not in measured:
        return ""
    held, kinds = measured["hold_out"]["events"], measured["events"]
    few = any(held.get(kind, 0) < over_kinds.LEAST for kind in kinds)
    return f"; {sum(held.get(kind, 0) > 0 for kind in kinds)} of {len(kinds)} kinds" if few else ""


def _figure(found: list[float] | None, form: str) -> str:
    """A figure and its interval."""
    if found is None:
        return "-"
    value, low, high = (f"{number:{form}}" for number in found)
    return f"{value} ({low} to {high})"


def _events(found: Found) -> str:
    kinds = list(dict.fromkeys(kind for measured in found.values() for kind in measured["events"]))
    rows = [
        [
            data,
            *(str(measured["events"].get(kind, 0)) for kind in kinds),
            *(
                f"{row['mean']:+.2f}, {row['deviation']:.2f}, {row['beyond']:.3f}"
                for row in measured["left_out"].values()
            ),
            str(measured["seconds"]),
        ]
        for data, measured in found.items()
    ]
    components = list(next(iter(found.values()))["left_out"])
    return table(["data", *kinds, *(f"`{name}` left out" for name in components), "seconds"], rows)


def _groups(found: Found) -> list[list[str]]:
    """Data sets, the draws of one beside each other."""
    known = workspaces.datasets()
    groups: dict[str, list[str]] = {}
    for name in found:
        groups.setdefault(known[name].get("draw_of", name), []).append(name)
    return list(groups.values())


def _recipes(data: list[str], found: Found) -> str:
    rows = [
        [f"`{name}`", *(_of_network(where, experiment) for where in data)]
        for name, experiment in (("reference", BASE), ("repaired", "repaired"))
    ]
    for name in found[data[0]]["recipes"]:
        own = (found[where]["recipes"][name]["benchmark"] for where in data)
        rows.append([f"`{name}`", *map(_ap_and_auroc, own)])
    return table(["", *(f"{name}: AP, AUROC" for name in data)], rows)


def _interval(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
    return f"{figures[name]:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def main(datasets: list[str]) -> None:
    """Measure on data sets, one after another, and write the page. Raises VadError as workspaces do."""
    for dataset in datasets:
        files.write_json(ablations.RESULTS / dataset / NAME, measure(dataset))
    files.write_text(PAGE, page())
    files.write_text(README, in_readme(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", metavar="DATA")
    try:
        main(parser.parse_args().datasets)
    except VadError as error:
        sys.exit(str(error))
