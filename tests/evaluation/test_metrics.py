"""Figures agree with scikit-learn, with their own parts, and with their definitions where scikit-learn has none."""

import hashlib
import json
import math
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from vad import VadError
from vad.evaluation import metrics
from vad.evaluation.bootstrap import Bootstrap, bootstrap_clips, clip_counts
from vad.evaluation.curves import Ranked

SUMMARY = {"prevalence": 0.2456, "draws": 200, "seed": 3, "onset_precision": 0.5}
CLOSE = {"rel_tol": 0.0, "abs_tol": 1e-12}


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@st.composite
def vectors(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of both classes, scores with many ties, weights of which some are 0 but no class's all are."""
    labels = np.array([0, 1, *draw(st.lists(st.integers(0, 1), max_size=40))])
    few = st.integers(-3, 3).map(float) | st.floats(-1e9, 1e9)
    scores = np.array(draw(st.lists(few, min_size=len(labels), max_size=len(labels))))
    weight = st.just(0.0) | st.floats(0.01, 100)
    weights = np.array([1.0, 0.5, *draw(st.lists(weight, min_size=len(labels) - 2, max_size=len(labels) - 2))])
    turn = np.array(draw(st.permutations(range(len(labels)))))
    return labels[turn], scores, weights[turn]


def made(clips: int = 12, length: int = 60, seed: int = 0) -> pd.DataFrame:
    """Scored frames of clips with an event of a kind each; tied scores; numbers with gaps, rows in no order."""
    rng = np.random.default_rng(seed)
    parts = []
    for clip in range(clips):
        label = np.zeros(length, int)
        first = int(rng.integers(0, length - 15))
        label[first : first + 15] = 1
        parts.append(
            pd.DataFrame(
                {
                    "video": f"{clip + 1:02d}",
                    "frame": 100 + np.cumsum(rng.integers(1, 3, length)),
                    "score": (rng.normal(size=length) + label).round(2),
                    "label": label,
                    "kind": np.where(label == 1, ["run", "throw", "loiter"][clip % 3], ""),
                }
            )
        )
    return pd.concat(parts).sample(frac=1, random_state=seed).reset_index(drop=True)


def one_class(label: int) -> pd.DataFrame:
    return made().assign(label=label, kind="run" if label else "")


@given(vectors())
def test_ap_and_auroc_equal_scikit_learn_with_ties_and_weights(case: tuple[np.ndarray, ...]) -> None:
    labels, scores, weights = case
    for given_weights in (None, weights):
        found = metrics.headline(metrics.Ranked(labels, scores), given_weights, 0.2456)
        expected = average_precision_score(labels, scores, sample_weight=given_weights)
        assert math.isclose(found["ap"], expected, **CLOSE)
        assert math.isclose(metrics.average_precision(labels, scores, given_weights), expected, **CLOSE)
        assert math.isclose(found["auroc"], roc_auc_score(labels, scores, sample_weight=given_weights), **CLOSE)


def test_on_a_thousand_random_cases_ap_and_auroc_are_those_of_scikit_learn_and_torchmetrics() -> None:
    import torch

    import vad.models.torchvision_compat  # noqa: F401  must come before torchvision, which torchmetrics imports

    # isort: split
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    rng = np.random.default_rng(7)
    of_one_class = 0
    for _ in range(1000):
        length, levels = int(rng.integers(1, 200)), int(rng.choice([1, 2, 5, 50, 100_000]))
        scores = rng.integers(0, levels, length) / levels  # in [0, 1): torchmetrics squashes what lies outside
        labels = (rng.random(length) < rng.choice([0, 0.02, 0.25, 0.5, 0.98, 1])).astype(int)
        found = metrics.average_precision(labels, scores), metrics.auroc(labels, scores)
        if labels.min() == labels.max():  # the libraries give 0, 1, nan or a warning
            assert all(map(math.isnan, found))
            of_one_class += 1
            continue
        expected = average_precision_score(labels, scores), roc_auc_score(labels, scores)
        assert found == pytest.approx(expected, rel=0, abs=1e-12)
        tensors = torch.from_numpy(scores), torch.from_numpy(labels)
        single = binary_average_precision(*tensors).item(), binary_auroc(*tensors).item()  # in float32
        assert found == pytest.approx(single, rel=0, abs=1e-5)
    assert 300 < of_one_class < 500


@given(vectors())
def test_precision_recall_curve_equals_scikit_learn(case: tuple[np.ndarray, ...]) -> None:
    labels, scores, _ = case
    precision, recall, thresholds = metrics.precision_recall(labels, scores)
    expected = precision_recall_curve(labels, scores)
    np.testing.assert_allclose(precision, expected[0][:-1][::-1], atol=1e-12)
    np.testing.assert_allclose(recall, expected[1][:-1][::-1], atol=1e-12)
    np.testing.assert_array_equal(thresholds, expected[2][::-1])


@given(vectors())
def test_a_strictly_monotone_transform_changes_no_bit(case: tuple[np.ndarray, ...]) -> None:
    labels, scores, weights = case
    ranks = np.unique(scores, return_inverse=True)[1]
    moved = np.exp(0.3 * ranks) - 5
    assert metrics.average_precision(labels, scores, weights) == metrics.average_precision(labels, moved, weights)
    before, after = (metrics.headline(metrics.Ranked(labels, one), weights, 0.2456) for one in (scores, moved))
    assert before == after and metrics.auroc(labels, scores) == metrics.auroc(labels, moved)
    keys = pd.DataFrame({"video": "01", "frame": np.arange(len(labels))})
    assert metrics.ranking_digest(keys, scores) == metrics.ranking_digest(keys, moved)


@given(vectors())
def test_contributions_sum_to_ap_and_none_comes_from_a_normal_frame(case: tuple[np.ndarray, ...]) -> None:
    labels, scores, _ = case
    parts = metrics.ap_contributions(labels, scores)
    assert math.isclose(parts.sum(), metrics.average_precision(labels, scores), **CLOSE)
    assert not parts[labels == 0].any()


def test_a_contribution_is_the_precision_at_the_frames_rank_over_the_positives() -> None:
    labels, scores = np.array([1, 0, 1, 1, 0]), np.array([5.0, 4, 3, 3, 1])
    np.testing.assert_allclose(metrics.ap_contributions(labels, scores), [1 / 3, 0, 0.75 / 3, 0.75 / 3, 0])


def test_scores_that_are_all_tied_give_the_base_rate_and_a_half() -> None:
    labels = np.array([1, 0, 0, 0])
    assert metrics.average_precision(labels, np.ones(4)) == 0.25
    assert metrics.auroc(labels, np.ones(4)) == 0.5


@given(vectors(), st.floats(0.01, 0.99))
def test_ap_at_prevalence_weighs_each_class_to_its_share(case: tuple[np.ndarray, ...], prevalence: float) -> None:
    labels, scores, _ = case
    weights = metrics.prevalence_weights(labels, prevalence)
    assert math.isclose(weights[labels == 1].sum(), prevalence, **CLOSE)
    assert math.isclose(weights.sum(), 1, **CLOSE)
    value = metrics.ap_at_prevalence(labels, scores, prevalence)
    assert math.isclose(value, average_precision_score(labels, scores, sample_weight=weights), **CLOSE)
    assert math.isclose(value, Ranked(labels, scores).counts().at_prevalence(prevalence).average_precision(), **CLOSE)


def test_ap_at_the_datas_own_prevalence_is_ap() -> None:
    table = made()
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    expected = metrics.average_precision(labels, scores)
    assert math.isclose(metrics.ap_at_prevalence(labels, scores, labels.mean()), expected, **CLOSE)


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, 1.5])
def test_a_prevalence_outside_0_to_1_is_refused(prevalence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.prevalence_weights(np.array([0, 1]), prevalence)


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_one_class_gives_nan_without_a_warning(labels: list[int]) -> None:
    truth, scores = np.array(labels, int), np.arange(len(labels), dtype=float)
    assert math.isnan(metrics.average_precision(truth, scores))
    assert math.isnan(metrics.ap_at_prevalence(truth, scores, 0.3))
    assert math.isnan(metrics.auroc(truth, scores))
    assert np.isnan(metrics.ap_contributions(truth, scores)).all()
    macro, clips = metrics.macro_auroc(truth, scores, np.full(len(truth), "01"))
    assert math.isnan(macro)
    assert clips == 0
    precision, recall, _ = metrics.precision_recall(truth, scores)
    assert (precision == 1).all() if any(labels) else (precision == 0).all()
    assert (recall > 0).all() if any(labels) else np.isnan(recall).all()


def test_a_class_without_weight_gives_nan() -> None:
    labels, scores, weights = np.array([0, 1]), np.array([0.0, 1.0]), np.array([1.0, 0.0])
    assert math.isnan(metrics.average_precision(labels, scores, weights))


@pytest.mark.parametrize(
    ("labels", "scores", "weights", "message"),
    [
        ([0, 1], [1.0], None, "one length"),
        ([0, 2], [1.0, 2.0], None, "0 or 1"),
        ([0, 1], [1.0, math.nan], None, "finite"),
        ([0, 1], [1.0, math.inf], None, "finite"),
        ([0, 1], [1.0, 2.0], [1.0], "weights"),
        ([0, 1], [1.0, 2.0], [1.0, -1.0], "weights"),
        ([0, 1], [1.0, 2.0], [1.0, math.nan], "weights"),
    ],
)
def test_wrong_vectors_are_refused(
    labels: list[int], scores: list[float], weights: list[float] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.average_precision(np.array(labels), np.array(scores), None if weights is None else np.array(weights))


def test_macro_auroc_is_the_mean_over_clips_with_both_classes() -> None:
    labels = np.array([0, 1, 1, 0, 1, 1, 0, 0])
    scores = np.array([1.0, 2, 1, 2, 5, 6, 7, 8])
    videos = np.array(["a", "a", "b", "b", "positive", "positive", "normal", "normal"])
    assert metrics.macro_auroc(labels, scores, videos) == (0.5, 2)


def test_a_kind_is_ranked_against_all_normal_frames_and_no_other_kind() -> None:
    labels = np.array([1, 0, 1, 0, 1])
    scores = np.array([5.0, 4, 3, 2, 1])
    kinds = np.array(["run", "run", "throw", "", ""])
    found = metrics.ap_by_kind(labels, scores, kinds, 0.5)
    assert list(found) == ["run", "throw", "unnamed"]
    assert found["run"] == {"ap": 1.0, "ap_at_prevalence": 1.0, "base_rate": 1 / 3, "frames": 1}
    assert found["throw"]["ap"] == 0.5
    assert math.isclose(found["throw"]["ap_at_prevalence"], 0.5 / (0.5 + 0.25), **CLOSE)
    assert math.isclose(found["unnamed"]["ap"], 1 / 3, **CLOSE)


def test_one_kind_alone_has_the_ap_of_the_whole() -> None:
    table = made()
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    kinds = pd.Series([None, ""] * (len(table) // 2), dtype=object).to_numpy()
    found = metrics.ap_by_kind(labels, scores, kinds, 0.2)
    assert found["unnamed"]["ap"] == metrics.average_precision(labels, scores)


def test_shares_of_clips_and_of_kinds_each_sum_to_the_ap() -> None:
    table = made()
    parts = metrics.shares(table)
    expected = metrics.average_precision(table["label"].to_numpy(), table["score"].to_numpy())
    for scope, rows in parts.groupby("scope"):
        assert math.isclose(rows["ap_share"].sum(), expected, **CLOSE), scope
        assert rows["positives"].sum() == table["label"].sum()
    clips = parts[parts["scope"] == "clip"]
    assert clips["name"].tolist() == sorted(table["video"].unique())
    assert clips["frames"].sum() == len(table)
    assert parts[parts["scope"] == "kind"]["name"].tolist() == ["loiter", "run", "throw"]


def test_a_clip_without_anomalies_has_the_share_0_and_one_class_has_none() -> None:
    table = made()
    table.loc[table["video"] == "01", ["label", "kind"]] = [0, ""]
    assert metrics.shares(table).query("name == '01'")["ap_share"].item() == 0
    for label in (0, 1):
        assert metrics.shares(one_class(label))["ap_share"].isna().all()


def onset(labels: list[int], scores: list[float], precision: float, **changes: list[str] | list[int]) -> metrics.Onset:
    count = len(labels)
    videos = np.array(changes.get("videos", ["01"] * count))
    frames = np.array(changes.get("frames", list(range(count))))
    return metrics.onset_recall(np.array(labels), np.array(scores), videos, frames, precision, frames_after=2)


def test_onset_recall_looks_at_the_first_frames_of_each_event_alone() -> None:
    found = onset([0, 1, 1, 1, 0, 1], [0.0, 1, 9, 9, 0, 9], precision=1.0)
    assert found == metrics.Onset(recall=3 / 3, threshold=1.0, frames=3, events=2)
    found = onset([0, 1, 1, 1, 0, 1], [5.0, 1, 9, 9, 0, 8], precision=1.0)
    assert found == metrics.Onset(recall=2 / 3, threshold=8.0, frames=3, events=2)


def test_onset_threshold_is_the_lowest_that_keeps_the_precision() -> None:
    # Precision is 0, 1/2, 1/3, 2/4: it falls below a half and comes back.
    found = onset([0, 1, 0, 1], [4.0, 3, 2, 1], precision=0.5)
    assert (found.threshold, found.recall) == (1.0, 1.0)


def test_onset_precision_that_is_never_reached_gives_recall_0_and_no_threshold() -> None:
    assert onset([0, 1, 0], [3.0, 2, 1], precision=0.9) == metrics.Onset(0.0, None, 1, 1)


def test_onset_without_events_is_nan() -> None:
    found = onset([0, 0], [1.0, 2.0], precision=0.5)
    assert math.isnan(found.recall)
    assert found[1:] == (None, 0, 0)


def onsets(labels: list[int], videos: list[str], frames: list[int], after: int) -> tuple[list[int], int]:
    mask, events = metrics.event_onsets(np.array(labels), np.array(videos), np.array(frames), after)
    return mask.astype(int).tolist(), events


def test_a_gap_in_numbers_does_not_end_an_event_but_a_normal_frame_does() -> None:
    assert onsets([1, 1, 1, 0, 1], ["a"] * 5, [3, 4, 90, 91, 92], 2) == ([1, 1, 0, 0, 1], 2)


def test_events_end_with_their_clip_and_follow_frame_numbers_not_rows() -> None:
    assert onsets([1, 1, 1, 1], ["a", "a", "b", "b"], [1, 2, 3, 4], 1) == ([1, 0, 1, 0], 2)
    assert onsets([1, 1, 0, 1], ["a", "b", "a", "a"], [30, 1, 20, 10], 1) == ([1, 1, 0, 1], 3)
    assert onsets([1, 1, 1], ["a", "a", "a"], [3, 1, 2], 1) == ([0, 1, 0], 1)
    assert onsets([], [], [], 5) == ([], 0)


def figures(table: pd.DataFrame, draws: int = 200, seed: int = 3) -> Bootstrap:
    ranked = Ranked(table["label"].to_numpy(), table["score"].to_numpy())
    return bootstrap_clips(table, lambda weights: metrics.headline(ranked, weights, 0.2456), draws, seed)


def test_fast_bootstrap_equals_resampling_the_rows_and_computing_anew() -> None:
    table = made(clips=5, length=30)
    fast = figures(table, draws=25)
    clips = [rows for _, rows in table.groupby("video")]
    positives = np.array([rows["label"].sum() for rows in clips])
    lengths = np.array([len(rows) for rows in clips])
    counts, _ = clip_counts(positives, lengths - positives, 25, np.random.default_rng(3))
    for drawn, row in zip(counts, fast.values.itertuples(), strict=True):
        assert drawn.sum() == 5
        naive = pd.concat([rows for rows, times in zip(clips, drawn, strict=True) for _ in range(times)])
        labels, scores = naive["label"].to_numpy(), naive["score"].to_numpy()
        weights = metrics.prevalence_weights(labels, 0.2456)
        assert math.isclose(row.ap, average_precision_score(labels, scores), **CLOSE)
        assert math.isclose(
            row.ap_at_prevalence, average_precision_score(labels, scores, sample_weight=weights), **CLOSE
        )
        assert math.isclose(row.auroc, roc_auc_score(labels, scores), **CLOSE)


def test_interval_is_the_middle_95_percent_of_the_draws_and_holds_the_figure() -> None:
    table = made()
    resampled = figures(table, draws=1000)
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    low, high = resampled.interval("ap")
    assert low < metrics.average_precision(labels, scores) < high
    assert abs((resampled.values["ap"] < low).mean() - 0.025) < 0.002
    assert abs((resampled.values["ap"] > high).mean() - 0.025) < 0.002


def test_same_seed_same_draws_and_another_seed_others() -> None:
    table = made()
    pd.testing.assert_frame_equal(figures(table).values, figures(table).values)
    assert not figures(table).values.equals(figures(table, seed=4).values)


def test_figures_and_intervals_do_not_depend_on_the_order_of_the_rows() -> None:
    table = made()
    assert metrics.summarise(table.iloc[::-1], **SUMMARY) == metrics.summarise(table, **SUMMARY)


def test_draws_of_one_class_are_redrawn_and_counted() -> None:
    # Two clips of one class each: half of all draws take one clip twice.
    counts, redrawn = clip_counts(np.array([5, 0]), np.array([0, 5]), 1000, np.random.default_rng(0))
    assert (counts == 1).all()
    assert len(counts) == 1000
    assert 850 < redrawn < 1150
    assert clip_counts(np.array([5, 5]), np.array([5, 5]), 1000, np.random.default_rng(0))[1] == 0


def test_an_interval_over_fewer_than_ten_clips_is_marked_descriptive() -> None:
    assert figures(made(clips=9)).descriptive
    assert not figures(made(clips=10)).descriptive


@pytest.mark.parametrize("table", [one_class(0), one_class(1), made(clips=1), made().iloc[:0]])
def test_one_class_one_clip_or_no_frame_has_no_interval(table: pd.DataFrame) -> None:
    resampled = figures(table)
    assert len(resampled.values) == 0
    assert resampled.redrawn == 0
    assert all(math.isnan(bound) for bound in resampled.interval("ap"))


def test_a_thousand_draws_of_a_full_test_set_take_a_moment() -> None:
    table = made(clips=21, length=571)
    started = time.process_time()
    figures(table, draws=1000)
    # Usually 0.5 s; sorting anew for each draw takes ten times that.
    assert time.process_time() - started < 2.5


def test_digest_follows_the_ranking_and_not_the_order_of_the_rows() -> None:
    table = made().assign(split="test")
    digest = metrics.ranking_digest(table, table["score"].to_numpy())
    shuffled = table.sample(frac=1, random_state=1)
    assert metrics.ranking_digest(shuffled, shuffled["score"].to_numpy()) == digest
    assert len(digest) == 16


def test_digest_is_that_of_a_csv_file_as_in_all_recorded_results() -> None:
    rng = np.random.default_rng(0)
    for names, largest in ((["01", "02"], 1000), (['a,b "c"', "é%d", "x\ny"], 2**53), (["1"], 2**33)):
        table = pd.DataFrame({"split": "test", "video": rng.choice(names, 70), "frame": rng.permutation(1000)[:70]})
        table["frame"] *= largest // 1000
        scores = rng.integers(0, 30, 70).astype(float)
        for columns in (["split", "video", "frame"], ["video", "frame"]):
            rows = table[columns].assign(rank=np.unique(scores, return_inverse=True)[1]).sort_values(columns)
            expected = hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode()).hexdigest()[:16]
            assert metrics.ranking_digest(table[columns], scores) == expected


def test_digest_changes_when_two_frames_swap_or_a_tie_breaks() -> None:
    keys = pd.DataFrame({"split": "test", "video": ["01", "01", "02"], "frame": [1, 2, 1]})
    orders = [[1.0, 2, 3], [2.0, 1, 3], [1.0, 3, 2], [1.0, 1, 2], [1.0, 2, 2], [1.0, 1, 1]]
    assert len({metrics.ranking_digest(keys, np.array(scores)) for scores in orders}) == len(orders)
    other = keys.assign(frame=[1, 3, 1])
    assert metrics.ranking_digest(other, np.array(orders[0])) != metrics.ranking_digest(keys, np.array(orders[0]))


def test_summary_holds_the_figures_of_its_parts() -> None:
    table = made()
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    found = metrics.summarise(table, **SUMMARY)
    assert (found["frames"], found["positives"], found["clips"]) == (720, 180, 12)
    assert found["base_rate"] == 0.25
    assert math.isclose(found["ap"], average_precision_score(labels, scores), **CLOSE)
    assert math.isclose(found["auroc"], roc_auc_score(labels, scores), **CLOSE)
    assert math.isclose(found["ap_at_prevalence"], metrics.ap_at_prevalence(labels, scores, 0.2456), **CLOSE)
    for name in ("ap", "ap_at_prevalence", "auroc"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    assert (found["macro_auroc"], found["macro_clips"]) == metrics.macro_auroc(
        labels, scores, table["video"].to_numpy()
    )
    assert found["bootstrap"] == {"draws": 200, "redrawn": 0, "descriptive": False}
    assert set(found["kinds"]) == {"run", "throw", "loiter"}
    assert (found["onset"]["precision"], found["onset"]["frames"], found["onset"]["events"]) == (0.5, 60, 12)
    assert found["ranking"] == metrics.ranking_digest(table, scores)


def test_summary_changes_by_nothing_under_a_monotone_transform_but_the_threshold() -> None:
    table = made()
    before = metrics.summarise(table, **SUMMARY)
    after = metrics.summarise(table.assign(score=np.exp(table["score"])), **SUMMARY)
    assert before["onset"].pop("threshold") != after["onset"].pop("threshold")
    assert before == after


@pytest.mark.parametrize("table", [one_class(0), one_class(1), made().iloc[:0]])
def test_summary_of_one_class_is_json_with_null_for_what_is_not_defined(table: pd.DataFrame) -> None:
    found = json.loads(json.dumps(metrics.summarise(table, **SUMMARY), allow_nan=False))
    assert found["bootstrap"]["draws"] == 0
    assert found["ap"] is found["ap_low"] is found["auroc"] is found["macro_auroc"] is None
    assert all(kind["ap"] is None for kind in found["kinds"].values())


def test_one_class_clips_count_in_the_whole_but_not_in_the_mean_over_clips() -> None:
    table = made()
    table.loc[table["video"] == "01", ["label", "kind"]] = [0, ""]
    table.loc[table["video"] == "02", ["label", "kind"]] = [1, "run"]
    found = metrics.summarise(table, **SUMMARY)
    assert (found["clips"], found["macro_clips"], found["frames"]) == (12, 10, 720)
    assert found["ap"] is not None


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("score", math.nan, "not finite"), ("score", -math.inf, "not finite"), ("label", 2, "neither 0 nor 1")],
)
def test_a_wrong_row_is_refused_by_clip_and_frame(column: str, value: float, message: str) -> None:
    table = made()
    table.loc[[7, 9], column] = value
    for function in (lambda: metrics.summarise(table, **SUMMARY), lambda: metrics.shares(table)):
        with pytest.raises(VadError, match=f"clip {table['video'][7]} frame {table['frame'][7]}: .*{message}"):
            function()


def test_a_frame_that_comes_twice_is_refused_by_clip_and_frame() -> None:
    table = made()
    twice = pd.concat([table, table.iloc[[5]]], ignore_index=True)
    with pytest.raises(VadError, match=f"clip {table['video'][5]} frame {table['frame'][5]}: it comes more than once"):
        metrics.summarise(twice, **SUMMARY)
