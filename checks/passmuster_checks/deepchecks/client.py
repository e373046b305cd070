"""Asks Deepchecks: starts the runner in its own environment, and turns its answers into measurements.

The runner is not believed: every check that was asked for ends as exactly one answer, and what is missing, said twice,
malformed, or came without a condition is an error. Stable promise: `Request`, `request_for`, `start`, `Running`,
`Answer` and `measurement`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from passmuster import curated, environments
from passmuster.config import Mode, Task
from passmuster.errors import PassmusterError, UsageError
from passmuster.gates import Inputs
from passmuster.measurement import Assertion, Failure, Measurement, NotApplicable

GATE = "deepchecks"

#: numpy 1, which Deepchecks needs, was never built for later ones.
PYTHON = ">=3.11,<3.13"
LOCK = Path(__file__).with_name("requirements.txt")
RUNNER = Path(__file__).with_name("runner")

#: Seconds beyond the gate's limit in which the runner, which keeps it, tells what it has.
GRACE = 10.0
#: Characters of the runner's log that an error quotes.
LOG_TAIL = 1_500

_ANSWER_SCHEMA = {
    "type": "object",
    "required": ["name", "status", "reason", "message", "conditions", "value", "rows", "sampled", "seconds"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "status": {"enum": ["ran", "error", "not-applicable"]},
        "reason": {"type": "string"},
        "message": {"type": "string"},
        "conditions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "category", "details"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "category": {"enum": ["PASS", "FAIL", "WARN", "ERROR"]},
                    "details": {"type": "string"},
                },
            },
        },
        "value": {},
        "rows": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "sampled": {"type": "boolean"},
        "seconds": {"type": "number", "minimum": 0},
    },
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One check that a policy names."""

    name: str  #: Deepchecks' class
    options: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Mapping[str, Any]]
    timeout: float  #: seconds


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the runner is to look at, and the checks it is to run."""

    task: Task
    label: str
    id: str
    time: str | None
    categorical: tuple[str, ...]
    features: tuple[str, ...]
    train: Path  #: Parquet
    test: Path  #: Parquet
    predictions: Mapping[str, Path]  #: "train", "test" → Parquet: id, `label`, `prediction`, `proba_<class>` …
    classes: tuple[str | int, ...]  #: as in the names of the probabilities' columns; empty for regression
    checks: tuple[Asked, ...]
    limit: float  #: seconds from the runner's start to the end of the last check

    def __post_init__(self) -> None:
        names = [asked.name for asked in self.checks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"asked of Deepchecks twice: {sorted(twice)}")

    def to_json(self) -> dict[str, Any]:
        """Return the request as the runner reads it."""
        return {
            "schema": "passmuster/deepchecks-request",
            "version": 2,
            "task": str(self.task),
            "label": self.label,
            "id": self.id,
            "time": self.time,
            "categorical": list(self.categorical),
            "features": list(self.features),
            "train": str(self.train.absolute()),
            "test": str(self.test.absolute()),
            "predictions": {split: str(path.absolute()) for split, path in self.predictions.items()},
            "classes": list(self.classes),
            "checks": [
                {
                    "name": asked.name,
                    "options": dict(asked.options),
                    "conditions": {name: dict(given) for name, given in asked.conditions.items()},
                    "timeout": asked.timeout,
                }
                for asked in self.checks
            ],
            "limit": self.limit,
        }


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What one condition of a check found."""

    name: str
    category: str  #: PASS, FAIL, WARN or ERROR
    details: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one check ended."""

    name: str
    status: str  #: "ran", "error" or "not-applicable"
    reason: str = ""  #: a short code, where it did not run
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    value: Any = None  #: JSON, shortened; None: too long to keep
    rows: Mapping[str, int] = field(default_factory=dict)  #: split → rows that the check saw
    sampled: bool = False  #: it saw not all rows
    seconds: float = 0.0


def request_for(inputs: Inputs) -> Request:
    """Return what a model's config asks of Deepchecks.

    Raises:
        UsageError: no check is left to run.
    """
    config = inputs.config
    gate = config.gates.deepchecks
    named = curated.checks(config.task) if gate.checks is None else gate.checks
    asked = tuple(
        Asked(name=name, options=check.options, conditions=check.conditions, timeout=check.timeout)
        for name, check in named.items()
        if check.mode is not Mode.OFF
    )
    if not asked:
        raise UsageError(f"{config.path}: gate 'deepchecks' names no check; nothing would be measured")
    data = config.data
    return Request(
        task=config.task,
        label=data.label,
        id=data.id,
        time=data.time,
        categorical=data.categorical,
        features=tuple(name for name in data.columns if name not in (data.label, data.id, data.time)),
        train=inputs.data["train"],
        test=inputs.data["test"],
        predictions={split: inputs.predictions[split] for split in ("train", "test") if split in inputs.predictions},
        classes=() if config.task is Task.REGRESSION else _classes(inputs.predictions.get("test")),
        checks=asked,
        limit=gate.timeout,
    )


def _classes(predictions: Path | None) -> tuple[str, ...]:
    if predictions is None:
        return ()
    import pyarrow.parquet as pq

    prefix = "proba_"
    names = pq.read_schema(predictions).names
    return tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def environment() -> Path:
    """Return the `python` of Deepchecks' environment, made from its lock if it is not there yet.

    Raises:
        UsageError: the lock does not install on this Python.
        Unavailable: `uv` could not be run, or the package index did not answer.
    """
    return environments.ensure(LOCK, python=PYTHON)


def start(request: Request, *, folder: Path, python: Callable[[], Path] = environment) -> Running:
    """Start the runner and return at once; without a runner, the answers say why there is none.

    The runner gets no secrets, a home of its own, and no network where the system can take it away.

    Args:
        request: what to look at.
        folder: an empty folder for the request, the answers and the log.
        python: returns the interpreter; a failure of it is every check's answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    answers = folder / "answers.jsonl"
    answers.unlink(missing_ok=True)
    running = Running(request=request, folder=folder)
    try:
        (folder / "request.json").write_text(json.dumps(request.to_json(), allow_nan=False), encoding="utf-8")
        command = [str(python()), "-m", RUNNER.stem, str(folder / "request.json"), str(answers)]
        running.begin(environments.without_network(command, [folder]))
    except (PassmusterError, OSError, ValueError) as exc:
        running.trouble = f"Deepchecks could not be started: {exc}"
    return running


