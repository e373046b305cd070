"""The client against the fake: what it reads, what it repeats, and what it never does twice."""

from __future__ import annotations

import dataclasses
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passmuster.errors import PassmusterError, Refused, Unavailable, UsageError
from passmuster.github.client import GitHub
from passmuster.github.facts import Approval, ReferencedWorkflow, Run
from passmuster.github.transport import MissingPermission, NotThere, Patience, Rejected
from support.github_server import ALL, FakeGitHub, Repository, serving
from support.posting import remark

pytestmark = pytest.mark.network

SHA = "a" * 40
NOW = 1_000_000.0


@dataclasses.dataclass
class World:
    """GitHub, one repository of it, and a client that does not sleep but notes how long it would."""

    fake: FakeGitHub
    repository: Repository
    waits: list[float]

    def client(self, token: str = "token", **patience: Any) -> GitHub:
        calm = Patience(sleep=self.waits.append, now=lambda: NOW, **patience)
        return GitHub("octo/models", token, base_url=self.fake.url, patience=calm, session=self.fake.session())

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path.split('/', 4)[-1]}" for request in self.fake.requests]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    fake = FakeGitHub()
    repository = fake.repository("octo/models", tmp_path)
    repository.open_pull(3, SHA, "c" * 40)
    yield World(fake=fake, repository=repository, waits=[])
    assert fake.refused == []
    fake.check()


@pytest.fixture
def commit(tmp_path: Path, world: World) -> str:
    """Return a commit of a real repository, with a second one below it."""
    (tmp_path / "model-configs").mkdir()
    (tmp_path / "model-configs" / "a b#c.yaml").write_text("name: x\n")
    (tmp_path / "large").write_bytes(b"x" * 1_100_000)
    (tmp_path / "link").symlink_to("large")
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"], ["commit", "-qm", "two", "--allow-empty"]):
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True)
    world.repository.logins["ada@example.org"] = "ada"
    return git(tmp_path, "rev-parse", "HEAD")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_run_its_workflows_and_its_approvals_are_read(world: World) -> None:
    called = "octo/models/.github/workflows/gate.yml@refs/heads/main"
    world.repository.start_run(7, SHA, attempt=2, referenced=[(called, "c" * 40)], head_repository="fork/models")
    world.repository.approve(7, "bob", "production")
    github = world.client()
    run = github.run(7)

    assert (run.attempt, run.head_sha, run.head_repository) == (2, SHA, "fork/models")
    assert run.path == ".github/workflows/pull-request.yml"
    assert github.referenced_workflows(7) == (ReferencedWorkflow(path=called, sha="c" * 40, ref=None),)
    assert github.approvals(7) == (Approval(state="approved", login="bob", environments=("production",)),)


def test_the_head_of_a_deleted_fork_is_in_no_repository(world: World) -> None:
    """GitHub answers null there, though its description of a run does not say so."""
    world.repository.start_run(7, SHA)
    run = world.client()._run(7)

    assert Run.read({**run, "head_repository": None}).head_repository is None


def test_pull_requests_are_found_by_their_head_forks_too_and_over_pages(world: World) -> None:
    world.fake.page = 2
    for number in range(10, 17):
        world.repository.open_pull(number, "b" * 40, "c" * 40)
    world.repository.open_pull(20, SHA, "c" * 40, head_repository="fork/models")
    world.repository.open_pull(21, SHA, "c" * 40, state="closed")

    assert {pull.number for pull in world.client().pull_requests_of(SHA)} == {3, 20}


def test_commits_files_and_folders_are_git_s(world: World, commit: str, tmp_path: Path) -> None:
    github = world.client()
    found = github.commit(commit)

    assert (found.sha, found.author_login) == (commit, "ada")
    assert found.parents == (git(tmp_path, "rev-parse", "HEAD^"),)
    assert github.contents("model-configs/a b#c.yaml", commit) == b"name: x\n"
    assert github.contents("model-configs/other.yaml", commit) is None
    assert github.tree_sha("model-configs", commit) == git(tmp_path, "rev-parse", "HEAD:model-configs")
    assert github.tree_sha("model-configs/a b#c.yaml", commit) == git(
        tmp_path, "rev-parse", "HEAD:model-configs/a b#c.yaml"
    )
    assert github.tree_sha("model-configs/a b#c.yaml/x", commit) is None
    assert github.tree_sha("other", commit) is None


