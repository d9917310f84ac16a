"""The stages of dvc.yaml, one thin module each: `python -m stages.resize INPUTS... OUTPUTS...`."""

import errno
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from vad import VadError

PARAMS = Path("params.yaml")
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room (`dvc gc -w` clears old versions)"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "mend the permissions"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files (`ulimit -n`)"),
    **dict.fromkeys((errno.EIO, errno.ELOOP, errno.ENAMETOOLONG), "mend the file or the disk"),
}
"""Of errors that are the machine's and not the program's: errno -> what to do."""


def run(main: Callable[..., None]) -> None:
    """Call a stage's `main` with the command line's paths; end with one line and exit code 1 where the user can mend.

    The names of `main`'s parameters are the usage.
    """
    parameters = inspect.signature(main).parameters.values()
    names = [parameter.name for parameter in parameters]
    several = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    if len(sys.argv) - 1 < len(names) or (len(sys.argv) - 1 > len(names) and not several):
        sys.exit(f"usage: python -m {sys.modules['__main__'].__spec__.name} {' '.join(names).upper()}")  # type: ignore
    try:
        main(*map(Path, sys.argv[1:]))
    except VadError as error:
        sys.exit(str(error))
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        sys.exit(f"{error.filename or 'output'}: {error.strerror}; {REMEDIES[error.errno]} and run again")
