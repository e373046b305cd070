"""The fake GitHub is as strict as GitHub's own description, towards its clients and towards itself."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from support.github_description import Drift, description
from support.github_server import ALL, Answer, FakeGitHub, Repository, _Asked, serving

pytestmark = pytest.mark.network

SHA = "a" * 40
REMARK = {"path": "x", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "x"}
CHECK: dict[str, Any] = {"name": "n", "head_sha": SHA, "status": "completed", "conclusion": "success"}


@pytest.fixture
def fake() -> FakeGitHub:
    made = FakeGitHub()
    made.repository("octo/models").open_pull(3, SHA, SHA)
    return made


def ask(fake: FakeGitHub, method: str, path: str, body: object = None, token: str = "token", **query: str) -> Any:
    session = fake.session()()
    headers = {"Authorization": f"Bearer {token}"}
    return session.request(method, f"{fake.url}/repos/octo/models/{path}", json=body, params=query, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "why"),
    [
        ("POST", "check-runs", {**CHECK, "conclusion": "passed"}, {}, "'passed' is not one of"),
        ("POST", "check-runs", {**CHECK, "head_sha": 1}, {}, "1 is not of type 'string'"),
        ("POST", "check-runs", {"name": "n"}, {}, "'head_sha' is a required property"),
        ("POST", "check-runs", {**CHECK, "output": {"title": "x"}}, {}, "'summary' is a required property"),
        ("POST", "check-runs", {**CHECK, "sumary": "x"}, {}, "no field sumary"),
        (
            "POST",
            "check-runs",
            {**CHECK, "output": {"title": "x", "summary": "x", "annotations": [REMARK] * 51}},
            {},
            "output/annotations",
        ),
        (
            "POST",
            "check-runs",
            {**CHECK, "output": {"title": "x", "summary": "x", "annotations": [{**REMARK, "end_line": "1"}]}},
            {},
            "output/annotations/0/end_line",
        ),
        ("POST", "issues/3/comments", {"text": "x"}, {}, "'body' is a required property"),
        ("PATCH", "issues/comments/x", {"body": "x"}, {}, "'x'"),
        ("GET", "pulls", None, {"state": "merged"}, "'merged' is not one of"),
        ("GET", "pulls", None, {"per_pge": "1"}, "no parameter per_pge"),
        ("GET", "pull/3", None, {}, "Path not found"),
        ("PUT", "issues/3/comments", {"body": "x"}, {}, "PUT"),
    ],
)
def test_a_request_that_github_does_not_describe_is_refused(
    fake: FakeGitHub, method: str, path: str, body: object, query: dict[str, str], why: str
) -> None:
    answer = ask(fake, method, path, body, **query)

    assert answer.status_code == 422
    assert why in fake.refused[0]
    assert fake.repositories["octo/models"].checks == {}


def test_a_request_that_github_describes_is_taken(fake: FakeGitHub) -> None:
    output = {"title": "x", "summary": "x", "annotations": [REMARK] * 50}

    assert ask(fake, "POST", "check-runs", {**CHECK, "output": output}).status_code == 201
    assert fake.refused == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(status=418, data={}), "418"),
        (Answer(status=200, data={}), "200"),
        (Answer(status=201, data={"id": 1}), "'node_id' is a required property"),
        (Answer(status=201, data={"id": "1"}), "not of type 'integer'"),
        (Answer(status=503, data={"message": "x", "trace": "y"}), "basic error"),
    ],
)
def test_an_answer_that_github_does_not_describe_is_drift(
    fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, answer: Answer, why: str
) -> None:
    """Were the fake to answer what GitHub would not, clients would be tested against an invention."""
    monkeypatch.setattr(_Asked, "answer", lambda _: answer)

    with pytest.raises(Drift, match=why):
        ask(fake, "POST", "issues/3/comments", {"body": "x"})
    with pytest.raises(Drift):
        fake.check()


def test_drift_behind_http_fails_whoever_serves(fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Asked, "answer", lambda _: Answer(status=418, data={}))

    with pytest.raises(Drift), serving(fake) as url:
        told = requests.get(f"{url}/repos/octo/models/pulls", headers={"Authorization": "Bearer token"}, timeout=10)
        assert told.status_code == 500


def test_what_is_filled_in_holds_what_github_requires() -> None:
    known = {"id": 7, "user": {"login": "ada"}}
    filled = description().fill("issue-comment", known)

    assert filled["user"]["login"] == "ada"
    assert {"node_id", "html_url", "created_at"} <= filled.keys()


@pytest.mark.parametrize(
    ("token", "method", "path", "body", "status"),
    [
        ("unknown", "GET", "pulls", None, 401),
        ("reader", "GET", "pulls", None, 200),
        ("reader", "POST", "issues/3/comments", {"body": "x"}, 403),
        ("reader", "POST", "check-runs", CHECK, 403),
        ("token", "POST", "issues/4/comments", {"body": "x"}, 404),
    ],
)
def test_a_token_may_what_it_may(
    fake: FakeGitHub, token: str, method: str, path: str, body: object, status: int
) -> None:
    fake.tokens["reader"] = type(fake.tokens["token"])(login=None, permissions=dict.fromkeys(ALL, "read"))

    assert ask(fake, method, path, body, token).status_code == status


def test_a_comment_longer_than_github_takes_is_refused(fake: FakeGitHub) -> None:
    assert ask(fake, "POST", "issues/3/comments", {"body": "x" * 65_537}).status_code == 422
    assert ask(fake, "POST", "issues/3/comments", {"body": "x" * 65_536}).status_code == 201


def test_lists_come_in_pages(fake: FakeGitHub) -> None:
    repository: Repository = fake.repositories["octo/models"]
    for number in range(10, 15):
        repository.open_pull(number, SHA, SHA)
    first = ask(fake, "GET", "pulls", per_page="4")

    assert [pull["number"] for pull in first.json()] == [14, 13, 12, 11]
    assert first.links["next"]["url"].endswith("page=2")
