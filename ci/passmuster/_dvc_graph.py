"""DVC's graph at a commit or in a checkout, read without DVC's repository machinery; makes no decisions.

DVC's own index takes several seconds for 3,000 stages, and importing it takes one. Here stages are read as plain YAML,
and only those with `${…}`, `foreach` or `matrix` go through DVC's own resolver, so that its rules are never re-told.
"""

from __future__ import annotations

import configparser
import io
import json
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Protocol

import yaml

from passmuster.config import _plain
from passmuster.errors import UsageError

#: Keys of a stage that change nothing about what it makes.
_WORDS_FOR_PEOPLE = ("desc", "meta")
_TEMPLATES = ("foreach", "matrix")


class Files(Protocol):
    """Where files come from: a commit (`_tree.Tree`) or a checkout (`_tree.Folder`)."""

    @property
    def paths(self) -> Collection[str]:
        """The paths of all files, from the repository's root, with `/`."""

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of `paths` that are there."""


class GraphError(UsageError):
    """A `dvc.yaml` or `.dvc` file can't be read as DVC would; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a `dvc.yaml`, everything resolved, or one `.dvc` file."""

    address: str  #: as DVC names it: "train", "models/a/dvc.yaml:train", "data/raw.csv.dvc"
    file: str  #: the file that defines it
    name: str | None  #: within its `dvc.yaml`; None for a `.dvc` file
    definition: Mapping[str, Any]  #: as resolved, without the words for people
    deps: tuple[str, ...]  #: paths from the repository's root; addresses elsewhere as written
    outs: tuple[str, ...]  #: likewise
    params: Mapping[str, tuple[str, ...] | None]  #: file → keys; None: all of the file

    @property
    def lock(self) -> str:
        """The `dvc.lock` that holds what a `dvc.yaml`'s stages gave."""
        return posixpath.join(posixpath.dirname(self.file), "dvc.lock")

    @property
    def runs(self) -> bool:
        """Whether it runs a command."""
        return "cmd" in self.definition


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All stages, by address, and how they hang together."""

    stages: Mapping[str, Stage]
    looked_at: frozenset[str] = field(default_factory=frozenset)  #: files that templates took values from, or sought

    def named(self, target: str) -> tuple[str, ...]:
        """Return the addresses that a target means: a stage, the stem of a group, a file, or an output; or none."""
        if target in self.stages:
            return (target,)
        if found := self._by_name.get(target):
            return tuple(found)
        return tuple(self._made_by.get(posixpath.normpath(target), ()))

    def near(self, target: str) -> str | None:
        """Return the name of a stage or output that looks like `target`."""
        return next(iter(get_close_matches(target, [*self._by_name, *self._made_by][:20_000], 1, 0.6)), None)

    def makers(self, path: str) -> set[str]:
        """Return the stages that make `path`, a folder that holds it, or something in it."""
        found = set(self._made_within.get(path, ()))
        for part in _self_and_parents(path):
            found.update(self._made_by.get(part, ()))
        return found

    def upstream(self, addresses: Iterable[str]) -> set[str]:
        """Return `addresses` and every stage, of any depth, that they need."""
        found: set[str] = set()
        waiting = [address for address in addresses if address in self.stages]
        while waiting:
            address = waiting.pop()
            if address not in found:
                found.add(address)
                waiting.extend(self._needs(address))
        return found

    def joined(self, other: Graph) -> Graph:
        """Return a graph with the stages of both; where an address is in both, with the edges of both."""
        stages = {**other.stages, **self.stages}
        for address in self.stages.keys() & other.stages.keys():
            ours, theirs = self.stages[address], other.stages[address]
            if (ours.deps, ours.outs) != (theirs.deps, theirs.outs):
                stages[address] = Stage(
                    address=address,
                    file=ours.file,
                    name=ours.name,
                    definition=ours.definition,
                    deps=tuple(dict.fromkeys((*ours.deps, *theirs.deps))),
                    outs=tuple(dict.fromkeys((*ours.outs, *theirs.outs))),
                    params=ours.params,
                )
        return Graph(stages=stages)

    @cached_property
    def _by_name(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for stage in self.stages.values():
            names = {stage.address, stage.file}
            if stage.name is not None:
                names |= {f"{stage.file}:{stage.name}", stage.address.split("@")[0]}
            for name in names:
                found.setdefault(name, []).append(stage.address)
        return found

    @cached_property
    def _made_by(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for stage in self.stages.values():
            for out in stage.outs:
                found.setdefault(out, []).append(stage.address)
        return found

    @cached_property
    def _made_within(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for out, addresses in self._made_by.items():
            for parent in parents(out):
                found.setdefault(parent, set()).update(addresses)
        return found

    @cached_property
    def _edges(self) -> dict[str, set[str]]:
        return {}

    def _needs(self, address: str) -> set[str]:
        if address not in self._edges:
            stage = self.stages[address]
            found = {maker for dep in (*stage.deps, *stage.params) for maker in self.makers(dep)}
            self._edges[address] = found - {address}
        return self._edges[address]


def read(files: Files) -> Graph:
    """Return the graph that `files` hold.

    Raises:
        GraphError: a file is not YAML, not a pipeline, or a template in it can't be resolved.
    """
    wanted = [path for path in files.paths if is_definition(path)]
    contents = files.read([*wanted, ".dvc/config"])
    settings = _parsing_settings(contents.pop(".dvc/config", b""))
    stages: dict[str, Stage] = {}
    looked_at: set[str] = set()
    for path, content in sorted(contents.items()):
        found = _document(path, content)
        if posixpath.basename(path) == "dvc.yaml":
            if b"${" in content or b"foreach" in content or b"matrix" in content:
                found = {**found, "stages": _resolved(path, found, files, settings, looked_at)}
            read_here: Iterator[Stage] = _pipeline(path, found)
        else:
            read_here = iter((_single(path, found),))
        stages.update((stage.address, stage) for stage in read_here)
    return Graph(stages=stages, looked_at=frozenset(looked_at))


def is_definition(path: str) -> bool:
    """Return whether DVC reads stages from a file of that name."""
    name = path.rpartition("/")[2]
    return name == "dvc.yaml" or (name.endswith(".dvc") and name != ".dvc" and not f"/{path}".count("/.dvc/"))


def lock_entries(files: Files) -> Mapping[str, str]:
    """Return the text of each stage's entry in its `dvc.lock`, by the stage's address.

    Raises:
        GraphError: a lock is not YAML.
    """
    paths = [path for path in files.paths if posixpath.basename(path) == "dvc.lock"]
    found: dict[str, str] = {}
    for path, content in files.read(paths).items():
        file = posixpath.join(posixpath.dirname(path), "dvc.yaml")
        for name, entry in _entries(path, _text(path, content)).items():
            found[_address(file, name)] = entry
    return found


def _entries(path: str, text: str) -> dict[str, str]:
    """Slice the lock's text by the marks of its events: values are compared as text, so none need be built."""
    found: dict[str, str] = {}
    depth, section, key, start = 0, "", "", 0
    is_key = True
    sections: set[str] = set()
    try:
        for event in _plain.events(text):
            kind = event.__class__
            if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                depth += 1
                is_key = True
                if depth > 2:
                    continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                depth -= 1
                is_key = True
                if depth == 2 and section == "stages":
                    if key in found:
                        raise GraphError(f"{path}: stage {key!r} is there twice")
                    found[key] = text[start : event.end_mark.index].rstrip()
            elif kind is yaml.ScalarEvent and depth <= 2:
                if depth == 1 and is_key:
                    section = event.value
                    sections.add(section)
                elif depth == 2 and is_key:
                    key, start = event.value, event.start_mark.index
                is_key = not is_key
    except yaml.YAMLError as exc:
        raise GraphError(f"{path}: {' '.join(str(exc).split())}") from exc
    if text.strip() and "stages" not in sections:
        raise GraphError(f"{path}: not a lock as DVC 2 and later write it")
    return found


