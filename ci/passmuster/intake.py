"""The way in for what a pull request's run has left: hostile data, read by a job that may write comments.

Which pull request, which commits, which workflow, which artifacts: GitHub's API says it, never the artifact. The plan
is made anew, the measurements are judged anew, and the report is rendered here. Nothing of the pull request is checked
out or run; git brings its objects, and no more.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from passmuster import bundle, conclude, digest, plan, record, workspace
from passmuster._git import GitError, Repository
from passmuster.conclude import Findings
from passmuster.errors import ExitCode, PassmusterError, Refused, Unavailable, combine
from passmuster.progress import Progress
from passmuster.pull_request import Posting, PullRequest, Revision
from passmuster.report import ReportFacts, facts

if TYPE_CHECKING:
    from passmuster.github.facts import Artifact, Commit, Pull, ReferencedWorkflow, Run

#: How the artifacts are named that hold records.
ARTIFACTS = "passmuster-records-"

#: Artifacts with records of one run, and bytes of all of them.
_MOST_ARTIFACTS, _MOST_BYTES = 1000, 2 * 1024**3

#: The workflow that judges; its callers may be named as they like.
_GATE = "gate.yml"

_SHA = re.compile(r"[0-9a-f]{40}")


class Api(Protocol):
    """What is asked of GitHub: see `passmuster.github.client.GitHub`."""

    repository: str

    def run(self, run_id: int) -> Run: ...  # noqa: D102
    def referenced_workflows(self, run_id: int) -> Iterable[ReferencedWorkflow]: ...  # noqa: D102
    def artifacts(self, run_id: int) -> Iterable[Artifact]: ...  # noqa: D102
    def artifact(self, artifact_id: int, limit: int) -> bytes: ...  # noqa: D102
    def pull_requests_of(self, head_sha: str) -> Iterable[Pull]: ...  # noqa: D102
    def pull_request(self, number: int) -> Pull: ...  # noqa: D102
    def commit(self, sha: str) -> Commit: ...  # noqa: D102
    def contents(self, path: str, ref: str) -> bytes | None: ...  # noqa: D102
    def tree_sha(self, path: str, ref: str) -> str | None: ...  # noqa: D102


def take(github: Api, run_id: int, root: Path, *, progress: Progress) -> Posting:
    """Return what reviewers are told of a run, believed only as far as GitHub, git, ledger and base say it too.

    Args:
        github: the repository's API.
        run_id: of the run of the pull request's workflow.
        root: a checkout of the default branch, with history, branches and tags.
        progress: told what is going on.

    Raises:
        Refused: it is no run of a pull request, or has not ended.
        Unavailable: GitHub or the remote did not answer.
    """
    run = github.run(run_id)
    if run.event != "pull_request":
        raise Refused(f"run {run.id} was caused by {run.event!r}, not by a pull request; there is nothing to report")
    if run.status != "completed":
        raise Refused(f"run {run.id} has not ended; it is {run.status!r}")
    if not _SHA.fullmatch(run.head_sha) or run.repository.lower() != github.repository.lower():
        raise Refused(f"run {run.id} is not one of {github.repository}")
    revision = Revision(run_id=run.id, attempt=run.attempt, head=run.head_sha)
    links = {"run": run.html_url}
    progress.step(f"looking for the pull request of {run.head_sha[:12]}")
    pulls = [pull for pull in github.pull_requests_of(run.head_sha) if _is_of(pull, run)]
    if len(pulls) != 1:
        why = "no open pull request has this head any more" if not pulls else "several pull requests have this head"
        return Posting(
            pull_request=None, revision=revision, models=(), problems=(f"{why}; nothing is posted",), links=links
        )
    found = Findings()
    with tempfile.TemporaryDirectory(prefix="passmuster-artifacts-") as name:
        planned, base = _Taken(github, run, pulls[0], root, Path(name), found, progress).look()
    return Posting(
        pull_request=PullRequest(
            repository=github.repository,
            number=pulls[0].number,
            head=run.head_sha,
            base=base or pulls[0].base_sha,
            fork=_is_fork(run),
        ),
        revision=revision,
        models=tuple(found.models.values()),
        missing=found.missing,
        unknown=tuple(found.unknown),
        plan=planned,
        problems=tuple(found.problems),
        claimed=conclude.CLAIMED if found.models else (),
        links=links,
    )


def of_records(github: Api, root: Path, models: Sequence[str], number: int | None) -> Posting:
    """Return what reviewers are told of the records that are here, by whoever made them.

    Args:
        github: the repository's API.
        root: the checkout.
        models: their names.
        number: of the pull request; None: the open one whose head was judged, alone or merged.

    Raises:
        Refused: the records are of several commits, or not of this pull request.
    """
    told = tuple(facts(workspace.folder(root, model)) for model in models)
    commit = _one_commit(told)
    parents = github.commit(commit).parents
    heads = {commit, *parents[1:2]}
    if number is None:
        found = {pull.number: pull for head in heads for pull in github.pull_requests_of(head)}
        pull = next(iter(found.values())) if len(found) == 1 else None
    else:
        pull = github.pull_request(number)
    if pull is not None and pull.head_sha not in heads:
        raise Refused(
            f"the records are of commit {commit[:12]}, but the head of #{pull.number} is {pull.head_sha[:12]}"
        )
    return Posting(
        pull_request=None if pull is None else _target(github, pull, told, parents),
        revision=_own_revision(commit if pull is None else pull.head_sha),
        models=told,
        claimed=conclude.CLAIMED,
    )


def _one_commit(told: Sequence[ReportFacts]) -> str:
    """Return the commit that all records are of."""
    bodies = [body for one in told for body in (one.gate, one.reproduce)]
    commits = {str(body["commit"]) for body in bodies if body.get("commit")}
    commit = commits.pop() if len(commits) == 1 else ""
    if not _SHA.fullmatch(commit):
        raise Refused("the records that are here are not of one commit; run the steps again, all models at one commit")
    return commit


def _target(github: Api, pull: Pull, told: Sequence[ReportFacts], parents: Sequence[str]) -> PullRequest:
    judged_by = {str(policy["commit"]) for one in told if isinstance(policy := one.gate.get("policy"), Mapping)}
    base = judged_by.pop() if len(judged_by) == 1 else next(iter(parents), pull.base_sha)
    return PullRequest(
        repository=github.repository,
        number=pull.number,
        head=pull.head_sha,
        base=base,
        fork=pull.head_repository != pull.base_repository,
    )


def _own_revision(head: str) -> Revision:
    """Return the revision of the job that posts; elsewhere one that is older than any job's."""
    run, attempt = (os.environ.get(f"GITHUB_RUN_{name}", "") for name in ("ID", "ATTEMPT"))
    return Revision(
        run_id=int(run) if run.isdecimal() else 0, attempt=int(attempt) if attempt.isdecimal() else 1, head=head
    )


