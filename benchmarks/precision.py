"""What `infer.precision: bf16-mixed` does to a ranking, and where the time of scoring goes.

    python -m benchmarks.precision                # of the run that is here: models/, data/resized, data/validation
    python -m benchmarks.precision FOLDER --profile

Scores validation and test frames in both precisions and fuses them as params.yaml says; repairs are left out. Prints
Spearman's correlation, AP on validation and the digest of the ranking, in Markdown, and with --profile the operators
that take most of the processor's time.
"""

import argparse
import time
from pathlib import Path
from typing import get_args

import pandas as pd
import torch
from scipy import stats
from torch.profiler import ProfilerActivity, profile

from benchmarks import ways
from experiments import markdown
from vad.components import reconstruction
from vad.data import clips
from vad.evaluation import curves
from vad.evaluation.digest import ranking_digest
from vad.models import autoencoder, inference, runtime
from vad.params import Precision
from vad.scoring import fusion
from vad.storage import tables

SPLITS = ("validation", "test")


def scores(folder: Path, precision: Precision, most: int) -> tuple[pd.DataFrame, float]:
    """Scores (split, video, frame, score) of at most `most` frames a clip, and frames a second of processor time."""
    fabric = runtime.fabric(precision)
    weights = autoencoder.load(folder / "models/autoencoder.safetensors")
    model = inference.prepared(fabric, weights, precision)
    parts, start = [], time.process_time()
    for split in SPLITS:
        for clip in clips.open_resized(folder / "data/resized", split):
            short = clips.MappedClip(clip.video, clip.numbers[:most], clip.path, clip.array[:most])
            found = reconstruction.score(fabric, model, short)
            parts.append(pd.concat([clips.keys(split, [short]), found], axis=1))
    table = pd.concat(parts, ignore_index=True)
    seconds = time.process_time() - start
    settings = ways.settings()
    plain = settings.model_copy(update={"repair": settings.repair.model_copy(update={"unflip": False})})
    return fusion.anomaly_scores(table, plain), len(table) / seconds


def average_precision(folder: Path, found: pd.DataFrame) -> float:
    """AP of scores on the validation frames."""
    columns = ["video", "frame", "label"]
    known = tables.read_csv(folder / "data/validation/labels.csv", columns)[columns]
    rows = found[found["split"] == "validation"].merge(known, on=["video", "frame"], validate="one_to_one")
    return curves.average_precision(rows["label"].to_numpy(), rows["score"].to_numpy())


def operators(folder: Path, precision: Precision, most: int) -> str:
    """The operators that take most of the processor's time, as torch's profiler shows them."""
    # Scoring has threads of its own.
    everywhere = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
    with profile(activities=[ProfilerActivity.CPU], experimental_config=everywhere) as profiled:
        scores(folder, precision, most)
    table: str = profiled.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=45)
    return table


def main(folder: Path, most: int, profiled: bool) -> None:
    found = {precision: scores(folder, precision, most) for precision in get_args(Precision)}
    exact = found["32-true"][0]["score"]
    rows = []
    for precision, (table, rate) in found.items():
        agree = stats.spearmanr(exact, table["score"]).statistic
        digest = ranking_digest(table[tables.KEYS], table["score"].to_numpy())
        rows.append([precision, f"{agree:.6f}", f"{average_precision(folder, table):.4f}", digest[:6], f"{rate:.1f}"])
    print(f"{len(exact)} frames:\n")
    heads = ["infer.precision", "Spearman", "AP on validation", "digest", "frames/s of processor time"]
    print(markdown.table(heads, rows))
    if profiled:
        for precision in found:
            print(f"\n{precision}:\n{operators(folder, precision, 8)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--most", type=int, default=1_000_000, help="frames of each clip")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    torch.manual_seed(0)
    main(given.folder, given.most, given.profile)
