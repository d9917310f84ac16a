"""How `best` is chosen, on validation out of fold: measure the candidates, and write experiments/choice.md.

    python -m experiments.choice sample ped2-replica      # measure on these data sets, then write the page
    python -m experiments.choice                          # the page alone

The pipeline runs once a data set, in its clone (project/workspaces.py); every candidate is then scored in this process,
by the same functions as in the stages.
"""

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml
from scipy.stats import spearmanr

from experiments import ablations
from experiments.markdown import table
from project import workspaces
from vad import VadError, params
from vad.evaluation import metrics, over_kinds
from vad.params import Params
from vad.scoring import calibration, fusion
from vad.storage import files, tables
from vad.storage.progress import progress

PAGE = Path(__file__).with_name("choice.md")
NAME = "choice.json"
BEST = "best"
Found = dict[str, dict[str, Any]]
"""What `measure` recorded, by data set."""
HEAD = """\
Made by `python -m experiments.choice` from `experiments/results/*/choice.json` and `experiments/recipes.yaml`; not to
be edited by hand. `python -m experiments.choice ped2-replica` measures a data set again.

Every training clip is scored by what the other training clips teach. Calibration uses these scores, and validation is
made of corrupted copies of all training clips with events of {kinds} kinds, scored out of fold as well
([METHODS](../docs/METHODS.md)). AP is at the competition's 24.56 % of anomalous frames. On validation it is the mean
over kinds of event, each against all normal frames. The test clips' labels are opened for the columns "benchmark"
alone. That motion on repaired frames is what to look at was known from these test clips, and so was what
out-of-fold scores can reach: read the figures as those of a development set."""
RULE = """\
{count} candidates: every combination of maps, pools, a way to calibrate and fuse, and a smoothing, as `choice` in
[recipes.yaml](recipes.yaml) lists them. Of each, AP on validation, and of that the mean over {data}. Those within
{tie} of the highest tie; of them the ones with the fewest components, of these the highest. {tied} of them tie. The
highest:"""
TRUST = """\
Spearman's rank correlation, among the candidates, between AP on validation and on the benchmark. Regret: by how much
the best candidate on a data set's benchmark is above the one that the rule chose, and above the one that this data
set's own validation would have chosen. `{kept}` had no part in the design of validation, nor in the choice."""
LEFT_OUT = """\
Events of each kind. Of left-out training clips, each component of `best`, calibrated by the other clips: mean and
deviation of `calibrated`, which should be 0 and 1, and the share beyond the others' 95 % quantile, which should be .05.
Seconds are those of the whole pipeline, folds included, on two cores that had other work as well."""
RECIPES = """\
Benchmark, AP and AUROC, 95 % intervals by bootstrap over clips; below ten clips they describe and prove nothing. Each
component alone is calibrated (`calibrated_log`) and smoothed as `best` is."""


class Candidate(NamedTuple):
    """What a score may be made of: parameters by dotted key, and how many components it fuses."""

    set: dict[str, Any]
    components: int


def stated() -> dict[str, Any]:
    """Key -> value of the section `choice` of recipes.yaml."""
    return yaml.safe_load(ablations.RECIPES.read_text(encoding="utf-8"))["choice"]


def candidates(choice: Mapping[str, Any]) -> dict[str, Candidate]:
    """Every candidate by name, as `background+flow max log max 5`: maps, pools, calibration, fusion, smoothing."""
    found = {}
    grid = itertools.product(choice["maps"], choice["pools"], choice["fusions"], choice["sigmas"])
    for maps, pools, (how, fuse), sigma in grid:
        calibration = how.removeprefix("calibrated").strip("_") or "z"
        name = f"{'+'.join(maps)} {'+'.join(pools)} {calibration} {fuse} {sigma}"
        weights = {f"{which}_{pool}": 1.0 for which in maps for pool in pools}
        found[name] = Candidate(_scoring(weights, how, fuse, sigma), len(weights))
    return found


