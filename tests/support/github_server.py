"""A small GitHub: it keeps state, and every request and answer is held to GitHub's own description.

`FakeGitHub.handle` is the whole server, a function from request to answer. `serving` puts it behind HTTP on 127.0.0.1,
for programs; `FakeGitHub.session` behind `requests` without a socket, for tests that decide who speaks next.

Commits, files and trees are read from a real git repository. What others would do to a repository on GitHub is done by
methods of `Repository`. Faults are planned with `FakeGitHub.plan`.
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import re
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from support.github_description import BadRequest, Description, Drift, description, one_segment

BOT = "github-actions[bot]"
ALL = dict.fromkeys(("actions", "checks", "contents", "deployments", "pull-requests"), "write")
_LONGEST_BODY = 65_536
_STORAGE = "/_storage/"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked."""

    method: str
    path: str  #: as it was sent, quoted, without the query
    query: dict[str, str]
    headers: dict[str, str]  #: names in lower case
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said back."""

    status: int
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None  #: instead of JSON


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with the next calls that it is meant for."""

    method: str = ""  #: of any, where empty
    path: str = ""  #: a regular expression that is found in the path
    times: int = 1
    status: int | None = None  #: answers so
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "Something went wrong"
    after: bool = False  #: the call takes effect first
    reset: bool = False  #: the connection breaks
    seconds: float = 0.0  #: the answer is late
    raw: bytes | None = None  #: says this instead of JSON

    def meant_for(self, request: Request) -> bool:
        """Return whether this call is hit."""
        return self.times > 0 and self.method in ("", request.method) and bool(re.search(self.path, request.path))


@dataclass(frozen=True, kw_only=True)
class Token:
    """Who asks, and what they may."""

    login: str | None  #: None: a job's token
    permissions: Mapping[str, str]


class Broken(ConnectionResetError):
    """The connection breaks."""


class Late(TimeoutError):
    """The answer comes later than anyone waits."""


