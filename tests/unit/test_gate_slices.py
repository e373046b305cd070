"""Gate `slices`: every value and range of every column, told worst first, under conditions that a query understands."""

from __future__ import annotations

import datetime
import hashlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passmuster import policy
from passmuster.config import ModelConfig, SlicesGate
from passmuster.gates import Inputs, NoChampion
from passmuster.measurement import Assertion, Estimate, Failure, Measurement, NotApplicable, to_json
from passmuster.planning import simultaneous
from passmuster.policy import Policy
from passmuster_checks import _cut, _told, slices
from passmuster_checks.slices import Slices
from support import candidate as made
from support.judging import inputs, judge

BUDGET = 0.005


def _config(*, reference: bool = False, **settings: Any) -> ModelConfig:
    config = made.config(slices=SlicesGate(**{"limit": 0.1, "min_rows": 30, "pairs": 0, **settings}))
    return replace(config, data=replace(config.data, reference="reference.parquet" if reference else None))


def _given(root: Path, candidate: made.Candidate, config: ModelConfig) -> Inputs:
    candidate.write(root)
    return replace(
        inputs(root, replace(config, data=replace(config.data, reference=None))), config=config, false_alarms=BUDGET
    )


def _with_reference(given: Inputs, data: dict[str, Any], answers: dict[str, Any]) -> Inputs:
    paths = {}
    for name, table in (("data", data), ("answers", answers)):
        paths[name] = given.model.parent / f"reference-{name}.parquet"
        pq.write_table(pa.table(table), paths[name])
    return replace(
        given,
        data={**given.data, "reference": paths["data"]},
        predictions={**given.predictions, "reference": paths["answers"]},
    )


def _measured(given: Inputs) -> dict[str, Measurement]:
    found = Slices().measure(given)
    assert len({m.name for m in found}) == len(found)
    return {m.name: m for m in found}


def _estimates(found: dict[str, Measurement]) -> dict[str, Estimate]:
    return {name: m for name, m in found.items() if isinstance(m, Estimate)}


def _outcomes(given: Inputs) -> dict[str, str]:
    """The kernel's outcomes under this gate's policy alone."""
    stated = policy.from_config(given.config)
    alone = Policy(
        gates=tuple(gate for gate in stated.gates if gate.gate == "slices"),
        confidence=stated.confidence,
        false_alarms=BUDGET,
    )
    compared = not isinstance(given.champion, NoChampion)
    return {j.name: j.outcome.value for j in judge(Slices().measure(given), alone, compared=compared).judgements}


def _invert(answers: dict[str, list[Any]], rows: np.ndarray) -> None:
    for name in ("proba_bad", "proba_good"):
        values = np.array(answers[name])
        values[rows] = 1 - values[rows]
        answers[name] = values.tolist()


def test_every_value_and_range_of_every_column_is_a_slice(tmp_path: Path) -> None:
    """Missing values are one too; smaller ones are counted; all have the level for as many as there are."""
    candidate = made.Candidate()
    candidate.test["home"] = [None] * 100 + ["own"] * 400 + ["rent"] * 280 + ["ship"] * 20
    found = _measured(_given(tmp_path, candidate, _config(bins=4)))
    each, summary = _estimates(found), found["slices"]

    assert {name: m.n for name, m in each.items() if name.startswith("home")} == {
        "home=(missing)": 100,
        "home=own": 400,
        "home=rent": 280,
    }
    assert len([name for name in each if name.startswith("age=")]) == 4
    assert sum(m.n for name, m in each.items() if name.startswith("income=")) == 800
    assert {m.interval.level for m in each.values() if m.interval} == {simultaneous(BUDGET, 11)}
    assert isinstance(summary, Assertion) and summary.holds and summary.details["too_small_count"] == 1
    assert "11 slices of 3 columns" in summary.message


def test_ranges_of_numbers_have_about_as_many_rows_and_edges_that_are_values(tmp_path: Path) -> None:
    """The outer ones are open, so that every row of any split is in one."""
    found = _estimates(_measured(_given(tmp_path, made.Candidate(), _config(columns=("age",), bins=4))))
    rows = {name.removeprefix("age="): m.n for name, m in found.items()}
    edges = sorted(int(word) for name in rows if name[0] == "[" for word in name[1:-1].split(", "))
    names = [f"below {edges[0]}", *(name for name in sorted(rows) if name[0] == "["), f"{edges[-1]} or more"]

    assert set(rows) == set(names) and len(names) == 4
    assert all(170 < n < 230 for n in rows.values()) and sum(rows.values()) == 800


