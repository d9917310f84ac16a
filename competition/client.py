"""The official `kaggle` client: loaded when first needed; every failure becomes one line with its remedy.

Of an error only the status and Kaggle's own sentence are shown: the texts of exceptions hold signed addresses and
passwords of proxies.
"""

import contextlib
import email.utils
import functools
import io
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from vad import VadError

SLUG = "pixel-play-26"
PAGE = f"https://www.kaggle.com/competitions/{SLUG}"
TOKEN = "KAGGLE_API_TOKEN or ~/.kaggle/access_token"
SETTINGS = "https://www.kaggle.com/settings/api"
ATTEMPTS = 4
LONGEST_WAIT = 300.0
SILENCE = 120.0
"""Seconds without progress after which a request is given up: the client itself has no time limit."""
REMEDIES = {
    401: f"make a new token on {SETTINGS} and put it into {TOKEN}",
    403: f"accept the rules on {PAGE}/rules with the account of your token, then run again",
    404: f"is {PAGE} the address, and has your account joined?",
}
_OVERLOADED = 429
_FAILING = 500, 502, 503, 504
_LONGEST_TEXT = 200

Result = TypeVar("Result")


@functools.cache
def connect() -> Any:
    """The client, signed in. Raises VadError without credentials, or when Kaggle refuses or can't be reached."""
    with contextlib.redirect_stdout(io.StringIO()):  # without credentials, importing prints a page of help
        import kaggle
        from kagglesdk.kaggle_env import get_access_token_from_env
    api: Any = kaggle.api
    if not api._authenticated:
        try:
            call("signing in", api.authenticate)
        except SystemExit:
            if get_access_token_from_env()[0]:
                raise VadError(f"Kaggle: the token is not valid, or no longer; {REMEDIES[401]}") from None
            raise VadError(f"Kaggle: no credentials; make a token on {SETTINGS} and put it into {TOKEN}") from None
    return api


def call(
    what: str,
    function: Callable[..., Result],
    *arguments: Any,
    remedies: dict[int, str] = REMEDIES,
    repeatable: bool = True,
    seconds: float = SILENCE,
    done: Callable[[], object] = lambda: None,
    **options: Any,
) -> Result:
    """What a function of the client returns; what it prints stays unseen.

    It is called again, after a wait that is announced, when Kaggle asks for one (429) and, where `repeatable`, when
    Kaggle fails or the connection does. `done` tells how far it is: without a change for `seconds` it is given up.
    Raises VadError that starts with `what`; errors of this machine's own, a full disk say, as they are.
    """
    from requests import HTTPError, RequestException

    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _watched(seconds, done), contextlib.redirect_stdout(io.StringIO()):
                return function(*arguments, **options)
        except (OSError, ValueError) as raised:
            # Of some refusals the client makes a guess at their cause.
            error = raised.__context__ if isinstance(raised.__context__, HTTPError) else raised
            if isinstance(error, OSError) and not (isinstance(error, RequestException) or _is_connection(error)):
                raise
            status, said = _answer(error)
            wait = _asked_wait(error) if status == _OVERLOADED else None
            wait = float(2 ** (attempt - 1)) if wait is None else wait
            again = status == _OVERLOADED or (repeatable and (status in _FAILING or _is_connection(error)))
            if not again or attempt == ATTEMPTS or wait > LONGEST_WAIT:
                raise VadError(f"Kaggle: {what}: {_explain(error, status, said, wait, remedies)}") from None
            reason = "too many requests" if status == _OVERLOADED else said or "the connection failed"
            print(f"Kaggle: {what}: {reason}; trying again in {wait:.0f} s", file=sys.stderr)
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _is_connection(error: Exception) -> bool:
    from requests import exceptions

    theirs = exceptions.ConnectionError | exceptions.Timeout | exceptions.ChunkedEncodingError
    return isinstance(error, theirs | ConnectionError | TimeoutError)


def _answer(error: Exception) -> tuple[int | None, str]:
    """The HTTP status that Kaggle answered, or None, and what it said of the matter, without any secret."""
    response = getattr(error, "response", None)
    if response is None:
        return None, ""
    status, said = response.status_code, ""
    with contextlib.suppress(ValueError, AttributeError):
        body = response.json()
        said, status = str(body.get("message") or ""), int(body.get("code") or status)
    known = sys.modules["kaggle"].api.config_values
    for secret in filter(None, map(known.get, ("token", "key", "api_token"))):
        said = said.replace(secret, "***")
    return status, " ".join(said.split())[:_LONGEST_TEXT].rstrip(". ")


def _asked_wait(error: Any) -> float | None:
    """The seconds that Kaggle asks to wait (Retry-After, a number or a date); None where it doesn't."""
    asked = error.response.headers.get("Retry-After", "")
    if asked.isdecimal():
        return float(asked)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (email.utils.parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    return None


def _explain(error: Exception, status: int | None, said: str, wait: float, remedies: dict[int, str]) -> str:
    if status == _OVERLOADED:
        return f"too many requests (429); try again in {max(1, round(wait / 60))} min"
    if status is not None:
        remedy = remedies.get(status) or ("try again later" if status in _FAILING else "mend that and run again")
        return f"refused ({status}{': ' if said else ''}{said}); {remedy}"
    if _is_connection(error):
        return "the connection failed; check it, then run again"
    # A ValueError is the client's own, and says what it misses; others' texts may hold addresses.
    text = f": {' '.join(str(error).split())[:_LONGEST_TEXT]}" if type(error) is ValueError else ""
    return f"the client gave up ({type(error).__name__}{text}); mend that and run again"


@contextlib.contextmanager
def _watched(seconds: float, done: Callable[[], object]) -> Iterator[None]:
    """Raise TimeoutError in the block when `done` gives the same value twice, `seconds` apart."""
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    last = [done()]

    def look(*_: object) -> None:
        now = done()
        if now == last[0]:
            raise TimeoutError("no answer")
        last[0] = now

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
