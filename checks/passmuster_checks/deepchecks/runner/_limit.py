"""A time limit that nothing outlives: neither a loop in Python nor one in C."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
from collections.abc import Iterator
from typing import NoReturn

#: Seconds that a check may take to obey its time limit before the whole process is ended.
GRACE = 5.0


class TimeUp(BaseException):
    """The time limit of a check is over; no `except Exception` on the way may swallow it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` in the body after `seconds`; end the process where even that is not obeyed within `GRACE`.

    The second limit is a thread of the interpreter's own, which needs no lock: it also ends a loop in C code.
    """

    def interrupt(*_: object) -> NoReturn:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, interrupt)
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also where the signal came while the timer was being stopped
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
