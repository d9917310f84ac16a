"""Labels are of frame numbers, never of positions, whatever form they come in."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from sklearn.metrics import average_precision_score

from faults import stage_runner
from faults.stage_runner import ROOT
from tests.test_architecture import SOURCES, imports
from vad import VadError
from vad.data import avenue_masks, labels
from vad.storage import tables

MARKED = [0, 0, 1, 1, 0, 1]


def cells(marked: list[int], pixel: tuple[int, int] = (20, 30)) -> np.ndarray:
    """Masks of which the marked ones have one pixel set."""
    result = np.empty((1, len(marked)), object)
    for number, mark in enumerate(marked):
        result[0, number] = np.zeros((24, 32), np.uint8)
        result[0, number][pixel] = mark
    return result


def write_matlab5(path: Path, marked: list[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"volLabel": cells(marked)}, do_compression=True)
    return path


def write_matlab73(path: Path, marked: list[int]) -> Path:
    """As MATLAB's `save -v7.3` does: a cell array of references, an empty array as its dimensions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        array = file.create_dataset("volLabel", (len(marked), 1), h5py.ref_dtype)
        array.attrs["MATLAB_class"] = np.bytes_("cell")
        for number, cell in enumerate(cells(marked)[0]):
            mask = file.create_dataset(f"#refs#/{number}", data=cell.T)
            array[number, 0] = mask.ref
        empty = file.create_dataset("#refs#/empty", data=np.array([24, 32], np.uint64))
        empty.attrs["MATLAB_empty"] = 1
        array[0, 0] = empty.ref
    return path


@pytest.mark.parametrize("write", [write_matlab5, write_matlab73])
def test_a_frame_is_anomalous_when_any_pixel_is(tmp_path: Path, write: object) -> None:
    path = write(tmp_path / "1_label.mat", MARKED)  # type: ignore[operator]
    assert avenue_masks.anomalous_frames(path).tolist() == MARKED


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.int64, np.float32, float, complex])
def test_masks_of_every_kind_of_number_are_read(tmp_path: Path, kind: type, compressed: bool) -> None:
    array = np.empty((1, 5), object)
    array[0] = [
        np.zeros((3, 5), kind),
        np.eye(3, 5, 4, kind),
        np.zeros((0, 0), kind),
        np.ones(1, kind),
        np.eye(9, 9, 0, kind),
    ]
    if kind is complex:
        array[0, 3] = np.array([1j])
    path = tmp_path / "1_label.mat"
    scipy.io.savemat(path, {"before": np.arange(9), "volLabel": array, "after": 1}, do_compression=compressed)
    assert avenue_masks.anomalous_frames(path).tolist() == [0, 1, 0, 1, 1]


@pytest.mark.parametrize("content", ["cell of text", "cell of cells", "text"])
def test_a_matlab_variable_of_that_name_that_is_no_mask_is_named(tmp_path: Path, content: str) -> None:
    cell = np.empty(1, object)
    cell[0] = cells(MARKED) if content == "cell of cells" else "text"
    scipy.io.savemat(tmp_path / "1_label.mat", {"volLabel": cell if "cell" in content else content})
    with pytest.raises(VadError, match=r"1_label\.mat: not a readable MATLAB file \(.*(no numbers|no cell array)\)"):
        avenue_masks.anomalous_frames(tmp_path / "1_label.mat")


@pytest.mark.parametrize("write", [write_matlab5, write_matlab73])
def test_a_damaged_mask_is_named(tmp_path: Path, write: object) -> None:
    path = write(tmp_path / "1_label.mat", MARKED)  # type: ignore[operator]
    content = path.read_bytes()
    for share in (0.0, 0.3, 0.7):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(VadError, match=r"1_label\.mat: not a readable MATLAB file \(.*\); download it again"):
            avenue_masks.anomalous_frames(path)
    scipy.io.savemat(path, {"vol": np.zeros(3)})
    with pytest.raises(VadError, match=r"1_label\.mat: no cell array volLabel"):
        avenue_masks.anomalous_frames(path)


def scores(video: str, numbers: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"video": video, "frame": numbers, "score": np.arange(len(numbers), dtype=float)})


