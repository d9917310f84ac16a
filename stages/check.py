"""Check: every parameter, before anything runs and before DVC clears any output; and what each stage needs.

It runs every time. DVC has no dependency that may be absent, and sees nothing behind a link to a folder.
"""

import hashlib
from pathlib import Path

from project import imports
from stages import PARAMS, run
from vad import VadError, params, registry
from vad.data import inventory, own_scores
from vad.storage import needs


def main(needed: Path) -> None:
    """Write into the folder `needed` a file for each stage: whether it is needed, its code, and its files of weights.

    Raises VadError for a wrong parameter, for a path among them that is not there, and for what must not lie among
    clips.
    """
    settings = params.load(PARAMS)
    wanted = dict.fromkeys(imports.stages(), True) | registry.needs(settings)
    weights = weights_of(settings, wanted)
    there = {"data.benchmark_labels": settings.data.benchmark_labels, "data.scores": settings.data.scores}
    if registry.SOURCES[settings.data.source].reads:
        there["data.root"] = settings.data.root
    for key, path in there.items():
        if not path.exists():
            raise VadError(f"{PARAMS}: {key} = {str(path)!r}: no such file or folder")
    for stage, path in weights.items():
        if not path.is_file():
            raise VadError(f"{PARAMS}: {stage}.weights = {str(path)!r}: no such file; correct or unset it")
    for path in (settings.data.root, settings.data.benchmark_labels, settings.data.scores):
        if path.exists():  # whoever reads it: DVC looks at all that is in it
            inventory.refuse_pipes(path)
    if "data.root" in there:
        inventory.look(settings.data.root)
    if wanted["given"]:
        own_scores.find(settings.data.scores)
    made_of = {}
    for stage, chosen in imports.rows_of(settings).items():
        made_of[stage] = {str(p.relative_to(imports.TOP)): imports.digest(p) for p in imports.code_of(stage, chosen)}
        made_of[stage]["vad/registry.py"] = hashlib.sha256("\n".join(chosen).encode()).hexdigest()
    for stage, path in weights.items():
        made_of[stage][f"{stage}.weights"] = imports.digest(path)
    needs.write(needed, wanted, made_of)


def weights_of(settings: params.Params, wanted: dict[str, bool]) -> dict[str, Path]:
    """Stage that is needed -> the file of weights that its parameters name, if they name one."""
    named = {"train": settings.train.weights, "memory": settings.memory.weights, "objects": settings.objects.weights}
    return {stage: path for stage, path in named.items() if path and wanted[stage]}


if __name__ == "__main__":
    run(main)