def test_a_harmed_slice_fails_is_told_first_and_the_others_pass(tmp_path: Path) -> None:
    """One of five categories inverted, 2,000 rows."""
    candidate = made.Candidate(test=made.rows(2000))
    jobs = np.array(["fixed", "partime", "freelance", "others", "none"])[np.arange(2000) % 5]
    candidate.test["home"] = jobs.tolist()
    _invert(candidate.predictions["test"], np.flatnonzero(jobs == "partime"))
    given = _given(tmp_path, candidate, _config())
    outcomes = _outcomes(given)
    first = next(iter(_estimates(_measured(given)).values()))

    assert {name for name, outcome in outcomes.items() if outcome != "pass"} == {"home=partime"}
    assert outcomes["home=partime"] == "fail"
    assert first.name == "home=partime" and first.details["condition"] == "\"home\" = 'partime'"
    assert first.candidate is not None and first.champion is not None and first.candidate < 0.2 < 0.8 < first.champion


def test_a_model_inverted_in_four_of_five_hundred_categories_is_caught(tmp_path: Path) -> None:
    """Eight rows in a thousand; by their names."""
    candidate = made.Candidate(test=made.rows(50_000))
    codes = np.random.default_rng(1).integers(0, 500, 50_000)
    candidate.test["home"] = [f"c{code}" for code in codes]
    _invert(candidate.predictions["test"], np.flatnonzero(codes < 4))
    outcomes = _outcomes(_given(tmp_path, candidate, _config(limit=0.02)))

    assert {name for name, outcome in outcomes.items() if outcome == "fail"} == {f"home=c{i}" for i in range(4)}


def test_harm_where_two_columns_meet_is_found_in_their_pairs(tmp_path: Path) -> None:
    """In a cell of 4 % of the rows; the pairs are those of the columns that tell most."""
    candidate = made.Candidate(test=made.rows(6000))
    random = np.random.default_rng(2)
    job, home = random.integers(0, 5, 6000), random.integers(0, 5, 6000)
    candidate.test |= {"home": [f"h{i}" for i in home], "job": [f"j{i}" for i in job]}
    _invert(candidate.predictions["test"], np.flatnonzero((job == 1) & (home == 2)))
    given = _given(tmp_path, candidate, _config(columns=("age", "income", "home", "job"), pairs=2, limit=0.3))
    outcomes = _outcomes(given)

    assert {name for name, outcome in outcomes.items() if outcome == "fail"} == {"home=h2 & job=j1"}
    assert _measured(given)["slices"].details["pairs"] == 25


def test_conditions_select_the_rows_of_the_slice(tmp_path: Path) -> None:
    """Pasted into a query of a database, whatever the values hold."""
    hostile = [
        "o'neil",
        'say "no"; --',
        "line\nbreak",
        "\u202eevil",
        "",
        "(missing)",
        "a & b",
        "x::slices",
        "y" * 300,
        None,
    ]
    n = 2000
    random = np.random.default_rng(3)
    table: dict[str, Any] = {
        'col "umn': [hostile[i % 10] for i in range(n)],
        "whole": [None if i % 10 == 0 else int(v) for i, v in enumerate(random.integers(-50, 50, n))],
        "real": random.normal(size=n).tolist(),
        "few": [[1.5, 2.25, None][i % 3] for i in range(n)],
        "flag": (random.random(n) < 0.3).tolist(),
    }
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table(table), path)
    database = sqlite3.connect(":memory:")
    database.create_function("chr", 1, chr)
    database.create_function("md5", 1, lambda text: text and hashlib.md5(text.encode()).hexdigest())
    columns = [name.replace('"', '""') for name in table]
    database.execute("CREATE TABLE t ({})".format(", ".join(f'"{name}"' for name in columns)))
    database.executemany(f"INSERT INTO t VALUES ({','.join('?' * 5)})", zip(*table.values(), strict=True))
    for column in table:
        found = _cut.cut(column, {"test": path}, bins=5, min_rows=10, category=False)
        sizes = np.bincount(found.codes["test"], minlength=len(found.names))
        counts = [database.execute(f"SELECT count(*) FROM t WHERE {c}").fetchone()[0] for c in found.conditions]

        assert counts == sizes.tolist() and sum(counts) == n
        assert len(set(found.names)) == len(found.names) and all(name.isprintable() for name in found.names)
        assert not any("::" in name or " & " in name.replace("'a & b'", "") for name in found.names)


