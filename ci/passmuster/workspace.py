"""Where the records of a model stand in a checkout: `.passmuster/<model>/`, which is this machine's and never git's."""

from __future__ import annotations

from pathlib import Path

from passmuster import record
from passmuster._git import GitError, Repository
from passmuster.errors import Refused

FOLDER = ".passmuster"


def folder(root: Path, model: str) -> Path:
    """Return where the records of `model` are kept in the checkout `root`.

    Raises:
        Refused: git tracks something there. Evidence that comes with the code it is about proves nothing, and a link
            in its place would lead whatever is written, or removed, out of the checkout.
    """
    if tracked := _tracked(root):
        raise Refused(
            f"git tracks {tracked!r}: what stands in {FOLDER}/ must have been made here, by passmuster, and never come "
            f"with a commit; `git rm -r --cached {FOLDER}`, commit, and remove the folder"
        )
    return root / FOLDER / model


def make(folder: Path) -> None:
    """Make the folder of a model, and keep git away from it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder.parent / ".gitignore").exists():
        record.write_atomically(folder.parent / ".gitignore", "*\n")


def _tracked(root: Path) -> str:
    """Return the first path that git tracks there, on a file system that may not tell `A` from `a`; or nothing."""
    try:
        found = Repository(root).run("ls-files", "-z", "--", f":(icase){FOLDER}")
    except GitError as exc:
        if "not a git repository" in exc.stderr:
            return ""
        raise
    return found.partition("\0")[0]
