"""A digest names a content, wherever and in whatever order it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passmuster import digest
from passmuster.errors import Refused


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_the_order_of_entries_does_not_matter(files: dict[str, str]) -> None:
    assert digest.of_manifest(files) == digest.of_manifest(dict(reversed(files.items())))


def test_a_moved_folder_keeps_its_digest(tmp_path: Path) -> None:
    (tmp_path / "a" / "sub").mkdir(parents=True)
    (tmp_path / "a" / "sub" / "f").write_text("x")
    before = digest.of_path(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")

    assert digest.of_path(tmp_path / "b") == before


def test_name_and_content_both_count(tmp_path: Path) -> None:
    digests = set()
    for name, content in (("f", "x"), ("g", "x"), ("f", "y")):
        folder = tmp_path / f"{name}{content}"
        folder.mkdir()
        (folder / name).write_text(content)
        digests.add(digest.of_path(folder))

    assert len(digests) == 3


def test_files_that_mlflow_adds_later_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("x")
    before = digest.of_path(tmp_path)
    (tmp_path / "registered_model_meta").write_text("added")

    assert digest.of_path(tmp_path) == before


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "link").symlink_to("/etc/hostname")

    with pytest.raises(Refused, match="link"):
        digest.of_path(tmp_path)


def test_a_special_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(Refused, match="special"):
        digest.manifest(tmp_path)


def test_an_empty_or_missing_folder_has_no_digest(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(Refused):
            digest.manifest(folder)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no empty one: what it holds would be covered by no digest."""
    (tmp_path / "f").write_text("x")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def scan(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)

    with pytest.raises(Refused, match="locked can't be read"):
        digest.of_path(tmp_path)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """JSON has no way to write it."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("x")

    with pytest.raises(Refused, match="name"):
        digest.of_path(tmp_path)
