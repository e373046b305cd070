"""Records: what a step leaves for the next.

A record is a JSON file under `.passmuster/<model>/`. Its digest covers schema, version, inputs and body; times and
machine facts stand in `context`, outside the digest, so that the same judgement always has the same digest.

Law, tested: `read(write(record)) == record`; any byte changed in what the digest covers makes `read` refuse.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passmuster import digest
from passmuster.errors import Refused

#: A record is small; more is an attack or a mistake.
SIZE_LIMIT = 64 * 1024 * 1024

#: The steps that leave records, in the data's order; "gate-head" is for information, nothing follows from it.
STEPS = ("reproduce", "score", "gate", "promote", "gate-head")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One step's facts."""

    schema: str  #: the step that wrote it, e.g. "reproduce"
    version: int  #: of the schema; read by the code that knows it
    inputs: Mapping[str, str]  #: name → digest of what the body follows from
    body: Mapping[str, Any]  #: the facts; JSON types only
    context: Mapping[str, Any] = field(default_factory=dict, compare=False)  #: times, machine; not covered

    @property
    def digest(self) -> str:
        """The digest of everything but the context."""
        return digest.of_json(self.covered())

    def covered(self) -> dict[str, Any]:
        """Return what the digest covers."""
        return {
            "schema": f"passmuster/{self.schema}",
            "version": self.version,
            "inputs": dict(self.inputs),
            "body": dict(self.body),
        }


def begin(folder: Path, step: str) -> None:
    """Remove the records of `step` and of those after it, so that a crash leaves no verdict of an earlier run."""
    for later in STEPS[STEPS.index(step) :]:
        (folder / f"{later}.json").unlink(missing_ok=True)


def write(record: Record, path: Path) -> Path:
    """Write `record` to `path` as a whole or not at all, and return `path`."""
    text = json.dumps(
        {**record.covered(), "digest": record.digest, "context": dict(record.context)},
        indent=1,
        ensure_ascii=False,
        allow_nan=False,
    )
    write_atomically(path, text + "\n")
    return path


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`; a reader sees the old file or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path, schema: str, *, version: int = 1) -> Record:
    """Return the record at `path`, after checking that it is whole, of `schema`, and unaltered.

    Raises:
        Refused: it is missing, too large, not JSON, of another schema or version, or altered.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise Refused(f"{path} is larger than {SIZE_LIMIT} bytes; no step writes such a record")
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise Refused(f"{path} is missing; run `passmuster {schema}` first") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise Refused(f"{path} cannot be read: {exc}") from exc
    return parse(content, schema, version=version, origin=str(path))


def parse(text: str, schema: str, *, version: int = 1, origin: str = "record") -> Record:
    """Return the record that `text` holds, checked as by `read`."""
    try:
        raw = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"{origin} is not a record: {exc}") from exc
    expected = {"schema": str, "version": int, "inputs": dict, "body": dict, "digest": str, "context": dict}
    if not isinstance(raw, dict) or raw.keys() != expected.keys():
        raise Refused(f"{origin} is not a record: expected exactly the keys {', '.join(expected)}")
    for key, kind in expected.items():
        if not isinstance(raw[key], kind) or isinstance(raw[key], bool):
            raise Refused(f"{origin} is not a record: {key} is not of type {kind.__name__}")
    if (raw["schema"], raw["version"]) != (f"passmuster/{schema}", version):
        raise Refused(
            f"{origin} is {raw['schema']!r} of version {raw['version']}, expected 'passmuster/{schema}' of {version}"
        )
    if not all(digest.is_digest(value) for value in raw["inputs"].values()):
        raise Refused(f"{origin} names an input without a digest")
    record = Record(schema=schema, version=version, inputs=raw["inputs"], body=raw["body"], context=raw["context"])
    try:
        actual = record.digest
    except (ValueError, RecursionError) as exc:  # text that is no Unicode, a number that no JSON holds
        raise Refused(f"{origin} is not a record: {exc}") from exc
    if actual != raw["digest"]:
        raise Refused(f"{origin} was altered: it says {raw['digest']}, its content has {actual}")
    return record


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found
