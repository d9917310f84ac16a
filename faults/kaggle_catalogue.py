"""Everything that may go wrong between here and Kaggle, and what the user sees of it: docs/KAGGLE.md, made by doing it.

python -m faults.kaggle_catalogue docs/KAGGLE.md
"""

import argparse
import random
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from competition import client, leaderboard, pull, push, submit
from competition.leaderboard import Entry
from experiments import markdown
from faults import damage, inject, stage_runner
from faults.damage import Break
from faults.kaggle_server import Server
from faults.kaggle_site import SIGNATURE, TOKEN, Site
from faults.stage_runner import ROOT
from vad import VadError
from vad.storage import files

BEGIN, END = "<!-- made by faults/kaggle_catalogue.py -->\n", "<!-- end -->\n"
CUTS = 10
ENTRY = Entry("", "0123456789", "softer", "00112233aabbccdd", "0.4312", "0.3910", "0.4720")
# The client writes a megabyte at a time: it can go on from there.
PART = 1 << 20
NOISE = damage.pack_with("noise.bin", random.Random(7).randbytes(4 * PART))
LONG_AGO = "2026-01-15 10:00:00"
"""Fixed dates: the page must come out the same each time."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong: what it does to the archive, to the site and to the environment of the run.

    `cut` is after how many bytes of the archive the connection breaks, once.
    """

    title: str
    site: Callable[[Site], object] = lambda site: None
    breaks: Break = damage.pack
    token: str | None = TOKEN
    environment: dict[str, str] = field(default_factory=dict)
    stages: tuple[str, ...] = ("fetch",)
    patience: float = 60.0
    force: bool = False
    cut: int = 0


def answer(method: str, status: int, said: str = "", **headers: str) -> Callable[[Site], object]:
    """Kaggle answers the first call of a method so."""
    body = {"code": status, "message": said} if said else b""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda site: site.answers.setdefault(method, []).append((status, names, body))


RULES = "You must accept this competition's rules before you'll be able to download files."
NOT_FOUND = "Competition not found"
OTHER_IDS = damage.edit_rows(ROOT / "sample_submission.csv", lambda rows: [*rows[:-1], "2_12,0.0"])
WHOLE = "fetch", "extract", "validation", "submission"
DOWNLOADS = [
    Fault("Nothing", stages=WHOLE),
    Fault("No credentials", token=None),
    Fault("A token that is not valid", token="KGAT_of_yesterday"),
    Fault("The rules were not accepted", answer("DownloadDataFiles", 403, RULES)),
    Fault("An answer that repeats the token", answer("DownloadDataFiles", 400, f"Token {TOKEN} is malformed")),
    Fault("No such competition", answer("DownloadDataFiles", 404, NOT_FOUND)),
    Fault("Too many requests", answer("DownloadDataFiles", 429, "Too many requests", Retry_After="1")),
    Fault("Too many requests, for an hour", answer("DownloadDataFiles", 429, "Slow down", Retry_After="3600")),
    Fault("Kaggle fails for a moment", answer("DownloadDataFiles", 503, "Service unavailable")),
    Fault("Kaggle can't be reached", environment={"http_proxy": "http://127.0.0.1:9", "https_proxy": ""}),
    Fault("Something else than an archive", lambda site: setattr(site, "archive", b"<html>moved</html>")),
    Fault(
        "An archive with a damaged byte",
        breaks=damage.pack_and_edit(damage.overwrite(b"\xff\xd8\xff", 3, 200, bytes(3))),
    ),
    Fault("A path in it that leads out of the folder", breaks=damage.pack_with("../../escaped.txt", b"x")),
    Fault("A link in it", breaks=damage.pack_with("link.jpg", b"/etc/passwd", stat.S_IFLNK | 0o777)),
    Fault("A zip bomb", breaks=damage.pack_with("bomb.mat", bytes(20_000_000), method=zipfile.ZIP_DEFLATED)),
    Fault(
        "A truncated JPEG in it",
        breaks=damage.all_of(damage.edit(damage.FRAME, damage.cut(0.7)), damage.pack),
        stages=WHOLE,
    ),
    Fault("A sample submission with other Ids", breaks=damage.all_of(OTHER_IDS, damage.pack), stages=WHOLE),
    Fault("On Kaggle, the competition's data not attached", environment={"KAGGLE_KERNEL_RUN_TYPE": "Batch"}),
]
SUBMISSIONS = [
    Fault("Nothing"),
    Fault("The upload fails", lambda site: setattr(site, "upload_status", 400)),
    Fault("Kaggle scores it as an error", lambda site: setattr(site, "score", lambda content: "Unexpected Ids")),
    Fault("No score in time", lambda site: setattr(site, "patience", 99), patience=0.0),
    Fault("Its ranking was submitted before", lambda site: _submitted(site)),
    Fault("The same with `FORCE=1`", lambda site: _submitted(site), force=True),
    Fault("No submission left for today", answer("CreateSubmission", 400, "Daily submission limit reached")),
    Fault("The connection breaks after it was made", lambda site: site.drops.add("CreateSubmission")),
    Fault("The connection breaks before it was made", lambda site: site.drops.add("StartSubmissionUpload")),
    Fault("Late submissions are closed", answer("StartSubmissionUpload", 403, "Submissions are closed")),
]
RUNS = [
    Fault("It is still running", lambda site: site.kernel_status.append({"status": "RUNNING"})),
    Fault("It failed", lambda site: site.kernel_status.append({"status": "ERROR", "failureMessage": "out of memory"})),
    Fault("It left no run.zip", lambda site: site.output.update({"submission.csv": b""})),
    Fault("What it left is damaged", lambda site: site.output.update({"run.zip": b"<html>expired</html>"})),
    Fault("There is no such notebook", answer("GetKernelSessionStatus", 403, "Permission 'kernels.get' was denied")),
]