class Repository:
    """A repository and what people and runs did to it."""

    def __init__(self, name: str, git: Path | None) -> None:
        self.name = name
        self.git = git
        self.logins: dict[str, str] = {}  #: author's address → login
        self.pulls: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, dict[str, Any]] = {}  #: id → comment; `number` is the pull request's
        self.checks: dict[int, dict[str, Any]] = {}
        self.remarks: dict[int, list[dict[str, Any]]] = {}  #: a check run's annotations
        self.runs: dict[int, dict[str, Any]] = {}
        self.approvals: dict[int, list[dict[str, Any]]] = {}
        self.artifacts: dict[int, dict[str, Any]] = {}
        self.files: dict[int, bytes] = {}  #: an artifact's archive
        self.deployments: dict[int, dict[str, Any]] = {}
        self.statuses: dict[int, list[dict[str, Any]]] = {}  #: a deployment's, newest first

    def open_pull(
        self,
        number: int,
        head_sha: str,
        base_sha: str,
        *,
        head_repository: str = "",
        head_branch: str = "change",
        base_branch: str = "main",
        merge_sha: str | None = None,
        author: str = "ada",
        title: str = "A change",
        state: str = "open",
    ) -> None:
        """Open a pull request; `head_repository`: "" is this one."""
        where = head_repository or self.name
        self.pulls[number] = {
            "id": 1000 + number,
            "number": number,
            "state": state,
            "title": title,
            "user": user(author),
            "merge_commit_sha": merge_sha,
            "head": {"sha": head_sha, "ref": head_branch, "label": f"x:{head_branch}", "repo": repo(where)},
            "base": {"sha": base_sha, "ref": base_branch, "label": f"x:{base_branch}", "repo": repo(self.name)},
        }

    def start_run(
        self,
        run_id: int,
        head_sha: str,
        *,
        attempt: int = 1,
        event: str = "pull_request",
        path: str = ".github/workflows/pull-request.yml",
        referenced: Sequence[tuple[str, str]] = (),
        head_repository: str = "",
        head_branch: str | None = "change",
        conclusion: str | None = "success",
    ) -> None:
        """Let a workflow run; `referenced`: path and commit of the reusable workflows that it used."""
        where = head_repository or self.name
        self.runs[run_id] = {
            "id": run_id,
            "run_attempt": attempt,
            "event": event,
            "path": path,
            "status": "completed" if conclusion else "in_progress",
            "conclusion": conclusion,
            "head_sha": head_sha,
            "head_branch": head_branch,
            "repository": repo(self.name),
            "head_repository": repo(where),
            "referenced_workflows": [{"path": path, "sha": sha} for path, sha in referenced],
        }

    def upload(self, run_id: int, name: str, files: Mapping[str, bytes] | bytes, *, expired: bool = False) -> int:
        """Upload files, or a ready archive, as an artifact of a run, and return its id."""
        data = files if isinstance(files, bytes) else zipped(files)
        ident = 9000 + len(self.artifacts)
        self.files[ident] = data
        self.artifacts[ident] = {
            "id": ident,
            "name": name,
            "size_in_bytes": len(data),
            "expired": expired,
            "run": run_id,
        }
        return ident

    def approve(self, run_id: int, login: str, *environments: str, state: str = "approved") -> None:
        """Let a reviewer of environments answer a run."""
        names = [{"id": 1, "name": name} for name in environments]
        self.approvals.setdefault(run_id, []).append(
            {"state": state, "user": user(login), "environments": names, "comment": ""}
        )

    def show(self, *arguments: str) -> str | None:
        """Return what git says, None where it refuses."""
        if self.git is None:
            return None
        done = subprocess.run(["git", *arguments], cwd=self.git, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None


class FakeGitHub:
    """GitHub with some repositories."""

    def __init__(self, *, url: str = "http://localhost", holding_to: Description | None = None) -> None:
        self.url = url
        self.description = holding_to or description()
        self.repositories: dict[str, Repository] = {}
        self.tokens: dict[str, Token] = {"token": Token(login=None, permissions=ALL)}
        self.bots: dict[str, str] = {}  #: token of another app → who it comments as
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.drift: list[str] = []  #: what the fake answered against GitHub's description
        self.refused: list[str] = []  #: what a client asked against it
        self.page = 100  #: items of a page, at most
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def repository(self, name: str, git: Path | None = None) -> Repository:
        """Add a repository; `git`: the folder of a real one, for commits and files."""
        self.repositories[name] = Repository(name, git)
        return self.repositories[name]

    def token(self, text: str, *, login: str | None = None, **permissions: str) -> None:
        """Add a token; permissions as `pull_requests="read"`."""
        rights = {name.replace("_", "-"): right for name, right in permissions.items()}
        self.tokens[text] = Token(login=login, permissions=rights)

    def plan(self, **what: Any) -> Fault:
        """Let the next calls fail, as `Fault` says."""
        self.faults.append(Fault(**what))
        return self.faults[-1]

    def session(self, turn: Callable[[Request], None] = lambda _: None) -> Callable[[], requests.Session]:
        """Return what opens sessions that speak to this without a socket; `turn` is called before each call."""

        def opened() -> requests.Session:
            session = requests.Session()
            session.trust_env = False
            session.mount("http://", _Direct(self, turn))
            return session

        return opened

    def handle(self, request: Request) -> Answer:
        """Answer a request; the state changes as a whole, or not.

        Raises:
            Broken: the connection breaks.
            Late: the answer comes too late.
            Drift: the answer would not be GitHub's.
        """
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.meant_for(request)), None)
            if fault is not None:
                fault.times -= 1
                if not fault.after:
                    return self._fails(fault, request)
            answer = self._answer(request)
            return answer if fault is None else self._fails(fault, request)

    def check(self) -> None:
        """Raise `Drift` where anything that was said is not GitHub's."""
        if self.drift:
            raise Drift("\n".join(self.drift))

    def _fails(self, fault: Fault, request: Request) -> Answer:
        if fault.reset:
            raise Broken(f"{request.method} {request.path}: planned")
        if fault.seconds:
            raise Late(fault.seconds)
        if fault.raw is not None:
            return Answer(status=fault.status or 200, raw=fault.raw, headers=dict(fault.headers))
        assert fault.status is not None
        return _error(fault.status, fault.message, **fault.headers)

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith(_STORAGE):
            return self._stored(request)
        try:
            self.description.check_request(request.method, one_segment(request.path), request.query, request.body)
        except BadRequest as exc:
            self.refused.append(str(exc))
            return Answer(
                status=422, data={"message": "Validation Failed", "documentation_url": "", "errors": [str(exc)]}
            )
        answer = _Asked(self, request).answer()
        body = b"" if answer.data is None else json.dumps(answer.data).encode()
        try:
            self.description.check_answer(request.method, one_segment(request.path), answer.status, body)
        except Drift as exc:
            self.drift.append(str(exc))
            raise
        limits = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999", "x-ratelimit-reset": "1767225600"}
        return Answer(status=answer.status, data=answer.data, headers={**limits, **answer.headers})

    def _stored(self, request: Request) -> Answer:
        """Answer as the storage of artifacts does: another party, which must not be told the token."""
        if "authorization" in request.headers:
            self.refused.append(f"a token was sent to {request.path}")
            return Answer(status=400, raw=b"InvalidAuthenticationInfo")
        _, _, repository, ident = unquote(request.path).split("/", 3)[0:4]
        return Answer(status=200, raw=self.repositories[repository.replace("~", "/")].files[int(ident)])


