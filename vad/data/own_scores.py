"""Scores of one's own: where their CSV lies, and which frames it says nothing of.

Imports nothing heavy: the stage `check` asks before anything runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from vad import VadError

if TYPE_CHECKING:
    import pandas as pd

KNOWN = "given_known"
"""The column beside `given` that says whether the CSV has a frame: 1, or 0 where its value only stands in."""


def find(place: Path) -> Path:
    """The CSV that `data.scores` names: the file itself, or the only one in a folder.

    Raises VadError for a folder without one, and for one with several.
    """
    if place.is_file():
        return place
    found = sorted(path for path in place.glob("*.csv") if path.is_file() and not path.name.startswith("."))
    if not found:
        raise VadError(f"data.scores: no CSV in {place}, but given has a weight; put one there, or give it no weight")
    if len(found) > 1:
        raise VadError(f"{place}: scores twice, in {found[0]} and {found[1]}; name one of them in data.scores")
    return found[0]


def lacking(table: "pd.DataFrame") -> set[str]:
    """The splits of which the CSV lacks frames, by the table of `given` (split, given_known); none of an empty one."""
    return set(table.loc[table[KNOWN] == 0, "split"]) if len(table) else set()
