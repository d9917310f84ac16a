"""The pipeline run once on tiny clips, undisturbed: what every stage finds when it starts, and what it leaves."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from faults import damage, stage_runner
from faults.stage_runner import PIPELINE, ROOT, TOP, Outcome
from vad.storage.progress import progress

HEAVY = "stages.train", "vad.components.reconstruction", "vad.components.prediction", "vad.components.memory"
"""What takes seconds to import and is worth preloading where all stages run."""
LARGE = 1 << 20
"""Bytes from which a file is linked and not copied: no stage may change one in place."""


@dataclass(frozen=True)
class Variant:
    """A way to run stages: with parameters, perhaps after a run with others, whose outputs lie there still."""

    title: str
    params: dict[str, Any] = field(default_factory=dict)
    stages: Sequence[str] = tuple(PIPELINE)
    earlier: dict[str, Any] | None = None


SMALL = {
    "resize.size": 32, "train.epochs": 2, "evaluate.bootstrap": 10, "data.source": "folder",
    "predict.epochs": 2, "predict.precision": "32-true", "memory.patches": 200,
}  # fmt: skip
NETWORKS = {
    "predict.enabled": True, "memory.enabled": True, "memory.features": "predictor", "motion.components": [],
    "aggregate.weights": {"prediction_mean": 0.5, "memory_mean": 0.5},
}  # fmt: skip
VARIANTS = (
    Variant("a first run"),
    Variant("predictor and memory", NETWORKS, ("train_predictor", "predict", "memory", "aggregate")),
    Variant("after a run with other parameters", NETWORKS, ("check", "fetch", "extract"), {"data.holdout_clips": 1}),
    Variant("the competition's zip", {"data.source": "pixel-play-26"}, ("fetch",), {}),
)


@dataclass(frozen=True)
class Ready:
    """A stage about to run: the folder as it finds it, and every file that it leaves there when nothing disturbs it."""

    variant: str
    stage: str
    before: Path
    after: Mapping[str, str]


def ready(temporary: Path, stages: Sequence[str], variants: Sequence[Variant] = VARIANTS) -> Iterator[Ready]:
    """Run each variant in `temporary` and yield its stages, as far as they are among `stages`, each before it runs."""
    for number, variant in enumerate(variants):
        wanted = [stage for stage in variant.stages if stage in stages]
        if not wanted:
            continue
        folder = temporary / f"{number}"
        stage_runner.write_clips(folder / ROOT)
        if variant.params.get("data.source") == "pixel-play-26":
            damage.pack(folder)
        for place in ("data/truth", "data/given"):
            (folder / place).mkdir()
        until = list(PIPELINE)[: max(map(list(PIPELINE).index, wanted)) + 1]
        if variant.earlier is not None:
            set_params(folder, SMALL | variant.params | variant.earlier)
            refuse_failure(stage_runner.run_stages(folder, until))
        set_params(folder, SMALL | variant.params)
        for stage in progress(until, variant.title):
            before = temporary / f"{number}-{stage}"
            if stage in wanted:
                clone(folder, before)
            refuse_failure(again(folder, stage))
            if stage in wanted:
                yield Ready(variant.title, stage, before, tree(folder))


def set_params(folder: Path, changes: dict[str, Any]) -> None:
    """Write params.yaml into `folder`: the project's with changes, `train.epochs` -> 2."""
    params = yaml.safe_load((TOP / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        section, name = key.split(".")
        params[section][name] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def refuse_failure(ended: Outcome) -> None:
    assert ended.code == 0, f"{ended.stage}, undisturbed: {ended.printed}"


def clone(folder: Path, target: Path) -> None:
    """Copy a folder; large files are linked where that can be done."""
    one_disk = folder.stat().st_dev == target.parent.stat().st_dev

    def copy(source: str, target: str) -> None:
        (os.link if one_disk and os.path.getsize(source) > LARGE else shutil.copyfile)(source, target)

    shutil.copytree(folder, target, copy_function=copy)


def tree(folder: Path) -> dict[str, str]:
    """Every file in a folder -> a hash of its content."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb") as content:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(content, "blake2b").hexdigest()
    return found


def outputs(stage: str) -> dict[Path, bool]:
    """The outputs of a stage -> whether DVC leaves them there when it runs the stage again."""
    found: dict[Path, bool] = {}
    for entry in (entry for key in ("outs", "metrics", "plots") for entry in PIPELINE[stage].get(key, [])):
        for path, settings in (entry if isinstance(entry, dict) else {entry: {}}).items():
            found[Path(path)] = settings.get("persist", False)
    return found


def again(folder: Path, stage: str) -> Outcome:
    """Run a stage as `dvc repro` does: its outputs are removed first, those that persist aside."""
    remove_outputs(folder, stage)
    return stage_runner.run_stages(folder, [stage])


def remove_outputs(folder: Path, stage: str) -> None:
    """Remove the outputs of a stage, those that persist aside."""
    for path, persists in outputs(stage).items():
        if not persists and (folder / path).is_dir():
            shutil.rmtree(folder / path)
        elif not persists:
            (folder / path).unlink(missing_ok=True)
