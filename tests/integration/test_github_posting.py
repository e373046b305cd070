"""One comment, a check run and the job's summary: whatever came before, and whatever the token may."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from passmuster.errors import ExitCode, Unavailable
from passmuster.github import actions
from passmuster.github.client import GitHub
from passmuster.github.transport import Patience
from passmuster.posting import CHECK, Posted, Texts, post, publish, revision_of
from passmuster.pull_request import Posting, Revision
from support.github_server import ALL, BOT, FakeGitHub, Repository
from support.posting import report, target

pytestmark = pytest.mark.network

HEAD = "a" * 40
OLDER, OWN, NEWER = (Revision(run_id=run, attempt=1, head=HEAD) for run in (70, 71, 82))


@dataclass
class World:
    """GitHub with one pull request, and the running job's summary."""

    fake: FakeGitHub
    repository: Repository
    summary: Path

    def client(self, token: str = "token") -> GitHub:
        patience = Patience(sleep=lambda _: None)
        return GitHub("octo/models", token, base_url=self.fake.url, patience=patience, session=self.fake.session())

    def publish(self, revision: Revision, texts: Texts | None = None, token: str = "token") -> Posted:
        return publish(self.client(token), target(revision.head), revision, texts or report(revision))

    def comment(self, text: str, author: str = BOT) -> int:
        ident = next(self.fake._ids)
        self.repository.comments[ident] = {"id": ident, "number": 3, "user": {"login": author, "id": 1}, "body": text}
        return ident

    @property
    def bodies(self) -> dict[int, str]:
        return {ident: one["body"] for ident, one in self.repository.comments.items()}

    def calls(self, *methods: str) -> list[str]:
        return [f"{asked.method} {asked.path[20:]}" for asked in self.fake.requests if asked.method in methods]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setattr(actions, "_remarks", Counter())
    fake = FakeGitHub()
    repository = fake.repository("octo/models")
    repository.open_pull(3, HEAD, "c" * 40)
    for revision in (OLDER, OWN, NEWER):
        repository.start_run(revision.run_id, HEAD)
    yield World(fake=fake, repository=repository, summary=tmp_path / "summary.md")
    assert fake.refused == []
    fake.check()


def marker(run: int, attempt: int = 1, head: str = HEAD) -> str:
    return f"<!-- passmuster: run={run} attempt={attempt} head={head} -->"


def test_the_first_report_makes_a_comment_a_check_run_and_a_summary(world: World) -> None:
    posted = world.publish(NEWER, report(NEWER, remarks=2))
    (comment,) = world.repository.comments.values()
    (check,) = world.repository.checks.values()

    assert posted == Posted(comment=comment["id"], check_run=check["id"])
    assert comment["body"].startswith(f"{marker(82)}\nreport of 82.1")
    assert (check["name"], check["head_sha"], check["conclusion"]) == (CHECK, HEAD, "failure")
    assert check["output"]["title"] == "title of 82.1"
    assert len(world.repository.remarks[check["id"]]) == 2
    assert world.summary.read_text() == "summary: report of 82.1\n\n"


def test_the_next_report_edits_the_same_comment_and_remembers(world: World) -> None:
    first = world.publish(OWN).comment
    second = world.publish(NEWER).comment

    assert first == second
    assert list(world.bodies.values()) == [f"{marker(82)}\nreport of 82.1\nbefore: report of 71.1"]
    assert world.calls("DELETE") == []


@pytest.mark.parametrize("times", [1, 2])
def test_an_older_run_that_comes_late_overwrites_nothing(world: World, times: int) -> None:
    world.publish(NEWER)
    before = (world.bodies, {ident: dict(one) for ident, one in world.repository.checks.items()})
    for _ in range(times):
        assert world.publish(OWN) == Posted(comment=None, check_run=None)

    assert (world.bodies, world.repository.checks) == before


def test_an_earlier_attempt_is_older_than_a_later_one(world: World) -> None:
    world.repository.start_run(71, HEAD, attempt=2)
    world.publish(replace(OWN, attempt=2))
    world.publish(OWN)

    assert [revision_of(body) for body in world.bodies.values()] == [replace(OWN, attempt=2)]


def test_the_same_run_posted_twice_leaves_one_of_each(world: World) -> None:
    texts = report(OWN, remarks=60)
    first, second = world.publish(OWN, texts), world.publish(OWN, texts)

    assert first == second
    assert len(world.bodies) == len(world.repository.checks) == 1
    assert len(world.repository.remarks[first.check_run or 0]) == 60


def test_the_same_run_posted_again_with_another_text_is_what_stands(world: World) -> None:
    world.publish(OWN)
    world.publish(OWN, report(OWN, text="mended"))

    assert [body.splitlines()[1] for body in world.bodies.values()] == ["report of 71.1 mended"]


