"""Gate `behaviour`: the user's pytest tests, each test one outcome, run in a process of their own."""

from __future__ import annotations

import json
import pickle
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passmuster import _process, environments
from passmuster.errors import NotMeasured, PassmusterError
from passmuster.gates import Champion, Inputs
from passmuster.measurement import Assertion, Failure, Measurement, NotApplicable
from passmuster.verdict import NO_CHAMPION, NOT_COMPARED
from passmuster_checks import pytest_plugin
from passmuster_checks._asking import CANDIDATE, CHAMPION, Answering, Request, Source
from passmuster_checks.environment import LOCK

#: Seconds that are left of the gate's limit to end the tests and tell what was heard of them.
_MARGIN = 5.0

#: What pytest ends with where all tests passed, or some failed; any other number is no result.
_RESULTS = (0, 1)

_SKIPPED = "test-skipped"


class Behaviour:
    """Runs the tests that the config names, with fixtures that ask candidate and champion."""

    name = "behaviour"
    needs = frozenset({"data", "predictions", "model"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return one measurement for each test, named `tests::<file>::<test>`."""
        file, results = inputs.workspace / "request", inputs.workspace / "results"
        tests, request = _paths(inputs), _request(inputs)
        request.questions.mkdir()
        file.write_bytes(pickle.dumps(request))
        with Answering(request):
            done = _process.run(
                _command(inputs, tests, file, results),
                cwd=_scratch(inputs),
                env=environments.scrubbed(_scratch(inputs), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
                timeout=max(inputs.config.gates.behaviour.timeout - _MARGIN, 1.0),
            )
        excused = NO_CHAMPION if isinstance(inputs.champion, Champion) else inputs.champion.reason
        return list(self._measured(_read(results), done, excused))

    def _measured(self, heard: _Heard, done: _process.Finished, excused: str) -> Iterator[Measurement]:
        trouble = heard.trouble(done)
        if trouble is not None:
            yield Failure(gate=self.name, name="tests", reason=trouble)
        twice = {test for test, count in Counter(test for test, _, _ in heard.outcomes).items() if count > 1}
        said = {test: (outcome, message) for test, outcome, message in heard.outcomes}
        for test in dict.fromkeys((*heard.collected, *said)):
            name = f"tests::{test}"
            if test not in said:
                yield Failure(gate=self.name, name=name, reason="the test did not come to its end")
            elif test in twice:
                yield Failure(gate=self.name, name=name, reason="the test ended more than once")
            else:
                yield self._one(name, *said[test], excused)

    def _one(self, name: str, outcome: str, message: str, excused: str) -> Measurement:
        match outcome:
            case "passed":
                return Assertion(gate=self.name, name=name, holds=True, message="passed")
            case "failed":
                return Assertion(
                    gate=self.name, name=name, holds=False, message=_last_line(message), details={"log": message}
                )
            case "skipped":
                reason = excused if pytest_plugin.NO_CHAMPION in message else _SKIPPED
                return NotApplicable(gate=self.name, name=name, reason=reason, message=message)
            case _:
                return Failure(
                    gate=self.name, name=name, reason=_last_line(message) or "broken", details={"log": message}
                )


@dataclass(kw_only=True)
class _Heard:
    """What the plugin told, line by line."""

    collected: list[str] = field(default_factory=list)
    deselected: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  #: files that could not be collected
    outcomes: list[tuple[str, str, str]] = field(default_factory=list)  #: test, outcome, message
    begun: int = 0  #: how often a collection was announced
    finished: list[int] = field(default_factory=list)  #: how the session ended
    garbled: int = 0  #: lines that are no JSON

    def trouble(self, done: _process.Finished) -> str | None:
        """Return why what was heard is not the whole truth, or None."""
        if done.timed_out:
            return "the tests did not end within the gate's time limit"
        if self.broken:
            return "tests could not be collected: " + "; ".join(self.broken)
        if self.begun == 1 and not self.collected:
            return "no test was collected; does the config name the right files?"
        if self.deselected:
            return f"{len(self.deselected)} tests were deselected; a test that is a gate must run"
        said = done.last_lines()
        if self.begun != 1 or self.garbled or len(self.finished) != 1:
            return f"pytest did not come to its end (exit code {done.returncode}): {said}"
        if self.finished[0] != done.returncode or done.returncode not in _RESULTS:
            return f"pytest ended with exit code {done.returncode}, which is no result: {said}"
        failed = any(outcome in ("failed", "broken") for _, outcome, _ in self.outcomes)
        if failed != (done.returncode == 1):
            return f"pytest ended with exit code {done.returncode}, which is not what its tests said"
        return None


def _read(results: Path) -> _Heard:
    heard = _Heard()
    for line in results.read_text(encoding="utf-8", errors="replace").splitlines() if results.is_file() else ():
        try:
            _take_in(json.loads(line), heard)
        except (ValueError, KeyError, TypeError):
            heard.garbled += 1
    return heard


def _take_in(told: Mapping[str, Any], heard: _Heard) -> None:
    match told["event"]:
        case "collected":
            heard.begun += 1
            heard.collected += map(str, told["tests"])
        case "deselected":
            heard.deselected += map(str, told["tests"])
        case "broken":
            heard.broken.append(f"{told['test']}: {_last_line(str(told['message']))}")
        case "outcome":
            heard.outcomes.append((str(told["test"]), str(told["outcome"]), str(told["message"])))
        case "finished":
            heard.finished.append(int(told["status"]))
        case other:
            raise ValueError(other)


def _last_line(message: str) -> str:
    """Return the line of a failure's text that says most: pytest marks the error's own lines by `E`."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    marked = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return (marked or lines[-1:] or [""])[0][:500]


def _paths(inputs: Inputs) -> list[Path]:
    tests = [inputs.root / path for path in inputs.config.gates.behaviour.tests]
    if not tests:
        raise NotMeasured("the config names no tests for gate `behaviour`")
    if missing := [path for path in tests if not path.exists()]:
        raise NotMeasured(f"{missing[0].relative_to(inputs.root)} is not there, in the commit whose policy judges")
    return tests


def _scratch(inputs: Inputs) -> Path:
    folder = inputs.workspace / "cwd"
    folder.mkdir(exist_ok=True)
    return folder


def _command(inputs: Inputs, tests: Sequence[Path], request: Path, results: Path) -> list[str]:
    """Return the call of pytest: settings of the user's project (options, plugins) must not leave tests out."""
    settings = inputs.workspace / "pytest.ini"
    settings.write_text(f"[pytest]\npythonpath = {shlex.quote(str(inputs.root))}\n", encoding="utf-8")
    return [
        *(sys.executable, "-P", "-m", "pytest", "--quiet", "--color=no", "-p", "no:cacheprovider"),
        *("-p", "passmuster_checks.pytest_plugin", "-c", str(settings), "--rootdir", str(inputs.root)),
        f"--passmuster-request={request}",
        f"--passmuster-results={results}",
        *map(str, tests),
    ]


def _request(inputs: Inputs) -> Request:
    champion = inputs.champion
    models = {CANDIDATE: _model(inputs, inputs.model, inputs.predictions)}
    if isinstance(champion, Champion):
        models[CHAMPION] = _model(inputs, champion.model, champion.predictions)
    elif champion.reason not in NOT_COMPARED:
        raise NotMeasured(champion.message)
    return Request(models=models, questions=inputs.workspace / "questions")


def _model(inputs: Inputs, directory: Path, answers: Mapping[str, Path]) -> Source:
    try:
        python = environments.ensure(directory / LOCK)
    except (PassmusterError, OSError) as exc:
        raise NotMeasured(f"the model's environment is not there: {exc}; run `passmuster score` first") from exc
    config = inputs.config
    return Source(
        directory=directory,
        python=python,
        task=str(config.task),
        id=config.data.id,
        label=config.data.label,
        files=inputs.data,
        answers=answers,
        timeout=config.gates.behaviour.timeout,
    )
