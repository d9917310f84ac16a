"""Components: what a family of the registry measures of every scored frame -> a table; empty where it is not needed.

    python -m stages.components data/needs/motion data/frames data/validation data/diagnosis.csv \
        data/components/motion.npz
"""

from pathlib import Path

from stages import PARAMS, run
from vad import params, registry
from vad.storage import needs, tables


def main(needed: Path, *inputs_and_table: Path) -> None:
    """Write the table of the family that `needed` is named after: split, video, frame and its components, float64."""
    *inputs, table = inputs_and_table
    row = next(row for row in registry.FAMILIES if row.name == needed.name)
    made = registry.load(row.code)(params.load(PARAMS), *inputs) if needs.read(needed) else tables.empty()
    tables.write_components(table, made)


if __name__ == "__main__":
    run(main)
