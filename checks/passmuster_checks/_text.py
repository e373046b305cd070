"""How values from data are written into names and messages: visible, short, and never two the same."""

from __future__ import annotations

import hashlib

#: Characters of a value that are shown.
LENGTH = 80


def shown(value: str) -> str:
    """Return `value` with characters that can't be seen written as escapes, cut with a mark of its content."""
    text = "".join(char if char.isprintable() and char != "\\" else ascii(char)[1:-1] for char in value)
    if len(text) <= LENGTH:
        return text
    return f"{text[:LENGTH]}…{hashlib.sha256(value.encode(errors='backslashreplace')).hexdigest()[:8]}"


def some(values: list[str], limit: int = 5) -> str:
    """Return the first of `values` for a message, and how many more there are."""
    listed = ", ".join(shown(value) for value in values[:limit])
    return listed if len(values) <= limit else f"{listed} and {len(values) - limit:,} more"
