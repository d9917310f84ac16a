"""Diagnose: every frame at full size -> what was done to it: flipped, noisy, frozen, frames missing before it."""

from functools import partial
from pathlib import Path

import pandas as pd

from stages import CLIPS, PARAMS, made_of, run
from vad import params
from vad.data import clips
from vad.evaluation import diagnosis_plot
from vad.quality import diagnosis
from vad.storage import files, store, tables
from vad.storage.store import Job, Lazy, Store


def main(frames: Path, validation: Path, truth: Path, diagnosed: Path, metrics: Path, picture: Path) -> None:
    """Write a row a frame into `diagnosed`: what was measured (grey levels, correlations) and what was found (0 or 1).

    `metrics`: the `thresholds`, those of noise and change in grey levels; under `found`, by split, what
    `diagnosis.summarise` gives; under `against_truth`, by split, what `diagnosis.against_truth` gives, where the
    corruption is known. `picture`: a plot of margin and noise of every frame.
    """
    order = ("train", "holdout", "test", "validation")
    splits = {split: clips.open_zips(clips.folder_of(frames, validation, split)) for split in order}
    measured = measure(splits)
    lines = diagnosis.thresholds(measured[measured["split"] == "train"])
    index = tables.read_csv(frames / "index.csv", [*tables.KEYS, "fold"])
    table = with_folds(diagnosis.decide(measured, lines), index)
    tables.write_csv(diagnosed, table)
    diagnosis_plot.draw(picture, table, lines.noise, lines.flip)
    # What is known of the corruption, never the labels: those are for `evaluate` alone.
    known_truth = {"validation": validation / "labels.csv", "test": truth / "corruption.csv"}
    columns = ["video", "frame", "flipped", "noisy"]
    against_truth = {
        split: diagnosis.against_truth(table[table["split"] == split], tables.read_csv(path, columns)[columns])
        for split, path in known_truth.items()
        if path.exists()
    }
    found = {"thresholds": lines._asdict(), "found": diagnosis.summarise(table), "against_truth": against_truth}
    files.write_json(metrics, found)


def measure(splits: dict[str, list[clips.ZippedClip]]) -> pd.DataFrame:
    """What is measured of every frame of some clips, by split, training clips among them."""
    known = Lazy(lambda: diagnosis.backgrounds(splits["train"]))
    taught = [clip.digest() for clip in splits["train"]]
    kept = Store(CLIPS / "diagnose", made_of("diagnose", params.load(PARAMS)))
    seen = [(split, clip) for split, found in splits.items() for clip in found]

    def measured(split: str, clip: clips.Clip) -> store.Arrays:
        return store.of_table(diagnosis.measure_clip(split, clip, known.get()).drop(columns=tables.KEYS))

    jobs = [Job([taught, clip.digest()], partial(measured, split, clip)) for split, clip in seen]
    found = zip(seen, kept.all(jobs, "diagnosing"), strict=True)
    table = pd.concat([clips.keys(split, [clip]).join(store.to_table(rows)) for (split, clip), rows in found])
    kept.tidy()
    return table.astype({"gap": int})


def with_folds(table: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """A diagnosis with the fold of each frame: that of its training clip, for a validation clip that of its source."""
    training = index[index["split"] == "train"].drop_duplicates("video").set_index("video")["fold"]
    source = table["video"].where(table["split"] != "validation", table["video"].str.rsplit("-", n=1).str[0])
    fold = source.map(training).where(table["split"].isin(("train", "validation")))
    return table.assign(fold=fold.fillna(-1).astype(int))


if __name__ == "__main__":
    run(main)
