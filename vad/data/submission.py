"""submission.csv: one row a test frame, checked before it is written."""

from pathlib import Path

import numpy as np
import pandas as pd

from vad import VadError
from vad.storage import tables

HEADER = ["Id", "Predicted"]
_SHOWN = 3


def build(scores: pd.DataFrame, sample: Path | None) -> pd.DataFrame:
    """Scores of test frames (video, frame, score) -> (Id, Predicted), in the order of the sample submission.

    Without a sample submission the order is that of clips and frames. Raises VadError, naming the first offenders,
    when an Id occurs twice, a score is not finite, or the Ids are not exactly the sample submission's.
    """
    ids = [tables.frame_id(video, frame) for video, frame in zip(scores["video"], scores["frame"], strict=True)]
    result = pd.DataFrame({"Id": ids, "Predicted": scores["score"].to_numpy(np.float64)})
    _refuse(result["Id"][result["Id"].duplicated()], "submission: occurs more than once", "rename the clips")
    _refuse(result["Id"][~np.isfinite(result["Predicted"])], "submission: the score is not finite", "run `dvc repro`")
    if sample is None:
        return result
    wanted = tables.read_csv(sample, HEADER)["Id"]
    _refuse(wanted[wanted.duplicated()], f"{sample}: occurs more than once", "download it again")
    have = set(result["Id"])
    _refuse(wanted[~wanted.isin(have)], f"{sample}: not among the test frames", "are all clips there?")
    _refuse(result["Id"][~result["Id"].isin(set(wanted))], f"{sample}: lacks these test frames", "is it this data's?")
    return result.set_index("Id").loc[wanted].reset_index()


def _refuse(offenders: pd.Series, what: str, remedy: str) -> None:
    if len(offenders):
        shown = ", ".join(" ".join(str(offender).split("\n")) for offender in offenders.head(_SHOWN))
        more = f" and {len(offenders) - _SHOWN} more" if len(offenders) > _SHOWN else ""
        raise VadError(f"{what}: {shown}{more}; {remedy}")
