"""Every fault that people's data may have, and what they see of it: docs/FAULTS.md, made by running the stages.

python -m faults.inject docs/FAULTS.md
"""

import argparse
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pandas as pd

from experiments import markdown
from faults import stage_runner
from faults.catalogue import GROUPS, READY, Fault
from faults.damage import GIVEN, TRUTH
from faults.stage_runner import ROOT
from vad.storage import files, tables
from vad.storage.progress import parallel, progress

IMPUTABLE = "Frames", "Videos"
"""Groups whose outcome depends on data.on_bad_frame."""
INTRODUCTION = """\
# Faults and what you see of them

Made by `python -m faults.inject docs/FAULTS.md`, which breaks a small data set in each of these ways and runs
the stages of `dvc.yaml` on it; a test makes it again and compares. DVC adds a line of its own that names the stage.
"""


def report() -> str:
    """The whole page, as Markdown."""
    with tempfile.TemporaryDirectory() as temporary:
        sound = prepare(Path(temporary))
        parts = [INTRODUCTION]
        for title, faults in GROUPS.items():
            modes = ("fail", "impute") if title in IMPUTABLE else ("fail",)
            runs = [(fault, mode) for fault in faults for mode in modes]
            texts = list(progress(parallel(partial(outcome, sound=sound), runs), title.lower(), len(runs)))
            heads = [title] + [f"with `data.on_bad_frame: {mode}`" if len(modes) > 1 else "outcome" for mode in modes]
            rows = [[fault.title, *texts[at * len(modes) :][: len(modes)]] for at, fault in enumerate(faults)]
            parts.append(f"## {title}\n\n{markdown.table(heads, rows)}\n")
    return "\n".join(parts)


def prepare(temporary: Path) -> dict[tuple[str, ...], Path]:
    """Stages -> a sound data set with what they have made of it."""
    folders: dict[tuple[str, ...], Path] = {}
    for stages in ((), READY):
        folder = folders[stages] = temporary / ("sound" if not stages else "ready")
        stage_runner.write_clips(folder / ROOT)
        for place in (TRUTH, GIVEN):
            (folder / place).mkdir()
        stage_runner.set_params(folder)
        if stages:
            ended = stage_runner.run_stages(folder, stages)
            assert ended.code == 0, ended.printed
            score(folder)
    return folders


def score(folder: Path) -> None:
    """Write data/scores.csv: scores that say nothing, of all frames that are scored; nothing trained or given."""
    files.write_json(folder / "metrics/train.json", {})
    tables.write_components(folder / "data/components/given.npz", tables.empty())
    index = tables.read_csv(folder / "data/frames/index.csv", tables.KEYS)
    validation = tables.read_csv(folder / "data/validation/labels.csv", ["video", "frame"]).assign(split="validation")
    scored = pd.concat([index[index["split"] == "test"], validation])[tables.KEYS]
    tables.write_csv(folder / "data/scores.csv", scored.assign(score=(scored["frame"] * 7 % 13).to_numpy() / 13))


def outcome(run: tuple[Fault, str], sound: dict[tuple[str, ...], Path]) -> str:
    """What the user sees of a fault, as one cell of a table. Raises AssertionError for a traceback or a second line."""
    fault, mode = run
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        shutil.copytree(sound[fault.before], folder)
        stage_runner.set_params(folder, on_bad_frame=mode, **fault.params)
        fault.breaks(folder)
        ended = stage_runner.run_stages(folder, fault.stages, fault.limit)
        lines = len(ended.printed.splitlines())
        assert (ended.code == 1 and lines == 1) or (ended.code == 0 and lines <= 1), f"{fault.title}: {ended}"
        assert not [*folder.glob("data/**/.*.tmp*"), *folder.glob("data/**/*unpacking")], fault.title
        if ended.code:
            return f"`{ended.stage}`: {_cell(ended.printed)}"
        said = f"{ended.notes}\n{ended.printed}".split("\n")
        return _success(folder, ended.stage) + "".join(f"; says: {_cell(note)}" for note in said if note)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _success(folder: Path, stage: str) -> str:
    """In what the run of a stage resulted."""
    if stage == "evaluate":
        parts = json.loads((folder / "metrics/evaluation.json").read_text())
        return "runs: " + " and ".join(f"{part} of {figures['frames']} frames" for part, figures in parts.items())
    if stage == "submission":
        return f"runs: {len(tables.read_csv(folder / 'submission.csv', ['Id']))} rows"
    test = json.loads((folder / "metrics/data.json").read_text())["test"]
    return f"runs: {test['frames']} test frames, {test['imputed']} imputed"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    files.write_text(parser.parse_args().page, report())
