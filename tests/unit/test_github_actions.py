"""What a job tells its runner can't be made up by text that others wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from passmuster.errors import UsageError
from passmuster.github import actions

HOSTILE = "a\n::set-output name=x::1\n  ::error::y ##[error]z 100%\r::warning::q \x1b[31m\u202e"


class AtExit:
    """What would be called when the process ends."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def append_call(self, function: Callable[..., object], *arguments: object) -> None:
        self.calls.append(lambda: function(*arguments))


AT_EXIT = AtExit()


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "_remarks", Counter())
    monkeypatch.setattr(actions.atexit, "register", AT_EXIT.append_call)
    AT_EXIT.calls.clear()
    for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def in_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


def read(file: Path) -> dict[str, str]:
    """Read a file of outputs as the runner does."""
    found, lines = {}, iter(file.read_text().split("\n"))
    for line in lines:
        if line:
            name, _, delimiter = line.partition("<<")
            value = []
            while (part := next(lines)) != delimiter:
                value.append(part)
            found[name] = "\n".join(value)
    return found


@pytest.mark.usefixtures("in_a_job")
def test_an_error_stands_at_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    actions.error("two\nlines, 5 %", file="a,b:c.yaml", line=3, title="x\n::y::")

    assert capsys.readouterr().err == "::error file=a%2Cb%3Ac.yaml,line=3,title=x %3A%3Ay%3A%3A::two%0Alines, 5 %25\n"


@pytest.mark.usefixtures("in_a_job")
@pytest.mark.parametrize("say", [actions.error, actions.warning, actions.notice])
def test_foreign_text_gives_no_further_command(say: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(say)
    say(HOSTILE, file=HOSTILE, line=1, title=HOSTILE)
    with actions.group(HOSTILE):
        pass
    told = capsys.readouterr().err

    assert len(told.splitlines()) == 3
    assert "##[" not in told and "\x1b" not in told and "\u202e" not in told and "\r" not in told


def test_elsewhere_it_is_plain_text_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    actions.error(HOSTILE, file="x.yaml", line=3, title="t")
    with actions.group("::group::x"):
        pass
    actions.output("name", HOSTILE)
    told = capsys.readouterr().err

    assert told.startswith("x.yaml:3: error: t: a\n")
    assert not [line for line in told.splitlines() if line.strip().startswith("::") or "##[" in line]


@pytest.mark.usefixtures("in_a_job")
def test_what_github_would_not_show_is_told_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(13):
        actions.warning(f"number {number}")
    actions.error("still shown")
    told = capsys.readouterr().err.splitlines()
    for call in AT_EXIT.calls:
        call()

    assert len([line for line in told if line.startswith("::warning")]) == 10
    assert told[10:13] == [f"warning: number {number}" for number in (10, 11, 12)]
    assert told[13] == "::error::still shown"
    assert capsys.readouterr().err == "3 more of level warning stand in the log above only\n"


@pytest.mark.parametrize("write", [actions.output, actions.environment])
def test_no_value_ends_itself_early(write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(write)
    file = tmp_path / "file"
    monkeypatch.setenv("GITHUB_OUTPUT", str(file))
    monkeypatch.setenv("GITHUB_ENV", str(file))
    value = "1\nEOF\npassmuster-\nverdict<<x\npass\nx\nLD_PRELOAD=/x"
    write("first", value)
    write("second", "2")

    assert read(file) == {"first": value, "second": "2"}


def test_two_values_never_have_one_delimiter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    monkeypatch.setenv("GITHUB_OUTPUT", str(file))
    actions.output("a", "1")
    actions.output("a", "1")
    first, second = [line for line in file.read_text().splitlines() if line.startswith("a<<")]

    assert first != second


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a=b", "a<<b", "1a"])
def test_a_name_is_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "file"))

    with pytest.raises(UsageError, match="is not a name"):
        actions.output(name, "x")


def test_the_summary_ends_where_github_would_drop_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    for _ in range(3):
        assert actions.summary("ä" * 400_000)

    assert file.stat().st_size <= actions.LONGEST_SUMMARY
    assert file.read_text().count("left out") == 1
    assert file.read_text().startswith("ä" * 400_000 + "\n\nää")


def test_without_a_summary_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert actions.summary("# x") is False
    assert capsys.readouterr().out == "# x\n"
