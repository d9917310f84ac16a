"""Data in, submission out: the official client, unmodified, against a stand-in for Kaggle on 127.0.0.1."""

import csv
import io
import json
import os
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from competition import leaderboard, submit
from competition.leaderboard import Entry
from faults import kaggle_catalogue, stage_runner
from faults.kaggle_server import Server
from faults.kaggle_site import SIGNATURE, TOKEN, Site
from tests.clone import Clone, ran

TOP = Path(__file__).parents[2]
FRESH = "data/external/fresh"
ARCHIVE = f"{FRESH}/pixel-play-26.zip"


def archive(clips: Path) -> bytes:
    """The competition's archive of the clips of a data set: its tree, and a sample submission."""
    packed = io.BytesIO()
    rows = list(csv.DictReader((clips / "labels.csv").open()))
    ids = "".join(f"{int(row['video'])}_{row['frame']},0\n" for row in rows)
    with zipfile.ZipFile(packed, "w") as target:
        target.writestr("sample_submission.csv", f"Id,Predicted\n{ids}")
        for path in sorted(path for path in clips.rglob("*") if path.suffix in (".jpg", ".avi")):
            split, *rest = path.relative_to(clips).parts
            target.write(path, Path("Avenue_Corrupted/Dataset", f"{split}_videos", *rest))
    return packed.getvalue()


@pytest.fixture
def site() -> Iterator[Server]:
    with Server(Site(score=lambda content: ("0.6493", "0.6512"))) as server:
        yield server


def enter(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch, token: str | None = TOKEN) -> None:
    """Let what is started from here on talk to the server."""
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    for name, value in server.environment(home, token).items():
        monkeypatch.setenv(name, value)


def test_the_page_shows_what_users_see_of_each_failure() -> None:
    page = (TOP / "docs" / "KAGGLE.md").read_text(encoding="utf-8")
    made = page.partition(kaggle_catalogue.BEGIN)[2].partition(kaggle_catalogue.END)[0]
    assert kaggle_catalogue.tables() == made.strip() + "\n", "run `python -m faults.kaggle_catalogue docs/KAGGLE.md`"


def test_from_a_token_to_a_recorded_score(
    restored: Clone, site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(site, tmp_path, monkeypatch)
    site.site.archive = archive(restored.root)
    ranking = restored.metrics()["benchmark"]["ranking"]
    (restored.folder / FRESH).mkdir()
    experiment = "dvc", "exp", "run", "-n", "theirs", "-S", "data.source=pixel-play-26", "-S", f"data.root={FRESH}"
    printed = restored.run(*experiment)
    assert "fetch" in ran(printed)
    assert (restored.folder / ARCHIVE).read_bytes() == site.site.archive
    asked = len(site.site.requests)
    assert ran(restored.run("dvc", "repro")) == []
    assert ran(restored.run("dvc", "repro", "-f", "-s", "fetch")) == ["fetch"]
    assert len(site.site.requests) == asked, "with the data there, nothing is asked"

    printed += restored.run("python", "-m", "competition.submit", "--message", "a try")
    assert TOKEN not in printed and SIGNATURE not in printed
    assert "public score 0.6493, private score 0.6512" in printed
    (row,) = leaderboard.read(restored.folder / leaderboard.TABLE)
    head = restored.run("git", "rev-parse", "--short=10", "HEAD").strip()
    measured = restored.metrics()
    assert (row.revision, row.experiment, row.public, row.private) == (head, "theirs", "0.6493", "0.6512")
    assert row.ranking == ranking, "the same clips, as a folder with labels"
    assert float(row.ap) == pytest.approx(measured["validation"]["ap"], abs=5e-5)
    (listed,) = site.site.submissions
    assert listed["description"] == f"{row.message()} | a try"
    assert list(site.site.uploads.values()) == [(restored.folder / "submission.csv").read_bytes()]

    printed = restored.run("python", "-m", "competition.submit", fails=True)
    assert f"its ranking {row.ranking} was submitted on" in printed and len(site.site.submissions) == 1
    plain = "kaggle", "competitions", "submit", "-c", "pixel-play-26", "-f", "submission.csv", "-m", "by hand"
    assert "Successfully submitted" in restored.run(*plain)
    leaderboard.write([], restored.folder / leaderboard.TABLE, restored.folder / leaderboard.PICTURE)
    printed = restored.run("python", "-m", "competition.leaderboard")
    assert "1 submissions, 1 more on Kaggle" in printed
    assert leaderboard.read(restored.folder / leaderboard.TABLE)[0] == row

    (restored.folder / "submission.csv").unlink()
    (restored.folder / "submission.csv").write_text("Id,Predicted\n1_3,0.5\n")
    printed = restored.run("python", "-m", "competition.submit", fails=True)
    assert printed.strip().endswith("submission.csv: not up to date: submission changed; `dvc repro`, then submit")
    assert site.site.asked("CreateSubmission") == 2
    refuse_secrets(restored.folder)


def refuse_secrets(folder: Path) -> None:
    """Fail for a file, cache and Git's objects included, that holds the token or a signed address."""
    seen = 0
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if path.parent.parent.name == "objects":
                content = zlib.decompress(content)
            seen += 1
            assert TOKEN.encode() not in content and SIGNATURE.encode() not in content, path
    assert seen > 100


@pytest.mark.parametrize("where", ["access_token", "kaggle.json"])
def test_credentials_may_lie_in_a_file(where: str, site: Server, tmp_path: Path) -> None:
    files = {"access_token": TOKEN, "kaggle.json": json.dumps({"username": "competitor", "key": TOKEN})}
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / where).write_text(files[where])
    code = "from competition import client; print(client.connect().config_values['username'])"
    environment = os.environ | site.environment(tmp_path, token=None)
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, cwd=TOP, text=True) == "competitor\n"


