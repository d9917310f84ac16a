"""The pipeline as a user runs it: the real `dvc` in a fresh clone, on clips of one's own, tiny ones."""

import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from sklearn.metrics import average_precision_score

from tests.clone import Clone, ran, settings
from tests.tiny_clips import walking_square, write_frames


def test_a_second_repro_does_nothing(clone: Clone) -> None:
    assert ran(clone.run("dvc", "repro")) == []
    assert up_to_date(clone)


def up_to_date(clone: Clone) -> bool:
    """Whether `dvc status` finds nothing that changed; `check` is never up to date."""
    return json.loads(clone.run("dvc", "status", "--json")) == {"check": ["always changed"]}


def test_every_test_frame_is_submitted_once(clone: Clone) -> None:
    rows = pd.read_csv(clone.folder / "submission.csv")
    assert rows["Id"].tolist() == [f"{clip}_{frame}" for clip in (1, 2, 3) for frame in range(3, 33)]
    assert rows["Predicted"].nunique() > 80


def test_benchmark_ap_is_that_of_the_submission_against_the_labels(clone: Clone) -> None:
    truth = pd.read_csv(clone.root / "labels.csv")
    truth["Id"] = truth["video"].astype(str) + "_" + truth["frame"].astype(str)
    both = pd.read_csv(clone.folder / "submission.csv").merge(truth, on="Id")
    expected = average_precision_score(both["label"], both["Predicted"])
    benchmark = clone.metrics()["benchmark"]
    assert benchmark["ap"] == pytest.approx(expected, rel=1e-12)
    assert list(benchmark["kinds"]) == ["running"]
    assert benchmark["bootstrap"]["descriptive"] is True
    shares = pd.read_csv(clone.folder / "metrics" / "shares.csv").query("part == 'benchmark'")
    assert shares.groupby("scope")["ap_share"].sum().tolist() == pytest.approx([expected] * 2)


def test_validation_is_made_of_held_out_frames_that_neither_training_nor_calibration_saw(clone: Clone) -> None:
    index = pd.read_csv(clone.folder / "data/frames/index.csv", dtype=str)
    parts = {split: set(zip(rows["video"], rows["frame"], strict=True)) for split, rows in index.groupby("split")}
    assert set(parts) == {"train", "holdout", "validation", "test"}
    assert not parts["train"] & parts["holdout"] and not parts["validation"] & (parts["train"] | parts["holdout"])
    labels = pd.read_csv(clone.folder / "data/validation/labels.csv", dtype=str)
    copied = set(zip(labels["video"].str.rsplit("-", n=1).str[0], labels["frame"], strict=True))
    assert copied <= parts["validation"]
    assert set(labels["label"]) == {"0", "1"}
    assert clone.metrics()["validation"]["positives"] == (labels["label"] == "1").sum()


def test_the_model_that_scored_is_the_one_that_was_trained(clone: Clone) -> None:
    from vad.models import saving

    origin = saving.read_origin(clone.folder / "models/autoencoder.safetensors")
    assert origin["train"]["epochs"] == 1 and origin["seed"] == 82 and len(origin["data"]) == 32
    curve = pd.read_csv(clone.folder / "metrics/plots/loss.csv")
    assert curve.columns.tolist()[:4] == ["epoch", "train", "train_eval", "holdout"]
    assert curve["epoch"].tolist() == [0, 1]


def test_plots_and_metrics_are_shown_by_dvc(clone: Clone) -> None:
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json"))
    data = shown[""]["data"]["metrics/summary.json"]["data"]
    assert data["ap"] == round(clone.metrics()["benchmark"]["ap"], 4)
    clone.run("dvc", "plots", "show")
    page = (clone.folder / "dvc_plots" / "index.html").read_text()
    assert "Precision and recall" in page and "Loss per epoch" in page
    for name in ("benchmark_timeline.png", "validation_timeline.png"):
        assert (clone.folder / "metrics/plots/evaluation" / name).read_bytes().startswith(b"\x89PNG")