def _pipeline(path: str, content: Mapping[str, Any]) -> Iterator[Stage]:
    stages = content.get("stages") or {}
    if not isinstance(stages, Mapping):
        raise GraphError(f"{path}: `stages` is not a mapping")
    folder = posixpath.dirname(path)
    for name, definition in stages.items():
        if not isinstance(definition, Mapping):
            raise GraphError(f"{path}: stage {name!r} is not a mapping")
        kept = {key: value for key, value in definition.items() if key not in _WORDS_FOR_PEOPLE}
        where = posixpath.join(folder, str(definition.get("wdir") or "."))
        deps = tuple(_path(where, dep) for dep in _names(path, definition.get("deps")))
        outs = (out for key in ("outs", "metrics", "plots") for out in _names(path, definition.get(key)))
        if any(dep.startswith("ds://") for dep in deps):
            kept["datasets"] = content.get("datasets")
        yield Stage(
            address=_address(path, str(name)),
            file=path,
            name=str(name),
            definition=kept,
            deps=deps,
            outs=tuple(_path(where, out) for out in outs),
            params=_params(path, where, definition.get("params")),
        )


def _single(path: str, content: Mapping[str, Any]) -> Stage:
    where = posixpath.join(posixpath.dirname(path), str(content.get("wdir") or "."))
    return Stage(
        address=path,
        file=path,
        name=None,
        definition={key: value for key, value in content.items() if key not in _WORDS_FOR_PEOPLE},
        deps=tuple(_path(where, dep) for dep in _names(path, content.get("deps"))),
        outs=tuple(_path(where, out) for out in _names(path, content.get("outs"))),
        params={},
    )


