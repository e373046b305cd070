"""Running programs that are not trusted to end: a time limit for the whole process group, output into files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

#: Characters of a program's output that are kept; more than a reason needs, less than a flood.
KEPT = 1_000_000

#: Seconds between two looks at a running program.
_POLL = 0.05


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended."""

    returncode: int | None  #: None where the time limit ended it
    stdout: str  #: the last `KEPT` bytes
    stderr: str  #: the last `KEPT` bytes

    @property
    def timed_out(self) -> bool:
        """Whether the time limit ended it."""
        return self.returncode is None

    def last_lines(self, count: int = 12) -> str:
        """Return the end of what it said on stderr, or on stdout where it said nothing there."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-count:])


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    on_line: Callable[[str], None] = lambda _line: None,
) -> Finished:
    """Run `command` in a session of its own; nothing of its process group is left when this returns.

    Args:
        command: the program and its arguments; no shell.
        cwd: the working folder.
        env: the whole environment.
        timeout: seconds until the group is killed.
        on_line: called with each line of stdout and stderr, while the program runs.

    Raises:
        OSError: the program could not be started.
    """
    with Started(command, cwd=cwd, env=env) as program:
        return program.wait(timeout, on_line)


class Started:
    """A program that runs in a session of its own; nothing of its process group is left after the `with` block.

    Output goes to files, since a child that outlives the program would keep a pipe open for ever.
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], held: bool = False) -> None:
        """Start `command`; where it is `held`, its stdin gives nothing until `go`, and ends where this process does.

        Raises:
            OSError: the program could not be started.
        """
        self._ended = False
        with contextlib.ExitStack() as files:
            self._out, self._err = (files.enter_context(tempfile.TemporaryFile()) for _ in ("out", "err"))
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.PIPE if held else subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._err,
                start_new_session=True,
            )
            self._files = files.pop_all()

    def go(self) -> bool:
        """Give a program that is held one empty line on stdin; the answer is whether it was still there."""
        if self._process.stdin is None:
            raise ValueError("the program is not held")
        try:
            os.write(self._process.stdin.fileno(), b"\n")
        except BrokenPipeError:
            return False
        self._process.stdin.close()
        return True

    def wait(self, timeout: float, on_line: Callable[[str], None] = lambda _line: None) -> Finished:
        """Return how it ended, after `timeout` seconds at the latest; for the arguments see `run`."""
        try:
            returncode = _wait(self._process, timeout, [_Lines(self._out, on_line), _Lines(self._err, on_line)])
        finally:
            self._end()
        return Finished(returncode=returncode, stdout=_tail(self._out), stderr=_tail(self._err))

    def _end(self) -> None:
        if self._ended:
            return  # a number that was given back may be another's process group by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._ended = True
        if self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._files.close()


def _wait(process: subprocess.Popen[bytes], timeout: float, lines: Sequence[_Lines]) -> int | None:
    end = time.monotonic() + timeout
    while (returncode := process.poll()) is None and time.monotonic() < end:
        time.sleep(_POLL)
        for reader in lines:
            reader.pump()
    for reader in lines:
        reader.pump()
    return returncode


class _Lines:
    """Hands on what a file gained since the last look, in whole lines; by its own offset, so that writing goes on."""

    def __init__(self, stream: IO[bytes], on_line: Callable[[str], None]) -> None:
        self.stream, self.on_line = stream, on_line
        self.offset, self.rest = 0, b""

    def pump(self) -> None:
        """Hand on the new lines; a line without an end waits, unless it is a flood."""
        while block := os.pread(self.stream.fileno(), 65_536, self.offset):
            self.offset += len(block)
            *whole, self.rest = (self.rest + block).split(b"\n")
            for line in whole:
                self.on_line(line.decode("utf-8", "replace"))
            self.rest = self.rest[-KEPT:]


def _tail(stream: IO[bytes]) -> str:
    size = os.fstat(stream.fileno()).st_size
    return os.pread(stream.fileno(), KEPT, max(0, size - KEPT)).decode("utf-8", "replace")
