"""Scores of somebody else's become a component: calibrated where normal frames have one, by their ranks where not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from vad import VadError, params
from vad.components import given
from vad.data import own_scores
from vad.scoring import calibration
from vad.storage import tables
from vad.storage.store import Store

PARAMS = params.load(Path("params.yaml"))
CLIPS = {"holdout": ["04"], "validation": ["04-1"], "test": ["01", "02"]}
FOLDED = {"train": ["04", "05"], "validation": ["04-1", "05-1"], "test": ["01", "02"]}


def diagnosed(clips: dict[str, list[str]]) -> pd.DataFrame:
    """A diagnosis of clips of 20 frames, numbered from 5; training clips are of folds of their own."""
    rows = [(split, video, 5 + n) for split, videos in clips.items() for video in videos for n in range(20)]
    table = pd.DataFrame(rows, columns=tables.KEYS)
    folded = table["split"].isin(["train", "validation"]) & ("train" in clips)
    return table.assign(fold=np.where(folded, table["video"].str[:2].astype(int) - 4, -1))


def measured(folder: Path, rows: pd.DataFrame | str, clips: dict[str, list[str]] = CLIPS) -> pd.DataFrame:
    """What the family makes of a CSV, beside the fold of each frame."""
    path, found = folder / "own.csv", folder / "diagnosis.csv"
    path.write_text(rows if isinstance(rows, str) else rows.to_csv(index=False))
    frames = diagnosed(clips)
    tables.write_csv(found, frames)
    chosen = PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update={"scores": path})})
    table = given.measure(chosen, Store(), found)
    return frames.merge(table, on=tables.KEYS, validate="one_to_one")


def scored(clips: dict[str, list[str]] = CLIPS) -> pd.DataFrame:
    """A score for every frame (split, video, frame, mine)."""
    frames = diagnosed(clips)[tables.KEYS]
    return frames.assign(mine=np.random.default_rng(3).gamma(2.0, 5.0, len(frames)))


def ids(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as those of Kaggle's submission."""
    return pd.DataFrame({"Id": rows["video"].str.lstrip("0") + "_" + rows["frame"].astype(str), "p": rows["mine"]})


def test_scores_of_all_frames_are_taken_as_they_are(tmp_path: Path) -> None:
    for clips in (CLIPS, FOLDED):
        rows = scored(clips)
        table = measured(tmp_path, rows.sample(frac=1, random_state=1), clips)
        assert table["given"].tolist() == rows["mine"].tolist() and table[own_scores.KNOWN].all()


def test_without_validation_frames_these_get_the_median_of_the_normal_ones(tmp_path: Path) -> None:
    rows = scored().query("split != 'validation'")
    table = measured(tmp_path, rows)
    assert set(table.loc[table["split"] == "validation", "given"]) == {
        rows.query("split == 'holdout'")["mine"].median()
    }
    assert own_scores.lacking(table) == {"validation"}


@pytest.mark.parametrize("clips", [CLIPS, FOLDED])
def test_a_submission_is_taken_by_rank_on_the_scale_of_calibrated_components(
    tmp_path: Path, clips: dict[str, list[str]]
) -> None:
    rows = scored(clips).query("split == 'test'").reset_index(drop=True)
    rows.loc[3, "mine"] = rows.loc[8, "mine"]
    table = measured(tmp_path, ids(rows), clips)
    test = table[table["split"] == "test"]["given"].to_numpy()
    expected = norm.ppf((rows["mine"].rank().to_numpy() - 0.5) / len(rows))
    np.testing.assert_allclose(test, expected, rtol=1e-12)
    assert test[3] == test[8]
    rescaled = calibration.normalise(table["given"].to_numpy(), table, "calibrated")
    np.testing.assert_allclose(rescaled[table["split"] == "test"], test, rtol=1e-9)
    logarithm = calibration.normalise(table["given"].to_numpy(), table, "calibrated_log")
    np.testing.assert_allclose(logarithm, rescaled)
    assert (table.loc[table["split"] == "validation", "given"] == 0).all()
    assert own_scores.lacking(table) == set(clips) - {"test"}


def test_normal_frames_of_every_clip_stand_for_all_ranks(tmp_path: Path) -> None:
    table = measured(tmp_path, ids(scored(FOLDED).query("split == 'test'")), FOLDED)
    by_clip = table[table["split"] == "train"].groupby("video")["given"]
    assert by_clip.mean().abs().max() < 0.5 and by_clip.std().min() > 0.5


def test_clip_and_frame_say_what_the_id_says(tmp_path: Path) -> None:
    rows = scored().query("split == 'test'")
    by_id = measured(tmp_path, ids(rows))
    by_clip = measured(tmp_path, rows.drop(columns="split"))
    pd.testing.assert_frame_equal(by_id, by_clip)


HEAD = "video,frame,mine\n"
TEST = "".join(f"{video},{5 + n},{n}\n" for video in ("01", "02") for n in range(20))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + TEST.replace("01,7,2\n", ""), "no score for test clip 01 frame 7 and 0 more; add their rows"),
        (HEAD, "no score for test clip 01 frame 5 and 39 more; add their rows"),
        (HEAD + TEST + "1,7,3\n", "row 42, test frame 1_7: it comes more than once; keep one row a frame"),
        (HEAD + TEST.replace("01,7,2", "01,7,nan"), "row 4, test frame 1_7: its mine is not a finite number; mend it"),
        (HEAD + TEST.replace("01,7,2", "01,7,"), "row 4, test frame 1_7: its mine is not a finite number; mend it"),
        (HEAD + TEST.replace("01,7,2", "01,7,inf"), "row 4, test frame 1_7: its mine is not a finite number; mend it"),
        (
            HEAD + TEST + "09,7,3\n",
            "row 42, test frame 9_7: not among the scored frames of holdout, validation, test; "
            "remove the row, or name clip and frame as they are named here",
        ),
        (HEAD + TEST.replace("01,7,2", "01,x,2"), "clip 01: frame x is not a number that a frame can have"),
        ("Id,a,b\n1_5,1,2\n", "several columns of scores, a, b; it takes Id, or video and frame, and one column more"),
        ("Id\n1_5\n", "no column of scores; it takes Id, or video and frame, and one column more"),
        ("clip,frame\n1,5\n", "no column video; its header is clip,frame"),
        ("Id,p\n1-5,1\n", "Id '1-5' is not CLIP_FRAME, as 1_939 is; mend it"),
        (
            "split," + HEAD + TEST.replace("01,", "test,01,").replace("02,", "test,02,") + "holdout,04,5,1\n",
            "no score for holdout clip 04 frame 6 and 18 more; add their rows",
        ),
    ],
)
def test_a_csv_that_does_not_fit_is_refused_in_a_line_that_names_the_row(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(VadError) as raised:
        measured(tmp_path, text)
    assert str(raised.value) == f"{tmp_path / 'own.csv'}: {message}"


def test_a_folder_holds_one_csv_or_given_can_t_have_a_weight(tmp_path: Path) -> None:
    with pytest.raises(VadError, match=f"data.scores: no CSV in {tmp_path}, but given has a weight"):
        own_scores.find(tmp_path)
    (tmp_path / "a.csv").touch()
    assert own_scores.find(tmp_path) == own_scores.find(tmp_path / "a.csv") == tmp_path / "a.csv"
    (tmp_path / "b.csv").touch()
    with pytest.raises(VadError, match="scores twice"):
        own_scores.find(tmp_path)