class Running:
    """A runner at work. Leaving the `with` block ends it, whatever it does."""

    def __init__(self, *, request: Request, folder: Path) -> None:
        self.request = request
        self.folder = folder
        self.trouble = ""  #: why there is no runner
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._home = ""
        self._began = 0.0

    def begin(self, command: Sequence[str]) -> None:
        """Start the process, in a session of its own so that it ends with all its children."""
        self._home = tempfile.mkdtemp(prefix="passmuster-deepchecks-")
        variables = environments.scrubbed(
            Path(self._home),
            DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY="1",
            MPLBACKEND="agg",
            PYTHONPATH=str(RUNNER.parent),
            PYTHONWARNINGS="ignore",
        )
        with (self.folder / "runner.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                cwd=self._home,
                start_new_session=True,
            )
        self._began = time.monotonic()

    def answers(self) -> list[Answer]:
        """Wait for the runner and return one answer for each check asked, in that order."""
        ended = self._wait()
        said, begun = _read(self.folder / "answers.jsonl")
        return [self._answer(asked, said, begun, ended) for asked in self.request.checks]

    def _wait(self) -> str:
        """Return how the runner ended, for people."""
        if self._process is None:
            return self.trouble or "Deepchecks was not started"
        try:
            left = self._began + self.request.limit + GRACE - time.monotonic()
            code = self._process.wait(timeout=max(left, 0.0))
        except subprocess.TimeoutExpired:
            self.stop()
            return f"Deepchecks was stopped: it did not end within {self.request.limit:g} s, the gate's time limit"
        self.stop()
        if code == 0:
            return "Deepchecks ended without an answer"
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        log = (self.folder / "runner.log").read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:].strip()
        return f"Deepchecks ended {how}; its log ends: {log or '(empty)'}"

    def _answer(self, asked: Asked, said: Mapping[str, list[Any]], begun: set[str], ended: str) -> Answer:
        found = said.get(asked.name, [])
        if len(found) > 1:
            return _error(asked, "answered-twice", f"Deepchecks' runner gave {len(found)} answers to one question")
        if found:
            return _believed(asked, found[0])
        if self._process is None:
            return _error(asked, "not-started", ended)
        if asked.name in begun:
            return _error(asked, "killed", f"it did not end (its time limit is {asked.timeout:g} s). {ended}")
        return _error(asked, "not-run", ended)

    def stop(self) -> None:
        """End the runner and its children now, if they still run."""
        if self._process is not None and not self._stopped:
            self._stopped = True  # only once: later the number may be another process's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _read(file: Path) -> tuple[dict[str, list[Any]], set[str]]:
    """Return the answers by check, and the checks that were begun; half a line, as of a killed runner, is none."""
    said: dict[str, list[Any]] = {}
    begun: set[str] = set()
    for line in _lines(file):
        if "started" in line:
            begun.add(str(line["started"]))
        else:
            said.setdefault(str(line.get("name")), []).append(line)
    return said, begun


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        content = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for line in content.split("\n"):
        try:
            found = json.loads(line, parse_constant=_refuse_constant)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _believed(asked: Asked, line: dict[str, Any]) -> Answer:
    """Return `line` as an answer if it has the form of one and leaves no condition out."""
    import jsonschema

    try:
        jsonschema.validate(line, _ANSWER_SCHEMA)
    except jsonschema.ValidationError as exc:
        return _error(asked, "bad-answer", f"Deepchecks' runner answered in another form: {exc.message}")
    if line["status"] == "ran" and not (asked.conditions and len(line["conditions"]) >= len(asked.conditions)):
        there, wanted = len(line["conditions"]), len(asked.conditions)
        return _error(asked, "no-condition", f"{there} conditions were judged, {wanted} are asked for")
    conditions = tuple(Condition(**found) for found in line["conditions"])
    return Answer(**{**line, "conditions": conditions})