def test_gamma_reruns_scoring_alone_and_cannot_change_the_ranking(restored: Clone) -> None:
    before = restored.metrics()
    printed = restored.run("dvc", "exp", "run", "-S", "gamma=1.2", "-n", "softer")
    assert ran(printed) == ["aggregate", "evaluate", "submission"]
    after = restored.metrics()
    for part in ("validation", "benchmark"):
        assert after[part]["ranking"] == before[part]["ranking"]
        assert after[part]["ap"] - before[part]["ap"] == 0
    assert " ap " not in restored.run("dvc", "metrics", "diff")  # nothing of it changed
    assert "softer" in restored.run("dvc", "exp", "show", "--no-pager", "--csv")


def test_gamma_on_views_changes_the_ranking(restored: Clone) -> None:
    before = restored.metrics()["benchmark"]["ranking"]
    restored.run("dvc", "exp", "remove", "--rev", "HEAD")  # other tests' experiments: what they changed has columns too
    printed = restored.run("dvc", "exp", "run", "--name", "on-views", "-S", "gamma_on=view", "-S", "gamma=3")
    assert ran(printed) == ["aggregate", "evaluate", "submission"]
    assert restored.metrics()["benchmark"]["ranking"] != before
    changed = restored.run("dvc", "metrics", "diff").splitlines()
    assert 3 <= len(changed) <= 11 and {"ap", "rank"} <= {line.split()[1] for line in changed[1:]}
    narrow = {"COLUMNS": "120"}
    for command in (("metrics", "diff"), ("metrics", "show"), ("exp", "show", "--only-changed", "--no-pager")):
        printed = restored.run("dvc", *command, environment=narrow)
        assert max(map(len, printed.splitlines())) <= 120, printed
    few = "--drop", ".*(csv|yaml|auc|rank)$"  # as the README has it: the changed parameters are in sight, too
    heads = restored.run("dvc", "exp", "show", "--only-changed", *few, environment=narrow).splitlines()[1]
    assert {"ap", "gamma", "gamma_on"} <= set(heads.split()) and len(heads.rstrip()) <= 120


def test_what_is_not_weighed_is_not_computed_and_the_way_back_computes_nothing(restored: Clone) -> None:
    printed = restored.run("dvc", "exp", "run", "-S", "aggregate.weights.layer3=0.5")
    assert ran(printed) == ["aggregate", "evaluate", "submission"]
    restored.set(**{"aggregate.weights": {"flow_local": 1.0}, "aggregate.normalise": "calibrated"})
    restored.run("dvc", "repro")  # run, or out of the run cache where another test was there before
    assert json.loads((restored.folder / "metrics/train.json").read_text()) == {"needed": False}
    assert "loss" not in json.loads((restored.folder / "metrics/summary.json").read_text())
    restored.set(**{"aggregate.weights": {"flow_local": 1.0, "change_local": 1.0}})
    assert ran(restored.run("dvc", "repro")) == ["aggregate", "evaluate", "submission"]
    restored.run("git", "checkout", "params.yaml")
    printed = restored.run("dvc", "repro")
    assert not {"train", "infer", "motion", "train_predictor"} & set(ran(printed)), printed


def test_nothing_that_a_newcomer_sees_is_a_warning(clone: Clone) -> None:
    assert "WARNING" not in clone.printed


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gamma=-1", "params.yaml: gamma = -1: must be a number above 0 and up to 10"),
        ("train.epochs=ten", "params.yaml: train.epochs = 'ten': must be an integer from 1 to 10000"),
        ("tta=[sideways]", "params.yaml: tta.0 = 'sideways': must be a list of identity, hflip, vflip, rot180"),
        ("data.root=nowhere", "params.yaml: data.root = 'nowhere': no such file or folder"),
    ],
)
def test_a_wrong_parameter_stops_at_once_and_every_output_is_still_there(
    restored: Clone, setting: str, message: str
) -> None:
    before = restored.outputs()
    printed = restored.run("dvc", "exp", "run", "-S", setting, fails=True)
    assert message in printed.splitlines() and "Traceback" not in printed
    assert ran(printed) == []
    assert restored.outputs() == before
    restored.run("git", "checkout", "params.yaml")
    assert up_to_date(restored)


