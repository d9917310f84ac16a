"""Formatting, lint and types are part of the suite: the commands of `make check`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.mark.parametrize("command", ["ruff format --check", "ruff check --output-format concise", "mypy"])
def test_code_passes(command: str) -> None:
    result = subprocess.run([sys.executable, "-m", *command.split()], cwd=TOP, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def test_no_page_was_left_with_a_blank_to_fill_in() -> None:
    pages = [TOP / "README.md", TOP / "CHANGELOG.md", *TOP.glob("docs/*.md"), *TOP.glob("experiments/*.md")]
    assert [page.name for page in pages if re.search(r"@@|TODO|FIXME", page.read_text(encoding="utf-8"))] == []
