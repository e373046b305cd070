"""The few facts of a config that `plan` needs, read quickly: a thousand configs in a fraction of a second.

What is wrong with a config is the reader's to say; here a config that lacks what is sought is handed to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from passmuster.config import _load, _plain
from passmuster.config._model import Registry


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a model's config names."""

    name: str
    file: str
    targets: tuple[str, ...]  #: of DVC
    paths: tuple[str, ...]  #: files and folders
    gate_code: tuple[str, ...]  #: of these, the code of gates: what stands beside it counts too
    registry: str
    ledger: str  #: the remote that holds its ledger


def outline(path: str, content: bytes) -> Outline:
    """Return the outline of one config.

    Raises:
        ConfigError: it can't be read, with all complaints.
    """
    try:
        if PurePosixPath(path).suffix != ".yaml":
            raise ValueError(path)
        return _outline(path, _plain.load(content.decode("utf-8-sig")))
    except (AttributeError, KeyError, TypeError, ValueError):
        _load.whole(_load.read_all({path: content}))
        raise


def _outline(path: str, config: Mapping[str, Any]) -> Outline:
    pipeline, data, gates = config["pipeline"], config["data"], config.get("gates") or {}
    gate_code = [
        *((gates.get("behaviour") or {}).get("tests") or ()),
        *(gate["file"] for gate in (gates.get("user") or {}).values()),
    ]
    files = [data[key] for key in ("train", "test", "reference") if data.get(key)]
    return Outline(
        name=PurePosixPath(path).stem,
        file=path,
        targets=_texts(*pipeline["targets"], *(data.get("prepare") or ())),
        paths=_texts(config["requirements"], pipeline["model"], *(pipeline.get("outputs") or ()), *files, *gate_code),
        gate_code=_texts(*gate_code),
        registry=str(config["registry"]["name"]),
        ledger=str(config["registry"].get("ledger", Registry.ledger)),
    )


def _texts(*items: Any) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in items):
        raise TypeError(items)
    return tuple(dict.fromkeys(items))
