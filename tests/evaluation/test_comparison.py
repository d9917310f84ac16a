"""Two rankings compared: no difference is exactly none, what moved adds up, resamples keep what belongs together."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vad import VadError
from vad.evaluation import comparison, curves


def scored(clips: int = 12, count: int = 40, seed: int = 0, noise: float = 1.0) -> pd.DataFrame:
    """Frames with an event in every clip but the last, and scores a that see it somewhat."""
    rng = np.random.default_rng(seed)
    rows = [("test", f"{clip:02d}", frame) for clip in range(clips) for frame in range(count)]
    table = pd.DataFrame(rows, columns=["split", "video", "frame"])
    inside = table["frame"].between(10, 21) & (table["video"] != f"{clips - 1:02d}")
    table["label"] = inside.astype(int)
    table["kind"] = np.where(inside, np.where(table["video"] < "03", "running", "loitering"), "")
    table["a"] = inside * 1.0 + rng.normal(size=len(table)) * noise
    return table


def compare(table: pd.DataFrame, draws: int = 200) -> dict:
    return comparison.compare(table, prevalence=0.25, draws=draws, seed=1)


def better(table: pd.DataFrame, by: float = 1.0) -> pd.DataFrame:
    return table.assign(b=table["a"] + by * table["label"])


@pytest.mark.parametrize("clips", [4, 12])
def test_a_power_of_the_score_makes_a_difference_of_exactly_0_and_a_p_value_of_1(clips: int) -> None:
    table = scored(clips)
    result = compare(table.assign(a=table["a"] - table["a"].min()).assign(b=lambda rows: rows["a"] ** 1.31))
    for figure in ("ap", "ap_at_prevalence", "auroc"):
        assert result[figure]["difference"] == 0
        for drawn in result["resampled"].values():
            assert (drawn[figure]["low"], drawn[figure]["high"], drawn[figure]["p"]) == (0, 0, 1)
    assert result["ranking"] == {"same": True, "spearman": 1.0, "kendall": 1.0}
    assert result["by_frame"] == []
    assert {row["difference"] for row in (*result["by_clip"], *result["by_kind"])} == {0}


def test_a_better_ranking_is_seen_as_such_and_the_other_way_round_as_worse() -> None:
    table = better(scored())
    ahead, behind = compare(table), compare(table.rename(columns={"a": "b", "b": "a"}))
    for figure in ("ap", "ap_at_prevalence", "auroc"):
        drawn = ahead["resampled"]["clips"][figure]
        assert 0 < drawn["low"] < ahead[figure]["difference"] < drawn["high"] and drawn["p"] == 0
        mirrored = behind["resampled"]["clips"][figure]
        assert (mirrored["low"], mirrored["high"]) == pytest.approx((-drawn["high"], -drawn["low"]))


def test_rankings_that_differ_by_luck_alone_are_seldom_told_apart() -> None:
    table = scored()
    told_apart = 0
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(size=(2, len(table)))
        pair = table.assign(a=table["label"] + noise[0], b=table["label"] + noise[1])
        told_apart += compare(pair, draws=100)["resampled"]["clips"]["ap"]["p"] < 0.05
    assert told_apart <= 7, "5 % are meant; a bootstrap over 12 clips is somewhat too sure"


def test_pairing_cancels_what_makes_clips_hard_for_both() -> None:
    """The interval of the difference is far narrower than that of either AP."""
    rng = np.random.default_rng(3)
    table = scored()
    hard = table["video"].map(dict(zip(table["video"].unique(), rng.normal(size=12) * 2, strict=True)))
    table["a"] += hard
    table["b"] = table["a"] + 0.05 * rng.normal(size=len(table))
    labels = table["label"].to_numpy()
    drawn = compare(table)["resampled"]["clips"]["ap"]
    ranked = curves.Ranked(labels, table["a"].to_numpy())
    alone = comparison.bootstrap_clips(table, lambda w: {"ap": ranked.counts(w).average_precision()}, 200, 1)
    low, high = alone.interval("ap")
    assert drawn["high"] - drawn["low"] < (high - low) / 5


SCORES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=40)


@settings(max_examples=40)
@given(SCORES)
def test_what_clips_kinds_and_frames_gained_sums_to_the_whole_difference(rows: list[tuple[int, int, int]]) -> None:
    labels, a, b = (np.array(column) for column in zip(*rows, strict=True))
    labels[:2] = 0, 1
    table = pd.DataFrame({"split": "test", "frame": np.arange(len(rows)), "label": labels, "a": a, "b": b})
    table["video"] = (table["frame"] // 7).astype(str)
    table["kind"] = np.where(labels == 1, np.array(["", "x", "y"])[table["frame"] % 3], "")
    result = compare(table, draws=2)
    for parts in ("by_clip", "by_kind", "by_frame"):
        total = sum(row["difference"] for row in result[parts])
        assert total == pytest.approx(result["ap"]["difference"], abs=1e-12)
    for side, scores in (("a", a), ("b", b)):
        assert sum(row[side] for row in result["by_clip"]) == pytest.approx(result["ap"][side], abs=1e-12)
        assert result["ap"][side] == curves.average_precision(labels, scores)
    assert [row["name"] for row in sorted(result["by_clip"], key=lambda row: row["name"])] == sorted(
        set(table["video"])
    )


def test_frames_say_where_they_ranked_and_the_most_gained_comes_first() -> None:
    table = pd.DataFrame({"split": "test", "video": "1", "frame": range(4), "label": [1, 1, 0, 0], "kind": ""})
    moved = comparison.movement(table.assign(a=[4.0, 1.0, 3.0, 2.0], b=[1.0, 4.0, 3.0, 2.0]))
    assert moved["frame"].tolist() == [1, 0] and set(moved["kind"]) == {"unnamed"}
    assert moved[["rank_a", "rank_b"]].to_numpy().tolist() == [[4, 1], [1, 4]]
    assert moved["difference"].tolist() == [0.25, -0.25]


def test_rank_coefficients_are_scipy_s_and_undefined_for_constant_scores() -> None:
    table = better(scored(3))
    found = comparison.agreement(table)
    assert found["spearman"] == pytest.approx(stats.spearmanr(table["a"], table["b"]).statistic)
    assert found["kendall"] == pytest.approx(stats.kendalltau(table["a"], table["b"]).statistic)
    assert compare(table.assign(b=1.0))["ranking"] == {"same": False, "spearman": None, "kendall": None}


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5]), min_size=1, max_size=30))
def test_p_value_is_symmetric_and_1_where_nothing_differs(differences: list[float]) -> None:
    values = np.array(differences)
    p = comparison.p_value(values)
    assert 0 <= p <= 1 and p == comparison.p_value(-values)
    assert p == pytest.approx(min(1, 2 * min((values <= 0).mean(), (values >= 0).mean())))
    assert comparison.p_value(values * 0) == 1


def test_blocks_are_resampled_beside_clips_only_where_clips_are_few() -> None:
    assert list(compare(better(scored(10)))["resampled"]) == ["clips"]
    few = compare(better(scored(9)))["resampled"]
    assert few["clips"]["descriptive"] and few["clips"]["units"] == 9
    assert few["blocks"]["length"] == 12 and few["blocks"]["units"] == 9 * 4 and not few["blocks"]["descriptive"]


@given(
    st.dictionaries(st.tuples(st.sampled_from("123"), st.integers(0, 300)), st.integers(0, 1), min_size=1, max_size=60),
    st.integers(1, 50),
)
def test_a_block_lies_in_one_clip_and_spans_no_more_than_its_length(
    rows: dict[tuple[str, int], int], length: int
) -> None:
    table = pd.DataFrame([(*key, label) for key, label in rows.items()], columns=["video", "frame", "label"])
    grouped = table.assign(block=comparison.blocks(table, length)).groupby("block")
    assert (grouped["video"].nunique() == 1).all()
    assert (grouped["frame"].max() - grouped["frame"].min() < length).all()
    spans = table.groupby("video")["frame"].agg(lambda frames: (frames.max() - frames.min()) // length + 1)
    assert len(grouped) <= spans.sum()


def test_blocks_are_as_long_as_the_median_event_and_not_below_ten() -> None:
    def length(*events: int) -> int:
        rows = [("1", 0, 0)]
        for event in events:
            start = rows[-1][1] + 3
            rows += [("1", start + k, 1) for k in range(event)] + [("1", start + event, 0)]
        table = pd.DataFrame(rows, columns=["video", "frame", "label"]).sample(frac=1, random_state=0)
        return comparison.block_length(table)

    assert length(20, 30, 90) == 30
    assert length(2, 3) == comparison.SHORTEST_BLOCK == length()


def test_one_class_and_one_clip_give_no_figure_and_still_plain_json() -> None:
    normal = better(scored(3)).assign(label=0, kind="")
    result = compare(normal)
    assert result["ap"] == {"a": None, "b": None, "difference": None}
    assert result["resampled"]["clips"]["ap"] == dict.fromkeys(("low", "high", "p", "error"))
    single = compare(better(scored(2)).query("video == '00'"))
    assert single["ap"]["difference"] > 0 and single["resampled"]["clips"]["draws"] == 0
    assert single["resampled"]["blocks"]["ap"]["p"] is not None
    json.dumps([result, single], allow_nan=False)


def test_order_of_rows_changes_nothing() -> None:
    table = better(scored(5))
    shuffled = table.sample(frac=1, random_state=4)
    first, second = compare(table), compare(shuffled)
    assert first["resampled"] == second["resampled"] and first["ap"] == second["ap"]


def revision(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"a": "score"})


def test_frames_are_matched_by_clip_and_number() -> None:
    table = revision(scored(3))
    paired = comparison.pair(table, table.sample(frac=1, random_state=0), ("x", "y"), "benchmark")
    assert len(paired) == len(table) and (paired["a"] == paired["b"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[2:], "benchmark: 2 frames, the first clip 00 frame 0, are scored in main alone"),
        (
            lambda t: t.assign(frame=t["frame"] + 1),
            "benchmark: 3 frames, the first clip 00 frame 0, are scored in main",
        ),
        (
            lambda t: t.assign(label=1 - t["label"]),
            "benchmark: 120 frames, the first clip 00 frame 0, are labelled oth",
        ),
        (lambda t: t.assign(score=np.nan), "tuned, benchmark: clip 00 frame 0: its score is not finite"),
        (lambda t: pd.concat([t, t[:1]]), "tuned, benchmark: clip 00 frame 0: it comes more than once"),
    ],
)
def test_other_frames_or_labels_are_refused_in_one_line(change: object, message: str) -> None:
    table = revision(scored(3))
    with pytest.raises(VadError) as refused:
        comparison.pair(table, change(table), ("main", "tuned"), "benchmark")  # type: ignore[operator]
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)
    if "scored" in message or "labelled" in message:
        with pytest.raises(VadError, match="frames"):
            comparison.pair(change(table), table, ("tuned", "main"), "benchmark")  # type: ignore[operator]


def test_clips_cut_from_one_video_are_drawn_together() -> None:
    table = better(scored(), by=0.5)
    videos = table.assign(group=table["video"].str[:1] + (table["video"].astype(int) // 2).astype(str))
    drawn = compare(videos)["resampled"]
    assert drawn["videos"]["units"] == 6 and drawn["clips"]["units"] == 12
    alone = compare(table.assign(video=videos["group"], frame=np.arange(len(table))))["resampled"]["clips"]
    assert drawn["videos"]["ap"] == alone["ap"]
    assert "videos" not in compare(table)["resampled"]
