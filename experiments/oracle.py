"""The ceiling of a single-frame autoencoder: components, views and weights chosen ON THE TEST LABELS they score.

    python -m experiments.oracle sample

An oracle, not a method: the most that a greedy search over weights and poolings finds; nothing is chosen by it. Once
over the errors that the pipeline has, and once with the map of them pooled by place besides, as the background's is:
what is beyond that is not a matter of pooling. Reads what the data set's clone has scored (`project/workspaces.py`) and
writes experiments/results/DATASET/oracle.json.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments import ablations
from project import workspaces
from vad import VadError, params, registry
from vad.components import out_of_fold, pooling, residual
from vad.evaluation import metrics
from vad.models import autoencoder
from vad.quality import reading, repair
from vad.scoring import calibration, fusion
from vad.storage import files, tables

STEPS = 40
MAP = "pixel_l1"
BY_PLACE = (f"{MAP}_local", f"{MAP}_scales")
VIEWINGS: dict[str, tuple[str, ...]] = {"upright": ("identity",), "four views": registry.VIEWS}
"""Ways to look at a frame, each after turning it upright."""


def candidates(folder: Path) -> pd.DataFrame:
    """Test frames (video, frame, label) with every error in every viewing, in standard deviations of normal frames.

    The last ones, BY_PLACE, are pooled by place.
    """
    table = fusion.read(folder / "data/components", folder / "data/diagnosis.csv")
    columns = {}
    for name in registry.maps("reconstruction"):
        for viewing, views in VIEWINGS.items():
            values = np.mean([fusion.component(table, name, view, unflip=True) for view in views], axis=0)
            columns[f"{name}, {viewing}"] = calibration.normalise(values, table, "calibrated")
    places = table[tables.KEYS].merge(placed(folder), on=tables.KEYS, how="left", validate="one_to_one")
    for name in BY_PLACE:
        columns[name] = calibration.normalise(places[name].to_numpy(), table, "calibrated")
    labelled = tables.read_csv(folder / "data/labelled_scores.csv", [*tables.KEYS, "label"])
    keys = labelled[labelled["split"] == "test"][[*tables.KEYS, "label"]]
    return keys.merge(table[tables.KEYS].assign(**columns), on=tables.KEYS, how="left", validate="one_to_one")


def placed(folder: Path) -> pd.DataFrame:
    """The keys and BY_PLACE of every scored frame, upright: the autoencoder's error map, pooled by place."""
    diagnosed = repair.Diagnosis(tables.read_csv(folder / "data/diagnosis.csv", repair.COLUMNS))
    upright = params.Repair(unflip=True, denoise="none", interpolate=False)
    networks = out_of_fold.Weights(folder / "models/autoencoder.safetensors", folder / "models/autoencoder_halves")
    folds = out_of_fold.folds_in(folder / "data/resized")
    splits = out_of_fold.scored_splits(folds)
    seen = {split: reading.resized(folder / "data/resized", split, diagnosed, upright) for split in splits}
    cells: dict[out_of_fold.Key, list[np.ndarray]] = {}
    for part in out_of_fold.parts([], seen, out_of_fold.halves(folds)):
        model = autoencoder.load(networks.of(part.fold))
        cells |= {(split, clip.video): residual.cells_of(model, clip) for split, clip in part.scored}
    return pooling.table(cells, seen, MAP, folds)[[*tables.KEYS, *BY_PLACE]]


def greedy_mixture(values: pd.DataFrame, labels: np.ndarray, prevalence: float) -> tuple[dict[str, float], float]:
    """Column -> its share in the sum of columns (T,) that ranks `labels` (T,) best, and the AP of that sum, 0..1.

    A greedy search: each step adds the column that gives the highest AP, perhaps one that is in the sum already; the
    best of all steps counts. R. Caruana et al., Ensemble selection from libraries of models, ICML 2004.
    """
    total, best = np.zeros(len(values)), 0.0
    taken, shares = {str(name): 0 for name in values}, dict[str, float]()
    for step in range(1, STEPS + 1):
        reached = {
            name: metrics.ap_at_prevalence(labels, total + values[name].to_numpy(), prevalence) for name in taken
        }
        name = max(reached, key=lambda key: reached[key])
        total = total + values[name].to_numpy()
        taken[name] += 1
        if reached[name] > best:
            best = reached[name]
            shares = {name: count / step for name, count in taken.items() if count}
    return shares, best


def tune(dataset: str) -> dict[str, Any]:
    """The best single component and the best mixture, by the labels of the test frames; every AP is in 0..1.

    `oracle`, a warning; `data`, the data set; `best_single`: its `component` and `ap_at_prevalence`; of the mixture
    `ap_at_prevalence` and `chosen`, component -> share; `by_place`, the same with BY_PLACE among the components;
    `alone`, component -> AP at the prevalence.
    """
    folder = workspaces.WORKSPACES / dataset
    if not (folder / "data/labelled_scores.csv").exists():
        raise VadError(f"{dataset}: has not been scored; `make ablation NAME=base DATA={dataset}`")
    workspaces.restore(folder)
    table = candidates(folder)
    prevalence = params.load(folder / "params.yaml").evaluate.prevalence
    labels, values = table["label"].to_numpy(), table.drop(columns=[*tables.KEYS, "label"])
    reached = {name: metrics.ap_at_prevalence(labels, values[name].to_numpy(), prevalence) for name in values}
    given = values.drop(columns=list(BY_PLACE))
    stated = {"oracle": "tuned on the test labels", "data": dataset, "alone": reached}
    return stated | _best(given, labels, prevalence) | {"by_place": _best(values, labels, prevalence)}


def _best(values: pd.DataFrame, labels: np.ndarray, prevalence: float) -> dict[str, Any]:
    alone = {name: metrics.ap_at_prevalence(labels, values[name].to_numpy(), prevalence) for name in values}
    single = max(alone, key=lambda name: alone[name])
    chosen, best = greedy_mixture(values, labels, prevalence)
    return {
        "best_single": {"component": single, "ap_at_prevalence": alone[single]},
        "ap_at_prevalence": best,
        "chosen": dict(sorted(chosen.items(), key=lambda item: -item[1])),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DATASET")
    try:
        for name in parser.parse_args().datasets:
            files.write_json(ablations.RESULTS / name / "oracle.json", tune(name))
    except VadError as error:
        sys.exit(str(error))
