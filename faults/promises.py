"""docs/PROMISES.md: what the project promises and how often that was tried, a section a harness."""

import re
from collections.abc import Sequence
from pathlib import Path

from vad.storage import files

BEGIN, END = "<!-- made: {} -->\n", "<!-- end: {} -->\n"


def write(page: Path, section: str, text: str) -> None:
    """Put `text` between the marks of a section of a page, in place of what stands there."""
    begin, end = BEGIN.format(section), END.format(section)
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    before = page.read_text(encoding="utf-8")
    assert len(marked.findall(before)) == 1, f"{page}: lacks {begin.strip()} and {end.strip()}"
    files.write_text(page, marked.sub(lambda _: f"{begin}\n{text}\n{end}", before))


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the second of dashes, as a table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
