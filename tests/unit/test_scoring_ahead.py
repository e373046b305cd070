"""Scoring programs that are started before there is a model: asked once, replaced where they died, none left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passmuster import _scoring, environments
from support.processes import at_work

PROGRAM = Path(__file__).parents[2] / "serving" / "passmuster_serving" / "score.py"

#: In place of the scoring program: tells that it was started, and answers with what it was asked.
FAKE = """\
import os, pathlib, sys, time
(pathlib.Path({folder!r}) / str(time.time_ns())).touch()
if {dies}:
    raise SystemExit(7)
if sys.stdin.readline():
    print(pathlib.Path(sys.argv[2]).read_text())
"""

Fake = Callable[..., Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Return a function that puts the fake in the program's place; the answer is where it tells of its starts."""
    monkeypatch.setattr(environments, "ensure", lambda lock: python(lock.name))
    monkeypatch.setattr(_scoring, "program", lambda: tmp_path / "program.py")
    # Where all files but its own are read-only, it could tell nobody of its start.
    monkeypatch.setattr(environments, "without_network", lambda command, *_: command)

    def made(*, dies: bool = False) -> Path:
        (tmp_path / "starts").mkdir(exist_ok=True)
        (tmp_path / "program.py").write_text(FAKE.format(folder=str(tmp_path / "starts"), dies=dies))
        return tmp_path / "starts"

    def python(name: str) -> Path:
        path = tmp_path / name
        if not path.exists():
            path.symlink_to(sys.executable)
        return path

    return made


def started(folder: Path, count: int) -> None:
    while len(list(folder.iterdir())) < count:
        time.sleep(0.02)


def asked(waiting: _scoring.Waiting, python: Path) -> object:
    program = waiting.ask(python, {"model": "m"}, {Path("/data"): Path("/answers")})
    return json.loads(program.process.wait(60).stdout)["model"]


def test_a_program_that_waits_is_asked_in_place_of_a_new_one_and_once_only(fake: Fake, tmp_path: Path) -> None:
    starts = fake()
    with _scoring.Waiting() as waiting:
        waiting.start(Path("one"))
        started(starts, 1)

        assert asked(waiting, tmp_path / "one") == "m"
        assert len(list(starts.iterdir())) == 1
        assert asked(waiting, tmp_path / "one") == "m"
        assert len(list(starts.iterdir())) == 2


def test_a_program_that_died_while_it_waited_is_replaced(fake: Fake, tmp_path: Path) -> None:
    starts = fake(dies=True)
    with _scoring.Waiting() as waiting:
        waiting.start(Path("one"))
        started(starts, 1)
        while at_work(tmp_path):
            time.sleep(0.02)
        fake()

        assert asked(waiting, tmp_path / "one") == "m"
        assert len(list(starts.iterdir())) == 2


def test_a_program_of_another_environment_is_not_asked(fake: Fake, tmp_path: Path) -> None:
    """The stages may have made a model with another lock than the commit's."""
    starts = fake()
    with _scoring.Waiting() as waiting:
        waiting.start(Path("one"))
        started(starts, 1)
        environments.ensure(Path("other"))

        assert asked(waiting, tmp_path / "other") == "m"
        assert len(list(starts.iterdir())) == 2


def test_none_is_left_and_none_is_started_afterwards(fake: Fake, tmp_path: Path) -> None:
    """A thread may be about to start one when the run is broken off."""
    starts = fake()
    with pytest.raises(KeyboardInterrupt), _scoring.Waiting() as waiting:
        waiting.start(Path("one"))
        started(starts, 1)
        raise KeyboardInterrupt
    waiting.start(Path("one"))

    assert not at_work(tmp_path)
    assert len(list(starts.iterdir())) == 1


class TestTheProgramItself:
    @pytest.fixture
    def packages(self, tmp_path: Path) -> Path:
        """In place of what it imports while it waits: the first talks, one is broken, one tells that it is the last."""
        folder = tmp_path / "packages"
        for name, text in {
            "pyarrow/__init__.py": "print('{}', flush=True)",
            "pyarrow/parquet.py": "",
            "pandas/__init__.py": "raise RuntimeError('broken')",
            "mlflow/__init__.py": "",
            "mlflow/pyfunc.py": "import sys; print('last', file=sys.stderr)",
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    @pytest.fixture
    def program(self, packages: Path, tmp_path: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), "--wait", str(tmp_path / "request.json")],
            env={**os.environ, "PYTHONPATH": str(packages)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_ends_without_a_word_where_nobody_will_ask(self, program: subprocess.Popen[str]) -> None:
        said, _ = program.communicate()

        assert (program.returncode, said) == (0, "")

    def test_imports_while_it_waits_and_what_that_says_is_no_answer(self, program: subprocess.Popen[str]) -> None:
        assert program.stderr is not None
        assert any(line == "last\n" for line in program.stderr)
        said, talk = program.communicate("\n")

        assert (program.returncode, said) == (1, "")
        assert "is not a request" in talk
