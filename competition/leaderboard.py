"""metrics/leaderboard.csv: what was submitted, its AP here and its scores there; and whether the two go together.

python -m competition.leaderboard
"""

import contextlib
import csv
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from competition import client
from vad import VadError
from vad.storage import files

TABLE = Path("metrics/leaderboard.csv")
PICTURE = Path("metrics/plots/leaderboard.png")
LOCK = Path(".dvc/tmp/leaderboard.lock")
PAGES = 50
FEWEST = 3
"""Of fewer scored submissions a rank correlation says nothing."""
_MESSAGE = re.compile(
    r"(?P<revision>\S+) (?P<experiment>\S+) \| validation AP (?P<ap>\S+)"
    r"(?: \((?P<ap_low>\S+) to (?P<ap_high>\S+)\))? \| ranking (?P<ranking>[0-9a-f]{16})(?: \| .*)?"
)


@dataclass(frozen=True)
class Entry:
    """A submission: a row of the table.

    `ap` is empty without validation frames of both classes, `ap_low` and `ap_high` are where it has no interval,
    `public` and `private` until it is scored.
    """

    date: str
    revision: str
    experiment: str
    ranking: str
    ap: str
    ap_low: str
    ap_high: str
    public: str = ""
    private: str = ""
    submission: str = ""

    def message(self) -> str:
        """The line that goes with the file, from which `parse` reads the row again."""
        interval = f" ({self.ap_low} to {self.ap_high})" if self.ap_low else ""
        return (
            f"{self.revision} {self.experiment or '-'} | validation AP {self.ap or '-'}{interval} "
            f"| ranking {self.ranking}"
        )


def parse(submission: Any) -> Entry | None:
    """The row of a submission from Kaggle's list; None for one that was not made by `make submit`."""
    match = _MESSAGE.fullmatch(submission.description or "")
    if not match:
        return None
    found = match.groupdict("") | {name: match[name].removeprefix("-") for name in ("experiment", "ap")}
    return scored(Entry(date="", **found), submission)


def scored(entry: Entry, submission: Any) -> Entry:
    """The row with date, number and scores from Kaggle's list; scores stay where the list has none."""
    return replace(
        entry, date=f"{submission.date:%Y-%m-%d %H:%M:%S}", submission=str(submission.ref),
        public=submission.public_score or entry.public, private=submission.private_score or entry.private,
    )  # fmt: skip


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the table: one process at a time reads and rewrites it; another one waits, and prints that it does."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCK)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        print(f"{TABLE}: another `make submit` or `make leaderboard` holds it; waiting", file=sys.stderr)
        held = lock.acquire()
    with held:
        yield


def read(path: Path = TABLE) -> list[Entry]:
    """The rows, oldest first; none where there is no table. Raises VadError for another header."""
    if not path.exists():
        return []
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    header = [field.name for field in fields(Entry)]
    if not rows or rows[0] != header or any(len(row) != len(header) for row in rows):
        raise VadError(f"{path}: not a table of {','.join(header)}; `git checkout {path}`, then `make leaderboard`")
    return [Entry(*row) for row in rows[1:]]


def write(entries: list[Entry], path: Path = TABLE, picture: Path = PICTURE) -> None:
    """Write the rows, oldest first, and draw the picture of them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Entry)])
    entries = sorted(entries, key=lambda entry: entry.date)
    writer.writerows(astuple(entry) for entry in entries)
    files.write_text(path, text.getvalue())
    draw(entries, picture)


def listed(api: Any, pages: int = PAGES) -> list[Any]:
    """Kaggle's list of this account's submissions, newest first."""
    found: dict[int, Any] = {}
    for page in range(1, pages + 1):
        part = client.call(
            "list of submissions", api.competition_submissions, client.SLUG, page_number=page, page_size=20
        )
        new = {entry.ref: entry for entry in part or [] if entry.ref not in found}
        found |= new
        if len(new) < 20:
            break
    return list(found.values())


def fill(entries: list[Entry], submissions: list[Any]) -> list[Entry]:
    """The rows brought up to date with Kaggle's list: scores filled in, failed ones left out, missing ones added."""
    rows = {entry.submission: entry for entry in entries}
    for submission in submissions:
        known = rows.pop(str(submission.ref), None)
        entry = scored(known, submission) if known else parse(submission)
        if entry and submission.status.name != "ERROR":
            rows[entry.submission] = entry
    return list(rows.values())


def correlation(entries: list[Entry], score: str) -> tuple[float | None, int]:
    """Spearman's rank correlation of AP here with a score there (public or private), and of how many submissions."""
    from scipy.stats import spearmanr

    pairs = [(float(entry.ap), float(asdict(entry)[score])) for entry in entries if entry.ap and asdict(entry)[score]]
    if len(pairs) < FEWEST or any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return None, len(pairs)
    return float(spearmanr(*zip(*pairs, strict=True)).statistic), len(pairs)


def describe(entries: list[Entry]) -> list[str]:
    """Whether AP here can be trusted to rank what is scored there: a line a score."""
    lines = []
    for score in ("public", "private"):
        value, count = correlation(entries, score)
        found = "too few to tell" if value is None else f"rank correlation {value:+.2f}"
        lines.append(f"validation AP and {score} score: {found}, {count} submissions")
    return lines


def draw(entries: list[Entry], path: Path) -> None:
    """Draw AP here, with its interval, against the scores there, and write their rank correlations on it, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from vad.evaluation import plots

    figure, axis = plt.subplots(figsize=(6, 5))
    for score, colour, marker in (("public", plots.NORMAL, "o"), ("private", plots.ANOMALOUS, "^")):
        shown = [entry for entry in entries if entry.ap and asdict(entry)[score]]
        x = [float(entry.ap) for entry in shown]
        y = [float(asdict(entry)[score]) for entry in shown]
        below = [float(entry.ap) - float(entry.ap_low or entry.ap) for entry in shown]
        above = [float(entry.ap_high or entry.ap) - float(entry.ap) for entry in shown]
        axis.errorbar(x, y, xerr=[below, above], fmt=marker, color=colour, ecolor="lightgrey", label=score)
    axis.set_xlabel("validation AP here, 95 % interval")
    axis.set_ylabel("score on the leaderboard")
    axis.set_title("\n".join(describe(entries)), fontsize=9, loc="left")
    axis.legend()
    figure.tight_layout()
    plots.save(figure, path, 90)


def main() -> None:
    try:
        with locked():
            before = read()
            submissions = listed(client.connect())
            entries = fill(before, submissions)
            write(entries)
    except VadError as error:
        sys.exit(str(error))
    others = sum(parse(submission) is None for submission in submissions)
    print(f"{TABLE}: {len(entries)} submissions, {others} more on Kaggle that `make submit` did not make")
    print("\n".join(describe(entries)))


if __name__ == "__main__":
    main()