def _names(path: str, entries: Any) -> Iterator[str]:
    """Yield the paths of a list of deps or outs: plain, as the key of their settings, or under `path`."""
    if entries is not None and not isinstance(entries, list):
        raise GraphError(f"{path}: deps and outs are lists")
    for entry in entries or ():
        if not isinstance(entry, Mapping):
            yield str(entry)
        elif "path" in entry and not isinstance(entry["path"], Mapping):
            yield str(entry["path"])
        else:
            yield from map(str, entry)


def _params(path: str, where: str, entries: Any) -> dict[str, tuple[str, ...] | None]:
    found: dict[str, tuple[str, ...] | None] = {}
    if entries is not None and not isinstance(entries, list):
        raise GraphError(f"{path}: params are a list")
    for entry in entries or ():
        if isinstance(entry, Mapping):
            for file, keys in entry.items():
                _add(found, _path(where, str(file)), [str(key) for key in keys] if keys else None)
        else:
            _add(found, _path(where, "params.yaml"), [str(entry)])
    return found


def _add(found: dict[str, tuple[str, ...] | None], file: str, keys: list[str] | None) -> None:
    before = found.get(file, ())
    found[file] = None if keys is None or before is None else (*before, *keys)


def _path(where: str, path: str) -> str:
    return path if "://" in path or path.startswith("/") else posixpath.normpath(posixpath.join(where, path))


def _address(file: str, name: str) -> str:
    return name if file == "dvc.yaml" else f"{file}:{name}"


def _self_and_parents(path: str) -> Iterator[str]:
    yield path
    yield from parents(path)


def parents(path: str) -> Iterator[str]:
    """Yield the folders that hold `path`, the nearest first; the last is `.`."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
    yield "."


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise GraphError(f"{path}: not UTF-8") from exc


def _document(path: str, content: bytes) -> Mapping[str, Any]:
    try:
        found = _plain.load(_text(path, content))
    except _plain.Unreadable as exc:
        raise GraphError(f"{path}: {exc}") from exc
    if found is not None and not isinstance(found, Mapping):
        raise GraphError(f"{path}: not a mapping")
    return found or {}


def _parsing_settings(content: bytes) -> dict[str, str]:
    """Return the section of DVC's settings that says how templates write lists and booleans."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string("\n".join(line.strip() for line in content.decode().splitlines()))
    except (configparser.Error, UnicodeDecodeError) as exc:
        raise GraphError(f".dvc/config: {' '.join(str(exc).split())}") from exc
    return dict(parser["parsing"]) if parser.has_section("parsing") else {}


def _resolved(
    path: str, content: Mapping[str, Any], files: Files, settings: Mapping[str, str], looked_at: set[str]
) -> dict[str, Any]:
    """Return the stages of one `dvc.yaml`, templates written out by DVC's own resolver."""
    stages = content.get("stages") or {}
    if not isinstance(stages, Mapping) or not all(isinstance(stage, Mapping) for stage in stages.values()):
        raise GraphError(f"{path}: `stages` is not a mapping of mappings")
    templates = {name: stage for name, stage in stages.items() if _is_template(stage)}
    if not templates:
        return dict(stages)

    from dvc.exceptions import DvcException
    from dvc.parsing import DataResolver

    found = {name: stage for name, stage in stages.items() if name not in templates}
    source = {key: content[key] for key in ("vars",) if content.get(key)} | {"stages": templates}
    try:
        resolver = DataResolver(_Seen(files, settings, looked_at), posixpath.dirname(path), source)
        for key in resolver.get_keys():
            found.update(resolver.resolve_one(key))
    except DvcException as exc:
        raise GraphError(f"{path}: {exc}") from exc
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as exc:  # DVC checks by a schema before
        raise GraphError(f"{path}: not a pipeline as DVC knows it: {exc!r}") from exc
    return found


def _is_template(stage: Mapping[str, Any]) -> bool:
    return any(key in stage for key in _TEMPLATES) or "${" in json.dumps(stage, default=str)


class _Seen:
    """What DVC's resolver asks of a repository: its settings and a file system; notes the files it looks at."""

    def __init__(self, files: Files, settings: Mapping[str, str], looked_at: set[str]) -> None:
        self.fs = self
        self.config = {"parsing": settings}
        self.files, self.looked_at = files, looked_at
        self._paths = frozenset(files.paths)

    def exists(self, path: str) -> bool:
        self.looked_at.add(path)
        return path in self._paths

    def isdir(self, path: str) -> bool:
        return any(known.startswith(f"{path}/") for known in self._paths)

    def open(self, path: str, **_: object) -> io.StringIO:
        self.looked_at.add(path)
        return io.StringIO(_text(path, self.files.read([path])[path]))

    join = staticmethod(posixpath.join)
    normpath = staticmethod(posixpath.normpath)
    relpath = staticmethod(posixpath.relpath)

    def suffix(self, path: str) -> str:
        return PurePosixPath(path).suffix
