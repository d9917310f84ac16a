"""What a lab's remote holds is enough: a fresh clone of the project pulls it and has nothing left to compute."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clone import Clone, ran


def pulled(clone: Clone, folder: Path) -> Clone:
    """A fresh clone of a clone's last commit, with the clips, which are the user's, that has pulled its outputs."""
    clone.run("git", "clone", "-q", str(clone.folder), str(folder))
    fresh = object.__new__(Clone)
    fresh.folder, fresh.root = folder, folder / clone.root.relative_to(clone.folder)
    shutil.copytree(clone.root, fresh.root)
    fresh.run("dvc", "pull", "--quiet")
    return fresh


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """The outputs of two clones are the same; one may have files of its own, as of a sweep."""
    both = found.keys() & expected.keys()
    assert both >= {"submission.csv", "models/autoencoder.safetensors", "data/scores.csv", "metrics/evaluation.json"}
    assert {name: found[name] for name in both} == {name: expected[name] for name in both}


def with_remote(clone: Clone, url: str, **settings: str) -> None:
    """Commit a default remote, and push to it."""
    clone.run("dvc", "remote", "add", "--default", "lab", url)
    for name, value in settings.items():
        clone.run("dvc", "remote", "modify", "lab", name, value)
    clone.run("git", "commit", "-qam", "remote")
    clone.run("dvc", "push", "--quiet")


@pytest.fixture
def committed(restored: Clone) -> Iterator[Clone]:
    """The clone; commits of the test are taken back."""
    before = restored.run("git", "rev-parse", "HEAD").strip()
    yield restored
    restored.run("git", "reset", "-q", "--hard", before)


def test_a_fresh_clone_pulls_from_a_folder_and_computes_nothing(committed: Clone, tmp_path: Path) -> None:
    with_remote(committed, str(tmp_path / "remote"))
    fresh = pulled(committed, tmp_path / "fresh")
    assert ran(fresh.run("dvc", "repro")) == []
    assert_same(fresh.outputs(), committed.outputs())


@pytest.mark.slow
def test_a_fresh_clone_pulls_from_s3_and_computes_nothing(committed: Clone, tmp_path: Path, s3: str) -> None:
    with_remote(committed, "s3://lab/project", endpointurl=s3)
    fresh = pulled(committed, tmp_path / "fresh")
    assert ran(fresh.run("dvc", "repro")) == []
    assert_same(fresh.outputs(), committed.outputs())
