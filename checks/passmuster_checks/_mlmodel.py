"""Reads a model directory's `MLmodel` file as data: YAML without tags, of a sane size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passmuster.errors import NotMeasured

#: MLmodel files are some kilobytes; a signature of 10,000 columns is 1 MB.
_SIZE = 16 * 1024 * 1024


def read(model: Path) -> Mapping[str, Any]:
    """Return what the MLmodel file of a model directory says.

    Raises:
        NotMeasured: there is none, it is not a mapping in YAML, or too large once its aliases are written out.
    """
    import yaml

    from passmuster.config import _plain

    path = model / "MLmodel"
    try:
        if path.is_symlink() or path.stat().st_size > _SIZE:
            raise NotMeasured(f"MLmodel is a link, or larger than {_SIZE:,} bytes")
        content = path.read_bytes()
        _plain.load(content.decode())  # refuses aliases that would fill the memory, and keys that are there twice
        found = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  as MLflow does
    except (OSError, yaml.YAMLError, UnicodeError, RecursionError, ValueError) as exc:
        raise NotMeasured(f"the model directory has no readable MLmodel file: {exc}") from exc
    if not isinstance(found, Mapping):
        raise NotMeasured("MLmodel is not a mapping")
    return found


def flavours(said: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the flavours that MLmodel names, each with its settings."""
    found = said.get("flavors")
    if not isinstance(found, Mapping) or not all(isinstance(value, Mapping) for value in found.values()):
        raise NotMeasured("MLmodel names no flavours")
    return {str(name): value for name, value in found.items()}


def inputs(said: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the columns of the signature's inputs (`name`, `type`, `required`); None where there is no signature.

    Raises:
        NotMeasured: the signature can't be read.
    """
    signature = said.get("signature")
    if signature is None:
        return None
    try:
        columns = json.loads(signature["inputs"])
        if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
            raise ValueError("inputs are no list of columns")
    except (TypeError, KeyError, ValueError) as exc:
        raise NotMeasured(f"the signature in MLmodel can't be read: {exc}") from exc
    return columns