class _Asked:
    """One call of the API: who asks for what, and the answer."""

    def __init__(self, fake: FakeGitHub, request: Request) -> None:
        self.fake = fake
        self.request = request
        self.sent = json.loads(request.body) if request.body else {}
        scheme, _, self.text = request.headers.get("authorization", "").partition(" ")
        self.token = fake.tokens.get(self.text) if scheme == "Bearer" else None

    def answer(self) -> Answer:
        if self.token is None:
            return _error(401, "Bad credentials")
        if self.request.path == "/user":
            return self._user()
        _, _, owner, name, rest = self.request.path.split("/", 4)
        self.repository = self.fake.repositories.get(f"{owner}/{name}")
        if self.repository is None:
            return _error(404, "Not Found")
        for method, pattern, permission, respond in _ROUTES:
            found = re.fullmatch(pattern, rest)
            if found and method == self.request.method:
                if not self._may(permission):
                    return _error(403, "Resource not accessible by integration")
                return respond(self, *found.groups())
        raise Drift(f"{self.request.method} {rest} is described by GitHub, and not made here")

    def _may(self, permission: str) -> bool:
        assert self.token is not None
        has = self.token.permissions.get(permission)
        return has == "write" or (has == "read" and self.request.method == "GET")

    def _user(self) -> Answer:
        assert self.token is not None
        if self.token.login is None:
            return _error(403, "Resource not accessible by integration")
        known = {**user(self.token.login), "user_view_type": "private", "plan": None}
        known.pop("plan")
        return Answer(status=200, data=self.fake.description.fill("private-user", known))

    def _fill(self, schema: str, known: Mapping[str, Any]) -> dict[str, Any]:
        return self.fake.description.fill(schema, known)

    def _list(self, schema: str, items: Sequence[Mapping[str, Any]], key: str | None = None) -> Answer:
        query = self.request.query
        size = min(int(query.get("per_page", 30)), self.fake.page)
        page = int(query.get("page", 1))
        shown = [self._fill(schema, item) for item in items[(page - 1) * size : page * size]]
        headers = {}
        if page * size < len(items):
            after = urlencode({**query, "page": str(page + 1)})
            headers["Link"] = f'<{self.fake.url}{self.request.path}?{after}>; rel="next"'
        data: Any = shown if key is None else {"total_count": len(items), key: shown}
        return Answer(status=200, data=data, headers=headers)

    def _author(self) -> dict[str, Any]:
        assert self.token is not None
        return user(self.token.login or self.fake.bots.get(self.text, BOT))

    @property
    def _there(self) -> Repository:
        assert self.repository is not None
        return self.repository

    def pulls(self) -> Answer:
        query = self.request.query
        wanted = query.get("state", "open")
        found = [pull for pull in self._there.pulls.values() if wanted in ("all", pull["state"])]
        return self._list("pull-request-simple", sorted(found, key=lambda pull: -pull["number"]))

    def pull(self, number: str) -> Answer:
        found = self._there.pulls.get(int(number))
        return Answer(status=200, data=self._fill("pull-request", found)) if found else _error(404, "Not Found")

    def comments(self, number: str) -> Answer:
        if int(number) not in self._there.pulls:
            return _error(404, "Not Found")
        found = [item for item in self._there.comments.values() if item["number"] == int(number)]
        return self._list("issue-comment", [_shown(item) for item in found])

    def comment(self, number: str) -> Answer:
        if int(number) not in self._there.pulls:
            return _error(404, "Not Found")
        if too_long := _too_long(self.sent["body"]):
            return too_long
        ident = next(self.fake._ids)
        made = {"id": ident, "number": int(number), "user": self._author(), "body": self.sent["body"]}
        self._there.comments[ident] = made
        return Answer(status=201, data=self._fill("issue-comment", _shown(made)))

    def edit_comment(self, ident: str) -> Answer:
        found = self._there.comments.get(int(ident))
        if found is None:
            return _error(404, "Not Found")
        if too_long := _too_long(self.sent["body"]):
            return too_long
        found["body"] = self.sent["body"]
        return Answer(status=200, data=self._fill("issue-comment", _shown(found)))

    def drop_comment(self, ident: str) -> Answer:
        if self._there.comments.pop(int(ident), None) is None:
            return _error(404, "Not Found")
        return Answer(status=204)

    def checks(self, ref: str) -> Answer:
        query = self.request.query
        found = [item for item in self._there.checks.values() if item["head_sha"] == unquote(ref)]
        found = [item for item in found if query.get("check_name") in (None, item["name"])]
        newest = sorted(found, key=lambda item: -item["id"])
        return self._list("check-run", newest if query.get("filter") == "all" else newest[:1], "check_runs")

    def create_check(self) -> Answer:
        ident = next(self.fake._ids)
        self._there.remarks[ident] = []
        self._there.checks[ident] = {
            "id": ident,
            "name": self.sent["name"],
            "head_sha": self.sent["head_sha"],
            "external_id": self.sent.get("external_id", ""),
            "details_url": self.sent.get("details_url", "https://github.example/"),
            "status": "queued",
            "conclusion": None,
            "app": {"slug": "github-actions", "name": "GitHub Actions", "client_id": "x"},
            "output": {"title": None, "summary": None, "text": None, "annotations_count": 0},
        }
        return self._changed(ident, 201)

    def check(self, ident: str) -> Answer:
        found = self._there.checks.get(int(ident))
        return Answer(status=200, data=self._fill("check-run", found)) if found else _error(404, "Not Found")

    def edit_check(self, ident: str) -> Answer:
        return self._changed(int(ident), 200) if int(ident) in self._there.checks else _error(404, "Not Found")

    def _changed(self, ident: int, status: int) -> Answer:
        check, sent = self._there.checks[ident], self.sent
        output = sent.get("output", {})
        self._there.remarks[ident] += output.get("annotations", [])
        check["output"] |= {name: output[name] for name in ("title", "summary", "text") if name in output}
        check["output"]["annotations_count"] = len(self._there.remarks[ident])
        check["status"] = "completed" if "conclusion" in sent else sent.get("status", check["status"])
        check["conclusion"] = sent.get("conclusion") if check["status"] == "completed" else None
        return Answer(status=status, data=self._fill("check-run", check))

    def commit(self, ref: str) -> Answer:
        told = self._there.show("show", "-s", "--format=%H%n%P%n%ae", f"{unquote(ref)}^{{commit}}")
        if told is None:
            return _error(422, f"No commit found for SHA: {unquote(ref)}")
        sha, parents, address = told.splitlines()[:3]
        login = self._there.logins.get(address)
        known = {"sha": sha, "parents": [{"sha": it, "url": "https://github.example/"} for it in parents.split()]}
        author = user(login) if login else None
        return Answer(status=200, data=self._fill("commit", {**known, "author": author, "commit": {}}))

    def contents(self, path: str) -> Answer:
        ref = self.request.query.get("ref", "HEAD")
        path = unquote(path)
        told = self._there.show("ls-tree", ref, "--", path)
        if not told:
            return _error(404, "Not Found")
        mode, kind, sha = told.split()[:3]
        if kind == "tree":
            return Answer(status=200, data=[])
        data = subprocess.run(
            ["git", "cat-file", "blob", sha], cwd=self._there.git, capture_output=True, check=True
        ).stdout
        known = {
            "type": "symlink" if mode == "120000" else "file",
            "name": Path(path).name,
            "path": path,
            "sha": sha,
            "size": len(data),
            "encoding": "base64" if len(data) <= 10**6 else "none",
            "content": base64.encodebytes(data).decode() if len(data) <= 10**6 else "",
            **({"target": data.decode()} if mode == "120000" else {}),
        }
        schema = "content-symlink" if mode == "120000" else "content-file"
        return Answer(status=200, data=self._fill(schema, known))

    def tree(self, name: str) -> Answer:
        sha = self._there.show("rev-parse", "--verify", f"{unquote(name)}^{{tree}}")
        if sha is None:
            return _error(404, "Not Found")
        entries = []
        for line in (self._there.show("ls-tree", sha.strip()) or "").splitlines():
            about, _, path = line.partition("\t")
            mode, kind, ident = about.split()
            entries.append({"path": path, "mode": mode, "type": kind, "sha": ident})
        known = {"sha": sha.strip(), "tree": entries, "truncated": False}
        return Answer(status=200, data=self._fill("git-tree", known))

    def run(self, ident: str) -> Answer:
        found = self._there.runs.get(int(ident))
        return Answer(status=200, data=self._fill("workflow-run", found)) if found else _error(404, "Not Found")

    def run_approvals(self, ident: str) -> Answer:
        found = self._there.approvals.get(int(ident), [])
        return Answer(status=200, data=[self._fill("environment-approvals", item) for item in found])

    def run_artifacts(self, ident: str) -> Answer:
        found = [item for item in self._there.artifacts.values() if item["run"] == int(ident)]
        return self._list("artifact", [{k: v for k, v in item.items() if k != "run"} for item in found], "artifacts")

    def archive(self, ident: str) -> Answer:
        found = self._there.artifacts.get(int(ident))
        if found is None:
            return _error(404, "Not Found")
        if found["expired"]:
            return _error(410, "Artifact has expired")
        where = f"{self.fake.url}{_STORAGE}{self._there.name.replace('/', '~')}/{ident}?signature=secret"
        return Answer(status=302, headers={"Location": where})

    def deployments(self) -> Answer:
        query = self.request.query
        wanted = {name: query[name] for name in ("sha", "environment", "task") if name in query}
        found = [item for item in self._there.deployments.values() if wanted.items() <= item.items()]
        return self._list("deployment", sorted(found, key=lambda item: -item["id"]))

    def deploy(self) -> Answer:
        ident = next(self.fake._ids)
        known = {
            name: self.sent[name] for name in ("task", "environment", "description", "payload") if name in self.sent
        }
        self._there.deployments[ident] = {"id": ident, "sha": self.sent["ref"], "ref": self.sent["ref"], **known}
        return Answer(status=201, data=self._fill("deployment", self._there.deployments[ident]))

    def deployment_statuses(self, ident: str) -> Answer:
        if int(ident) not in self._there.deployments:
            return _error(404, "Not Found")
        return self._list("deployment-status", self._there.statuses.get(int(ident), []))

    def set_status(self, ident: str) -> Answer:
        if int(ident) not in self._there.deployments:
            return _error(404, "Not Found")
        made = {
            "id": next(self.fake._ids),
            "state": self.sent["state"],
            "description": self.sent.get("description", ""),
        }
        self._there.statuses.setdefault(int(ident), []).insert(0, made)
        return Answer(status=201, data=self._fill("deployment-status", made))


