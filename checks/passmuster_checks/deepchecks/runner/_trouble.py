"""What keeps a check from being measured, as an answer says it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

#: Characters of any text that an answer carries.
TEXT_SIZE = 2_000


class Trouble(Exception):
    """A check can't be measured, and why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def names(values: Iterable[Any]) -> str:
    """Return the first ten of `values`, sorted, for people."""
    shown = sorted(map(str, values))
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def refuse_unknown(reason: str, what: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise `Trouble` for the first key of `given` that is not known, with the nearest that is."""
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.6)
            hint = f"perhaps {near[0]!r} is meant" if near else f"known are {names(known)}"
            raise Trouble(reason, f"{what} {name!r} is unknown to Deepchecks; {hint}")
