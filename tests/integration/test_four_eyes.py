"""Four eyes, and the deployment that GitHub is told of: real git, ledger and MLflow; GitHub's answers are made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from passmuster import four_eyes
from passmuster._git import Repository
from passmuster.errors import Refused, Unavailable, UsageError
from passmuster.github.facts import Approval, Commit
from passmuster.progress import Silent
from passmuster.rollback import rollback
from support.promotion import Project, alter, clones, git, project

__all__ = ["clones", "project"]

#: Mail addresses that GitHub knows, and whose they are.
ACCOUNTS = {"ada@example.org": "ada", "eve@example.org": "eve", "bob@example.org": "bob"}


@dataclass
class FakeGitHub:
    """What is asked of GitHub, answered from what a test says; a call named in `broken` fails."""

    root: Path
    approvers: tuple[str, ...] = ("bob",)
    state: str = "approved"
    environment: str = "production"
    broken: set[str] = field(default_factory=set)
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def approvals(self, run_id: int) -> list[Approval]:
        assert run_id == 7
        return [Approval(state=self.state, login=one, environments=(self.environment,)) for one in self.approvers]

    def commit(self, sha: str) -> Commit:
        address = git(self.root, "log", "-1", "--format=%ae", sha)
        return Commit(sha=sha, parents=(), author_login=ACCOUNTS.get(address.lower()))

    def create_deployment(
        self, sha: str, environment: str, *, task: str, payload: Mapping[str, Any], description: str = ""
    ) -> int:
        self._maybe("create")
        self.told.append(("created", sha, environment, task))
        return 5

    def set_deployment_status(self, deployment_id: int, state: str, *, description: str = "") -> None:
        self._maybe(state)
        self.told.append((state, deployment_id, description))

    def _maybe(self, call: str) -> None:
        if call in self.broken:
            raise Unavailable("GitHub did not answer")


@pytest.fixture
def github(project: Project, monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    """A run of Actions that Bob approved; the commits so far are Ada's."""
    for name, value in {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "ada"}.items():
        monkeypatch.setenv(name, value)
    return FakeGitHub(project.root)


def _written(project: Project, text: str, *, by: str = "ada", committer: str = "", also: str = "") -> str:
    """Commit something by somebody, on top of what there is."""
    message = text + (f"\n\nCo-authored-by: {also}" if also else "")
    (project.root / "notes.txt").write_text(text)
    git(project.root, "add", "-A")
    mail = committer or f"{by}@example.org"
    who = ("-c", f"user.email={mail}", "commit", "-q", f"--author={by} <{by}@example.org>", "-m", message)
    git(project.root, *who)
    return git(project.root, "rev-parse", "HEAD")


def _check(project: Project, github: FakeGitHub, since: str, **options: Any) -> str:
    repository = Repository(project.root)
    return four_eyes.check(repository, github, since=since, commit=repository.commit(), **options)  # type: ignore[arg-type]


HIDDEN = "12345+bob@users.noreply.github.com"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([{"by": "ada"}], ""),
        ([{"by": "bob"}], "wrote"),
        ([{"by": "bob"}, {"by": "ada"}], "wrote"),
        ([{"by": "ada", "also": "Bob <bob@example.org>"}], "wrote"),
        ([{"by": "ada", "also": "Bob <BOB@example.org>"}], "wrote"),
        ([{"by": "ada", "also": f"Somebody <{HIDDEN}>"}], "wrote"),
        ([{"by": "ada", "also": "Bob"}], "without an address"),
        ([{"by": "ada", "also": "Zoe <zoe@example.org>"}], "can't be told"),
        ([{"by": "zoe"}], "can't be told"),
        ([{"by": "ada", "committer": "noreply@github.com"}], ""),
        ([{"by": "ada", "committer": "bob@example.org"}], "wrote"),
        ([{"by": "ada", "committer": "ci@example.org"}], "can't be told"),
    ],
)
def test_who_approves_must_have_written_none_of_it(
    project: Project, github: FakeGitHub, written: list[dict[str, str]], said: str
) -> None:
    """Authors, co-authors and committers of every commit since the champion's count, GitHub itself does not."""
    project.commit("start")
    since = _written(project, "before", by="bob")
    for number, one in enumerate(written):
        _written(project, f"{number}", **one)

    if not said:
        assert _check(project, github, since) == "bob"
        return
    with pytest.raises(Refused, match=said):
        _check(project, github, since)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"approvers": ()}, "nobody approved"),
        ({"state": "rejected"}, "nobody approved"),
        ({"state": "pending"}, "nobody approved"),
        ({"environment": "preview"}, "nobody approved"),
        ({"approvers": ("ada",)}, "wrote"),
        ({"approvers": ("Ada",)}, "wrote"),
        ({"approvers": ("ada", "bob")}, ""),
    ],
)
def test_an_approval_counts_by_who_gave_it_and_for_what(
    project: Project, github: FakeGitHub, changes: dict[str, Any], said: str
) -> None:
    since = project.commit("start")
    _written(project, "more")
    for name, value in changes.items():
        setattr(github, name, value)

    if not said:
        assert _check(project, github, since, environment="production") == "bob"
        return
    with pytest.raises(Refused, match=said):
        _check(project, github, since, environment="production")