_ROUTES: tuple[tuple[str, str, str, Callable[..., Answer]], ...] = (
    ("GET", "pulls", "pull-requests", _Asked.pulls),
    ("GET", r"pulls/(\d+)", "pull-requests", _Asked.pull),
    ("GET", r"issues/(\d+)/comments", "pull-requests", _Asked.comments),
    ("POST", r"issues/(\d+)/comments", "pull-requests", _Asked.comment),
    ("PATCH", r"issues/comments/(\d+)", "pull-requests", _Asked.edit_comment),
    ("DELETE", r"issues/comments/(\d+)", "pull-requests", _Asked.drop_comment),
    ("GET", "commits/([^/]+)/check-runs", "checks", _Asked.checks),
    ("POST", "check-runs", "checks", _Asked.create_check),
    ("GET", r"check-runs/(\d+)", "checks", _Asked.check),
    ("PATCH", r"check-runs/(\d+)", "checks", _Asked.edit_check),
    ("GET", "commits/([^/]+)", "contents", _Asked.commit),
    ("GET", "contents/(.+)", "contents", _Asked.contents),
    ("GET", "git/trees/([^/]+)", "contents", _Asked.tree),
    ("GET", r"actions/runs/(\d+)", "actions", _Asked.run),
    ("GET", r"actions/runs/(\d+)/approvals", "actions", _Asked.run_approvals),
    ("GET", r"actions/runs/(\d+)/artifacts", "actions", _Asked.run_artifacts),
    ("GET", r"actions/artifacts/(\d+)/zip", "actions", _Asked.archive),
    ("GET", "deployments", "deployments", _Asked.deployments),
    ("POST", "deployments", "deployments", _Asked.deploy),
    ("GET", r"deployments/(\d+)/statuses", "deployments", _Asked.deployment_statuses),
    ("POST", r"deployments/(\d+)/statuses", "deployments", _Asked.set_status),
)


