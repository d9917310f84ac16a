"""Submit submission.csv: checked first, so that no slot is lost; then sent, listed and scored, each of it confirmed.

    python -m competition.submit [--force] [--kaggle] [--message TEXT]

What is sent is the workspace's file or, with --kaggle, that of the run that `make kaggle-pull` brought. The message
names the Git revision, the experiment, the validation AP and the digest of the ranking; the row goes to
metrics/leaderboard.csv.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from competition import client, leaderboard, pull
from competition.leaderboard import Entry
from project import workspaces
from vad import VadError
from vad.data import submission
from vad.evaluation import metrics
from vad.storage import tables

FILE = Path("submission.csv")
SCORES = Path("data/scores.csv")
SAMPLE = Path("data/raw/sample_submission.csv")
EVALUATION = Path("metrics/evaluation.json")
NEEDED = "submission", "evaluate"
"""The stages that make the file and its AP: they must be up to date."""
PATIENCE = 900.0
_PAUSES = 1, 2, 4, 8, 15
REMEDIES = client.REMEDIES | {
    400: f"{client.PAGE}/submissions shows what is left for today",
    403: f"accept the rules on {client.PAGE}/rules; does it still take late submissions?",
}


def refuse_stale() -> None:
    """Raise VadError when anything that the submission or its AP comes from has changed since."""
    if stale := workspaces.stale(workspaces.TOP, *NEEDED):
        raise VadError(f"{FILE}: not up to date: {', '.join(stale)} changed; `dvc repro`, then submit")


def examine(folder: Path, revision: str, experiment: str) -> Entry:
    """What is to be told of the FILE in `folder`; where the evaluation lacks a figure, its cell is empty.

    Raises VadError when it is not what the scores there and the Ids of the sample submission make.
    """
    file, sample, evaluation = folder / FILE, folder / SAMPLE, folder / EVALUATION
    if not sample.is_file():
        remedy = "set data.source: pixel-play-26 and `dvc repro`"
        raise VadError(f"{sample}: no such file: these are not the competition's clips; {remedy}")
    scores = tables.read_csv(folder / SCORES, [*tables.KEYS, "score"])
    test = scores[scores["split"] == "test"]
    rows = submission.build(test, sample)
    if not file.is_file() or file.read_text(encoding="utf-8") != rows.to_csv(index=False, lineterminator="\n"):
        raise VadError(f"{file}: not what {SCORES} makes; `dvc repro -f submission` makes it anew")
    local = json.loads(evaluation.read_text(encoding="utf-8")).get("validation") or {}
    # One held-out clip gives no interval: that makes a submission no worse.
    values = {name: local.get(name) for name in ("ap", "ap_low", "ap_high")}
    ranking = metrics.ranking_digest(test, test["score"].to_numpy())
    figures = {name: "" if value is None else f"{value:.4f}" for name, value in values.items()}
    return Entry(date="", revision=revision, experiment=experiment, ranking=ranking, **figures)


def revision() -> str:
    """The short hash of HEAD; `-dirty` follows where tracked files differ from it and from every experiment."""
    head = workspaces.git(workspaces.TOP, "rev-parse", "--short=10", "HEAD").strip()
    own = [f":!{path}" for path in (leaderboard.TABLE, leaderboard.PICTURE)]
    changed = workspaces.git(workspaces.TOP, "status", "--porcelain", "--untracked-files=no", "--", ".", *own)
    return f"{head}-dirty" if changed and not experiment() else head


def experiment() -> str:
    """The name of the newest DVC experiment that has the workspace's params.yaml and dvc.lock, or nothing."""

    def git(*arguments: str) -> str:
        return workspaces.git(workspaces.TOP, *arguments).strip()

    names = "params.yaml", "dvc.lock"
    here = [git("hash-object", name) for name in names]
    for ref in git("for-each-ref", "--sort=-creatordate", "--format=%(refname)", "refs/exps/").split():
        # refs/exps/<2 digits>/<38 digits>/<name>: others are DVC's own bookkeeping.
        if ref.count("/") == 4 and git("rev-parse", *(f"{ref}:{name}" for name in names)).split() == here:
            return ref.rpartition("/")[2]
    return ""


