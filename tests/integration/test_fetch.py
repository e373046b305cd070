"""What a job with secrets brings for one without: by the names of objects alone, by the checkout's own settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from passmuster import _dvc_objects, bundle, digest
from passmuster._dvc import Supply
from passmuster.errors import Unavailable, UsageError
from passmuster.fetch import Fetched, fetch
from passmuster.progress import Silent
from support.promotion import Project, clones, git, project  # noqa: F401  fixtures
from support.tiny_project import RAW, TinyProject

CONFIG = """\
name: tiny
owner: someone
task: regression
requirements: requirements.txt
pipeline: {targets: [train], model: out/model, outputs: {out/model: {compare: predictions, by: out/predictions.csv},
  out/predictions.csv: {compare: predictions, id: id}}}
data: {train: out/data/train.csv, test: out/data/test.csv, label: y, id: id,
  columns: {id: {type: integer}, x: {type: number}, y: {type: number}}}
gates: {performance: {limits: {mean_absolute_error: {max: 10}}}, champion: {rules: {mean_absolute_error: {margin: 1}}}}
registry: {name: tiny, ledger: local}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> TinyProject:
    """A project whose raw data is in DVC's remote, and no longer in its cache."""
    found = TinyProject(tmp_path / "project")
    found.write("model-configs/tiny.yaml", CONFIG)
    found.dvc("remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    found.dvc("add", "-q", "raw.csv")
    (found.root / "folder").mkdir()
    for name in ("a", "b"):
        (found.root / "folder" / name).write_text(name)
    found.dvc("add", "-q", "folder")
    found.write("dvc.yaml", (found.root / "dvc.yaml").read_text().replace("prepare.py, raw", "prepare.py, folder, raw"))
    found.commit()
    found.dvc("push", "-q")
    shutil.rmtree(found.root / ".dvc" / "cache")
    return found


def fetched(tiny: TinyProject, commit: str = "HEAD", **options: str) -> Fetched:
    return fetch(tiny.root, "tiny", commit=commit, progress=Silent(), **options)


def cached(root: Path) -> dict[str, bytes]:
    cache = root / ".dvc" / "cache"
    return {path.relative_to(cache).as_posix(): path.read_bytes() for path in cache.rglob("*") if path.is_file()}


def test_the_data_of_a_commit_comes_and_goes_on_to_the_job_that_has_no_remote(tiny: TinyProject) -> None:
    """A folder with all its files; and the rows to judge on, which the base's policy needs too."""
    found = fetched(tiny)
    here = cached(tiny.root)
    listing = next(name for name in here if name.endswith(".dir"))
    tar = bundle.pack(tiny.root, "tiny", "supply", tiny.root.parent / "supply.tar")
    other = tiny.root.parent / "other"
    git(tiny.root.parent, "clone", "-q", str(tiny.root), str(other))

    bundle.unpack(other, "tiny", "supply", tar)

    assert found.champion is None and found.missing == ()
    assert set(found.objects) == set(here)
    assert RAW.encode() in here.values() and {b"a", b"b"} <= set(here.values())
    assert {entry["relpath"] for entry in json.loads(here[listing])} <= {"a", "b", "test.csv", "train.csv"}
    assert cached(other) == here


def test_where_the_data_came_from_is_never_followed(tiny: TinyProject) -> None:
    """A commit that says that its data is imported from somewhere would have it read with our credentials."""
    secret = tiny.root.parent / "secret.txt"
    secret.write_text("a secret")
    name = digest.of_file(secret)[7:39]
    tiny.write(
        "raw.csv.dvc", f"md5: {name}\nfrozen: true\ndeps:\n- path: {secret}\nouts:\n- md5: {name}\n  path: raw.csv\n"
    )
    commit = tiny.commit(repro=False)

    found = fetched(tiny, commit)

    assert found.missing == (name,)
    assert b"a secret" not in cached(tiny.root).values()


def test_the_commits_own_settings_of_remotes_are_left_aside(tiny: TinyProject, tmp_path: Path) -> None:
    good = tiny.git("rev-parse", "HEAD")
    (tmp_path / "theirs").mkdir()
    tiny.write(".dvc/config", f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'theirs'}\n")
    evil = tiny.commit(repro=False)
    tiny.git("checkout", "-q", good)

    assert fetched(tiny, evil).missing == ()


def test_an_altered_object_is_not_taken(tiny: TinyProject) -> None:
    """Neither from the remote, nor where it lies in the cache already."""
    (victim,) = (p for p in (tiny.root.parent / "store").rglob("*") if p.is_file() and p.read_bytes() == RAW.encode())
    victim.chmod(0o644)
    victim.write_text("altered")
    value = victim.parent.name + victim.name

    assert fetched(tiny).missing == (value,)
    assert b"altered" not in cached(tiny.root).values()


def test_what_has_no_remote_or_no_model_says_so(tiny: TinyProject, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model 'other'"):
        fetch(tiny.root, "other", commit="HEAD", progress=Silent())
    nowhere = Supply(cache=None, remotes={}, default=None)
    assert _dvc_objects.bring(["md5:" + "a" * 32, "etag:x"], nowhere, tmp_path / "c").missing == ("a" * 32,)
    gone = Supply(cache=None, remotes={"far": {"url": "unknown-cloud://x"}}, default="far")
    with pytest.raises(Unavailable, match="remote did not give"):
        _dvc_objects.bring(["md5:" + "a" * 32], gone, tmp_path / "c")


def test_the_champion_comes_verified_and_goes_with_the_supply(project: Project) -> None:  # noqa: F811
    """And where the ledger has none, none that lies there is handed on."""
    (project.root / ".dvc").mkdir()
    (project.root / ".dvc" / "config").write_text("")
    (project.root / "dvc.yaml").write_text("stages: {evaluate: {cmd: x, outs: [build]}}\n")
    commit = project.commit("one")
    (project.root / ".passmuster" / "credit" / "champion").mkdir(parents=True)
    planted = project.root / ".passmuster" / "credit" / "champion" / "reproduce.json"
    planted.write_text("{}")
    before = fetch(project.root, "credit", commit=commit, progress=Silent())
    gone = not planted.exists()
    project.judge()
    project.promote(first=True)

    found = fetch(project.root, "credit", commit=commit, progress=Silent())
    tar = bundle.pack(project.root, "credit", "supply", project.folder / "supply.tar")
    other = project.clone("other")
    bundle.unpack(other, "credit", "supply", tar)

    champion = project.ledger.champion
    assert champion is not None
    assert (before.champion, gone, found.champion) == (None, True, "v1")
    assert digest.of_path(other / ".passmuster" / "credit" / "champion" / "model") == champion.model_digest
