"""The engine on Spark tells what the engine on one machine tells: the same, or within the bound that is stated."""

from __future__ import annotations

import decimal
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyspark
import pytest
from pyarrow import parquet as pq
from pyspark.sql import SparkSession

import passmuster_checks.engine._spark_counts as counts
from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.measurement import Interval
from passmuster_checks import engine
from passmuster_checks.drift import Drift
from passmuster_checks.engine import Facts, Kind, Profile, Request, What, spark
from passmuster_checks.leakage import Leakage
from passmuster_checks.profile import ProfileOfColumns
from support import tables

ROWS = 5_000
PAIR = ("train", "test")
STEPS, MOST = 1_000, 100


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A cluster on this machine: a driver and two executors, each a process of its own.

    Spark alone needs Java: a newcomer's run goes on without it and says so; in CI a skip is a failure.
    """
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("there is no Java, which Spark needs: install a Java runtime, 17 or 21")
    home = tmp_path_factory.mktemp("spark")
    for part in Path(str(pyspark.__file__)).parent.iterdir():
        (home / part.name).symlink_to(part)  # the executors write beside what they start from
    settings = {
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.driver.host": "127.0.0.1",
        "spark.default.parallelism": "2",
        "spark.sql.shuffle.partitions": "2",
        # Of so few rows, compiling each question takes longer than answering it.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("tests")
        for key, value in settings.items():
            builder = builder.config(key, value)
        made = builder.getOrCreate()
        yield made
        made.stop()


def rows(seed: int) -> pa.Table:
    """Columns of every kind, a tenth of most without a value."""
    rng = np.random.default_rng(seed)
    number = rng.normal(size=ROWS) + seed / 10
    number[rng.random(ROWS) < 0.01] = np.nan
    number[:3] = [np.inf, -np.inf, -0.0]
    columns: dict[str, Any] = {
        "number": number,
        "amount": np.exp(rng.normal(size=ROWS)) * 1e6,
        "narrow": rng.random(ROWS).astype(np.float32),
        "whole": rng.integers(0, 50, ROWS),
        "far": 1e15 + rng.integers(0, 10, ROWS),
        "big": rng.integers(2**60, 2**60 + 40, ROWS),
        "text": rng.choice(["red", "green", "blue, dark", 'a "b"', "12", " 1e5\n"], ROWS),
        "name": [f"name {i}" for i in rng.integers(0, 3_000, ROWS)],
        "flag": rng.random(ROWS) < 0.3,
        "code": rng.choice([1.5, 2.0, 1e-7, 3e22, np.nan], ROWS),
        "at": np.datetime64("2026-01-01", "ns") + rng.integers(0, 10**15, ROWS),
        "day": np.datetime64("2026-01-01", "D") + rng.integers(0, 400, ROWS),
    }
    missing = rng.random(ROWS) < 0.1
    found = {name: pa.array(values, mask=missing) for name, values in columns.items()}
    found["zoned"] = found["at"].cast(pa.timestamp("us", "Asia/Tokyo"), safe=False)
    found["unsigned"] = pa.array(rng.integers(2**63, 2**63 + 50, ROWS, dtype=np.uint64))
    found["price"] = pa.array([decimal.Decimal(int(v)) / 100 for v in rng.integers(0, 9_999, ROWS)])
    found["lasted"] = pa.array(rng.integers(0, 100, ROWS), pa.duration("ms"))
    found["list"] = pa.array([[int(v), None] if v % 3 else None for v in rng.integers(0, 20, ROWS)])
    found["none"] = pa.nulls(ROWS)
    found["encoded"] = pa.array(rng.choice(["p", "q"], ROWS)).dictionary_encode()
    found["id"] = pa.array(np.arange(ROWS) + seed * 2_500)
    told = rng.random(ROWS) < 1 / (1 + np.exp(-np.clip(np.nan_to_num(number), -9, 9)))
    found["y"] = pa.array(np.where(rng.random(ROWS) < 0.05, "other", np.where(told, "yes", "no")))
    return pa.table(found)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train in row groups; test in three files, one of which writes a column as another type, with rows of train."""
    folder = tmp_path_factory.mktemp("data")
    train, test = rows(0), rows(1)
    pq.write_table(train, folder / "train.parquet", row_group_size=700)
    test = pa.concat_tables([test.slice(100), train.slice(40, 100)]).unify_dictionaries()
    parts = folder / "test {1}[2]"
    parts.mkdir()
    for i in range(3):
        part = test.slice(i * 1_700, 1_700)
        if i == 1:
            place = part.column_names.index("whole")
            part = part.set_column(place, "whole", part.column("whole").cast(pa.float64()))
        pq.write_table(part, parts / f"part {i}.parquet")
    return {"train": folder / "train.parquet", "test": parts}


