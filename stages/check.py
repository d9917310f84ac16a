"""Check: every parameter, before anything runs and before DVC clears any output; and which stages are needed."""

from pathlib import Path

from stages import PARAMS, run
from vad import VadError, params, registry
from vad.data import inventory, own_scores
from vad.storage import files, needs


def main(checked: Path, needed: Path) -> None:
    """Write a constant into `checked`, and into the folder `needed` a file for each network and component family.

    Raises VadError for a wrong parameter, and for a path among them that is not there.
    """
    settings = params.load(PARAMS)
    there = {"data.benchmark_labels": settings.data.benchmark_labels, "data.scores": settings.data.scores}
    if registry.SOURCES[settings.data.source].reads:
        there["data.root"] = settings.data.root
    if settings.objects.enabled and settings.objects.weights:
        there["objects.weights"] = settings.objects.weights
    for key, path in there.items():
        if not path.exists():
            raise VadError(f"{PARAMS}: {key} = {str(path)!r}: no such file or folder")
    if "data.root" in there:
        # Already here: DVC would wait for ever at a pipe in it, and sees no change behind a link to a folder.
        inventory.look(settings.data.root)
    wanted = registry.needs(settings)
    if wanted["given"]:
        own_scores.find(settings.data.scores)
    needs.write(needed, wanted)
    # A constant: what depends on it reruns when its own parameters change, not when any does.
    files.write_text(checked, "params.yaml is valid\n")


if __name__ == "__main__":
    run(main)
