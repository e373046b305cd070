"""Takes the request in, asks one check after the other, and tells how each ended."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ._checks import run_check
from ._limit import TimeUp, time_limit
from ._tables import Data
from ._trouble import TEXT_SIZE, Trouble

#: Exceptions by which Deepchecks 0.19 says that a check does not apply: their class, the words that tell it apart from
#: a failure of the same class, and the reason that a policy may accept.
NOT_APPLICABLE = (
    ("DatasetValidationError", "does not contain an index", "no-index"),
    ("DatasetValidationError", "does not contain a datetime", "no-datetime"),
    ("DatasetValidationError", "should have index or date", "no-index"),
    ("ModelValidationError", "irrelevant for regression tasks", "wrong-task"),
    ("ModelValidationError", "irrelevant for classification tasks", "wrong-task"),
    ("DeepchecksNotSupportedError", "Predicted probabilities not supplied", "no-probabilities"),
    ("DeepchecksNotSupportedError", "at least two features", "one-feature"),
)


def main(request_file: str, answers_file: str) -> None:
    """Answer the request, one line for each check as it ends; each line is written whole or not at all."""
    began = time.monotonic()
    os.environ["DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY"] = "1"
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    if (request["schema"], request["version"]) != ("passmuster/deepchecks-request", 2):
        raise SystemExit(f"unknown request: {request['schema']} version {request['version']}")
    out = os.open(answers_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(line: Mapping[str, Any]) -> None:
        os.write(out, json.dumps(line, allow_nan=False).encode() + b"\n")

    def left() -> float:
        return float(began + request["limit"] - time.monotonic())

    data = _within(left(), lambda: Data(request), _unreadable)
    for asked in request["checks"]:
        say({"started": asked["name"]})
        say(_answer(asked, data, min(asked["timeout"], left())))
    os.close(out)


def _answer(asked: Mapping[str, Any], data: Data | dict[str, Any], limit: float) -> dict[str, Any]:
    """Return the one answer to what is asked, whatever happens within `limit` seconds.

    Args:
        asked: name, options and conditions of a check.
        data: what to check, or the error that all checks end with since there is none.
        limit: seconds; none left is an answer too.
    """
    start = time.monotonic()
    empty: dict[str, Any] = {"reason": "", "message": "", "conditions": [], "value": None, "rows": {}, "sampled": False}
    found = data if isinstance(data, dict) else _within(limit, lambda: _in_one_process(asked, data), _explained)
    return {"name": asked["name"], **empty, **found, "seconds": round(time.monotonic() - start, 3)}


def _within(limit: float, work: Callable[[], Any], otherwise: Callable[[Exception], dict[str, Any]]) -> Any:
    """Return what `work` returns within `limit` seconds, else the error that it ended with."""
    end = time.monotonic() + limit
    over = _error("timeout", f"stopped after {limit:.3g} s, its time limit or what was left of the gate's")
    try:
        if limit <= 0:
            raise Trouble("timeout", "the time limit of the gate was used up before it began")
        with time_limit(limit):
            return work()
    except TimeUp:
        return over
    except Trouble as exc:
        return _error(exc.reason, str(exc))
    except Exception as exc:  # C code may turn the interruption into an error of its own
        return over if time.monotonic() > end else otherwise(exc)


def _in_one_process(asked: Mapping[str, Any], data: Data) -> dict[str, Any]:
    import joblib  # type: ignore[import-untyped]

    # Its own worker processes would each import everything again, and outlive a time limit.
    with joblib.parallel_config(backend="threading"):
        return run_check(asked, data)


def _error(reason: str, message: str) -> dict[str, Any]:
    return {"status": "error", "reason": reason, "message": message[:TEXT_SIZE]}


def _unreadable(exc: Exception) -> dict[str, Any]:
    traceback.print_exc()
    return _error("bad-data", f"{type(exc).__name__}: {exc}")


def _explained(exc: Exception) -> dict[str, Any]:
    for kind, words, reason in NOT_APPLICABLE:
        if type(exc).__name__ == kind and words in str(exc):
            return {"status": "not-applicable", "reason": reason, "message": str(exc)[:TEXT_SIZE]}
    traceback.print_exc()
    return _error("crash", f"{type(exc).__name__}: {exc}")


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
