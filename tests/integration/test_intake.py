"""What reviewers are told of a run: believed as far as GitHub, git, the ledger and the base's policy say it too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from passmuster.errors import Refused
from passmuster.github.facts import Commit, ReferencedWorkflow
from passmuster.intake import of_records, take
from passmuster.progress import Silent
from passmuster.pull_request import Conclusion, Posting
from passmuster.report import _pull_request as report
from support.api import CALLER, PINNED, REPOSITORY, Api, zipped
from support.promotion import Project, alter, clones, git
from support.pull_requests import PullRequest, promoted, pull_request

__all__ = ["clones"]

REMOTE = f"tools/muster/.github/workflows/gate.yml@{PINNED}"
LOCAL = "./.github/workflows/gate.yml"


def caller(uses: str = REMOTE, more: str = "") -> str:
    return f"on: pull_request\njobs:\n  gate:\n    uses: {uses}\n{more}"


def workflows(root: Path, uses: str = REMOTE) -> None:
    """Commit the base's workflows with what is committed next."""
    folder = root / ".github" / "workflows"
    folder.mkdir(parents=True, exist_ok=True)
    (root / CALLER).write_text(caller(uses))
    (folder / "gate.yml").write_text("on: workflow_call\n")
    (root / ".github" / "actions" / "setup").mkdir(parents=True, exist_ok=True)
    (root / ".github" / "actions" / "setup" / "action.yml").write_text("name: setup\n")


def opened(
    clones: Project, change: Callable[[Path], None] | None = None, uses: str = REMOTE, **evidence: float
) -> tuple[PullRequest, Api]:
    """A pull request against a champion, judged, and GitHub after its run."""
    workflows(clones.root, uses)
    clones.commit("one")
    champion = promoted(clones)
    pr = pull_request(clones, change)
    pr.judge(champion=champion, **evidence)
    return pr, after(pr)


def after(pr: PullRequest) -> Api:
    """GitHub after the run, with the records as they are now."""
    api = Api.of(pr.root, pr.head, pr.merge, pr.base)
    api.upload("passmuster-records-credit", zipped(("records-credit.tar", pr.pack().read_bytes())))
    return api


def taken(pr: PullRequest, api: Api, root: Path | None = None) -> Posting:
    return take(api, 77, root or pr.root, progress=Silent())


def test_a_run_that_passes_is_told_with_what_is_claimed_and_where_it_belongs(clones: Project) -> None:
    pr, api = opened(clones)

    found = taken(pr, api)

    assert (found.problems, found.missing, found.unknown) == ((), {}, ())
    assert report.conclusion(found) is Conclusion.SUCCESS
    assert found.pull_request is not None
    assert (found.pull_request.number, found.pull_request.head, found.pull_request.base) == (1, pr.head, pr.base)
    assert (found.revision.run_id, found.revision.attempt, found.revision.head) == (77, 1, pr.head)
    assert list(found.plan["models"]) == ["credit"]
    assert all(text in report.render(found) for text in ("Claimed, not verified", "the trained model and its answers"))


def test_a_clone_of_the_default_branch_is_enough_and_nothing_is_checked_out(clones: Project) -> None:
    """The merge commit comes as objects; the work tree stays the default branch's."""
    pr, api = opened(clones, lambda root: (root / "evil.py").write_text("evil"))
    fresh = clones.clone("fresh")
    git(fresh, "checkout", "-q", "main")

    found = taken(pr, api, fresh)

    assert report.conclusion(found) is Conclusion.SUCCESS
    assert not (fresh / "evil.py").exists()
    assert git(fresh, "status", "--porcelain") == ""


def test_of_an_artifact_that_a_second_attempt_made_again_the_newest_counts(clones: Project) -> None:
    pr, api = opened(clones)
    first = api.left[0]
    api.upload(first.name, api.archives[first.id])
    api.left = [api.left[1], replace(first, expired=True)]

    found = taken(pr, api)

    assert (found.problems, report.conclusion(found)) == ((), Conclusion.SUCCESS)


def test_a_verdict_that_fails_is_told_as_such(clones: Project) -> None:
    pr, api = opened(clones, value=0.5)
    api.told = replace(api.told, conclusion="failure")

    found = taken(pr, api)

    assert (found.problems, report.conclusion(found)) == ((), Conclusion.FAILURE)
    assert [model.code for model in found.models] == [11]


