"""Digests of files, folders and JSON: what names a thing, so that what was judged is what is promoted."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from passmuster.errors import Refused

#: Files that MLflow adds to a model directory after it was saved (when it is logged or registered).
ADDED_BY_MLFLOW = frozenset({"registered_model_meta"})

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: object) -> bool:
    """Return whether `text` has the form `sha256:<64 hex digits>`."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def of_bytes(content: bytes) -> str:
    """Return the digest of `content`, as `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def of_file(path: Path) -> str:
    """Return the digest of a file's content, read in blocks."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def canonical(value: Any) -> bytes:
    """Return the one JSON text of `value`: sorted keys, no white space, UTF-8, no NaN (RFC 8785's manner).

    Raises:
        ValueError: `value` holds NaN or infinity.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def of_json(value: Any) -> str:
    """Return the digest of `canonical(value)`."""
    return of_bytes(canonical(value))


def manifest(directory: Path, *, leave_out: Iterable[str] = ADDED_BY_MLFLOW) -> dict[str, str]:
    """Return `{relative POSIX path: digest}` of every file below `directory`, sorted by path.

    Empty folders do not count: neither git nor an artifact store keeps them.

    Raises:
        Refused: there is no such folder, it is empty, or it holds something that is neither file nor folder
            (a link could make the content depend on the machine), or what can't be read or named in UTF-8.
    """
    if directory.is_symlink() or not directory.is_dir():
        raise Refused(f"{directory} is not a folder, so it has no digest")
    left_out = set(leave_out)
    found: dict[str, str] = {}
    for folder, names, files in os.walk(directory, onerror=_refuse_unreadable):
        for name in [*names, *files]:
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise Refused(f"{path} is a link or a special file; a digest covers plain files only")
            if path.is_file() and (relative := path.relative_to(directory).as_posix()) not in left_out:
                found[relative] = of_file(path)
    if not found:
        raise Refused(f"{directory} holds no file, so it has no digest")
    if strange := [name for name in found if not name.isprintable()]:
        raise Refused(f"{directory} holds a file whose name can't be shown: {strange[0]!a}; rename it")
    return dict(sorted(found.items()))


def _refuse_unreadable(exc: OSError) -> NoReturn:
    raise Refused(f"{exc.filename} can't be read ({exc.strerror}), so what it holds is not covered by any digest")


def of_manifest(files: Mapping[str, str]) -> str:
    """Return the digest of a manifest; independent of the order of its entries."""
    return of_json({"manifest": dict(files)})


def of_path(path: Path) -> str:
    """Return the digest of a file, or of a folder by its manifest."""
    return of_file(path) if path.is_file() else of_manifest(manifest(path))
