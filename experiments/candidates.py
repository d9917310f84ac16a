"""What `best` is chosen among: the candidates of recipes.yaml, and what each comes to on a data set."""

import itertools
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from experiments import ablations, trust
from project import workspaces
from vad import params
from vad.evaluation import metrics, over_kinds
from vad.params import Params
from vad.scoring import calibration, fusion
from vad.storage import tables
from vad.storage.progress import progress

BEST = "best"


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


class Ran(NamedTuple):
    """What the pipeline left in a data set's clone: `known` has the keys, label and kind of every scored frame."""

    settings: Params
    components: pd.DataFrame
    known: pd.DataFrame
    seconds: float


def measure(dataset: str) -> dict[str, Any]:
    """What the candidates come to on a data set.

    `candidates`: name -> AP on validation, AP and AUROC of the benchmark. `recipes`: name -> all figures, by part.
    `seconds` that the pipeline took, `frames` by split, `events` by kind, `left_out`: component of `best` -> how its
    values of normal frames are spread. `trust`: rank correlation of validation and benchmark, regret of `best` and of
    the candidate that this validation would choose, each with the ends of its interval. `hold_out`: `events` and
    `trust` of the same candidates with a hold-out instead of folds, on data sets that are no draws of others. Raises
    VadError as workspaces do.
    """
    choice = stated()
    folder = workspaces.prepare(dataset)
    result: dict[str, Any] = {}
    ran = _run(folder, dataset, choice["set"])
    result |= {"seconds": round(ran.seconds), "frames": ran.components["split"].value_counts().to_dict()}
    result["candidates"], result["trust"] = _judged(ran, choice, dataset)
    result["recipes"] = {
        name: _long(ran.components, _with(ran.settings, changes), ran.known)
        for name, changes in recipes(choice).items()
    }
    result["events"] = _events(ran)
    result["left_out"] = {
        name: left_out(ran.components, ran.settings, name)
        for name in ablations.load_recipes()[BEST].set["aggregate.weights"]
    }
    if dataset in (*choice["data"], *choice["kept"]):
        ran = _run(folder, dataset, choice["set"] | {"data.folds": 1})
        result["hold_out"] = {"events": _events(ran), "trust": _judged(ran, choice, dataset)[1]}
    return result


def _run(folder: Path, dataset: str, changes: Mapping[str, Any]) -> Ran:
    """Run the pipeline with the components of all candidates, as far as it is not up to date."""
    first = next(iter(candidates(stated()).values()))
    workspaces.set_parameters(folder / "params.yaml", {**changes, **first.set})
    began = time.monotonic()
    for line in workspaces.dvc(folder, "repro", "evaluate"):
        print(f"{dataset}: {line}", file=sys.stderr)
    seconds = time.monotonic() - began
    components = fusion.read(folder / "data" / "components", folder / "data" / "diagnosis.csv")
    known = tables.read_csv(folder / "data" / "labelled_scores.csv", [*tables.KEYS, "label", "kind"])
    return Ran(params.load(folder / "params.yaml"), components, known.fillna({"kind": ""}), seconds)


def _judged(ran: Ran, choice: Mapping[str, Any], dataset: str) -> tuple[dict[str, Any], dict[str, trust.Figure]]:
    """The figures of all candidates by name, and how far their validation can be trusted."""
    found = candidates(choice)
    prevalence = ran.settings.evaluate.prevalence
    figures, validation, benchmark = {}, [], []
    for name in progress(list(found), f"{dataset}: candidates"):
        parts = dict(_scored(ran.components, _with(ran.settings, found[name].set), ran.known))
        test, made = parts["benchmark"], parts["validation"]
        sources = made.assign(video=made["video"].str.rsplit("-", n=1).str[0])  # a clip's corrupted copies are one
        validation.append(trust.aps(sources, prevalence, by_kind=True))
        benchmark.append(trust.aps(test, prevalence, by_kind=False))
        auroc = metrics.auroc(test["label"].to_numpy(), test["score"].to_numpy())
        values = {"validation": validation[-1][0], "ap": benchmark[-1][0], "auroc": auroc}
        figures[name] = {key: round(float(value), 4) for key, value in values.items()}
    best = ablations.load_recipes()[BEST].set
    chosen = [place for place, one in enumerate(found.values()) if choice["set"] | one.set == best]
    aps, judged = np.array(benchmark), np.array(validation)
    trusted = {"correlation": trust.correlation(judged, aps), "own_regret": trust.regret(aps, trust.own_choice(judged))}
    return figures, trusted | ({"regret": trust.regret(aps, chosen[0])} if chosen else {})


def _events(ran: Ran) -> dict[str, int]:
    frames = ran.known[ran.known["split"] == "validation"]
    return over_kinds.events_by_kind(*(frames[name].to_numpy() for name in ("label", "kind", "video", "frame")))


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
