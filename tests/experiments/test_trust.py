"""How far validation's ranking of candidates can be trusted: the figures, and how they move with the clips."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from experiments import trust
from vad.evaluation import metrics


def frames(seed: int, signal: float) -> pd.DataFrame:
    """Twelve clips of 20 frames, the last five of each an event of one of three kinds."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"video": np.repeat([f"{clip:02d}" for clip in range(12)], 20), "label": 0, "kind": ""})
    event = np.arange(len(table)) % 20 >= 15
    table.loc[event, "label"] = 1
    table.loc[event, "kind"] = np.repeat(np.tile(["fast", "close", "still"], 4), 5)
    return table.assign(score=signal * table["label"] + rng.normal(size=len(table)))


def test_the_first_figure_is_that_of_all_frames_and_the_others_are_spread_around_it() -> None:
    table = frames(0, 1.0)
    truth, score = table["label"].to_numpy(), table["score"].to_numpy()
    plain = trust.aps(table, 0.2456, by_kind=False)
    assert plain.shape == (1 + trust.DRAWS,)
    assert plain[0] == pytest.approx(metrics.ap_at_prevalence(truth, score, 0.2456))
    assert plain[1:].std() > 0.01 and abs(plain[1:].mean() - plain[0]) < 0.05
    kinds = metrics.ap_by_kind(truth, score, table["kind"].to_numpy(), 0.2456)
    mean = np.mean([figures["ap_at_prevalence"] for figures in kinds.values()])
    assert trust.aps(table, 0.2456, by_kind=True)[0] == pytest.approx(mean)


def test_resamples_are_of_clips_and_the_same_for_all_candidates() -> None:
    table = frames(0, 1.0)
    assert (trust.aps(table, 0.2456, by_kind=False) == trust.aps(table, 0.2456, by_kind=False)).all()
    perfect = trust.aps(table.assign(score=table["label"]), 0.2456, by_kind=True)
    assert perfect == pytest.approx(np.ones(1 + trust.DRAWS))


def test_a_kind_that_a_resample_lacks_is_left_out_of_its_mean() -> None:
    table = frames(0, 1.0)
    rare = (table["kind"] == "fast") & (table["video"] != "00")
    table.loc[rare, "kind"] = "close"
    assert np.isfinite(trust.aps(table, 0.2456, by_kind=True)).all()


def test_correlation_is_spearmans_and_an_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    validation = rng.random((30, 1 + trust.DRAWS))
    benchmark = validation + rng.normal(0, 0.3, validation.shape)
    found = trust.correlation(validation, benchmark)
    assert found.value == pytest.approx(spearmanr(validation[:, 0], benchmark[:, 0]).statistic, abs=1e-4)
    assert -1 <= found.low < found.value < found.high <= 1


def test_regret_is_what_the_chosen_lacks_to_the_best() -> None:
    benchmark = np.tile([[0.5], [0.9], [0.7]], (1, 1 + trust.DRAWS))
    assert trust.regret(benchmark, 2) == pytest.approx((0.2, 0.2, 0.2))
    validation = np.tile([[0.1], [0.2], [0.3]], (1, 1 + trust.DRAWS))
    validation[:2, 1:100] += 1
    assert trust.regret(benchmark, trust.own_choice(validation)) == pytest.approx((0.2, 0.0, 0.2))
