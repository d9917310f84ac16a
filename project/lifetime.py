"""The end of a process: on Ctrl-C, on SIGTERM, and with the process that started it, so that no orphan writes later."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that this process gets when its parent ends."""
POLLED_EVERY = 0.5
"""Seconds."""


class Stopped(BaseException):
    """A signal has asked this process to end: its number."""

    def __init__(self, number: int) -> None:
        self.number = number


def lineage() -> list[int]:
    """The numbers of this process, of its parent and, behind a shell that DVC started for this command, of DVC."""
    parent = os.getppid()
    above = []
    if "DVC_STAGE" in os.environ:
        try:
            # bash and zsh become the last command that they are given; dash and fish wait for it, as nobody's child.
            if b" -m stages." in Path(f"/proc/{parent}/cmdline").read_bytes():
                above = [int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])]
        except OSError:  # it has just ended, or this is not Linux
            pass
    return [os.getpid(), parent, *above]


BORN = lineage()  # long before `guard` is called: imports take seconds, in which the parent may end


def allow_open_files() -> None:
    """Let this process have as many files open as the system allows: a clip takes one, and 1,024 is a usual limit."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):  # macOS names a limit that it does not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def guard() -> None:
    """From now on a signal raises Stopped in the main thread, and the parent's end is one: SIGTERM."""
    for number in SIGNALS:
        # A process in the background may be told not to listen, as nohup does.
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    family = BORN if BORN[0] == os.getpid() else lineage()  # a fork has another
    end_with_parent()
    if sys.platform != "linux" or len(family) > 2:
        threading.Thread(target=_watch, args=(family,), daemon=True).start()
    elif lineage() != family:
        signal.raise_signal(signal.SIGTERM)


def end_with_parent() -> None:
    """On Linux this process, and what it becomes by exec, gets SIGTERM when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(number: int, _: FrameType | None) -> None:
    for each in SIGNALS:  # a second one, as a closing terminal sends, must not disturb what the first one ends
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def _watch(family: list[int]) -> None:
    while lineage() == family:
        time.sleep(POLLED_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