def test_a_changed_clip_is_noticed_and_touches_that_clip_only(restored: Clone) -> None:
    folder = restored.folder / "data/frames/test"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.zip")}
    kept = restored.root / "testing" / "02"
    shutil.copytree(kept, restored.folder / "kept")
    shutil.rmtree(kept)
    write_frames(kept, walking_square(30, seed=99), first=3)
    printed = restored.run("dvc", "repro", "extract")
    assert ran(printed) == ["fetch", "extract"]
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.zip")}
    assert [name for name in before if before[name] != after[name]] == ["02.zip"]
    shutil.rmtree(kept)
    shutil.move(restored.folder / "kept", kept)


def test_other_test_clips_train_nothing_anew(restored: Clone) -> None:
    frame = restored.root / "testing" / "03" / "frame_00020.jpg"
    data = frame.read_bytes()
    frame.unlink()
    printed = restored.run("dvc", "repro", "infer", "train_predictor")
    assert "infer" in ran(printed) and not {"train", "train_predictor"} & set(ran(printed))
    frame.write_bytes(data)


def test_weights_of_the_reference_can_be_used_instead_of_training_and_others_in_their_file_are_noticed(
    restored: Clone,
) -> None:
    import torch

    from vad.models import autoencoder, saving

    def put(seed: int) -> None:
        torch.manual_seed(seed)
        torch.save(autoencoder.Autoencoder().state_dict(), restored.folder / "reference.pth")

    put(5)
    printed = restored.run("dvc", "exp", "run", "-S", "train.weights=reference.pth")
    assert "train" in ran(printed) and "epoch" not in printed
    origin = saving.read_origin(restored.folder / "models/autoencoder.safetensors")
    assert origin == {"weights": "reference.pth", "encoder": "resnet18"}
    assert ran(restored.run("dvc", "repro")) == []
    put(6)
    assert ran(restored.run("dvc", "repro", "infer")) == ["train", "infer"]


def test_a_submission_of_one_s_own_is_a_component_and_a_changed_one_is_noticed(restored: Clone) -> None:
    own, before = restored.folder / "friend.csv", restored.metrics()["benchmark"]["ranking"]
    shutil.copy(restored.folder / "submission.csv", own)
    weights = {"aggregate.weights": {"given": 1.0}, "aggregate.normalise": "calibrated"}
    restored.set(**{"data.scores": "friend.csv"} | weights)
    printed = restored.run("dvc", "repro")
    assert "given" in ran(printed) and not {"extract", "resize", "motion"} & set(ran(printed))
    assert restored.metrics()["benchmark"]["ranking"] == before
    assert restored.metrics()["validation"]["unjudged"] == ["given"]
    *rows, last = own.read_text().splitlines()
    own.write_text("\n".join([*rows, f"{last.split(',')[0]},1e9", ""]))
    assert ran(restored.run("dvc", "repro")) == ["given", "aggregate", "evaluate", "submission"]
    assert restored.metrics()["benchmark"]["ranking"] != before
    own.unlink()


def test_other_labels_of_the_benchmark_evaluate_again_and_touch_nothing_else(restored: Clone) -> None:
    truth = restored.folder / "truth.csv"
    shutil.copy(restored.root / "labels.csv", truth)
    restored.set(**{"data.benchmark_labels": "truth.csv"})
    assert ran(restored.run("dvc", "repro")) == ["evaluate"]
    before = restored.metrics()["benchmark"]
    truth.write_text(truth.read_text().replace("02,5,0", "02,5,1"))
    assert ran(restored.run("dvc", "repro")) == ["evaluate"]
    after = restored.metrics()["benchmark"]
    assert after["positives"] == before["positives"] + 1 and after["ranking"] == before["ranking"]
    truth.unlink()


