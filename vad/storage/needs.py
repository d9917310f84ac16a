"""What a run needs: a small file for every network and component family, on which the stage that makes it depends.

A stage that depends on the weights of all components runs again whenever one of them changes. A stage that depends on
such a file runs again only when its result becomes needed, or is no longer needed.
"""

from collections.abc import Mapping
from pathlib import Path

from vad.storage import files

TEXT = {True: "needed\n", False: "not needed\n"}


def write(folder: Path, needed: Mapping[str, bool]) -> None:
    """Write a file NAME into `folder` for everything that may be needed."""
    for name, value in needed.items():
        files.write_text(folder / name, TEXT[value])


def write_no_weights(*paths: Path) -> None:
    """Write the weights of networks that are not needed: none."""
    import safetensors.numpy  # here: NumPy takes a tenth of a second, and `check` writes no weights

    for path in paths:
        with files.replacing(path) as temporary:
            temporary.write_bytes(safetensors.numpy.save({}))


def read(path: Path) -> bool:
    """Whether what the file is named after is needed."""
    return path.read_text(encoding="utf-8") == TEXT[True]
