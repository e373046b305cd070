"""Talk to the person at the terminal: progress on stderr, tables on stdout; plain where nobody looks."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


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
        self._began, self._doing = time.monotonic(), text
        if self._console is None:
            print(f"passmuster: {text}", file=sys.stderr, flush=True)  # noqa: T201  talk
            return
        self._status = self._console.status(text)
        self._status.start()

    def done(self) -> None:
        """Say how long the last step took, where it took long enough to notice."""
        if self._status is not None and self._console is not None and self._began is not None:
            self._status.stop()
            self._status = None
            took = time.monotonic() - self._began
            self._console.print(f"[green]✔[/] {self._doing}" + (f" [dim]{took:.0f} s[/]" if took >= 1 else ""))
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
