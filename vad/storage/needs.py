"""What a stage needs: a small file for each, on which the stage depends, so that it runs again when that changes.

The first line says whether anybody takes what the stage makes; the file of one that nobody needs holds no more. Then
come the stage's code and the files that its parameters name, a line each: path or parameter, and SHA-256.
"""

from collections.abc import Mapping
from pathlib import Path

from vad.storage import files

TEXT = {True: "needed\n", False: "not needed\n"}


def write(folder: Path, needed: Mapping[str, bool], made_of: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Write a file STAGE into `folder` for every stage, unless it is there already.

    `made_of`: of a stage that is needed, name -> digest of what its result depends on besides the data.
    """
    for stage, value in needed.items():
        lines = (made_of or {}).get(stage, {}) if value else {}
        text = TEXT[value] + "".join(f"{name} {digest}\n" for name, digest in lines.items())
        if not (folder / stage).is_file() or (folder / stage).read_bytes() != text.encode():
            files.write_text(folder / stage, text)


def write_no_weights(*paths: Path) -> None:
    """Write the weights of networks that are not needed: none."""
    import safetensors.numpy  # here: NumPy takes a tenth of a second, and `check` writes no weights

    for path in paths:
        with files.replacing(path) as temporary:
            temporary.write_bytes(safetensors.numpy.save({}))


def read(path: Path) -> bool:
    """Whether what the stage that the file is named after makes is needed."""
    return path.read_text(encoding="utf-8").startswith(TEXT[True])
