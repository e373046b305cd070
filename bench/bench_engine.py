"""Facts of every column and row of two splits, against reading their columns once, in the same run.

Run it: `python bench/bench_engine.py [--large]`. 20 columns of numbers, 8 of categories with 5 to 500 values, a label;
each number from a process of its own. Goals: at 1M rows at most 4 times the time to read plus 2 s; at 10M (`--large`)
at most 1.6 GB; cost linear in rows and in columns.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from passmuster import environments
from passmuster.config import Task
from passmuster_checks import engine

SPLITS = ("train", "test")
NUMBERS, CATEGORIES = 20, 8
GROUP = 1_000_000
GOAL_RATIO, GOAL_SECONDS, GOAL_MEGABYTES = 4.0, 2.0, 1600


def main(large: bool) -> int:
    print("rows per split, columns: reading once, facts, ratio (of CPU time each), peak memory")
    seconds = {}
    for rows in (100_000, 1_000_000, *((10_000_000,) if large else ())):
        seconds[rows] = report(rows, NUMBERS, CATEGORIES)
    print(f"cost per row, 1M against 100k: {seconds[1_000_000] / seconds[100_000] / 10:.2f}")
    few = report(50_000, NUMBERS, CATEGORIES)
    many = report(50_000, NUMBERS * 18, CATEGORIES * 18 - 4)
    print(f"cost per column, 500 against 28: {many / few / (500 / 28):.2f}")
    return 0


def report(rows: int, numbers: int, categories: int) -> float:
    with TemporaryDirectory() as folder:
        for seed, split in enumerate(SPLITS):
            write(Path(folder) / f"{split}.parquet", rows, numbers, categories, seed)
        read, facts = (measured(what, folder) for what in ("read", "facts"))
    print(
        f"{rows:>10,} × {numbers + categories}: {read['seconds']:.2f} s ({read['cpu']:.2f} s), "
        f"{facts['seconds']:.2f} s ({facts['cpu']:.2f} s), {facts['seconds'] / read['seconds']:.1f} "
        f"({facts['cpu'] / read['cpu']:.1f}), {facts['megabytes']:.0f} MB"
    )
    if rows == GROUP:
        met = facts["seconds"] <= GOAL_RATIO * read["seconds"] + GOAL_SECONDS
        print(f"goal (at most {GOAL_RATIO:g} times plus {GOAL_SECONDS:g} s): {'met' if met else 'not met'}")
    if rows > GROUP:
        print(f"goal (at most {GOAL_MEGABYTES} MB): {'met' if facts['megabytes'] <= GOAL_MEGABYTES else 'not met'}")
    return facts["seconds"]


def write(path: Path, rows: int, numbers: int, categories: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(5, 500, categories).astype(int)
    with pq.ParquetWriter(path, batch(rng, 1, numbers, sizes, 0).schema) as writer:
        for start in range(0, rows, GROUP):
            writer.write_batch(batch(rng, min(GROUP, rows - start), numbers, sizes, start + seed * rows))


def batch(rng: np.random.Generator, rows: int, numbers: int, sizes: np.ndarray, start: int) -> pa.RecordBatch:
    columns = {"id": pa.array(np.arange(start, start + rows))}
    for i in range(numbers):
        normal = rng.normal(size=rows)
        columns[f"number_{i}"] = pa.array(np.exp(normal) if i % 2 else normal)
    for i, size in enumerate(sizes):
        words = pa.array([f"value {word}" for word in range(size)])
        codes = pa.array(rng.integers(0, size, rows, dtype=np.int32))
        columns[f"category_{i}"] = pa.DictionaryArray.from_arrays(codes, words).dictionary_decode()
    columns["label"] = pa.array((rng.random(rows) < 0.2).astype(np.int8))
    return pa.record_batch(columns)


def measured(what: str, folder: str) -> dict[str, float]:
    environment = {**os.environ, **environments.quick_sorting()}  # as gates are started
    command = [sys.executable, __file__, what, folder]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def child(what: str, folder: Path) -> None:
    files = tuple((split, folder / f"{split}.parquet") for split in SPLITS)
    asked = engine.Request(splits=files, pairs=(SPLITS,), key="id", label="label", task=Task.BINARY)
    wall, cpu = time.perf_counter(), time.process_time()
    if what == "read":
        read([path for _, path in files])
    else:
        found = engine.facts(asked)
        assert [failed.column for failed in found.failures] == ["id"], found.failures
    answer = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    answer["megabytes"] = peak_megabytes()
    print(json.dumps(answer))


def peak_megabytes() -> float:
    """The most memory that this process held; where the system tells it, without that of its parent at the start."""
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(paths: list[Path]) -> None:
    """Read every column once, one at a time in each of two threads."""

    def column(path: Path, name: str) -> None:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group, columns=[name], use_threads=False)

    with ThreadPoolExecutor(2) as pool:
        for path in paths:
            list(pool.map(lambda name, path=path: column(path, name), pq.read_schema(path).names))


if __name__ == "__main__":
    if sys.argv[1:2] in (["read"], ["facts"]):
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        sys.exit(main("--large" in sys.argv[1:]))