@pytest.mark.parametrize(
    ("values", "slices"),
    [
        (pa.array([datetime.datetime(2026, 1, 1 + i % 28, tzinfo=datetime.UTC) for i in range(200)]), 5),
        (pa.array([datetime.date(2026, 1, 1 + i % 3) for i in range(200)]), 3),
        (pa.array(list(range(200)), pa.int64()).cast(pa.decimal128(25, 2)), 5),
        (pa.array([0.0] * 150 + list(range(1, 51)), pa.float64()), 2),
        (pa.array([1e300, -np.inf, np.inf, np.nan] * 50), 4),
        (pa.array([None] * 200), 1),
        (pa.array(["a", "b"] * 100).dictionary_encode(), 2),
        (pa.array([7] * 200, pa.uint8()), 1),
        (pa.array([str(i) for i in range(200)]), 0),
    ],
    ids=[
        "times",
        "days",
        "decimals",
        "mostly zero",
        "infinite",
        "all missing",
        "dictionary",
        "constant",
        "all different",
    ],
)
def test_columns_of_many_types_are_cut(values: pa.Array, slices: int, tmp_path: Path) -> None:
    """Every row is in a slice, or in one that is too small."""
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table({"x": values}), path)
    found = _cut.cut("x", {"test": path, "reference": path}, bins=5, min_rows=20, category=False)

    assert len(found.names) == len(found.conditions) == len(set(found.names)) == slices
    assert (found.codes["test"] == found.codes["reference"]).all()
    assert (np.bincount(found.codes["test"], minlength=slices)[:slices] >= 20).all()


def test_a_column_that_cannot_be_cut_is_an_error(tmp_path: Path) -> None:
    """Missing, nested, or of another type in the reference; the other columns are compared."""
    candidate = made.Candidate()
    candidate.test["home"] = [["a"]] * 800
    outcomes = _outcomes(_given(tmp_path, candidate, _config(columns=("home", "age", "wealth"))))

    assert outcomes["home"] == outcomes["wealth"] == "error"
    assert outcomes["slices"] == "pass"


def test_slices_are_compared_with_the_reference_by_the_same_cuts(tmp_path: Path) -> None:
    """A category on which the candidate does worse than it did; unpaired, under a limit of its own."""
    candidate = made.Candidate(test=made.rows(3000))
    rent = np.flatnonzero(np.array(candidate.test["home"]) == "rent")
    for answers in (candidate.predictions["test"], candidate.champion["predictions"]["test"]):
        _invert(answers, rent)
    reference = made.rows(2500, seed=8)
    given = _given(tmp_path, candidate, _config(reference=True, reference_limit=0.2))
    given = _with_reference(given, reference, made.answers(reference))
    found, outcomes = _measured(given), _outcomes(given)
    harmed = found["reference::home=rent"]

    assert {name for name, outcome in outcomes.items() if outcome != "pass"} >= {"reference::home=rent"}
    assert all(name.startswith("reference::") for name, outcome in outcomes.items() if outcome == "fail")
    assert outcomes["slices"] == outcomes["reference::slices"] == outcomes["reference::home=own"] == "pass"
    assert isinstance(harmed, Estimate) and harmed.champion is None and harmed.candidate is not None
    assert harmed.value == pytest.approx(harmed.candidate - harmed.details["reference"])
    assert harmed.details["reference_rows"] == reference["home"].count("rent")


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize(("reason", "outcome"), [("no-champion", "skipped"), ("unreadable", "error")])
def test_without_a_champion_only_the_reference_is_compared(
    reason: str, outcome: str, reference: bool, tmp_path: Path
) -> None:
    """A first model skips the rest; a champion that could not be scored is an error."""
    given = _given(tmp_path, made.Candidate(), _config(columns=("home",), reference=reference))
    given = replace(given, champion=NoChampion(reason=reason, message="gone"))
    if reference:
        given = _with_reference(given, made.rows(800, seed=8), made.answers(made.rows(800, seed=8)))
    outcomes = _outcomes(given)

    assert outcomes["slices"] == outcomes["home"] == outcome
    assert {name.partition("::")[0] for name in outcomes} == {"slices", "home", *(["reference"] if reference else [])}


def test_rows_that_the_champion_was_trained_on_are_in_no_slice(tmp_path: Path) -> None:
    """And are counted; in the comparison with the reference they stay."""
    candidate = made.Candidate()
    candidate.champion["leave_out"] = {"test": list(range(300))}
    found = _measured(_given(tmp_path, candidate, _config(columns=("home",))))

    kept = candidate.test["home"][300:]

    assert {name: m.n for name, m in _estimates(found).items()} == {f"home={v}": kept.count(v) for v in ("own", "rent")}
    assert found["slices"].details["left_out"] == 300


def test_a_slice_needs_rows_of_each_class_where_the_metric_does(tmp_path: Path) -> None:
    """A ranking does; a mean loss does not."""
    candidate = made.Candidate()
    candidate.test["home"] = ["own" if status == "bad" else "rent" for status in candidate.test["status"]]
    ranked = _measured(_given(tmp_path, candidate, _config(columns=("home",))))
    lost = _measured(_given(tmp_path, candidate, _config(columns=("home",), metric="log_loss")))

    assert isinstance(ranked["home"], NotApplicable) and ranked["home"].reason == "too-few-rows"
    assert isinstance(ranked["slices"], Assertion) and not ranked["slices"].holds
    assert set(_estimates(lost)) == {"home=own", "home=rent"}


