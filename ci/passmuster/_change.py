"""What differs between two commits: paths, stages, parameters, locks; says so, and decides nothing."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Any

from passmuster import _dvc_graph
from passmuster._dvc_graph import Graph, Stage, parents
from passmuster._tree import Tree
from passmuster.config import _plain

_LOADERS: Mapping[str, Callable[[str], Any]] = {".json": json.loads, ".toml": tomllib.loads}


@dataclass(frozen=True)
class Change:
    """The difference between the files of two commits."""

    before: Tree
    now: Tree

    @cached_property
    def paths(self) -> frozenset[str]:
        """The paths that differ; a link differs where what it points to does."""
        ours, theirs = self.now.entries, self.before.entries
        found = {path for path, entry in ours.items() if theirs.get(path) != entry}
        found |= theirs.keys() - ours.keys()
        links = {**self.before.links(), **self.now.links()}
        while more := {link for link, target in links.items() if link not in found and _touches(found, target)}:
            found |= more
        return frozenset(found)

    @cached_property
    def code(self) -> tuple[str, ...]:
        """Of the paths, those of Python files, sorted."""
        return tuple(sorted(path for path in self.paths if path.endswith(".py")))

    @cached_property
    def _within(self) -> Mapping[str, str]:
        return {parent: path for path in sorted(self.paths, reverse=True) for parent in parents(path)}

    def at(self, path: str) -> str | None:
        """Return a path that differs and is `path`, lies in it, or holds it; None where none does."""
        if path in self.paths:
            return path
        if path in self._within:
            return self._within[path]
        return next((parent for parent in parents(path) if parent in self.paths), None)

    def said_of(self, path: str) -> str:
        """Return what happened to a path that differs, in words."""
        if path not in self.now.entries:
            return f"{path} was deleted"
        return f"{path} changed" if path in self.before.entries else f"{path} is new"

    def texts(self, path: str) -> tuple[str, str]:
        """Return the text of a file before and now; empty where it is not there."""
        before, now = (tree.read([path]).get(path, b"") for tree in (self.before, self.now))
        return before.decode(errors="surrogateescape"), now.decode(errors="surrogateescape")

    @cached_property
    def graphs(self) -> tuple[Graph, Graph]:
        """DVC's graph before and now; the same object where no file differs that it is read from.

        Raises:
            GraphError: one can't be read.
        """
        now = _graph(self.now)
        if any(map(_dvc_graph.is_definition, self.paths)) or now.looked_at & self.paths:
            return _graph(self.before), now
        return now, now


@lru_cache(maxsize=2)  # the one commit with which many are compared, and one of these
def _graph(tree: Tree) -> Graph:
    return _dvc_graph.read(tree)


@lru_cache(maxsize=2)
def _lock_entries(tree: Tree) -> Mapping[str, str]:
    return _dvc_graph.lock_entries(tree)


def stage_reasons(change: Change, addresses: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return why each of the stages `addresses` is not what it was, for those that are not, by address.

    Raises:
        GraphError: the graph or a lock can't be read, before or now.
    """
    before, now = change.graphs
    parameters, locks = _Parameters(change), _changed_locks(change, addresses)
    found = {}
    for address in addresses:
        old, new = before.stages.get(address), now.stages.get(address)
        reasons = list(_redefined(address, old, new))
        if address in locks:
            reasons.append(f"stage {address}: its entry in dvc.lock {locks[address]}")
        for stage in (new, old) if old is not new else (new,):
            if stage is not None:
                reasons += _inputs(stage, change)
                reasons += (f"stage {address}: {text}" for text in parameters.changed(stage.params))
        if reasons:
            found[address] = tuple(dict.fromkeys(reasons))
    return found


def _inputs(stage: Stage, change: Change) -> Iterator[str]:
    for path in (*stage.deps, *stage.outs):
        if (changed := change.at(path)) is not None:
            yield f"stage {stage.address}: {change.said_of(changed)}"
        elif path.startswith("ds://") and stage.lock in change.paths:  # a data set's version stands there
            yield f"stage {stage.address}: {change.said_of(stage.lock)}"


def _redefined(address: str, old: Stage | None, new: Stage | None) -> Iterator[str]:
    if old is new:
        return
    stage = new or old
    kind = "stage" if stage is not None and stage.name is not None else "data"
    if old is None or new is None:
        yield f"{kind} {address} {'is new' if old is None else 'was removed'}"
        return
    keys = sorted({**old.definition, **new.definition}) if old.definition != new.definition else []
    if changed := [key for key in keys if old.definition.get(key) != new.definition.get(key)]:
        yield f"{kind} {address}: {', '.join(changed)} changed"


