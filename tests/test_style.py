"""Formatting, lint and types are part of the suite: the commands of `make check`."""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.mark.parametrize("command", ["ruff format --check", "ruff check --output-format concise", "mypy"])
def test_code_passes(command: str) -> None:
    result = subprocess.run([sys.executable, "-m", *command.split()], cwd=TOP, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