def test_a_metric_that_the_champion_has_no_value_of_is_counted(tmp_path: Path) -> None:
    """Where only the candidate has none, it could not be measured."""
    candidate = made.Candidate()
    theirs, ours = candidate.champion["predictions"]["test"], candidate.predictions["test"]
    for i, home in enumerate(candidate.test["home"]):
        (theirs if home == "own" else ours)["prediction"][i] = "good"
    found = _measured(_given(tmp_path, candidate, _config(columns=("home",), metric="precision_score")))

    assert isinstance(found["home=rent"], Failure) and "home=own" not in found
    assert found["slices"].details["undefined_count"] == 1


def test_all_that_do_not_pass_are_told_then_the_worst_and_one_of_each_named_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Details for the worst alone; what is not told counts for the level all the same."""
    monkeypatch.setattr(_told, "TOLD", 3)
    monkeypatch.setattr(_told, "IN_FULL", 2)
    candidate = made.Candidate(test=made.rows(2000))
    config = _config(columns=("age", "income", "home"), bins=8)
    given = _given(tmp_path, candidate, config)
    everything = _measured(given)
    found, counted = _estimates(everything), everything["slices"].details["counted_for_level"]
    rooms = [m.interval.high for m in found.values() if m.interval]

    assert {name.partition("=")[0] for name in found} == {"age", "income", "home"}
    assert 3 <= len(found) <= 5 and rooms == sorted(rooms)
    assert ["condition" in m.details for m in found.values()][:3] == [True, True, False]
    assert counted > 15 and {m.interval.level for m in found.values() if m.interval} == {simultaneous(BUDGET, counted)}
    assert set(_outcomes(given).values()) == {"pass"}


@pytest.mark.parametrize(
    ("settings", "outcome"), [({}, "fail"), ({"detectable": 0.1001, "limit": 0.1}, "inconclusive")]
)
def test_every_slice_that_does_not_pass_is_told(
    settings: dict[str, float], outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose rows could not have shown a loss that the policy asks to be seen."""
    candidate = made.Candidate(test=made.rows(2000))
    if outcome == "fail":
        _invert(candidate.predictions["test"], np.arange(2000))
    given = _given(tmp_path, candidate, _config(bins=8, **settings))
    everything = {name for name, told in _outcomes(given).items() if told == outcome}
    monkeypatch.setattr(_told, "TOLD", 3)

    assert len(everything) > 10
    assert {name for name, told in _outcomes(given).items() if told == outcome} == everything


def test_where_more_slices_do_not_pass_than_can_be_told_the_summary_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is left out in silence; the kernel takes the intervals of those that are told."""
    monkeypatch.setattr(slices, "MOST", 4)
    candidate = made.Candidate()
    _invert(candidate.predictions["test"], np.arange(800))
    given = _given(tmp_path, candidate, _config(bins=6, columns=("age",)))
    found = _measured(given)

    assert isinstance(found["slices"], Assertion) and "more do not pass" in found["slices"].message
    assert sorted(_outcomes(given).values()) == ["fail"] * 5


def test_single_columns_have_half_of_the_false_alarms(tmp_path: Path) -> None:
    """Pairs, of all columns that could have been chosen, and the reference share the rest; told is what that allows."""
    candidate = made.Candidate(test=made.rows(2000))
    config = _config(columns=("home", "income"), bins=3, pairs=2, reference=True)
    given = _given(tmp_path, candidate, config)
    given = _with_reference(given, made.rows(800, seed=8), made.answers(made.rows(800, seed=8)))
    found = _measured(given)
    levels = {name: found[name].details["level"] for name in ("slices", "reference::slices")}

    assert levels == {"slices": simultaneous(BUDGET / 2, 5), "reference::slices": simultaneous(BUDGET / 4, 5)}
    assert found["slices"].details["pairs_level"] == simultaneous(BUDGET / 4, 6)
    assert len(_estimates(found)) == 10 and "error" not in _outcomes(given).values()


def test_what_is_told_fits_into_an_answer(tmp_path: Path) -> None:
    """Ten thousand slices, in JSON types."""
    candidate = made.Candidate(test=made.rows(20_000))
    candidate.test["home"] = [f"c{i // 2}" for i in range(20_000)]
    given = _given(tmp_path, candidate, _config(min_rows=2, metric="log_loss"))
    found = Slices().measure(given)

    assert len(found) < 300
    assert len(json.dumps([to_json(m) for m in found], allow_nan=False)) < 200_000