@pytest.mark.parametrize("path", ["large", "link", "model-configs"])
def test_what_is_no_small_file_is_refused(world: World, commit: str, path: str) -> None:
    with pytest.raises(Refused, match="not a file of at most 1 MB"):
        world.client().contents(path, commit)


@pytest.mark.parametrize("path", ["../x", "a/../../../octo/other/contents/x", "a//b", "/a", "."])
def test_no_path_leaves_the_repository(world: World, path: str) -> None:
    with pytest.raises(UsageError):
        world.client().contents(path, "main")
    assert world.asked == []


@pytest.mark.parametrize("name", ["octo", "octo/models/x", "octo/..", "octo/mo dels", "octo/models?x", ""])
def test_a_repository_is_owner_and_name(name: str) -> None:
    with pytest.raises(UsageError, match="owner/name"):
        GitHub(name, None)


def test_a_token_is_sent_over_https_only() -> None:
    with pytest.raises(UsageError, match="HTTPS"):
        GitHub("octo/models", "token", base_url="http://github.example/api/v3")


def test_a_job_s_token_is_of_no_user(world: World) -> None:
    world.fake.token("personal", login="ada", **{name.replace("-", "_"): right for name, right in ALL.items()})

    assert world.client().me() is None
    assert world.client("personal").me() == "ada"


READS = pytest.mark.parametrize(
    ("fault", "waits"),
    [
        ({"status": 502}, [1]),
        ({"status": 500, "times": 3}, [1, 2, 4]),
        ({"reset": True}, [1]),
        ({"seconds": 99}, [1]),
        ({"raw": b"<html>a proxy</html>"}, [1]),
        ({"status": 429, "headers": {"retry-after": "7"}}, [7]),
        ({"status": 403, "headers": {"retry-after": "7"}}, [7]),
        ({"status": 503, "headers": {"retry-after": "Mon, 12 Jan 1970 13:46:50 GMT"}}, [10]),
        ({"status": 403, "headers": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000030"}}, [31]),
        ({"status": 403, "message": "You have exceeded a secondary rate limit.", "times": 2}, [60, 120]),
        ({"status": 429, "headers": {"retry-after": "soon"}}, [60]),
    ],
)


@READS
def test_a_call_is_repeated_when_github_says(world: World, fault: dict[str, Any], waits: list[float]) -> None:
    world.fake.plan(**fault)

    assert world.client().pull_request(3).number == 3
    assert world.waits == waits


@pytest.mark.parametrize(
    ("fault", "calls", "why"),
    [
        ({"status": 502}, 5, "5 times; run this again later"),
        ({"reset": True}, 5, "the connection broke"),
        ({"seconds": 99}, 5, "no answer in time"),
        ({"status": 429, "headers": {"retry-after": "3600"}}, 1, "asks to wait 3600 s"),
        ({"status": 403, "message": "API rate limit exceeded", "headers": {}}, 4, "asks to wait 480 s"),
    ],
)
def test_patience_ends(world: World, fault: dict[str, Any], calls: int, why: str) -> None:
    world.fake.plan(**fault, times=99)

    with pytest.raises(Unavailable, match=why):
        world.client().pull_request(3)
    assert len(world.asked) == calls


@pytest.mark.parametrize(
    ("call", "permission"),
    [
        (lambda github: github.create_comment(3, "x"), "pull-requests: write"),
        (lambda github: check(github), "checks: write"),
        (lambda github: github.create_deployment(SHA, "production", task="x", payload={}), "deployments: write"),
        (lambda github: github.artifacts(7), "actions: read"),
        (lambda github: github.commit(SHA), "contents: read"),
    ],
)
def test_a_missing_permission_is_named_and_not_asked_for_again(world: World, call: Any, permission: str) -> None:
    world.fake.token("nobody")

    with pytest.raises(MissingPermission, match=f"needs the permission `{permission}`"):
        call(world.client("nobody"))
    assert len(world.asked) == 1
    assert world.waits == []


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda github: github.run(99), NotThere),
        (lambda github: github.create_comment(99, "x"), NotThere),
        (lambda github: github.create_comment(3, "x" * 70_000), Rejected),
        (lambda github: github.commit("0" * 40), Rejected),
    ],
)
def test_what_github_refuses_is_not_repeated(world: World, call: Any, error: type[PassmusterError]) -> None:
    with pytest.raises(error):
        call(world.client())
    assert len(world.asked) == 1


