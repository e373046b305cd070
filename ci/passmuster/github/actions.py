"""What a job of GitHub Actions tells its runner: folds, errors at a line, outputs, the summary; plain text elsewhere.

The runner reads commands from the log and from files, so text that others wrote must never become one: in the log it is
escaped or broken, in files it stands between delimiters that nobody can guess. (*Workflow commands for GitHub Actions*,
GitHub Docs.)
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from passmuster._console import harmless
from passmuster.errors import UsageError

#: Remarks of each level that GitHub shows of one step.
MOST_REMARKS = 10

#: Bytes that GitHub takes as the summary of one step; a longer one is dropped whole.
LONGEST_SUMMARY = 2**20

_LEFT_OUT = "\n\n*The rest is left out: GitHub shows no more than 1 MiB.*\n"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

#: How many remarks of each level were made; those beyond `MOST_REMARKS` are in the log only.
_remarks: Counter[str] = Counter()


def in_actions() -> bool:
    """Return whether this runs in a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


@contextlib.contextmanager
def group(title: str) -> Iterator[None]:
    """Fold what is told meanwhile under a title."""
    if not in_actions():
        _tell(harmless(_one_line(title)))
        yield
        return
    _tell(f"::group::{_data(_one_line(title))}")
    try:
        yield
    finally:
        _tell("::endgroup::")


def error(message: str, *, file: str | None = None, line: int | None = None, title: str | None = None) -> None:
    """Remark an error, at a line of a file where one is given; foreign text is welcome in every part."""
    _remark("error", message, file, line, title)


def warning(message: str, *, file: str | None = None, line: int | None = None, title: str | None = None) -> None:
    """Remark a warning, as `error` does."""
    _remark("warning", message, file, line, title)


def notice(message: str, *, file: str | None = None, line: int | None = None, title: str | None = None) -> None:
    """Remark something worth knowing, as `error` does."""
    _remark("notice", message, file, line, title)


def output(name: str, value: str) -> None:
    """Set an output of the running step; elsewhere it is told."""
    _set("GITHUB_OUTPUT", name, value)


def environment(name: str, value: str) -> None:
    """Set a variable for the steps that follow; elsewhere it is told."""
    _set("GITHUB_ENV", name, value)


def summary(text: str) -> bool:
    """Append Markdown to the summary of the running step, cut where GitHub takes no more; elsewhere print it.

    Returns:
        Whether it stands in a summary.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        print(text)  # noqa: T201  data
        return False
    file = Path(path)
    room = LONGEST_SUMMARY - (file.stat().st_size if file.exists() else 0)
    data = f"{text.rstrip()}\n\n".encode("utf-8", "replace")
    if len(data) > room:
        end = _LEFT_OUT.encode()
        data = data[: max(0, room - len(end))].decode("utf-8", "ignore").encode() + end if room >= len(end) else b""
    with file.open("ab") as stream:
        stream.write(data)
    return True


def _remark(level: str, message: str, file: str | None, line: int | None, title: str | None) -> None:
    _remarks[level] += 1
    if in_actions() and _remarks[level] <= MOST_REMARKS:
        place = {"file": file, "line": str(line) if file and line else None, "title": title}
        parts = ",".join(f"{name}={_property(value)}" for name, value in place.items() if value)
        _tell(f"::{level}{' ' if parts else ''}{parts}::{_data(message)}")
        return
    if in_actions() and _remarks[level] == MOST_REMARKS + 1:
        atexit.register(_tell_the_rest, level)
    where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
    _tell(harmless(_one_line(f"{where}{level}: {f'{title}: ' if title else ''}") + " " + message))


def _tell_the_rest(level: str) -> None:
    _tell(f"{_remarks[level] - MOST_REMARKS} more of level {level} stand in the log above only")


def _set(variable: str, name: str, value: str) -> None:
    """Append `name` and its value to the file that a variable names.

    Raises:
        UsageError: `name` is none.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name of an output or variable: letters, digits, - and _")
    path = os.environ.get(variable)
    if not path:
        _tell(harmless(f"{name}: {value}"))
        return
    delimiter = f"passmuster-{secrets.token_hex(16)}"  # drawn after the value was made: it can't hold it
    with Path(path).open("a", encoding="utf-8", errors="replace", newline="\n") as stream:
        stream.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def _data(text: str) -> str:
    """Return `text` as a command's message: one line, shown with its line breaks."""
    shown = harmless(text)
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(_one_line(text)).replace(":", "%3A").replace(",", "%2C")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  talk