def _is_of(pull: Pull, run: Run) -> bool:
    """Return whether the run is of this pull request: another one may have the same commit as its head."""
    return (
        pull.state == "open"
        and pull.head_sha == run.head_sha
        and pull.head_repository == run.head_repository
        and pull.head_branch == run.head_branch
        and pull.base_repository.lower() == run.repository.lower()
    )


def _is_fork(run: Run) -> bool:
    return run.head_repository is None or run.head_repository.lower() != run.repository.lower()


@dataclass(frozen=True)
class _Taken:
    """One run that is looked at."""

    github: Api
    run: Run
    pull: Pull
    root: Path
    folder: Path  #: for the bundles
    found: Findings
    progress: Progress

    def look(self) -> tuple[Mapping[str, Any], str | None]:
        """Fill what is found; the answer is the plan, and the commit whose policy rules, as far as they are known."""
        base: str | None = None
        planned: Mapping[str, Any] = {}
        try:
            self._download()
            commit, base = self._commits()
            self._check_workflows(commit, base)
            planned = plan.to_json(plan.plan(self.root, base, commit))
            conclude.look(
                self.root,
                planned,
                self.folder,
                commit=commit,
                base=base,
                no_access=_is_fork(self.run),
                found=self.found,
                progress=self.progress,
            )
            self._check_run(bool(planned["models"]))
        except Unavailable:
            raise
        except PassmusterError as exc:
            self.found.problem(str(exc), exc.code)
        return planned, base

    def _check_run(self, judged: bool) -> None:
        """Note a run that did not end well although nothing in its records says so."""
        passes = combine(self.found.codes or [ExitCode.OK]) is ExitCode.OK
        if passes and self.run.conclusion != "success":
            every = "every verdict passes" if judged else "there is nothing to judge"
            self.found.problem(f"the run ended as {self.run.conclusion!r}, though {every}")

    # Artifacts

    def _download(self) -> None:
        """Download the bundles of records, so many and so large as honest ones are."""
        everything = sorted(self.github.artifacts(self.run.id), key=lambda one: one.id)
        # GitHub lists those of earlier attempts too; of one name the newest counts.
        left = list({one.name: one for one in everything if one.name.startswith(ARTIFACTS)}.values())
        if len(left) > _MOST_ARTIFACTS or sum(one.size for one in left) > _MOST_BYTES:
            raise Refused(f"the run left {len(left):,} artifacts with records, or more bytes than records have")
        room = _MOST_BYTES
        for number, artifact in enumerate(left):
            if artifact.expired:
                self.found.problem(f"artifact {artifact.name[:100]!a} has expired; run the jobs again")
                continue
            self.progress.step(f"downloading {artifact.name[:100]!a}")
            try:
                content = _only_file(self._archive(artifact), min(room, bundle.largest("records")))
            except Refused as exc:
                self.found.problem(f"artifact {artifact.name[:100]!a}: {exc}", exc.code)
                continue
            room -= len(content)
            (self.folder / f"records-{number}.tar").write_bytes(content)

    def _archive(self, artifact: Artifact) -> bytes:
        content = self.github.artifact(artifact.id, bundle.largest("records"))
        if artifact.digest is not None and digest.of_bytes(content) != artifact.digest:
            raise Refused("what was downloaded is not what was uploaded")
        return content

    # Commits

    def _commits(self) -> tuple[str, str]:
        """Return the commit that was judged and the base whose policy rules, proved by GitHub and the base branch."""
        named = set(_named_commits(self.folder)) or ({self.pull.merge_sha} if self.pull.merge_sha else set())
        if len(named) != 1:
            raise Refused("the records are of several commits" if named else "nothing says which commit was judged")
        commit = named.pop()
        if not _SHA.fullmatch(commit):
            raise Refused(f"the records are of commit {commit[:40]!a}, which is none")
        said = self.github.commit(commit)
        if said.sha != commit or len(said.parents) != 2 or said.parents[1] != self.run.head_sha:
            raise Refused(f"commit {commit}, which was judged, is not a merge of this pull request's head")
        base = said.parents[0]
        self._check_base(base)
        self._bring(commit)
        return commit, base

    def _check_base(self, base: str) -> None:
        """Refuse a base that never was the tip of the base branch: whoever can push anything could have made it."""
        repository = Repository(self.root)
        branch = f"refs/remotes/origin/{self.pull.base_branch}"
        try:
            tip = repository.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{branch}^{{commit}}")
            line = repository.run("rev-list", "--first-parent", tip, "--").split()
        except GitError as exc:
            raise Refused(
                f"the base branch {self.pull.base_branch!a} is not in this clone; fetch all branches"
            ) from exc
        if base not in line:
            hint = "; the clone is shallow" if repository.shallow else ""
            raise Refused(f"{base}, whose policy has judged, is not a commit of {self.pull.base_branch!a}{hint}")

    def _bring(self, commit: str) -> None:
        """Fetch the commit's objects, where they are not here; nothing is checked out."""
        repository = Repository(self.root)
        if repository.has(commit):
            return
        try:
            options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
            repository.run("fetch", *options, "origin", commit, timeout=300.0)
        except GitError as exc:
            raise Refused(f"commit {commit}, which was judged, can't be fetched: {exc.stderr.strip()[:300]}") from exc

    # Workflows

    def _check_workflows(self, commit: str, base: str) -> None:
        """Refuse a run of other workflows than those that the base's caller names."""
        path = self.run.path
        caller = self.github.contents(path, base)
        if caller is None:
            raise Refused(f"the base has no {path!a}, so this run is none of the base's; after the merge main judges")
        if self.github.contents(path, commit) != caller:
            raise Refused(
                f"this pull request changes {path!a}, which judges it, so its run proves nothing; bring that change "
                "in first, in a pull request of its own"
            )
        named = list(_named_workflows(caller, self.run.repository))
        used = [_Used.read(one) for one in self.github.referenced_workflows(self.run.id)]
        for one in named:
            matching = [found for found in used if found.file == one.file]
            if not matching or not all(self._is(found, one, base) for found in matching):
                raise Refused(f"the run did not use {one.file!a} as the base names it, so it proves nothing")
        if not any(PurePosixPath(one.file).name == _GATE for one in named):
            raise Refused(f"{path!a} of the base calls no {_GATE}, so nothing in this run has judged by its rules")
        commits = {(found.owner, found.sha) for found in used if any(found.file == one.file for one in named)}
        if strange := [found for found in used if (found.owner, found.sha) not in commits]:
            raise Refused(f"the run used {strange[0].file!a}, which the base does not name")

    def _is(self, used: _Used, named: _Named, base: str) -> bool:
        if named.ref is not None:
            return used.sha == named.ref if _SHA.fullmatch(named.ref) else used.ref == named.ref
        path = named.file.split("/", 2)[2]
        return all(
            self.github.tree_sha(one, used.sha) == self.github.tree_sha(one, base) for one in (path, ".github/actions")
        )


