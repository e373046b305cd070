"""Files that `init` makes: what would be written, what would be left alone, and how a later version replaces them.

A file of ours begins with a line that holds the digest of the rest. While that holds, nobody changed the file, and a
later version may replace it; once somebody did, only the lines that pin a version are brought forward.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from passmuster import __version__, digest, record

#: A line that calls a workflow of ours at a commit: all before the pin, the pin, the version beside it.
_PIN = re.compile(r"^(?P<call>\s*uses: (?P<where>[\w.-]+/[\w.-]+/\.github/workflows/[\w.-]+\.yml)@)(?P<pin>.*)$", re.M)
_MARK = re.compile(r"^(# |<!-- )Made by `passmuster init` \S+ \((?P<digest>sha256:[0-9a-f]{64})\)")


class State(StrEnum):
    """What becomes of a file."""

    NEW = "new"
    SAME = "up to date"
    UPGRADED = "upgraded"
    PINNED = "changed by you; only its pins are brought forward"
    KEPT = "yours; left alone"
    ADDED = "lines added"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One file, and what becomes of it."""

    path: str
    state: State
    before: str  #: empty where the file is not there
    after: str  #: what is written; for a file that is left alone, what would have been

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return self.state not in (State.SAME, State.KEPT) and self.before != self.after

    def difference(self) -> str:
        """Return a unified diff from what is there to what `init` would write."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), f"{self.path} (here)", f"{self.path} (init)", lineterm=""
        )
        return "\n".join(lines)


def marked(body: str, *, comment: tuple[str, str] = ("# ", "")) -> str:
    """Return `body` with the line that lets a later version know whether anybody changed it."""
    begin, end = comment
    seal = digest.of_bytes(body.encode())
    return f"{begin}Made by `passmuster init` {__version__} ({seal}); run it again to upgrade.{end}\n{body}"


def whole(root: Path, path: str, text: str) -> Change:
    """Return what becomes of a file that is ours as a whole; `text` is `marked`."""
    before = _read(root / path)
    if before is None:
        return Change(path=path, state=State.NEW, before="", after=text)
    if before == text:
        return Change(path=path, state=State.SAME, before=before, after=text)
    mark = _MARK.match(before)
    if mark is None:
        return Change(path=path, state=State.KEPT, before=before, after=text)
    if digest.of_bytes(before.partition("\n")[2].encode()) == mark["digest"]:
        return Change(path=path, state=State.UPGRADED, before=before, after=text)
    pinned = _pinned(before, text)
    if pinned != before:
        return Change(path=path, state=State.PINNED, before=before, after=pinned)
    return Change(path=path, state=State.KEPT, before=before, after=text)


def once(root: Path, path: str, text: str) -> Change:
    """Return what becomes of a file that is its reader's from the day it is written."""
    before = _read(root / path)
    if before is None:
        return Change(path=path, state=State.NEW, before="", after=text)
    return Change(path=path, state=State.SAME, before=before, after=before)


def lines(root: Path, path: str, wanted: list[tuple[str, str]], heading: str) -> Change:
    """Return what becomes of a file to which lines are added; `wanted` has what a line begins with, and the line."""
    before = _read(root / path) or ""
    missing = [line for begins, line in wanted if not any(old.split()[:1] == [begins] for old in before.splitlines())]
    if not missing:
        return Change(path=path, state=State.SAME, before=before, after=before)
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    after = before + gap + "\n".join([heading, *missing]) + "\n"
    return Change(path=path, state=State.ADDED if before else State.NEW, before=before, after=after)


def write(root: Path, change: Change) -> None:
    """Write one file, whole or not at all; nothing where nothing changes."""
    if change.writes:
        record.write_atomically(root / change.path, change.after)


def _pinned(before: str, text: str) -> str:
    """Return `before` with the pins of `text`, workflow by workflow."""
    pins = {match["where"]: match["pin"] for match in _PIN.finditer(text)}
    return _PIN.sub(lambda match: match["call"] + pins.get(match["where"], match["pin"]), before)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
