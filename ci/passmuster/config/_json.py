"""A config as JSON: for digests, for records, and to say in lines how two differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any

from passmuster.config._model import ModelConfig

#: What of a config is policy. A pull request is judged by the base branch's; the rest (who owns the model, how it is
#: made and served) describes the candidate and is the pull request's own.
_POLICY = ("task", "data", "gates", "policy", "registry")

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_/@+-][A-Za-z0-9_/@+ -]*(\.[A-Za-z0-9]+)?")


def to_json(config: ModelConfig) -> dict[str, Any]:
    """Return all of a config as JSON types under its YAML keys, defaults filled in; what is not set is left out.

    Written as YAML it reads back as the same config.
    """
    answer: dict[str, Any] = _plain(config)
    return answer


def policy_json(config: ModelConfig) -> dict[str, Any]:
    """Return what belongs to the policy: the task, the data's contract, the gates and their rules, what holds for all
    of them, the registry (it decides who the champion is), and how equal each output of a re-run must be.

    `passmuster.digest.of_json` of it is the policy's digest.
    """
    answer = to_json(config)
    return {key: answer[key] for key in _POLICY} | {"outputs": answer["pipeline"]["outputs"]}


def differences(a: ModelConfig | Mapping[str, Any], b: ModelConfig | Mapping[str, Any]) -> list[str]:
    """Return how `b` differs from `a`, a line for each value, e.g. `gates.champion.rules.log_loss.margin: 0.02 → 0.10`.

    Takes configs, or what `to_json` and `policy_json` return. Equal ones have no line. Lines are sorted; text in them
    is quoted as JSON, so that no line holds a line break.
    """
    left, right = ({**to_json(side)} if isinstance(side, ModelConfig) else {**side} for side in (a, b))
    return sorted(_differences(left, right, ()))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        items = ((item.name.replace("_", "-"), getattr(value, item.name)) for item in fields(value))
        return {key: _plain(part) for key, part in items if part is not None}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    return value


_MISSING = object()


def _differences(a: Any, b: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in {**a, **b}:
            yield from _differences(a.get(key, _MISSING), b.get(key, _MISSING), (*path, str(key)))
    elif type(a) is not type(b) or a != b:
        where = ".".join(key if _PLAIN_KEY.fullmatch(key) else json.dumps(key) for key in path)
        before, after = _shown(a, b)
        yield f"{where}: {before} → {after}"


def _shown(a: Any, b: Any) -> tuple[str, str]:
    if isinstance(a, float) and isinstance(b, float):
        texts = repr(a), repr(b)
        if not any("e" in text for text in texts):
            digits = max(len(text.partition(".")[2]) for text in texts)
            return f"{a:.{digits}f}", f"{b:.{digits}f}"
    return _text(a), _text(b)


def _text(value: Any) -> str:
    return "(not set)" if value is _MISSING else json.dumps(value, ensure_ascii=True)
