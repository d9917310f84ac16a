"""What `best` is chosen among: the candidates of recipes.yaml, and what each comes to on a data set."""

import itertools
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd
import yaml

from experiments import ablations
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
