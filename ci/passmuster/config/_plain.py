"""YAML as plain data, quickly: what `plan` reads thousands of entries with, where no marks are needed.

Built from libyaml's events, since constructing values by tags takes most of PyYAML's time. Plain scalars mean what YAML
1.2 says, as in DVC. Aliases and merge keys work, up to a size; nothing here recurses, so no nesting is too deep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_LARGEST = 3_000_000  # values after aliases are expanded; a file of 3,000 stages has some 50,000
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMERIC = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]{1,31}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")


class Unreadable(ValueError):
    """The text is not YAML, or not plain data; says where."""


def load(text: str) -> Any:
    """Return the one document in `text`.

    Raises:
        Unreadable: it is not YAML, sets a key twice, or is too large once its aliases are written out.
    """
    try:
        return _Builder().build(text)
    except yaml.YAMLError as exc:
        raise Unreadable(" ".join(str(exc).split())) from exc


def events(text: str) -> Iterator[Any]:
    """Yield the events of `text` as libyaml finds them; without a generator, which would take a third of the time.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return iter(_Loader(text).get_event, None)


class _Builder:
    """Builds values from events; a stack holds the containers that are open."""

    def __init__(self) -> None:
        self.anchors: dict[str, tuple[Any, int]] = {}  # value, number of values in it
        self.size = 0

    def build(self, text: str) -> Any:
        stack: list[tuple[Any, Any, str | None, int]] = []  # the outer container, its key, the inner's anchor and start
        current: Any = None
        key: Any = None
        root: Any = None
        documents = 0
        for event in events(text):
            kind = event.__class__
            if kind is yaml.ScalarEvent:
                value = event.value
                if event.implicit[0] and (value in _WORDS or value[0] in _NUMERIC):
                    value = _scalar(value)
                self.size += 1
                if event.anchor:
                    self.anchors[event.anchor] = value, 1
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                stack.append((current, key, event.anchor, self.size))
                self.size += 1
                current, key = ({}, None) if kind is yaml.MappingStartEvent else ([], None)
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = _merged(current) if kind is yaml.MappingEndEvent and "<<" in current else current
                current, key, anchor, start = stack.pop()
                if anchor:
                    self.anchors[anchor] = value, self.size - start
            elif kind is yaml.AliasEvent:
                value = self._alias(event)
            else:
                documents += kind is yaml.DocumentStartEvent
                if documents > 1:
                    raise Unreadable("more than one document")
                continue
            if current.__class__ is dict:
                if key is None:
                    key = _key(value, current, event)
                else:
                    current[key[0]] = value
                    key = None
            elif current.__class__ is list:
                current.append(value)
            else:
                root = value
        return root

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise Unreadable(f"line {event.start_mark.line + 1}: alias {event.anchor!r} of nothing, or of itself")
        value, size = self.anchors[event.anchor]
        self.size += size
        if self.size > _LARGEST:
            raise Unreadable(f"line {event.start_mark.line + 1}: too large once its aliases are written out")
        return value


def _key(value: Any, mapping: dict[Any, Any], event: Any) -> tuple[Any]:
    """Return the key in a tuple, so that the key `null` is not taken for none."""
    line = event.start_mark.line + 1
    if isinstance(value, (dict, list)):
        raise Unreadable(f"line {line}: a key must be a text")
    if value in mapping:
        raise Unreadable(f"line {line}: {value!r} is set twice")
    return (value,)


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def _merged(mapping: dict[Any, Any]) -> dict[Any, Any]:
    sources = mapping["<<"]
    merged: dict[Any, Any] = {}
    for source in reversed(sources if isinstance(sources, list) else [sources]):
        if not isinstance(source, dict):
            raise Unreadable("a merge key needs mappings")
        merged.update(source)
    return merged | {key: value for key, value in mapping.items() if key != "<<"}
