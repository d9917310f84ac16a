"""Markdown of generated pages: tables, and figures as they stand there."""

import math
from collections.abc import Iterable, Sequence

from experiments.effects import Effect

END = "<!-- end -->"
GUIDED = """\
`best` was chosen by its AP on validation, but test clips and their labels guided the search for what to choose from:
these are figures of a development set."""
"""In these words on every page that has figures of `best`, the README and METHODS too."""


def row(cells: Iterable[object]) -> str:
    """A row of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def table(heads: Sequence[str], rows: Iterable[Iterable[object]] = ()) -> str:
    """A table; without rows what stands above them."""
    return "\n".join(map(row, (heads, ["---"] * len(heads), *rows)))


def between(text: str, mark: str, content: str) -> str:
    """A page with `content` put between the line `mark` and the next end mark."""
    before, found, rest = text.partition(mark)
    assert found, f"no line {mark}"
    return f"{before}{mark}\n{content}\n{END}{rest.partition(END)[2]}"


def effect(found: Effect) -> str:
    """A difference with its interval; zeros have no minus."""
    value, low, high = (number + 0.0 for number in (found.value, found.low, found.high))
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


def p_value(value: float | None) -> str:
    """A p value from 1,000 resamples; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return "< 0.002" if value < 0.002 else f"{value:.2g}"
