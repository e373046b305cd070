"""Audit finds whatever was altered, deleted or moved since a promotion; and nothing where nothing was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from passmuster import audit
from passmuster.audit import Audited
from passmuster.errors import ExitCode, Unavailable
from passmuster.progress import Silent
from passmuster.rollback import rollback
from support.promotion import Project, clones, git, project

__all__ = ["clones", "project"]


def audited(project: Project) -> Audited:
    return audit.audit(project.root, [project.config], progress=Silent())


@pytest.fixture
def history(project: Project) -> Project:
    """Three champions and a rollback."""
    for text in ("one", "two", "three"):
        project.champion(text, first=text == "one")
    rollback(project.root, project.config, reason="it drifts", progress=Silent())
    return project


def test_an_intact_history_has_no_findings(history: Project) -> None:
    found = audited(history)

    assert found.code is ExitCode.OK and found.findings == () and found.champions == 3
    assert "intact" in audit.to_text(found)


def test_a_model_without_champions_has_no_findings(project: Project) -> None:
    project.commit("one")

    assert audited(project).code is ExitCode.OK


def test_no_model_at_all_is_not_a_pass(project: Project) -> None:
    assert audit.audit(project.root, [], progress=Silent()).code is ExitCode.NOTHING_TO_DO


def delete(project: Project, *tags: str, everywhere: bool = True) -> None:
    git(project.root, "push", "-q", "--delete", "origin", *tags)
    if everywhere:
        git(project.root, "tag", "-d", *tags)


def rewrite(project: Project, tag: str) -> None:
    """Another person takes an event upon himself, at the remote and in this clone."""
    text = git(project.root, "cat-file", "-p", tag)
    path = project.folder / "tag"
    path.write_text(text.replace('"who":"passmuster', '"who":"mallory') + "\n")
    sha = git(project.root, "hash-object", "-t", "tag", "-w", str(path))
    git(project.root, "update-ref", f"refs/tags/{tag}", sha)
    git(project.root, "push", "-q", "--force", "origin", f"{sha}:refs/tags/{tag}")


def artifact(project: Project, name: str, index: int) -> None:
    found = sorted((project.folder / "mlartifacts").rglob(name), key=os.path.getmtime)
    found[index].write_text(found[index].read_text().replace("0.8", "0.9"))


def retag(project: Project) -> None:
    project.registry.tag("credit-risk", "1", "passmuster.digest", "sha256:" + "0" * 64)


def another_source(project: Project) -> None:
    """A version of the same number that points at another model directory, written past MLflow's own interface."""
    import sqlite3

    with sqlite3.connect(project.folder / "mlflow.db") as database:
        database.execute("UPDATE model_versions SET source = source || 's' WHERE version = 1")


WRONG: dict[str, tuple[Callable[[Project], object], str, str]] = {
    "a promotion deleted in the middle": (lambda p: delete(p, "credit#champion#2"), "credit#champion#2", "deleted"),
    "a version deleted": (lambda p: delete(p, "credit@v1.0.0"), "credit@v1.0.0", "deleted"),
    "the last promotion deleted everywhere": (
        lambda p: delete(p, "credit#champion#4"),
        "credit#champion#4",
        "MLflow remembers it",
    ),
    "the last promotion deleted at the remote": (
        lambda p: delete(p, "credit#champion#4", everywhere=False),
        "credit#champion#4",
        "deleted there",
    ),
    "an event in the middle rewritten": (
        lambda p: rewrite(p, "credit#champion#2"),
        "credit#champion#3",
        "does not follow",
    ),
    "the last event rewritten everywhere": (
        lambda p: rewrite(p, "credit#champion#4"),
        "credit#champion#4",
        "rewritten",
    ),
    "the alias moved by hand": (
        lambda p: p.registry.set_alias("credit-risk", "champion", "1"),
        "aliases",
        "alias champion is at MLflow version 1",
    ),
    "the alias removed": (lambda p: p.registry.drop_alias("credit-risk", "champion"), "aliases", "is at none"),
    "the alias of the version before moved": (
        lambda p: p.registry.set_alias("credit-risk", "previous", "1"),
        "aliases",
        "alias previous",
    ),
    "a version deleted in MLflow": (
        lambda p: p.registry.client.delete_model_version("credit-risk", "1"),
        "v1",
        "not found",
    ),
    "a run deleted for good": (
        lambda p: [path.unlink() for path in (p.folder / "mlartifacts").rglob("MLmodel")],
        "v1",
        "",
    ),
    "a model altered": (lambda p: artifact(p, "MLmodel", 0), "v1", "altered"),
    "a record altered": (lambda p: artifact(p, "gate.json", 1), "v2", "altered"),
    "a profile altered": (lambda p: artifact(p, "profile.json", 1), "v2", "profile.json is missing or altered"),
    "a tag of a version altered": (retag, "v1", "altered"),
    "a version that points elsewhere": (another_source, "v1", "source"),
    "a remote that this clone does not have": (
        lambda p: git(p.root, "remote", "rename", "origin", "upstream"),
        "ledger",
        "does not have",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_found(history: Project, case: str) -> None:
    change, subject, problem = WRONG[case]
    change(history)

    found = audited(history)

    assert found.code is ExitCode.REFUSED
    assert [f for f in found.findings if f.subject == subject and problem.lower() in f.problem.lower()], found.findings
    assert subject in audit.to_text(found)
    assert json.loads(json.dumps(audit.to_json(found)))["findings"]


def test_an_unreachable_remote_is_not_called_intact(history: Project) -> None:
    history.remote.rename(history.folder / "gone.git")

    with pytest.raises(Unavailable):
        audited(history)
