"""Verdicts follow the rule that was written down, and the failure analysis is made of the results alone."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import (
    ablations,
    effects,
    evidence,
    failure_analysis,
    oracle,
    past_the_ceiling,
    pictures,
    prose,
    recipe_tables,
    verdicts,
)
from experiments.effects import BY_PERCENTILE, FIGURE, SEEDS, Effect, Results
from experiments.experiment import Experiment
from experiments.markdown import GUIDED
from experiments.verdicts import HOLDS, OPEN, REFUTED, SHOWN, UNTESTED, Verdict
from vad import VadError
from vad.evaluation import metrics

BORDER = 0.01


def result(difference: float, half: float, *, clips: int = 12, against: str = "base", **more: Any) -> dict[str, Any]:
    """A result whose AP differs by `difference` with an interval of `half` to either side."""
    interval = {"low": difference - half, "high": difference + half, "p": 0.5}
    resampled = {"clips": {FIGURE: interval, "units": clips}}
    if clips < 10:
        resampled["blocks"] = {FIGURE: interval}
    compared = {FIGURE: {"difference": difference}, "resampled": resampled}
    figures = {FIGURE: 0.4, f"{FIGURE}_low": 0.35, f"{FIGURE}_high": 0.45, "prevalence": 0.2456, "clips": clips}
    figures |= {"bootstrap": {"descriptive": clips < 10}, "kinds": {}}
    stated = {"against": against, "set": {"gamma": 2.0}, "figures": {"benchmark": figures}}
    return stated | {"difference": {"benchmark": compared}, "groups": {}} | more


VIDEOS = effects.over_videos(separate=True)


def judge(claims: dict[int, dict[str, Any]], results: Results) -> dict[int, Verdict]:
    """Verdicts by the intervals that were first, whose ends are those of the results here."""
    return verdicts.judge(claims, results, BORDER, BY_PERCENTILE)


def of_test(test: dict[str, Any], results: Results) -> Effect | None:
    return effects.of_test(test, results, BY_PERCENTILE)


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
    judged = judge(claim({"experiment": "a", "sign": -1}), {"a": result(difference, half)})
    assert judged[1].word == word


def test_an_open_question_says_how_many_videos_it_would_take() -> None:
    results = {"a": result(-0.05, 0.08), "b": result(-0.05, 0.08)}
    judged = judge(claim({"experiment": "a", "sign": -1}), results)
    assert judged[1].word == OPEN
    now = effects.around(0.05, 0.04, 12, degrees=11)
    needed = verdicts.videos_needed([now], BORDER, claims=1)
    for videos, decided in ((needed - 1, False), (needed, True)):
        error = 0.04 * (12 / videos) ** 0.5
        assert (effects.around(0.05, error, videos, degrees=videos - 1).low > BORDER) == decided
    assert verdicts.videos_needed([effects.around(0.05, 0.04, 12).widened(0.01, 2)], BORDER, claims=1) == 0
    two = {n: claim({"experiment": name, "sign": -1})[1] for n, name in enumerate("ab")}
    assert judge(two, results)[0].videos > judged[1].videos
    tests = ({"experiment": "a", "sign": -1}, {"experiment": "not run", "sign": -1})
    assert judge(claim(*tests), results)[1].videos == 0


def test_a_refutation_by_one_of_several_tests_is_paid_for() -> None:
    results = {"a": result(0.03, 0.019), "b": result(-0.05, 0.3)}
    one, both = ({"experiment": name, "sign": -1} for name in "ab")
    alone = judge(claim(one), results)[1]
    assert alone.word == REFUTED
    assert judge(claim(one, both), results)[1].p == pytest.approx(2 * alone.p)


def test_all_tests_must_hold_and_one_refutes() -> None:
    both = claim({"experiment": "a", "sign": -1}, {"experiment": "b", "sign": 1})
    holds, harms, unclear = result(-0.05, 0.01), result(-0.05, 0.01), result(0.02, 0.1)
    assert judge(both, {"a": holds, "b": result(0.05, 0.01)})[1].word == HOLDS
    assert judge(both, {"a": holds, "b": harms})[1].word == REFUTED
    assert judge(both, {"a": holds, "b": unclear})[1].word == OPEN
    assert judge(both, {"a": holds})[1].word == OPEN
    assert judge(both, {})[1].word == UNTESTED


def test_few_clips_give_a_verdict_in_brackets() -> None:
    judged = judge(claim({"experiment": "a", "sign": -1}), {"a": result(-0.05, 0.01, clips=6)})
    assert str(judged[1]) == "(holds)"


def test_many_claims_make_each_verdict_harder() -> None:
    results = {name: result(-0.035, 0.0199) for name in "abcdefghijkl"}
    alone = judge(claim({"experiment": "a", "sign": -1}), results)
    claims = {n: {"claim": "", "tests": [{"experiment": name, "sign": -1}]} for n, name in enumerate("abcdefghijkl")}
    assert alone[1].word == HOLDS
    assert {verdict.word for verdict in judge(claims, results).values()} == {OPEN}


def test_holm_s_correction_multiplies_by_what_is_left_and_never_falls() -> None:
    corrected = verdicts.holm({1: 0.01, 2: 0.04, 3: 0.03, 4: 0.9})
    assert corrected == pytest.approx({1: 0.04, 3: 0.09, 2: 0.09, 4: 0.9})


def test_training_anew_widens_the_interval_by_the_luck_of_seeds() -> None:
    results = {name: result(0, 0) for name in SEEDS}
    for name, ap in zip(SEEDS, (0.40, 0.42, 0.38, 0.44, 0.36), strict=True):
        results[name]["figures"]["benchmark"][FIGURE] = ap
    spread = np.std([0.40, 0.42, 0.38, 0.44, 0.36], ddof=1)
    test = {"experiment": "other", "sign": 1}
    results["other"] = result(0.05, 0.02, set={"train.encoder": "vit_b_16"})
    effect = of_test(test, results)
    assert effect and effect.error == pytest.approx(np.hypot(0.02 / 1.96, np.sqrt(2) * spread), rel=1e-3)
    results["again"] = result(0.07, 0.02, set={"train.encoder": "vit_b_16", "seed": 1})
    effect = of_test(test | {"seeds": ["again"]}, results)
    assert effect and effect.value == pytest.approx(0.06)
    assert effect.error == pytest.approx(np.hypot(0.02 / 1.96, np.std([0.05, 0.07], ddof=1) / np.sqrt(2)), rel=1e-3)


def test_without_a_spread_of_seeds_a_new_training_decides_nothing() -> None:
    other = result(-0.2, 0.01, set={"train.encoder": "vit_b_16"})
    claims = claim({"experiment": "other", "sign": -1})
    assert judge(claims, {"other": other, "bf16": result(0, 0)})[1].word == UNTESTED
    assert judge(claims, {"other": other, "bf16": result(0, 0), "seed_1": result(0, 0)})[1].word == HOLDS


def test_a_group_of_frames_and_chance_can_be_what_a_test_is_about() -> None:
    found = {"a": result(0.0, 0.0)}
    found["a"]["groups"]["noisy"] = result(-0.2, 0.05)["difference"]["benchmark"]
    effect = of_test({"experiment": "a", "sign": -1, "group": "noisy"}, found)
    assert effect and (effect.value, effect.low, effect.high) == pytest.approx((0.2, 0.15, 0.25))
    assert of_test({"experiment": "a", "sign": 1, "group": "flipped"}, found) is None
    over = of_test({"experiment": "a", "sign": 1, "against": "chance"}, found)
    assert over and (over.value, over.low) == pytest.approx((0.4 - 0.2456, 0.35 - 0.2456))


def test_one_example_shows_that_a_kind_can_gain_while_the_whole_loses() -> None:
    base, other = result(0, 0), result(-0.05, 0.1)
    base["figures"]["benchmark"]["kinds"] = {"running": {FIGURE: 0.2}, "close": {FIGURE: 0.5}}
    other["figures"]["benchmark"]["kinds"] = {"running": {FIGURE: 0.3}, "close": {FIGURE: 0.1}}
    results = {"base": base, "other": other, "oracle": {"oracle": "tuned on the test labels"}}
    assert verdicts.opposed(results, BORDER) == [("other", "running", pytest.approx(0.1), -0.05)]
    anything = claim({"experiment": "any", "sign": -1, "kind": "any"})
    assert judge(anything, results)[1].word == SHOWN
    assert judge(anything, {"base": base})[1].word == OPEN


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


def test_the_oracle_is_offered_the_error_map_pooled_by_place_and_both_ceilings_are_told() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(200) % 4 == 0).astype(int)
    values = pd.DataFrame({"mean": rng.normal(size=200), **dict.fromkeys(oracle.BY_PLACE, labels * 1.0)})
    given, offered = oracle._best(values[["mean"]], labels, 0.2456), oracle._best(values, labels, 0.2456)
    assert given[FIGURE] < offered[FIGURE] == 1 and set(offered["chosen"]) <= set(oracle.BY_PLACE)
    results = {"data": {"oracle": {"alone": {"pixel_l1_local": 0.5}, FIGURE: 0.6, "by_place": {FIGURE: 0.7}}}}
    assert recipe_tables.pooling(results).endswith("| data |  |  | 0.500 | 0.600 | 0.700 |  |  |  |")


def test_few_videos_give_student_s_interval_of_the_bootstrap_s_error() -> None:
    compared = result(-0.05, 0.0196, clips=6)["difference"]["benchmark"]
    effect = VIDEOS.difference(compared, 6)
    assert effect and (effect.clips, effect.degrees) == (6, 5)
    assert effect.error == pytest.approx(0.01 * np.sqrt(6 / 5), rel=1e-3)
    assert effect.high - effect.value == pytest.approx(2.571 * effect.error, rel=1e-3)
    assert effect.p(effect.low) == pytest.approx(0.05)
    # Where the resamples themselves were recorded, their deviation counts and not what percentiles make of it.
    compared["resampled"]["videos"] = {"units": 4, FIGURE: {"low": 0.0, "high": 1.0, "error": 0.02}}
    effect = VIDEOS.difference(compared, 6)
    assert effect and (effect.clips, effect.error) == (4, pytest.approx(0.02 * np.sqrt(4 / 3)))


def test_clips_that_share_a_video_give_no_interval_unless_videos_were_resampled() -> None:
    rows = [{"name": name} for name in ("08", "101", "102")]
    results = {"base": {"difference": {"benchmark": {"by_clip": rows}}}}
    assert effects.videos_are_separate(results, {"101": "ten"})
    assert not effects.videos_are_separate(results, {"101": "ten", "102": "ten"})
    compared = result(-0.05, 0.01)["difference"]["benchmark"]
    assert effects.over_videos(separate=False).difference(compared, 12) is None
    over = effects.over_videos(separate=False).chance(result(-0.05, 0.01))
    assert over is None and VIDEOS.chance(result(-0.05, 0.01))


def test_an_encoder_with_one_seed_decides_nothing_and_its_luck_is_that_of_its_own_seeds() -> None:
    results = {name: result(0, 0) for name in SEEDS}
    for name, ap in zip(SEEDS, (0.2, 0.4, 0.6, 0.3, 0.5), strict=True):
        results[name]["figures"]["benchmark"][FIGURE] = ap
    results["other"] = result(0.05, 0.02, set={"train.encoder": "vit_b_16"})
    test = {"experiment": "other", "sign": 1}
    assert effects.of_test(test, results, VIDEOS) is None
    results["again"] = result(0.07, 0.02, set={"train.encoder": "vit_b_16", "seed": 1})
    effect = effects.of_test(test | {"seeds": ["again"]}, results, VIDEOS)
    over_videos = 0.02 / 1.95996 * np.sqrt(12 / 11)
    assert effect and effect.lucky
    assert effect.error == pytest.approx(np.hypot(over_videos, np.std([0.05, 0.07], ddof=1) / np.sqrt(2)), rel=1e-4)


def test_scenes_weigh_as_many_as_they_have_videos_and_a_video_corrupted_anew_is_not_another() -> None:
    one, two = effects.around(0.10, 0.02, 12, degrees=11), effects.around(0.04, 0.03, 6, degrees=5)
    pooled = effects.pooled({"here": [one], "there": [two], "nowhere": []})
    assert pooled and (pooled.value, pooled.clips) == (pytest.approx(0.08), 18)
    assert pooled.error == pytest.approx(np.hypot(2 / 3 * 0.02, 1 / 3 * 0.03))
    assert 11 < pooled.degrees < 16
    assert effects.pooled({"here": [one] * 3, "there": [two]}) == pooled
    assert effects.pooled({"nowhere": []}) is None


def test_figures_in_prose_come_from_results() -> None:
    found = {
        "data": {"a": result(-0.0123, 0.01), "b": result(0.25, 0.01, groups={"noisy": {FIGURE: {"difference": 0}}})}
    }
    found["data"]["b"]["curve"] = {"steps": [0, 75], "effective_rank": [40.2, 13.1], "holdout": [None, 0.00051]}
    text = "{data a}, {data a ap}, {data a chance}, {data b noisy}, {span a b}, {data b effective_rank 75}"
    assert prose.filled(text, found) == "-.012, .400, +.154, 0, -.012 to +.250, 13"
    assert prose.filled("{data b holdout 75}", found) == ".00051"
    found["data"]["c"] = result(-0.0004, 0.01)
    assert prose.filled("{data c}", found) == "-.0004"
    for wrong in ("{data d}", "{other a}", "{span d}", "{data b holdout 76}", "{data a accuracy}"):
        with pytest.raises(VadError, match="no result gives that figure"):
            prose.filled(wrong, found)


@pytest.mark.parametrize("words", ["advice", "why"])
def test_no_figure_of_a_result_is_typed_by_hand(words: str) -> None:
    stated, _ = ablations.load()
    for number, claim in stated["claims"].items():
        assert claim[words].strip(), f"claim {number}: {words}"
        assert not re.search(r"\d\.\d|(?<!\w)[-+]?\.\d|\d\s*%", re.sub(r"{[^}]*}", "", claim[words])), claim[words]


def test_why_a_test_gives_no_effect_is_said() -> None:
    sections = failure_analysis.page().split("\n## ")
    third, fourth = (next(part for part in sections if part.startswith(f"{number}. ")) for number in (3, 4))
    assert "so it takes more seeds as well as more videos" in third
    assert "**ped2: decides nothing**: it has no such frames." in fourth


def test_every_claim_has_its_row_in_the_picture_and_the_border_is_drawn(tmp_path: Path) -> None:
    known = evidence.gather()
    pictures.draw_claims(tmp_path / "claims.png", known)
    pictures.draw_experiments(tmp_path / "all.png", known)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    judged = [number for number, claim in known.stated["claims"].items() if claim["tests"][0]["experiment"] != "any"]
    assert list(known.pooled) == judged


def test_the_failure_analysis_is_what_the_results_say() -> None:
    page = failure_analysis.PAGE.read_text(encoding="utf-8")
    assert failure_analysis.page() == page, "run `python -m experiments.failure_analysis`"
    assert len(list(Path(ablations.RESULTS).glob("*/base.json"))) >= 2


def test_the_page_past_the_ceiling_is_what_the_results_say() -> None:
    remedy = "run `python -m experiments.past_the_ceiling`"
    assert past_the_ceiling.page() == past_the_ceiling.PAGE.read_text(encoding="utf-8"), remedy


GUIDED_PAGES = ["README.md", "docs/METHODS.md", "experiments/past_the_ceiling.md", "experiments/choice.md"]


@pytest.mark.parametrize("page", GUIDED_PAGES)
def test_every_page_says_alike_how_labels_guided_the_search(page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    assert " ".join(GUIDED.split()) in " ".join(text.split())


ENABLED = {"predict.enabled": True, "memory.enabled": True}


@pytest.mark.parametrize(("features", "trained"), [("autoencoder", 2), ("predictor", 1), ("resnet18", 1)])
def test_a_memory_trains_what_it_sees_with(features: str, trained: int) -> None:
    settings = {"memory.features": features, "aggregate.weights": {"prediction_max": 1, "memory_max": 1}} | ENABLED
    assert Experiment("one", 0, settings).networks() == trained
