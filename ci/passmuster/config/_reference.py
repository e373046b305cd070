"""The reference of a config's keys (`docs/configuration.md`), generated from the classes."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from datetime import date
from enum import StrEnum
from typing import Any, get_args, get_origin

from passmuster.config._json import _plain
from passmuster.config._model import AsWritten, Bounds, Matches, ModelConfig, NonEmpty, RepositoryPath
from passmuster.config._reader import Field, fields_of, without_none

_INTRODUCTION = """\
# Configuration

<!-- Generated from `ci/passmuster/config/_model.py` by `python -m passmuster.config`; change it there. -->

Each model has one file, `model-configs/<name>.yaml`. `passmuster validate` reads them all and says everything that is
wrong at once, each complaint as `file:line:col: …`. For completion and checks while you type, begin the file with

```yaml
# yaml-language-server: $schema=../docs/model-config.schema.json
```

(the path of [the schema](model-config.schema.json) from the file). The keys are fixed; the names of metrics, columns,
checks and their options stand as they are. Values are plain data as YAML 1.2 reads them: `off` and `no` are texts,
`true` and `false` are not; anchors, aliases, merge keys and tags are refused, and so are keys that are unknown or set
twice. Paths are relative to the repository's root. Times are seconds.

What belongs to the *policy*, and is taken from the base branch when a pull request is judged: `task`, `data`, `gates`,
`policy`, `registry` and `pipeline.outputs`. On the main branch it is the merged commit's; where a merge changes the
policy, or the code of the user's gates and tests, the candidate must also pass by that of the commit's first parent.

What differs from machine to machine stands in environment variables, not in the file:

| variable | default | what it names |
|---|---|---|
| `PASSMUSTER_CONFIGS` | `model-configs` | The folder with the configs, inside the repository. |
| `MLFLOW_TRACKING_URI` | SQLite in the checkout, `mlflow.db` | The MLflow of the models; one for each ledger. |
| `PASSMUSTER_CACHE` | `passmuster` in the user's cache folder | Where environments and scores are kept. |
| `GITHUB_ACTOR` | git's committer | Who acts, as the ledger says it; GitHub sets it. |
| `GITHUB_TOKEN` or `GH_TOKEN` | none | The token for GitHub's API: reports, approvals, deployments. |
| `GITHUB_REPOSITORY` | none | The repository on GitHub, `owner/name`; GitHub sets it. |
| `GITHUB_API_URL` | GitHub's own | The address of the API, for a server of one's own; GitHub sets it. |
"""


def reference_text() -> str:
    """Return the whole page."""
    places: dict[type[Any], list[str]] = {}
    _walk(ModelConfig, "", places)
    return "\n".join([_INTRODUCTION, *(_section(cls, where) for cls, where in places.items())])


def _walk(cls: type[Any], place: str, places: dict[type[Any], list[str]]) -> None:
    places.setdefault(cls, []).append(place)
    for key, item in fields_of(cls).items():
        path = f"{place}.{key}" if place else key
        if is_dataclass(item.type) and isinstance(item.type, type):
            _walk(item.type, path, places)
        elif get_origin(item.type) is not None:
            inner = without_none(get_args(item.type)[-1 if get_origin(item.type) is not tuple else 0])
            if is_dataclass(inner) and isinstance(inner, type):
                _walk(inner, path + ("[]" if get_origin(item.type) is tuple else ".<name>"), places)


def _section(cls: type[Any], places: list[str]) -> str:
    heading = ", ".join(f"`{place}`" for place in places if place) or "The file"
    lines = [f"## {heading}", "", (cls.__doc__ or "").strip(), ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    lines += [_row(key, item) for key, item in fields_of(cls).items()]
    return "\n".join([*lines, ""])


def _row(key: str, item: Field) -> str:
    cells = (f"`{key}`", _type(item.type, item.constraints), _default(item), item.doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(item: Field) -> str:
    if item.required:
        return "**required**"
    if item.default is None:
        return "not set"
    if item.default in ("", (), {}):
        return "empty"
    if is_dataclass(item.default):
        return "its defaults" if item.name != "behaviour" else "`mode: off`"
    return f"`{json.dumps(_plain(item.default), ensure_ascii=False)}`".replace('"', "")


def _type(kind: Any, constraints: tuple[Any, ...]) -> str:
    origin = get_origin(kind)
    if origin is tuple:
        return f"list of {_type(get_args(kind)[0], constraints)}"
    if origin is not None:
        return f"mapping of names to {_type(without_none(get_args(kind)[1]), ())}"
    if is_dataclass(kind):
        return "mapping"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(f"`{choice}`" for choice in kind)
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", date: "date", Any: "any"}
    return ", ".join([names[kind], *filter(None, map(_constraint, constraints))])


def _constraint(constraint: Any) -> str:
    match constraint:
        case RepositoryPath(kind="output"):
            return "a path that the pipeline makes"
        case RepositoryPath():
            return "a path that is there"
        case Matches(words=words):
            return words
        case AsWritten():
            return "as written"
        case NonEmpty():
            return "not empty"
        case Bounds(minimum=low, maximum=high, exclusive=exclusive):
            below = "" if low is None else f"{'>' if exclusive else '≥'} {low:g}"
            above = "" if high is None else f"{'<' if exclusive else '≤'} {high:g}"
            return " and ".join(filter(None, [below, above]))
    return ""
