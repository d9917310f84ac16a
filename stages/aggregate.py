"""Aggregate: the score components of every frame -> one anomaly score a frame."""

from pathlib import Path

from stages import PARAMS, run
from vad import params, ranking, tables


def main(components: Path, scores: Path) -> None:
    table = tables.read_components(components)
    tables.write_csv(scores, ranking.anomaly_scores(table, params.load(PARAMS)))


if __name__ == "__main__":
    run(main)
