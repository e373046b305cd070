"""By whose policy a candidate is judged: its own commit's, a base's, and that of its commit's first parent as well.

Policy is more than a config: the user's gates and tests judge too, so they are taken from the commit that rules.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passmuster import config as configs
from passmuster import digest
from passmuster._dvc_graph import parents
from passmuster._git import Repository
from passmuster._tree import Tree
from passmuster.config import ModelConfig
from passmuster.errors import Refused, UsageError


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """A policy, and where it comes from."""

    config: ModelConfig
    ref: str | None  #: as people named its commit; None: the candidate's own
    commit: str | None
    changes: tuple[str, ...] = ()  #: how the candidate's own policy differs from it

    @property
    def digest(self) -> str:
        """The digest of the policy."""
        return digest.of_json(configs.policy_json(self.config))


#: How the first parent's policy is named in records.
FIRST_PARENT = "first parent"


def given(root: Path, config: ModelConfig, ref: str | None) -> Ruling:
    """Return the policy that the commit `ref` has for the model, or, without one, that of `config`.

    Raises:
        Refused: that commit does not know the model.
        UsageError: there is no such commit.
    """
    if ref is None:
        return Ruling(config=config, ref=None, commit=None)
    repository = Repository.containing(root)
    commit = repository.commit(ref)
    base = configs.load_at(repository, commit, only=[config.name]).get(config.name)
    if base is None:
        raise Refused(
            f"{ref} has no {config.path}, so there is no policy to judge {config.name} by: a model that the base "
            "does not know needs a person who brings its config there first"
        )
    return Ruling(config=base, ref=ref, commit=commit, changes=tuple(configs.differences(base, config)))


def of_first_parent(repository: Repository, commit: str, config: ModelConfig) -> Ruling | None:
    """Return the policy of the first parent of `commit`, where it is another one than that of `config`; else None.

    A merge that loosens a policy must not pass by the loosened one alone. Another policy is another config, or other
    code of the user's gates and tests.

    Args:
        repository: the clone.
        commit: what is judged, as 40 hex digits.
        config: the model's, at that commit.

    Raises:
        Refused: the parent is not in this clone, or its config can't be read: then nobody knows what it asked for.
    """
    parent = repository.first_parent(commit)
    if parent is None:
        return None
    if not repository.has(parent):
        raise Refused(
            f"the first parent of {commit[:10]} is not in this clone, so whether the policy changed can't be told; "
            "fetch it (`git fetch --unshallow`)"
        )
    try:
        before = configs.load_at(repository, parent, only=[config.name]).get(config.name)
    except UsageError as exc:
        raise Refused(f"the policy of {parent[:10]}, the first parent of {commit[:10]}, can't be read: {exc}") from exc
    if before is None:
        return None  # a model that is new here had no policy
    changes = configs.differences(configs.policy_json(before), configs.policy_json(config))
    changes += _changed_code(Tree.at(repository, parent), Tree.at(repository, commit), before)
    if not changes:
        return None
    return Ruling(config=before, ref=FIRST_PARENT, commit=parent, changes=tuple(changes))


def _changed_code(before: Tree, now: Tree, config: ModelConfig) -> list[str]:
    """Return a line for each file of gates and tests, or beside them, that differs."""
    named = _named(config)
    folders = [path for path in named if not path.endswith(".py")]
    beside = [posixpath.dirname(path) for path in named if path.endswith(".py")]
    setups = {posixpath.join(parent, "conftest.py") for path in named for parent in ("", *parents(path))}

    def rules(path: str) -> bool:
        if path in setups or any(path.startswith(f"{folder}/") for folder in folders):
            return True
        within = (folder == posixpath.dirname(path) or path.startswith(f"{folder}/") for folder in beside)
        return path.endswith(".py") and any(within)

    paths = {*before.paths, *now.paths} if named else ()
    differing = (path for path in paths if before.entries.get(path) != now.entries.get(path))
    return [f"{json.dumps(path)}: changed" for path in sorted(filter(rules, differing))]


@contextmanager
def checkout(root: Path, ruling: Ruling, judged_at: str | None) -> Iterator[Path]:
    """Yield a folder with the user's gates and tests as the commit that rules has them.

    An edited file must not judge. Without a commit, or without git (then nothing can be promoted either), or where the
    policy names no code, that is `root` itself.

    Args:
        root: the user's checkout.
        ruling: the policy.
        judged_at: the candidate's commit, whose files judge where the policy is its own.

    Raises:
        Refused: the commit is not in this clone.
    """
    commit = ruling.commit or judged_at
    repository = _repository(root) if commit and _named(ruling.config) else None
    if repository is None or commit is None:
        yield root
        return
    if not repository.has(commit):
        raise Refused(f"commit {commit}, which was re-run, is not in this clone; fetch it, so that its tests can judge")
    with repository.worktree(commit) as folder:
        yield folder


def _repository(root: Path) -> Repository | None:
    try:
        return Repository.containing(root)
    except UsageError:
        return None


def _named(config: ModelConfig) -> list[str]:
    """Return the files and folders with the user's gates and tests."""
    gates = config.gates
    return sorted({*gates.behaviour.tests, *(user.file for user in gates.user.values())})


def code(root: Path, config: ModelConfig) -> dict[str, str | None]:
    """Return path → digest of the user's gates and tests below `root`, file by file; None where one is not there."""
    named = _named(config)
    files = {path.relative_to(root).as_posix() for name in named for path in (root / name).rglob("*.py")}
    return {name: digest.of_file(root / name) for name in sorted({*named, *files}) if (root / name).is_file()} | {
        name: None for name in named if not (root / name).exists()
    }