def _named_commits(folder: Path) -> Iterator[str]:
    """Yield the commits that the bundles say they are of; a bundle that breaks a rule is told later."""
    for archive in conclude.archives(folder):
        with tempfile.TemporaryDirectory(prefix="passmuster-bundle-") as name:
            try:
                bundle.extract(archive, None, "records", Path(name))
                yield str(record.read(Path(name) / "reproduce.json", "reproduce").body.get("commit"))
            except Refused:
                continue


def _only_file(archive: bytes, limit: int) -> bytes:
    """Return the one file in a zip archive, of at most `limit` bytes.

    Raises:
        Refused: it is no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
            if len(entries) != 1 or not entries[0].filename.endswith(".tar"):
                raise Refused(f"it holds {len(entries):,} files; an artifact of records holds one bundle")
            if entries[0].file_size > limit:
                raise Refused(f"it says to hold {entries[0].file_size:,} bytes; a bundle has {limit:,} at most")
            with opened.open(entries[0]) as stream:
                content = stream.read(limit + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, OSError) as exc:
        raise Refused(f"it can't be unpacked: {exc}"[:300]) from exc
    except Exception as exc:
        if type(exc).__module__ not in ("zlib", "_lzma", "lzma"):  # each way to compress has errors of its own
            raise
        raise Refused(f"it can't be unpacked: {exc}"[:300]) from exc
    if len(content) > limit:
        raise Refused(f"it holds more than {limit:,} bytes")
    return content


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A reusable workflow as a caller names it."""

    file: str  #: "owner/name/.github/workflows/gate.yml", in lower case but for the path
    ref: str | None  #: None: of the caller's own commit


