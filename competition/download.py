"""Download: the competition's archive -> data.root, checked, whole or not at all."""

import os
import shutil
import sys
from pathlib import Path

from competition import client
from vad import VadError
from vad.storage import archives

PARTIAL = ".download"
"""What has come so far lies in this folder of data.root: the next run goes on where a connection or a run ended."""


def download(root: Path) -> Path:
    """Download the archive into the folder `root`; returns it. Progress is shown on a terminal.

    Raises VadError when Kaggle refuses or the connection stays down, and for an archive that is damaged or must not
    be trusted, which is removed.
    """
    api = client.connect()
    partial = root / PARTIAL
    partial.mkdir(parents=True, exist_ok=True)
    if before := _size(partial):
        print(f"Kaggle: {archives.size(before)} of {client.SLUG}.zip are here; going on from there", file=sys.stderr)
    try:
        client.call(
            f"download of {client.SLUG}", api.competition_download_files, client.SLUG,
            path=str(partial), quiet=not sys.stderr.isatty(), done=lambda: _size(partial),
        )  # fmt: skip
    finally:
        if not _files(partial):
            shutil.rmtree(partial)
    downloaded = _files(partial)
    try:
        if len(downloaded) != 1:
            raise VadError(f"{partial}: {len(downloaded)} files came instead of one; run again")
        archives.check(downloaded[0])
    except VadError as error:
        shutil.rmtree(partial)
        raise VadError(f"{str(error).rpartition('; ')[0]}; it was removed again, run once more") from None
    archive = root / f"{client.SLUG}.zip"
    os.replace(downloaded[0], archive)
    shutil.rmtree(partial)
    print(f"Kaggle: {archive}: {archives.size(archive.stat().st_size)}, every CRC right", file=sys.stderr)
    return archive


def _files(partial: Path) -> list[Path]:
    """What was downloaded, without the client's note beside it of whose part it is."""
    return [path for path in partial.rglob("*") if path.is_file() and path.suffix != ".kaggle-partial"]


def _size(partial: Path) -> int:
    return sum(path.stat().st_size for path in _files(partial))