@pytest.mark.parametrize("author", ["mallory", "passmuster", "github-actions"])
def test_a_stranger_s_comment_is_neither_believed_nor_touched(world: World, author: str) -> None:
    text = f"{marker(10**17)}\nall is well"
    forged = world.comment(text, author)
    posted = world.publish(OWN)

    assert world.bodies[forged] == text
    assert posted.comment not in (None, forged)


@pytest.mark.parametrize(
    ("claimed", "known"),
    [
        (marker(10**17), {}),
        (marker(82, attempt=9), {}),
        (marker(82, head="b" * 40), {}),
        (marker(90), {"path": ".github/workflows/other.yml"}),
    ],
    ids=["no such run", "no such attempt", "another commit", "another workflow"],
)
def test_a_newer_run_that_github_does_not_know_is_not_believed(
    world: World, claimed: str, known: dict[str, str]
) -> None:
    """A workflow that the pull request brings may comment as the same author, and would silence us for good."""
    world.repository.start_run(90, HEAD, **known)
    forged = world.comment(f"{claimed}\nall is well")
    world.repository.checks[500] = forged_check("passmuster:100000000000000000:1")
    posted = world.publish(OWN)

    assert posted.comment == forged
    assert "report of 71.1" in world.bodies[forged]
    assert posted.check_run is not None


def forged_check(external_id: str) -> dict[str, Any]:
    output = {"title": "ok", "summary": "ok", "text": None, "annotations_count": 0}
    known = {"id": 500, "name": CHECK, "head_sha": HEAD, "external_id": external_id, "output": output}
    return {**known, "status": "completed", "conclusion": "success", "app": {"slug": "github-actions"}}


def test_a_user_s_token_comments_as_the_user_and_makes_no_check_run(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.publish(OWN)
    world.fake.token("personal", login="ada", pull_requests="write", actions="read")
    for _ in range(2):
        posted = world.publish(NEWER, token="personal")

    assert [one["user"]["login"] for one in world.repository.comments.values()] == [BOT, "ada"]
    assert posted.check_run is None
    assert len(world.repository.checks) == 1
    assert "GitHub lets apps do that" in capsys.readouterr().err


def test_an_app_s_own_comments_are_found_again_although_it_has_no_login(world: World) -> None:
    """The API does not tell an app who it is; the comment that it makes does, and the older one is kept."""
    app = "our-reports[bot]"
    first = world.comment(f"{marker(60)}\nold", app)
    world.fake.bots["token"] = app
    posted = world.publish(OWN)

    assert posted.comment == first
    assert list(world.bodies) == [first]


def test_two_comments_become_the_older_one_with_the_newest_report(world: World) -> None:
    first = world.comment(f"{marker(60)}\nold")
    second = world.comment(f"{marker(82)}\nnewest")
    world.publish(OWN)

    assert world.bodies == {first: f"{marker(82)}\nnewest"}
    assert second not in world.bodies


def test_a_report_for_a_commit_that_is_no_longer_the_head_makes_no_comment(world: World) -> None:
    world.repository.open_pull(3, "b" * 40, "c" * 40)
    posted = world.publish(OWN)

    assert world.bodies == {}
    assert (posted.comment, posted.check_run is None) == (None, False)


def test_a_comment_that_somebody_deletes_meanwhile_is_made_anew(world: World) -> None:
    ident = world.comment(f"{marker(60)}\nold")

    def deleting(asked: Any) -> None:
        if asked.method == "PATCH":
            world.repository.comments.pop(ident, None)

    patience = Patience(sleep=lambda _: None)
    github = GitHub(
        "octo/models", "token", base_url=world.fake.url, patience=patience, session=world.fake.session(deleting)
    )
    posted = publish(github, target(HEAD), OWN, report(OWN))

    assert list(world.bodies) == [posted.comment] != [ident]


def test_many_annotations_go_in_parts_and_the_verdict_with_the_last(world: World) -> None:
    said: list[tuple[int, str]] = []
    session = world.fake.session(lambda asked: said.append(sent(asked)) if "check-runs" in asked.path else None)
    github = GitHub("octo/models", "token", base_url=world.fake.url, session=session)
    publish(github, target(HEAD), OWN, report(OWN, remarks=120))
    (remarks,) = world.repository.remarks.values()

    assert [one for one in said if one[0]] == [(50, "in_progress"), (50, "in_progress"), (20, "completed")]
    assert [one["start_line"] for one in remarks] == list(range(1, 121))


def sent(asked: Any) -> tuple[int, str]:
    body = json.loads(asked.body or b"{}")
    return len(body.get("output", {}).get("annotations", [])), body.get("status", "")


def test_a_reporter_that_died_between_two_parts_is_finished_by_the_next(world: World) -> None:
    world.fake.plan(method="PATCH", path="check-runs", status=502, times=99)
    with pytest.raises(Unavailable):
        world.publish(OWN, report(OWN, remarks=60))
    (pending,) = world.repository.checks.values()

    assert (pending["status"], pending["conclusion"]) == ("in_progress", None)

    world.fake.faults.clear()
    world.publish(OWN, report(OWN, remarks=60))
    (remarks,) = world.repository.remarks.values()

    assert [one["start_line"] for one in remarks] == list(range(1, 61))
    assert pending["conclusion"] == "success"


def test_a_read_only_token_leaves_the_report_in_the_summary_and_names_what_is_missing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.fake.token("reader", **{name.replace("-", "_"): "read" for name in ALL})

    with pytest.raises(Unavailable) as raised:
        world.publish(OWN, report(OWN, remarks=1), token="reader")
    assert raised.value.code == ExitCode.UNAVAILABLE
    assert "`checks: write`" in str(raised.value)
    assert "`pull-requests: write`" in str(raised.value)
    assert world.summary.read_text() == "summary: report of 71.1\n\n"
    assert "::warning file=params.yaml,line=1,title=a limit::changed" in capsys.readouterr().err


def test_a_token_that_may_read_nothing_is_told_so(world: World) -> None:
    world.fake.token("nobody")

    with pytest.raises(Unavailable, match="`checks: read`"):
        world.publish(OWN, token="nobody")
    assert world.summary.exists()


def test_what_may_be_posted_is_posted_although_the_job_fails(world: World) -> None:
    world.fake.token("half", checks="write", pull_requests="read", actions="read")

    with pytest.raises(Unavailable, match="pull-requests: write"):
        world.publish(OWN, token="half")
    assert world.bodies == {}
    assert [check["conclusion"] for check in world.repository.checks.values()] == ["success"]


def test_without_the_right_to_checks_the_comment_still_stands(world: World) -> None:
    world.fake.token("half", pull_requests="write", actions="read")

    with pytest.raises(Unavailable, match="checks: "):
        world.publish(OWN, token="half")
    assert [revision_of(body) for body in world.bodies.values()] == [OWN]


@pytest.mark.parametrize(
    "fault", [{"status": 502}, {"reset": True}, {"status": 429, "headers": {"retry-after": "9999"}}]
)
def test_a_report_that_can_t_be_posted_fails_and_is_in_the_summary(world: World, fault: dict[str, Any]) -> None:
    world.fake.plan(**fault, times=999)

    with pytest.raises(Unavailable, match="the report could not be posted"):
        world.publish(OWN)
    assert world.summary.read_text() == "summary: report of 71.1\n\n"


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "POST", "path": "comments", "reset": True, "after": True},
        {"method": "POST", "path": "check-runs", "status": 502, "after": True},
        {"method": "POST", "path": "comments", "status": 403, "headers": {"retry-after": "1"}},
        {"method": "GET", "seconds": 99, "times": 3},
        {"method": "POST", "path": "check-runs", "status": 429, "message": "You have exceeded a secondary rate limit"},
    ],
)
def test_a_passing_failure_leaves_one_of_each(world: World, fault: dict[str, Any]) -> None:
    world.fake.plan(**fault)
    world.publish(OWN)

    assert len(world.bodies) == len(world.repository.checks) == 1


