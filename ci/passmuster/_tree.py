"""The files of a commit, read from git's objects without a checkout; makes no decisions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from passmuster._git import GitError, Repository
from passmuster.errors import Unavailable


class Entry(NamedTuple):
    """What a path is at a commit."""

    mode: str  #: git's: "100644", "120000" (a link), "160000" (a submodule) …
    name: str  #: of the object: the same name, the same content


@dataclass(frozen=True)
class Tree:
    """The files of one commit: their names at once, their contents on demand, many in one go."""

    repository: Repository
    commit: str

    @classmethod
    def at(cls, repository: Repository, revision: str) -> Tree:
        """Return the files at `revision`.

        Raises:
            UsageError: there is no such commit.
        """
        return cls(repository, repository.commit(revision))

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """What each path is; paths from the root of the repository, with `/`."""
        listed = self._git("ls-tree", "-r", "-z", "--full-tree", self.commit)
        found = {}
        for line in filter(None, listed.split(b"\0")):
            facts, _, path = line.partition(b"\t")
            mode, _, name = facts.decode().split(" ")
            found[os.fsdecode(path)] = Entry(mode, name)
        return found

    @property
    def paths(self) -> Collection[str]:
        """The paths of all files."""
        return self.entries.keys()

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of `paths` that are files here (of a link: where it points)."""
        wanted = {path: self.entries[path].name for path in paths if path in self.entries}
        wanted = {path: name for path, name in wanted.items() if self.entries[path].mode != "160000"}
        if not wanted:
            return {}
        objects = self._objects(sorted(set(wanted.values())))
        return {path: objects[name] for path, name in wanted.items()}

    def links(self) -> dict[str, str]:
        """Return the symbolic links that stay in the repository: path → the path they point to."""
        links = [path for path, entry in self.entries.items() if entry.mode == "120000"]
        found = {}
        for path, content in self.read(links).items():
            target = os.path.normpath(PurePosixPath(path).parent / os.fsdecode(content))
            if not target.startswith(("..", "/")):
                found[path] = PurePosixPath(target).as_posix()
        return found

    def _objects(self, names: list[str]) -> dict[str, bytes]:
        answer = self._git("cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode())
        found, position = {}, 0
        for name in names:
            end = answer.index(b"\n", position)
            size = answer[position:end].split(b" ")[-1]
            if not size.isdigit():
                raise GitError("git cat-file --batch", f"object {name} is missing; the clone is partial or damaged")
            found[name] = answer[end + 1 : end + 1 + int(size)]
            position = end + 1 + int(size) + 1
        return found

    def _git(self, *arguments: str, given: bytes = b"") -> bytes:
        command = ["git", *arguments]
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                command, cwd=self.repository.root, env=environment, input=given, capture_output=True, check=False
            )
        except FileNotFoundError as exc:
            raise Unavailable("git could not be started; install git 2.30 or newer") from exc
        if done.returncode != 0:
            raise GitError(" ".join(command), done.stderr.decode(errors="replace"))
        return done.stdout


class Folder:
    """The files of a checkout that git tracks, or would: the counterpart of `Tree` for a work tree at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def paths(self) -> frozenset[str]:
        """The paths of all files, ignored ones left out."""
        tree = Tree(Repository(self.root), "HEAD")
        listed = tree._git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        found = {os.fsdecode(path) for path in listed.split(b"\0") if path}
        return frozenset(path for path in found if os.path.lexists(self.root / path))

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of `paths` that are files here."""
        return {path: (self.root / path).read_bytes() for path in paths if (self.root / path).is_file()}