def test_a_wrong_token_says_so(world: World) -> None:
    with pytest.raises(MissingPermission, match="valid token as GITHUB_TOKEN"):
        world.client("stolen").run(7)


def check(github: GitHub, conclusion: str | None = "failure", remarks: int = 1) -> Any:
    return github.create_check_run(
        SHA,
        "n",
        external_id="e",
        title="t",
        summary="s",
        conclusion=conclusion,
        annotations=[remark(line) for line in range(1, remarks + 1)],
    )


def deploy(github: GitHub) -> int:
    return github.create_deployment(SHA, "production", task="promote:x", payload={"nonce": "1"})


LOST = [{"reset": True}, {"status": 502}, {"seconds": 99}]


@pytest.mark.parametrize("after", [True, False], ids=["took effect", "took none"])
@pytest.mark.parametrize("fault", LOST, ids=["reset", "502", "late"])
@pytest.mark.parametrize("what", ["comments", "checks", "deployments"])
def test_what_may_have_been_made_is_looked_for_before_it_is_made_again(
    world: World, what: str, fault: dict[str, Any], after: bool
) -> None:
    world.fake.plan(method="POST", after=after, **fault)
    make = {"comments": lambda github: github.create_comment(3, "x"), "checks": check, "deployments": deploy}[what]
    made = make(world.client())

    assert list(getattr(world.repository, what)) == [made if isinstance(made, int) else made.id]
    assert [call.split()[0] for call in world.asked] == (["POST", "GET"] if after else ["POST", "GET", "POST"])


def test_a_rate_limit_took_no_effect_so_nobody_looks(world: World) -> None:
    world.fake.plan(method="POST", status=403, headers={"retry-after": "2"})
    world.client().create_comment(3, "x")

    assert [call.split()[0] for call in world.asked] == ["POST", "POST"]


@pytest.mark.parametrize("after", [True, False], ids=["took effect", "took none"])
def test_annotations_are_added_once(world: World, after: bool) -> None:
    github = world.client()
    made = check(github, conclusion=None, remarks=50)
    world.fake.plan(method="PATCH", reset=True, after=after)
    done = github.update_check_run(made, title="t", summary="s", conclusion="success", annotations=[remark(51)])

    assert [one["start_line"] for one in world.repository.remarks[made.id]] == list(range(1, 52))
    assert (done.status, done.conclusion, done.annotations) == ("completed", "success", 51)


@pytest.mark.parametrize("after", [True, False], ids=["took effect", "took none"])
def test_a_deployment_s_status_is_set_once(world: World, after: bool) -> None:
    github = world.client()
    ident = deploy(github)
    github.set_deployment_status(ident, "in_progress", description="x")
    world.fake.plan(method="POST", reset=True, after=after)
    github.set_deployment_status(ident, "success", description="x")

    assert [one["state"] for one in world.repository.statuses[ident]] == ["success", "in_progress"]


def test_another_deployment_of_the_same_commit_is_another(world: World) -> None:
    github = world.client()
    first = deploy(github)
    world.fake.plan(method="POST", reset=True)

    assert github.create_deployment(SHA, "production", task="promote:x", payload={"nonce": "2"}) != first


def test_a_comment_that_is_gone_needs_no_deleting(world: World) -> None:
    world.client().delete_comment(99)

    assert world.asked == ["DELETE issues/comments/99"]


def test_a_list_that_moves_while_it_is_read_gives_each_item_once(world: World) -> None:
    world.fake.page = 2
    github = world.client()
    made = [github.create_comment(3, f"number {number}").id for number in range(5)]
    world.fake.plan(method="GET", path="comments", status=502)  # the second page is asked for twice
    world.repository.comments = {99: {**world.repository.comments[made[0]], "id": 99}, **world.repository.comments}

    assert [one.id for one in github.comments(3)] == [*made, 99]