def test_a_fork_without_access_to_the_champion_is_judged_without_it(clones: Project) -> None:
    """The same records from a branch of this repository are a lie."""
    pr, _ = opened(clones)
    folder = pr.judge(champion=None)
    alter(folder / "score.json", "score", lambda body: body.update(champion={"state": "no-access"}))

    def excused(body: dict[str, object]) -> None:
        body.update(json.loads(json.dumps(body).replace("no-champion", "no access from a fork")))

    pr.forge("gate", excused)
    own, theirs = after(pr), after(pr)
    theirs.fork()

    assert report.conclusion(taken(pr, theirs)) is Conclusion.SUCCESS
    assert taken(pr, theirs).pull_request.fork  # type: ignore[union-attr]
    assert "from a fork alone" in taken(pr, own).missing["credit"]


def test_where_the_workflow_is_the_repositorys_own_it_must_be_the_bases(clones: Project) -> None:
    pr, api = opened(clones, uses=LOCAL)
    path = f"{REPOSITORY}/.github/workflows/gate.yml@refs/pull/1/merge"
    api.used = [ReferencedWorkflow(path=path, sha=pr.merge, ref="refs/pull/1/merge")]

    assert report.conclusion(taken(pr, api)) is Conclusion.SUCCESS


def a_change(path: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / path).write_text(text)

    return change


@pytest.mark.parametrize(
    "path", [".github/workflows/gate.yml", ".github/actions/setup/action.yml"], ids=["the gate", "an action of it"]
)
def test_an_edited_workflow_of_the_repositorys_own_proves_nothing(clones: Project, path: str) -> None:
    pr, api = opened(clones, a_change(path, "name: mine\n"), uses=LOCAL)
    used = f"{REPOSITORY}/.github/workflows/gate.yml@refs/pull/1/merge"
    api.used = [ReferencedWorkflow(path=used, sha=pr.merge, ref="refs/pull/1/merge")]

    found = taken(pr, api)

    assert "as the base names it" in found.problems[0]
    assert report.conclusion(found) is Conclusion.FAILURE


def uses(path: str, sha: str) -> Callable[[PullRequest, Api], object]:
    def change(pr: PullRequest, api: Api) -> None:
        api.used = [ReferencedWorkflow(path=path, sha=sha, ref=None)]

    return change


def two_uploads(pr: PullRequest, api: Api) -> None:
    api.upload("passmuster-records-other", zipped(("records-credit.tar", pr.pack().read_bytes())))


def evil_merge(pr: PullRequest, api: Api) -> None:
    """A commit of the pull request's author, with a base of their own."""
    git(pr.root, "checkout", "-q", "-b", "evil", pr.base)
    own = pr.project.commit("looser", minimum="0.1")
    git(pr.root, "merge", "-q", "-m", "evil", "-s", "ours", pr.head)
    merge = git(pr.root, "rev-parse", "HEAD")
    git(pr.root, "checkout", "-q", "main")
    git(pr.root, "push", "-q", "origin", "evil")
    for step in ("reproduce", "gate"):
        pr.forge(step, lambda body: body.update(commit=merge))
    pr.forge("gate", lambda body: body["policy"].update(commit=own))
    api.left.clear()
    api.upload("passmuster-records-credit", zipped(("r.tar", pr.pack().read_bytes())))


def nothing_left(pr: PullRequest, api: Api) -> None:
    api.left.clear()


def not_of_the_head(pr: PullRequest, api: Api) -> None:
    api.commits[pr.merge] = Commit(sha=pr.merge, parents=(pr.base, "b" * 40), author_login=None)


def expired(pr: PullRequest, api: Api) -> None:
    api.left[0] = replace(api.left[0], expired=True)


def another_file(pr: PullRequest, api: Api) -> None:
    api.left[0] = replace(api.left[0], digest="sha256:" + "0" * 64)


def cancelled(pr: PullRequest, api: Api) -> None:
    api.told = replace(api.told, conclusion="cancelled")