@contextlib.contextmanager
def serving(fake: FakeGitHub) -> Iterator[str]:
    """Yield the address of `fake` behind HTTP; afterwards raise where anything that it said is not GitHub's."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            where = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=where.path,
                query=dict(parse_qsl(where.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
            try:
                answer = fake.handle(request)
            except Broken:
                self.close_connection = True
                return
            except Late as exc:
                time.sleep(float(exc.args[0]))
                self.close_connection = True
                return
            except Drift as exc:
                answer = _error(500, f"the fake drifts from GitHub's description: {exc}")
            data = _bytes(answer)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Type", _type(answer))
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _respond

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield fake.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    fake.check()


class _Direct(BaseAdapter):
    """`requests` speaks to a `FakeGitHub` in this process."""

    def __init__(self, fake: FakeGitHub, turn: Callable[[Request], None]) -> None:
        super().__init__()
        self._fake = fake
        self._turn = turn

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:  # type: ignore[override]
        where = urlsplit(str(request.url))
        body = request.body or b""
        asked = Request(
            method=str(request.method),
            path=where.path,
            query=dict(parse_qsl(where.query, keep_blank_values=True)),
            headers={name.lower(): str(value) for name, value in request.headers.items()},
            body=body if isinstance(body, bytes) else str(body).encode(),
        )
        self._turn(asked)
        try:
            answer = self._fake.handle(asked)
        except Broken as exc:
            raise requests.ConnectionError(str(exc)) from exc
        except Late as exc:
            raise requests.ReadTimeout(str(exc)) from exc
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update({"Content-Type": _type(answer), **answer.headers})
        response.raw = HTTPResponse(io.BytesIO(_bytes(answer)), preload_content=False)
        response.url, response.request = str(request.url), request
        return response

    def close(self) -> None:
        """Close nothing."""


def user(login: str) -> dict[str, Any]:
    """Return what is known of an account."""
    return {"login": login, "id": sum(login.encode()), "type": "Bot" if login.endswith("[bot]") else "User"}


def repo(name: str) -> dict[str, Any]:
    """Return what is known of a repository."""
    return {"full_name": name, "name": name.split("/")[1], "owner": user(name.split("/")[0])}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive as an artifact is one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _shown(comment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in comment.items() if name != "number"}


def _too_long(body: str) -> Answer | None:
    if len(body.encode("utf-16-le")) // 2 <= _LONGEST_BODY:
        return None
    errors = [{"resource": "IssueComment", "code": "unprocessable", "field": "data", "message": "Body is too long"}]
    return Answer(status=422, data={"message": "Validation Failed", "documentation_url": "", "errors": errors})


def _error(status: int, message: str, **headers: str) -> Answer:
    data = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return Answer(status=status, data=data, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _bytes(answer: Answer) -> bytes:
    if answer.raw is not None:
        return answer.raw
    return b"" if answer.data is None else json.dumps(answer.data).encode()


def _type(answer: Answer) -> str:
    return "application/json; charset=utf-8" if answer.raw is None else "application/octet-stream"
