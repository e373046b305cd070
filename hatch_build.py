"""Write into the wheel which commit it was built from, so that `passmuster init` pins its workflows to it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):  # type: ignore[misc]
    """Adds `passmuster/init/commit.txt`; not to an editable install, whose commit changes under it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Ask git; a source that is no checkout, or has changes, is no commit, and then nothing is written."""
        if version == "editable":
            return
        commit, changes = self._git("rev-parse", "HEAD"), self._git("status", "--porcelain", "--untracked-files=no")
        if commit and changes == "":
            self._folder = tempfile.TemporaryDirectory()
            path = Path(self._folder.name, "commit.txt")
            path.write_text(f"{commit}\n", encoding="ascii")
            build_data["force_include"][str(path)] = "passmuster/init/commit.txt"

    def _git(self, *arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", self.root, *arguments], capture_output=True, text=True, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()