def _scoring(weights: dict[str, float], how: str, fuse: str, sigma: float) -> dict[str, Any]:
    smooth = {"aggregate.smooth.method": "gaussian", "aggregate.smooth.sigma": float(sigma)} if sigma else {}
    return {
        "aggregate.weights": weights,
        "aggregate.normalise": how,
        "aggregate.fuse": fuse,
        "aggregate.smooth.method": "none",
        **smooth,
    }


def recipes(choice: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> what it sets, of what stands beside the candidates: recipes without a network, each component alone."""
    known = ablations.load_recipes()
    named = {name: choice["set"] | known[name].set for name in choice["beside"]}
    best = known[BEST].set
    smooth = {key: value for key, value in best.items() if key.startswith("aggregate.smooth")}
    for component in dict.fromkeys(name for entry in choice["maps"] for name in entry):
        for pool in ("max", "local"):
            alone = _scoring({f"{component}_{pool}": 1.0}, "calibrated_log", "sum", 0) | smooth
            named[f"{component}_{pool}"] = alone
    return named


def measure(dataset: str) -> dict[str, Any]:
    """What the candidates come to on a data set.

    `candidates`: name -> AP on validation, AP and AUROC of the benchmark. `recipes`: name -> all figures, by part.
    `seconds` that the pipeline took, `frames` by split, `events` by kind, `left_out`: component of `best` -> how its
    values of normal frames are spread. Raises VadError as workspaces do.
    """
    choice = stated()
    folder = workspaces.prepare(dataset)
    first = next(iter(candidates(choice).values()))
    workspaces.set_parameters(folder / "params.yaml", choice["set"] | first.set)
    began = time.monotonic()
    for line in workspaces.dvc(folder, "repro", "evaluate"):
        print(f"{dataset}: {line}", file=sys.stderr)
    seconds = time.monotonic() - began
    settings = params.load(folder / "params.yaml")
    components = fusion.read(folder / "data" / "components", folder / "data" / "diagnosis.csv")
    known = tables.read_csv(folder / "data" / "labelled_scores.csv", [*tables.KEYS, "label", "kind"])
    known["kind"] = known["kind"].fillna("")
    result: dict[str, Any] = {"seconds": round(seconds), "frames": components["split"].value_counts().to_dict()}
    found = candidates(choice)
    result["candidates"] = {
        name: _short(components, _with(settings, found[name].set), known)
        for name in progress(list(found), f"{dataset}: candidates")
    }
    result["recipes"] = {
        name: _long(components, _with(settings, changes), known) for name, changes in recipes(choice).items()
    }
    frames = known[known["split"] == "validation"]
    columns = (frames[name].to_numpy() for name in ("label", "kind", "video", "frame"))
    result["events"] = over_kinds.events_by_kind(*columns)
    result["left_out"] = {
        name: left_out(components, settings, name) for name in ablations.load_recipes()[BEST].set["aggregate.weights"]
    }
    return result


def left_out(components: pd.DataFrame, settings: Params, component: str) -> dict[str, float]:
    """How a component's values of left-out normal frames, calibrated by the others, are spread.

    `mean` and `deviation` of `calibrated`, which should be 0 and 1, and of `calibrated_tail` the share `beyond` the
    others' 95 % quantile, which should be .05.
    """
    normal = components["split"].isin(("train", "holdout")).to_numpy()
    z, rarity = (
        fusion.anomaly_scores(components, _with(settings, _scoring({component: 1.0}, how, "sum", 0)))["score"][normal]
        for how in ("calibrated", "calibrated_tail")
    )
    beyond = float((rarity > -math.log(calibration.TAIL)).mean())
    return {"mean": float(z.mean()), "deviation": float(z.std()), "beyond": beyond}


def _with(settings: Params, changes: Mapping[str, Any]) -> Params:
    values = settings.model_dump(mode="json")
    workspaces.put(values, dict(changes))
    return Params.model_validate(values)


def _scored(components: pd.DataFrame, settings: Params, known: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    scores = fusion.anomaly_scores(components, settings)
    frames = scores.merge(known[[*tables.KEYS, "label", "kind"]], on=tables.KEYS, validate="one_to_one")
    for part, split in (("validation", "validation"), ("benchmark", "test")):
        if len(found := frames[frames["split"] == split]):
            yield part, found


def _short(components: pd.DataFrame, settings: Params, known: pd.DataFrame) -> dict[str, float]:
    """`validation`, AP over kinds, and the benchmark's `ap` and `auroc`."""
    found: dict[str, float] = {}
    prevalence = settings.evaluate.prevalence
    for part, frames in _scored(components, settings, known):
        truth, score = frames["label"].to_numpy(), frames["score"].to_numpy()
        if part == "validation":
            kinds = metrics.ap_by_kind(truth, score, frames["kind"].to_numpy(), prevalence)
            found[part] = sum(figures["ap_at_prevalence"] for figures in kinds.values()) / len(kinds)
        else:
            found |= {
                "ap": metrics.ap_at_prevalence(truth, score, prevalence),
                "auroc": metrics.auroc(truth, score),
            }
    return {name: round(value, 4) for name, value in found.items()}


def _long(components: pd.DataFrame, settings: Params, known: pd.DataFrame) -> dict[str, Any]:
    """All figures of each part, with intervals."""
    chosen = settings.evaluate
    return {
        part: metrics.summarise(
            frames,
            prevalence=chosen.prevalence,
            draws=chosen.bootstrap,
            seed=settings.seed,
            onset_precision=chosen.onset_precision,
        )
        for part, frames in _scored(components, settings, known)
    }


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
                HEAD.format(kinds=kinds),
                "## The rule and the choice",
                rule,
                _candidates(list(means(choice, found))[:12], choice, found),
                f"The rule chooses `{within[0]}`. It is the recipe `{BEST}`:",
                _candidates(within[:5], choice, found),
                "## Can validation be trusted?",
                TRUST.format(kept="`, `".join(choice["kept"])),
                _trust(choice, found, within[0]),
                LEFT_OUT,
                _events(found),
                "## The recipes, and each component alone",
                RECIPES,
                *(_recipes(group, found) for group in _groups(found)),
            ]
        )
        + "\n"
    )


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


