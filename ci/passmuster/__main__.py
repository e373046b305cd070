"""The one place that exits: turns what a command answers, or raises, into an exit code."""

from __future__ import annotations

import signal
import sys
import traceback

from passmuster.errors import ExitCode, PassmusterError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _interrupt)  # a cancelled job must end what it started, as Ctrl-C does
    sys.exit(int(main_inner(arguments)))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main_inner(arguments: list[str] | None = None) -> ExitCode:
    """Run the command line and return its exit code."""
    from passmuster import _cli

    try:
        return _cli.run(arguments)
    except PassmusterError as exc:
        print(f"passmuster: {exc}", file=sys.stderr)  # noqa: T201  talk
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