CANT_BE_BELIEVED: dict[str, tuple[Callable[[PullRequest, Api], object], str]] = {
    "another commit of the workflow": (uses(REMOTE, "2" * 40), "as the base names it"),
    "a workflow of another repository": (
        uses(f"mallory/muster/.github/workflows/gate.yml@{PINNED}", PINNED),
        "as the base names it",
    ),
    "no reusable workflow at all": (lambda pr, api: api.used.clear(), "as the base names it"),
    "one more workflow": (
        lambda pr, api: api.used.append(
            ReferencedWorkflow(path="mallory/x/.github/workflows/x.yml@m", sha="3", ref="m")
        ),
        "which the base does not name",
    ),
    "records of a commit that is no merge of the head": (not_of_the_head, "not a merge of this pull request"),
    "a base that the base branch never had": (evil_merge, "is not a commit of 'main'"),
    "a second artifact with the same model": (two_uploads, "more than one bundle"),
    "a run that was cancelled": (cancelled, "ended as 'cancelled'"),
    "an artifact that has expired": (expired, "has expired"),
    "an artifact that is not the one that was uploaded": (another_file, "not what was uploaded"),
}


@pytest.mark.parametrize(("change", "said"), CANT_BE_BELIEVED.values(), ids=CANT_BE_BELIEVED.keys())
def test_a_run_that_is_not_the_bases_judging_is_told_as_what_it_is(
    clones: Project, change: Callable[[PullRequest, Api], object], said: str
) -> None:
    pr, api = opened(clones)
    change(pr, api)

    found = taken(pr, api)

    assert said in "\n".join(found.problems)
    assert report.conclusion(found) is Conclusion.FAILURE


def test_a_run_that_left_nothing_has_judged_nothing(clones: Project) -> None:
    pr, api = opened(clones)
    nothing_left(pr, api)

    found = taken(pr, api)

    assert "no records" in found.missing["credit"]
    assert report.conclusion(found) is Conclusion.FAILURE


@pytest.mark.parametrize("why", ["closed", "of a fork", "pushed again"])
def test_nothing_is_posted_where_the_run_has_no_open_pull_request(clones: Project, why: str) -> None:
    pr, api = opened(clones)
    if why == "closed":
        api.pulls[0] = replace(api.pulls[0], state="closed")
    elif why == "of a fork":
        api.pulls[0] = replace(api.pulls[0], head_repository="mallory/models")
    else:
        api.pulls[0] = replace(api.pulls[0], head_sha="a" * 40)

    found = taken(pr, api)

    assert found.pull_request is None
    assert "nothing is posted" in found.problems[0]


def test_of_two_pull_requests_with_one_head_each_has_its_own_run(clones: Project) -> None:
    """Another repository's has the same commit; a second one of the same branch can't be told from it."""
    pr, api = opened(clones)
    other = replace(api.pulls[0], number=2, head_repository="mallory/models")
    api.pulls.append(other)
    one = taken(pr, api)
    api.pulls.append(replace(api.pulls[0], number=3, base_branch="release"))
    two = taken(pr, api)

    assert one.pull_request is not None and one.pull_request.number == 1
    assert two.pull_request is None and "several" in two.problems[0]


@pytest.mark.parametrize(
    ("facts", "said"),
    [({"event": "push"}, "not by a pull request"), ({"status": "in_progress"}, "has not ended")],
    ids=["another event", "still running"],
)
def test_a_run_that_has_nothing_to_tell_is_refused(clones: Project, facts: dict[str, str], said: str) -> None:
    pr, api = opened(clones)
    api.told = replace(api.told, **facts)  # type: ignore[arg-type]

    with pytest.raises(Refused, match=said):
        taken(pr, api)


def test_records_that_are_here_are_posted_to_the_pull_request_that_they_are_of(clones: Project) -> None:
    pr, api = opened(clones)

    found, named = of_records(api, pr.root, ["credit"], None), of_records(api, pr.root, ["credit"], 1)

    assert found == named
    assert found.pull_request is not None and found.pull_request.base == pr.base
    assert found.revision.run_id == 0 and found.claimed
    api.pulls[0] = replace(api.pulls[0], head_sha="a" * 40)
    with pytest.raises(Refused, match="head of #1"):
        of_records(api, pr.root, ["credit"], 1)