def test_the_next_page_is_never_asked_for_elsewhere(world: World) -> None:
    elsewhere = '<https://storage.example/repos/octo/models/pulls?page=2>; rel="next"'
    world.fake.plan(raw=b"[]", headers={"Link": elsewhere, "Content-Type": "application/json"})

    with pytest.raises(Unavailable, match="another address"):
        world.client().pull_requests_of(SHA)


@pytest.mark.parametrize("raw", [b"[]", b"{}", b"null", b'"x"', b'{"number": {}}'])
def test_an_answer_of_another_form_is_no_fact(world: World, raw: bytes) -> None:
    world.fake.plan(raw=raw)

    with pytest.raises(Unavailable, match="another form"):
        world.client().pull_request(3)


def test_an_artifact_is_had_without_the_token_s_leaving(world: World) -> None:
    """The storage of the fake refuses whoever sends it a token, as GitHub's does."""
    ident = world.repository.upload(7, "passmuster-records-x", {"records.tar": b"x" * 5000})
    github = world.client()
    found = github.artifacts(7)

    assert [(one.id, one.name, one.size) for one in found] == [
        (ident, "passmuster-records-x", len(world.repository.files[ident]))
    ]
    assert github.artifact(ident, 10_000) == world.repository.files[ident]
    assert "authorization" not in world.fake.requests[-1].headers
    assert world.fake.refused == []


def test_an_artifact_is_signed_for_anew_when_the_storage_fails(world: World) -> None:
    ident = world.repository.upload(7, "x", b"data")
    world.fake.plan(path="_storage", reset=True)
    world.fake.plan(path="_storage", status=503)

    assert world.client().artifact(ident, 10) == b"data"
    assert [path for path in world.asked if path.endswith("zip")] == [f"GET actions/artifacts/{ident}/zip"] * 3


def test_a_storage_that_stays_broken_is_told_without_its_signed_address(world: World) -> None:
    ident = world.repository.upload(7, "x", b"data")
    world.fake.plan(path="_storage", status=503, times=99)

    with pytest.raises(Unavailable, match="storage") as raised:
        world.client().artifact(ident, 10)
    assert "secret" not in str(raised.value)


def test_an_artifact_that_is_longer_or_gone_is_refused(world: World) -> None:
    long, gone = world.repository.upload(7, "x", b"x" * 11), world.repository.upload(7, "y", b"", expired=True)

    with pytest.raises(Refused, match="more than the 10 bytes"):
        world.client().artifact(long, 10)
    with pytest.raises(NotThere):
        world.client().artifact(gone, 10)


def test_an_answer_that_trickles_is_given_up(world: World) -> None:
    with pytest.raises(Unavailable, match="too slowly"):
        world.client(whole=-1.0).pull_request(3)


def test_behind_http_it_is_the_same(world: World, commit: str) -> None:
    """The other tests speak to the fake without a socket; this one goes the whole way."""
    ident = world.repository.upload(7, "x", b"data")
    with serving(world.fake) as url:
        github = GitHub("octo/models", "token", base_url=url, patience=Patience(sleep=world.waits.append, read=0.2))
        world.fake.plan(method="POST", reset=True, after=True)
        world.fake.plan(path="pulls/3", seconds=0.5)

        assert github.create_comment(3, "x").id == 1
        assert github.pull_request(3).number == 3
        assert github.artifact(ident, 10) == b"data"
        assert github.contents("model-configs/a b#c.yaml", commit) == b"name: x\n"
        assert github.delete_comment(1) is None
    assert world.waits == [1, 1]


def test_a_download_without_an_end_is_cut_at_the_limit() -> None:
    """A body that never ends, with no length said, is read no further than the cap."""
    sent: list[int] = []

    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/zip"):
                self.send_response(302)
                self.send_header("Location", f"{url}/endless")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            try:
                while sum(sent) < 10**9:
                    sent.append(self.wfile.write(b"\0" * 2**20))
            except OSError:
                return

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(Refused, match="more than the 1,000,000 bytes"):
            GitHub("octo/models", "token", base_url=url).artifact(1, 1_000_000)
        server.shutdown()
    assert sum(sent) < 10**8
