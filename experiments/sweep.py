"""Thousands of settings of aggregation judged in one process, on validation alone: what `make sweep` runs.

    python -m experiments.sweep --count 2000
    python -m experiments.sweep --count 2000 --save 3       # the best three as DVC experiments as well

Weights, pooling, calibration, fusion, views, smoothing and gamma vary (experiments/variants.py); the components are
those that the last `dvc repro` stored. Labels of test frames are not opened. The best of thousands is lucky: resampled
stretches of the clips say how many others tie with it, and what it scores on frames that it was not chosen on. Writes
metrics/sweep/variants.csv and sweep.png.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from experiments import recipe, sweep_plot
from experiments.experiment import overrides
from experiments.variants import Variant, draw, scores
from project import workspaces
from stages import PARAMS
from vad import VadError, params
from vad.evaluation import bootstrap, comparison
from vad.evaluation.curves import Ranked, average_precisions
from vad.scoring import fusion
from vad.storage import tables
from vad.storage.progress import progress

COMPONENTS, DIAGNOSIS, VALIDATION = Path("data/components"), Path("data/diagnosis.csv"), Path("data/validation")
RESULTS = Path("metrics/sweep")
DRAWS = 200


@dataclass(frozen=True)
class Judged:
    """What a sweep found: variants by falling AP, that of params.yaml among them."""

    table: pd.DataFrame
    """One row a variant: variant, its number; ap, low, high (95 % interval), tied, components, then what it changes."""
    chosen: np.ndarray
    """AP (draws,) of the variant that is best on a resample, on the frames that are not in it."""
    usual: np.ndarray
    """The same of params.yaml on the same frames."""
    units: str
    rate: float
    """Variants a second of processor time, resampling left out."""


def read(count: int, seed: int) -> tuple[list[Variant], pd.DataFrame, pd.DataFrame]:
    """Variants, the components of all frames but those of test, and the validation frames with their labels.

    Raises VadError where there are no validation clips or the pipeline has not run.
    """
    base = params.load(PARAMS)
    table = fusion.read(COMPONENTS, DIAGNOSIS)
    table = table[table["split"] != "test"].reset_index(drop=True)
    frames = table.loc[table["split"] == "validation", tables.KEYS]
    if frames.empty:
        raise VadError("data/components: no validation frames to judge on; set data.folds to 1, run `dvc repro`")
    path = VALIDATION / "labels.csv"
    known = tables.read_csv(path, ["video", "frame", "label"])[["video", "frame", "label"]]
    labelled = frames.merge(known, how="left", on=["video", "frame"], validate="one_to_one")
    if labelled["label"].isna().any():
        raise VadError(f"{path}: it lacks frames that are scored; run `dvc repro`")
    return draw(base, table, count, seed), table, labelled.astype({"label": int})


def judge(variants: Sequence[Variant], table: pd.DataFrame, labelled: pd.DataFrame, seed: int) -> Judged:
    """The AP of every variant on the labelled frames, and what of it is luck."""
    rows = (table["split"] == "validation").to_numpy()
    label = labelled["label"].to_numpy()
    start = time.process_time()
    ranked: list[Any] = [None] * len(variants)
    ap = np.empty(len(variants))
    for place, values in progress(scores(variants, table), "variants", len(variants)):
        ranked[place] = Ranked(label, values[rows])
        ap[place] = ranked[place].counts().average_precision()
    rate = len(variants) / (time.process_time() - start)
    units, inside = _resamples(labelled, seed)
    within = np.array([average_precisions(each, inside) for each in progress(ranked, "resamples", len(ranked))])
    outside = np.array([average_precisions(each, 1.0 * (inside == 0)) for each in ranked])
    order = sorted(range(len(variants)), key=lambda place: (-ap[place], variants[place].components(), place))
    found = pd.DataFrame({"variant": order, "ap": ap[order]})
    if len(inside):
        found["low"], found["high"] = np.quantile(within, [0.025, 0.975], axis=1)[:, order]
        found["tied"] = np.quantile(within[order[0]] - within, 0.025, axis=1)[order] <= 0
    else:
        found = found.assign(low=np.nan, high=np.nan, tied=True)
    found["components"] = [variants[place].components() for place in order]
    changes = pd.DataFrame([{k: str(v) for k, v in variants[place].changes.items()} for place in order])
    best, there = within.argmax(0), ~np.isnan(outside[0])
    chosen = outside[best, np.arange(len(inside))][there]
    return Judged(pd.concat([found, changes.fillna("")], axis=1), chosen, outside[0][there], units, rate)


def _resamples(labelled: pd.DataFrame, seed: int) -> tuple[str, np.ndarray]:
    """What is resampled, and how often each frame is in each resample, (DRAWS, T); no rows where that can't be.

    Whole clips, or where they are few stretches of them.
    """
    few = labelled["video"].nunique() < bootstrap.DESCRIPTIVE_BELOW
    length = comparison.block_length(labelled)
    names = comparison.blocks(labelled, length) if few else labelled["video"]
    units, _ = pd.factorize(names, sort=True)
    positive = labelled["label"].to_numpy() == 1
    anomalous, normal = (np.bincount(units[kind], minlength=units.max() + 1) for kind in (positive, ~positive))
    drawn, _ = bootstrap.clip_counts(anomalous, normal, DRAWS, np.random.default_rng(seed))
    return f"stretches of {length} frames" if few else "clips", drawn[:, units].astype(np.float64)


def outcome(found: Judged) -> str:
    """What a sweep found, in a few lines."""
    table = found.table
    best, usual = table.iloc[0], table[table["variant"] == 0].iloc[0]
    tied = table[table["tied"]]
    simple = tied.sort_values(["components", "ap"], ascending=[True, False], kind="stable").iloc[0]
    lines = [
        f"{len(table)} variants, {found.rate:.0f} a second of processor time; AP on validation:",
        f"  params.yaml  {usual['ap']:.3f}   95 % interval {usual['low']:.3f} to {usual['high']:.3f}",
        f"  the best     {best['ap']:.3f}   95 % interval {best['low']:.3f} to {best['high']:.3f}, over {found.units}",
        f"  {len(tied) - 1} others tie with the best; that with the fewest components is variant "
        f"{simple['variant']}, {simple['ap']:.3f}",
    ]
    if len(found.chosen):
        low, high = np.quantile(found.chosen - found.usual, [0.025, 0.975])
        lines.append(
            f"  on frames it was not chosen on, the best of a resample scores {found.chosen.mean():.3f}, params.yaml "
            f"{found.usual.mean():.3f}: {(found.chosen - found.usual).mean():+.3f} ({low:+.3f} to {high:+.3f})"
        )
    return "\n".join(lines)


def commands(found: Judged, variants: Sequence[Variant], count: int) -> list[list[str]]:
    """The `dvc exp run` of each of the best `count` variants, without a name."""
    values = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    best = [variants[place] for place in found.table["variant"][:count]]
    return [["dvc", "exp", "run", *overrides(variant.changes, values)] for variant in best]


def main(count: int, save: int, seed: int) -> int:
    """Run a sweep; the exit status of DVC where variants are saved."""
    variants, table, labelled = read(count, seed)
    found = judge(variants, table, labelled, seed)
    tables.write_csv(RESULTS / "variants.csv", found.table)
    sweep_plot.draw(RESULTS / "sweep.png", found.table)
    print(outcome(found))
    for command in commands(found, variants, save or 3):
        if not save:
            print(" ".join(command[:3]), *(f"-S '{setting}'" for setting in command[4::2]))
            continue
        name = recipe.free_name("sweep")
        named = [sys.executable, "-m", *command[:3], "--name", name, *command[3:]]
        if status := subprocess.run(named, cwd=workspaces.TOP, check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="variants")
    parser.add_argument("--save", type=int, default=0, metavar="N", help="run the best N as DVC experiments")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        sys.exit(main(arguments.count, arguments.save, arguments.seed))
    except VadError as error:
        sys.exit(str(error))