def _error(asked: Asked, reason: str, message: str) -> Answer:
    return Answer(name=asked.name, status="error", reason=reason, message=message)


def measurement(answer: Answer) -> Measurement:
    """Return the fact that an answer states: it holds only where every condition of a check that ran is PASS."""
    details = {
        "conditions": [vars(found) for found in answer.conditions],
        "value": answer.value,
        "rows": dict(answer.rows),
        "sampled": answer.sampled,
    }
    name = answer.name
    if answer.status == "not-applicable":
        return NotApplicable(gate=GATE, name=name, reason=answer.reason, message=answer.message)
    failed = [found for found in answer.conditions if found.category != "PASS"]
    broken = [found for found in failed if found.category not in ("FAIL", "WARN")]
    if answer.status != "ran" or not answer.conditions:
        reason = f"{answer.reason or 'no-condition'}: {answer.message or 'no condition was judged'}"
        return Failure(gate=GATE, name=name, reason=reason)
    if broken:
        return Failure(gate=GATE, name=name, reason=f"condition-crashed: {_text(broken)}", details=details)
    return Assertion(
        gate=GATE, name=name, holds=not failed, message=_text(failed or answer.conditions), details=details
    )


def _text(conditions: Sequence[Condition]) -> str:
    return "; ".join(f"{found.name}: {found.details}" if found.details else found.name for found in conditions)
