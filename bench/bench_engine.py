"""Gates `profile`, `leakage`, `drift` and `slices` on every row, against reading the columns of both splits once.

Run it: `python bench/bench_engine.py [--large]`. Train and test: 20 columns of numbers, 8 of categories with 5 to 500
values, a label, an id; a candidate and a champion, compared by ROC AUC in every slice of every single column. Pairs of
columns and the domain classifier have a budget of their own (`bench_slices.py`). Each line comes from processes of
their own, which have imported what they need before the clock starts, as a worker of gates has.

Goals: at 1M rows at most 4 times the time to read, plus 2 s; at 10M (`--large`, which takes minutes) at most 1.6 GB;
cost linear in rows and in columns.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from passmuster import environments
from passmuster.config import (
    ChampionGate,
    Column,
    ColumnType,
    Comparison,
    Data,
    DriftGate,
    Gates,
    Limit,
    ModelConfig,
    PerformanceGate,
    Pipeline,
    Registry,
    SlicesGate,
    Task,
)
from passmuster.gates import Champion, Gate, Inputs
from passmuster.measurement import Failure

SPLITS = ("train", "test")
NUMBERS, CATEGORIES = 20, 8
#: Rows that are made and written at a time.
GROUP = 1_000_000
GOAL_RATIO, GOAL_SECONDS, GOAL_MEGABYTES = 4.0, 2.0, 1600
METRIC = "roc_auc_score"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the splits are."""

    rows: int
    numbers: int = NUMBERS
    categories: int = CATEGORIES

    @property
    def columns(self) -> int:
        return self.numbers + self.categories

    @property
    def cardinalities(self) -> list[int]:
        return [int(size) for size in np.geomspace(5, 500, self.categories)]


def main(large: bool) -> int:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    by_rows = {rows: report(Size(rows=rows)) for rows in (100_000, 1_000_000, *((10_000_000,) if large else ()))}
    for few, many in list(zip(by_rows, list(by_rows)[1:], strict=False)):
        ratio = by_rows[many]["cpu"] / by_rows[few]["cpu"]
        print(f"{many:,} rows against {few:,}: {many / few:g} times the rows, {ratio:.1f} times the CPU time")
    few, many = Size(rows=50_000), Size(rows=50_000, numbers=NUMBERS * 18, categories=CATEGORIES * 18 - 4)
    ratio = report(many)["cpu"] / report(few)["cpu"]
    print(f"{many.columns} columns against {few.columns}: {many.columns / few.columns:.1f} times the columns, ", end="")
    print(f"{ratio:.1f} times the CPU time")
    return 0


def report(size: Size) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        write(Path(folder), size)
        read, gates = (measured(what, folder, size) for what in ("read", "gates"))
    print(f"{size.rows:,} rows × {size.columns} columns in each of two splits")
    print(f"  reading once: {read['seconds']:.2f} s ({read['cpu']:.2f} s of CPU)")
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in gates["parts"].items())
    print(f"  gates: {gates['seconds']:.2f} s ({gates['cpu']:.2f} s of CPU; {parts}), {gates['megabytes']:.0f} MB")
    limit = GOAL_RATIO * read["seconds"] + GOAL_SECONDS
    print(f"  {gates['seconds'] / read['seconds']:.1f} times the reading; {GOAL_RATIO:g} times and", end=" ")
    print(f"{GOAL_SECONDS:g} s are {limit:.2f} s", end="")
    print(f": {'met' if gates['seconds'] <= limit else 'NOT MET'}" if size.rows == GROUP else "")
    if size.rows > GROUP:
        print(f"  at most {GOAL_MEGABYTES} MB: {'met' if gates['megabytes'] <= GOAL_MEGABYTES else 'NOT MET'}")
    return gates


# ── the rows ───────────────────────────────────────────────────────────────────────────────────────────────────────


def write(folder: Path, size: Size) -> None:
    """Write both splits, and what candidate and champion answer on the test rows."""
    rng = np.random.default_rng(0)
    writers: dict[str, pq.ParquetWriter] = {}
    for number, split in enumerate(SPLITS):
        for start in range(0, size.rows, GROUP):
            rows = min(GROUP, size.rows - start)
            batches = {split: batch(rng, rows, size, number * size.rows + start)}
            if split == "test":
                batches |= answers(rng, batches[split])
            for name, each in batches.items():
                if name not in writers:
                    writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", each.schema)
                writers[name].write_batch(each)
    for writer in writers.values():
        writer.close()


