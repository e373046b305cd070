"""The pytest plugin for behaviour tests: fixtures of the candidate, and outcomes told where a crash can't fake them.

It does nothing in a test session that gate `behaviour` did not start. There, a file of JSON lines first tells which
tests were collected, then how each ended, then that the session came to its end; the gate believes nothing less.
"""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from passmuster_checks._asking import Model, Request

#: What a test that needs the champion is skipped with where there is none; the gate tells it from other skips.
NO_CHAMPION = "passmuster: no champion"

#: Characters of a failure that are kept.
_MESSAGE = 4000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options by which the gate starts this plugin; they are not for people."""
    group = parser.getgroup("passmuster")
    group.addoption("--passmuster-request", default=None, help="used by passmuster's gate `behaviour`")
    group.addoption("--passmuster-results", default=None, help="used by passmuster's gate `behaviour`")


def pytest_configure(config: pytest.Config) -> None:
    """Register fixtures and reporter where the gate asks for them, and nothing elsewhere."""
    request, results = config.getoption("--passmuster-request"), config.getoption("--passmuster-results")
    if request and results:
        config.pluginmanager.register(Reporter(Path(results)), "passmuster-reporter")
        config.pluginmanager.register(Fixtures(Path(request)), "passmuster-fixtures")


class Reporter:
    """Tells what happens, a line at a time, each written through at once."""

    def __init__(self, results: Path) -> None:
        self._file = os.open(results, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._phases: dict[str, dict[str, tuple[str, str]]] = {}  # test → setup, call, teardown → outcome, message

    def _tell(self, **facts: Any) -> None:
        os.write(self._file, (json.dumps(facts) + "\n").encode())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell which tests there are, before any runs."""
        self._tell(event="collected", tests=[item.nodeid for item in session.items])

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Tell which tests were left out: a test that is a gate is not left out silently."""
        self._tell(event="deselected", tests=[item.nodeid for item in items])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell what could not be collected."""
        if report.failed:
            self._tell(event="broken", test=report.nodeid, message=report.longreprtext[-_MESSAGE:])
        elif report.skipped:
            self._tell(event="outcome", test=report.nodeid, outcome="skipped", message=_skip_reason(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell how a test ended, after its teardown; the worst of setup, call and teardown counts."""
        found = ("passed", "")
        if report.failed:
            found = ("failed" if report.when == "call" else "broken", report.longreprtext[-_MESSAGE:])
        elif report.skipped or hasattr(report, "wasxfail"):
            found = ("skipped", _skip_reason(report))
        phases = self._phases.setdefault(report.nodeid, {})
        phases[report.when] = found
        if report.when == "teardown":
            outcome, message = _worst(phases)
            self._tell(event="outcome", test=report.nodeid, outcome=outcome, message=message)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Tell that the session came to its end."""
        self._tell(event="finished", status=int(exitstatus), tests=len(self._phases))


def _worst(phases: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Return how a test ended: only one of which setup, call and teardown were heard to pass has passed."""
    for outcome in ("broken", "failed", "skipped"):
        for found in phases.values():
            if found[0] == outcome:
                return found
    return ("passed", "") if phases.keys() >= {"setup", "call", "teardown"} else ("broken", "its body did not run")


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if (xfail := getattr(report, "wasxfail", None)) is not None:
        return f"marked xfail ({xfail or 'no reason given'}), and {'failed' if report.skipped else 'passed'}"
    told = report.longrepr
    return str(told[2] if isinstance(told, tuple) else told)[:_MESSAGE]


class Fixtures:
    """The fixtures that behaviour tests may ask for."""

    def __init__(self, request: Path) -> None:
        self._request: Request = pickle.loads(request.read_bytes())  # noqa: S301  written by the gate for this session

    def _model(self, name: str) -> Model | None:
        from passmuster_checks._asking import Model

        return Model(name, self._request) if name in self._request.models else None

    @pytest.fixture(scope="session")
    def candidate(self) -> Model:
        """The candidate: `predict(table)` asks it, `predictions` are its answers on the test rows."""
        found = self._model("candidate")
        assert found is not None
        return found

    @pytest.fixture(scope="session")
    def champion(self) -> Model:
        """The champion, as `candidate`; a test that asks for it is skipped where there is none yet."""
        found = self._model("champion")
        if found is None:
            pytest.skip(NO_CHAMPION)
        return found

    @pytest.fixture(scope="session")
    def train(self, candidate: Model) -> Any:
        """The training rows: a pandas DataFrame."""
        return candidate.data("train")

    @pytest.fixture(scope="session")
    def test(self, candidate: Model) -> Any:
        """The test rows: a pandas DataFrame."""
        return candidate.data("test")

    @pytest.fixture(scope="session")
    def predictions(self, candidate: Model) -> Any:
        """The candidate's answers on the test rows: a DataFrame of id, `label`, `prediction`, `proba_<class>`."""
        return candidate.predictions