def request(files: dict[str, Path], **asked: Any) -> Request:
    stated: dict[str, Any] = {"label": "y", "task": Task.MULTICLASS, "time": "at", "key": "id", "pairs": (PAIR,)}
    return Request(splits=tuple(files.items()), kinds=(("code", Kind.CATEGORY),), **{**stated, **asked})


@pytest.fixture(scope="module")
def both(session: SparkSession, files: dict[str, Path]) -> tuple[Facts, Facts]:
    """The facts by one machine, and by Spark."""
    asked = request(files)
    return engine.facts(asked), spark.facts(asked, session)


def close(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return abs(ours - theirs) <= 1e-9 * max(1.0, abs(ours), abs(theirs))
    if isinstance(ours, tuple | list) and isinstance(theirs, tuple | list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    if isinstance(ours, Interval) and isinstance(theirs, Interval):
        return different(ours, theirs) == []
    return ours == theirs


def different(ours: object, theirs: object) -> list[str]:
    """The fields of two facts that differ."""
    return [key for key, value in vars(ours).items() if not close(value, vars(theirs)[key])]


def test_profiles_are_the_same(both: tuple[Facts, Facts]) -> None:
    local, found = both
    assert found.columns == local.columns and found.profiles.keys() == local.profiles.keys()

    for split, profiles in local.profiles.items():
        assert list(found.profiles[split]) == list(profiles)
        assert {n: d for n, p in profiles.items() if (d := different(p, found.profiles[split][n]))} == {}


def test_distances_are_the_same(both: tuple[Facts, Facts]) -> None:
    local, found = both

    assert list(found.distances[PAIR]) == list(local.distances[PAIR])
    assert found.categories == local.categories
    for name, distances in local.distances[PAIR].items():
        assert found.distances[PAIR][name].absent == distances.absent
        for effect, size in distances.sizes.items():
            other = found.distances[PAIR][name].sizes[effect]
            interval = size.interval(0.999)
            assert close(size.value, other.value), (name, effect)
            assert interval is None or different(interval, other.interval(0.999)) == []


def test_equal_rows_predictors_and_failures_are_the_same(both: tuple[Facts, Facts]) -> None:
    local, found = both

    assert (found.rows, found.shared) == (local.rows, local.shared)
    assert found.shared_rows(PAIR).whole >= 100
    assert list(found.predictors) == list(local.predictors) and len(local.predictors) > 15
    assert {n: p for n, p in local.predictors.items() if different(p, found.predictors[n])} == {}
    assert found.failures == local.failures


@pytest.fixture(scope="module")
def thin(session: SparkSession, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same of a regression where little comes to the driver, test also against a stored profile of train."""
    stored = tmp_path_factory.mktemp("stored") / "profile.json"
    train = engine.facts(request(files)).profiles["train"]
    Profile(rows=ROWS, columns=tuple(train.values())).write(stored)
    then = ("then", "test")
    asked = request(
        files, stored=(("then", stored),), pairs=(PAIR, then), label="amount", task=Task.REGRESSION, time=None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "STEPS", STEPS)
        patch.setattr(counts, "MOST_CATEGORIES", MOST)
        return engine.facts(asked), spark.facts(asked, session), then


def test_of_many_numbers_profiles_stay_exact_and_distances_are_within_their_bound(thin: Any) -> None:
    local, found, then = thin

    for split in PAIR:
        for name, profile in local.profiles[split].items():
            allowed = {"top"} if name == "name" else set()  # of equally frequent ones, others may be listed
            assert set(different(profile, found.profiles[split][name])) <= allowed, name
    for pair, name in ((PAIR, "number"), (then, "unsigned"), (then, "amount")):
        ours, theirs = (facts.distance(pair, name).sizes["kolmogorov_smirnov"] for facts in (local, found))
        assert theirs.value == pytest.approx(ours.value, abs=2 / STEPS)
        assert theirs.interval(0.999).low <= ours.interval(0.999).low + 2 / STEPS
        assert theirs.n_current < ours.n_current
    assert close(
        found.distance(PAIR, "number").sizes["null_share"].value,
        local.distance(PAIR, "number").sizes["null_share"].value,
    )


def test_of_many_categories_distances_are_the_same(thin: Any) -> None:
    local, found, then = thin
    ours, theirs = (facts.distance(PAIR, "name").sizes for facts in (local, found))

    assert found.profile("train", "name").distinct > MOST
    assert [c for _, c in found.profile("train", "name").top] == [c for _, c in local.profile("train", "name").top]
    assert {effect: size.value for effect, size in theirs.items()} == pytest.approx(
        {effect: size.value for effect, size in ours.items()}, rel=1e-9
    )
    assert local.distance(then, "name").sizes
    with pytest.raises(NotMeasured, match="too many to be compared with a stored profile"):
        found.distance(then, "name")


def test_features_tell_a_regressions_label_as_well(thin: Any) -> None:
    local, found, _ = thin

    assert list(found.predictors) == list(local.predictors)
    for name, predictor in local.predictors.items():
        bound = 1e-9 if local.profile("train", name).distinct <= MOST else 0.02
        assert found.predictor(name).score == pytest.approx(predictor.score, abs=bound), name


def test_what_spark_cannot_read_fails_with_a_reason_and_takes_nothing_else_down(
    session: SparkSession, tmp_path: Path
) -> None:
    base = {"id": range(100), "x": np.arange(100.0), "t": ["a"] * 100}
    splits = {name: tmp_path / f"{name}.parquet" for name in ("train", "torn", "times", "empty", "old")}
    pq.write_table(pa.table(base), splits["train"])
    pq.write_table(pa.table(base), splits["torn"], use_dictionary=False, compression="none")
    chunk = pq.ParquetFile(splits["torn"]).metadata.row_group(0).column(1)
    content = bytearray(splits["torn"].read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + 20] = b"\xff" * 20
    splits["torn"].write_bytes(content)
    pq.write_table(pa.table({**base, "x": pa.array([1] * 100, pa.time32("ms"))}), splits["times"])
    pq.write_table(pa.table(base).slice(0, 0), splits["empty"])
    instants = pa.array(np.datetime64("1500-01-01", "us") + np.arange(100) * 10**15)
    pq.write_table(pa.table({**base, "at": instants}), splits["old"], use_deprecated_int96_timestamps=True)
    splits["text"] = tmp_path / "text.csv"
    splits["text"].write_text("x\n1\n")
    splits["gone"] = tmp_path / "gone.parquet"
    pairs = tuple(("train", other) for other in splits if other != "train")
    facts = spark.facts(Request(splits=tuple(splits.items()), pairs=pairs, key="id"), session)

    assert facts.profile("torn", "t").top == (("a", 100),)
    assert facts.distance(("train", "torn"), "t").sizes["total_variation"].value == 0
    assert facts.row_facts("train").distinct == 100
    assert facts.profile("empty", "x").rows == 0
    assert facts.profile("old", "at").low[0] == (
        (np.datetime64("1500-01-01") - np.datetime64("1970-01-01")).astype(float) * 86400,
        1,
    )
    for split in ("torn", "times"):
        with pytest.raises(NotMeasured, match="column x"):
            facts.profile(split, "x")
        with pytest.raises(NotMeasured, match="column x"):
            facts.row_facts(split)
    with pytest.raises(NotMeasured, match="can't read values of type time32"):
        facts.profile("times", "x")
    with pytest.raises(NotMeasured, match="no rows"):
        facts.distance(("train", "empty"), "x")
    with pytest.raises(NotMeasured, match="write it as Parquet"):
        facts.profile("text", "x")
    with pytest.raises(NotMeasured, match="are not there"):
        facts.shared_rows(("train", "gone"))
    assert {failed.splits[0] for failed in facts.failures if failed.what is What.FILE} == {"text", "gone"}


def test_the_gates_measure_the_same_by_either_engine(session: SparkSession, tmp_path: Path) -> None:
    """`--engine spark` reaches the gates by their inputs; they take the session that is active."""
    assert session.sparkContext is SparkSession.getActiveSession().sparkContext
    inputs = tables.given(tmp_path, tables.splits())

    for gate in (ProfileOfColumns(), Leakage(), Drift()):
        ours, theirs = (gate.measure(replace(inputs, engine=name)) for name in ("local", "spark"))
        assert [(type(m), m.name) for m in theirs] == [(type(m), m.name) for m in ours]
        assert [m.name for m, n in zip(ours, theirs, strict=True) if different(m, n) not in ([], ["details"])] == []