def trainings(folder: Path) -> list[psutil.Process]:
    """The processes of a clone's stage `train`."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if process.info["cwd"] == str(folder.resolve()) and process.info["cmdline"][1:3] == ["-m", "stages.train"]
    ]


def last_kept(folder: Path) -> int:
    """When the newest checkpoint was written, in nanoseconds; 0 where there is none."""
    times = [0]
    for path in (folder / ".dvc/tmp/checkpoints").glob("[!.]*.safetensors"):
        with contextlib.suppress(FileNotFoundError):  # it is being replaced
            times.append(path.stat().st_mtime_ns)
    return max(times)


@pytest.mark.slow
def test_ending_dvc_ends_its_training_which_goes_on_to_the_weights_of_an_uninterrupted_one(restored: Clone) -> None:
    restored.set(**{"train.epochs": 8})
    weights = restored.folder / "models/autoencoder.safetensors"
    before = 0
    for shell in ("/bin/bash", "/bin/sh"):  # bash becomes the stage, many a sh waits for it
        dvc = subprocess.Popen(["dvc", "repro", "train"], cwd=restored.folder, env=settings() | {"SHELL": shell})
        while last_kept(restored.folder) == before:
            assert dvc.poll() is None
            time.sleep(0.05)
        running = trainings(restored.folder)
        assert len(running) == 1
        dvc.terminate()
        dvc.wait()
        psutil.wait_procs(running, 60)
        assert trainings(restored.folder) == [] and not weights.exists()
        before = last_kept(restored.folder)
    restored.run("dvc", "repro", "train")
    resumed = weights.read_bytes()
    assert last_kept(restored.folder) == 0
    restored.run("dvc", "repro", "--force", "--single-item", "train")
    assert weights.read_bytes() == resumed


def test_stages_say_how_they_are_called(clone: Clone) -> None:
    printed = clone.run("python", "-m", "stages.resize", fails=True)
    assert printed.strip() == "usage: python -m stages.resize NEEDED FRAMES VALIDATION DIAGNOSIS RESIZED"


def test_a_submission_edited_in_place_changes_nothing_in_the_cache(restored: Clone) -> None:
    path = restored.folder / "submission.csv"
    whole = path.read_bytes()
    with open(path, "r+b") as handle:
        handle.write(b"Id,Edited!")
    assert "submission.csv" in restored.run("dvc", "status")
    restored.run("dvc", "checkout", "--force", "submission.csv")
    assert path.read_bytes() == whole


def test_a_user_s_clips_in_the_place_of_an_output_survive_a_first_run(restored: Clone) -> None:
    own = restored.folder / "data" / "raw" / "holiday.avi"
    own.write_text("mine")
    printed = restored.run("dvc", "repro", "--force", "--single-item", "fetch", fails=True)
    assert "data/raw/holiday.avi: not made by the pipeline" in printed and own.read_text() == "mine"
    own.unlink()


TWO_AT_ONCE = """\
dvc repro --force --single-item train > .dvc/tmp/first 2>&1 & first=$!
until grep -q "Running stage 'train'" .dvc/tmp/first; do sleep 0.1; done
dvc repro --force --single-item train > .dvc/tmp/second 2>&1
second=$?
wait $first && exit $second
"""


def test_of_two_repros_at_once_one_says_so_and_the_other_ends_as_ever(restored: Clone) -> None:
    before = restored.outputs()
    restored.run("bash", "-c", TWO_AT_ONCE, fails=True)
    first, second = ((restored.folder / ".dvc/tmp" / name).read_text() for name in ("first", "second"))
    assert ran(first) == ["train"] and "ERROR" not in first, first
    assert "is busy" in second and "dvc repro" in second, second
    assert restored.outputs() == before
