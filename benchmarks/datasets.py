"""The pipeline as params.yaml has it, on each data set of experiments/datasets.yaml: figures, and minutes per stage.

    python -m benchmarks.datasets sample ped2 avenue ped2-replica avenue-replica

Every stage runs anew, in the data set's clone, and ends in tables in Markdown. --json keeps the figures: what that
file has already is not run again.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from experiments import markdown
from project import workspaces
from vad import VadError
from vad.storage import files


def measure(dataset: str) -> dict[str, Any]:
    """Run the whole pipeline on a data set.

    Returns `seconds`, stage -> seconds; `loss`, the loss curve as CSV; `evaluation` and `data`, the metrics so named.
    """
    folder = workspaces.prepare(dataset)
    seconds: dict[str, float] = {}
    stage, start = "", time.perf_counter()
    for line in workspaces.dvc(folder, "repro", "--force"):
        if line.startswith("Running stage"):
            now = time.perf_counter()
            seconds |= {stage: now - start} if stage else {}
            stage, start = line.split("'")[1], now
    seconds[stage] = time.perf_counter() - start
    workspaces.commit(folder)
    metrics = {name: json.loads((folder / "metrics" / f"{name}.json").read_text()) for name in ("evaluation", "data")}
    curve = (folder / "metrics/plots/loss.csv").read_text()
    return {"seconds": seconds, "loss": curve, **metrics}


def figures_row(dataset: str, measured: dict[str, Any], part: str) -> list[str]:
    """A row of the table of figures."""
    found = measured["evaluation"].get(part)
    if found is None:
        return [dataset, part, *["-"] * 6]
    spans = [
        f"{found[name]:.3f}"
        + (f" ({found[f'{name}_low']:.3f} to {found[f'{name}_high']:.3f})" if found[f"{name}_low"] is not None else "")
        for name in ("ap", "ap_at_prevalence", "auroc")
    ]
    clips = f"{found['clips']}{', descriptive' if found['bootstrap']['descriptive'] else ''}"
    return [dataset, part, clips, str(found["frames"]), f"{found['base_rate']:.1%}", *spans]


def main(datasets: list[str], kept: Path | None) -> None:
    results = json.loads(kept.read_text()) if kept and kept.exists() else {}
    for dataset in datasets:
        if dataset not in results:
            print(f"{dataset}: running", file=sys.stderr)
            results[dataset] = measure(dataset)
            if kept:
                files.write_json(kept, results)
    results = {name: results[name] for name in datasets}
    figures = markdown.table(
        ["data", "part", "clips", "frames", "anomalous", "AP", "AP at .2456", "AUROC"],
        [figures_row(name, found, part) for name, found in results.items() for part in ("benchmark", "validation")],
    )
    stages = list(next(iter(results.values()))["seconds"])
    minutes = markdown.table(
        ["data", "frames in training", *stages, "whole, minutes"],
        [
            [name, str(found["data"]["train"]["frames"])]
            + [f"{found['seconds'].get(stage, 0) / 60:.1f}" for stage in stages]
            + [f"{sum(found['seconds'].values()) / 60:.1f}"]
            for name, found in results.items()
        ],
    )
    print(figures, minutes, sep="\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DATASET")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here, as they come")
    arguments = parser.parse_args()
    try:
        main(arguments.datasets, arguments.json)
    except VadError as error:
        sys.exit(str(error))
