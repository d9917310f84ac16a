"""The ablations: each a real experiment of its own, none stops the rest, and what has run is not run again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from experiments import ablations, costs, results
from experiments.experiment import BASE, Experiment, overrides
from project import workspaces
from tests.clone import Clone, ran
from vad import VadError, params

TOP = Path(__file__).parents[2]
DEFAULT = yaml.safe_load((TOP / "params.yaml").read_text())
STATED, EXPERIMENTS = ablations.load()


def applied(experiment: Experiment, path: Path) -> params.Params:
    """The parameters with which an experiment runs, read as the stages read them."""
    values = yaml.safe_load(yaml.safe_dump(DEFAULT))
    for argument in overrides(experiment.set, DEFAULT)[1::2]:
        key, value = argument.lstrip("+").split("=", 1)
        *sections, last = key.split(".")
        target = values
        for section in sections:
            target = target[section]
        assert argument.startswith("+") != (last in target), argument
        target[last] = yaml.safe_load(value)
    path.write_text(yaml.safe_dump(values))
    return params.load(path)


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != BASE])
def test_every_experiment_is_valid_and_changes_something(name: str, tmp_path: Path) -> None:
    changed = applied(EXPERIMENTS[name], tmp_path / "params.yaml")
    assert changed != params.load(TOP / "params.yaml")
    weights = EXPERIMENTS[name].set.get("aggregate.weights")
    if weights:
        assert {key: value for key, value in changed.aggregate.weights.items() if value} == weights


def test_no_two_experiments_are_the_same() -> None:
    settings = [json.dumps([experiment.set, experiment.against], sort_keys=True) for experiment in EXPERIMENTS.values()]
    assert len(set(settings)) == len(settings)


def test_every_claim_is_tested_by_an_experiment_that_is_there() -> None:
    assert sorted(STATED["claims"]) == list(range(1, 13))
    for claim in STATED["claims"].values():
        for test in claim["tests"]:
            assert test["experiment"] in {*EXPERIMENTS, "any"} and test["sign"] in (1, -1)


def test_at_least_forty_need_neither_training_nor_inference() -> None:
    assert sum(experiment.cost() == 0 for experiment in EXPERIMENTS.values()) >= 40
    assert EXPERIMENTS["jpeg_10"].cost() == 1 and EXPERIMENTS["seed_1"].cost() == 2


def test_what_is_compared_with_runs_first_even_when_not_asked_for() -> None:
    names = [experiment.name for experiment in ablations.chosen(EXPERIMENTS, "sample", ["l2_top", "per_video"])]
    assert names == [BASE, "per_video", "pixel_alone", "l2_top"]
    on_sample = {experiment.name for experiment in ablations.chosen(EXPERIMENTS, "sample", [])}
    assert "seed_1" in on_sample and "convnext_tiny_seed_1" not in on_sample
    with pytest.raises(VadError, match="nowhere: no such experiment"):
        ablations.chosen(EXPERIMENTS, "sample", ["nowhere"])


def test_other_encoders_come_last_and_what_it_will_take_is_said_first() -> None:
    wanted = ablations.chosen(EXPERIMENTS, "ped2-replica", [])
    costly = [experiment.cost() for experiment in wanted]
    first = costly.index(3)
    assert set(costly[first:]) == {3} and 2 in costly[:first]
    minutes = {name: costs.minutes(EXPERIMENTS[name], "ped2-replica", {}) for name in ("base", "per_video", "vit_b_16")}
    assert minutes["per_video"] < minutes["base"] < minutes["vit_b_16"]
    recorded = {"ped2-replica": {"vit_b_16": {"minutes": 100.0}}}
    said = costs.told("ped2-replica", [EXPERIMENTS[name] for name in ("base", "per_video", "vit_b_16")], recorded)
    assert said.startswith("ped2-replica: 3 experiments, some 110 minutes") and "vit_b_16 100" in said
    assert "none was timed" in costs.told("ped1-replica-3", wanted, {})


def test_motion_alone_is_compared_without_a_network() -> None:
    wanted = ablations.chosen(EXPERIMENTS, "ped2", ["still_and_flow"])
    assert [experiment.name for experiment in wanted] == ["still", "still_and_flow"]
    assert not any(experiment.networks() for experiment in wanted)


def test_clips_cut_from_one_video_and_scenes_are_named_once() -> None:
    assert workspaces.scenes()["ped2"] == ["ped2-replica", "ped2-replica-2", "ped2-replica-3"]
    assert set(workspaces.sources("avenue-replica-3").values()) == {"training 10"}
    assert workspaces.sources("ped2") == {}


def test_clips_from_other_seeds_are_scored_by_the_network_of_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert workspaces.seeds()["sample"][:2] == ["sample", "sample-8"] and len(workspaces.seeds()["sample"]) == 8
    monkeypatch.setattr(workspaces, "WORKSPACES", tmp_path)
    with pytest.raises(
        VadError, match="sample-8: it is scored by sample's network; run the experiments on sample first"
    ):
        workspaces.data_parameters("sample-8")
    weights = tmp_path / "sample" / "models" / "autoencoder.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert workspaces.data_parameters("sample-8") == {"data.sample_seed": 8, "train.weights": str(weights)}


def test_a_variable_that_is_not_set_is_named() -> None:
    assert workspaces.data_parameters("ped2", {"VAD_REAL_DATA": "/clips"})["data.root"] == "/clips/ped2"
    with pytest.raises(VadError, match="ped2: VAD_REAL_DATA is not set"):
        workspaces.data_parameters("ped2", {})
    with pytest.raises(VadError, match=r"nowhere: no such data set; experiments/datasets.yaml has sample"):
        workspaces.data_parameters("nowhere", {})


@pytest.fixture
def laboratory(clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The ablations pointed at the tiny clone instead of the project; yields the folder of results."""
    (tmp_path / "datasets.yaml").write_text("tiny: {set: {data.root: '${TINY}'}}\n")
    experiments = {
        "sharper": {"claim": 6, "set": {"gamma_on": "view", "gamma": 3.0}},
        "wrong": {"claim": 6, "set": {"gamma": 99.0}},
        "after_wrong": {"claim": 6, "against": "wrong", "set": {"gamma": 2.0}},
        "softer": {"claim": 6, "set": {"gamma": 1.0}},
        "copied": {"claim": 6, "set": {"validation.copies": 2}},
        "faster": {"claim": 3, "set": {"train.learning_rate": 0.001}},
        "moving": {"claim": 12, "against": "moving", "set": {"aggregate.weights": {"flow_local": 1}}},
    }
    (tmp_path / "ablations.yaml").write_text(
        yaml.safe_dump({"claims": {}, "experiments": experiments}, sort_keys=False)
    )
    monkeypatch.setenv("TINY", str(clone.root))
    monkeypatch.setattr(workspaces, "TOP", clone.folder)
    monkeypatch.setattr(workspaces, "DATASETS", tmp_path / "datasets.yaml")
    monkeypatch.setattr(workspaces, "WORKSPACES", tmp_path / "workspaces")
    monkeypatch.setattr(ablations, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(ablations.load, "__defaults__", (tmp_path / "ablations.yaml", None))
    yield tmp_path / "results" / "tiny"


@pytest.mark.slow
def test_experiments_run_as_dvc_experiments_and_one_failure_does_not_stop_the_rest(
    laboratory: Path, clone: Clone, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = clone.outputs()
    # Where nothing takes a network, none is trained, for the base neither.
    assert ablations.main(["tiny"], ["moving"]) == 0
    assert json.loads((workspaces.WORKSPACES / "tiny/metrics/train.json").read_text()) == {"needed": False}
    assert capsys.readouterr().out.startswith("tiny: 1 experiments; none was timed on this data set\n")
    assert ablations.main(["tiny"], []) == 1
    printed = capsys.readouterr()
    assert "tiny: 8 experiments in" in printed.out
    problems = printed.err.splitlines()
    assert len(problems) == 2 and "gamma = 99.0: must be a number above 0 and up to 10" in problems[0]
    assert problems[1] == "tiny after_wrong: wrong, which it is compared with, failed"
    found = {path.stem: json.loads(path.read_text()) for path in laboratory.iterdir()}
    assert set(found) == {"base", "sharper", "softer", "faster", "copied", "moving"}
    assert found["base"]["minutes"] > 0 and found["moving"]["difference"]["benchmark"]["ranking"]["same"]
    assert found["sharper"]["difference"]["benchmark"]["resampled"]["videos"]["units"] == 3
    assert found["softer"]["difference"]["benchmark"]["ap"]["difference"] == 0
    assert found["softer"]["difference"]["benchmark"]["ranking"]["same"] is True
    assert found["sharper"]["difference"]["benchmark"]["ranking"]["same"] is False
    assert {row["name"] for row in found["sharper"]["difference"]["benchmark"]["by_clip"]} == {"01", "02", "03"}
    assert found["base"]["figures"]["benchmark"]["ap"] == clone.metrics()["benchmark"]["ap"]
    assert found["base"]["curve"]["steps"][0] == 0 < found["base"]["curve"]["steps"][1]
    assert set(found["base"]["curve"]) == set(results.CURVE) and "curve" not in found["sharper"]  # nothing was trained
    assert found["faster"]["curve"]["holdout"] != found["base"]["curve"]["holdout"]
    clips = {name: found[name]["figures"]["validation"]["clips"] for name in ("base", "copied")}
    assert clips["copied"] == 2 * clips["base"]
    assert set(found["copied"]["difference"]) == {"benchmark"} < set(found["softer"]["difference"])
    assert clone.outputs() == before
    folder = workspaces.WORKSPACES / "tiny"
    listed = "".join(workspaces.dvc(folder, "exp", "list", "--name-only"))
    assert "sharper" in listed and "softer" in listed

    # A start that was cut off before anything was computed.
    kept = workspaces.git(folder, "show", "base:dvc.lock")
    workspaces.prepare("tiny")
    assert workspaces.git(folder, "show", "base:dvc.lock") == kept

    commands = []
    real = workspaces.dvc
    monkeypatch.setattr(workspaces, "dvc", lambda folder, *command: commands.append(command) or real(folder, *command))
    assert ablations.main(["tiny"], ["softer", "sharper"]) == 0
    assert commands == [("checkout", "--force", "--allow-missing"), ("repro",)]
    assert ran("\n".join(real(folder, "repro"))) == []
    again = "\n".join(real(folder, "exp", "run", "-S", "train.learning_rate=0.001"))
    assert "Stage 'train' is cached" in again and "train" not in ran(again)
