"""The command line: every command is documented, a wrong call is told what would be right."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from passmuster import _cli
from passmuster.__main__ import main_inner
from passmuster.errors import ExitCode

COMMANDS = next(action.choices for action in _cli.parser()._actions if isinstance(action, argparse._SubParsersAction))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_explains_itself() -> None:
    assert {name for name, sub in COMMANDS.items() if not sub.description} == set()


def test_every_command_stands_in_the_readme() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()

    assert {name for name in COMMANDS if f"`{name}`" not in text} == set()


def test_a_command_that_does_not_exist_is_a_wrong_call() -> None:
    with pytest.raises(SystemExit) as caught:
        main_inner(["promoet"])

    assert caught.value.code == ExitCode.USAGE


def test_outside_of_a_repository_the_message_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main_inner(["validate"]) is ExitCode.USAGE
    assert "not in a git work tree" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "audit", "validate"])
def test_a_repository_without_a_model_is_told_how_to_make_one(
    project: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main_inner([command]) is ExitCode.USAGE
    assert "model-configs/" in capsys.readouterr().err


def test_an_unexpected_exception_is_our_bug(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_cli, "_repository", lambda: 1 / 0)

    assert main_inner(["status"]) is ExitCode.BUG
    assert "bug of passmuster" in capsys.readouterr().err