def _submitted(site: Site) -> None:
    entry = {"ref": 999, "date": f"{LONG_AGO.replace(' ', 'T')}.000Z", "description": ENTRY.message(), "listed": 0}
    site.submissions.append(entry | {"status": "PENDING", "found": ("0.6493", "0.6512"), "fileName": "submission.csv"})
    site.patience = 0


def tables() -> str:
    """The tables, as Markdown."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(CUTS) as pool:
        sound = Path(temporary) / "sound"
        stage_runner.write_clips(sound / ROOT)
        stage_runner.set_params(sound, source="pixel-play-26")
        places = random.Random(7).sample(range(1, len(packed(sound, NOISE))), CUTS)
        cut = [Fault("The connection is cut", breaks=NOISE, cut=place) for place in places]
        downloads = list(pool.map(lambda fault: downloaded(fault, sound), [*DOWNLOADS, *cut]))
        assert len(set(downloads[-CUTS:])) == 1, downloads[-CUTS:]
        submissions = list(pool.map(handed_in, SUBMISSIONS))
        runs = list(pool.map(brought, RUNS))
    title = f"The connection is cut, at each of {CUTS} random bytes"
    rows = [*zip([fault.title for fault in DOWNLOADS], downloads, strict=False), (title, downloads[-1])]
    parts = [
        ("Download: `dvc repro` with `data.source: pixel-play-26`", rows),
        ("`make submit`", list(zip([fault.title for fault in SUBMISSIONS], submissions, strict=True))),
        ("`make kaggle-pull`", list(zip([fault.title for fault in RUNS], runs, strict=True))),
    ]
    heads = "what goes wrong", "what you see"
    return "\n".join(f"### {title}\n\n{markdown.table(heads, rows)}\n" for title, rows in parts)


def packed(sound: Path, breaks: Break) -> bytes:
    """The archive of a small data set, packed and broken."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "made"
        shutil.copytree(sound, folder)
        breaks(folder)
        return (folder / damage.ARCHIVE).read_bytes()


