"""GitHub as intake asks it, for one run: facts that are the caller's to change; commits and files are real git's."""

from __future__ import annotations

import io
import subprocess
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from passmuster.github.facts import Artifact, Commit, Pull, ReferencedWorkflow, Run

REPOSITORY = "acme/models"
CALLER = ".github/workflows/pull-request.yml"
PINNED = "1" * 40


def zipped(*files: tuple[str, bytes]) -> bytes:
    """Return a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return stream.getvalue()


@dataclass
class Api:
    """One run of a pull request's workflow, and what it left."""

    git: Path
    told: Run
    pulls: list[Pull]
    repository: str = REPOSITORY
    used: list[ReferencedWorkflow] = field(default_factory=list)
    left: list[Artifact] = field(default_factory=list)
    archives: dict[int, bytes] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)  #: in place of git's own

    @classmethod
    def of(cls, git: Path, head: str, merge: str, base: str) -> Api:
        """Return the API after a run that judged the merge of `head` into `base`, by the workflow that is pinned."""
        run = Run(
            id=77,
            attempt=1,
            event="pull_request",
            status="completed",
            conclusion="success",
            path=CALLER,
            head_sha=head,
            head_branch="feature",
            repository=REPOSITORY,
            head_repository=REPOSITORY,
            html_url=f"https://github.com/{REPOSITORY}/actions/runs/77",
        )
        pull = Pull(
            number=1,
            state="open",
            head_sha=head,
            head_branch="feature",
            head_repository=REPOSITORY,
            base_sha=base,
            base_branch="main",
            base_repository=REPOSITORY,
            merge_sha=merge,
            author="ada",
        )
        gate = ReferencedWorkflow(path=f"tools/muster/.github/workflows/gate.yml@{PINNED}", sha=PINNED, ref=None)
        return cls(git=git, told=run, pulls=[pull], used=[gate])

    def fork(self) -> None:
        """Let the head be in another repository."""
        self.told = replace(self.told, head_repository="mallory/models")
        self.pulls = [replace(pull, head_repository="mallory/models") for pull in self.pulls]

    def upload(self, name: str, content: bytes, **facts: object) -> None:
        """Let the run upload an archive."""
        ident = len(self.left) + 1
        artifact = Artifact(id=ident, name=name, size=len(content), expired=False, digest=None)
        self.left.append(replace(artifact, **facts))  # type: ignore[arg-type]
        self.archives[ident] = content

    def run(self, run_id: int) -> Run:
        """Return the run."""
        assert run_id == self.told.id
        return self.told

    def referenced_workflows(self, run_id: int) -> list[ReferencedWorkflow]:
        """Return what the run used."""
        return self.used

    def artifacts(self, run_id: int) -> list[Artifact]:
        """Return what the run left."""
        return self.left

    def artifact(self, artifact_id: int, limit: int) -> bytes:
        """Return an archive."""
        return self.archives[artifact_id]

    def pull_requests_of(self, head_sha: str) -> list[Pull]:
        """Return the open pull requests of a head."""
        return [pull for pull in self.pulls if pull.head_sha == head_sha and pull.state == "open"]

    def pull_request(self, number: int) -> Pull:
        """Return a pull request."""
        return next(pull for pull in self.pulls if pull.number == number)

    def commit(self, sha: str) -> Commit:
        """Return a commit, as git has it."""
        parents = self._git("log", "-1", "--format=%P", sha, "--")
        return self.commits.get(sha) or Commit(sha=sha, parents=tuple(parents.split()), author_login=None)

    def contents(self, path: str, ref: str) -> bytes | None:
        """Return a file at a commit."""
        done = subprocess.run(["git", "show", f"{ref}:{path}"], cwd=self.git, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def tree_sha(self, path: str, ref: str) -> str | None:
        """Return git's name of a file or folder."""
        return self._git("rev-parse", "--verify", "--quiet", f"{ref}:{path}") or None

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.git, capture_output=True, text=True, check=False)
        return done.stdout.strip()
