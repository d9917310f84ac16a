"""Two revisions compared as a user does it: experiments and commits of a real DVC project, and the workspace."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from experiments import compare
from project import revisions
from tests.clone import Clone
from vad import VadError
from vad.storage import tables

PARTS = list(tables.PARTS)


@pytest.fixture(scope="module")
def tried(clone: Clone) -> Clone:
    """The clone after two experiments: `milder`, which can't change a ranking, and `sharper`, which can."""
    clone.run("dvc", "exp", "run", "-n", "milder", "-S", "gamma=1.1")
    clone.run("dvc", "exp", "run", "-n", "sharper", "-S", "gamma=4", "-S", "gamma_on=component")
    clone.run("git", "checkout", "-q", "--force", "HEAD")
    clone.run("dvc", "checkout", "--quiet", "--force")
    return clone


@pytest.fixture
def inside(tried: Clone, restored: Clone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    monkeypatch.chdir(tried.folder)
    yield restored


def test_gamma_on_the_score_makes_a_difference_of_exactly_0_as_text_json_and_picture(tried: Clone) -> None:
    printed = tried.run(
        "python", "-m", "experiments.compare", "HEAD", "milder", "--json", "found.json", "--picture", "found.png"
    )
    assert "gamma: 1.31 -> 1.1" in printed and printed.count("ranking: the same") == 2
    assert "+0.0000  [+0.0000, +0.0000]  over" in printed and "AP gained" not in printed
    found = json.loads((tried.folder / "found.json").read_text())
    assert found["parameters"] == {"gamma": {"a": 1.31, "b": 1.1}}
    for part in PARTS:
        assert found["parts"][part]["ap"]["a"] == tried.metrics()[part]["ap"]
        assert found["parts"][part]["ap"]["difference"] == 0
        assert {drawn["ap"]["p"] for drawn in found["parts"][part]["resampled"].values()} <= {1, None}
        assert found["parts"][part]["resampled"]["blocks"]["ap"]["p"] == 1
    assert (tried.folder / "found.png").read_bytes().startswith(b"\x89PNG")


def test_experiments_compare_with_each_other_and_with_the_workspace(inside: Clone, tmp_path: Path) -> None:
    result, tables = compare.compare(("milder", "sharper"), PARTS, draws=50)
    assert result["parameters"] == {"gamma": {"a": 1.1, "b": 4}, "gamma_on": {"a": "score", "b": "component"}}
    found = result["parts"]["benchmark"]
    assert found["ap"]["difference"] != 0 and not found["ranking"]["same"]
    assert sum(row["difference"] for row in found["by_frame"]) == pytest.approx(found["ap"]["difference"], abs=1e-12)
    assert {row["name"] for row in found["by_kind"]} == {"running"}
    assert "AP " in compare.describe(result) and "rank" in compare.describe(result)
    compare.draw(tmp_path / "picture.png", result, tables)
    # The workspace is what HEAD scored, and its ranking that of `milder`.
    back, _ = compare.compare(("sharper", "workspace"), ["benchmark"], draws=50)
    assert back["parts"]["benchmark"]["ap"]["difference"] == -found["ap"]["difference"]


def test_unknown_revision_is_named(inside: Clone) -> None:
    with pytest.raises(VadError, match=r"^nowhere: unknown Git revision 'nowhere'; `git log` and `dvc exp list` name"):
        revisions.read("nowhere")


def test_a_revision_that_scored_nothing_is_refused(inside: Clone) -> None:
    with pytest.raises(VadError, match=r"^HEAD~1: data/labelled_scores.csv is not in DVC's cache"):
        revisions.read("HEAD~1")


@pytest.mark.parametrize("stage, file", [("evaluate", "data/labelled_scores.csv")])
def test_what_is_not_cached_is_named(
    inside: Clone, stage: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # What DVC remembers of folders outside the cache would hide that their listing is gone.
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path))
    outs = yaml.safe_load((inside.folder / "dvc.lock").read_text())["stages"][stage]["outs"]
    md5 = next(out["md5"] for out in outs if file.startswith(out["path"]))
    cached = inside.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    hidden = cached.rename(tmp_path / "hidden")
    try:
        with pytest.raises(VadError, match=f"^HEAD: {file} is not in DVC's cache; `dvc pull` it"):
            revisions.read("HEAD")
    finally:
        hidden.rename(cached)


def rewrite(path: Path, table: pd.DataFrame) -> None:
    path.unlink()  # never through the link into DVC's cache
    table.to_csv(path, index=False)


def test_other_frames_are_refused_and_the_other_part_still_compares(inside: Clone) -> None:
    scores = inside.folder / revisions.SCORES
    table = pd.read_csv(scores, dtype={"video": str})
    rewrite(scores, table.drop(table.index[table["split"] == "validation"][:2]))
    with pytest.raises(VadError) as refused:
        compare.compare(("HEAD", "workspace"), PARTS, draws=5)
    message = str(refused.value)
    assert message.startswith("validation: 2 frames, the first clip ") and "are scored in HEAD alone" in message
    assert message.endswith("; or leave the validation out with --part") and "\n" not in message
    result, _ = compare.compare(("HEAD", "workspace"), ["benchmark"], draws=5)
    assert list(result["parts"]) == ["benchmark"]


def test_labels_of_one_side_or_of_none_are_said(inside: Clone) -> None:
    scores = inside.folder / revisions.SCORES
    table = pd.read_csv(scores, dtype={"video": str})
    rewrite(scores, table[table["split"] == "validation"])
    with pytest.raises(VadError, match=r"^benchmark: HEAD alone has labels for it; leave it out with --part"):
        compare.compare(("HEAD", "workspace"), PARTS, draws=5)
    assert list(compare.compare(("workspace", "workspace"), PARTS, draws=5)[0]["parts"]) == ["validation"]
    with pytest.raises(VadError, match="no labels for the benchmark"):
        compare.compare(("workspace", "workspace"), ["benchmark"], draws=5)


def test_what_is_wrong_with_a_revision_s_table_names_the_revision(inside: Clone) -> None:
    path = inside.folder / revisions.SCORES
    rewrite(path, pd.read_csv(path, dtype={"video": str}).drop(columns="score"))
    with pytest.raises(VadError, match=r"^data/labelled_scores.csv: no column score"):
        revisions.read("workspace")


def test_parameters_are_named_by_their_dotted_keys() -> None:
    values = {"seed": 1, "train": {"epochs": 10, "tta": ["a"]}, "empty": {}}
    assert revisions.parameters(values) == {"seed": 1, "train.epochs": 10, "train.tta": ["a"], "empty": {}}
