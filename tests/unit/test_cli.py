"""The command line: every command is documented, a wrong call is told what would be right."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from passmuster import _cli, _console, gate, record
from passmuster.__main__ import main_inner
from passmuster.errors import ExitCode
from support import records

SMALLEST = (Path(__file__).parents[1] / "examples" / "good" / "smallest.yaml").read_text()
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


def test_without_git_it_says_what_to_install() -> None:
    """GitPython looks for git already when it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "passmuster", "status"],
        env={**os.environ, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        ExitCode.UNAVAILABLE,
        "passmuster: git could not be started; install git 2.30 or newer",
    )


def test_in_a_hook_of_git_no_command_works_on_the_repository_that_git_means(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a worktree of passmuster's own would be filled from, and into, the user's index."""
    monkeypatch.setenv("GIT_DIR", str(project / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project / "index"))
    main_inner(["status"])

    assert not {"GIT_DIR", "GIT_INDEX_FILE"} & os.environ.keys()


def test_what_a_model_or_a_stage_says_moves_no_cursor_and_commands_no_runner(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor is it read as markup, on a terminal or elsewhere."""
    said = "\x1b]0;title\x07red\r\n  ::add-mask::x\n##[error]y \u202eback [/bold] é\ttab"
    for stream in ("talk", "data"):
        if stream == "talk":
            _cli._say(said)
        else:
            _cli._out(said)
        shown = capsys.readouterr()
        text = shown.err if stream == "talk" else shown.out

        assert not set("\x1b\x07\r\u202e") & set(text)
        assert "::add-mask" not in text and "##[error]" not in text
        assert "[/bold] é\ttab" in text


def test_a_step_named_like_markup_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closing tag without an opening one would end the run."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    monkeypatch.setattr(_console, "stderr", lambda: console)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with _console.talking() as talk:
        talk.step("stage [/red] \x1b[2J")

    assert "stage [/red] \ufffd[2J" in stream.getvalue()


@pytest.fixture
def model(project: Path) -> Path:
    """A project with one model, of which nothing is recorded; the answer is the model's folder of records."""
    config = project / "model-configs" / f"{records.MODEL}.yaml"
    config.parent.mkdir()
    config.write_text(SMALLEST.replace("smallest", records.MODEL))
    return project / ".passmuster" / records.MODEL


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("status credit-defualt", ExitCode.USAGE, "perhaps you meant 'credit-default'"),
        ("rollback other --reason x", ExitCode.USAGE, "there are: credit-default"),
        ("gate credit-default --all", ExitCode.USAGE, "say either models or --all"),
        ("promote", ExitCode.USAGE, "say which models, or --all; there are: credit-default"),
        ("history credit-default --at yesterday", ExitCode.USAGE, "write it as 2026-11-23T12:00Z"),
        ("score credit-default", ExitCode.REFUSED, "git remote add"),
        ("gate credit-default", ExitCode.REFUSED, "run `passmuster score` first"),
        ("promote credit-default", ExitCode.REFUSED, "run `passmuster reproduce` first"),
        ("rollback credit-default --reason x", ExitCode.REFUSED, "git remote add"),
        ("plan", ExitCode.USAGE, "there is no commit 'HEAD'"),
    ],
)
def test_a_wrong_call_is_told_what_to_do_next(
    model: Path, call: str, code: ExitCode, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main_inner(call.split()) is code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("call", ["rollback credit-default", "gate --format xml", "history", "lock", "promote --frist"])
def test_a_call_that_does_not_parse_ends_with_2(model: Path, call: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main_inner(call.split())

    assert caught.value.code == ExitCode.USAGE


def test_another_models_broken_config_does_not_stand_in_the_way_of_a_rollback(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model.parents[1] / "model-configs" / "other.yaml").write_text("ownr: [")

    assert main_inner(["rollback", "credit-default", "--reason", "x"]) is ExitCode.REFUSED
    assert "git remote add" in capsys.readouterr().err
    assert main_inner(["status"]) is ExitCode.USAGE


def test_gate_only_prints_what_it_measured_and_not_the_last_verdict(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records.scenario(model.parent, "failing")
    whole = record.read(model / "gate.json", "gate")
    some = [j for j in whole.body["judgements"] if j["gate"] == "performance"]
    body = {**whole.body, "judgements": some, "decision": "refuse", "code": 0, "only": ["performance"]}
    monkeypatch.setattr(gate, "gate", lambda *_, **__: replace(whole, body=body))

    assert main_inner(["gate", "credit-default", "--only", "performance"]) is ExitCode.OK
    said = capsys.readouterr()
    assert "decides nothing" in said.out
    assert "does not pass" not in said.out
    assert "credit-default.yaml has changes that are not committed" in said.err
