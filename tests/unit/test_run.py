"""`run` tells of this run alone: what an earlier one left is no verdict on this commit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from passmuster import _scoring, ledger, promote, record, report, reproduce, run, score
from passmuster.errors import ExitCode, PassmusterError, Unavailable, UsageError
from passmuster.progress import Silent
from passmuster.registry import Registry
from support import candidate, records


@pytest.mark.parametrize("trouble", [Unavailable("the index did not answer"), UsageError("the lock does not install")])
def test_a_run_that_breaks_off_does_not_show_the_verdict_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: PassmusterError
) -> None:
    folder = records.scenario(tmp_path / ".passmuster", "passing")
    before = report.facts(folder).status
    config = replace(candidate.config(), name=folder.name)

    def breaks_off(*_: Any, **__: Any) -> None:
        raise trouble

    monkeypatch.setattr(ledger, "champion", lambda *_: None)
    monkeypatch.setattr(reproduce, "reproduce", breaks_off)
    ran = run.run(tmp_path, config, progress=Silent())

    assert before == "passes"
    assert (ran.code, ran.said) == (trouble.code, str(trouble))
    assert json.loads(ran.reports["json"].read_text())["status"] == "could not be judged"
    assert report.facts(folder).code is ExitCode.REFUSED


def test_what_cannot_be_fetched_ahead_is_fetched_again_for_the_champion_that_there_is_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the stages ran, MLflow did not answer, and another became champion."""
    folder = records.scenario(tmp_path / ".passmuster", "passing")
    config = replace(candidate.config(), name=folder.name)
    found = record.read(folder / "reproduce.json", "reproduce")
    champions = iter(["before", "since"])
    asked: list[str] = []

    def source(_root: Path, _config: Any, champion: str, **_: Any) -> str:
        asked.append(champion)
        if champion == "before":
            raise Unavailable("MLflow did not answer")
        return champion

    def reproduced(*_: Any, meanwhile: Callable[[], object], **__: Any) -> record.Record:
        meanwhile()
        return found

    def scored(*_: Any, champion: str, **__: Any) -> None:
        raise UsageError(f"scored with {champion}")

    monkeypatch.setattr(ledger, "champion", lambda *_: next(champions))
    monkeypatch.setattr(reproduce, "reproduce", reproduced)
    monkeypatch.setattr(Registry, "import_client", lambda _: None)
    monkeypatch.setattr(promote, "champion_source", source)
    monkeypatch.setattr(score, "score", scored)
    ran = run.run(tmp_path, config, force=True, dry_run=True, progress=Silent())

    assert asked == ["before", "since"]
    assert ran.said == "scored with since"


@pytest.mark.parametrize("changed", [False, True])
def test_scoring_programs_are_started_ahead_in_the_environments_of_candidate_and_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    """The candidate's is the commit's: what the checkout has in its place by now is not installed for nothing."""
    folder = records.scenario(tmp_path / ".passmuster", "passing")
    config = replace(candidate.config(), name=folder.name)
    found = record.read(folder / "reproduce.json", "reproduce")
    lock = tmp_path / config.requirements
    lock.write_text("a==1\n")
    for words in (["init"], ["add", str(lock)], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    if changed:
        lock.write_text("a==2\n")
    started: list[Path] = []

    def reproduced(*_: Any, meanwhile: Callable[[], object], **__: Any) -> record.Record:
        meanwhile()
        return found

    def scored(*_: Any, waiting: object, **__: Any) -> None:
        raise UsageError(f"scored with {type(waiting).__name__}")

    monkeypatch.setattr(ledger, "champion", lambda *_: "v1")
    monkeypatch.setattr(reproduce, "reproduce", reproduced)
    monkeypatch.setattr(Registry, "import_client", lambda _: None)
    monkeypatch.setattr(promote, "champion_source", lambda *_, **__: SimpleNamespace(directory=tmp_path / "champion"))
    monkeypatch.setattr(_scoring.Waiting, "start", lambda _, lock: started.append(lock))
    monkeypatch.setattr(score, "score", scored)
    ran = run.run(tmp_path, config, force=True, dry_run=True, progress=Silent())

    assert started == [*([] if changed else [lock]), tmp_path / "champion" / _scoring.LOCK]
    assert ran.said == "scored with Waiting"
