"""SIGKILL between every two writes of promote and rollback; the next run finishes or undoes, every time."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from passmuster import record
from passmuster._git import Repository
from passmuster.errors import ExitCode
from passmuster.progress import Silent
from passmuster.registry import Registry
from passmuster.rollback import rollback
from support.promotion import MODEL, Project, clones, in_processes, project

__all__ = ["clones", "project"]

GIT_WRITES = {"push", "fetch", "hash-object"}
MLFLOW_WRITES = {
    "create_experiment",
    "create_registered_model",
    "create_run",
    "log_artifacts",
    "log_artifact",
    "log_batch",
    "set_terminated",
    "create_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
}


class Killer:
    """Kills this process right before its n-th write, that is after the one before."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def passes(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if writes(*arguments):
                self.passes()
            return function(*arguments, **options)

        return wrapped

    def arm(self) -> None:
        """Watch every write of this process: to git, to MLflow, and to the model's folder."""
        Repository.run = self.around(Repository.run, lambda _, *words, **__: words[0] in GIT_WRITES)  # type: ignore[method-assign]
        Registry._call = self.around(  # type: ignore[method-assign]
            Registry._call, lambda _, function, *__: getattr(function, "__name__", "") in MLFLOW_WRITES
        )
        record.write_atomically = self.around(record.write_atomically, lambda *_: True)
        Path.unlink = self.around(Path.unlink, lambda path, *_: path.name == "intent.json")  # type: ignore[method-assign]


def killed_at(moment: int, work: Callable[[], object]) -> bool:
    """Do `work` in a process that is killed at a moment; False: it was done before that."""

    def run(_: int, __: Callable[[], object]) -> None:
        Killer(moment).arm()
        work()

    (code,) = in_processes(run)
    assert code in (ExitCode.OK, -signal.SIGKILL)
    return code != ExitCode.OK


def moments(work: Callable[[int], Callable[[], object]]) -> Iterator[int]:
    """Kill at the first, second … moment of `work(moment)` until it is done unkilled; yield after each kill."""
    moment = 1
    while killed_at(moment, work(moment)):
        yield moment
        moment += 1
    assert moment > 5


def never_ahead(project: Project) -> None:
    """Right after a kill: the alias is at a champion of the ledger, the last one or the one before."""
    alias = project.registry.aliases("credit-risk").get("champion")
    allowed = [p.mlflow_version for p in project.ledger.read().promotions[-2:]]
    assert alias in allowed or (alias is None and len(allowed) <= 1)


def test_promote_killed_at_any_moment_is_finished_by_the_next_run(project: Project) -> None:
    """The first moments are of a first promotion, which also creates what MLflow lacks; later ones have a champion."""
    commits = {}

    def attempt(moment: int) -> Callable[[], object]:
        commits[moment] = project.commit(f"candidate {moment}")
        project.judge()
        return lambda: project.promote(first=True)

    for moment in moments(attempt):
        never_ahead(project)

        (code,) = in_processes(lambda *_: project.promote(first=True))

        champion = project.ledger.champion
        assert code == ExitCode.OK, f"killed at moment {moment}"
        assert champion is not None and champion.commit == commits[moment]
        assert (project.root / ".passmuster" / MODEL / "promote.json").exists()
        assert not (project.root / ".passmuster" / MODEL / "intent.json").exists()
        project.consistent()


def test_a_first_promotion_killed_at_any_moment_is_finished_by_the_next_run(project: Project) -> None:
    """Every moment of a first promotion, each with a model of its own."""

    def named(moment: int) -> Project:
        return Project(project.folder, f"credit-{moment}")

    def attempt(moment: int) -> Callable[[], object]:
        model = named(moment)
        shutil.rmtree(project.root / "model-configs", ignore_errors=True)
        model.commit(f"model {moment}", registry=f"risk-{moment}", target=f"target-{moment}")
        model.judge()
        return lambda: model.promote(first=True)

    for moment in moments(attempt):
        model = named(moment)

        (code,) = in_processes(lambda *_, model=model: model.promote(first=True))

        champion = model.ledger.champion
        assert code == ExitCode.OK, f"killed at moment {moment}"
        assert champion is not None and champion.promotion == 1
        assert project.registry.aliases(f"risk-{moment}") == {"champion": champion.mlflow_version}
        assert len(project.registry.versions(f"risk-{moment}")) == 1


@pytest.mark.parametrize("moment", [2, 6, 10, 12, 14])
def test_promote_killed_is_undone_or_finished_when_another_candidate_comes(project: Project, moment: int) -> None:
    project.champion("one", first=True)
    project.commit("two")
    project.judge()
    assert killed_at(moment, project.promote)
    project.commit("three")
    project.judge()

    in_processes(lambda *_: project.promote())
    project.judge()
    (code,) = in_processes(lambda *_: project.promote())

    assert code == ExitCode.OK
    champion = project.ledger.champion
    assert champion is not None and champion.commit == Repository(project.root).commit()
    project.consistent()


def test_rollback_killed_at_any_moment_is_finished_by_the_next_run(project: Project) -> None:
    project.champion("one", first=True)
    project.champion("two")
    before = {}

    def roll() -> object:
        return rollback(project.root, project.config, reason="it drifts", progress=Silent())

    def attempt(moment: int) -> Callable[[], object]:
        before[moment] = project.ledger.read()
        return roll

    for moment in moments(attempt):
        never_ahead(project)
        written = len(project.ledger.read().promotions) > len(before[moment].promotions)
        pending = (project.root / ".passmuster" / MODEL / "intent.json").exists()

        if not written or pending:
            (code,) = in_processes(lambda *_: roll())
            assert code == ExitCode.OK, f"killed at moment {moment}"

        after = project.ledger.read()
        assert len(after.promotions) == len(before[moment].promotions) + 1, f"killed at moment {moment}"
        assert after.champion is not None and before[moment].replaced is not None
        assert after.champion.version == before[moment].replaced.version
        project.consistent()
