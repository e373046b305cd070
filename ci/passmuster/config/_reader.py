"""From the text of a config to its facts, generic over the dataclasses of `_model`.

YAML is read as nodes with marks, never constructed by tags. Plain scalars mean what YAML 1.2's core schema says (so
`off` and `no` are texts); anchors, aliases, tags and several documents are refused: a config is plain data.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import date
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from passmuster.config._complaints import Complaint, nearest, shown
from passmuster.config._model import AsWritten, Bounds, Matches, ModelConfig, NonEmpty, RepositoryPath

#: Where a value stands, from the top: the keys as written, and the numbers of list items.
Path = tuple[str | int, ...]

_LARGEST = 1_000_000  # bytes; a config is some kilobytes
_DEEPEST = 24
_MOST = 100  # complaints about one file; a person needs no more, and a hostile file could make millions

_INTEGER = re.compile(r"[-+]?[0-9]{1,31}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_T = TypeVar("_T")

_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml's, where PyYAML was built with it


class Incomplete(Exception):
    """A check asked for a value that could not be read; the complaint about it has been made."""


class Broken:
    """Stands where a value could not be read, so that the other checks still run; any use of it raises `Incomplete`."""

    def _refuse(self, *_: object) -> NoReturn:
        raise Incomplete

    __bool__ = __contains__ = __eq__ = __ne__ = __format__ = __ge__ = __getattr__ = __getitem__ = _refuse
    __gt__ = __hash__ = __iter__ = __le__ = __len__ = __lt__ = __str__ = _refuse


BROKEN: Any = Broken()


@dataclass(kw_only=True)
class Reading:
    """What came of one file: the facts (with `BROKEN` where one is unreadable), the complaints, and all marks."""

    file: str
    config: ModelConfig | None = None  #: None: not even a mapping
    complaints: list[Complaint] = field(default_factory=list)
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)  #: line and column, from 1

    def complain(self, path: Path, message: str) -> None:
        """Add a complaint at `path`, or where its nearest parent stands."""
        while path and path not in self.marks:
            path = path[:-1]
        line, column = self.marks.get(path, (1, 1))
        self._add(line, column, message)

    def complain_at(self, mark: Any, message: str) -> None:
        """Add a complaint at a mark of PyYAML's."""
        self._add(mark.line + 1, mark.column + 1, message)

    def run(self, check: Iterable[tuple[Path, str]]) -> None:
        """Add the complaints of a check, until it asks for a value that could not be read."""
        try:
            for path, message in check:
                self.complain(path, message)
        except Incomplete:
            return

    def _add(self, line: int, column: int, message: str) -> None:
        if len(self.complaints) > _MOST:
            return
        if len(self.complaints) == _MOST:
            message = f"more than {_MOST} complaints; the others are not shown"
        complaint = Complaint(file=self.file, line=line, column=column, message=message)
        if complaint not in self.complaints:
            self.complaints.append(complaint)


def read(content: bytes, file: str) -> Reading:
    """Read one config; `file` is its name in complaints. Never raises for what the content says."""
    reading = Reading(file=file)
    node = _compose(content, reading)
    if node is None:
        return reading
    if not isinstance(node, yaml.MappingNode):
        reading.complain_at(node.start_mark, "a config is a mapping of keys to values")
        return reading
    reading.config = _mapping_to_facts(node, ModelConfig, (), reading)
    return reading


def _compose(content: bytes, reading: Reading) -> yaml.Node | None:
    if len(content) > _LARGEST:
        reading.complain((), f"the file has {len(content)} bytes; a config has {_LARGEST} at most")
        return None
    try:
        text = content.decode("utf-8-sig")
        _refuse_clever_yaml(text, reading)
        node = None if reading.complaints else yaml.compose(text, _Loader)
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n")
        reading.marks[()] = (line + 1, 1)
        reading.complain((), f"not UTF-8: byte 0x{content[exc.start]:02x}")
        return None
    except yaml.reader.ReaderError as exc:
        before = text[: exc.position]
        reading.marks[()] = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        reading.complain((), f"the character #x{exc.character:04x} is not allowed in YAML")
        return None
    except yaml.MarkedYAMLError as exc:
        reading.complain_at(exc.problem_mark or exc.context_mark, f"not YAML: {exc.problem}")
        return None
    if node is None and not reading.complaints:
        reading.complain((), "the file is empty")
    return node


