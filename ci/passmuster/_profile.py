"""The reference profile: the file that gate `profile` leaves, kept with the version for later runs and monitoring.

What stands in it is the gate's matter; here it is a file with a digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passmuster import digest
from passmuster.errors import NotMeasured

#: The gate that makes it.
GATE = "profile"

#: The file: in the gate's workspace, in the model's folder, and beside the records in MLflow.
FILE = "profile.json"

#: Bytes of one, as the engine reads them; a table of 500 columns gives a few million.
LARGEST = 64 * 1024 * 1024


def left(workspace: Path) -> str:
    """Return the text of the file that the gate left in its workspace.

    Raises:
        NotMeasured: there is none, or it is a link, larger than `LARGEST`, or no JSON object.
    """
    path = workspace / FILE
    if path.is_symlink() or not path.is_file():
        raise NotMeasured(f"the gate left no {FILE}, to be kept with the model")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise NotMeasured(f"the {FILE} that the gate left has more than {LARGEST:,} bytes")
        text = content.decode()
        if not isinstance(json.loads(text), dict):
            raise NotMeasured(f"the {FILE} that the gate left is no JSON object")
    except (OSError, ValueError, RecursionError) as exc:
        raise NotMeasured(f"the {FILE} that the gate left can't be read: {exc}") from exc
    return text


def told(path: str, content: Path) -> dict[str, str]:
    """Return what a record says of the file `content`, which stands at `path` in the model's folder."""
    return {"path": path, "digest": digest.of_file(content)}


def digest_in(body: Mapping[str, Any]) -> str | None:
    """Return the digest of the profile that a record's body names; None: it names none.

    Raises:
        KeyError, TypeError: it names one in another form.
    """
    named = body.get("profile")
    return None if named is None else str(named["digest"])


def is_there(folder: Path, expected: str | None) -> bool:
    """Return whether the file in `folder` has the digest `expected`; without one it need not be there."""
    path = folder / FILE
    return expected is None or (not path.is_symlink() and path.is_file() and digest.of_file(path) == expected)
