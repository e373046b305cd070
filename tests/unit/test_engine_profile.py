"""A stored profile says later what it said then, stands in for the rows, and is refused where it was tampered with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from passmuster.errors import NotMeasured
from passmuster_checks import engine
from passmuster_checks.engine import Facts, Profile, Request

PAIR = ("reference", "test")


def columns(seed: int, n: int = 4000) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    missing = rng.random(n) < 0.05
    return {
        "number": pa.array(rng.normal(size=n), mask=missing),
        "few": pa.array(rng.integers(0, 20, n), mask=missing),
        "flag": rng.random(n) < 0.4,
        "text": pa.array(rng.choice(["a", "b", "c" * 300, "c" * 301, "ü"], n), mask=missing),
        "names": [f"name {i}" for i in rng.integers(0, 2000, n)],
        "list": [[int(i)] for i in rng.integers(0, 3, n)],
        "none": pa.nulls(n, pa.string()),
        "infinite": [math.inf, -math.inf, 1.0, 2.0] * (n // 4),
    }


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for seed, split in enumerate(PAIR):
        found[split] = tmp_path / f"{split}.parquet"
        pq.write_table(pa.table(columns(seed)), found[split])
    return found


def profile_of(facts: Facts, split: str) -> Profile:
    columns = tuple(facts.profiles[split].values())
    return Profile(rows=columns[0].rows, columns=columns)


@pytest.fixture
def stored(files: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "reference.json"
    profile_of(engine.facts(Request(splits=(("reference", files["reference"]),))), "reference").write(path)
    return path


def test_a_profile_is_read_as_it_was_written(files: dict[str, Path], stored: Path) -> None:
    written = profile_of(engine.facts(Request(splits=(("reference", files["reference"]),))), "reference")

    assert Profile.read(stored) == written
    assert stored.stat().st_size < 100_000


def test_a_stored_profile_stands_in_for_the_rows(files: dict[str, Path], stored: Path) -> None:
    """What the profile lists in full is exact; of 2,000 numbers the quantiles are left, of 2,000 names the frequent."""
    rows = engine.facts(Request(splits=tuple(files.items()), pairs=(PAIR,)))
    asked = Request(splits=(("test", files["test"]),), stored=(("reference", stored),), pairs=(PAIR,))
    later = engine.facts(asked)
    by = {name: tuple((s.name, s.value) for s in d.sizes.values()) for name, d in later.distances[PAIR].items()}
    then = {name: tuple((s.name, s.value) for s in d.sizes.values()) for name, d in rows.distances[PAIR].items()}

    for name in ("few", "flag", "text", "none", "infinite"):
        assert by[name] == then[name]
    assert later.categories[PAIR]["text"] == rows.categories[PAIR]["text"]
    exact = rows.distance(PAIR, "number").sizes["kolmogorov_smirnov"]
    near = later.distance(PAIR, "number").sizes["kolmogorov_smirnov"]
    assert abs(near.value - exact.value) <= near.resolution < 0.01
    assert later.distance(PAIR, "names").sizes["total_variation"].value < 0.1
    with pytest.raises(NotMeasured, match="no distance"):
        later.distance(PAIR, "list")
    with pytest.raises(NotMeasured, match="rows of reference are not there"):
        later.shared_rows(PAIR)


def test_a_column_that_either_side_lacks_has_no_distance(files: dict[str, Path], stored: Path, tmp_path: Path) -> None:
    table = pq.read_table(files["test"]).drop_columns(["few"]).append_column("new", pa.array(range(4000)))
    pq.write_table(table, tmp_path / "other.parquet")
    splits = (("test", tmp_path / "other.parquet"),)
    facts = engine.facts(Request(splits=splits, stored=(("reference", stored),), pairs=(PAIR,)))

    with pytest.raises(NotMeasured, match="test: there is no column few"):
        facts.distance(PAIR, "few")
    with pytest.raises(NotMeasured, match="reference: there is no column new"):
        facts.distance(PAIR, "new")


def _set(*path: str | int, to: Any) -> Callable[[Any], None]:
    def change(answer: Any) -> None:
        for key in path[:-1]:
            answer = answer[key]
        answer[path[-1]] = to

    return change


HOSTILE: dict[str, Callable[[Any], None]] = {
    "another schema": _set("schema", to="passmuster/verdict"),
    "a later version": _set("version", to=2),
    "an unknown key": _set("note", to="x"),
    "rows that are no count": _set("rows", to=-1),
    "rows as text": _set("rows", to="4000"),
    "no columns": _set("columns", to=None),
    "a column that is a list": _set("columns", 0, to=[]),
    "a field less": lambda answer: answer["columns"][0].pop("mean"),
    "a field more": _set("columns", 0, "note", to=1),
    "other rows": _set("columns", 0, "rows", to=1),
    "more nulls than rows": _set("columns", 0, "null", to=10**9),
    "true as a count": _set("columns", 0, "null", to=True),
    "a mean as text": _set("columns", 0, "mean", to="0"),
    "an unknown kind": _set("columns", 0, "kind", to="image"),
    "quantiles that descend": _set("columns", 0, "quantiles", 0, to=100.0),
    "few quantiles": _set("columns", 0, "quantiles", to=[1.0, 2.0]),
    "no quantiles": _set("columns", 0, "quantiles", to=[]),
    "quantiles of texts": _set("columns", 3, "quantiles", to=[0.0] * 201),
    "a number as a mapping": _set("columns", 0, "low", to=[[{}, 1]]),
    "pairs of three": _set("columns", 0, "low", to=[[1.0, 1, 1]]),
    "more values than rows": _set("columns", 3, "top", 0, 1, to=10**9),
    "numbers among texts": _set("columns", 3, "top", 0, 0, to=1.0),
    "texts among numbers": _set("columns", 1, "top", 0, 0, to="a"),
    "a value twice": lambda answer: answer["columns"][3]["top"].append(["a", 0]),
    "a huge number": _set("columns", 0, "mean", to=10**400),
    "a column twice": lambda answer: answer["columns"].append(answer["columns"][0]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_profile_that_cannot_be_is_refused(
    change: Callable[[Any], None], stored: Path, files: dict[str, Path]
) -> None:
    answer = json.loads(stored.read_text())
    change(answer)
    stored.write_text(json.dumps(answer))
    asked = Request(splits=(("test", files["test"]),), stored=(("reference", stored),), pairs=(PAIR,))

    with pytest.raises(NotMeasured, match=r"reference\.json is no profile"):
        Profile.read(stored)
    with pytest.raises(NotMeasured, match=r"reference\.json is no profile"):
        engine.facts(asked).distance(PAIR, "number")


@pytest.mark.parametrize("text", ["", "{", "NaN", "[" * 100_000, '{"a": 1', "\xff"])
def test_a_file_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(NotMeasured, match="is no profile"):
        Profile.read(path)


def test_a_number_that_is_not_finite_is_refused(stored: Path) -> None:
    profile = Profile.read(stored)
    text = stored.read_text()
    mean = json.dumps(profile.columns[0].mean)
    for number in ("NaN", "Infinity", "-Infinity"):
        stored.write_text(text.replace(f'"mean":{mean}', f'"mean":{number}', 1))

        with pytest.raises(NotMeasured, match="not a finite number"):
            Profile.read(stored)


def test_a_profile_is_not_made_of_numbers_that_do_not_add_up(stored: Path) -> None:
    column = Profile.read(stored).columns[0]

    with pytest.raises(ValueError, match="do not add up"):
        replace(column, distinct=column.rows + 1)
