"""Every way to fail, each with its exit code; only `passmuster.__main__.main` exits.

The codes are a promise to callers (`docs/exit-codes.md`). A message says what happened, why it may be, and what to do
next; it is printed as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process answers with."""

    OK = 0
    BUG = 1
    USAGE = 2
    NOTHING_TO_DO = 3
    UNAVAILABLE = 4
    NOT_MEASURED = 10
    GATE_FAILED = 11
    INCONCLUSIVE = 12
    NOT_REPRODUCIBLE = 13
    REFUSED = 14
    RACE_LOST = 15


#: Where several hold, the first of these counts.
PRECEDENCE = (
    ExitCode.BUG,
    ExitCode.USAGE,
    ExitCode.UNAVAILABLE,
    ExitCode.REFUSED,
    ExitCode.RACE_LOST,
    ExitCode.NOT_REPRODUCIBLE,
    ExitCode.NOT_MEASURED,
    ExitCode.GATE_FAILED,
    ExitCode.INCONCLUSIVE,
    ExitCode.OK,
)


def combine(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the one exit code for several results; of none at all, `ExitCode.NOTHING_TO_DO`.

    An empty run is not a success: nothing was judged.
    """
    found = set(codes)
    return next((code for code in PRECEDENCE if code in found), ExitCode.NOTHING_TO_DO)


class PassmusterError(Exception):
    """Something that a person can act on; anything else that is raised is our bug."""

    code = ExitCode.BUG


class UsageError(PassmusterError):
    """The call or the configuration is wrong."""

    code = ExitCode.USAGE


class NothingToDo(PassmusterError):
    """There is nothing to do, and the caller asked to be told by the exit code."""

    code = ExitCode.NOTHING_TO_DO


class Unavailable(PassmusterError):
    """An outside service failed; the same call may work later."""

    code = ExitCode.UNAVAILABLE


class NotMeasured(PassmusterError):
    """A property that a gate asks for could not be measured."""

    code = ExitCode.NOT_MEASURED


class NotReproducible(PassmusterError):
    """The re-run did not give what the commit says."""

    code = ExitCode.NOT_REPRODUCIBLE


class Refused(PassmusterError):
    """The evidence is missing, altered, or not for this model."""

    code = ExitCode.REFUSED


class RaceLost(PassmusterError):
    """The champion is not the one that the verdict was made against."""

    code = ExitCode.RACE_LOST
