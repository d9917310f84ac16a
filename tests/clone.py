"""A clone of the project on tiny clips of its own, in which tests run the real `dvc`; its pipeline runs once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests.tiny_clips import write_dataset

TOP = Path(__file__).parents[1]
TINY = {"data.source": "folder", "resize.size": 32, "train.epochs": 1, "evaluate.bootstrap": 50}
STAGES = list(yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def settings() -> dict[str, str]:
    """The environment of what runs in a clone."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
    } | {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip


class Clone:
    """A clone of the project, as committed or not, with clips of its own."""

    printed = ""
    """What the first run of the pipeline printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tracked = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, text=True)
        for name in tracked.splitlines():
            if (TOP / name).is_file() and not name.startswith(("tests/", "metrics/", "dvc.lock")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TOP / name, folder / name)
        self.root = write_dataset(folder / "data" / "external" / "mine")
        self.set(**TINY | {"data.root": "data/external/mine"})
        self.run("git", "init", "-q")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "start")

    def set(self, **values: object) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for key, value in values.items():
            *sections, last = key.split(".")
            target = params
            for section in sections:
                target = target[section]
            target[last] = value
        path.write_text(yaml.safe_dump(params))

    def run(self, *command: str, fails: bool = False, environment: Mapping[str, str] | None = None) -> str:
        """What a command prints; it must succeed, or fail. `environment` is added to this process's."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=settings() | dict(environment or {}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def metrics(self) -> dict[str, dict[str, float]]:
        return json.loads((self.folder / "metrics" / "evaluation.json").read_text())

    def outputs(self) -> dict[str, bytes]:
        """Everything that stages wrote, by path."""
        found = [
            path
            for pattern in ("data/**/*", "models/*.safetensors", "metrics/**/*", "submission.csv")
            for path in self.folder.glob(pattern)
            if path.is_file() and "external" not in path.parts
        ]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


def ran(printed: str) -> list[str]:
    """The stages that a `dvc` run executed, in order; without `check`, which runs every time."""
    stages = [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]
    return [stage for stage in stages if stage != "check"]


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    project = Clone(tmp_path_factory.mktemp("clone"))
    project.printed = project.run("dvc", "repro")
    assert ["check", *ran(project.printed)] == STAGES
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "first run")
    return project


@pytest.fixture
def restored(clone: Clone) -> Iterator[Clone]:
    """The clone, put back as it was after the test."""
    yield clone
    assert clone.root.is_dir(), "the test has taken the clone's clips away: give it a clone of its own"
    clone.run("git", "checkout", "-q", "--force", "HEAD")
    clone.run("git", "clean", "-fdq", "metrics")
    clone.run("dvc", "checkout", "--quiet", "--force")
