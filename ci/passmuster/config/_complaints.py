"""What is wrong with a config, and where: collected, so that all of it is said at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from passmuster.errors import UsageError


@dataclass(frozen=True, kw_only=True, order=True)
class Complaint:
    """One fault at one place; as text `file:line:col: message`."""

    file: str
    line: int  #: from 1
    column: int  #: from 1
    message: str

    def __str__(self) -> str:
        file = self.file if self.file.isprintable() else repr(self.file)
        return f"{file}:{self.line}:{self.column}: {self.message}"


class ConfigError(UsageError):
    """Configs are faulty; `complaints` holds each fault, the message all of them, a line each."""

    def __init__(self, complaints: Collection[Complaint]) -> None:
        self.complaints = tuple(sorted(complaints))
        count = len(self.complaints)
        head = f"{count} complaint{'s' if count != 1 else ''} about the configuration:"
        super().__init__("\n".join([head, *map(str, self.complaints)]))


def shown(text: str) -> str:
    """Return `text` in quotes for a message: control characters escaped, shortened where it is long."""
    return repr(text if len(text) <= 80 else f"{text[:77]}…")


def near(text: str, known: Collection[str]) -> str:
    """Return `; perhaps you meant …?` where something known looks like `text`, else nothing."""
    if len(text) <= 200 and (found := get_close_matches(text, list(known)[:5000], 1, 0.6)):
        return f"; perhaps you meant {shown(found[0])}?"
    return ""


def nearest(text: str, known: Collection[str]) -> str:
    """Return what looks like `text`, else what the choices are where they are few, else nothing."""
    if found := near(text, known):
        return found
    if 0 < len(known) <= 12:
        return f"; known: {', '.join(shown(name) for name in sorted(known))}"
    return ""
