"""submission.csv is sacred: every id once, in order, no two scores merged. Labels are matched by frame number."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vad import VadError
from vad.data import labels, submission
from vad.storage import tables

SCORES = pd.DataFrame({"video": ["01", "01", "21"], "frame": [939, 940, 75], "score": [0.5, 0.25, 0.75]})


def sample(tmp_path: Path, *ids: str) -> Path:
    path = tmp_path / "sample_submission.csv"
    path.write_text("Id,Predicted\n" + "".join(f"{name},0.0\n" for name in ids))
    return path


def test_ids_have_no_zero_padding_and_frames_their_number(tmp_path: Path) -> None:
    assert submission.build(SCORES, None)["Id"].tolist() == ["1_939", "1_940", "21_75"]
    assert tables.frame_id("lobby", 7) == "lobby_7"


def test_order_is_that_of_the_sample_submission(tmp_path: Path) -> None:
    rows = submission.build(SCORES, sample(tmp_path, "21_75", "1_939", "1_940"))
    assert rows["Id"].tolist() == ["21_75", "1_939", "1_940"]
    assert rows["Predicted"].tolist() == [0.75, 0.5, 0.25]
    assert list(rows.columns) == ["Id", "Predicted"]


def test_different_scores_stay_different_in_the_file(tmp_path: Path) -> None:
    close = SCORES.assign(score=[1.0, np.nextafter(1, 2), np.nextafter(1, 0)])
    tables.write_csv(tmp_path / "submission.csv", submission.build(close, None))
    again = pd.read_csv(tmp_path / "submission.csv")
    assert again["Predicted"].tolist() == close["score"].tolist()
    assert (tmp_path / "submission.csv").read_text().startswith("Id,Predicted\n1_939,1.0\n")


def test_an_id_without_a_score_is_refused(tmp_path: Path) -> None:
    path = sample(tmp_path, "1_939", "1_940", "21_75", "21_76", "21_77", "21_78", "21_79")
    with pytest.raises(VadError, match=r"not among the test frames: 21_76, 21_77, 21_78 and 1 more"):
        submission.build(SCORES, path)


def test_a_score_without_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VadError, match=r"sample_submission\.csv: lacks these test frames: 1_940"):
        submission.build(SCORES, sample(tmp_path, "1_939", "21_75"))


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VadError, match=r"occurs more than once: 1_939"):
        submission.build(SCORES, sample(tmp_path, "1_939", "1_939", "1_940", "21_75"))
    with pytest.raises(VadError, match=r"submission: occurs more than once: 1_5"):
        submission.build(SCORES.assign(video=["01", "1", "2"], frame=5), None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(VadError, match=r"the score is not finite: 1_940"):
        submission.build(SCORES.assign(score=[0.5, value, 0.75]), None)


def labelled(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def test_labels_are_matched_by_frame_number_whatever_their_order_and_padding(tmp_path: Path) -> None:
    path = labelled(tmp_path, "video,frame,label,kind\n21,75,1,run\n1,940,0,\n1,939,1,throw\n1,941,0,\n")
    joined = labels.join(SCORES, labels.read(path), path)
    assert joined["label"].tolist() == [1, 0, 1]
    assert joined["kind"].tolist() == ["throw", "", "run"]
    assert joined["score"].tolist() == SCORES["score"].tolist()


def test_labels_without_kinds_are_welcome(tmp_path: Path) -> None:
    path = labelled(tmp_path, "video,frame,label\n21,75,1\n01,940,0\n01,939,1\n")
    assert labels.join(SCORES, labels.read(path), path)["kind"].tolist() == ["", "", ""]


def test_a_scored_frame_without_a_label_is_named(tmp_path: Path) -> None:
    path = labelled(tmp_path, "video,frame,label\n01,939,1\n")
    with pytest.raises(VadError, match=r"no label for clip 01 frame 940 and 1 more scored frames"):
        labels.join(SCORES, labels.read(path), path)


@pytest.mark.parametrize("value", ["2", "0.5", "", "yes"])
def test_a_label_other_than_0_or_1_is_named(tmp_path: Path, value: str) -> None:
    path = labelled(tmp_path, f"video,frame,label\n01,939,1\n01,940,{value}\n")
    with pytest.raises(VadError, match=r"clip 01 frame 940: label .* is neither 0 nor 1"):
        labels.read(path)


def test_a_frame_labelled_twice_is_named(tmp_path: Path) -> None:
    path = labelled(tmp_path, "video,frame,label\n01,939,1\n1,939,0\n")
    with pytest.raises(VadError, match="frame 1_939 is labelled more than once"):
        labels.read(path)