def test_a_dry_run_prints_and_sends_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    posted = publish(world.client(), target(HEAD), OWN, report(OWN), dry_run=True)

    assert posted == Posted(comment=None, check_run=None)
    told = capsys.readouterr()
    assert told.out == f"{marker(71)}\nreport of 71.1\n\n"
    assert told.err == "passmuster / verdict: success, title of 71.1; 0 annotations\n"
    assert world.fake.requests == []
    assert not world.summary.exists()


def test_without_a_pull_request_there_is_the_summary_alone(world: World) -> None:
    publish(world.client(), None, OWN, report(OWN))

    assert world.fake.requests == []
    assert world.summary.read_text() == "summary: report of 71.1\n\n"


def test_a_text_that_is_too_long_is_cut_and_posted(world: World) -> None:
    world.publish(OWN, report(OWN, text="😀\n" * 50_000))
    (body,) = world.bodies.values()
    (check,) = world.repository.checks.values()

    assert len(body.encode("utf-16-le")) // 2 <= 60_000
    assert len(check["output"]["summary"].encode()) <= 65_535
    assert revision_of(body) == OWN


def test_a_posting_goes_the_whole_way_with_the_words_of_the_report(world: World) -> None:
    """The real renderer: a model that the base does not know needs a person; the next run remembers the first."""
    said = {"pull_request": target(HEAD), "revision": OWN, "models": (), "unknown": ("new-model",)}
    post(world.client(), Posting(**said, missing={"x": "@team <b>died</b>"}))
    first = next(iter(world.bodies.values()))
    world.repository.open_pull(3, "b" * 40, "c" * 40)
    world.repository.start_run(82, "b" * 40)
    later = replace(NEWER, head="b" * 40)
    post(world.client(), Posting(**{**said, "pull_request": target(later.head), "revision": later}))
    second = next(iter(world.bodies.values()))
    conclusions = [check["conclusion"] for check in world.repository.checks.values()]

    assert "new-model" in first
    assert "<b>" not in first and "@team" not in first
    assert "aaaaaaaaaa" in second
    assert conclusions == ["failure", "action_required"]