def _changed_locks(change: Change, addresses: Collection[str]) -> dict[str, str]:
    """Return, by a stage's address, what became of its entry; empty where no lock differs."""
    if not any(posixpath.basename(path) == "dvc.lock" for path in change.paths):
        return {}
    now = _lock_entries(change.now)
    if (quickly := _sought(change, {address: now.get(address) for address in addresses})) is not None:
        return quickly
    before = _lock_entries(change.before)
    found = {}
    for address in (before.keys() | now.keys()) & set(addresses):
        if before.get(address) != now.get(address):
            found[address] = "was removed" if address not in now else _CHANGED if address in before else "is new"
    return found


_CHANGED = "changed"

#: So many entries are sought quicker in a text than a whole lock of some megabytes is read.
_FEW = 300

#: What follows an entry: another one, another part of the lock, or nothing.
_DEDENT = re.compile(r"  \S|\S|\Z")


def _sought(change: Change, entries: Mapping[str, str | None]) -> dict[str, str] | None:
    """Return the entries that differ, sought in the text of the locks before, as DVC writes it; None: can't tell."""
    stages = change.graphs[1].stages
    if len(entries) > _FEW or not entries.keys() <= stages.keys():
        return None
    locks = {stage.lock for address in entries if (stage := stages[address]).runs}
    texts = {path: content.decode(errors="replace") for path, content in change.before.read(locks).items()}
    found = {}
    for address, entry in entries.items():
        if not (stage := stages[address]).runs:  # a `.dvc` file, which has no entry
            continue
        text = texts.get(stage.lock, "")
        if entry is None or text.count(f"\n  {stage.name}:\n") != 1:
            return None
        _, there, rest = text.partition(f"\n  {entry}\n")
        if not there or not _DEDENT.match(rest):
            found[address] = _CHANGED
    return found


@dataclass(frozen=True)
class _Parameters:
    """The parameter files that differ, each read once, each key compared once."""

    change: Change
    files: dict[str, tuple[Any, Any] | None] = field(default_factory=dict)
    compared: dict[tuple[str, str], bool] = field(default_factory=dict)

    def changed(self, declared: Mapping[str, tuple[str, ...] | None]) -> Iterator[str]:
        """Yield a text for each declared parameter that differs; only the keys that a stage declares count."""
        for file, keys in declared.items():
            if (path := self.change.at(file)) is None:
                continue
            sides = self._sides(file) if path == file else None
            if sides is None or keys is None or any(set(key) & set("*?[") for key in keys):
                yield self.change.said_of(path)
                continue
            for key in keys:
                if (file, key) not in self.compared:
                    self.compared[file, key] = _same(_at(sides[0], key), _at(sides[1], key))
                if not self.compared[file, key]:
                    yield f"parameter {key} in {file} changed"

    def _sides(self, file: str) -> tuple[Any, Any] | None:
        """Return the values before and now; None where they can't be read as data, so that every key counts."""
        if file not in self.files:
            suffix = PurePosixPath(file).suffix.lower()
            load = _LOADERS.get(suffix, _plain.load)
            try:
                before, now = (load(text) if text.strip() else None for text in self.change.texts(file))
                self.files[file] = None if suffix == ".py" else (before, now)
            except (ValueError, RecursionError):
                self.files[file] = None
        return self.files[file]


#: What `_at` returns where nothing stands; equal to itself alone.
_MISSING = object()


def _at(values: Any, key: str) -> Any:
    """Return what stands at a dotted key, as DVC finds it."""
    for part in key.split("."):
        number = int(part) if part.isdecimal() and len(part) < 10 else None
        if isinstance(values, Mapping) and (part in values or number in values):
            values = values[part] if part in values else values[number]
        elif isinstance(values, list) and number is not None and number < len(values):
            values = values[number]
        else:
            return _MISSING
    return values


def _same(a: Any, b: Any) -> bool:
    """Return whether two values are the same as text: in Python 1, 1.0 and True are equal, in a file they differ."""
    try:
        return json.dumps(a, sort_keys=True, default=repr) == json.dumps(b, sort_keys=True, default=repr)
    except (TypeError, ValueError, RecursionError):
        return False


def _touches(changed: set[str], path: str) -> bool:
    return any(other == path or other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in changed)
