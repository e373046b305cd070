"""The folder of records is this machine's; what a commit brings there is nobody's evidence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from passmuster import workspace
from passmuster.errors import Refused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def _track(root: Path, path: str) -> None:
    subprocess.run(["git", "add", "--force", path], cwd=root, check=True)


def test_what_git_keeps_out_of_is_taken(root: Path) -> None:
    found = workspace.folder(root, "credit")
    workspace.make(found)
    (found / "gate.json").write_text("{}")
    done = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)

    assert found == root / ".passmuster" / "credit"
    assert done.stdout == ""
    assert workspace.folder(root, "credit") == found


@pytest.mark.parametrize("path", [".passmuster/credit/gate.json", ".PassMuster/credit/gate.json"])
def test_a_record_that_git_tracks_is_refused(root: Path, path: str) -> None:
    """On some file systems the second is the same file."""
    (root / path).parent.mkdir(parents=True)
    (root / path).write_text("{}")
    _track(root, path)

    with pytest.raises(Refused, match="must have been made here"):
        workspace.folder(root, "credit")


@pytest.mark.parametrize("path", [".passmuster", ".passmuster/credit"])
def test_a_link_that_git_tracks_is_refused(root: Path, path: str) -> None:
    """Whatever is removed there would be removed elsewhere."""
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).symlink_to(root.parent)
    _track(root, path)

    with pytest.raises(Refused, match="must have been made here"):
        workspace.folder(root, "credit")


def test_a_folder_without_git_has_nothing_that_git_tracks(tmp_path: Path) -> None:
    assert workspace.folder(tmp_path, "credit") == tmp_path / ".passmuster" / "credit"