def test_outside_of_actions_and_in_a_shallow_clone_nobody_can_tell(
    project: Project, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit("start")
    shallow = Repository(project.clone("shallow", "--depth=1"))

    with pytest.raises(Refused, match="shallow"):
        four_eyes.check(shallow, github, since=None, commit=shallow.commit())  # type: ignore[arg-type]
    monkeypatch.delenv("GITHUB_ACTIONS")
    with pytest.raises(Refused, match="in GitHub Actions"):
        _check(project, github, project.commit("more"))


def _champion(project: Project, github: FakeGitHub) -> None:
    """A champion under a policy of four eyes."""
    config = project.root / "model-configs" / "credit.yaml"
    project.commit("start")
    config.write_text(config.read_text().replace("policy:\n", "policy:\n  four-eyes: true\n"))
    git(project.root, "commit", "-q", "-a", "-m", "four eyes")
    project.judge()
    project.promote(first=True, github=github)


def test_a_promotion_needs_another_person_where_the_policy_says_so(project: Project, github: FakeGitHub) -> None:
    """Also where the merge that is promoted takes the demand away: its first parent's policy rules too."""
    _champion(project, github)
    project.commit("without four eyes")
    project.judge()
    github.approvers = ("ada",)
    with pytest.raises(Refused, match="four-eyes"):
        project.promote(github=github)
    assert len(project.ledger.read().promotions) == 1

    github.approvers = ("bob",)
    assert project.promote(github=github).state == "done"


def test_a_rollback_needs_another_person_than_who_asks_for_it(project: Project, github: FakeGitHub) -> None:
    _champion(project, github)
    config = project.config
    _written(project, "second", by="eve")
    project.judge()
    project.promote(github=github)
    github.approvers = ("ada",)

    def back() -> Any:
        return rollback(project.root, config, reason="worse", github=github, progress=Silent())  # type: ignore[arg-type]

    with pytest.raises(Refused, match="four-eyes"):
        back()
    github.approvers = ("eve",)
    assert back().event.version == "v1"


def test_a_promotion_is_told_to_github_as_a_deployment(project: Project, github: FakeGitHub) -> None:
    commit = project.commit("start")
    project.judge()
    result = project.promote(first=True, github=github, deployment="production")

    assert result.state == "done"
    assert github.told == [
        ("created", commit, "production", "promote:credit"),
        ("in_progress", 5, ""),
        ("success", 5, result.said),
    ]


def test_a_refused_promotion_is_a_failed_deployment(project: Project, github: FakeGitHub) -> None:
    project.commit("start")
    folder = project.judge()
    alter(folder / "gate.json", "gate", lambda body: body.update(decision="refuse"))

    with pytest.raises(Refused):
        project.promote(first=True, github=github, deployment="production")
    assert [told[0] for told in github.told] == ["created", "in_progress", "failure"]


@pytest.mark.parametrize("broken", [{"create"}, {"success"}, {"create", "in_progress", "success"}])
def test_what_github_does_not_take_undoes_no_promotion_and_the_same_call_tells_it(
    project: Project, github: FakeGitHub, broken: set[str]
) -> None:
    project.commit("start")
    project.judge()
    github.broken = broken
    with pytest.raises(Unavailable, match="this stands"):
        project.promote(first=True, github=github, deployment="production")
    assert len(project.ledger.read().promotions) == 1
    project.consistent()

    github.broken = set()
    assert project.promote(github=github, deployment="production").state == "already"
    assert github.told[-1][0] == "success"


def test_a_dry_run_tells_github_nothing(project: Project, github: FakeGitHub) -> None:
    project.commit("start")
    project.judge()
    project.promote(first=True, github=github, deployment="production", dry_run=True)

    assert github.told == []


def test_without_a_repository_of_githubs_a_deployment_is_a_wrong_call(project: Project) -> None:
    project.commit("start")
    project.judge()

    with pytest.raises(UsageError, match="GITHUB_REPOSITORY"):
        project.promote(first=True, deployment="production")
    assert project.ledger.read().champion is None
