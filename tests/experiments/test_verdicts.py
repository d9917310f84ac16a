"""Verdicts follow the rule that was written down, and the failure analysis is made of the results alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import ablations, failure_analysis, oracle, past_the_ceiling, verdicts
from experiments.verdicts import FIGURE, HOLDS, OPEN, REFUTED, SHOWN, UNTESTED
from vad.evaluation import metrics

BORDER = 0.01


def result(difference: float, half: float, *, clips: int = 12, against: str = "base", **more: Any) -> dict[str, Any]:
    """A result whose AP differs by `difference` with an interval of `half` to either side."""
    interval = {"low": difference - half, "high": difference + half, "p": 0.5}
    resampled = {"clips": {FIGURE: interval}}
    if clips < 10:
        resampled["blocks"] = {FIGURE: interval}
    compared = {FIGURE: {"difference": difference}, "resampled": resampled}
    figures = {FIGURE: 0.4, f"{FIGURE}_low": 0.35, f"{FIGURE}_high": 0.45, "prevalence": 0.2456, "clips": clips}
    figures |= {"bootstrap": {"descriptive": clips < 10}, "kinds": {}}
    stated = {"against": against, "set": {"gamma": 2.0}, "figures": {"benchmark": figures}}
    return stated | {"difference": {"benchmark": compared}, "groups": {}} | more


def claim(*tests: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {1: {"claim": "It harms.", "tests": list(tests)}}


@pytest.mark.parametrize(
    ("difference", "half", "word"),
    [
        (-0.05, 0.02, HOLDS),
        (0.05, 0.02, REFUTED),
        (0.0, 0.005, REFUTED),  # whatever it does, it does no harm of interest
        (-0.03, 0.05, OPEN),
        (-0.015, 0.01, OPEN),
        (0.0, 0.0, REFUTED),
    ],
)
def test_a_verdict_takes_an_interval_wholly_on_one_side_of_the_effect_of_interest(
    difference: float, half: float, word: str
) -> None:
    judged = verdicts.judge(claim({"experiment": "a", "sign": -1}), {"a": result(difference, half)}, BORDER)
    assert judged[1].word == word


def test_an_open_question_says_how_many_clips_it_would_take() -> None:
    results = {"a": result(-0.05, 0.08), "b": result(-0.05, 0.08)}
    judged = verdicts.judge(claim({"experiment": "a", "sign": -1}), results, BORDER)
    assert judged[1].word == OPEN and judged[1].clips_needed == pytest.approx(12 * (0.08 / 0.04) ** 2, abs=1)
    two = {n: claim({"experiment": name, "sign": -1})[1] for n, name in enumerate("ab")}
    assert verdicts.judge(two, results, BORDER)[0].clips_needed > judged[1].clips_needed
    tests = ({"experiment": "a", "sign": -1}, {"experiment": "not run", "sign": -1})
    assert verdicts.judge(claim(*tests), results, BORDER)[1].clips_needed == 0


def test_a_refutation_by_one_of_several_tests_is_paid_for() -> None:
    results = {"a": result(0.03, 0.019), "b": result(-0.05, 0.3)}
    one, both = ({"experiment": name, "sign": -1} for name in "ab")
    alone = verdicts.judge(claim(one), results, BORDER)[1]
    assert alone.word == REFUTED
    assert verdicts.judge(claim(one, both), results, BORDER)[1].p == pytest.approx(2 * alone.p)


def test_all_tests_must_hold_and_one_refutes() -> None:
    both = claim({"experiment": "a", "sign": -1}, {"experiment": "b", "sign": 1})
    holds, harms, unclear = result(-0.05, 0.01), result(-0.05, 0.01), result(0.02, 0.1)
    assert verdicts.judge(both, {"a": holds, "b": result(0.05, 0.01)}, BORDER)[1].word == HOLDS
    assert verdicts.judge(both, {"a": holds, "b": harms}, BORDER)[1].word == REFUTED
    assert verdicts.judge(both, {"a": holds, "b": unclear}, BORDER)[1].word == OPEN
    assert verdicts.judge(both, {"a": holds}, BORDER)[1].word == OPEN
    assert verdicts.judge(both, {}, BORDER)[1].word == UNTESTED


def test_few_clips_give_a_verdict_in_brackets() -> None:
    judged = verdicts.judge(claim({"experiment": "a", "sign": -1}), {"a": result(-0.05, 0.01, clips=6)}, BORDER)
    assert str(judged[1]) == "(holds)"


def test_many_claims_make_each_verdict_harder() -> None:
    results = {name: result(-0.035, 0.0199) for name in "abcdefghijkl"}
    alone = verdicts.judge(claim({"experiment": "a", "sign": -1}), results, BORDER)
    claims = {n: {"claim": "", "tests": [{"experiment": name, "sign": -1}]} for n, name in enumerate("abcdefghijkl")}
    assert alone[1].word == HOLDS
    assert {verdict.word for verdict in verdicts.judge(claims, results, BORDER).values()} == {OPEN}


def test_holm_s_correction_multiplies_by_what_is_left_and_never_falls() -> None:
    corrected = verdicts.holm({1: 0.01, 2: 0.04, 3: 0.03, 4: 0.9})
    assert corrected == pytest.approx({1: 0.04, 3: 0.09, 2: 0.09, 4: 0.9})


def test_training_anew_widens_the_interval_by_the_luck_of_seeds() -> None:
    results = {name: result(0, 0) for name in verdicts.SEEDS}
    for name, ap in zip(verdicts.SEEDS, (0.40, 0.42, 0.38, 0.44, 0.36), strict=True):
        results[name]["figures"]["benchmark"][FIGURE] = ap
    spread = np.std([0.40, 0.42, 0.38, 0.44, 0.36], ddof=1)
    test = {"experiment": "other", "sign": 1}
    results["other"] = result(0.05, 0.02, set={"train.encoder": "vit_b_16"})
    effect = verdicts.effect_of_test(test, results)
    assert effect and effect.error == pytest.approx(np.hypot(0.02 / 1.96, np.sqrt(2) * spread), rel=1e-3)
    results["again"] = result(0.07, 0.02, set={"train.encoder": "vit_b_16", "seed": 1})
    effect = verdicts.effect_of_test(test | {"seeds": ["again"]}, results)
    assert effect and effect.value == pytest.approx(0.06)
    assert effect.error == pytest.approx(np.hypot(0.02 / 1.96, np.std([0.05, 0.07], ddof=1) / np.sqrt(2)), rel=1e-3)


def test_without_a_spread_of_seeds_a_new_training_decides_nothing() -> None:
    other = result(-0.2, 0.01, set={"train.encoder": "vit_b_16"})
    claims = claim({"experiment": "other", "sign": -1})
    assert verdicts.judge(claims, {"other": other, "bf16": result(0, 0)}, BORDER)[1].word == UNTESTED
    assert (
        verdicts.judge(claims, {"other": other, "bf16": result(0, 0), "seed_1": result(0, 0)}, BORDER)[1].word == HOLDS
    )


def test_a_group_of_frames_and_chance_can_be_what_a_test_is_about() -> None:
    found = {"a": result(0.0, 0.0)}
    found["a"]["groups"]["noisy"] = result(-0.2, 0.05)["difference"]["benchmark"]
    effect = verdicts.effect_of_test({"experiment": "a", "sign": -1, "group": "noisy"}, found)
    assert effect and (effect.value, effect.low, effect.high) == pytest.approx((0.2, 0.15, 0.25))
    assert verdicts.effect_of_test({"experiment": "a", "sign": 1, "group": "flipped"}, found) is None
    over = verdicts.effect_of_test({"experiment": "a", "sign": 1, "against": "chance"}, found)
    assert over and (over.value, over.low) == pytest.approx((0.4 - 0.2456, 0.35 - 0.2456))


def test_one_example_shows_that_a_kind_can_gain_while_the_whole_loses() -> None:
    base, other = result(0, 0), result(-0.05, 0.1)
    base["figures"]["benchmark"]["kinds"] = {"running": {FIGURE: 0.2}, "close": {FIGURE: 0.5}}
    other["figures"]["benchmark"]["kinds"] = {"running": {FIGURE: 0.3}, "close": {FIGURE: 0.1}}
    results = {"base": base, "other": other, "oracle": {"oracle": "tuned on the test labels"}}
    assert verdicts.opposed(results, BORDER) == [("other", "running", pytest.approx(0.1), -0.05)]
    anything = claim({"experiment": "any", "sign": -1, "kind": "any"})
    assert verdicts.judge(anything, results, BORDER)[1].word == SHOWN
    assert verdicts.judge(anything, {"base": base}, BORDER)[1].word == OPEN


def test_the_mixture_of_the_oracle_is_the_best_that_its_steps_reach() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(200) % 4 == 0).astype(int)
    halves = [np.where(np.arange(200) < 100, labels, 0), np.where(np.arange(200) >= 100, labels, 0)]
    values = pd.DataFrame({name: 3 * half + rng.normal(size=200) for name, half in zip("ab", halves, strict=True)})
    values["noise"] = rng.normal(size=200)
    shares, best = oracle.greedy_mixture(values, labels, 0.2456)
    assert set(shares) >= {"a", "b"} and sum(shares.values()) == pytest.approx(1)
    alone = [metrics.ap_at_prevalence(labels, values[name].to_numpy(), 0.2456) for name in values]
    assert best > max(alone) + 0.1
    mixed = sum(share * values[name] for name, share in shares.items())
    assert metrics.ap_at_prevalence(labels, mixed.to_numpy(), 0.2456) == pytest.approx(best)


def test_the_failure_analysis_is_what_the_results_say() -> None:
    page = failure_analysis.PAGE.read_text(encoding="utf-8")
    assert failure_analysis.page() == page, "run `python -m experiments.failure_analysis`"
    assert len(list(Path(ablations.RESULTS).glob("*/base.json"))) >= 2


def test_the_page_past_the_ceiling_is_what_the_results_say() -> None:
    remedy = "run `python -m experiments.past_the_ceiling`"
    assert past_the_ceiling.page() == past_the_ceiling.PAGE.read_text(encoding="utf-8"), remedy


def test_the_former_best_is_the_candidate_that_held_out_clips_choose() -> None:
    stated, experiments, found = past_the_ceiling.read()
    assert {*stated["candidates"], *stated["later"]} <= set(experiments)
    chosen = past_the_ceiling.chosen(stated, experiments, found)
    assert chosen == "blocks"


ENABLED = {"predict.enabled": True, "memory.enabled": True}


@pytest.mark.parametrize(("features", "trained"), [("autoencoder", 2), ("predictor", 1), ("resnet18", 1)])
def test_a_memory_trains_what_it_sees_with(features: str, trained: int) -> None:
    settings = {"memory.features": features, "aggregate.weights": {"prediction_max": 1, "memory_max": 1}} | ENABLED
    assert ablations.Experiment("one", 0, settings).networks() == trained


def test_within_the_tie_the_candidate_that_trains_less_is_chosen() -> None:
    weights = {"plain": {"flow_max": 1}, "network": {"flow_max": 1, "memory_max": 1}, "worse": {"background_max": 1}}
    weights["both"] = {"pixel_l1": 1, "prediction_max": 1}
    switched = {"plain": [], "network": ["memory"], "worse": [], "both": ["predict"]}
    experiments = {
        name: ablations.Experiment(
            name, 0, {"aggregate.weights": chosen} | {f"{stage}.enabled": True for stage in switched[name]}
        )
        for name, chosen in weights.items()
    }
    assert [experiments[name].networks() for name in weights] == [0, 1, 0, 2]
    scores = {"plain": 0.79, "network": 0.80, "worse": 0.785, "both": 0.81}
    found = {"data": {name: {"figures": {"validation": {FIGURE: ap}}} for name, ap in scores.items()}}
    stated = {"candidates": list(scores), "later": [], "chosen_on": ["data"], "tie": 0.02}
    assert past_the_ceiling.chosen(stated, experiments, found) == "plain"
    assert past_the_ceiling.chosen(stated | {"tie": 0.015}, experiments, found) == "network"
    for ap, expected in ((0.809, "plain"), (0.811, "late")):
        with_late = {"data": found["data"] | {"late": {"figures": {"validation": {FIGURE: ap}}}}}
        assert past_the_ceiling.chosen(stated | {"later": ["late"]}, experiments, with_late) == expected
    assert past_the_ceiling.chosen(stated | {"tie": 0.0}, experiments, found) == "both"
