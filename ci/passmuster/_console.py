"""Talk to the person at the terminal: progress on stderr, tables on stdout; plain where nobody looks."""

from __future__ import annotations

import contextlib
import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


#: What a CI log takes for a command to its runner: at the beginning of a line, and anywhere.
_COMMANDS = re.compile(r"(?m)^(\s*:)(?=:)|(##)(?=\[)")

#: Controls, format characters (they turn or hide text), surrogates.
_OBEYED = frozenset({"Cc", "Cf", "Cs"})


def harmless(text: str) -> str:
    """Return `text`, parts of which others wrote, without what a terminal or a CI log would obey instead of show."""
    text = text.replace("\r\n", "\n")
    if not (text.isascii() and text.replace("\n", "").isprintable()):
        text = "".join("\ufffd" if unicodedata.category(c) in _OBEYED and c not in "\n\t" else c for c in text)
    return _COMMANDS.sub(lambda found: f"{found.group()} ", text)


class Talk:
    """Says what a step is doing: a spinner with the elapsed time on a terminal, one line a step elsewhere."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._doing = ""
        self._status: Status | None = None
        self._console = stderr() if sys.stderr.isatty() else None

    def step(self, text: str) -> None:
        """Close what was being done and say what begins."""
        self.done()
        text = harmless(text)
        self._began, self._doing = time.monotonic(), text
        if self._console is None:
            print(f"passmuster: {text}", file=sys.stderr, flush=True)  # noqa: T201  talk
            return
        from rich.text import Text

        self._status = self._console.status(Text(text))
        self._status.start()

    def done(self) -> None:
        """Say how long the last step took, where it took long enough to notice."""
        if self._status is not None and self._console is not None and self._began is not None:
            self._status.stop()
            self._status = None
            took = time.monotonic() - self._began
            from rich.text import Text

            told = Text.assemble(("✔", "green"), f" {self._doing}", (f" {took:.0f} s" if took >= 1 else "", "dim"))
            self._console.print(told)
        self._began = None


@contextlib.contextmanager
def talking() -> Iterator[Talk]:
    """Yield a `Talk` whose spinner is gone afterwards, whatever happens."""
    talk = Talk()
    try:
        yield talk
    finally:
        talk.done()


def stderr() -> Console:
    """Return a rich console on stderr; text is never read as markup of emojis."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def stdout() -> Console:
    """Return a rich console on stdout, 100 columns wide where stdout is no terminal."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
