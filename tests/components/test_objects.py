"""Objects: a box that looks or moves unlike those of training frames makes its frame anomalous, and no other does."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.tiny_clips import walking_square
from vad import VadError, params
from vad.components import objects
from vad.components.objects import Known, Seen
from vad.components.pairs import Flow
from vad.data import clips
from vad.models import detector
from vad.models.detector import Found
from vad.params import Objects
from vad.storage import tables
from vad.storage.store import Share, ShareDone, Store

TOP = Path(__file__).parents[2]
DEFAULT = params.load(TOP / "params.yaml")
USUAL, STRANGE = (230, 200, 90), (90, 200, 230)


def chosen(**changes: object) -> Objects:
    return DEFAULT.objects.model_copy(update=changes)


class BySaturation:
    """Stands in for a detector: whatever has colour is an object, seen as its mean colour."""

    def __init__(self) -> None:
        self.frames = 0

    def find(self, frame: np.ndarray) -> Found:
        self.frames += 1
        rows, columns = np.nonzero(np.ptp(frame.astype(int), axis=2) > 60)
        if not len(rows):
            return Found(np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32))
        height, width = frame.shape[:2]
        box = [columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height]
        return Found(np.array([box], np.float32), frame[rows, columns].mean(0, dtype=np.float32)[None])


def walk(count: int, speed: int = 1, colour: tuple[int, ...] = USUAL) -> np.ndarray:
    """Grey frames with a square of a colour that walks."""
    frames = walking_square(count, (48, 64), seed=1, speed=speed)
    moving = (frames == USUAL).all(axis=3)
    frames[...] = frames.mean(axis=3, keepdims=True).astype(np.uint8)
    frames[moving] = colour
    return frames


class Folder:
    """Clips as the stages before leave them, scored with the stand-in."""

    def __init__(self, folder: Path, seen: Mapping[str, Mapping[str, np.ndarray]], folds: Mapping[str, int]) -> None:
        self.folder, self.network = folder, BySaturation()
        index = []
        for split in ("train", "holdout", "test", "validation"):
            place = clips.folder_of(folder / "frames", folder / "validation", split)
            place.mkdir(parents=True)
            for video, frames in seen.get(split, {}).items():
                images = ((number, *clips.encode(frame)) for number, frame in enumerate(frames, 5))
                clips.write_zip(place / f"{video}.zip", images, f"{split}/{video}")
                rows = pd.DataFrame({"frame": np.arange(5, 5 + len(frames))})
                index.append(rows.assign(split=split, video=video, fold=folds.get(video, -1)))
        table = pd.concat(index)[[*tables.KEYS, "fold"]].assign(flipped=0, noisy=0)
        tables.write_csv(folder / "diagnosis.csv", table)
        (folder / "weights.pth").write_bytes(b"stand-in")

    def measure(self, kept: Store | None = None, **changes: Any) -> pd.DataFrame:
        weights = {"weights": self.folder / "weights.pth"}
        settings = DEFAULT.model_copy(update={"objects": chosen(**weights | changes)})
        places = (self.folder / name for name in ("frames", "validation", "diagnosis.csv"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(detector, "load", lambda _: self.network)
            return objects.measure(settings, kept or Store(), *places)


def of_clip(table: pd.DataFrame, split: str, video: str) -> pd.DataFrame:
    return table[(table["split"] == split) & (table["video"] == video)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    strange = np.concatenate([walk(8), walk(16, colour=STRANGE)[8:]])
    nobody = walk(8).mean(axis=3, keepdims=True).astype(np.uint8).repeat(3, axis=3)
    seen = {
        "train": {"01": walk(30), "02": walk(20)},
        "holdout": {"03": walk(6)},
        "test": {"01": strange, "02": walk(16, speed=5), "03": nobody},
    }
    return Folder(tmp_path_factory.mktemp("objects"), seen, {})


def test_a_strange_object_scores_above_the_familiar_ones_where_it_is_there(folder: Folder) -> None:
    table = folder.measure()
    assert list(table.columns) == [*tables.KEYS, "objects_appearance", "objects_velocity"]
    assert of_clip(table, "test", "01")["frame"].tolist() == list(range(5, 21))
    looks = of_clip(table, "test", "01")["objects_appearance"].to_numpy()
    assert looks[8:].min() > 10 * looks[:8].max()
    moves = {video: of_clip(table, "test", video)["objects_velocity"] for video in ("01", "02")}
    assert moves["02"].median() > 3 * moves["01"][:8].median()
    assert of_clip(table, "test", "02")["objects_appearance"].max() < 0.1 * looks[8:].min()


def test_a_frame_without_an_object_has_the_least_score_that_there_is(folder: Folder) -> None:
    table = folder.measure()
    assert (of_clip(table, "test", "03")[["objects_appearance", "objects_velocity"]] == 0).all(axis=None)
    assert (table[["objects_appearance", "objects_velocity"]] >= 0).all(axis=None)


def test_shares_of_the_clips_give_the_very_table_and_no_frame_is_looked_at_twice(
    folder: Folder, tmp_path: Path
) -> None:
    expected = folder.measure()
    for number in (2, 1):
        with pytest.raises(ShareDone):
            folder.measure(Store(tmp_path, "code", Share(number, 2)))
    folder.network.frames = 0
    pd.testing.assert_frame_equal(folder.measure(Store(tmp_path, "code")), expected)
    assert folder.network.frames == 0
    # Something else to compare with: boxes of training frames are there, those of scored ones are not.
    folder.network.frames = 0
    for path in tmp_path.glob("*.npz"):
        if "names" in np.load(path):
            path.unlink()
    pd.testing.assert_frame_equal(folder.measure(Store(tmp_path, "code")), expected)
    assert folder.network.frames == 16 + 16 + 8 + 6


def test_a_clip_is_not_compared_with_itself_where_it_is_scored_out_of_fold(tmp_path: Path) -> None:
    training = {"01": walk(12), "02": walk(12), "03": walk(12, colour=STRANGE)}
    folds = {"01": 0, "02": 1, "03": 0}
    seen = {"train": training, "test": {"04": walk(12, colour=STRANGE)}}
    table = Folder(tmp_path, seen, folds).measure().groupby(["split", "video"])["objects_appearance"].median()
    assert table["train", "03"] > 100 > 10 > table["test", "04"]
    assert table["train", "01"] < 10 and table["train", "02"] < 10


def test_other_weights_are_other_results(folder: Folder, tmp_path: Path) -> None:
    folder.measure(Store(tmp_path, "code"))
    (folder.folder / "weights.pth").write_bytes(b"others")
    folder.network.frames = 0
    folder.measure(Store(tmp_path, "code"))
    assert folder.network.frames > 50


def boxes(looks: np.ndarray) -> Seen:
    return Seen(looks.astype(np.float32), np.zeros((len(looks), 10), np.float32))


def test_the_score_is_that_of_the_strangest_box_by_its_nearest_neighbours() -> None:
    training = [boxes(np.array([[0.0, 0.0], [1.0, 0.0]])), boxes(np.zeros((0, 2))), boxes(np.array([[10.0, 0.0]]))]
    known = Known(training, chosen(neighbours=2))
    # From 4: 3 to the nearest and 4 to the next. The other box is familiar.
    assert known.score(boxes(np.array([[0.0, 0.0], [4.0, 0.0]])))["objects_appearance"] == pytest.approx(3.5)
    assert Known(training, chosen(neighbours=50)).score(boxes(np.array([[0.0, 0.0]])))[
        "objects_appearance"
    ] == pytest.approx(11 / 3)


def test_of_any_number_of_boxes_so_many_are_remembered_spread_over_all() -> None:
    training = [boxes(np.full((100, 2), number)) for number in range(50)]
    known = Known(training, chosen(remembered=200))
    assert len(known.looks) == len(known.moves) == 200
    assert np.bincount(known.looks[:, 0].to(torch.int64)).tolist() == [4] * 50


def test_where_nothing_is_found_in_training_frames_a_line_says_what_to_do() -> None:
    with pytest.raises(VadError, match=r"^objects: .* finds nothing in training frames .*; lower objects.min_score"):
        Known([boxes(np.zeros((0, 2)))], chosen())


def test_a_walk_is_the_same_near_and_far_and_another_way_is_another_walk() -> None:
    x, y = np.zeros((2, 100, 200), np.float32)
    x[:40, :100] = 2
    y[60:, 100:] = 8
    flow = Flow(np.hypot(x, y), x, y)
    near = objects.movement(Flow(*(4 * part for part in flow)), np.array([0, 0, 0.5, 0.4]))
    far = objects.movement(flow, np.array([0, 0, 0.1, 0.1]))
    assert near == pytest.approx([0.2, 0, 0, 0, 0, 0, 0, 0, 0.2, 0.2])
    assert far == pytest.approx(near)
    down = objects.movement(flow, np.array([0.5, 0.6, 1, 1]))
    assert down == pytest.approx([0, 0, 0.2, 0, 0, 0, 0, 0, 0.2, 0.2])
    # Half of it stands: the mean is halved, the quantile is not.
    half = objects.movement(flow, np.array([0.5, 0.2, 1, 1]))
    assert half[8:] == pytest.approx([0.05, 0.1])
    for edge in ([0, 0, 0, 0], [1, 1, 1, 1]):
        assert np.isfinite(objects.movement(flow, np.array(edge))).all()


def test_where_it_is_off_no_detector_is_imported_and_the_table_is_empty(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("not needed\n")
    code = f"""
import sys
from pathlib import Path
from stages import components
components.main(Path({str(tmp_path / "objects")!r}), *map(Path, "abc"), Path({str(tmp_path / "table.npz")!r}))
print([name for name in ("torch", "torchvision", "vad.models.detector") if name in sys.modules])
"""
    printed = subprocess.run([sys.executable, "-c", code], cwd=TOP, text=True, capture_output=True, check=True).stdout
    assert printed == "[]\n" and tables.read_components(tmp_path / "table.npz").empty
