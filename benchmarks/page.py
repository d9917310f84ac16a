"""docs/PERFORMANCE.md: the parts that benchmarks write, each between two marks, and the machine they ran on."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from experiments import markdown
from vad.storage import files

TOP = Path(__file__).parents[1]
PAGE = TOP / "docs" / "PERFORMANCE.md"
PACKAGES = ("torch", "torchvision", "numpy", "pandas", "pillow")


def write(command: str, content: str) -> None:
    """Put what a command measured where the page has room for it; the rest of the page stays."""
    text = markdown.between(PAGE.read_text(encoding="utf-8"), f"<!-- measured by `{command}` -->", content)
    files.write_text(PAGE, text)


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def machine() -> str:
    """The processor, its cores and the versions, in a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name")).split(":")[1].strip()
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"{name}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}"
