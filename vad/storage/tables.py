"""Tables keyed by (split, video, frame number): all that is known of a frame goes from stage to stage in these."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from vad import VadError
from vad.storage import files

KEYS = ["split", "video", "frame"]
"""split: train, holdout, validation or test. video: the clip's name. frame: its number, not its position."""

SCORED = ("holdout", "validation", "test")
"""The splits whose frames get a score, in this order."""

PARTS = {"validation": "validation", "benchmark": "test"}
"""The parts of an evaluation, each apart from the other -> the split that each is about."""


def frame_id(video: str, frame: int) -> str:
    """The competition's Id of a frame: clip and frame number without zero padding, `1_939`."""
    return f"{(video.lstrip('0') or '0') if video.isdecimal() else video}_{frame}"


def write_components(path: Path, table: pd.DataFrame) -> None:
    """Write the keys and any number of float64 component columns as one .npz, the same bytes for the same table."""
    with files.replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            split=table["split"].to_numpy(dtype=str),
            video=table["video"].to_numpy(dtype=str),
            frame=table["frame"].to_numpy(np.int64),
            names=np.array([name for name in table.columns if name not in KEYS], dtype=str),
            values=table.drop(columns=KEYS).to_numpy(np.float64),
        )


def empty() -> pd.DataFrame:
    """The table of components that were not measured: no frame, no component."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in zip(KEYS, (str, str, np.int64), strict=True)})


def read_components(path: Path) -> pd.DataFrame:
    """The keys and component columns that `write_components` wrote. Raises VadError for a missing or damaged file."""
    try:
        with np.load(path) as stored:
            keys = pd.DataFrame({name: stored[name] for name in KEYS})
            values = pd.DataFrame(stored["values"], columns=stored["names"].tolist())
        return pd.concat([keys, values], axis=1)
    except Exception as error:  # any error that a damaged file causes in numpy
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VadError(f"{path}: not a whole table ({reason}); delete it and run `dvc repro`") from None


def join(table: pd.DataFrame, families: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """A table of frames with the components of each family beside it; empty families have none.

    Raises VadError when they are not of the same frames.
    """
    for other in filter(len, families):
        joined = table.merge(other, on=KEYS, how="outer", validate="one_to_one", indicator="_of")
        odd = joined[joined["_of"] != "both"]
        if len(odd):
            row = odd.iloc[0]
            raise VadError(
                f"data/components: {row['split']} clip {row['video']} frame {row['frame']} is in one table only; "
                "run `dvc repro`"
            )
        table = table.merge(other, on=KEYS, how="left", validate="one_to_one")
    return table


def write_csv(path: Path, table: pd.DataFrame, missing: str = "") -> None:
    """Write a table as CSV, `missing` where there is no value; floats so that reading them gives the same float."""
    files.write_text(path, table.to_csv(index=False, lineterminator="\n", na_rep=missing))


RENAMED = {"static": "noisy"}
"""Columns that tables of earlier days have -> what they are called now."""


def read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV that must have `columns`; clip names and kinds stay text (`01` is not 1), floats keep every bit.

    Raises VadError when the file is missing, is no CSV, or lacks a column.
    """
    try:
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(("split", "video", "kind", "Id"), str),
            keep_default_na=False,
            na_values={name: [""] for name in ("score", "label", "Predicted", "change")},
        )
    except FileNotFoundError:
        raise VadError(f"{path}: no such file") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise VadError(f"{path}: not a CSV table: {' '.join(str(error).split())}") from None
    table = table.rename(columns={old: new for old, new in RENAMED.items() if new not in table})
    return require(table, columns, path)


def require(table: pd.DataFrame, columns: list[str], path: Path) -> pd.DataFrame:
    """The table read from `path`, which must have `columns`. Raises VadError when it lacks one."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        header = ",".join(map(str, table.columns))
        shown = header if header.isprintable() else repr(header)
        raise VadError(f"{path}: no column {', '.join(missing)}; its header is {shown}")
    return table
