"""Gate `profile`: what broken exports, joins and encodings leave in the statistics of columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from passmuster.config import Column, ColumnType, ProfileGate
from passmuster.gates import Champion
from passmuster.policy import PROFILED
from passmuster_checks.engine import Profile
from passmuster_checks.profile import REFERENCE_PROFILE, ProfileOfColumns
from support import tables
from support.tables import Table


def _in_all(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Table]], None]:
    def apply(splits: dict[str, Table]) -> None:
        for table in splits.values():
            table[name] = change(table[name])

    return apply


def _in_test(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Table]], None]:
    return lambda splits: splits["test"].update({name: change(splits["test"][name])})


def _some(value: Any, share: float) -> Callable[[Any], Any]:
    """Put `value` in place of some, evenly over the rows."""

    def change(values: Any) -> list[Any]:
        step = round(1 / share)
        return [value if row % step == 0 else old for row, old in enumerate(np.asarray(values).tolist())]

    return change


#: What is planted → where, and the question that must fail, with a word of its reason.
PLANTED: dict[str, tuple[Callable[[dict[str, Table]], None], str, str]] = {
    "a tenth of the amounts is missing": (_in_test("amount", _some(None, 0.1)), "nulls", "test.amount: 10.0% missing"),
    "NaN is missing too": (_in_test("amount", _some(float("nan"), 0.1)), "nulls", "test.amount"),
    "a number became a text": (_in_test("age", lambda v: [str(x) for x in v]), "types", "test.age: string"),
    "a text that is numbers": (_in_all("note", lambda v: [str(i) for i in range(len(v))]), "numeric-text", "note"),
    "an infinite amount": (_in_test("amount", _some(float("inf"), 0.001)), "infinities", "test.amount: 2 infinite"),
    "a column of one value": (
        _in_all("note", lambda v: ["x"] * len(v)),
        "constants",
        "train.note: the only value is x",
    ),
    "one value in test only": (_in_test("age", lambda v: [40] * len(v)), "constants", "test.age"),
    "nothing at all": (_in_test("city", lambda v: pa.array([None] * len(v), pa.string())), "empty", "test.city"),
    "-999 in every split": (_in_all("amount", _some(-999.0, 0.005)), "sentinels", "-999 stands in 10 rows"),
    "-1 where nothing is below zero": (_in_all("amount", _some(-1.0, 0.01)), "sentinels", "-1 stands in 20"),
    "99999 above all": (_in_all("amount", _some(99999.0, 0.01)), "sentinels", "99999 stands in 20"),
    "other units": (_in_test("amount", lambda v: np.asarray(v) * 100), "ranges", "test.amount: at least"),
    "a new category": (_in_test("city", _some("nowhere", 0.05)), "cardinality", "in 1 categories"),
    "an id that is called a category": (
        _in_all("city", lambda v: [f"c{row}" for row in range(len(v))]),
        "cardinality",
        "each of its 2,000 values is another",
    ),
}


def test_honest_columns_hold_every_question(tmp_path: Path) -> None:
    found = tables.outcomes(ProfileOfColumns(), tables.given(tmp_path, tables.splits()))

    assert found == dict.fromkeys(PROFILED, "pass")


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_defect_is_found_by_its_question(planted: str, tmp_path: Path) -> None:
    plant, question, said = PLANTED[planted]
    splits = tables.splits()
    plant(splits)
    given = tables.given(tmp_path, splits, predictions={split: tables.answers(tables.rows()) for split in splits})
    outcome, reason = tables.judged(ProfileOfColumns(), given)[question]

    assert outcome == "fail"
    assert said in reason


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda v: np.minimum(v, 40.0), id="capped"),
        pytest.param(lambda v: np.where(np.asarray(v) < 20, 0.0, v), id="zero for many"),
        pytest.param(lambda v: np.round(v / 100), id="three values"),
        pytest.param(lambda v: np.asarray(v) ** 2, id="a heavy tail"),
        pytest.param(lambda v: -np.asarray(v), id="negative"),
    ],
)
def test_what_honest_columns_look_like_is_no_sentinel(change: Callable[[Any], Any], tmp_path: Path) -> None:
    splits = tables.splits()
    _in_all("amount", change)(splits)

    assert tables.outcomes(ProfileOfColumns(), tables.given(tmp_path, splits))["sentinels"] == "pass"


def test_integers_and_floats_of_the_same_values_are_one_type(tmp_path: Path) -> None:
    splits = tables.splits()
    splits["test"]["age"] = np.asarray(splits["test"]["age"], dtype=float)
    splits["test"]["city"] = pa.array(splits["test"]["city"]).dictionary_encode()

    assert tables.outcomes(ProfileOfColumns(), tables.given(tmp_path, splits))["types"] == "pass"


def test_the_range_of_the_config_is_exact(tmp_path: Path) -> None:
    columns = {**tables.COLUMNS, "age": Column(type=ColumnType.INTEGER, min=18, max=79)}
    config = tables.config()
    stated = replace(config, data=replace(config.data, columns=columns))
    splits = tables.splits()
    before = tables.outcomes(ProfileOfColumns(), tables.given(tmp_path, splits, stated=stated))
    splits["train"]["age"][5] = 17
    after = tables.judged(ProfileOfColumns(), tables.given(tmp_path, splits, stated=stated))

    assert before["ranges"] == "pass"
    assert after["ranges"][0] == "fail"
    assert "train.age: down to 17, the config allows 18" in after["ranges"][1]


def test_a_column_that_is_to_be_ignored_is_not_judged_but_profiled(tmp_path: Path) -> None:
    splits = tables.splits()
    PLANTED["-999 in every split"][0](splits)
    stated = tables.config(profile=ProfileGate(ignore=("amount",)))
    given = tables.given(tmp_path, splits, stated=stated)

    assert tables.outcomes(ProfileOfColumns(), given)["sentinels"] == "pass"
    assert "amount" in {c.column for c in Profile.read(given.workspace / REFERENCE_PROFILE).columns}


def test_the_reference_profile_is_that_of_the_reference_rows(tmp_path: Path) -> None:
    given = tables.given(tmp_path, tables.splits())
    ProfileOfColumns().measure(given)
    kept = Profile.read(given.workspace / REFERENCE_PROFILE)
    ages = np.asarray(tables.rows(seed=3)["age"])

    assert kept.rows == 2_000
    (age,) = [column for column in kept.columns if column.column == "age"]
    assert (age.minimum, age.mean) == (ages.min(), pytest.approx(ages.mean()))


def test_what_changed_since_the_champion_was_made_shows_even_where_all_splits_have_it(tmp_path: Path) -> None:
    """The export broke: from then on, most incomes are missing in every split."""
    before = tables.given(tmp_path, tables.splits())
    ProfileOfColumns().measure(before)
    splits = tables.splits()
    _in_all("amount", _some(None, 0.5))(splits)
    after = tables.given(tmp_path, splits)
    champion = Champion(
        version="v1",
        digest="sha256:" + "1" * 64,
        model=before.model,
        predictions={},
        environment={},
        profile=before.workspace / REFERENCE_PROFILE,
    )
    outcome, reason = tables.judged(ProfileOfColumns(), replace(after, champion=champion))["nulls"]

    assert tables.outcomes(ProfileOfColumns(), after)["nulls"] == "pass"
    assert outcome == "fail"
    assert "reference.amount: 50.0% missing, champion has 0.0%" in reason


def test_a_file_that_can_not_be_read_is_an_error_of_every_question(tmp_path: Path) -> None:
    given = tables.given(tmp_path, tables.splits())
    given.data["test"].write_bytes(b"PAR1 but not really")

    assert set(tables.outcomes(ProfileOfColumns(), given).values()) == {"error"}


def test_honest_resamples_raise_no_alarm(tmp_path: Path) -> None:
    """Forty of them; at a budget of 0.5 % even one would be suspicious."""
    alarms = []
    for seed in range(40):
        splits = {name: tables.rows(500, seed=10 * seed + number) for number, name in enumerate(tables.splits())}
        found = tables.outcomes(ProfileOfColumns(), tables.given(tmp_path, splits))
        alarms += [(seed, question) for question, outcome in found.items() if outcome != "pass"]

    assert alarms == []
