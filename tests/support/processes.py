"""Which processes are at work."""

from __future__ import annotations

from pathlib import Path

import psutil


def at_work(folder: Path) -> bool:
    """Return whether a child of this process works in `folder`, or runs a program of it; one that has died does not."""
    return any(_is_of(child, str(folder)) for child in psutil.Process().children())


def _is_of(process: psutil.Process, folder: str) -> bool:
    try:
        return process.cwd() == folder or any(word.startswith(f"{folder}/") for word in process.cmdline())
    except psutil.Error:  # dead, though its number is not given back yet
        return False
