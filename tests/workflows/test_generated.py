"""What `passmuster init` writes for a foreign repository is clean by the linters that security people use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from passmuster import init
from support.tiny_project import TinyProject

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = TinyProject(tmp_path_factory.mktemp("foreign") / "churn")
    project.git("remote", "add", "origin", "git@github.com:acme/churn.git")
    init.make(project.root, init.plan(project.root, pin=f"passmuster/passmuster@{'a' * 40}"))
    project.git("add", "-A")
    return project.root


def lint(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )


def test_zizmor_finds_nothing_as_an_auditor(written: Path) -> None:
    done = lint(written, "zizmor", "--offline", "--persona", "auditor", ".")

    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing(written: Path) -> None:
    done = lint(written, "actionlint", *map(str, sorted(written.glob(".github/workflows/*.yml"))))

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linters_see_what_is_there_to_see(written: Path, tmp_path: Path) -> None:
    project = TinyProject(tmp_path / "bad")
    text = (written / ".github/workflows/passmuster.yml").read_text()
    project.write(
        ".github/workflows/bad.yml", text.replace("a" * 40, "main").replace("permissions: {}", "permission: {}")
    )

    assert lint(project.root, "zizmor", "--offline", "--persona", "auditor", ".").returncode
    assert lint(project.root, "actionlint", str(project.root / ".github/workflows/bad.yml")).returncode


def test_callers_give_what_the_workflows_take(written: Path, tmp_path: Path) -> None:
    """Called in this repository's place, a wrong input, secret or permission would be found across the files."""
    here = Path(__file__).parents[2]
    project = TinyProject(tmp_path / "beside")
    for path in (here / ".github/workflows").glob("*.yml"):
        project.write(f".github/workflows/{path.name}", path.read_text())
    for path in written.glob(".github/workflows/*.yml"):
        text = path.read_text().replace("passmuster/passmuster/.github", "./.github")
        text = text.replace(f"@{'a' * 40} # v{init._pin.__version__}", "")
        project.write(f".github/workflows/init-{path.name}", text)

    done = lint(project.root, "actionlint", *map(str, sorted(project.root.glob(".github/workflows/init-*.yml"))))

    assert done.returncode == 0, done.stdout + done.stderr
