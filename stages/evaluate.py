"""Evaluate: scores against labels. The one stage that opens the labels of the test frames."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from stages import PARAMS, run
from vad import params, registry
from vad.data import labels, own_scores
from vad.evaluation import alarm, metrics, plots
from vad.storage import files, tables

ABOUT = {
    "validation": "Validation: synthetic events in held-out training clips; choices are made on it",
    "benchmark": "Benchmark: the test clips' own labels, which nothing in this run learned from",
}

NORMAL = {"train", "holdout"}
"""The splits of normal frames that nothing was learned from; those of training have a score where it is out of fold."""
LABELLED = [*tables.KEYS, "score", "label", "kind"]
SHARES = ["part", "scope", "name", "frames", "positives", "ap_share"]


def main(
    scores: Path,
    validation: Path,
    truth: Path,
    trained: Path,
    given: Path,
    labelled: Path,
    summary: Path,
    evaluation: Path,
    shares: Path,
    pictures: Path,
) -> None:
    """Write the figures of every part that has labels, and what plots and pages need of them.

    `labelled`: scores with label (0 or 1) and kind. `summary`: what `metrics.summary` gives; `evaluation`: by part what
    `figures` gives, and `unjudged`, the components that know nothing of its frames. `shares`: what each clip and each
    kind adds to the AP, 0..1. `pictures`: curves as CSV, and timelines. Raises VadError for labels that don't fit the
    frames.
    """
    settings = params.load(PARAMS)
    table = tables.read_csv(scores, [*tables.KEYS, "score"])
    pictures.mkdir(parents=True, exist_ok=True)
    figures_by_part, shares_by_part, labelled_by_part = (
        {},
        [pd.DataFrame(columns=SHARES)],
        [pd.DataFrame(columns=LABELLED)],
    )
    # Whole clips come with whole masks; what other labels are given for may have been cut.
    elsewhere = labels.find(settings.data.benchmark_labels)
    whole = elsewhere is None and registry.SOURCES[settings.data.source].whole
    unknown = own_scores.lacking(tables.read_components(given))
    # Normal frames of which a component knows nothing have no score to set a threshold by.
    normal = table[table["split"].isin(NORMAL - unknown)]
    rule = alarm.learn(normal, settings.evaluate.false_alarms_per_hour, settings.evaluate.frames_per_second)
    paths = {"validation": validation / "labels.csv", "benchmark": elsewhere or labels.find(truth)}
    for part, split in tables.PARTS.items():
        path = paths[part]
        frames = table[table["split"] == split]
        if path and len(frames):
            known = labels.read_masks(path, frames, whole) if path.is_dir() else labels.read(path)
            frames = labels.join(frames, known, path)
            figures_by_part[part] = figures(frames, rule, settings) | {
                "unjudged": ["given"] if split in unknown else []
            }
            shares_by_part.append(metrics.shares(frames).assign(part=part))
            labelled_by_part.append(frames)
        tables.write_csv(pictures / f"{part}_precision_recall.csv", plots.precision_recall(frames))
        tables.write_csv(pictures / f"{part}_distribution.csv", plots.score_distribution(frames))
        plots.timeline(pictures / f"{part}_timeline.png", frames, ABOUT[part])
    tables.write_csv(labelled, pd.concat(labelled_by_part)[LABELLED])
    files.write_json(evaluation, figures_by_part)
    loss = json.loads(trained.read_text(encoding="utf-8")).get("train")
    files.write_json(summary, metrics.summary(figures_by_part, loss))
    tables.write_csv(shares, pd.concat(shares_by_part)[SHARES])


def figures(frames: pd.DataFrame, rule: alarm.Rule, settings: params.Params) -> dict[str, Any]:
    """All figures of labelled frames: those of their order, and under `alarm` those of a threshold."""
    chosen = settings.evaluate
    order = metrics.summarise(
        frames,
        prevalence=chosen.prevalence,
        draws=chosen.bootstrap,
        seed=settings.seed,
        onset_precision=chosen.onset_precision,
    )
    allowed = {"allowed_per_hour": chosen.false_alarms_per_hour}
    return order | {"alarm": metrics.without_nan(allowed | alarm.judge(frames, rule, chosen.frames_per_second))}


if __name__ == "__main__":
    run(main)
