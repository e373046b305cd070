"""Four eyes: whether somebody who wrote none of it approved what is about to become champion.

Who wrote it is what git says: author, committer and co-authors of each commit, as the GitHub accounts of their mail
addresses. git does not prove them; where that is not enough, let the branch take signed commits alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from passmuster._git import Repository
from passmuster.errors import Refused

if TYPE_CHECKING:
    from passmuster.github.facts import Approval, Commit

#: GitHub's own address as committer, of what is merged or edited on its pages.
_WEB_FLOW = "noreply@github.com"

#: The address that GitHub gives to accounts which hide theirs; it holds the login.
_HIDDEN = re.compile(r"(?:[0-9]+\+)?([a-z0-9-]+(?:\[bot\])?)@users\.noreply\.github\.com", re.IGNORECASE)

_ADDRESS = re.compile(r"<([^<>\s]+)>\s*$")


class Reviews(Protocol):
    """What is asked of GitHub."""

    def approvals(self, run_id: int) -> Sequence[Approval]:
        """Return what reviewers of environments said to a run."""

    def commit(self, sha: str) -> Commit:
        """Return a commit, with its author's account."""


def check(
    repository: Repository,
    github: Reviews | None,
    *,
    since: str | None,
    commit: str,
    environment: str | None = None,
    with_actor: bool = False,
) -> str:
    """Return who approved the run that this is part of; that account is no author of what the run brings.

    Args:
        repository: a clone with the whole history.
        github: who is asked; None: the repository of the running job.
        since: the champion's commit: what is reachable from it is not new; None: there is no champion, all is.
        commit: what is to become champion.
        environment: the environment whose reviewers count; None: any of the run's.
        with_actor: whether whoever started the run counts as an author too, as of a rollback.

    Raises:
        Refused: this is no run of GitHub Actions, nobody else approved it, or an author can't be told.
        Unavailable: GitHub did not answer.
    """
    run_id = os.environ.get("GITHUB_RUN_ID", "")
    if os.environ.get("GITHUB_ACTIONS") != "true" or not run_id.isdecimal():
        raise Refused(
            "the policy says `four-eyes: true`, so a reviewer must approve this in GitHub Actions; here nobody can. "
            "Start the workflow, whose environment asks its reviewers"
        )
    if github is None:
        from passmuster.github.client import GitHub

        github = GitHub.from_environment()
    approvers = {
        one.login
        for one in github.approvals(int(run_id))
        if one.state == "approved" and one.login and environment in (None, *one.environments)
    }
    if not approvers:
        where = f"environment {environment!r}" if environment else "the environment of this job"
        raise Refused(
            "the policy says `four-eyes: true`, and nobody approved this run; set required reviewers on GitHub for "
            f"{where}"
        )
    authors = {login.casefold() for login in _Authors(repository, github).of(since, commit)}
    if with_actor:
        names = (os.environ.get(name, "") for name in ("GITHUB_ACTOR", "GITHUB_TRIGGERING_ACTOR"))
        authors |= {name.casefold() for name in names}
    others = sorted(login for login in approvers if login.casefold() not in authors)
    if not others:
        raise Refused(
            f"the policy says `four-eyes: true`, and {', '.join(sorted(approvers))}, who approved this run, wrote or "
            "started a part of it; let somebody approve it who did not"
        )
    return others[0]


@dataclass(frozen=True)
class _Authors:
    """Finds the accounts behind mail addresses, each once."""

    repository: Repository
    github: Reviews
    known: dict[str, str] = field(default_factory=dict)  #: address → login

    def of(self, since: str | None, commit: str) -> set[str]:
        """Return the logins of all who wrote a part of what `commit` brings since `since`."""
        if self.repository.shallow:
            raise Refused("this clone is shallow, so who wrote the rest can't be told; `git fetch --unshallow`")
        return {self._login(address, witness) for address, witness in self._people(since, commit)}

    def _people(self, since: str | None, commit: str) -> Iterator[tuple[str, str | None]]:
        """Yield mail addresses, each with a commit of which it is the author's, where that is known."""
        span = [commit] if since is None else [f"{since}..{commit}"]
        form = "%H%x00%ae%x00%ce%x00%(trailers:key=Co-authored-by,valueonly,separator=%x01)%x02"
        told = self.repository.run("log", "--no-show-signature", "--no-mailmap", f"--format={form}", *span, "--")
        for one in filter(None, (text.strip("\n") for text in told.split("\x02"))):
            sha, author, committer, others = one.split("\0")
            yield author, sha
            if committer.casefold() != _WEB_FLOW:
                yield committer, None
            for other in filter(None, others.split("\x01")):
                found = _ADDRESS.search(other)
                if found is None:
                    raise Refused(
                        f"commit {sha[:10]} names a co-author without an address, so who that is can't be told"
                    )
                yield found[1], None

    def _login(self, address: str, witness: str | None) -> str:
        key = address.casefold()
        if key not in self.known:
            hidden = _HIDDEN.fullmatch(address)
            self.known[key] = hidden[1] if hidden else self._asked(address, witness or self._commit_by(address))
        return self.known[key]

    def _asked(self, address: str, witness: str | None) -> str:
        login = self.github.commit(witness).author_login if witness else None
        if login is None:
            raise Refused(
                f"the policy says `four-eyes: true`, and which GitHub account {address!r} is can't be told; add the "
                "address to the account"
            )
        return login

    def _commit_by(self, address: str) -> str | None:
        """Return a commit whose author has the address, or None."""
        options = ("--all", "--no-mailmap", "--fixed-strings", "--regexp-ignore-case", "-1", "--format=%H")
        return self.repository.run("log", *options, f"--author=<{address}>", "--") or None