def downloaded(fault: Fault, sound: Path) -> str:
    """What the user sees of a fault from `fetch` to `submission`, as a cell of a table; and nothing is left behind."""
    site = Site(archive=packed(sound, fault.breaks))
    site.cuts = [fault.cut] if fault.cut else []
    fault.site(site)
    with tempfile.TemporaryDirectory() as temporary, Server(site) as server:
        folder = Path(temporary) / "run"
        (folder / ROOT).mkdir(parents=True)
        shutil.copy(sound / "params.yaml", folder)
        environment = server.environment(folder / "home", fault.token) | fault.environment
        printed = []
        for stage in fault.stages:
            if stage == "submission":
                inject.score(folder)
            ended = stage_runner.run_stages(folder, [stage], environment=environment)
            printed += [ended.printed] if ended.printed else []
            if ended.code:
                break
        assert not fault.cut or site.first_bytes == [0, fault.cut // PART * PART], f"{fault}: {site.first_bytes}"
        left = {path.name for path in (folder / ROOT).iterdir()} - {"pixel-play-26.zip"}
        assert not left, f"{fault.title}: {left}"
        assert (folder / damage.ARCHIVE).exists() or ended.code, fault.title
        return cell(folder, fault, ended.stage, ended.code, "\n".join(printed))


def handed_in(fault: Fault) -> str:
    """What the user sees of a fault when a submission is handed in, as a cell of a table."""
    site = Site(score=lambda content: ("0.6493", "0.6512"))
    fault.site(site)
    with tempfile.TemporaryDirectory() as temporary, Server(site) as server:
        folder = Path(temporary)
        (folder / "submission.csv").write_text("Id,Predicted\n1_939,0.5\n")
        environment = server.environment(folder / "home", fault.token) | fault.environment
        code, printed = stage_runner.alone(folder, hand_in, fault.patience, fault.force, environment=environment)
        rows = len(leaderboard.read(folder / leaderboard.TABLE))
        assert rows == (code == 0 or fault.title == "No score in time"), f"{fault.title}: {rows} rows, {printed}"
        return cell(folder, fault, "make submit", code, printed)


def hand_in(patience: float, force: bool) -> None:
    """Hand in submission.csv as `make submit` does when it found the file in order."""
    try:
        done = submit.hand_in(ENTRY, Path("submission.csv"), force, patience=patience)
    except VadError as error:
        sys.exit(str(error))
    print(f"recorded: public score {done.public}")


def brought(fault: Fault) -> str:
    """What the user sees of a fault when a run is brought back, as a cell of a table."""
    site = Site()
    fault.site(site)
    with tempfile.TemporaryDirectory() as temporary, Server(site) as server:
        folder = Path(temporary)
        code, printed = stage_runner.alone(folder, bring, environment=server.environment(folder / "home"))
        assert code == 1 and len(printed.splitlines()) == 1, f"{fault.title}: {printed}"
        return cell(folder, fault, "make kaggle-pull", code, printed)


def bring() -> None:
    """Do as `make kaggle-pull` does, up to where it needs the repository, in the working folder."""
    push.STAGING, pull.RUN = Path("staging"), Path("run")
    try:
        api = client.connect()
        name = push.kernel(api)["id"]
        pull.refuse_unfinished(api, name)
        pull.bring(api, name)
    except VadError as error:
        sys.exit(str(error))


def cell(folder: Path, fault: Fault, stage: str, code: int | None, printed: str) -> str:
    """The lines that were printed, and how the run ended, as a cell of a table."""
    lines = printed.splitlines()
    assert code in (0, 1) and "Traceback" not in printed, f"{fault.title}: {code} {printed}"
    assert not any(secret in printed for secret in (TOKEN, SIGNATURE)), fault.title
    end = "runs" if code == 0 else f"`{stage}` stops"
    text = "<br>".join([*(line.replace(f"{folder}/", "") for line in lines), f"*{end}*"])
    return text.replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help=f"what stands in it between {BEGIN.strip()} and {END.strip()} is made")
    page = parser.parse_args().page
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    files.write_text(page, before + BEGIN + "\n" + tables() + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