def download(site: Server, home: Path, root: Path) -> subprocess.Popen[str]:
    code = "import sys, pathlib; from competition.download import download; download(pathlib.Path(sys.argv[1]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(root)],
        env=os.environ | site.environment(home), cwd=TOP, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_killed_download_goes_on_where_it_was(site: Server, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        target.writestr("noise.bin", os.urandom(3 << 20))
    site.site.archive, site.site.cuts = packed.getvalue(), [(2 << 20) + 9]
    partial = tmp_path / "root/.download/pixel-play-26.zip"
    process = download(site, tmp_path, tmp_path / "root")
    for _ in range(
        600
    ):  # until the first part is there: the client writes whole megabytes, and waits then to try again
        if partial.exists() and partial.stat().st_size == 2 << 20:
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert partial.stat().st_size == 2 << 20 and not (tmp_path / "root/pixel-play-26.zip").exists()
    process = download(site, tmp_path, tmp_path / "root")
    assert "2.1 MB of pixel-play-26.zip are here; going on from there" in process.communicate()[1]
    assert site.site.first_bytes == [0, 0, 2 << 20]  # the client asks for the whole and goes on from its part
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["pixel-play-26.zip"]
    assert (tmp_path / "root/pixel-play-26.zip").read_bytes() == packed.getvalue()


def test_an_answer_that_never_comes_is_given_up(tmp_path: Path) -> None:
    code = (
        "import time; from vad import VadError; from competition import client\n"
        "try: client.call('a try', time.sleep, 30, seconds=0.1, repeatable=False)\n"
        "except VadError as error: print(error)"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=TOP, text=True, timeout=20)
    assert printed == "Kaggle: a try: the connection failed; check it, then run again\n"


def at_once(entry: Entry | None) -> None:
    """Hand in the submission.csv of the working folder as `entry`, or bring the table there up to date."""
    if entry:
        submit.hand_in(entry, submit.FILE, patience=60)
    else:
        leaderboard.main()


def test_several_who_submit_at_once_lose_no_row_and_send_no_ranking_twice(site: Server, tmp_path: Path) -> None:
    (tmp_path / "submission.csv").write_text("Id,Predicted\n1_939,0.5\n")
    leaderboard.write([entry(0.5, "0.5", 1)], tmp_path / leaderboard.TABLE, tmp_path / leaderboard.PICTURE)
    one, other = (replace(entry(0.5, "", 1), ranking=ranking, submission="") for ranking in ("a" * 16, "b" * 16))

    def run(one: Entry | None) -> tuple[int | None, str]:
        return stage_runner.alone(tmp_path, at_once, one, environment=site.environment(tmp_path))

    with ThreadPoolExecutor(4) as pool:
        (*twice, single, listed) = pool.map(run, [one, one, other, None])
    assert sorted(code or 0 for code, _ in twice) == [0, 1] and single[0] == listed[0] == 0, (twice, single, listed)
    said = "".join(printed for _, printed in (*twice, single, listed))
    assert "another `make submit` or `make leaderboard` holds it; waiting" in said
    assert f"its ranking {one.ranking} was submitted on" in said
    assert len(site.site.submissions) == 2
    rows = leaderboard.read(tmp_path / leaderboard.TABLE)
    assert sorted((row.ranking, row.public) for row in rows) == [
        (f"{1:016x}", "0.5"), (one.ranking, "0.6493"), (other.ranking, "0.6493"),
    ]  # fmt: skip


def test_one_held_out_clip_or_no_validation_ap_keeps_nobody_from_submitting(site: Server, tmp_path: Path) -> None:
    for path in (submit.SCORES, submit.SAMPLE, submit.EVALUATION):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    scores = pd.DataFrame({"split": "test", "video": "01", "frame": [3, 4], "score": [0.25, 0.5]})
    scores.to_csv(tmp_path / submit.SCORES, index=False)
    (tmp_path / submit.SAMPLE).write_text("Id,Predicted\n1_3,0\n1_4,0\n")
    (tmp_path / submit.FILE).write_text("Id,Predicted\n1_3,0.25\n1_4,0.5\n")
    no_interval = {"ap_low": None, "ap_high": None}
    found = []
    for evaluation in ({}, {"validation": {"ap": None} | no_interval}, {"validation": {"ap": 0.5} | no_interval}):
        (tmp_path / submit.EVALUATION).write_text(json.dumps(evaluation))
        found.append(submit.examine(tmp_path, "0123456789", ""))
    assert [known.ap for known in found] == ["", "", "0.5000"]
    assert {(known.ap_low, known.ap_high) for known in found} == {("", "")}
    for known, score in zip(found[1:], ("0.6", "0.7"), strict=True):
        row = replace(known, date="2026-01-01 00:00:00", public=score, submission=score)
        listed = SimpleNamespace(
            description=known.message(), date=datetime(2026, 1, 1), ref=score, public_score=score, private_score=""
        )
        assert leaderboard.parse(listed) == row, "it comes back from Kaggle's list alone"
        leaderboard.write([row], tmp_path / leaderboard.TABLE, tmp_path / leaderboard.PICTURE)
        assert leaderboard.read(tmp_path / leaderboard.TABLE) == [row]
        assert leaderboard.correlation([row], "public") == (None, bool(known.ap))
    (tmp_path / leaderboard.TABLE).unlink()
    code, printed = stage_runner.alone(tmp_path, at_once, found[0], environment=site.environment(tmp_path))
    assert code == 0, printed
    assert site.site.submissions[0]["description"] == "0123456789 - | validation AP - | ranking " + found[0].ranking


def entry(ap: float, public: str, number: int) -> Entry:
    return Entry(
        f"2026-01-{number:02d} 00:00:00", "0123456789", "", f"{number:016x}", f"{ap:.4f}", f"{ap - 0.05:.4f}",
        f"{ap + 0.05:.4f}", public, "", str(number),
    )  # fmt: skip


def test_rank_correlation_tells_whether_validation_can_be_trusted(tmp_path: Path) -> None:
    table, picture = tmp_path / "leaderboard.csv", tmp_path / "leaderboard.png"
    agreeing = [entry(0.2 + 0.1 * number, f"0.{4 + number}", number) for number in range(1, 5)]
    leaderboard.write(agreeing[::-1], table, picture)
    assert leaderboard.read(table) == agreeing
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert leaderboard.correlation(agreeing, "public") == (pytest.approx(1), 4)
    assert leaderboard.correlation([*agreeing[1:], entry(0.9, "0.1", 9)], "public") == (pytest.approx(-0.2), 4)
    assert leaderboard.correlation(agreeing[:2], "public") == (None, 2)
    assert leaderboard.correlation(agreeing, "private") == (None, 0)