def _refuse_clever_yaml(text: str, reading: Reading) -> None:
    """Complain about what plain data has no need of, before any recursion: an alias can stand for gigabytes."""
    depth = documents = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            reading.complain_at(event.start_mark, f"alias {shown(str(event.anchor))}: write the value out")
        elif isinstance(event, yaml.NodeEvent):
            if event.anchor:
                reading.complain_at(event.start_mark, f"anchor {shown(event.anchor)}: anchors are not allowed")
            if (tag := getattr(event, "tag", None)) is not None:
                reading.complain_at(event.start_mark, f"tag {shown(tag)}: tags are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                reading.complain_at(event.start_mark, "a second document; a file holds one config")
                return
        if depth > _DEEPEST:
            reading.complain_at(event.start_mark, f"nested deeper than {_DEEPEST} levels")
            return


def key_of(name: str) -> str:
    """Return the key in YAML of a field's name."""
    return name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field as the reader, the schema and the reference see it."""

    name: str
    type: Any  #: without `Annotated` and without `None`
    doc: str
    constraints: tuple[Any, ...]
    required: bool
    default: Any


def fields_of(cls: type[Any]) -> Mapping[str, Field]:
    """Return the fields of a dataclass by their keys in YAML."""
    if cls not in _FIELDS:
        _FIELDS[cls] = _fields_of(cls)
    return _FIELDS[cls]


_FIELDS: dict[type[Any], Mapping[str, Field]] = {}


def _fields_of(cls: type[Any]) -> Mapping[str, Field]:
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for item in fields(cls):
        annotated = get_args(hints[item.name])
        required = item.default is MISSING and item.default_factory is MISSING
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        found[key_of(item.name)] = Field(
            name=item.name,
            type=without_none(annotated[0]),
            doc=str(annotated[1]),
            constraints=annotated[2:],
            required=required,
            default=None if required else default,
        )
    return found


def without_none(kind: Any) -> Any:
    """Return `T` for `T | None`, else the type itself."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (option for option in get_args(kind) if option is not type(None))
    return kind


def _entries(node: yaml.MappingNode, path: Path, reading: Reading) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield key, key node and value node; complain about what is no key, and about keys that are set twice."""
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            reading.complain_at(key.start_mark, "a key must be a text")
            continue
        name = str(key.value)
        if name in seen:
            reading.complain_at(key.start_mark, f"{shown(name)} is set twice (first on line {seen[name]})")
            continue
        seen[name] = key.start_mark.line + 1
        mark = value.start_mark if isinstance(value, yaml.ScalarNode) and value.value else key.start_mark
        reading.marks[(*path, name)] = (mark.line + 1, mark.column + 1)
        yield name, key, value


def _mapping_to_facts(node: yaml.MappingNode, cls: type[_T], path: Path, reading: Reading) -> _T:
    known = fields_of(cls)
    reading.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    values: dict[str, Any] = {}
    for key, key_node, value in _entries(node, path, reading):
        if key == "<<":
            reading.complain_at(key_node.start_mark, "a merge key; write the keys out")
        elif key not in known:
            reading.complain_at(key_node.start_mark, f"unknown key {shown(key)}{nearest(key, known)}")
        else:
            item = known[key]
            values[item.name] = _read(value, item.type, item.constraints, (*path, key), reading)
    for key, item in known.items():
        if item.required and item.name not in values:
            where = f"in {shown(str(path[-1]))}" if path else "in the config"
            reading.complain(path, f"the key {shown(key)} is missing {where}")
            values[item.name] = BROKEN
    return cls(**values)


def _read(node: yaml.Node, kind: Any, constraints: tuple[Any, ...], path: Path, reading: Reading) -> Any:
    """Return the value of `node` as `kind`, or `BROKEN` after a complaint."""
    if kind is Any:
        return _anything(node, path, reading)
    origin = get_origin(kind)
    if origin is tuple:
        return _list(node, get_args(kind)[0], constraints, path, reading)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(node, get_args(kind)[1], constraints, path, reading)
    if is_dataclass(kind) and isinstance(kind, type):
        if isinstance(node, yaml.MappingNode):
            return _mapping_to_facts(node, kind, path, reading)
        return _wrong(node, "a mapping", reading)
    return _scalar(node, kind, constraints, reading)


def _list(node: yaml.Node, kind: Any, constraints: tuple[Any, ...], path: Path, reading: Reading) -> Any:
    if not isinstance(node, yaml.SequenceNode):
        return _wrong(node, "a list", reading)
    _not_empty(node, constraints, reading)
    values: list[Any] = []
    lines: dict[str, int] = {}
    for number, item in enumerate(node.value):
        reading.marks[(*path, number)] = (item.start_mark.line + 1, item.start_mark.column + 1)
        value = _read(item, kind, constraints, (*path, number), reading)
        if value is BROKEN:
            continue
        if isinstance(value, str) and value in lines:
            reading.complain_at(item.start_mark, f"{shown(value)} is listed twice (first on line {lines[value]})")
        elif isinstance(value, str):
            lines[value] = item.start_mark.line + 1
        values.append(value)
    return tuple(values)


def _mapping(node: yaml.Node, kind: Any, constraints: tuple[Any, ...], path: Path, reading: Reading) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return _wrong(node, "a mapping", reading)
    _not_empty(node, constraints, reading)
    found = {}
    for key, key_node, value in _entries(node, path, reading):
        if key == "<<":
            reading.complain_at(key_node.start_mark, "a merge key; write the keys out")
            continue
        if fault := _fault_of_text(key, (*constraints, NonEmpty())):
            reading.complain_at(key_node.start_mark, fault)
        found[key] = _read(value, without_none(kind), (), (*path, key), reading)
    return found


def _not_empty(node: yaml.Node, constraints: tuple[Any, ...], reading: Reading) -> None:
    if not node.value and any(isinstance(c, NonEmpty) for c in constraints):
        reading.complain_at(node.start_mark, "empty; at least one entry is needed")


def _is_null(node: yaml.ScalarNode) -> bool:
    return not node.style and node.value in _NULLS


def _wrong(node: yaml.Node, expected: str, reading: Reading) -> Any:
    found = "something else"
    if isinstance(node, yaml.MappingNode):
        found = "a mapping"
    elif isinstance(node, yaml.SequenceNode):
        found = "a list"
    elif isinstance(node, yaml.ScalarNode):
        found = "nothing (leave the key out to have the default)" if _is_null(node) else shown(node.value)
    reading.complain_at(node.start_mark, f"expected {expected}, found {found}")
    return BROKEN


def _scalar(node: yaml.Node, kind: Any, constraints: tuple[Any, ...], reading: Reading) -> Any:
    if not isinstance(node, yaml.ScalarNode) or _is_null(node):
        return _wrong(node, _words(kind), reading)
    plain = not node.style
    text = str(node.value)
    if kind is bool:
        return _BOOLEANS[text] if plain and text in _BOOLEANS else _wrong(node, "true or false", reading)
    if kind in (int, float):
        return _number(node, kind, constraints, reading)
    if kind is date:
        return _date(node, reading)
    if issubclass(kind, StrEnum):
        choices = [str(choice) for choice in kind]
        if text in choices:
            return kind(text)
        reading.complain_at(node.start_mark, f"{shown(text)} is not a choice here{nearest(text, choices)}")
        return BROKEN
    as_written = any(isinstance(c, AsWritten) for c in constraints)
    if plain and not as_written and (text in _BOOLEANS or _NUMBER.fullmatch(text)):
        reading.complain_at(node.start_mark, f"expected a text, found {text}; put it in quotes")
        return BROKEN
    if fault := _fault_of_text(text, constraints):
        reading.complain_at(node.start_mark, fault)
        return BROKEN
    return text


def _words(kind: Any) -> str:
    words = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", date: "a date"}
    return words.get(kind) or " or ".join(f"`{choice}`" for choice in kind)


def _number(node: yaml.ScalarNode, kind: type[int | float], constraints: tuple[Any, ...], reading: Reading) -> Any:
    text = str(node.value)
    pattern = _INTEGER if kind is int else _NUMBER
    if node.style or not pattern.fullmatch(text):
        return _wrong(node, "a finite number" if _NOT_FINITE.fullmatch(text) else _words(kind), reading)
    value = kind(text)
    if not math.isfinite(value):
        return _wrong(node, "a finite number", reading)
    for bounds in constraints:
        if isinstance(bounds, Bounds) and (fault := _fault_of_number(value, bounds)):
            reading.complain_at(node.start_mark, f"{text} is {fault}")
            return BROKEN
    return value


def _fault_of_number(value: float, bounds: Bounds) -> str | None:
    low, high = bounds.minimum, bounds.maximum
    if low is not None and (value < low or (bounds.exclusive and value == low)):
        return f"too small; it must be {'more than' if bounds.exclusive else 'at least'} {low:g}"
    if high is not None and (value > high or (bounds.exclusive and value == high)):
        return f"too great; it must be {'less than' if bounds.exclusive else 'at most'} {high:g}"
    return None


def _fault_of_text(text: str, constraints: tuple[Any, ...]) -> str | None:
    for constraint in constraints:
        if isinstance(constraint, NonEmpty) and not text.strip():
            return "an empty text"
        if isinstance(constraint, Matches) and not re.fullmatch(constraint.pattern, text):
            return f"{shown(text)} does not fit: {constraint.words}"
        if isinstance(constraint, RepositoryPath) and (fault := _fault_of_path(text)):
            return f"{shown(text)} is not a path in the repository: {fault}"
    return None


def _fault_of_path(text: str) -> str | None:
    if not text.strip() or not text.isprintable():
        return "it is empty or has control characters"
    if "\\" in text or ":" in text:
        return "write it with `/`, without `\\` or `:`"
    if text.startswith(("/", "~", "-")):
        return "it must be relative to the repository's root"
    if ".." in PurePosixPath(text).parts:
        return "it leads outside by `..`"
    if str(PurePosixPath(text)) != text:
        return f"write {shown(str(PurePosixPath(text)))}"
    return None


def _date(node: yaml.ScalarNode, reading: Reading) -> Any:
    text = str(node.value)
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError as exc:
        reading.complain_at(node.start_mark, f"{shown(text)} is not a date: {exc}")
        return BROKEN
    return _wrong(node, "a date as YYYY-MM-DD", reading)


def _anything(node: yaml.Node, path: Path, reading: Reading) -> Any:
    """Return plain data by YAML 1.2's core schema; what is not finite, or in another notation, is refused."""
    if isinstance(node, yaml.MappingNode):
        return {key: _anything(value, (*path, key), reading) for key, _, value in _entries(node, path, reading)}
    if isinstance(node, yaml.SequenceNode):
        return [_anything(item, (*path, number), reading) for number, item in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode) or _is_null(node):
        return None
    text = str(node.value)
    if node.style:
        return text
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return _number(node, float, (), reading)
    return text
