"""Which commit of the framework's repository runs here, so that generated workflows call the very same."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from passmuster import __version__
from passmuster._git import GitError, Repository
from passmuster.errors import UsageError

#: Where the workflows are, unless a fork's are named.
REPOSITORY = "passmuster/passmuster"

_SAID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<sha>[0-9a-f]{40})")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What `uses:` of a generated workflow names."""

    repository: str  #: "owner/name"
    sha: str  #: 40 hex digits
    version: str  #: for people, in the comment beside it

    @property
    def comment(self) -> str:
        """The comment beside the pin."""
        return f"v{self.version}"


def pin(said: str | None) -> Pin:
    """Return what a person said (`owner/name@sha`), or the commit that this very installation was made from.

    Raises:
        UsageError: what was said is no pin, or nothing was said and the installation doesn't know its commit.
    """
    if said is not None:
        if found := _SAID.fullmatch(said):
            return Pin(repository=found["repository"], sha=found["sha"], version=__version__)
        raise UsageError(f"--pin {said!r} is no pin; write OWNER/NAME@SHA with all 40 digits: a tag can be moved")
    sha = _built() or _installed() or _checkout()
    if sha is None:
        raise UsageError(
            "this installation doesn't know which commit it was made from, so the workflows can't be pinned to it; "
            f"say it: --pin {REPOSITORY}@SHA, the commit of release v{__version__}"
        )
    return Pin(repository=REPOSITORY, sha=sha, version=__version__)


def _built() -> str | None:
    """Return the commit that the wheel was built from, which the build wrote beside this file."""
    try:
        return Path(__file__).with_name("commit.txt").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _installed() -> str | None:
    """Return the commit that an installer wrote down when it fetched the framework by git (PEP 610)."""
    try:
        told = json.loads(distribution("passmuster").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    return (told.get("vcs_info") or {}).get("commit_id")


def _checkout() -> str | None:
    """Return the commit of the checkout that this file is in, where it is the framework's own."""
    here = Path(__file__).resolve().parent
    try:
        repository = Repository.containing(here)
        if (repository.root / "ci" / "passmuster" / "init").resolve() != here:
            return None
        return repository.commit("HEAD")
    except (GitError, UsageError):
        return None
