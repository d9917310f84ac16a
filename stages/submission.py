"""Submission: the scores of the test frames -> submission.csv, checked."""

from pathlib import Path

from stages import run
from vad.data import submission
from vad.storage import tables


def main(scores: Path, raw: Path, submitted: Path) -> None:
    """Write Id, Predicted (the score), a row a test frame, in the order of the sample submission where there is one."""
    table = tables.read_csv(scores, [*tables.KEYS, "score"])
    sample = raw / "sample_submission.csv"
    rows = submission.build(table[table["split"] == "test"], sample if sample.exists() else None)
    tables.write_csv(submitted, rows)


if __name__ == "__main__":
    run(main)