def hand_in(entry: Entry, file: Path, force: bool = False, text: str = "", patience: float = PATIENCE) -> Entry:
    """Send a file and wait for its score; the row that went to the table.

    Raises VadError for a ranking that was submitted before (unless `force`), when it is not sent, not listed or
    scored as an error; and when the score keeps one waiting, the row being in the table then. The row is there as
    soon as the submission is listed. Who else sends or writes the table at the same time waits, but for no score.
    """
    with leaderboard.locked():
        entries = leaderboard.read()
        api = client.connect()
        before = leaderboard.listed(api)
        if not force:
            refuse_repeated(entry, leaderboard.fill(entries, before))
        sent = send(api, file, entry.message() + (f" | {text}" if text else ""), {one.ref for one in before})
        done = leaderboard.scored(entry, sent)
        leaderboard.write([*entries, done])
    print(f"Kaggle: submission {sent.ref} is listed; waiting for its score", file=sys.stderr)
    sent = wait_for_score(api, sent, patience)
    with leaderboard.locked():
        leaderboard.write(leaderboard.fill(leaderboard.read(), [sent]))
    if sent.status.name == "ERROR":
        said = sent.error_description or "no reason given"
        raise VadError(f"Kaggle: submission {sent.ref} was refused: {said}; is {SAMPLE} the competition's of today?")
    if sent.status.name == "PENDING":
        raise VadError(f"Kaggle: submission {sent.ref} is not scored yet; `make leaderboard` fills its score in later")
    return leaderboard.scored(done, sent)


def refuse_repeated(entry: Entry, entries: list[Entry]) -> None:
    """Raise VadError when the ranking was submitted before: its score can't be another."""
    for known in entries:
        if known.ranking == entry.ranking:
            score = f", public score {known.public}" if known.public else ""
            raise VadError(
                f"{FILE}: its ranking {entry.ranking} was submitted on {known.date} as {known.submission}{score}; "
                "`make submit FORCE=1` sends it all the same"
            )


def send(api: Any, file: Path, message: str, before: set[int]) -> Any:
    """Upload and submit the file once; the submission as Kaggle lists it. Raises VadError when it is not listed.

    What counts is the list: the client takes a failed upload for a success, and a connection may break just after
    the submission was made.
    """
    failure, tries = "", len(_PAUSES)
    try:
        answer = client.call(
            "submission", api.competition_submit, str(file), message, client.SLUG, quiet=True,
            repeatable=False, remedies=REMEDIES, seconds=PATIENCE,
        )  # fmt: skip
        if answer.message == api.COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE:
            failure = f"Kaggle: {file} could not be uploaded, nothing was submitted; run again"
    except VadError as error:
        failure = str(error)
    if failure:
        tries = 1
    for pause in _PAUSES[:tries]:
        for one in leaderboard.listed(api, pages=1):
            if one.ref not in before and one.description == message:
                return one
        if not failure:
            time.sleep(pause)
    raise VadError(failure or f"Kaggle: took {file} but lists no such submission; look at {client.PAGE}/submissions")


def wait_for_score(api: Any, sent: Any, patience: float) -> Any:
    """The submission when it is scored or refused, or as it is after `patience` seconds."""
    end = time.monotonic() + patience
    pauses = iter(_PAUSES)
    while sent.status.name == "PENDING" and time.monotonic() < end:
        time.sleep(next(pauses, _PAUSES[-1]))
        sent = next((one for one in leaderboard.listed(api, pages=1) if one.ref == sent.ref), sent)
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force", action="store_true", help="send a ranking that was submitted before")
    parser.add_argument("--kaggle", action="store_true", help="what `make kaggle-pull` brought")
    parser.add_argument("--message", default="", metavar="TEXT", help="added to the message")
    arguments = parser.parse_args()
    try:
        if arguments.kaggle:
            folder, names = pull.RUN, pull.names()
        else:
            refuse_stale()
            folder, names = Path(), {"revision": revision(), "experiment": experiment()}
        entry = examine(folder, **names)
        print(f"{FILE}: {entry.message()}", file=sys.stderr)
        done = hand_in(entry, folder / FILE, arguments.force, " ".join(arguments.message.split()))
    except VadError as error:
        sys.exit(str(error))
    print(f"submission {done.submission}: public score {done.public}, private score {done.private or 'not shown'}")
    print(f"recorded in {leaderboard.TABLE}: commit it")


if __name__ == "__main__":
    main()
