"""A lock is one model's requirements and those of scoring and serving, each version with its hashes.

`uv` runs for real, on wheels that the tests make; no index is asked.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import passmuster.lock
from passmuster.errors import UsageError
from passmuster.lock import faults, lock

HASH = f"--hash=sha256:{'0' * 64}"


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """Write the smallest wheel that there is."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    wheels, root, ours = tmp_path / "wheels", tmp_path / "root", tmp_path / "serving"
    for folder in (wheels, root / "models" / "m", ours):
        folder.mkdir(parents=True)
    for version in ("1.0", "2.0"):
        wheel(wheels, "frame", version)
    wheel(wheels, "learn", "1.0", "frame>=1")
    wheel(wheels, "serve", "1.0")
    (root / "models" / "m" / "requirements.in").write_text("learn\nframe<2\n")
    (ours / "requirements.in").write_text("serve\nframe>=1\n")
    (ours / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    spec = SimpleNamespace(origin=str(ours / "__init__.py"))
    monkeypatch.setattr(passmuster.lock.importlib.util, "find_spec", lambda _: spec)
    settings = tmp_path / "uv.toml"
    settings.write_text(f"no-index = true\nfind-links = ['{wheels}']\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return root


CONFIG: Any = SimpleNamespace(name="m", requirements="models/m/requirements.txt")


def written(root: Path) -> str:
    return (root / CONFIG.requirements).read_text()


def pins(root: Path) -> list[str]:
    return [line.split(" ")[0] for line in written(root).splitlines() if "==" in line]


def test_the_models_requirements_and_those_of_serving_become_one_file(project: Path) -> None:
    assert lock(project, CONFIG) is True

    assert pins(project) == ["frame==1.0", "learn==1.0", "serve==1.0"]
    assert list(faults(written(project))) == []


def test_no_address_and_no_path_of_the_machine_gets_into_it(project: Path) -> None:
    lock(project, CONFIG)

    text = written(project)
    assert "://" not in text
    assert str(project.parent) not in text
    assert "passmuster lock m" in text.splitlines()[1]


def test_done_twice_it_stays_as_it_is(project: Path) -> None:
    lock(project, CONFIG)
    before = written(project)

    assert lock(project, CONFIG) is False
    assert written(project) == before


def test_locked_versions_stay_until_an_upgrade_is_asked_for(project: Path) -> None:
    lock(project, CONFIG)
    (project / "models" / "m" / "requirements.in").write_text("learn\nframe\n")

    lock(project, CONFIG)
    stayed = pins(project)
    lock(project, CONFIG, upgrade=True)

    assert "frame==1.0" in stayed
    assert "frame==2.0" in pins(project)


def test_a_check_writes_nothing_and_fails_where_the_lock_is_out_of_step(project: Path) -> None:
    with pytest.raises(UsageError, match="not in step"):
        lock(project, CONFIG, check=True)
    assert not (project / CONFIG.requirements).exists()

    lock(project, CONFIG)
    assert lock(project, CONFIG, check=True) is False

    (project / "models" / "m" / "requirements.in").write_text("frame==2.0\n")
    before = written(project)
    with pytest.raises(UsageError, match="run `passmuster lock m`"):
        lock(project, CONFIG, check=True)
    assert written(project) == before


def test_a_lock_changed_by_hand_is_out_of_step(project: Path) -> None:
    lock(project, CONFIG)
    (project / CONFIG.requirements).write_text(written(project).replace("learn==1.0", "learn==1.1"))

    with pytest.raises(UsageError):
        lock(project, CONFIG, check=True)


def test_a_conflict_names_both_sides(project: Path) -> None:
    (project / "models" / "m" / "requirements.in").write_text("frame<1  # old\n")

    with pytest.raises(UsageError) as caught:
        lock(project, CONFIG)

    text = str(caught.value)
    assert "models/m/requirements.in says:\n  frame<1\n" in text
    assert "scoring and serving need:\n  serve\n  frame>=1" in text
    assert "frame<1" in text.partition("says:")[0]


def test_without_requirements_it_says_where_to_write_them(project: Path) -> None:
    (project / "models" / "m" / "requirements.in").unlink()

    with pytest.raises(UsageError, match=r"there is no .*models/m/requirements\.in"):
        lock(project, CONFIG)


def test_the_serving_codes_requirements_are_found_without_importing_it() -> None:
    own, ours = passmuster.lock._sources(Path(__file__).parents[2] / "models/credit-default/requirements.txt")

    assert own.name == ours.name == "requirements.in"
    assert "pyarrow" in ours.read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a==1 {HASH}\n", []),
        (f"a[x,y]==1.0 ; python_version < '3.12' \\\n    {HASH} \\\n    {HASH}\n    # via b\n", []),
        (f"a==1 {HASH}\nb==2\n", ["2: 'b==2' has no hash, or a weak one"]),
        (f"a @ https://example.org/a.whl {HASH}\n", ["1: 'a @ https://example.org/a.whl' has no exact version"]),
        (f"-e .\na==1 {HASH}\n", ["1: '-e' is an option; a lock has requirements only"]),
        (f"a==1 --hash=sha256:{'0' * 63}\n", ["1: 'a==1' has no hash, or a weak one"]),
        ("", ["1: no requirement; scoring needs some"]),
        (f"a==1 \\\n    # {HASH}\n", ["1: 'a==1' has no hash, or a weak one"]),
        (f"a==1 \\\n    {HASH} \\\n", []),
    ],
)
def test_what_is_no_lock_is_found(text: str, expected: list[str]) -> None:
    assert list(faults(text)) == expected
