"""Gate `leakage`: rows, ids and times that train and test share, and features that give the label away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passmuster.config import Column, ColumnType, LeakageGate, ModelConfig
from passmuster_checks.leakage import Leakage
from support import tables
from support.tables import Table


def _copied(into: Table, source: Table, rows: int, *, label: bool = True) -> Table:
    """`into` with some rows of `source` in place of its own; ids stay."""
    found = {name: np.array(values, dtype=object) for name, values in into.items()}
    for name in ("amount", "age", "city", "note", *(("bad",) if label else ())):
        found[name][:rows] = np.array(source[name], dtype=object)[:rows]
    return {name: values.tolist() for name, values in found.items()}


def test_honest_splits_share_nothing(tmp_path: Path) -> None:
    found = tables.outcomes(Leakage(), tables.given(tmp_path, tables.splits()))

    assert found == dict.fromkeys(("duplicates", "rows", "features", "ids", "predictors"), "pass")


def test_training_rows_among_the_test_rows_are_found(tmp_path: Path) -> None:
    """40 of 2,000 have leaked, under ids of their own."""
    honest = tables.splits()
    given = tables.given(tmp_path, {**honest, "test": _copied(honest["test"], honest["train"], 40)})
    found = tables.judged(Leakage(), given)

    assert found["rows"][0] == found["features"][0] == "fail"
    assert found["rows"][1].startswith("40 of 2,000 test rows are in train")
    assert found["ids"][0] == "pass"


def test_training_rows_with_another_label_are_found_by_their_features(tmp_path: Path) -> None:
    honest = tables.splits()
    test = _copied(honest["test"], honest["train"], 100, label=False)
    test["bad"] = [
        "no" if value == "yes" else "yes" for value in np.array(honest["train"]["bad"])[:100].tolist()
    ] + list(test["bad"][100:])
    found = tables.outcomes(Leakage(), tables.given(tmp_path, {**honest, "test": test}))

    assert (found["rows"], found["features"]) == ("pass", "fail")


def test_rows_that_repeat_by_their_nature_are_no_leak(tmp_path: Path) -> None:
    """A table of few categories: half of the test rows are in train, as half of the train rows are there twice."""

    def few(seed: int) -> Table:
        random = np.random.default_rng(seed)
        table = tables.rows(seed=seed)
        return {
            **table,
            "amount": random.integers(0, 12, 2_000).astype(float),
            "age": random.integers(20, 28, 2_000),
            "note": ["none"] * 2_000,
        }

    gate = LeakageGate(duplicates=1.0)
    splits = {"train": few(1), "test": few(2), "reference": few(3)}
    found = tables.outcomes(Leakage(), tables.given(tmp_path, splits, stated=tables.config(leakage=gate)))

    assert (found["rows"], found["features"]) == ("pass", "pass")


def test_rows_that_are_there_twice_are_found(tmp_path: Path) -> None:
    test = tables.rows(seed=2)
    doubled = {name: [*list(values)[:1_900], *list(values)[:100]] for name, values in test.items()}
    doubled["id"] = test["id"]
    found = tables.judged(Leakage(), tables.given(tmp_path, tables.splits(test=doubled)))

    assert found["duplicates"][0] == "fail"
    assert "test: 100 of 2,000 rows" in found["duplicates"][1]


def test_a_shared_id_is_found(tmp_path: Path) -> None:
    honest = tables.splits()
    honest["test"]["id"][7] = honest["train"]["id"][9]

    assert tables.outcomes(Leakage(), tables.given(tmp_path, honest))["ids"] == "fail"


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_feature_that_is_the_label_under_another_name_is_found(kind: str, tmp_path: Path) -> None:
    splits = tables.splits()
    for table in splits.values():
        yes = np.asarray(table["bad"]) == "yes"
        if kind == "number":
            table["amount"] = np.where(yes, 3.0, -3.0) + np.random.default_rng(0).normal(0, 0.5, len(yes))
        else:
            table["city"] = np.where(yes, "b", "a")
    found = tables.judged(Leakage(), tables.given(tmp_path, splits))

    assert found["predictors"][0] == "fail"
    assert ("amount" if kind == "number" else "city") in found["predictors"][1]


def _with_time() -> ModelConfig:
    config = tables.config()
    columns = {**tables.COLUMNS, "when": Column(type=ColumnType.DATETIME)}
    return replace(config, data=replace(config.data, time="when", columns=columns))


@pytest.mark.parametrize(("first", "outcome"), [("2024-02-01", "pass"), ("2024-01-20", "fail")])
def test_test_rows_must_be_later_than_all_training_rows(first: str, outcome: str, tmp_path: Path) -> None:
    splits = tables.splits()
    starts = {"train": "2024-01-01", "test": first, "reference": "2024-01-01"}
    for split, table in splits.items():
        table["when"] = np.datetime64(starts[split], "us") + np.arange(2_000) * np.timedelta64(20, "m")
    found = tables.judged(Leakage(), tables.given(tmp_path, splits, stated=_with_time()))

    assert found["time"] == (
        outcome,
        f"the last time of train is 2024-01-28T18:20:00.000, the first of test {first}T00:00:00.000",
    )


@pytest.mark.parametrize(("taken", "outcome"), [(("amount", "note"), "fail"), (("amount",), "pass"), ((), "error")])
def test_a_model_must_not_take_what_is_unknown_when_it_is_asked(
    taken: tuple[str, ...], outcome: str, tmp_path: Path
) -> None:
    """Without a signature it can't be told, which is an error."""
    stated = tables.config(leakage=LeakageGate(unavailable=("note",)))
    given = tables.given(tmp_path, tables.splits(), stated=stated, taken=taken)
    if not taken:
        (given.model / "MLmodel").write_text("{}")

    assert tables.outcomes(Leakage(), given)["unavailable"] == outcome


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda table: {name: values[:0] for name, values in table.items()}, id="no rows"),
        pytest.param(lambda table: {k: v for k, v in table.items() if k != "id"}, id="no id"),
        pytest.param(lambda table: {k: v for k, v in table.items() if k != "bad"}, id="no label"),
    ],
)
def test_what_can_not_be_looked_at_is_an_error(broken: Any, tmp_path: Path) -> None:
    splits = tables.splits()
    given = tables.given(
        tmp_path,
        {**splits, "train": broken(splits["train"])},
        predictions={split: tables.answers(table) for split, table in splits.items()},
    )
    found = tables.outcomes(Leakage(), given)

    assert "error" in found.values()
    assert set(found) >= {"duplicates", "rows", "features", "ids", "predictors"}
