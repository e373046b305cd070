"""The one place that exits: turns what a command answers, or raises, into an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback

from passmuster.errors import ExitCode, PassmusterError

#: git sets these for its hooks; in one, every git command would work on that repository and index, also one that is
#: meant for a worktree of our own.
_OF_ANOTHER_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _interrupt)  # a cancelled job must end what it started, as Ctrl-C does
    code = int(main_inner(arguments))
    gc.freeze()  # else the interpreter's end looks a second long for what to free in all that was imported
    sys.exit(code)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main_inner(arguments: list[str] | None = None) -> ExitCode:
    """Run the command line and return its exit code."""
    from passmuster import _cli
    from passmuster._console import harmless

    for name in _OF_ANOTHER_REPOSITORY:
        os.environ.pop(name, None)
    try:
        return _cli.run(arguments)
    except PassmusterError as exc:
        print(f"passmuster: {harmless(str(exc))}", file=sys.stderr)  # noqa: T201  talk
        return exc.code
    except KeyboardInterrupt:
        print("passmuster: interrupted; running the same command again continues", file=sys.stderr)  # noqa: T201
        return ExitCode.UNAVAILABLE
    except BrokenPipeError:
        return ExitCode.UNAVAILABLE
    except Exception:
        traceback.print_exc()
        print("passmuster: this is a bug of passmuster; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return ExitCode.BUG


if __name__ == "__main__":
    main()
