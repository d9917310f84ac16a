"""The whole run on Kaggle's machines and back: pushed, executed as there, pulled, and the same as here."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from competition import collect, push
from faults.kaggle_server import Server
from faults.kaggle_site import USER, Site
from tests.clone import Clone

TOP = Path(__file__).parents[2]
KERNEL = f"{USER}/pixel-play-26-pipeline"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A stand-in for Kaggle, which what is started from here on talks to."""
    with Server(Site()) as server:
        for name, value in server.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield server.site


def fake_wheels(clone: Clone) -> None:
    """Wheels as an earlier push left them: no registry is asked."""
    folder = clone.folder / push.STAGING.relative_to(push.workspaces.TOP) / "dataset" / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    for package in push.missing_packages():
        name, _, version = package.partition("==")
        (folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl").write_bytes(b"")


def mount(kaggle: Path, site: Site, clips: Path) -> None:
    """Lay out Kaggle's machine: the data set as it was sent, and the competition's clips."""
    folder = kaggle / "input" / "pixel-play-26-pipeline-code"
    (folder / "wheels").mkdir(parents=True)
    rows = [f"{clip}_{frame},0\n" for clip in (1, 2, 3) for frame in range(3, 33)]
    for token in [part["token"] for part in site.datasets["pixel-play-26-pipeline-code"][-1]["files"]]:
        if site.names[token] == push.BUNDLE:
            (folder / push.BUNDLE).write_bytes(site.uploads[token])
        else:
            assert site.names[token] == "wheels.zip"
            zipfile.ZipFile(io.BytesIO(site.uploads[token])).extractall(folder / "wheels")
    competition = kaggle / "input" / "pixel-play-26"
    shutil.copytree(clips, competition / "Dataset")
    (competition / "sample_submission.csv").write_text("".join(["Id,Predicted\n", *rows]))


@pytest.mark.slow
def test_a_run_on_kaggle_is_the_run_here_and_comes_back_as_an_experiment(
    restored: Clone, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_wheels(restored)
    printed = restored.run("python", "-m", "competition.push")
    assert "runs on NvidiaTeslaT4" in printed and "version 1" in printed
    (sent,) = site.kernels
    assert (sent["slug"], sent["enableInternet"], sent["machineShape"]) == (KERNEL, False, "NvidiaTeslaT4")
    assert sent["competitionDataSources"] == ["pixel-play-26"]
    assert sent["datasetDataSources"] == [f"{USER}/pixel-play-26-pipeline-code"]
    restored.run("python", "-m", "competition.push")
    assert len(site.datasets["pixel-play-26-pipeline-code"]) == 2, "a second push makes a version"

    kaggle = tmp_path / "kaggle"
    mount(kaggle, site, restored.root)
    notebook = nbformat.reads(sent["text"], as_version=4)
    monkeypatch.setenv("VAD_KAGGLE", str(kaggle))
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    asked = len(site.requests)
    (kaggle / "working").mkdir()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(kaggle / "working")}}).execute()
    assert len(site.requests) == asked, "a run on Kaggle asks nobody for anything"
    submission = (restored.folder / "submission.csv").read_bytes()
    assert (kaggle / "working" / "submission.csv").read_bytes() == submission
    assert "Which frames look anomalous?" in (kaggle / "working" / "report.html").read_text()
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in str(output)]
    assert len(pictures) >= 3

    site.output = {collect.ARCHIVE: (kaggle / "working" / collect.ARCHIVE).read_bytes(), "../../evil": b"x"}
    monkeypatch.setenv("KAGGLE_API_TOKEN", site.token)
    printed = restored.run("python", "-m", "competition.pull")
    name = printed.split()[1].rstrip(":")
    assert name.startswith("kaggle-") and name in restored.run("dvc", "exp", "list", "--name-only")
    assert not list(tmp_path.rglob("evil")) and not list(restored.folder.rglob("evil"))
    compare = "python", "-m", "experiments.compare", "workspace", name, "--part", "validation"
    compared = restored.run(*compare)
    assert "data.source: folder -> pixel-play-26" in compared and "ranking: the same" in compared
    restored.run("python", "-m", "competition.submit", "--kaggle")
    (submitted,) = site.submissions
    assert f" {name} | validation AP" in submitted["description"] and submission in site.uploads.values()


def test_what_is_not_committed_is_not_pushed(restored: Clone, site: Site) -> None:
    restored.set(gamma=1.2)
    printed = restored.run("python", "-m", "competition.push", fails=True)
    assert printed == "params.yaml: not committed; Kaggle runs what is: commit, then push\n"
    assert site.requests == []


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"upload_status": 400}, "not all files arrived; push again"),
        ({"refused": ["pixel-play-26"]}, "it may not use pixel-play-26; are the competition's rules accepted?"),
    ],
)
def test_a_push_that_kaggle_takes_in_part_only_fails(
    broken: dict[str, object], message: str, restored: Clone, site: Site
) -> None:
    fake_wheels(restored)
    for name, value in broken.items():
        setattr(site, name, value)
    printed = restored.run("python", "-m", "competition.push", fails=True)
    assert printed.strip().endswith(message)


def test_wheels_are_of_what_kaggles_image_lacks() -> None:
    names = {package.partition("==")[0] for package in push.missing_packages()}
    assert {"dvc", "lightning-fabric", "dvc-data", "pygit2"} <= names
    assert names.isdisjoint({"torch", "numpy", "pandas", "triton", "nbclient", "pytest"})
