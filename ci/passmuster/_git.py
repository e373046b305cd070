"""git, as the other modules need it; makes no decisions. Foreign errors are translated here."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from passmuster.errors import Unavailable, UsageError

#: Used where git knows no identity (a fresh machine, a CI runner), so that tags and commits can be made.
FALLBACK_IDENTITY = {
    "GIT_AUTHOR_NAME": "passmuster",
    "GIT_AUTHOR_EMAIL": "passmuster@localhost",
    "GIT_COMMITTER_NAME": "passmuster",
    "GIT_COMMITTER_EMAIL": "passmuster@localhost",
}

#: What git says when the other side, not the call, is the trouble.
_UNREACHABLE = (
    "Could not read from remote repository",
    "does not appear to be a git repository",
    "unable to access",
    "Could not resolve host",
    "Connection refused",
    "Connection timed out",
    "the remote end hung up",
    "terminal prompts disabled",
)


class GitError(UsageError):
    """git refused a command; `stderr` says why."""

    def __init__(self, command: str, stderr: str) -> None:
        self.stderr = stderr
        super().__init__(f"`{command}` failed: {stderr.strip() or 'it said nothing'}")


class Repository:
    """A git work tree or bare repository at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def containing(cls, folder: Path) -> Repository:
        """Return the repository whose work tree `folder` is in.

        Raises:
            UsageError: it is in none.
        """
        try:
            return cls(Path(cls(folder).run("rev-parse", "--show-toplevel")))
        except GitError as exc:
            raise UsageError(f"{folder} is not in a git work tree; run passmuster in a clone of your project") from exc

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float | None = None) -> str:
        """Run git and return its output without the last newline.

        Raises:
            GitError: git refused.
            Unavailable: the remote did not answer, or git is not installed.
        """
        command = ["git", *arguments]
        try:
            from git.cmd import Git
            from git.exc import GitCommandNotFound
        except ImportError as exc:  # GitPython looks for git when it is imported
            raise Unavailable("git could not be started; install git 2.30 or newer") from exc
        try:
            status, out, err = Git(str(self.root)).execute(
                command,
                with_extended_output=True,
                with_exceptions=False,
                env={"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", **(env or {})},
                kill_after_timeout=timeout,
            )
        except GitCommandNotFound as exc:
            raise Unavailable("git could not be started; install git 2.30 or newer") from exc
        if status == 0:
            return str(out)
        text = str(err)
        if any(sign in text for sign in _UNREACHABLE):
            raise Unavailable(f"`{' '.join(command)}`: the remote did not answer: {text.strip()}")
        raise GitError(" ".join(command), text)

    def commit(self, revision: str = "HEAD") -> str:
        """Return the full SHA of the commit that `revision` names.

        Raises:
            UsageError: there is no such commit here; in a shallow clone it may exist elsewhere.
        """
        try:
            return self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except GitError as exc:
            hint = "; the clone is shallow: `git fetch --unshallow`" if self.shallow else ""
            raise UsageError(f"there is no commit {revision!r} in {self.root}{hint}") from exc

    def has(self, revision: str) -> bool:
        """Return whether `revision` names a commit that is here."""
        try:
            self.commit(revision)
        except UsageError:
            return False
        return True

    def first_parent(self, commit: str) -> str | None:
        """Return the commit that `commit` names as its first parent, here or not; None: it names none.

        From the object itself: in a shallow clone git says that the last commit has no parents.

        Raises:
            GitError: there is no such commit here.
        """
        header, _, _ = self.run("cat-file", "commit", commit).partition("\n\n")
        lines = (line.partition(" ") for line in header.split("\n"))
        return next((value for key, _, value in lines if key == "parent"), None)

    @property
    def shallow(self) -> bool:
        """Whether history is cut off."""
        return self.run("rev-parse", "--is-shallow-repository") == "true"

    @property
    def remotes(self) -> list[str]:
        """The names of the remotes."""
        return self.run("remote").split()

    def read(self, revision: str, path: str) -> str | None:
        """Return the text of `path` at `revision`, or None where it is not there."""
        try:
            return self.run("show", f"{self.commit(revision)}:{path}")
        except GitError:
            return None

    def changed_paths(self, base: str, head: str) -> list[str]:
        """Return the paths that differ between two commits; both sides of a rename count."""
        out = self.run("diff", "--name-only", "--no-renames", "-z", base, head)
        return [path for path in out.split("\0") if path]

    def identity(self) -> dict[str, str]:
        """Return the environment that lets git make tags and commits: empty where an identity is set."""
        try:
            self.run("config", "user.email")
        except GitError:
            return {name: value for name, value in FALLBACK_IDENTITY.items() if not os.environ.get(name)}
        return {}

    @contextlib.contextmanager
    def worktree(self, revision: str) -> Iterator[Path]:
        """Yield a clean checkout of `revision`, gone afterwards; the user's work tree is not touched."""
        parent = Path(tempfile.mkdtemp(prefix="passmuster-"))
        folder = parent / "tree"
        try:
            # A hook of the user's (as `dvc install` makes one) would run in it.
            no_hooks = ("-c", "core.hooksPath=/dev/null")
            self.run(*no_hooks, "worktree", "add", "--quiet", "--detach", "--force", str(folder), self.commit(revision))
            yield folder
        finally:
            shutil.rmtree(parent, ignore_errors=True)
            with contextlib.suppress(GitError):
                self.run("worktree", "prune")
