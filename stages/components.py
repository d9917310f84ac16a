"""Components: what a family of the registry measures of every scored frame -> a table; empty where it is not needed.

    python -m stages.components data/needs/motion data/frames data/validation data/diagnosis.csv \
        data/components/motion.npz

With VAD_SHARD=2/8 it computes the second of eight shares of the clips, keeps what they gave, and writes no table: that
is put together by the run without it, on which there is nothing left to compute.
"""

import os
import sys
from pathlib import Path

from stages import CLIPS, PARAMS, made_of, run
from vad import params, registry
from vad.storage import needs, tables
from vad.storage.store import Share, ShareDone, Store


def main(needed: Path, *inputs_and_table: Path) -> None:
    """Write the table of the family that `needed` is named after: split, video, frame and its components, float64."""
    *inputs, table = inputs_and_table
    row = next(row for row in registry.FAMILIES if row.stage == needed.name and row.code)
    settings, share = params.load(PARAMS), Share.parse(os.environ.get("VAD_SHARD") or "1/1")
    kept = Store(CLIPS / row.stage, made_of(row.stage, settings), share)
    try:
        made = registry.load(row.code)(settings, kept, *inputs) if needs.read(needed) else tables.empty()
    except ShareDone as done:
        print(done, file=sys.stderr)
        return
    tables.write_components(table, made)
    kept.tidy()


if __name__ == "__main__":
    run(main)
