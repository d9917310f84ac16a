"""What turns components into scores: order kept where it must be, clips kept apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from vad import VadError, params, registry
from vad.scoring import calibration, fusion, smoothing

PARAMS = params.load(Path("params.yaml"))
finite = st.floats(0, 1e6, allow_nan=False)


def recipe(**changes: object) -> params.Params:
    values = PARAMS.model_dump()
    for key, value in changes.items():
        *path, last = key.split("__")
        target = values
        for part in path:
            target = target[part]
        target[last] = value
    return params.Params.model_validate(values)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [(split, video, frame) for split in ("holdout", "test") for video in ("01", "02") for frame in range(50)]
    result = pd.DataFrame(rows, columns=["split", "video", "frame"])
    for name in registry.maps("reconstruction"):
        for view in registry.VIEWS:
            result[f"{name}/{view}"] = rng.gamma(2.0, size=len(result))
    return result.assign(flipped=rng.integers(0, 2, len(result)), noisy=0, noise=1.5, change=2.0)


def score(table: pd.DataFrame, **changes: object) -> np.ndarray:
    return fusion.anomaly_scores(table, recipe(**changes))["score"].to_numpy()


@given(st.lists(finite, min_size=2, max_size=50), st.floats(0.1, 10))
def test_gamma_on_the_score_keeps_every_order_and_every_difference(values: list[float], gamma: float) -> None:
    before = np.array(values)
    after = fusion.distinct_power(before, gamma)
    assert (np.sign(np.subtract.outer(before, before)) == np.sign(np.subtract.outer(after, after))).all()


def test_gamma_keeps_neighbouring_doubles_apart() -> None:
    pair = np.array([1.0, np.nextafter(1.0, 2.0)])
    assert pair[0] ** 0.5 == pair[1] ** 0.5
    low, high = fusion.distinct_power(pair, 0.5)
    assert low < high


def test_gamma_on_views_or_components_changes_the_order(table: pd.DataFrame) -> None:
    plain = np.argsort(score(table, gamma=1.0))
    assert (np.argsort(score(table, gamma=3.0)) == plain).all()
    for place in ("view", "component"):
        assert (np.argsort(score(table, gamma=3.0, gamma_on=place)) != plain).any()


def test_reference_recipe_is_a_weighted_mean_of_views_to_the_power_gamma(table: pd.DataFrame) -> None:
    views = [
        0.795 * table[f"pixel_l1/{view}"] + 0.205 * (0.4 * table[f"layer3/{view}"] + 0.6 * table[f"layer4/{view}"])
        for view in registry.VIEWS
    ]
    np.testing.assert_allclose(score(table), np.mean(views, axis=0) ** 1.31, rtol=1e-12)


def test_only_chosen_views_count(table: pd.DataFrame) -> None:
    weights = {"layer4": 1.0}
    np.testing.assert_allclose(
        score(table, tta=("hflip",), gamma=1.0, aggregate__weights=weights), table["layer4/hflip"], rtol=1e-12
    )


def test_over_views_the_least_or_the_largest_may_count(table: pd.DataFrame) -> None:
    views = table[[f"layer4/{view}" for view in registry.VIEWS]]
    for how in ("min", "max"):
        scores = score(table, gamma=1.0, aggregate__weights={"layer4": 1.0}, aggregate__views=how)
        np.testing.assert_allclose(scores, getattr(views, how)(axis=1), rtol=1e-12)


def test_unflip_gives_flipped_frames_the_view_that_shows_them_upright(table: pd.DataFrame) -> None:
    shown = {"identity": "vflip", "vflip": "identity", "hflip": "rot180", "rot180": "hflip"}
    for view, upright in shown.items():
        scores = score(table, gamma=1.0, tta=(view,), aggregate__weights={"layer4": 1.0}, repair__unflip=True)
        expected = np.where(table["flipped"] == 1, table[f"layer4/{upright}"], table[f"layer4/{view}"])
        np.testing.assert_allclose(scores, expected, rtol=1e-12)
    np.testing.assert_allclose(score(table, repair__unflip=True), score(table), rtol=1e-12)  # all four are a group


def test_what_was_diagnosed_of_a_frame_may_be_its_score(table: pd.DataFrame) -> None:
    keys, measured = (
        table[["split", "video", "frame"]],
        table[["flipped", "noisy", "noise"]].assign(fold=-1, change=np.arange(len(table), dtype=float)),
    )
    measured.loc[table["frame"] == 0, "change"] = np.nan  # a clip's first frame follows none
    joined = fusion.scored_frames(keys.join(measured))
    scores = score(joined, gamma=1.0, aggregate__weights={"change": 1.0})
    assert scores[0] == scores[1] == 1 and scores[7] == 7


def test_a_component_without_views_is_taken_as_it_is(table: pd.DataFrame) -> None:
    flat = table.rename(columns={"layer4/identity": "layer4"}).drop(columns=[f"layer4/{v}" for v in registry.VIEWS[1:]])
    np.testing.assert_allclose(score(flat, gamma=1.0, aggregate__weights={"layer4": 1.0}), flat["layer4"], rtol=1e-12)


def test_absent_component_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(VadError, match=r"aggregate.weights.layer3: no such component in view identity"):
        score(table.drop(columns="layer3/identity"))


def test_normalisation_of_the_whole_never_changes_the_order_within_a_split(table: pd.DataFrame) -> None:
    test = (table["split"] == "test").to_numpy()
    plain = np.argsort(score(table)[test])
    for how in ("global", "calibrated"):
        assert (np.argsort(score(table, aggregate__normalise=how)[test]) == plain).all()
    assert (np.argsort(score(table, aggregate__normalise="per_video")[test]) != plain).any()


def test_per_video_normalisation_spans_each_clip(table: pd.DataFrame) -> None:
    scores = fusion.anomaly_scores(table, recipe(aggregate__normalise="per_video", gamma=1.0))
    spans = scores.groupby(["split", "video"])["score"].agg(["min", "max"])
    assert (spans["min"] == 0).all() and (spans["max"] == 1).all()


def test_calibration_looks_at_held_out_frames_only(table: pd.DataFrame) -> None:
    scores = fusion.anomaly_scores(table, recipe(aggregate__normalise="calibrated", gamma=1.0))
    normal = scores["score"][scores["split"] == "holdout"]
    assert normal.mean() == pytest.approx(0, abs=1e-12) and normal.std(ddof=0) == pytest.approx(1)
    changed = table.copy()
    changed.loc[changed.index[-1], "pixel_l1/identity"] = 1e3
    again = fusion.anomaly_scores(changed, recipe(aggregate__normalise="calibrated", gamma=1.0))
    np.testing.assert_array_equal(scores["score"].to_numpy()[:-1], again["score"].to_numpy()[:-1])


def test_a_component_of_weight_0_is_not_asked_for_and_is_no_floor_of_a_maximum(table: pd.DataFrame) -> None:
    weights = {"layer4": 1.0, "prediction_max": 0.0}
    settings = {"aggregate__normalise": "calibrated", "aggregate__normalise_on": "component", "gamma": 1.0}
    for how in ("sum", "max", "l2"):
        alone = score(table, aggregate__weights={"layer4": 1.0}, aggregate__fuse=how, **settings)
        assert (score(table, aggregate__weights=weights, aggregate__fuse=how, **settings) == alone).all()


def test_a_memory_looks_at_the_frame_before_where_its_network_does() -> None:
    alone, beside = (recipe(memory__features=features) for features in ("autoencoder", "predictor"))
    looks = registry.frames_back
    assert (looks("memory_local", alone), looks("memory_local", beside)) == (0, 3)
    assert (looks("flow_max", alone), looks("change", alone), looks("prediction_max", alone)) == (1, 1, 4)
    assert (looks("background_local", alone), looks("pixel_l1", beside)) == (0, 0)


def test_one_component_s_quiet_does_not_outweigh_another_s_alarm(table: pd.DataFrame) -> None:
    values = np.arange(len(table), dtype=float)
    both = calibration.normalise(values, table, "calibrated")
    above = calibration.normalise(values, table, "calibrated_above")
    assert both.min() < 0 < both.max()
    np.testing.assert_array_equal(above, np.maximum(both, 0))


def test_constant_values_normalise_to_zero(table: pd.DataFrame) -> None:
    for how in ("global", "per_video", "calibrated", "calibrated_above"):
        assert (calibration.normalise(np.full(len(table), 3.0), table, how) == 0).all()


def test_calibration_without_held_out_frames_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(VadError, match="no held-out frames"):
        score(table[table["split"] == "test"], aggregate__normalise="calibrated")


SMOOTHERS = ("gaussian", "median", "ema")


@pytest.mark.parametrize("method", SMOOTHERS)
def test_smoothing_never_leaks_across_clips(table: pd.DataFrame, method: str) -> None:
    both = fusion.anomaly_scores(table, recipe(aggregate__smooth__method=method))
    alone = fusion.anomaly_scores(table[table["video"] == "01"], recipe(aggregate__smooth__method=method))
    np.testing.assert_array_equal(both["score"][both["video"] == "01"], alone["score"])


@pytest.mark.parametrize("method", SMOOTHERS)
@given(data=st.data())
def test_smoothing_keeps_length_and_stays_within_the_clip_s_range(method: str, data: st.DataObject) -> None:
    frames = np.array(sorted(data.draw(st.sets(st.integers(0, 10_000), min_size=1, max_size=40))))
    scores = np.array(data.draw(st.lists(finite, min_size=len(frames), max_size=len(frames))))
    smoothed = getattr(smoothing, f"{method}_smooth")(
        scores, frames, {"gaussian": 2.0, "median": 5, "ema": 0.3}[method]
    )
    assert smoothed.shape == scores.shape
    slack = 1e-9 * (1 + scores.max())
    assert (smoothed >= scores.min() - slack).all() and (smoothed <= scores.max() + slack).all()


def test_gaussian_smoothing_agrees_with_scipy_away_from_the_ends() -> None:
    scores = np.random.default_rng(1).normal(size=200)
    smoothed = smoothing.gaussian_smooth(scores, np.arange(200), 3.0)
    np.testing.assert_allclose(smoothed[12:-12], gaussian_filter1d(scores, 3.0, truncate=4.0)[12:-12], rtol=1e-10)


def test_smoothing_does_not_bridge_a_gap_in_frame_numbers() -> None:
    scores = np.array([0.0, 0.0, 0.0, 9.0, 9.0, 9.0])
    near, far = np.arange(6), np.array([0, 1, 2, 100, 101, 102])
    for smoother, setting in ((smoothing.gaussian_smooth, 1.0), (smoothing.median_smooth, 3)):
        np.testing.assert_allclose(smoother(scores, far, setting), scores)
    assert smoothing.gaussian_smooth(scores, near, 1.0)[2] > 1
    assert smoothing.ema_smooth(scores, far, 0.3)[3] == pytest.approx(9.0)
    assert smoothing.ema_smooth(scores, near, 0.3)[3] == pytest.approx(2.7)


def test_smoothing_follows_frame_numbers_whatever_the_order_of_rows(table: pd.DataFrame) -> None:
    shuffled = table.sample(frac=1, random_state=0)
    settings = recipe(aggregate__smooth__method="ema")
    first = fusion.anomaly_scores(table, settings).set_index(["split", "video", "frame"])["score"]
    second = fusion.anomaly_scores(shuffled, settings).set_index(["split", "video", "frame"])["score"]
    pd.testing.assert_series_equal(first, second.loc[first.index])


def test_scores_of_noisy_frames_come_from_the_frames_around_it(table: pd.DataFrame) -> None:
    table = table[table["frame"] != 11].reset_index(drop=True)
    values = table["frame"].to_numpy(float) + 100 * (table["video"] == "02").to_numpy()
    noisy = table["frame"].isin([0, 10, 12, 30, 31]).to_numpy()
    marked = table.assign(noisy=noisy.astype(int))
    broken = np.where(noisy, 999.0, values)
    expected = np.where(table["frame"] == 0, values + 1, values)  # at an end the nearest stands in
    np.testing.assert_allclose(fusion.interpolate(broken, marked, frames_back=0), expected)
    after = noisy | np.concatenate([[False], noisy[:-1]])
    broken = np.where(after, 999.0, values)
    expected = np.where(table["frame"] == 0, values + 2, np.where(table["frame"] == 1, values + 1, values))
    np.testing.assert_allclose(fusion.interpolate(broken, marked, frames_back=1), expected)
    second = table.assign(noisy=(table["frame"] == 1).astype(int))  # of a clip: the first frame looks at it instead
    broken = np.where(table["frame"].isin([0, 1, 2]), 999.0, values)
    found = fusion.interpolate(broken, second, frames_back=1)
    assert found.max() < 200 and (found == fusion.interpolate(broken, second, frames_back=4)).sum() < len(table)
    silent = table.assign(noisy=1)
    assert (fusion.interpolate(values, silent, frames_back=0) == values).all()


def test_interpolation_is_part_of_the_recipe_where_repair_says_so(table: pd.DataFrame) -> None:
    marked = table.assign(noisy=(table["frame"] % 5 == 0).astype(int))
    assert (score(marked) == score(table)).all()
    assert (score(marked, repair__interpolate=True) != score(table)).any()
