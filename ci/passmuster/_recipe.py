"""What the champion's data and the candidate's were prepared by: says in what the two differ, and prepares nothing.

A column may keep its name and change its meaning, which no look at the columns shows. Cheapest first: where the files
that were made are the champion's own by their hashes, the rest does not matter and is not looked at.
"""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from passmuster import _dvc, digest
from passmuster._git import Repository
from passmuster._tree import Tree
from passmuster.config import ModelConfig, _plain

#: What tells data from code and settings among the files in git that a stage reads; what `.dvc` files name is data
#: always. JSON is not among them: it more often says how to prepare than what, and counting it as that errs safely.
DATA_SUFFIXES = frozenset(
    {
        *(".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx"),
        *(".parquet", ".feather", ".arrow", ".avro", ".orc", ".npy", ".npz", ".db", ".sqlite"),
        *(".gz", ".bz2", ".xz", ".zst", ".zip"),
    }
)

#: Differences that are named; more add nothing for a reader.
_MOST = 5


@dataclass(frozen=True, kw_only=True)
class Side:
    """The champion, or the candidate."""

    commit: str
    config: ModelConfig  #: as it is there
    lock: Path  #: of the environment that its stages run in
    made: Mapping[str, str | None]  #: path of an output → its hash


def recorded(repository: Repository, commit: str) -> dict[str, str | None]:
    """Return path of an output → its hash, as the `dvc.lock` files at `commit` have them.

    Outputs of a stage with a `wdir` are not found; to look closer than needed does no harm.

    Raises:
        UsageError: there is no such commit.
    """
    tree = Tree.at(repository, commit)
    locks = tree.read(path for path in tree.paths if posixpath.basename(path) == "dvc.lock")
    found: dict[str, str | None] = {}
    for path, content in locks.items():
        try:
            stages = _plain.load(content.decode())["stages"].values()
            outs = [out for stage in stages for out in stage.get("outs", ())]
            found |= {posixpath.join(posixpath.dirname(path), out["path"]): f"md5:{out['md5']}" for out in outs}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # nothing known is not taken for equal
    return found


def difference(repository: Repository, champion: Side, candidate: Side) -> str:
    """Return in what the two preparations differ, in words; empty where nothing that can be known differs.

    What counts: the stages' resolved definitions, parameters and code, the lock, and what the config says of the files.
    Other raw data is no difference; but where the same raw data gives other files, something undeclared must differ.

    Raises:
        UsageError: a commit is not here, or its pipeline does not have the stages.
    """
    theirs, ours = _files(champion), _files(candidate)
    if theirs is not None and theirs == ours:
        return ""
    before = _Recipe.of(repository, champion, champion.config.data.prepare or candidate.config.data.prepare)
    now = _Recipe.of(repository, candidate, candidate.config.data.prepare or champion.config.data.prepare)
    changed = sorted(name for name in {**before.facts, **now.facts} if before.facts.get(name) != now.facts.get(name))
    if changed:
        more = f" and {len(changed) - _MOST} more" if len(changed) > _MOST else ""
        return f"the candidate's data is prepared otherwise than the champion's: {', '.join(changed[:_MOST])}{more}"
    if theirs is not None and ours is not None and before.raw == now.raw:
        return "the candidate's preparation makes other files of the same raw data than the champion's did"
    return ""


def _files(side: Side) -> dict[str, str] | None:
    """Return what a data file's content is by its hash, for each split; None where one is not known."""
    data = side.config.data
    found = {"label": data.label, "id": data.id}
    for split, path in (("train", data.train), ("test", data.test), ("reference", data.reference)):
        if path is None:
            continue
        out = next((out for out in side.made if path == out or path.startswith(f"{out}/")), None)
        if out is None or side.made[out] is None:
            return None
        found[split] = f"{side.made[out]}/{path.removeprefix(out)}"
    return found


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What the preparation at one commit follows from."""

    facts: Mapping[str, str]  #: what people call it → its content
    raw: Mapping[str, str | None]  #: path of raw data → its hash

    @classmethod
    def of(cls, repository: Repository, side: Side, stages: Sequence[str]) -> _Recipe:
        with repository.worktree(side.commit) as tree, tempfile.TemporaryDirectory(prefix="passmuster-dvc-") as private:
            closure = _dvc.closure(tree, stages, Path(private))
        files = Tree.at(repository, side.commit)
        data = side.config.data
        facts = {f"data.{key}": str(getattr(data, key)) for key in ("train", "test", "reference", "label", "id")}
        facts |= {f"stage {stage.address}": _text(stage.definition) for stage in closure.stages}
        facts |= {f"parameter {name}": _text(value) for name, value in closure.params.items()}
        facts |= {path: str(files.entries[path]) for path in _code(files.paths, closure)}
        facts["the model's lock"] = digest.of_file(side.lock)
        raw: dict[str, str | None] = {out.path: out.hash for source in closure.sources for out in source.outs}
        raw |= {path: files.entries[path].name for path in raw_in_git(files.paths, closure)}
        return cls(facts=facts, raw=raw)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def raw_in_git(paths: Iterable[str], closure: _dvc.Closure) -> list[str]:
    """Return those of `paths` in git that the stages read as raw data, sorted."""
    return sorted(path for path in _read(paths, closure) if PurePosixPath(path).suffix in DATA_SUFFIXES)


def _read(paths: Iterable[str], closure: _dvc.Closure) -> set[str]:
    """Return those of `paths` that the stages declare and neither a stage nor a `.dvc` file gives."""
    others = [out.path for source in closure.sources for out in source.outs]
    declared = [dep for dep in closure.raw if not any(_dvc.overlaps(dep, other) for other in others)]
    return {path for path in paths if any(path == dep or path.startswith(f"{dep}/") for dep in declared)}


def _code(paths: Iterable[str], closure: _dvc.Closure) -> set[str]:
    """Return the files that are declared or called, raw data aside, and the Python files in and below their folders.

    A Python script imports what lies beside it without saying so to DVC, and `python -m` whatever there is.
    """
    paths = set(paths)
    code = (_read(paths, closure) | (_called(closure) & paths)) - set(raw_in_git(paths, closure))
    folders = {posixpath.dirname(path) for path in code if path.endswith(".py")}
    if any(" -m " in str(stage.definition["cmd"]) for stage in closure.stages):
        folders.add("")
    scripts = (path for path in paths if path.endswith(".py"))
    return code | {path for path in scripts if any(not f or path.startswith(f"{f}/") for f in folders)}


def _called(closure: _dvc.Closure) -> set[str]:
    found = set()
    for stage in closure.stages:
        given = stage.definition["cmd"]
        for word in (given if isinstance(given, str) else " ".join(given)).split():
            found.add(posixpath.normpath(posixpath.join(stage.definition["wdir"], word.strip("\"';"))))
    return found
