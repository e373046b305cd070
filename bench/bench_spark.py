"""The facts of two splits on Spark, in a session on this machine: seconds, rows per second, and what 100M would take.

Run it: `python bench/bench_spark.py [--large]`. 28 columns and a label, as in `bench_engine.py`; each number from a
process of its own, the session's start apart. Two sizes give the cost of a row, by which 100M are *extrapolated*; with
`--large` they are *run*, from 100 links to one file of 1M rows, so with 1M different numbers in a column of numbers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import bench_engine as local

from passmuster.config import Task
from passmuster_checks import engine

SMALL, MIDDLE, LARGE = 100_000, 1_000_000, 100_000_000


def main(large: bool) -> int:
    with TemporaryDirectory() as folder:
        seconds = {rows: report(Path(folder), rows, 1) for rows in (SMALL, MIDDLE)}
        each = (seconds[MIDDLE] - seconds[SMALL]) / (MIDDLE - SMALL)
        whole = seconds[MIDDLE] + each * (LARGE - MIDDLE)
        print(f"{LARGE:>11,} extrapolated on this machine: {whole / 3600:.1f} h, {2 * LARGE / whole:,.0f} rows/s")
        if large:
            report(Path(folder), MIDDLE, LARGE // MIDDLE)
    return 0


def report(folder: Path, rows: int, times: int) -> float:
    here = folder / f"{rows}-{times}"
    for seed, split in enumerate(local.SPLITS):
        (here / split).mkdir(parents=True)
        local.write(here / f"{split}.parquet", rows, local.NUMBERS, local.CATEGORIES, seed)
        for i in range(times):
            (here / split / f"{i:03}.parquet").symlink_to(here / f"{split}.parquet")
    done = subprocess.run([sys.executable, __file__, "facts", str(here)], check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    total = 2 * rows * times
    print(
        f"{rows * times:>11,} × {local.NUMBERS + local.CATEGORIES} in each of two splits: {answer['seconds']:.0f} s, "
        f"{total / answer['seconds']:,.0f} rows/s, its start {answer['session']:.0f} s"
    )
    return answer["seconds"]


def child(folder: Path) -> None:
    from pyspark.sql import SparkSession

    from passmuster_checks.engine import spark

    files = tuple((split, folder / split) for split in local.SPLITS)
    asked = engine.Request(splits=files, pairs=(local.SPLITS,), key="id", label="label", task=Task.BINARY)
    begun = time.perf_counter()
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.driver.memory": "3g"}
    builder = SparkSession.builder.master("local[*]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    started = time.perf_counter()
    found = spark.facts(asked, session)
    ended = time.perf_counter()
    assert [failed.column for failed in found.failures] == ["id"], found.failures
    answer = {"seconds": ended - started, "session": started - begun}
    print(json.dumps(answer))


if __name__ == "__main__":
    if sys.argv[1:2] == ["facts"]:
        child(Path(sys.argv[2]))
    else:
        sys.exit(main("--large" in sys.argv[1:]))