def test_masks_are_matched_by_frame_number(tmp_path: Path) -> None:
    write_matlab5(tmp_path / "1_label.mat", MARKED)
    frames = scores("01", [1, 2, 5])
    joined = labels.join(frames, labels.read_masks(tmp_path, frames, whole=False), tmp_path)
    assert joined["label"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("numbers", "whole"), [([4, 5, 6], False), ([0, 1, 2, 3, 4], True), ([0, 1, 2, 3, 4, 5, 6], True)]
)
def test_a_mask_that_does_not_fit_its_clip_is_named_with_it(tmp_path: Path, numbers: list[int], whole: bool) -> None:
    write_matlab5(tmp_path / "1_label.mat", MARKED)
    with pytest.raises(VadError, match=rf"1_label\.mat: a mask of 6 frames, but clip 01 has {len(numbers)}, numbered"):
        labels.read_masks(tmp_path, scores("01", numbers), whole)
    labels.read_masks(tmp_path, scores("01", [0, 1, 2, 3, 4, 5]), whole)


@pytest.mark.parametrize("video", ["02", "lobby"])
def test_a_clip_without_a_mask_is_named(tmp_path: Path, video: str) -> None:
    write_matlab5(tmp_path / "1_label.mat", MARKED)
    with pytest.raises(VadError, match=rf"no mask .*_label\.mat for clip {video}"):
        labels.read_masks(tmp_path, scores(video, [0]), whole=False)


