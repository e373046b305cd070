"""The engine tells what a slow reading of the same rows tells, in every type and layout, and never leaves a gap."""

from __future__ import annotations

import datetime
import decimal
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv
from pyarrow import parquet as pq

from passmuster.config import Task
from passmuster.errors import NotMeasured, UsageError
from passmuster_checks import engine
from passmuster_checks.engine import Facts, Kind, Request, What, _forms, _hash, _read
from support import candidate as made
from support.judging import inputs

PAIR = ("train", "test")


def written(folder: Path, name: str, columns: Mapping[str, Any] | pa.Table, **options: Any) -> Path:
    path = folder / f"{name}.parquet"
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(dict(columns)), path, **options)
    return path


def found(folder: Path, train: Any, test: Any = None, **asked: Any) -> Facts:
    """The facts of two small tables; each call in a folder of its own."""
    here = folder / str(len(list(folder.iterdir())))
    here.mkdir()
    splits = [("train", written(here, "train", train))]
    if test is not None:
        splits.append(("test", written(here, "test", test)))
    return engine.facts(Request(splits=tuple(splits), pairs=(PAIR,) if test is not None else (), **asked))


def told(facts: Facts, split: str = "train") -> dict[str, Any]:
    """What is known of a split, without the names of types."""
    profiles = {n: {**vars(p), "type": ""} for n, p in sorted(facts.profiles[split].items())}
    return {"profiles": profiles, "rows": facts.rows[split]}


numbers = st.lists(
    st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.0, 2.5, math.nan, math.inf, -math.inf]), st.floats(width=32)),
    max_size=40,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=numbers)
def test_a_column_of_numbers_is_told_as_a_slow_reading_tells_it(values: list[float | None], tmp_path: Path) -> None:
    p = found(tmp_path, {"x": pa.array(values, pa.float64(), from_pandas=False)}).profile("train", "x")
    there = [v for v in values if v is not None and not math.isnan(v)]
    finite = sorted(v for v in there if math.isfinite(v))

    assert (p.rows, p.null, p.nan) == (len(values), values.count(None), sum(v is not None and v != v for v in values))
    assert (p.negative_infinite, p.positive_infinite) == (there.count(-math.inf), there.count(math.inf))
    assert p.distinct == len(set(there)) and p.there == len(there)
    assert p.top == tuple(sorted(Counter(finite).items(), key=lambda pair: (-pair[1], pair[0])))
    assert p.low == tuple(sorted(Counter(finite).items())[:5])
    assert p.high == tuple(sorted(Counter(finite).items(), reverse=True)[:5])
    if finite:
        assert (p.minimum, p.maximum) == (finite[0], finite[-1])
        assert p.mean == pytest.approx(np.mean(finite), rel=1e-9, abs=1e-300)
        rounding = 1e-12 * max(map(abs, finite)) + 1e-300
        assert p.quantiles == pytest.approx(np.quantile(finite, np.linspace(0, 1, 201)), rel=1e-12, abs=rounding)
    if len(finite) > 1:
        assert p.standard_deviation == pytest.approx(np.std(finite, ddof=1), rel=1e-6, abs=1e-25)


