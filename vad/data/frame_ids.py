"""Which frame a row of somebody's CSV is of: by the Id of Kaggle's submissions, or by clip and frame number."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from vad import VadError
from vad.data.clips import LAST
from vad.storage import tables


def shown(value: object) -> str:
    """A value from a user's file in one line: a line break in it can't fake a message."""
    text = str(value)
    return text if text.isprintable() else repr(text)


def read(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table that was read from `path`, with the columns video, frame and Id, without zero padding: `1_939`.

    It has Id, or video and frame. Raises VadError when it has neither, and for an Id or a frame that is none.
    """
    table = table.copy()
    if "Id" in table:
        table[["video", "frame"]] = table["Id"].str.extract(r"^(.*)_(\d+)$", expand=True)
        unread = table[table["video"].isna()]
        if len(unread):
            raise VadError(f"{path}: Id {unread['Id'].iloc[0]!r} is not CLIP_FRAME, as 1_939 is; mend it")
    table = tables.require(table, ["video", "frame"], path)
    numbers = pd.to_numeric(table["frame"], errors="coerce")
    odd = table[numbers.isna() | (numbers % 1 != 0) | ~numbers.between(0, LAST)]
    if len(odd):
        row = odd.iloc[0]
        where = f"{path}: clip {shown(row['video'])}"
        raise VadError(f"{where}: frame {shown(row['frame'])} is not a number that a frame can have")
    table["Id"] = of(table["video"], numbers.astype(np.int64))
    return table


def of(videos: Iterable[str], frames: Iterable[int]) -> list[str]:
    """The Id of each frame."""
    return [tables.frame_id(video, int(frame)) for video, frame in zip(videos, frames, strict=True)]
