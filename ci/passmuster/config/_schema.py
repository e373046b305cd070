"""The JSON Schema of a config, generated from the classes; for editors, which complete and check while one types.

The reader is the judge: rules between parts of a config can't all be said in a schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date
from enum import StrEnum
from typing import Any, get_args, get_origin

from passmuster.config._json import _plain
from passmuster.config._model import AsWritten, Bounds, Matches, ModelConfig, NonEmpty, RepositoryPath
from passmuster.config._reader import Field, fields_of, without_none

_AS_WRITTEN = {"type": ["string", "number", "boolean"]}
_SIMPLE: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    Any: {},
}


def schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of `model-configs/<name>.yaml`."""
    definitions: dict[str, Any] = {}
    top = _class(ModelConfig, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A model's config for Passmuster",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """Return the schema as it stands in `docs/model-config.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _class(cls: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    known = fields_of(cls)
    answer: dict[str, Any] = {
        "description": (cls.__doc__ or "").strip(),
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _field(item, definitions) for key, item in known.items()},
    }
    if required := [key for key, item in known.items() if item.required]:
        answer["required"] = required
    return answer


def _field(item: Field, definitions: dict[str, Any]) -> dict[str, Any]:
    answer = {**_type(item.type, item.constraints, definitions), "description": item.doc}
    default = _plain(item.default)
    if not item.required and default is not None and not is_dataclass(item.default):
        answer["default"] = default
    return answer


def _type(kind: Any, constraints: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    origin = get_origin(kind)
    if origin is tuple:
        items = _type(get_args(kind)[0], constraints, definitions)
        return {"type": "array", "items": items, "uniqueItems": True, **_at_least_one(constraints, "minItems")}
    if origin is not None:
        values = _type(without_none(get_args(kind)[1]), (), definitions)
        return {"type": "object", "additionalProperties": values, **_at_least_one(constraints, "minProperties")}
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # first, since a class may hold itself
            definitions[kind.__name__] = _class(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [str(choice) for choice in kind]}
    if any(isinstance(c, AsWritten) for c in constraints):
        return dict(_AS_WRITTEN)
    return {**_SIMPLE[kind], **_constrained(constraints)}


def _at_least_one(constraints: tuple[Any, ...], keyword: str) -> dict[str, Any]:
    return {keyword: 1} if any(isinstance(c, NonEmpty) for c in constraints) else {}


def _constrained(constraints: tuple[Any, ...]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for constraint in constraints:
        if isinstance(constraint, NonEmpty):
            answer["minLength"] = 1
        elif isinstance(constraint, Matches):
            answer["pattern"] = f"^(?:{constraint.pattern})$"
        elif isinstance(constraint, RepositoryPath):
            answer["pattern"] = r"^[^/~-][^\\:]*$"
        elif isinstance(constraint, Bounds):
            prefix = "exclusiveM" if constraint.exclusive else "m"
            answer |= {} if constraint.minimum is None else {f"{prefix}inimum": constraint.minimum}
            answer |= {} if constraint.maximum is None else {f"{prefix}aximum": constraint.maximum}
    return answer