@dataclass(frozen=True, kw_only=True)
class _Used:
    """A reusable workflow as GitHub says that a run used it."""

    file: str
    ref: str
    sha: str

    @property
    def owner(self) -> str:
        """Its repository."""
        return "/".join(self.file.split("/")[:2])

    @classmethod
    def read(cls, told: ReferencedWorkflow) -> _Used:
        """Return it with its parts taken apart."""
        file, _, ref = told.path.partition("@")
        return cls(file=_folded(file), ref=_short(ref), sha=told.sha)


def _named_workflows(caller: bytes, repository: str) -> Iterator[_Named]:
    """Yield the reusable workflows that a caller's jobs use.

    Raises:
        Refused: it can't be read.
    """
    import yaml

    try:
        jobs = yaml.safe_load(caller)["jobs"].values()
        uses = [str(job["uses"]) for job in jobs if "uses" in job]
    except (yaml.YAMLError, UnicodeError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise Refused(f"the workflow of the base can't be read: {exc}"[:300]) from exc
    for one in uses:
        file, sign, ref = one.partition("@")
        if file.startswith(("./", "$/")):
            yield _Named(file=_folded(f"{repository}/{file[2:]}"), ref=None)
        else:
            yield _Named(file=_folded(file), ref=_short(ref) if sign else "")


def _folded(file: str) -> str:
    """Return `owner/name/path` with what GitHub does not tell apart made one."""
    owner, _, rest = file.partition("/")
    name, _, path = rest.partition("/")
    return f"{owner.lower()}/{name.lower()}/{path}"


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
