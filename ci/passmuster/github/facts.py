"""What GitHub's API tells, cut down to what the steps read; each fact knows how to be read from an answer.

Every text in it may be an author's of a pull request. An answer that lacks a part raises `KeyError`, `TypeError` or
`ValueError`, which the client translates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a workflow, at its latest attempt."""

    id: int
    attempt: int
    event: str  #: e.g. "pull_request"
    status: str
    conclusion: str | None  #: None while it runs
    path: str  #: the caller's workflow file, e.g. ".github/workflows/pull-request.yml"
    head_sha: str
    head_branch: str | None
    repository: str  #: "owner/name" where it ran
    head_repository: str | None  #: "owner/name" that the head is in; None where it was deleted
    html_url: str

    @classmethod
    def read(cls, data: Json) -> Run:
        """Read a run."""
        return cls(
            id=int(data["id"]),
            attempt=int(data.get("run_attempt") or 1),
            event=str(data["event"]),
            status=str(data["status"]),
            conclusion=_text(data["conclusion"]),
            path=str(data["path"]).partition("@")[0],
            head_sha=str(data["head_sha"]),
            head_branch=_text(data["head_branch"]),
            repository=str(data["repository"]["full_name"]),
            head_repository=_text((data["head_repository"] or {}).get("full_name")),
            html_url=str(data["html_url"]),
        )


@dataclass(frozen=True, kw_only=True)
class ReferencedWorkflow:
    """A reusable workflow that a run used."""

    path: str  #: "owner/name/.github/workflows/gate.yml@REF" as the caller wrote it
    sha: str  #: the commit that it was taken from
    ref: str | None

    @classmethod
    def read(cls, data: Json) -> ReferencedWorkflow:
        """Read one of a run's referenced workflows."""
        return cls(path=str(data["path"]), sha=str(data["sha"]), ref=_text(data.get("ref")))


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that a run uploaded, as a zip archive."""

    id: int
    name: str
    size: int  #: bytes of the archive, as GitHub says
    expired: bool
    digest: str | None  #: "sha256:…" of the archive

    @classmethod
    def read(cls, data: Json) -> Artifact:
        """Read an artifact."""
        return cls(
            id=int(data["id"]),
            name=str(data["name"]),
            size=int(data["size_in_bytes"]),
            expired=bool(data["expired"]),
            digest=_text(data.get("digest")),
        )


@dataclass(frozen=True, kw_only=True)
class Pull:
    """A pull request."""

    number: int
    state: str  #: "open" or "closed"
    head_sha: str
    head_branch: str
    head_repository: str | None  #: "owner/name"; None where it was deleted
    base_sha: str
    base_branch: str
    base_repository: str
    merge_sha: str | None  #: the commit that GitHub made to try the merge; None where it can't be merged
    author: str | None

    @classmethod
    def read(cls, data: Json) -> Pull:
        """Read a pull request, from a list too."""
        head, base = data["head"], data["base"]
        return cls(
            number=int(data["number"]),
            state=str(data["state"]),
            head_sha=str(head["sha"]),
            head_branch=str(head["ref"]),
            head_repository=_text((head.get("repo") or {}).get("full_name")),
            base_sha=str(base["sha"]),
            base_branch=str(base["ref"]),
            base_repository=str(base["repo"]["full_name"]),
            merge_sha=_text(data["merge_commit_sha"]),
            author=login(data["user"]),
        )


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit."""

    sha: str
    parents: tuple[str, ...]
    author_login: str | None  #: the account that GitHub knows the author's address of; None where it knows none

    @classmethod
    def read(cls, data: Json) -> Commit:
        """Read a commit."""
        return cls(
            sha=str(data["sha"]),
            parents=tuple(str(parent["sha"]) for parent in data["parents"]),
            author_login=login(data["author"]),
        )


@dataclass(frozen=True, kw_only=True)
class Comment:
    """A comment on a pull request."""

    id: int
    author: str | None  #: login
    body: str

    @classmethod
    def read(cls, data: Json) -> Comment:
        """Read a comment."""
        return cls(id=int(data["id"]), author=login(data["user"]), body=str(data.get("body") or ""))


@dataclass(frozen=True, kw_only=True)
class CheckRun:
    """A check run."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None  #: None until it is completed
    external_id: str  #: what its maker calls it
    title: str
    summary: str
    annotations: int  #: how many it has
    app: str | None  #: the slug of the app that made it

    @classmethod
    def read(cls, data: Json) -> CheckRun:
        """Read a check run."""
        output = data["output"]
        return cls(
            id=int(data["id"]),
            name=str(data["name"]),
            head_sha=str(data["head_sha"]),
            status=str(data["status"]),
            conclusion=_text(data["conclusion"]),
            external_id=str(data["external_id"] or ""),
            title=str(output["title"] or ""),
            summary=str(output["summary"] or ""),
            annotations=int(output["annotations_count"]),
            app=_text((data["app"] or {}).get("slug")),
        )


@dataclass(frozen=True, kw_only=True)
class Approval:
    """What a reviewer of an environment said to a run."""

    state: str  #: "approved", "rejected" or "pending"
    login: str | None
    environments: tuple[str, ...]

    @classmethod
    def read(cls, data: Json) -> Approval:
        """Read an approval."""
        return cls(
            state=str(data["state"]),
            login=login(data["user"]),
            environments=tuple(str(item["name"]) for item in data["environments"]),
        )


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A deployment of a commit to an environment."""

    id: int
    sha: str
    environment: str
    task: str
    payload: Any  #: what its maker wrote

    @classmethod
    def read(cls, data: Json) -> Deployment:
        """Read a deployment."""
        return cls(
            id=int(data["id"]),
            sha=str(data["sha"]),
            environment=str(data["environment"]),
            task=str(data["task"]),
            payload=data["payload"],
        )


def login(user: Json | None) -> str | None:
    """Return a user's login; None for an account that is gone, or that GitHub does not know."""
    return _text((user or {}).get("login"))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
