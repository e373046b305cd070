"""How long the command line takes to answer where nothing heavy is to be done: CI starts many steps.

Run it: `python bench/bench_start.py`. Goals: `--help` under 0.2 s, without an import of NumPy, DVC or MLflow.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
RUNS = 5
GOAL_SECONDS = 0.2
HEAVY = ("numpy", "pandas", "pyarrow", "scipy", "sklearn", "dvc", "mlflow", "git", "rich")


def main() -> int:
    plain, _ = timed("-c", "pass")
    print(f"{'python alone':24} {plain:6.3f} s")
    for words in (("--help",), ("run", "--help"), ("validate",), ("plan", "--base", "HEAD")):
        seconds, processor = timed("-m", "passmuster", *words)
        heavy = ", ".join(imported(*words)) or "nothing heavy"
        print(f"{'passmuster ' + ' '.join(words):24} {seconds:6.3f} s, processor {processor:.3f} s; imports {heavy}")
        if words == ("--help",):
            met = seconds < GOAL_SECONDS
    print(f"goal (--help under {GOAL_SECONDS:g} s): {'met' if met else 'not met'}")
    return 0


def timed(*words: str) -> tuple[float, float]:
    """Return the best wall and processor time of some fresh interpreters, in seconds."""
    walls, processors = [], []
    for _ in range(RUNS):
        start, before = time.perf_counter(), used()
        subprocess.run([sys.executable, *words], cwd=PROJECT, check=True, capture_output=True)
        walls.append(time.perf_counter() - start)
        processors.append(used() - before)
    return min(walls), min(processors)


def used() -> float:
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def imported(*words: str) -> list[str]:
    """Return which heavy packages a command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "passmuster", *words]
    said = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stderr
    names = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    return [name for name in HEAVY if name in names]


if __name__ == "__main__":
    sys.exit(main())
