"""Check: every parameter, before anything runs and before DVC clears any output."""

from pathlib import Path

from stages import PARAMS, run
from vad import VadError, params
from vad.storage import files


def main(checked: Path) -> None:
    data = params.load(PARAMS).data
    needed = {"data.benchmark_labels": data.benchmark_labels}
    if data.source != "sample":
        needed["data.root"] = data.root
    for key, path in needed.items():
        if not path.exists():
            raise VadError(f"{PARAMS}: {key} = {str(path)!r}: no such file or folder")
    # A constant: what depends on it reruns when its own parameters change, not when any does.
    files.write_text(checked, "params.yaml is valid\n")


if __name__ == "__main__":
    run(main)
