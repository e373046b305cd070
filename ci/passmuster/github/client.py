"""GitHub's API for one repository: typed calls named after what they do; makes no decisions.

Calls are repeated as `transport` says. What creates something looks first whether it was made, where the answer to it
was lost.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from passmuster.errors import Refused, UsageError
from passmuster.github.facts import (
    Approval,
    Artifact,
    CheckRun,
    Comment,
    Commit,
    Deployment,
    Json,
    Pull,
    ReferencedWorkflow,
    Run,
)
from passmuster.github.transport import (
    MissingPermission,
    NotThere,
    Patience,
    Transport,
    open_session,
    read,
)

if TYPE_CHECKING:
    import requests

    from passmuster.pull_request import Annotation

#: Annotations that one request takes.
MOST_ANNOTATIONS = 50

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


class GitHub:
    """The repository `owner/name` as GitHub's API shows it to a token."""

    def __init__(
        self,
        repository: str,
        token: str | None,
        *,
        base_url: str = "https://api.github.com",
        patience: Patience | None = None,
        session: Callable[[], requests.Session] = open_session,
    ) -> None:
        """Check the arguments; nothing is sent.

        Raises:
            UsageError: `repository` is not "owner/name", or `base_url` is not HTTPS.
        """
        if not _REPOSITORY.fullmatch(repository) or {".", ".."} & set(repository.split("/")):
            raise UsageError(f"{repository!r} is not a repository of GitHub: it is written owner/name")
        self.repository = repository
        self._root = f"/repos/{repository}"
        self._calls = Transport(base_url, token, patience=patience, session=session)

    @classmethod
    def from_environment(cls) -> GitHub:
        """Return the repository of the running job, with its token.

        Raises:
            UsageError: `GITHUB_REPOSITORY` is not set.
        """
        repository = os.environ.get("GITHUB_REPOSITORY", "")
        if not repository:
            raise UsageError(
                "which repository of GitHub? Set GITHUB_REPOSITORY to owner/name, and GITHUB_TOKEN to a token for it; "
                "in a job of GitHub Actions only the token is to be passed on (env: GITHUB_TOKEN)"
            )
        token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN")
        return cls(repository, token, base_url=os.environ.get("GITHUB_API_URL") or "https://api.github.com")

    def me(self) -> str | None:
        """Return the login that the token is of; None for the token of a job, which is of no user."""
        try:
            return read(self._calls.get("/user", needs="read:user"), lambda data: str(data["login"]))
        except MissingPermission:
            return None

    def run(self, run_id: int) -> Run:
        """Return a run of a workflow."""
        return read(self._run(run_id), Run.read)

    def referenced_workflows(self, run_id: int) -> tuple[ReferencedWorkflow, ...]:
        """Return the reusable workflows that a run used; GitHub says, so the run's code can't make them up."""
        found = read(self._run(run_id), lambda data: data.get("referenced_workflows") or ())
        return tuple(read(item, ReferencedWorkflow.read) for item in found)

    def approvals(self, run_id: int) -> tuple[Approval, ...]:
        """Return what reviewers of environments said to a run."""
        found = self._calls.get(f"{self._root}/actions/runs/{int(run_id)}/approvals", needs="actions: read")
        return tuple(read(found, lambda data: [Approval.read(item) for item in data]))

    def artifacts(self, run_id: int) -> tuple[Artifact, ...]:
        """Return what a run uploaded, in all its attempts."""
        path = f"{self._root}/actions/runs/{int(run_id)}/artifacts"
        return tuple(
            read(item, Artifact.read) for item in self._calls.pages(path, needs="actions: read", key="artifacts")
        )

    def artifact(self, artifact_id: int, limit: int) -> bytes:
        """Return an artifact's zip archive of at most `limit` bytes.

        Raises:
            Refused: it is longer, or gone.
        """
        path = f"{self._root}/actions/artifacts/{int(artifact_id)}/zip"
        return self._calls.download(path, needs="actions: read", limit=limit)

    def pull_requests_of(self, head_sha: str) -> tuple[Pull, ...]:
        """Return the open pull requests whose head is this commit, forks' too.

        GitHub's own list of a commit's pull requests leaves out those of forks, so all open ones are read.
        """
        query = {"state": "open", "sort": "updated", "direction": "desc"}
        found = self._calls.pages(f"{self._root}/pulls", needs="pull-requests: read", query=query)
        return tuple(pull for pull in (read(item, Pull.read) for item in found) if pull.head_sha == head_sha)

    def pull_request(self, number: int) -> Pull:
        """Return a pull request."""
        return read(self._calls.get(f"{self._root}/pulls/{int(number)}", needs="pull-requests: read"), Pull.read)

    def commit(self, sha: str) -> Commit:
        """Return a commit."""
        return read(self._calls.get(f"{self._root}/commits/{_segment(sha)}", needs="contents: read"), Commit.read)

    def contents(self, path: str, ref: str) -> bytes | None:
        """Return a file of at most 1 MB as it is at `ref`; None where there is none.

        Raises:
            Refused: it is a folder, a link or a submodule, or longer.
        """
        where = f"{self._root}/contents/{_path(path)}"
        try:
            found = self._calls.get(where, needs="contents: read", query={"ref": ref})
        except NotThere:
            return None
        if not isinstance(found, dict) or found.get("type") != "file" or found.get("encoding") != "base64":
            raise Refused(f"{path} at {ref} is not a file of at most 1 MB")
        return read(found, lambda data: base64.b64decode(str(data["content"])))

    def tree_sha(self, path: str, ref: str) -> str | None:
        """Return git's name of the folder or file at `path` of `ref`; None where there is none."""
        found = self._calls.get(f"{self._root}/git/trees/{_segment(ref)}", needs="contents: read")
        for part in filter(None, path.split("/")):
            entries = read(found, lambda data: {str(item["path"]): item for item in data["tree"]})
            if part not in entries:
                if found.get("truncated"):
                    raise Refused(f"{path} at {ref}: the folder is too large for GitHub to list")
                return None
            found = entries[part]
            if found.get("type") == "tree":
                found = self._calls.get(f"{self._root}/git/trees/{_segment(found['sha'])}", needs="contents: read")
            else:
                found = {**found, "tree": []}
        return read(found, lambda data: str(data["sha"]))

    def comments(self, number: int) -> tuple[Comment, ...]:
        """Return all comments on a pull request, oldest first."""
        path = f"{self._root}/issues/{int(number)}/comments"
        found = tuple(read(item, Comment.read) for item in self._calls.pages(path, needs="pull-requests: read"))
        return tuple(sorted(found, key=lambda comment: comment.id))

    def create_comment(self, number: int, body: str) -> Comment:
        """Comment on a pull request; a body that says which run it is of is never posted twice."""
        path = f"{self._root}/issues/{int(number)}/comments"
        return self._calls.create(
            lambda: read(self._post(path, "pull-requests: write", {"body": body}), Comment.read),
            lambda: next((found for found in self.comments(number) if found.body.strip() == body.strip()), None),
        )

    def update_comment(self, comment_id: int, body: str) -> Comment:
        """Replace a comment's text."""
        path = f"{self._root}/issues/comments/{int(comment_id)}"
        answer = self._calls.send("PATCH", path, needs="pull-requests: write", body={"body": body})
        return read(answer.data, Comment.read)

    def delete_comment(self, comment_id: int) -> None:
        """Delete a comment; one that is gone already is no error."""
        path = f"{self._root}/issues/comments/{int(comment_id)}"
        try:
            self._calls.send("DELETE", path, needs="pull-requests: write")
        except NotThere:
            return

    def check_runs(self, sha: str, name: str) -> tuple[CheckRun, ...]:
        """Return all check runs of a name on a commit, oldest first."""
        path = f"{self._root}/commits/{_segment(sha)}/check-runs"
        query = {"check_name": name, "filter": "all"}
        found = self._calls.pages(path, needs="checks: read", query=query, key="check_runs")
        return tuple(sorted((read(item, CheckRun.read) for item in found), key=lambda check: check.id))

    def create_check_run(
        self,
        sha: str,
        name: str,
        *,
        external_id: str,
        title: str,
        summary: str,
        conclusion: str | None,
        annotations: Sequence[Annotation] = (),
        details_url: str | None = None,
    ) -> CheckRun:
        """Create a check run on a commit.

        Args:
            sha: the commit.
            name: what is shown, and what branch protection names.
            external_id: our own name of it, by which it is found again.
            title: one line.
            summary: Markdown, at most 65,535 characters.
            conclusion: GitHub's word; None: it is still running.
            annotations: at most `MOST_ANNOTATIONS`.
            details_url: where "Details" leads.
        """
        body = {
            "name": name,
            "head_sha": sha,
            "external_id": external_id,
            **({"details_url": details_url} if details_url else {}),
            **_check(title, summary, conclusion, annotations),
        }
        return self._calls.create(
            lambda: read(self._post(f"{self._root}/check-runs", "checks: write", body), CheckRun.read),
            lambda: next((old for old in self.check_runs(sha, name) if old.external_id == external_id), None),
        )

    def update_check_run(
        self,
        check: CheckRun,
        *,
        title: str,
        summary: str,
        conclusion: str | None,
        annotations: Sequence[Annotation] = (),
    ) -> CheckRun:
        """Change a check run; its annotations are added to those that it has, each once.

        Args:
            check: as it was read last.
            title: one line.
            summary: Markdown, at most 65,535 characters.
            conclusion: GitHub's word; None: it is still running.
            annotations: at most `MOST_ANNOTATIONS`.
        """
        path = f"{self._root}/check-runs/{check.id}"
        body = _check(title, summary, conclusion, annotations)

        def change() -> CheckRun:
            answer = self._calls.send("PATCH", path, needs="checks: write", body=body, idempotent=not annotations)
            return read(answer.data, CheckRun.read)

        def look() -> CheckRun | None:
            found = read(self._calls.get(path, needs="checks: read"), CheckRun.read)
            return found if found.annotations >= check.annotations + len(annotations) else None

        return self._calls.create(change, look)

    def create_deployment(
        self, sha: str, environment: str, *, task: str, payload: Mapping[str, Any], description: str = ""
    ) -> int:
        """Say that a commit is deployed to an environment, and return the deployment's id.

        Args:
            sha: the commit; nothing is merged into it, and no status of it is asked.
            environment: its name on GitHub.
            task: e.g. "promote:credit-default".
            payload: what makes this deployment this one; an equal one is never made twice.
            description: for people, cut to 140 characters.
        """
        path = f"{self._root}/deployments"
        body = {
            "ref": sha,
            "environment": environment,
            "task": task,
            "payload": dict(payload),
            "description": description[:140],
            "auto_merge": False,
            "required_contexts": [],
        }

        def look() -> int | None:
            query = {"sha": sha, "environment": environment, "task": task}
            items = self._calls.pages(path, needs="deployments: read", query=query)
            found = (read(item, Deployment.read) for item in items)
            return next((item.id for item in found if item.payload == body["payload"]), None)

        return self._calls.create(
            lambda: read(self._post(path, "deployments: write", body), lambda data: int(data["id"])), look
        )

    def set_deployment_status(
        self, deployment_id: int, state: str, *, description: str = "", log_url: str | None = None
    ) -> None:
        """Say how a deployment goes: "in_progress", "success", "failure", "error" or "inactive"."""
        path = f"{self._root}/deployments/{int(deployment_id)}/statuses"
        body = {"state": state, "description": description[:140], **({"log_url": log_url} if log_url else {})}

        def latest() -> bool | None:
            found = next(iter(self._calls.pages(path, needs="deployments: read")), None)
            return True if found and (found["state"], found["description"]) == (state, body["description"]) else None

        self._calls.create(lambda: self._post(path, "deployments: write", body) is not None, latest)

    def _run(self, run_id: int) -> Json:
        return read(self._calls.get(f"{self._root}/actions/runs/{int(run_id)}", needs="actions: read"), dict)

    def _post(self, path: str, needs: str, body: Mapping[str, Any]) -> Any:
        return self._calls.send("POST", path, needs=needs, body=body, idempotent=False).data


def _check(title: str, summary: str, conclusion: str | None, annotations: Sequence[Annotation]) -> dict[str, Any]:
    if len(annotations) > MOST_ANNOTATIONS:
        raise ValueError(f"{len(annotations)} annotations: GitHub takes {MOST_ANNOTATIONS} at once")
    remarks = [
        {
            "path": remark.path,
            "start_line": remark.start_line,
            "end_line": remark.end_line,
            "annotation_level": str(remark.level),
            "title": remark.title[:255],
            "message": remark.message,
        }
        for remark in annotations
    ]
    output = {"title": title, "summary": summary, **({"annotations": remarks} if remarks else {})}
    if conclusion is None:
        return {"status": "in_progress", "output": output}
    return {"status": "completed", "conclusion": str(conclusion), "output": output}


def _segment(text: str) -> str:
    """Return a part of a path, quoted; "/" too, so that it stays one part."""
    if not text or text in (".", ".."):
        raise UsageError(f"{text!r} names no commit")
    return quote(text, safe="")


def _path(path: str) -> str:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise UsageError(f"{path!r} is not a path in a repository")
    return quote(path)
