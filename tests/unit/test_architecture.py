"""The directions of imports that `docs/architecture.md` promises, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADAPTERS = {"_git", "_dvc", "registry", "environments", "_process"}
STEPS = {"plan", "reproduce", "score", "gate", "report", "promote", "rollback", "run", "validate", "lock"}
DOMAIN = {"config", "record", "digest", "measurement", "policy", "verdict", "errors", "gates", "metrics", "curated"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


@pytest.mark.parametrize("path", modules("ci"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_framework_never_imports_a_gate_or_the_serving_code(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith(("passmuster_checks", "passmuster_serving"))]


@pytest.mark.parametrize("path", modules("checks"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_gates_import_the_domain_and_never_a_step(path: Path) -> None:
    found = {name.split(".")[1] for name in imports(path) if name.startswith("passmuster.")}

    assert not found & STEPS


@pytest.mark.parametrize("path", modules("serving"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_serving_code_imports_nothing_of_the_framework(path: Path) -> None:
    assert not [name for name in imports(path) if name.split(".")[0] in ("passmuster", "passmuster_checks")]


@pytest.mark.parametrize("name", sorted(DOMAIN))
def test_the_domain_imports_no_step_and_no_adapter(name: str) -> None:
    path = ROOT / "ci" / "passmuster" / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    found = {
        part
        for file in files
        for target in imports(file)
        if target.startswith("passmuster.")
        for part in [target.split(".")[1]]
    }

    assert not found & STEPS


def test_help_imports_nothing_heavy() -> None:
    """`--help` answers in under 0.2 s only if no library is read for it."""
    code = (
        "import sys\nfrom passmuster import _cli\n_cli.parser().format_help()\n"
        "heavy = ('numpy', 'pandas', 'mlflow', 'dvc', 'git', 'rich', 'yaml', 'jinja2', 'scipy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
