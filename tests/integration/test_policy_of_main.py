"""What main promotes by: the merged commit's policy and, where that is another one, its first parent's as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from passmuster import record
from passmuster._git import Repository
from passmuster._ruling import of_first_parent
from passmuster.errors import Refused
from support.promotion import Project, alter, clones, git, project

__all__ = ["clones", "project"]


def _forget(body: dict[str, Any]) -> None:
    del body["also"]


def _of_another_commit(body: dict[str, Any]) -> None:
    body["also"]["commit"] = body["commit"]


def _loosened(body: dict[str, Any]) -> None:
    body["also"]["digest"] = body["policy"]["digest"]


def _forged(body: dict[str, Any]) -> None:
    body["also"]["measurements"][0]["value"] = 0.1
    body["also"]["measurements"][0]["interval"] = {"low": 0.1, "high": 0.1, "level": 0.95, "method": "DeLong"}


@pytest.fixture
def merged(project: Project) -> Project:
    """A champion, and a merge whose second parent loosened the policy, so that its first parent has the older one."""
    project.champion("one", first=True)
    git(project.root, "checkout", "-q", "-b", "change")
    project.commit("loosened", minimum="0.5")
    git(project.root, "checkout", "-q", "main")
    git(project.root, "merge", "-q", "--no-ff", "-m", "merge", "change")
    git(project.root, "push", "-q", "origin", "main")
    return project


def test_a_merge_that_loosens_its_limits_is_judged_by_the_older_ones_too(merged: Project) -> None:
    """0.6 passes by the merged policy (0.5), and not by the first parent's (0.7)."""
    folder = merged.judge(value=0.6)
    body = record.read(folder / "gate.json", "gate").body

    assert [j["outcome"] for j in body["judgements"]] == ["pass", "pass"]
    assert (body["decision"], body["also"]["decision"]) == ("refuse", "refuse")
    with pytest.raises(Refused, match="not to promote"):
        merged.promote()


def test_a_merge_that_changes_its_limits_promotes_what_passes_by_both(merged: Project) -> None:
    merged.judge(value=0.8)

    assert merged.promote().state == "done"


@pytest.mark.parametrize("change", [_forget, _of_another_commit, _loosened, _forged])
def test_a_verdict_that_leaves_out_the_first_parents_policy_promotes_nothing(merged: Project, change: Any) -> None:
    """Missing, of another commit, by another policy, or not what its own measurements give."""
    folder = merged.judge(value=0.8)
    alter(folder / "gate.json", "gate", change)

    with pytest.raises(Refused, match=r"first parent|another verdict"):
        merged.promote()
    assert len(merged.ledger.read().promotions) == 1


def test_a_verdict_by_both_is_not_believed_where_the_policies_are_the_same(project: Project) -> None:
    project.champion("one", first=True)
    project.commit("two")
    folder = project.judge()
    alter(folder / "gate.json", "gate", lambda body: body.update(also={**body, "commit": body["commit"], "digest": ""}))

    with pytest.raises(Refused, match="does not rule"):
        project.promote()


def test_in_a_shallow_clone_nothing_says_that_the_policy_is_the_same(merged: Project, tmp_path: Path) -> None:
    """git shows a commit at the edge as one without parents; its object names them."""
    shallow = Repository(merged.clone("shallow", "--depth=1"))
    config = merged.config

    with pytest.raises(Refused, match="--unshallow"):
        of_first_parent(shallow, shallow.commit(), config)


def test_edited_code_of_gates_and_tests_is_another_policy(project: Project) -> None:
    """The file itself, what lies beside it, and what sets it up; not what nobody's gate imports."""
    project.commit("one")
    config = project.root / "model-configs" / "credit.yaml"
    gates = "\ngates:\n  user: {mine: {file: gates/mine.py}}\n  behaviour: {tests: [tests/behaviour]}"
    config.write_text(config.read_text().replace("\ngates:", gates))
    found = [
        _changes_of_an_edit(project, path)
        for path in ("gates/mine.py", "gates/helper.py", "tests/behaviour/rows.json", "tests/conftest.py", "other.py")
    ]

    assert found[1:] == [
        ('"gates/helper.py": changed',),
        ('"tests/behaviour/rows.json": changed',),
        ('"tests/conftest.py": changed',),
        None,
    ]


def _changes_of_an_edit(project: Project, path: str) -> tuple[str, ...] | None:
    (project.root / path).parent.mkdir(parents=True, exist_ok=True)
    (project.root / path).write_text("1")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-q", "-m", path)
    repository = Repository(project.root)
    found = of_first_parent(repository, repository.commit(), project.config)
    return None if found is None else found.changes


def test_a_champion_out_of_reach_promotes_nothing(project: Project) -> None:
    """Such a verdict is for a fork's pull request; here even a right chain of digests does not help."""
    project.commit("one")
    folder = project.judge()
    alter(folder / "score.json", "score", lambda body: body.update(champion={"state": "no-access"}))
    scored = record.read(folder / "score.json", "score")
    gate = record.read(folder / "gate.json", "gate")
    record.write(
        record.Record(schema="gate", version=1, inputs={**gate.inputs, "score": scored.digest}, body=gate.body),
        folder / "gate.json",
    )

    with pytest.raises(Refused, match="out of reach"):
        project.promote(first=True)


def test_a_promotion_of_another_commit_than_the_call_names_is_refused(project: Project) -> None:
    commit = project.commit("one")
    project.judge()

    with pytest.raises(Refused, match="was judged, not"):
        project.promote(first=True, commit=commit[::-1])
    assert project.promote(first=True, commit=commit).state == "done"