texts = st.lists(st.one_of(st.none(), st.sampled_from(["a", "", "\0", "ä"]), st.text(max_size=20)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=texts)
def test_a_column_of_texts_is_told_as_a_slow_reading_tells_it(values: list[str | None], tmp_path: Path) -> None:
    clean = [v if v is None else v.encode(errors="replace").decode() for v in values]
    p = found(tmp_path, {"x": pa.array(clean, pa.string())}).profile("train", "x")
    there = [v for v in clean if v is not None]

    assert (p.kind, p.rows, p.null, p.distinct) == (Kind.CATEGORY, len(clean), clean.count(None), len(set(there)))
    assert p.top == tuple(sorted(Counter(there).items(), key=lambda pair: (-pair[1], pair[0])))


def test_numbers_kept_as_text_are_counted(tmp_path: Path) -> None:
    numeric, other = ["1", "-2.5e3", " +7 ", ".5", "1."], ["a", "", "1,5", "1e", "0x10", "--1", "½", "1 2", "."]
    facts = found(tmp_path, {"x": [*numeric, *other, None], "y": [*numeric] * 3})

    assert facts.profile("train", "x").numeric_text == pytest.approx(5 / 14)
    assert facts.profile("train", "y").numeric_text == 1


@pytest.mark.parametrize("kind", [pa.float64(), pa.string()])
def test_of_many_different_values_the_most_frequent_are_listed_whatever_the_order(kind: Any, tmp_path: Path) -> None:
    values = np.concatenate([np.repeat(np.arange(2000), 2), [7, 7, 7]])
    mixed = np.random.default_rng(0).permutation(values)
    facts = found(tmp_path, *({"x": pa.array(some).cast(kind)} for some in (values, mixed)))
    top = facts.profile("train", "x").top

    assert [count for _, count in top] == [5, *[2] * 99]
    assert str(top[0][0]) in ("7", "7.0") and facts.profile("train", "x").rest == 4003 - 5 - 2 * 99
    assert facts.profile("test", "x").top == top


def test_a_dictionary_may_hold_a_text_twice_or_one_that_no_row_has() -> None:
    words = pa.array([b"a", b"unused", b"b", b"a"], pa.large_binary())
    codes = pa.array([0, 2, 3, None], pa.int32())
    different, places = _forms._encoded([pa.DictionaryArray.from_arrays(codes, words)], 4)

    assert different.to_pylist() == [b"a", b"b"]
    assert places.tolist() == [0, 1, 0, 2]


def test_long_texts_and_bytes_are_named_apart(tmp_path: Path) -> None:
    words = pa.array([b"x" * 300, b"x" * 301, b"\xff", b"\\xff"])
    top = found(tmp_path, {"x": words}).profile("train", "x").top

    assert len({value for value, _ in top}) == 4
    assert all(len(str(value)) <= 200 for value, _ in top)


rows = st.lists(st.tuples(st.sampled_from([0, 1, None]), st.sampled_from(["a", "b", None]), st.integers(0, 1)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(train=rows, test=rows)
def test_equal_rows_are_found_as_sets_of_rows_find_them(train: list[Any], test: list[Any], tmp_path: Path) -> None:
    """Rows have two features and a label; ids are places, so the shorter split's are all in the longer."""

    def table(some: list[Any]) -> pa.Table:
        columns = [pa.array([r[i] for r in some], t) for i, t in enumerate((pa.int64(), pa.string(), pa.int8()))]
        return pa.table([pa.array(range(len(some)), pa.int32()), *columns], names=["id", "n", "t", "y"])

    facts = found(tmp_path, table(train), table(test), key="id", label="y")
    of_train, of_shared = facts.row_facts("train"), facts.shared_rows(PAIR)
    counts, features = Counter(train), Counter(r[:2] for r in train)

    assert (of_train.rows, of_train.distinct, of_train.ids) == (len(train), len(counts), len(train))
    assert of_train.twins == sum(n for n in counts.values() if n > 1)
    assert (of_train.distinct_features, of_train.twins_features) == (
        len(features),
        sum(n for n in features.values() if n > 1),
    )
    assert of_shared.whole == sum(r in counts for r in test)
    assert of_shared.features == sum(r[:2] in features for r in test)
    assert (of_shared.ids, of_shared.columns, of_shared.left_out) == (min(len(train), len(test)), 3, ())


INSTANTS = [datetime.datetime(2026, 1, 1, hour, tzinfo=datetime.UTC) for hour in range(3)]
BASE = {"n": pa.array([1, 2, None], pa.int64()), "t": pa.array(["a", "é", None]), "at": pa.array(INSTANTS)}


def arrays(name: str, values: pa.Array) -> dict[str, Any]:
    return {**BASE, name: values}


LIKE: dict[str, Callable[[], dict[str, Any]]] = {
    "columns in another order": lambda: dict(reversed(BASE.items())),
    "float": lambda: arrays("n", BASE["n"].cast(pa.float64())),
    "narrow": lambda: arrays("n", BASE["n"].cast(pa.int8())),
    "decimal": lambda: arrays("n", pa.array([decimal.Decimal("1.00"), decimal.Decimal("2.00"), None])),
    "dictionary of numbers": lambda: arrays("n", BASE["n"].dictionary_encode()),
    "dictionary of texts": lambda: arrays("t", BASE["t"].dictionary_encode()),
    "large texts": lambda: arrays("t", BASE["t"].cast(pa.large_string())),
    "text views": lambda: arrays("t", BASE["t"].cast(pa.string_view())),
    "another zone": lambda: arrays("at", BASE["at"].cast(pa.timestamp("us", "Asia/Tokyo"))),
    "nanoseconds": lambda: arrays("at", BASE["at"].cast(pa.timestamp("ns", "UTC"))),
}


@pytest.mark.parametrize("other", LIKE.values(), ids=LIKE)
def test_the_same_values_in_another_type_are_the_same(other: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    facts = found(tmp_path, BASE, other())

    assert facts.failures == ()
    assert told(facts, "train") == told(facts, "test")
    assert facts.shared_rows(PAIR).whole == 3
    assert all(size.value in (0, 1) for sizes in facts.distances[PAIR].values() for size in sizes.sizes.values())


def test_whole_numbers_beyond_float64_are_different_ids(tmp_path: Path) -> None:
    big = 2**60
    facts = found(tmp_path, {"id": [big, big + 1], "x": [1, 2]}, {"id": [big + 2, big + 1], "x": [3, 4]}, key="id")

    assert facts.row_facts("train").ids == 2
    assert facts.shared_rows(PAIR).ids == 1


def test_zeros_of_either_sign_and_missing_values_of_any_kind_are_equal(tmp_path: Path) -> None:
    train = {"x": [0.0, math.nan, None], "none": pa.nulls(3, pa.string())}
    test = {"x": [-0.0, None, -math.nan], "none": pa.nulls(3, pa.float64())}
    facts = found(tmp_path, train, test)

    assert facts.row_facts("train").distinct == facts.row_facts("test").distinct == 2
    assert facts.shared_rows(PAIR).whole == 3


def many(n: int = 5000, seed: int = 0) -> dict[str, pa.Array]:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "number": rng.normal(size=n),
        "whole": rng.integers(0, 50, n),
        "text": rng.choice(["red", "green", "blue, dark", 'a "b"'], n),
        "flag": rng.random(n) < 0.3,
        "names": [f"name {i}" for i in rng.integers(0, 3000, n)],
        "at": np.datetime64("2026-01-01", "us") + rng.integers(0, 10**12, n),
    }
    missing = rng.random(n) < 0.1
    return {name: pa.array(values, mask=missing) for name, values in columns.items()}


def test_row_groups_files_and_csv_are_the_same_rows(tmp_path: Path) -> None:
    table = pa.table(many())
    whole = written(tmp_path, "whole", table)
    grouped = written(tmp_path, "grouped", table, row_group_size=700)
    folder = tmp_path / "folder"
    folder.mkdir()
    for i in range(5):
        part = table.slice(i * 1000, 1000)
        written(folder, f"part-{i}", part.select(reversed(part.column_names)) if i else part)
    (folder / "_SUCCESS").touch()
    as_csv = tmp_path / "rows.csv"
    csv.write_csv(table, as_csv)
    splits = {"train": whole, "grouped": grouped, "folder": folder, "csv": as_csv}
    facts = engine.facts(Request(splits=tuple(splits.items()), pairs=tuple(("train", s) for s in splits)))

    assert facts.failures == ()
    for split in splits:
        assert told(facts, split) == told(facts, "train")
        assert facts.shared_rows(("train", split)).whole == 5000


CSVS = {
    "a text at the end": (b"a\n1\n2\nx\n", "string", (("1", 1), ("2", 1), ("x", 1))),
    "fractions at the end": (b"a\n1\n2.5\n", "double", ((1.0, 1), (2.5, 1))),
    "a line end in quotes": (b'a\n"x\ny"\n', "string", (("x\ny", 1),)),
    "a date that is none": (b"a\n2026-02-28\n2026-02-30\n", "string", (("2026-02-28", 1), ("2026-02-30", 1))),
    "a header alone": (b"a\n", "null", ()),
}


@pytest.mark.parametrize(("content", "kind", "top"), CSVS.values(), ids=CSVS)
def test_a_column_of_csv_is_what_all_its_rows_look_like(content: bytes, kind: str, top: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    profile = engine.facts(Request(splits=(("train", tmp_path / "rows.csv"),))).profile("train", "a")

    assert (profile.type, profile.top) == (kind, top)


@pytest.mark.parametrize("content", [b"", b"a,b\n1\n"], ids=["nothing", "a short row"])
def test_a_csv_that_cannot_be_read_fails_with_a_reason(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)

    with pytest.raises(NotMeasured, match=r"rows\.csv can't be read"):
        engine.facts(Request(splits=(("train", tmp_path / "rows.csv"),))).profile("train", "a")


CATEGORIES = [("whole numbers", [3, 1, 3, None], ["3", "1"]), ("numbers", [1.5, 1.0, 1.5, math.nan], ["1.5", "1"])]


@pytest.mark.parametrize(("values", "words"), [c[1:] for c in CATEGORIES], ids=[c[0] for c in CATEGORIES])
def test_numbers_that_the_config_calls_categories_are_counted(values: Any, words: list[str], tmp_path: Path) -> None:
    facts = found(tmp_path, {"x": values}, {"x": [str(words[1])]}, kinds=(("x", Kind.CATEGORY),))

    assert facts.profile("train", "x").top == ((words[0], 2), (words[1], 1))
    assert facts.distance(PAIR, "x").sizes["total_variation"].value == pytest.approx(0.75)


def test_the_category_whose_share_changed_most_is_named(tmp_path: Path) -> None:
    train = {"x": ["a"] * 900 + ["b"] * 90 + ["rare"] * 10}
    facts = found(tmp_path, train, {"x": ["a"] * 900 + ["b"] * 60 + ["rare"] * 40})

    assert facts.categories[PAIR]["x"] == "rare"


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.list_(pa.list_(pa.string())), pa.map_(pa.string(), pa.int8())]
)
def test_nested_values_are_counted_and_compared_whole(kind: pa.DataType, tmp_path: Path) -> None:
    some: dict[Any, list[Any]] = {
        pa.list_(pa.int64()): [[1, 2], [2, 1], [1, 2], [], None, [12], [None]],
        pa.list_(pa.list_(pa.string())): [[["a"], []], [[], ["a"]], [["a"], []], [], None, [["a"]], [None]],
        pa.map_(pa.string(), pa.int8()): [[("a", 1)], [("b", 1)], [("a", 1)], [], None, [("a", 2)], [("a", None)]],
    }
    facts = found(tmp_path, {"x": pa.array(some[kind], kind)}, {"x": pa.array(some[kind][1:], kind)})
    p = facts.profile("train", "x")

    assert (p.kind, p.rows, p.null, p.distinct) == (Kind.OTHER, 7, 1, 5)
    assert facts.shared_rows(PAIR).whole == 6
    with pytest.raises(NotMeasured, match="have no distance"):
        facts.distance(PAIR, "x")


@pytest.mark.parametrize("values", [*many(50).values(), pa.array([[1], None, [2, 3]]), pa.array([{"a": "x"}, None])])
def test_a_piece_of_a_column_has_the_hashes_that_its_rows_have_in_the_whole(values: pa.Array) -> None:
    assert (_hash.of_anything(values[1:]) == _hash.of_anything(values)[1:]).all()


def test_structures_are_compared_by_their_fields(tmp_path: Path) -> None:
    facts = found(tmp_path, {"x": [{"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": None, "b": 1}, {"a": 1, "b": 2}]})

    assert facts.profile("train", "x").distinct == 3


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _not_parquet(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(500) + b"PAR1")


def _zeroed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100 : len(content) // 2] = bytes(len(content) // 2 - 100)
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [Path.unlink, _truncated, _emptied, _not_parquet])
def test_a_file_that_cannot_be_read_fails_with_a_reason(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    train, test = (written(tmp_path, name, many(100)) for name in PAIR)
    spoil(test)
    facts = engine.facts(Request(splits=(("train", train), ("test", test)), pairs=(PAIR,)))

    assert What.FILE in {failed.what for failed in facts.failures}
    assert facts.profile("train", "number").rows == 100
    for ask in (lambda: facts.profile("test", "number"), lambda: facts.row_facts("test")):
        with pytest.raises(NotMeasured, match="test"):
            ask()
    for ask in (lambda: facts.distance(PAIR, "number"), lambda: facts.shared_rows(PAIR)):
        with pytest.raises(NotMeasured, match="test"):
            ask()


def test_a_broken_column_takes_the_rows_with_it(tmp_path: Path) -> None:
    """Rows that were compared by the columns that happen to be readable might look fresh."""
    train, test = (written(tmp_path, name, many(3000)) for name in PAIR)
    _zeroed(test)
    facts = engine.facts(Request(splits=(("train", train), ("test", test)), pairs=(PAIR,)))
    broken = {failed.column for failed in facts.failures if failed.what is What.PROFILE}

    assert broken and None not in broken
    assert {failed.what for failed in facts.failures} >= {What.PROFILE, What.DISTANCES, What.ROWS, What.SHARED}


EMPTY = pa.table({name: values[:0] for name, values in many(10).items()})
TABLES: dict[str, pa.Table] = {
    "0 rows": EMPTY,
    "1 row": pa.table(many(1)),
    "all missing": pa.table({name: pa.nulls(5, values.type) for name, values in many(10).items()}),
    "nulls without a type": pa.table({name: pa.nulls(5) for name in many(10)}),
    "all NaN or infinite": pa.table({**many(4), "number": [math.nan, math.inf, -math.inf, math.inf]}),
    "very large": pa.table({**many(3), "number": [1.7e308, -1.7e308, 1e300]}),
    "a column less": pa.table(many(50)).drop_columns(["number"]),
    "a column more": pa.table({**many(50), "extra": range(50)}),
    "a column twice": pa.table([*many(50).values(), pa.array(range(50))], names=[*many(50), "number"]),
    "other types": pa.table({**many(50), "number": ["x"] * 50, "text": [[1]] * 50}),
    "times and durations": pa.table({**many(2), "whole": pa.array([1, 2], pa.duration("s"))}),
    "dates out of range": pa.table({**many(2), "at": pa.array([2**62, -(2**62)], pa.timestamp("us"))}),
    "bytes that are no text": pa.table({**many(2), "text": pa.array([b"\xff", b"\xfe"]).view(pa.string())}),
    "names with dots": pa.table({**many(2), "a.b": [1, 2], "a": [{"b": 3}, {"b": 4}]}),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("place", PAIR)
def test_whatever_is_not_told_has_a_reason(table: pa.Table, place: str, tmp_path: Path) -> None:
    sides = {"train": pa.table(many(50)), "test": pa.table(many(50, seed=1)), place: table}
    facts = found(tmp_path, sides["train"], sides["test"], label="flag", task=Task.BINARY)
    names = dict.fromkeys(name for side in sides.values() for name in side.column_names)

    def known(what: What, splits: tuple[str, ...], column: str | None, there: bool) -> bool:
        return there != any((f.what, f.splits, f.column) == (what, splits, column) for f in facts.failures)

    assert all(f.reason for f in facts.failures)
    for name in names:
        for split in PAIR:
            assert known(What.PROFILE, (split,), name, name in facts.profiles[split])
        assert known(What.DISTANCES, PAIR, name, name in facts.distances[PAIR])
        if name != "flag" and name in facts.profiles["train"]:
            assert known(What.PREDICTOR, ("train",), name, name in facts.predictors)
    assert known(What.SHARED, PAIR, None, PAIR in facts.shared)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_header_that_lies_about_its_rows_is_refused(off: int, tmp_path: Path) -> None:
    source = _read.opened(written(tmp_path, "train", many(50)), tmp_path)

    with pytest.raises(NotMeasured, match="rows were found where the header says"):
        list(replace(source, rows=50 + off).parts("number"))


def test_a_column_twice_is_told_apart_from_the_others(tmp_path: Path) -> None:
    facts = found(tmp_path, TABLES["a column twice"])

    assert facts.columns["train"][-1] == "number"
    for ask in (lambda: facts.profile("train", "number"), lambda: facts.row_facts("train")):
        with pytest.raises(NotMeasured, match="2 times"):
            ask()


def test_a_type_that_changed_does_not_hide_shared_rows(tmp_path: Path) -> None:
    facts = found(tmp_path, {"x": [1, 2], "y": [3, 4]}, {"x": ["1", "2"], "y": [3, 4]})

    with pytest.raises(NotMeasured, match="numbers in train and text in test"):
        facts.shared_rows(PAIR)
    with pytest.raises(NotMeasured, match="int64 in one and string in the other"):
        facts.distance(PAIR, "x")


def test_ids_of_another_type_do_not_pass_as_fresh(tmp_path: Path) -> None:
    facts = found(tmp_path, {"id": [1, 2], "x": [1, 2]}, {"id": ["1", "2"], "x": [3, 4]}, key="id")

    with pytest.raises(NotMeasured, match="column id holds numbers in train and text in test"):
        facts.shared_rows(PAIR)


def test_a_column_that_is_asked_for_and_not_there_has_a_reason(tmp_path: Path) -> None:
    facts = found(tmp_path, {"x": [1]}, key="id", label="y", time="at", task=Task.BINARY)

    for name in ("id", "y", "at"):
        with pytest.raises(NotMeasured, match=f"there is no column {name}"):
            facts.profile("train", name)
    with pytest.raises(NotMeasured, match="the label of the train rows can't be read"):
        facts.predictor("x")


def test_all_gates_ask_for_the_same(tmp_path: Path) -> None:
    """The test rows are compared with those of training and with the reference; labels of classes are categories."""
    made.Candidate().write(tmp_path)
    config = made.config()
    asked = Request.of(inputs(tmp_path, config))

    assert asked == Request.of(inputs(tmp_path, config))
    assert (config.data.label, Kind.CATEGORY) in asked.kinds
    assert set(asked.pairs) == {(base, "test") for base, _ in asked.splits if base != "test"}
    assert engine.facts(asked) is engine.facts(Request.of(inputs(tmp_path, config)))
    assert {failed.what for failed in engine.facts(asked).failures} <= {What.DISTANCES, What.PREDICTOR}


def leaky(n: int = 4000) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    y = rng.random(n) < 0.1
    return {
        "y": np.where(y, "bad", "good"),
        "noise": rng.normal(size=n),
        "rare words": [f"w{i}" for i in rng.integers(0, 2000, n)],
        "copy": y + rng.normal(size=n) * 0.01,
        "opposite": -(y + rng.normal(size=n) * 0.01),
        "in the middle": np.where(y, rng.uniform(-0.1, 0.1, n), rng.choice([-1, 1], n) * rng.uniform(0.2, 1, n)),
        "far out": np.where(y, 1e12, 0) * rng.random(n) + rng.random(n),
        "words": np.where(y, rng.choice(["a", "b"], n), rng.choice(["c", "d"], n)),
        "missing": pa.array(np.ones(n), mask=y),
        "flag": y,
    }


def test_a_feature_that_tells_the_class_stands_out_whatever_its_shape(tmp_path: Path) -> None:
    columns = leaky()
    facts = found(tmp_path, columns, label="y", task=Task.BINARY)
    scores = {name: facts.predictor(name).score for name in columns if name != "y"}
    clean = ("noise", "rare words")

    assert all(scores[name] < 0.57 for name in clean)
    assert all(score > 0.99 for name, score in scores.items() if name not in clean)
    assert facts.predictor("copy").n == 4000


def test_a_feature_that_tells_a_number_stands_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    y = np.exp(3 * rng.normal(size=4000))
    columns = {
        "y": y,
        "noise": rng.normal(size=4000),
        "log": np.log(y),
        "square": -(y**2),
        "part": y * rng.random(4000),
    }
    facts = found(tmp_path, columns, label="y", task=Task.REGRESSION)

    assert facts.predictor("noise").score < 0.05
    assert min(facts.predictor("log").score, facts.predictor("square").score) > 0.99
    assert 0.5 < facts.predictor("part").score < 0.97


def test_few_rows_of_a_class_are_no_ground_to_call_a_feature_a_leak(tmp_path: Path) -> None:
    facts = found(tmp_path, {"y": [1] * 5 + [0] * 500, "x": range(505)}, label="y", task=Task.BINARY)

    with pytest.raises(NotMeasured, match="no class has 20 rows"):
        facts.predictor("x")


def test_a_million_different_texts_are_told(tmp_path: Path) -> None:
    names = pa.array(np.arange(1_000_000)).cast(pa.string())
    facts = found(tmp_path, {"x": names}, {"x": names[900_000:]})

    assert facts.profile("train", "x").distinct == 1_000_000
    assert facts.shared_rows(PAIR).whole == 100_000
    assert facts.distance(PAIR, "x").sizes["total_variation"].value == pytest.approx(0.9)


def test_every_column_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()
    parts = _read.Source.parts
    monkeypatch.setattr(_read.Source, "parts", lambda self, name: read.update([name]) or parts(self, name))
    path = written(tmp_path, "train", many(50))
    request = Request(splits=(("train", path),), label="flag", task=Task.BINARY)
    first, second = engine.facts(request), engine.facts(Request(**vars(request)))

    assert first is second
    assert set(read.values()) == {1} and len(read) == 6


def test_the_order_of_rows_and_threads_changes_nothing_but_the_halves(tmp_path: Path) -> None:
    table = pa.table(many())
    mixed = table.take(pa.array(np.random.default_rng(0).permutation(5000)))
    facts = found(tmp_path, table, mixed)

    assert told(facts, "train") == told(facts, "test")


def test_pandas_is_not_imported(tmp_path: Path) -> None:
    """It takes longer than the facts of a small table."""
    path = written(tmp_path, "train", {**many(300), "list": [[1]] * 300})
    code = f"""
import sys
from pathlib import Path
from passmuster.config import Task
from passmuster_checks.engine import Kind, Request, facts
splits = tuple((name, Path({str(path)!r})) for name in {PAIR})
asked = Request(splits=splits, pairs=({PAIR},), label="flag", task=Task.BINARY, kinds=(("whole", Kind.CATEGORY),))
print(len(facts(asked).distances[{PAIR}]), "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["6", "False"]


def test_an_engine_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no engine 'abacus'"):
        engine.facts(Request(splits=()), engine="abacus")