def batch(rng: np.random.Generator, rows: int, size: Size, start: int) -> pa.RecordBatch:
    columns = {"id": pa.array(np.arange(start, start + rows))}
    for i in range(size.numbers):
        normal = rng.normal(size=rows)
        columns[f"number_{i}"] = pa.array(np.exp(normal) if i % 2 else normal)
    for i, k in enumerate(size.cardinalities):
        words = pa.array([f"value {word}" for word in range(k)])
        codes = pa.array(rng.integers(0, k, rows, dtype=np.int32))
        columns[f"category_{i}"] = pa.DictionaryArray.from_arrays(codes, words).dictionary_decode()
    columns["label"] = pa.array((rng.random(rows) < 0.2).astype(np.int8))
    return pa.record_batch(columns)


def answers(rng: np.random.Generator, test: pa.RecordBatch) -> dict[str, pa.RecordBatch]:
    label = test.column("label").to_numpy()
    common = 1.1 * label + rng.normal(size=len(label))
    found = {}
    for name in ("candidate", "champion"):
        chance = 1 / (1 + np.exp(-common - 0.2 * rng.normal(size=len(label))))
        said = {"prediction": (chance > 0.5).astype(np.int8), "proba_0": 1 - chance, "proba_1": chance}
        found[name] = pa.record_batch({"id": test.column("id"), "label": test.column("label"), **said})
    return found


def inputs_of(folder: Path, size: Size) -> Inputs:
    numbers = {f"number_{i}": Column(type=ColumnType.NUMBER) for i in range(size.numbers)}
    words = {f"category_{i}": Column(type=ColumnType.STRING) for i in range(size.categories)}
    own = {"id": Column(type=ColumnType.INTEGER), "label": Column(type=ColumnType.INTEGER)}
    effects = {name: limit for name, limit in DriftGate().limits.items() if name != "domain_auc"}
    config = ModelConfig(
        name="bench",
        owner="bench@example.com",
        task=Task.BINARY,
        requirements="r",
        pipeline=Pipeline(targets=("t",), model="m"),
        data=Data(train="t", test="t", label="label", positive="1", id="id", columns={**own, **numbers, **words}),
        gates=Gates(
            performance=PerformanceGate(limits={METRIC: Limit(min=0.5)}),
            champion=ChampionGate(rules={METRIC: Comparison(margin=0.02)}),
            drift=DriftGate(limits=effects),
            slices=SlicesGate(pairs=0),
        ),
        registry=Registry(name="bench"),
    )
    predictions = {who: {"test": folder / f"{who}.parquet"} for who in ("candidate", "champion")}
    return Inputs(
        config=config,
        root=folder,
        digest="",
        model=folder,
        data={split: folder / f"{split}.parquet" for split in SPLITS},
        predictions=predictions["candidate"],
        champion=Champion(version="v1", digest="", model=folder, predictions=predictions["champion"], environment={}),
        environment={},
        workspace=folder,
        false_alarms=0.001,
    )


# ── processes of their own ─────────────────────────────────────────────────────────────────────────────────────────


def measured(what: str, folder: str, size: Size) -> dict[str, Any]:
    environment = {**os.environ, **environments.quick_sorting()}  # as gates are started
    command = [sys.executable, __file__, what, folder, json.dumps(vars(size))]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def child(what: str, folder: Path, size: Size) -> None:
    inputs = inputs_of(folder, size)
    gates = gates_of(what)
    wall, cpu, parts = time.perf_counter(), time.process_time(), {}
    for name, gate in gates.items():
        begun = time.perf_counter()
        found = gate.measure(inputs)
        failed = [m.name for m in found if isinstance(m, Failure)]
        assert found and not failed, failed
        parts[name] = time.perf_counter() - begun
    if what == "read":
        read(list(inputs.data.values()))
    answer = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "parts": parts}
    print(json.dumps({**answer, "megabytes": peak_megabytes()}))


def gates_of(what: str) -> dict[str, Gate]:
    """Return the gates of a process: `gates`, or `read`, which has none."""
    if what == "read":
        return {}
    from passmuster_checks.drift import Drift
    from passmuster_checks.leakage import Leakage
    from passmuster_checks.profile import ProfileOfColumns
    from passmuster_checks.slices import Slices

    return {"profile": ProfileOfColumns(), "leakage": Leakage(), "drift": Drift(), "slices": Slices()}


def peak_megabytes() -> float:
    """The most memory that this process held; where the system tells it, without that of its parent at the start."""
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(paths: list[Path]) -> None:
    """Read every column once, one at a time in each of two threads."""

    def column(path: Path, metadata: pq.FileMetaData, name: str) -> None:
        with pq.ParquetFile(path, metadata=metadata) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group, columns=[name], use_threads=False)

    with ThreadPoolExecutor(2) as pool:
        for path in paths:
            metadata = pq.read_metadata(path)
            list(pool.map(partial(column, path, metadata), metadata.schema.names))


if __name__ == "__main__":
    if sys.argv[1:2] in (["read"], ["gates"]):
        child(sys.argv[1], Path(sys.argv[2]), Size(**json.loads(sys.argv[3])))
    else:
        sys.exit(main("--large" in sys.argv[1:]))
