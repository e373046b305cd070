"""Programs that are not trusted to end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from passmuster import _process

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
