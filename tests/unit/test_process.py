"""Programs that are not trusted to end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from passmuster import _process
from support.processes import at_work

PYTHON = [sys.executable, "-P", "-c"]

#: A child that shows for ever that it is alive.
BEATS = "import time\nwhile True: open('beats', 'a').write('x'); time.sleep(0.05)"


def still(file: Path) -> bool:
    """Return whether nobody writes to a file any more, to which somebody did."""
    size = file.stat().st_size
    time.sleep(0.5)
    return file.stat().st_size == size


def test_what_a_program_says_is_heard_line_by_line_and_kept(tmp_path: Path) -> None:
    heard: list[str] = []

    done = _process.run(
        [*PYTHON, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"],
        cwd=tmp_path,
        env=dict(os.environ),
        timeout=60,
        on_line=heard.append,
    )

    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert sorted(heard) == ["err", "out"]
    assert done.last_lines() == "err"


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {BEATS!r}]); time.sleep(600)"

    done = _process.run([*PYTHON, code], cwd=tmp_path, env=dict(os.environ), timeout=1.5)

    assert done.timed_out
    assert still(tmp_path / "beats")


def test_a_child_that_outlives_its_parent_is_ended_too(tmp_path: Path) -> None:
    code = f"""if True:
        import pathlib, subprocess, sys, time
        subprocess.Popen([sys.executable, '-c', {BEATS!r}])
        while not pathlib.Path('beats').exists():
            time.sleep(0.05)
    """

    done = _process.run([*PYTHON, code], cwd=tmp_path, env=dict(os.environ), timeout=60)

    assert done.returncode == 0
    assert still(tmp_path / "beats")


def test_of_a_flood_only_the_end_is_kept(tmp_path: Path) -> None:
    done = _process.run(
        [*PYTHON, "print('x' * 3_000_000); print('end')"], cwd=tmp_path, env=dict(os.environ), timeout=60
    )

    assert len(done.stdout) == _process.KEPT
    assert done.stdout.endswith("end\n")


def test_a_program_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        _process.run(["/no/such/program"], cwd=tmp_path, env={}, timeout=5)


HELD = "import pathlib, sys; pathlib.Path('heard').write_text(repr(sys.stdin.readline()))"


def test_a_program_that_is_held_goes_on_when_it_is_told_to(tmp_path: Path) -> None:
    with _process.Started([*PYTHON, HELD], cwd=tmp_path, env=dict(os.environ), held=True) as program:
        assert program.go()
        done = program.wait(60)

    assert done.returncode == 0
    assert (tmp_path / "heard").read_text() == repr("\n")


def test_a_program_that_is_held_and_never_asked_is_ended_with_its_children(tmp_path: Path) -> None:
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BEATS!r}]); sys.stdin.readline()"
    with _process.Started([*PYTHON, code], cwd=tmp_path, env=dict(os.environ), held=True):
        while not (tmp_path / "beats").exists():
            time.sleep(0.05)

    assert still(tmp_path / "beats")


def test_a_program_that_died_before_it_was_told_to_go_on_did_not_hear_it(tmp_path: Path) -> None:
    with _process.Started([*PYTHON, "raise SystemExit(7)"], cwd=tmp_path, env=dict(os.environ), held=True) as program:
        while at_work(tmp_path):
            time.sleep(0.05)

        assert not program.go()
        assert program.wait(60).returncode == 7


STARTER = f"""
import os, sys, time
from pathlib import Path
from passmuster import _process
held = {HELD!r}
program = _process.Started([sys.executable, "-c", held], cwd=Path("."), env=dict(os.environ), held=True)
os.kill(os.getpid(), 9)
"""


def test_a_program_that_is_held_learns_that_its_starter_was_killed(tmp_path: Path) -> None:
    """Nobody is left who could end it."""
    starter = subprocess.run([sys.executable, "-P", "-c", STARTER], cwd=tmp_path, capture_output=True, check=False)
    assert starter.returncode == -9, starter.stderr
    while not (tmp_path / "heard").exists() or not (tmp_path / "heard").read_text():
        time.sleep(0.05)

    assert (tmp_path / "heard").read_text() == repr("")
