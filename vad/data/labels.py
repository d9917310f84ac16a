"""Frame labels: opened by the stage `evaluate` alone."""

from pathlib import Path

import numpy as np
import pandas as pd

from vad import VadError
from vad.data import frame_ids
from vad.data.frame_ids import shown
from vad.storage import tables


def find(place: Path) -> Path | None:
    """The labels in a folder: labels.csv or its only CSV, or the folder of masks N_label.mat; None without any.

    A file is itself. Raises VadError for several, and for a folder of other files.
    """
    if place.is_file():
        return place
    tables_there = sorted(path for path in place.glob("*.csv") if path.is_file() and not path.name.startswith("."))
    found = [path for path in tables_there if path.name == "labels.csv"] or tables_there
    found += sorted({path.parent for path in place.rglob("*_label.mat")})
    if len(found) > 1:
        names = [path / "*_label.mat" if path.is_dir() else path for path in found]
        raise VadError(f"{place}: labels twice, in {names[0]} and {names[1]}; keep one")
    others = [path for path in sorted(place.iterdir()) if not path.name.startswith(".") and path.name != "README.md"]
    if others and not found:
        raise VadError(f"{shown(others[0])}: no labels; {place} may hold masks named N_label.mat or a CSV")
    return found[0] if found else None


def read(path: Path) -> pd.DataFrame:
    """Labels of frames from a CSV -> (Id, label, kind), Id without zero padding.

    Its columns are video, frame, label or Id, label, and perhaps kind. `label` is 1 for an anomalous frame; `kind`
    names the event and is empty without one. Raises VadError for a frame that is no number, a label other than 0
    or 1 and a frame that is labelled twice.
    """
    table = frame_ids.read(tables.read_csv(path, ["label"]), path)
    table["kind"] = table.get("kind", "")
    numeric = pd.to_numeric(table["label"], errors="coerce")
    bad = table[~numeric.isin([0, 1])]
    if len(bad):
        row = bad.iloc[0]
        where = f"{path}: clip {shown(row['video'])} frame {row['frame']}"
        raise VadError(f"{where}: label {shown(row['label'])} is neither 0 nor 1")
    twice = table[table["Id"].duplicated()]
    if len(twice):
        raise VadError(f"{path}: frame {shown(twice['Id'].iloc[0])} is labelled more than once; keep one row")
    return table[["Id", "kind"]].assign(label=numeric.astype(int))


def read_masks(folder: Path, scores: pd.DataFrame, whole: bool) -> pd.DataFrame:
    """Labels (Id, label, kind) of the clips in `scores` (video, frame) from their masks N_label.mat.

    A mask says something of frame numbers, not of positions: the first is of frame 0. Clips that are `whole` must
    have exactly as many frames as their mask, others may lack some of them. Raises VadError, which names mask and
    clip, when they don't fit, and for a clip without a mask.
    """
    from vad.data import avenue_masks  # here: most labels are a table, and h5py takes a twentieth of a second

    masks = sorted(path for path in folder.glob("*_label.mat") if path.is_file())
    paths = {path.name.removesuffix("_label.mat").lstrip("0"): path for path in masks}
    parts = []
    for video, rows in scores.groupby("video", sort=True):
        path = paths.get(str(video).lstrip("0"))
        if path is None:
            raise VadError(f"{folder}: no mask {str(video).lstrip('0')}_label.mat for clip {video}; add it")
        label = avenue_masks.anomalous_frames(path)
        first, last = rows["frame"].min(), rows["frame"].max()
        if last >= len(label) or (whole and len(rows) != len(label)):
            raise VadError(
                f"{path}: a mask of {len(label)} frames, but clip {video} has {len(rows)}, numbered {first} to {last}; "
                "are both of the same clip?"
            )
        numbers = np.arange(len(label))
        parts.append(pd.DataFrame({"Id": frame_ids.of([str(video)] * len(label), numbers), "kind": "", "label": label}))
    return pd.concat(parts, ignore_index=True)


def join(scores: pd.DataFrame, labels: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Scores (video, frame, score) with the columns label and kind beside them, matched by clip and frame number.

    Labels of frames that are not scored are passed over: such frames were dropped or cut. Raises VadError, which
    names `path`, for a scored frame without a label.
    """
    joined = scores.assign(Id=frame_ids.of(scores["video"], scores["frame"])).merge(
        labels, on="Id", how="left", validate="one_to_one"
    )
    unlabelled = joined[joined["label"].isna()]
    if len(unlabelled):
        row = unlabelled.iloc[0]
        raise VadError(
            f"{path}: no label for clip {row['video']} frame {row['frame']} and {len(unlabelled) - 1} more scored "
            "frames; add their rows"
        )
    return joined.drop(columns="Id").astype({"label": int})
