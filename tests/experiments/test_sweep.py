"""A sweep judges as the pipeline does, on validation alone, and says how much of its winner is luck."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import sweep, variants
from tests.clone import Clone
from vad import params, registry
from vad.evaluation import curves
from vad.scoring import fusion, smoothing

TOP = Path(__file__).parents[2]
FRAMES = 60


def components(seed: int = 0, informed: float = 0.0) -> pd.DataFrame:
    """Components of two held-out and two validation clips; `informed`: by how much anomalous frames stand out."""
    rng = np.random.default_rng(seed)
    clips = [(split, video) for split in ("holdout", "validation") for video in ("01", "02")]
    keys = [pd.DataFrame({"split": split, "video": video, "frame": np.arange(FRAMES) * 2}) for split, video in clips]
    table = pd.concat(keys, ignore_index=True)
    for family in registry.FAMILIES[:3]:
        for name in family.components():
            for view in registry.VIEWS if family.views else ("",):
                table[f"{name}/{view}".rstrip("/")] = rng.random(len(table)) + informed * label(table)
    return table.assign(noisy=rng.random(len(table)) < 0.2, flipped=rng.random(len(table)) < 0.1, fold=-1)


def label(table: pd.DataFrame) -> np.ndarray:
    return (table["frame"] // 20 % 3 == 1).to_numpy().astype(int)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    frames = table[table["split"] == "validation"]
    return frames[["split", "video", "frame"]].assign(label=label(frames))


def test_the_sweep_gives_the_scores_that_the_pipeline_gives() -> None:
    table, base = components(), params.load(TOP / "params.yaml")
    drawn = variants.draw(base, table, 150, seed=1)
    found = dict(variants.scores(drawn, table))
    assert len(drawn) == 150 and len(found) == 150
    for place, variant in enumerate(drawn):
        expected = fusion.anomaly_scores(table, variant.params)["score"].to_numpy()
        np.testing.assert_array_equal(found[place], expected, err_msg=str(variant.changes))


def test_every_choice_of_fusion_calibration_and_smoothing_is_tried() -> None:
    drawn = variants.draw(params.load(TOP / "params.yaml"), components(), 400, seed=1)
    for key, values in variants.SPACE.items():
        assert set(values) >= {variant.changes[key] for variant in drawn if key in variant.changes}
        assert len({variant.changes.get(key) for variant in drawn}) >= len(values), key


def test_a_component_that_validation_cannot_judge_is_not_drawn() -> None:
    table = components()
    table.loc[table["split"] == "validation", "flow_max"] = 0.0
    drawn = variants.draw(params.load(TOP / "params.yaml"), table, 300, seed=1)
    weighed = {name for variant in drawn for name in variant.changes.get("aggregate.weights", ())}
    assert "flow_max" not in weighed and {"flow_mean", "pixel_l1_max"} <= weighed


def test_where_scores_are_noise_the_winner_is_called_luck() -> None:
    table, base = components(), params.load(TOP / "params.yaml")
    drawn = variants.draw(base, table, 200, seed=1)
    found = sweep.judge(drawn, table, labelled(table), seed=0)
    best = found.table.iloc[0]
    assert best["ap"] == found.table["ap"].max() and best["tied"]
    assert found.table["tied"].sum() > 5
    assert found.chosen.mean() < best["ap"] - 0.05  # on frames that it was not chosen on


def test_resampled_average_precision_is_that_of_each_weighting() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 40), rng.integers(0, 9, 40).astype(float)
    weights = rng.integers(0, 3, (20, 40)).astype(float)
    weights[3] = labels
    expected = [curves.average_precision(labels, scores, row) for row in weights]
    assert np.isnan(expected[3])
    np.testing.assert_allclose(curves.average_precisions(curves.Ranked(labels, scores), weights), expected, rtol=1e-12)


@pytest.mark.parametrize("method", ["gaussian", "median", "ema"])
def test_a_matrix_is_smoothed_column_by_column(method: str) -> None:
    table = components()
    chosen = params.load(TOP / "params.yaml").aggregate.smooth.model_copy(update={"method": method})
    both = table[["change_mean", "flow_mean"]].to_numpy()
    expected = [smoothing.smooth(column, table, chosen) for column in both.T]
    np.testing.assert_array_equal(smoothing.smooth(both, table, chosen).T, expected)


def test_a_sweep_of_the_project_agrees_with_evaluate_and_opens_no_test_labels(restored: Clone) -> None:
    ap = restored.metrics()["validation"]["ap"]
    for path in ("data/labels", "data/truth", "data/raw"):
        shutil.rmtree(restored.folder / path, ignore_errors=True)
    for path in ("data/labelled_scores.csv", "data/scores.csv", "metrics/evaluation.json"):
        (restored.folder / path).unlink()
    printed = restored.run("python", "-m", "experiments.sweep", "--count", "60")
    table = pd.read_csv(restored.folder / "metrics/sweep/variants.csv", keep_default_na=False)
    assert len(table) == 60 and (restored.folder / "metrics/sweep/sweep.png").is_file()
    assert table["ap"].is_monotonic_decreasing
    assert abs(table.loc[table["variant"] == 0, "ap"].item() - ap) < 1e-9
    assert printed.count("dvc exp run -S") == 3 and "tie with the best" in printed


def test_a_saved_variant_is_an_experiment_with_the_ap_that_the_sweep_gave(restored: Clone) -> None:
    restored.run("python", "-m", "experiments.sweep", "--count", "30", "--save", "1")
    table = pd.read_csv(restored.folder / "metrics/sweep/variants.csv", keep_default_na=False)
    found = json.loads((restored.folder / "metrics/evaluation.json").read_text())
    assert abs(found["validation"]["ap"] - table["ap"][0]) < 1e-9
    assert "sweep" in restored.run("dvc", "exp", "list", "--name-only")
