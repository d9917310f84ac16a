"""A clone of the project for each data set, in which experiments run: the user's own workspace is left alone.

Clones lie in .dvc/tmp/workspaces and share the project's DVC cache, so nothing is computed or stored twice.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from vad import VadError
from vad.storage import files

TOP = Path(__file__).parents[1]
DATASETS = TOP / "experiments" / "datasets.yaml"
WORKSPACES = TOP / ".dvc" / "tmp" / "workspaces"
AUTHOR = {f"GIT_{who}_{what}": "experiments" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def datasets() -> dict[str, dict[str, Any]]:
    """Data set -> its row of experiments/datasets.yaml."""
    return yaml.safe_load(DATASETS.read_text(encoding="utf-8"))


def of_page(page: str) -> dict[str, str]:
    """Data set that a generated page has a column for, in order -> what it is, in words."""
    return {name: row["says"] for name, row in datasets().items() if page in row.get("pages", ())}


def draws() -> list[str]:
    """The data sets whose clips are another's, corrupted by another seed."""
    return [name for name, row in datasets().items() if "draw_of" in row]


def seeds() -> dict[str, list[str]]:
    """Data set that there are others like, from other seeds -> it and these: every clip is a video of its own."""
    found: dict[str, list[str]] = {}
    for name, row in datasets().items():
        if "seed_of" in row:
            found.setdefault(row["seed_of"], [row["seed_of"]]).append(name)
    return found


def scenes() -> dict[str, list[str]]:
    """Scene that verdicts on real clips pool -> its data sets: draws of the same videos' corruption."""
    found: dict[str, list[str]] = {}
    for name in datasets():
        if scene := _origin(name).get("scene"):
            found.setdefault(scene, []).append(name)
    return found


def sources(dataset: str) -> dict[str, str]:
    """Test clip of a data set -> the video it was cut from, of those clips that share one with another."""
    return _origin(dataset).get("source", {})


def _origin(dataset: str) -> dict[str, Any]:
    """The row of a data set, or of the one that it is a draw of."""
    row = datasets()[dataset]
    return datasets()[row["draw_of"]] if "draw_of" in row else row


def data_parameters(dataset: str, environment: "os._Environ[str] | dict[str, str]" = os.environ) -> dict[str, Any]:
    """What a data set changes in params.yaml, dotted key -> value, with the environment's variables put in.

    Raises VadError for a data set that experiments/datasets.yaml lacks, for a variable that is not set, and for a data
    set that is scored by another's network where that is not trained yet.
    """
    known = datasets()
    if dataset not in known:
        raise VadError(f"{dataset}: no such data set; experiments/datasets.yaml has {', '.join(known)}")

    def put_in(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise VadError(f"{dataset}: {match[1]} is not set; experiments/datasets.yaml says what it holds")
        return environment[match[1]]

    stated = known[dataset]["set"].items()
    changes = {key: re.sub(r"\$\{(\w+)\}", put_in, value) if isinstance(value, str) else value for key, value in stated}
    if origin := known[dataset].get("seed_of"):
        weights = WORKSPACES / origin / "models" / "autoencoder.safetensors"
        if not weights.exists():
            raise VadError(f"{dataset}: it is scored by {origin}'s network; run the experiments on {origin} first")
        changes["train.weights"] = str(weights)
    return changes


def prepare(dataset: str) -> Path:
    """The folder of a data set's clone: the project's HEAD with the data set's parameters.

    Where it was computed before, at an older HEAD perhaps, DVC computes again only what depends on what changed; the
    branch `base` stays at what was computed then until `commit`. Raises VadError as `data_parameters` does, and when
    Git can't make the clone.
    """
    changes = data_parameters(dataset)
    folder = WORKSPACES / dataset
    if not (folder / ".git").exists():
        git(TOP, "clone", "--quiet", "--no-checkout", str(TOP), str(folder))
    computed = git(folder, "branch", "--list", "base", "--format", "%(objectname)").strip()
    if git(TOP, "status", "--porcelain", "--untracked-files=no", "--", "stages", "vad", "dvc.yaml", "params.yaml"):
        print("What is not committed is not part of these experiments: they run the code of HEAD", file=sys.stderr)
    git(folder, "fetch", "--quiet", str(TOP), "HEAD")
    git(folder, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
    (folder / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {TOP / '.dvc' / 'cache'}\n", encoding="utf-8")
    set_parameters(folder / "params.yaml", changes)
    if computed:
        # Metrics are Git's, not DVC's: without them DVC would not take what it has of a stage for its output.
        git(folder, "checkout", "--quiet", computed, "--", "dvc.lock", "metrics")
    # DVC's run cache keeps no stage with metrics: going back from an experiment would train again, and so would a
    # fresh clone that pulled what another machine has computed.
    for _ in dvc(folder, "checkout", "--force", "--allow-missing"):
        pass
    return folder


def commit(folder: Path) -> None:
    """Commit what the clone holds as the data set's `base`, unless it is that already.

    The same content on the same HEAD is the same commit, whenever it is made: what has run on it is known to have run.
    """
    git(folder, "add", "--all")
    if git(folder, "status", "--porcelain"):
        when = git(folder, "log", "-1", "--format=%cI", "FETCH_HEAD").strip()
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        git(folder, "commit", "--quiet", "--message", "The recipe as it is, on this data set", **dates)
    git(folder, "checkout", "--quiet", "-B", "base")


def restore(folder: Path) -> None:
    """Put back what the clone's commit `base` holds, DVC's outputs included. Raises VadError when that fails."""
    git(folder, "checkout", "--quiet", "--force", "base")
    for _ in dvc(folder, "checkout", "--force"):
        pass


def set_parameters(path: Path, changes: dict[str, Any]) -> None:
    """Set parameters of a params.yaml, by dotted key; they must be there already. Raises VadError otherwise."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    put(values, changes)
    if changes:
        files.write_text(path, yaml.safe_dump(values, sort_keys=False))


def put(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put parameters, by dotted key, into nested ones, in place. Raises VadError for one that is not there yet."""
    for key, value in changes.items():
        *sections, last = key.split(".")
        section: Any = values
        for name in sections:
            section = section.get(name) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            raise VadError(f"params.yaml: no parameter {key}")
        section[last] = value


def git(folder: Path, *arguments: str, **environment: str) -> str:
    """What a Git command prints. Raises VadError with what it says when it fails."""
    settings = os.environ | AUTHOR | environment
    done = subprocess.run(["git", *arguments], cwd=folder, env=settings, text=True, capture_output=True, check=False)
    if done.returncode:
        raise VadError(f"git {arguments[0]} in {folder}: {' '.join(done.stderr.split())}")
    return done.stdout


def dvc(folder: Path, *arguments: str) -> Iterator[str]:
    """Run a DVC command in a clone and yield what it prints, line by line. Raises VadError when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | AUTHOR | {"PATH": path}
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line.rstrip("\n"))
        yield printed[-1]
    if process.wait():
        said = [line for line in printed if line.strip()][-3:]
        raise VadError(f"dvc {arguments[0]} in {folder}: {'; '.join(said)}")


def stale(folder: Path, *stages: str) -> list[str]:
    """The stages that are not up to date among some and all upstream of them, or among all; `check` never counts."""
    printed = list(dvc(folder, "status", "--json", *(["--with-deps", *stages] if stages else [])))
    changed = json.loads(next(line for line in reversed(printed) if line.startswith("{")))
    return [stage for stage, how in changed.items() if how != ["always changed"]]
