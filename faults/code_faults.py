"""Do the tests notice? Break every stage on purpose, one at a time, and see which test fails.

    python -m faults.code_faults

Works on a copy of the project in a temporary folder and takes a few minutes; not part of `make test`.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).parents[1]
BREAKS = {
    "check": ("stages/check.py", "if not path.exists():", "if False:"),
    "fetch": ("stages/fetch.py", "digest=digest.clip,", 'digest="0",'),
    "extract": ("stages/extract.py", "None if job.numbers is None else set(job.numbers.tolist())", "None"),
    "validation": ("stages/validation.py", "table.assign(video=video)", "table.assign(video=video, label=0)"),
    "diagnose": (
        "stages/diagnose.py",
        "tables.write_csv(diagnosed, table)",
        "tables.write_csv(diagnosed, table.assign(flipped=1))",
    ),
    "resize": ("stages/resize.py", "Image.Resampling[resize.interpolation.upper()]", "Image.Resampling.NEAREST"),
    "train": ("stages/train.py", "runtime.seed(settings.seed)", "pass"),
    "infer": ("vad/components/reconstruction.py", "views.view(name)(images)", 'views.view("identity")(images)'),
    "motion": ("vad/quality/reading.py", "unflip=undo.unflip, denoise", "unflip=False, denoise"),
    "train_predictor": ("stages/train_predictor.py", "runtime.seed(settings.seed)", "pass"),
    "predict": ("vad/components/prediction.py", "predictor.load(path)", 'predictor.make("unet", 4)'),
    "memory": (
        "vad/components/memory.py",
        "cells_of(remembered.get(), clip))",
        "cells_of(remembered.get(), clip)[1:])",
    ),
    "objects": (
        "vad/components/objects.py",
        "self._farthest(seen.moves, self.moves)",
        "self._farthest(seen.looks, self.looks)",
    ),
    "given": ("vad/components/given.py", "quantiles(values[of_split])", "values[of_split]"),
    "aggregate": (
        "stages/aggregate.py",
        "params.load(PARAMS)",
        'params.load(PARAMS).model_copy(update={"gamma": 2.0})',
    ),
    "evaluate": ("stages/evaluate.py", 'table["split"] == split', 'table["split"] == "test"'),
    "submission": ("stages/submission.py", 'table["split"] == "test"', 'table["split"] != "test"'),
}


def broken(folder: Path, file: str, old: str, new: str) -> str:
    """The first test that fails with `old` replaced by `new` in a file; an empty string when none does."""
    path = folder / file
    sound = path.read_text()
    assert old in sound, f"{file}: {old!r} is no longer there; mend faults/code_faults.py"
    path.write_text(sound.replace(old, new))
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "--no-cov", "tests/stages/test_stages.py"]
    printed = subprocess.run(tests, cwd=folder, text=True, capture_output=True).stdout
    path.write_text(sound)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", printed, re.MULTILINE)
    return failed[1] if failed else ""


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        shutil.copytree(
            TOP, folder, ignore=shutil.ignore_patterns(".venv", ".dvc", ".git", "frames", "resized", ".*_cache")
        )
        results = {stage: broken(folder, *change) for stage, change in BREAKS.items()}
    for stage, test in results.items():
        print(f"{stage:10} {test or 'NOTICED BY NO TEST'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
