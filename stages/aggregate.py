"""Aggregate: the score components of every frame -> one anomaly score a frame."""

from pathlib import Path

from stages import PARAMS, run
from vad import params
from vad.scoring import fusion
from vad.storage import tables


def main(components: Path, diagnosis: Path, scores: Path) -> None:
    """Write split, video, frame and score of every scored frame into `scores`; a higher score is more anomalous."""
    table = fusion.read(components, diagnosis)
    tables.write_csv(scores, fusion.anomaly_scores(table, params.load(PARAMS)))


if __name__ == "__main__":
    run(main)
