"""How steps tell a person what they are doing: talk goes to stderr, data to stdout."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what a step says while it works."""

    def step(self, text: str) -> None:
        """Say what begins now, e.g. "scoring the champion on 1,337 test rows"."""


class Silent:
    """Says nothing: for tests and callers that have their own way."""

    def step(self, text: str) -> None:
        """Drop the text."""