def _trust(choice: Mapping[str, Any], found: Found, chosen: str) -> str:
    rows = []
    for data, measured in found.items():
        own = pd.DataFrame(measured["candidates"]).T
        correlation = spearmanr(own["validation"], own["ap"]).statistic
        highest, own_choice = own["ap"].max(), own["ap"].iloc[int(own["validation"].argmax())]
        regrets = highest - own.loc[chosen, "ap"], highest - own_choice
        rows.append([data, f"{correlation:+.2f}", f"{highest:.3f}", *(f"{regret:.3f}" for regret in regrets)])
    heads = ["data", "rank correlation", "best candidate's AP", "regret of the choice", "regret of its own choice"]
    return table(heads, rows)


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
    names = list(found[data[0]]["recipes"])
    rows = []
    for name in names:
        own = [found[where]["recipes"][name]["benchmark"] for where in data]
        rows.append(
            [f"`{name}`", *(f"{_interval(part, 'ap_at_prevalence')}, {_interval(part, 'auroc')}" for part in own)]
        )
    return table(["", *(f"{name}: AP, AUROC" for name in data)], rows)


def _interval(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
    return f"{figures[name]:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def main(datasets: list[str]) -> None:
    """Measure on data sets, one after another, and write the page. Raises VadError as workspaces do."""
    for dataset in datasets:
        files.write_json(ablations.RESULTS / dataset / NAME, measure(dataset))
    files.write_text(PAGE, page())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", metavar="DATA")
    try:
        main(parser.parse_args().datasets)
    except VadError as error:
        sys.exit(str(error))
