"""How far validation's ranking of candidates can be trusted: the figures, and how they move with the clips."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from experiments import trust
from vad import VadError
from vad.evaluation import bootstrap, metrics


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


def test_resamples_are_of_clips_and_the_same_for_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(*arguments: Any) -> tuple[np.ndarray, int]:
        counts, again = bootstrap.clip_counts(*arguments)
        drawn.append(counts)
        return counts, again

    monkeypatch.setattr(trust, "clip_counts", counted)
    table = frames(0, 1.0)
    plain = trust.aps(table, 0.2456, by_kind=False)
    # Worse in one clip alone: it is the same where that clip was not drawn.
    other = table.assign(score=table["score"].where(table["video"] != "00", -table["score"]))
    changed = ~np.isclose(trust.aps(other, 0.2456, by_kind=False), plain, rtol=1e-9)
    assert (drawn[0] == drawn[1]).all() and drawn[0].shape == (trust.DRAWS, 12)
    assert not changed[1:][drawn[0][:, 0] == 0].any() and changed[1:][drawn[0][:, 0] > 0].any()
    perfect = trust.aps(table.assign(score=table["label"]), 0.2456, by_kind=True)
    assert perfect == pytest.approx(np.ones(1 + trust.DRAWS))


@pytest.mark.parametrize("lacks", ["clips", "events"])
def test_what_can_not_be_resampled_is_refused(lacks: str) -> None:
    table = frames(0, 1.0).assign(**{"video": "00"} if lacks == "clips" else {"label": 0})
    with pytest.raises(VadError, match="resampling needs two clips and both labels"):
        trust.aps(table, 0.2456, by_kind=False)


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