def test_a_table_of_ids_is_read_as_a_replicas_truth(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("Id,label,flipped,noisy\n1_939,1,0,0\n01_940,0,1,0\nmain_hall_7,1,0,0\n")
    table = labels.read(path)
    assert table["Id"].tolist() == ["1_939", "1_940", "main_hall_7"]
    assert table["label"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Id,label\n1-939,1\n", "Id '1-939' is not CLIP_FRAME"),
        ("Id,label\n1_x,1\n", "Id '1_x' is not CLIP_FRAME"),
        ("video,frame,label\n1,1.5,1\n", r"clip 1: frame 1\.5 is not a number"),
        ("video,frame,label\n1,,1\n", "clip 1: frame .*is not a number"),
        ("video,frame,label\n1,1e30,1\n", r"clip 1: frame 1e\+30 is not a number that a frame can have$"),
        ("video,frame,label\n1,inf,1\n1,2,0\n", "clip 1: frame inf is not a number"),
        ("video,frame,label\n1,-1,1\n", "clip 1: frame -1 is not a number"),
        ("Id,label\n1_99999999999999999999,1\n1_2,1\n", "frame 99999999999999999999 is not a number"),
        ('video,frame,label\n"a\nall is well",x,1\n', r"clip 'a\\nall is well': frame x is not a number"),
        ('video,frame,label\na,1,"1\nfine"\n', r"label '1\\nfine' is neither 0 nor 1"),
        ('video,frame,"lab\nel"\na,1,1\n', r"no column label; its header is 'video,frame,lab\\nel'"),
        ("Id,label\n1_939,1\n01_939,0\n", "frame 1_939 is labelled more than once"),
        ("frame,label\n1,1\n", "no column video"),
        ("video,frame\n1,1\n", "no column label"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(VadError, match=message) as raised:
        labels.read(tmp_path / "labels.csv")
    assert "\n" not in str(raised.value)


def test_a_clip_s_name_of_thousands_of_digits_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"video,frame,label\n0{'9' * 5000},1,1\n")
    assert labels.read(tmp_path / "labels.csv")["Id"].tolist() == [f"{'9' * 5000}_1"]


def test_a_pipe_among_the_labels_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(VadError, match=r"labels\.csv: no labels"):
        labels.find(tmp_path)
    os.mkfifo(tmp_path / "1_label.mat")
    with pytest.raises(VadError, match=r"no mask 1_label\.mat for clip 01; add it"):
        labels.read_masks(tmp_path, scores("01", [0]), whole=False)


def test_labels_are_found_by_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("")
    assert labels.find(tmp_path) is None
    deep = write_matlab5(tmp_path / "ground_truth_demo" / "testing_label_mask" / "1_label.mat", MARKED)
    assert labels.find(tmp_path) == deep.parent
    (tmp_path / "truth.csv").write_text("")
    with pytest.raises(VadError, match=r"labels twice, in .*truth\.csv and .*\*_label\.mat; keep one"):
        labels.find(tmp_path)
    shutil.rmtree(tmp_path / "ground_truth_demo")
    assert labels.find(tmp_path) == tmp_path / "truth.csv" == labels.find(tmp_path / "truth.csv")
    (tmp_path / "truth.csv").rename(tmp_path / "truth.xlsx")
    with pytest.raises(VadError, match=r"truth\.xlsx: no labels"):
        labels.find(tmp_path)


def ap_of(folder: Path, truth: Path, renumber: int = 0) -> float:
    """Benchmark AP after the real stages, of scores that know the truth of clip 01, starting at 939, with gaps."""
    shutil.rmtree(folder, ignore_errors=True)
    stage_runner.write_clips(folder / ROOT)
    clip = folder / ROOT / "testing" / "01"
    for number in (941, 944, 945):
        (clip / f"frame_{number:05d}.jpg").unlink()
    if renumber:
        for position, path in enumerate(sorted(clip.iterdir())):
            path.rename(path.with_name(f"frame_{position + renumber:05d}.jpg"))
        (folder / ROOT / "sample_submission.csv").unlink()
    (folder / "data/truth").mkdir()
    stage_runner.set_params(folder, benchmark_labels=str(truth))
    assert stage_runner.run_stages(folder, ("fetch", "extract", "validation")).printed == ""
    index = tables.read_csv(folder / "data/frames/index.csv", tables.KEYS).query("split == 'test'")
    rank = {path.name: n for n, path in enumerate(sorted(clip.iterdir()))}
    known = [0, 1, 0, 0, 1, 1, 0, 0, 1]  # what clip 01's nine frames show, in order
    first = index["video"] == "01"
    index.loc[first, "score"] = [known[rank[f"frame_{n:05d}.jpg"]] + n * 1e-6 for n in index.loc[first, "frame"]]
    index.loc[~first, "score"] = -1.0
    validation = tables.read_csv(folder / "data/validation/labels.csv", ["video", "frame"])
    both = pd.concat([index, validation.assign(split="validation", score=0.0)])[[*tables.KEYS, "score"]]
    tables.write_csv(folder / "data/scores.csv", both)
    (folder / "metrics/train.json").write_text("{}")
    tables.write_components(folder / "data/components/given.npz", tables.empty())
    ended = stage_runner.run_stages(folder, ("evaluate",))
    assert ended.printed == ""
    return json.loads((folder / "metrics/evaluation.json").read_text())["benchmark"]["ap"]


def test_position_can_never_stand_in_for_the_frame_number(tmp_path: Path) -> None:
    """Masks of the whole original clip, a cut clip with gaps: a perfect ranking has AP 1 by number, and only so."""
    numbers = [939, 940, 942, 943, 946, 947, 948, 949, 950]
    marked = np.zeros(1000, int)
    marked[[940, 946, 947, 950]] = 1
    truth = tmp_path / "truth"
    write_matlab5(truth / "1_label.mat", marked.tolist())
    write_matlab5(truth / "2_label.mat", [0] * 12)
    assert ap_of(tmp_path / "run", truth) == 1.0
    by_position = average_precision_score(marked[939:948], marked[numbers])
    assert by_position < 0.8  # what the mistake would report
    assert ap_of(tmp_path / "run", truth, renumber=939) < 0.8


def test_only_evaluate_opens_the_labels_of_test_frames() -> None:
    readers = {"vad.data.labels", "vad.data.avenue_masks"}
    importers = {name for name, source in SOURCES.items() if imports(source) & readers}
    # Fault injection mutates labels that it wrote itself.
    assert importers - readers == {"stages.evaluate", "faults.readers"}


def test_fetch_moves_labels_unread(tmp_path: Path) -> None:
    stage_runner.write_clips(tmp_path / ROOT)
    (tmp_path / "data/truth").mkdir()
    (tmp_path / "data/given").mkdir()
    stage_runner.set_params(tmp_path)
    nonsense = bytes(range(256))
    (tmp_path / ROOT / "labels.csv").write_bytes(nonsense)
    mask = tmp_path / ROOT / "ground_truth_demo" / "testing_label_mask" / "1_label.mat"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(nonsense)
    stages = ("check", "fetch", "extract", "validation", "diagnose", "resize")
    assert stage_runner.run_stages(tmp_path, stages).printed == ""
    for name in ("labels.csv", "masks/1_label.mat"):
        assert (tmp_path / "data/labels" / name).read_bytes() == nonsense


@pytest.mark.real
def test_official_masks_fit_the_official_clips(real_data: Path) -> None:
    folder = real_data / "avenue" / "ground_truth_demo" / "testing_label_mask"
    lengths = {"08": 36, "17": 426, "18": 294, "21": 76}
    frames = pd.concat([scores(video, list(range(length))) for video, length in lengths.items()])
    table = labels.read_masks(folder, frames, whole=True)
    assert len(table) == 832 and table["label"].mean() == pytest.approx(767 / 832)
