"""`best` is what the rule chooses among the candidates, and the page says what was measured."""

import copy

import pandas as pd
import pytest
from scipy.stats import spearmanr

from experiments import ablations, candidates, choice


def small() -> dict:
    return {
        "data": ["one", "two"],
        "kept": [],
        "tie": 0.02,
        "maps": [["flow"], ["flow", "background"]],
        "pools": [["max"]],
        "fusions": [["calibrated_log", "sum"]],
        "sigmas": [0, 5],
    }


def measured(*values: float) -> dict:
    return {
        "candidates": {
            name: {"validation": value, "ap": 0.5, "auroc": 0.5}
            for name, value in zip(candidates.candidates(small()), values, strict=True)
        }
    }


def test_candidates_are_every_combination_and_carry_their_parameters() -> None:
    found = candidates.candidates(small())
    assert list(found) == [
        "flow max log sum 0",
        "flow max log sum 5",
        "flow+background max log sum 0",
        "flow+background max log sum 5",
    ]
    last = found["flow+background max log sum 5"]
    assert last.components == 2 and last.set["aggregate.weights"] == {"flow_max": 1.0, "background_max": 1.0}
    assert last.set["aggregate.smooth.method"] == "gaussian" and last.set["aggregate.smooth.sigma"] == 5.0


def test_of_those_that_tie_the_fewest_components_win_and_of_these_the_highest() -> None:
    found = {"one": measured(0.60, 0.61, 0.62, 0.50), "two": measured(0.60, 0.60, 0.60, 0.50)}
    assert choice.tied(small(), found) == ["flow max log sum 5", "flow max log sum 0", "flow+background max log sum 0"]


def test_data_that_is_kept_has_no_part_in_the_choice() -> None:
    stated, found = candidates.stated(), choice.read()
    kept = copy.deepcopy(found)
    for name in set(kept) - set(stated["data"]):
        for figures in kept[name]["candidates"].values():
            figures["validation"] = 0.0
    assert choice.tied(stated, kept) == choice.tied(stated, found)


def test_the_best_recipe_is_what_the_rule_chooses() -> None:
    stated = candidates.stated()
    chosen = choice.tied(stated, choice.read())[0]
    wanted = stated["set"] | candidates.candidates(stated)[chosen].set
    assert ablations.load_recipes()[candidates.BEST].set == wanted, f"make `best` {chosen}"


def test_the_page_is_what_was_measured() -> None:
    remedy = "run `python -m experiments.choice`"
    assert choice.page() == choice.PAGE.read_text(encoding="utf-8"), remedy
    readme = choice.README.read_text(encoding="utf-8")
    assert choice.in_readme(readme) == readme, remedy


@pytest.mark.parametrize("data", ["ped2-replica", "avenue-replica", "ped1-replica"])
def test_left_out_clips_are_about_as_rare_as_they_should_be(data: str) -> None:
    for component, found in choice.read()[data]["left_out"].items():
        assert 0.01 < found["beyond"] < 0.2, component


def test_where_a_hold_out_has_too_few_events_its_kinds_are_counted() -> None:
    folds = {"events": {"close": 4, "fast": 3, "patch": 5}}
    assert choice._too_few(folds) == ""
    assert choice._too_few(folds | {"hold_out": {"events": {"close": 3, "fast": 3, "patch": 3}}}) == ""
    assert choice._too_few(folds | {"hold_out": {"events": {"close": 3, "fast": 1}}}) == "; 2 of 3 kinds"


@pytest.mark.parametrize("data", ["sample", "ped2-replica", "avenue-replica", "ped1-replica"])
def test_how_far_validation_is_trusted_is_that_of_the_candidates_recorded(data: str) -> None:
    measured = choice.read()[data]
    own = pd.DataFrame(measured["candidates"]).T
    value, low, high = measured["trust"]["correlation"]
    assert low <= value <= high and value == pytest.approx(spearmanr(own["validation"], own["ap"]).statistic, abs=0.01)
    regret = own["ap"].max() - own.loc[choice.tied(candidates.stated(), choice.read())[0], "ap"]
    assert measured["trust"]["regret"][0] == pytest.approx(regret, abs=0.001)
