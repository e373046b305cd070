"""The folder with the configs: a setting of whoever runs passmuster, since the configs can't say where they are."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from passmuster.errors import UsageError

#: The environment variable that names the folder, and what it is without.
VARIABLE, DEFAULT = "PASSMUSTER_CONFIGS", "model-configs"

#: Folders that hold what is nobody's config.
_OTHERS = (".git", ".dvc", ".passmuster")


def folder() -> str:
    """Return where the configs stand, relative to the repository's root, with `/`.

    Raises:
        UsageError: the variable names no folder inside the repository.
    """
    said = os.environ.get(VARIABLE) or DEFAULT
    path = PurePosixPath(said)
    strange = not said.isprintable() or "\\" in said or said.startswith("-") or said != said.strip()
    if strange or not path.parts or path.is_absolute() or ".." in path.parts or path.parts[0].lower() in _OTHERS:
        raise UsageError(
            f"{VARIABLE} is {said!r}: it must name a folder inside the repository, from its root, as {DEFAULT}"
        )
    return str(path)
