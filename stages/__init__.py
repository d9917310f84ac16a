"""The stages of dvc.yaml, one thin module each: `python -m stages.resize INPUTS... OUTPUTS...`."""

import errno
import inspect
import os
import signal
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from project import imports, launch, lifetime
from vad import VadError
from vad.storage.files import FULL, MAKE_ROOM

if TYPE_CHECKING:  # the stages that an idea runs again start fast
    from pydantic import BaseModel

TOP = Path(__file__).parents[1]
PARAMS = Path("params.yaml")
CHECKPOINTS = Path(".dvc/tmp/checkpoints")
"""State of unfinished trainings: outside DVC's outputs, since it must never be taken for a result."""
CLIPS = Path(os.environ.get("VAD_CLIPS") or ".dvc/tmp/clips")
"""What stages keep of single clips, a folder each: outside DVC's outputs, which it clears before a stage runs.

Several machines share it where VAD_CLIPS names a folder that all of them have. It may be removed at any time.
"""
REMEDIES = {
    **dict.fromkeys(FULL, MAKE_ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "mend the permissions"),
    errno.EROFS: "mount its disk for writing",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files (`ulimit -n`)"),
    **dict.fromkeys((errno.EIO, errno.ELOOP, errno.ENAMETOOLONG), "mend the file or the disk"),
}
"""Of errors that are the machine's and not the program's: errno -> what to do."""


def run(main: Callable[..., None]) -> None:
    """Call a stage's `main` with the command line's paths; end with one line and exit code 1 where the user can mend.

    The names of `main`'s parameters are the usage. A stage ends with its parent, and on Ctrl-C and SIGTERM with one
    line and the exit code of the signal, 130 and 143.
    """
    parameters = inspect.signature(main).parameters.values()
    names = [parameter.name for parameter in parameters]
    several = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    if len(sys.argv) - 1 < len(names) or (len(sys.argv) - 1 > len(names) and not several):
        sys.exit(f"usage: python -m {sys.modules['__main__'].__spec__.name} {' '.join(names).upper()}")  # type: ignore
    try:
        lifetime.guard()
        lifetime.allow_open_files()
        launch.write_own_log()
        main(*map(Path, sys.argv[1:]))
    except VadError as error:
        launch.tell(str(error))
        sys.exit(str(error))
    except lifetime.Stopped as stopped:
        name, ended_by = Path(sys.argv[0]).stem, signal.Signals(stopped.number).name
        print(f"{name}: ended by {ended_by}, nothing is half-written; `dvc repro` goes on from here", file=sys.stderr)
        sys.exit(128 + stopped.number)
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        sys.exit(f"{error.filename or 'output'}: {error.strerror}; {REMEDIES[error.errno]} and run again")


def made_of(stage: str, settings: "BaseModel") -> list[Any]:
    """What a stage's results depend on besides its inputs, as JSON has it: code, rows of the registry, parameters."""
    values = settings.model_dump(mode="json")
    keys = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage].get("params", [])
    stated = {key: reduce(lambda part, name: part[name], key.split("."), values) for key in keys}
    rows = imports.rows_of(settings)[stage]
    return [[imports.digest(path) for path in imports.code_of(stage, rows)], rows, stated]
