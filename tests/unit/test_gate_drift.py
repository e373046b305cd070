"""Gate `drift`: effects of drift by column, of the answers, and of all columns together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passmuster import policy
from passmuster.config import Column, ColumnType, DriftGate, Task
from passmuster.gates import Champion
from passmuster.measurement import Estimate, Failure
from passmuster_checks.drift import Drift
from passmuster_checks.profile import REFERENCE_PROFILE, ProfileOfColumns
from support import tables
from support.tables import Table

#: What is planted in test → the measurement that must fail.
PLANTED: dict[str, tuple[Callable[[Table], dict[str, Any]], str]] = {
    "amounts are doubled": (lambda t: {"amount": np.asarray(t["amount"]) * 2.5}, "amount::kolmogorov_smirnov"),
    "60 % of the ages are missing": (
        lambda t: {"age": [None if row % 5 < 3 else int(age) for row, age in enumerate(t["age"])]},
        "age::null_share",
    ),
    "a category takes over": (
        lambda t: {"city": ["city-3" if row % 3 == 0 else city for row, city in enumerate(t["city"])]},
        "city::total_variation",
    ),
    "a rare category grows tenfold": (
        lambda t: {"city": ["city-11" if row % 4 == 0 else city for row, city in enumerate(t["city"])]},
        "city::share_ratio",
    ),
    "most labels are positive": (lambda t: {"bad": ["yes"] * 1_600 + list(t["bad"][1_600:])}, "bad::total_variation"),
    "columns are dependent that were not": (
        lambda t: {"amount": np.sort(np.asarray(t["amount"]))[np.argsort(np.argsort(np.asarray(t["age"])))]},
        "(all columns)::domain_auc",
    ),
}


def test_honest_splits_do_not_drift(tmp_path: Path) -> None:
    """Every column of the policy, the answers and all columns together are measured, and pass."""
    given = tables.given(tmp_path, tables.splits())
    found = tables.outcomes(Drift(), given)
    (expected,) = [gate.expected for gate in policy.from_config(given.config).gates if gate.gate == "drift"]

    assert set(found.values()) == {"pass"}
    assert all(any(name.startswith(f"{wanted}::") for name in found) for wanted in expected)
    assert "reference-test::(prediction)::kolmogorov_smirnov" in found


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_drift_is_found_from_train_and_from_the_reference(planted: str, tmp_path: Path) -> None:
    change, name = PLANTED[planted]
    splits = tables.splits()
    answers = {split: tables.answers(table) for split, table in splits.items()}
    splits["test"].update(change(splits["test"]))
    found = tables.outcomes(Drift(), tables.given(tmp_path, splits, predictions=answers))

    assert (found[f"train-test::{name}"], found[f"reference-test::{name}"]) == ("fail", "fail")


def test_answers_that_drift_are_found(tmp_path: Path) -> None:
    splits = tables.splits()
    answers = {split: tables.answers(table, shift=1.5 * (split == "test")) for split, table in splits.items()}
    found = tables.outcomes(Drift(), tables.given(tmp_path, splits, predictions=answers))

    assert {name for name, outcome in found.items() if outcome != "pass"} == {
        "reference-test::(prediction)::kolmogorov_smirnov"
    }


def test_every_size_and_both_histograms_are_shown(tmp_path: Path) -> None:
    """The rule reads one effect; people are shown all of them."""
    found = tables.measured(Drift(), tables.given(tmp_path, tables.splits()))
    number, category = found["train-test::age::kolmogorov_smirnov"], found["train-test::city::total_variation"]

    assert set(number.details["sizes"]) == {"kolmogorov_smirnov", "wasserstein", "psi", "jensen_shannon", "null_share"}
    assert sum(number.details["histogram"]["base"]) == pytest.approx(
        2_000, abs=len(number.details["histogram"]["base"])
    )
    assert len(number.details["histogram"]["edges"]) == len(number.details["histogram"]["base"]) + 1
    assert sum(category.details["histogram"]["current"]) == 2_000
    assert category.details["histogram"]["categories"][0] == "city-0"


def test_intervals_are_those_of_all_effects_together(tmp_path: Path) -> None:
    found = list(tables.measured(Drift(), tables.given(tmp_path, tables.splits())).values())
    levels = {m.interval.level for m in found if isinstance(m, Estimate) and m.interval}

    assert min(levels) >= 1 - 2 * tables.BUDGET / len(found)


def test_a_column_without_a_score_is_an_error(tmp_path: Path) -> None:
    splits = tables.splits()
    del splits["test"]["age"]
    splits["reference"]["amount"] = [None] * 2_000
    answers = {split: tables.answers(tables.rows()) for split in splits}
    found = tables.measured(Drift(), tables.given(tmp_path, splits, predictions=answers))

    assert isinstance(found["train-test::age"], Failure)
    assert isinstance(found["reference-test::amount::kolmogorov_smirnov"], Failure)


def test_a_limit_on_an_effect_without_an_interval_is_an_error_that_says_so(tmp_path: Path) -> None:
    stated = tables.config(drift=DriftGate(limits={"psi": 0.2}))
    splits = {name: tables.rows(60, seed=seed) for seed, name in enumerate(tables.splits())}
    found = tables.judged(Drift(), tables.given(tmp_path, splits, stated=stated))
    outcomes = {outcome for outcome, _ in found.values()}

    assert outcomes <= {"pass", "error"}
    assert all("name another effect" in reason for outcome, reason in found.values() if outcome == "error")


def test_ignored_columns_are_not_judged(tmp_path: Path) -> None:
    stated = tables.config(drift=DriftGate(ignore=("amount",)))
    splits = tables.splits()
    splits["test"]["amount"] = np.asarray(splits["test"]["amount"]) * 100
    found = tables.outcomes(Drift(), tables.given(tmp_path, splits, stated=stated))

    assert set(found.values()) == {"pass"}
    assert not any("amount" in name for name in found)


def test_drift_since_the_champion_was_made_only_advises(tmp_path: Path) -> None:
    """A world that changed is a reason to have a candidate."""
    before = tables.given(tmp_path, tables.splits())
    ProfileOfColumns().measure(before)
    splits = tables.splits()
    for table in splits.values():
        table["amount"] = np.asarray(table["amount"]) * 3
    champion = Champion(
        version="v1",
        digest="sha256:" + "1" * 64,
        model=before.model,
        predictions={},
        environment={},
        profile=before.workspace / REFERENCE_PROFILE,
    )
    given = replace(tables.given(tmp_path, splits), champion=champion)
    found = tables.outcomes(Drift(), given)
    (stated,) = [gate for gate in policy.from_config(given.config).gates if gate.gate == "drift"]
    failed = {name for name, outcome in found.items() if outcome == "fail"}

    assert "champion-test::amount::kolmogorov_smirnov" in failed
    assert {stated.mode_of(name).value for name in failed} == {"advisory"}


def test_a_regression_is_compared_by_its_predictions(tmp_path: Path) -> None:
    config = tables.config()
    columns = {**tables.COLUMNS, "bad": Column(type=ColumnType.NUMBER)}
    stated = replace(config, task=Task.REGRESSION, data=replace(config.data, positive=None, columns=columns))
    splits = tables.splits()
    for table in splits.values():
        table["bad"] = np.asarray(table["age"], dtype=float)
    answers = {
        split: {"id": t["id"], "label": t["bad"], "prediction": np.asarray(t["age"]) + 20.0 * (split == "test")}
        for split, t in splits.items()
    }
    found = tables.outcomes(Drift(), tables.given(tmp_path, splits, stated=stated, predictions=answers))

    assert found["reference-test::(prediction)::kolmogorov_smirnov"] == "fail"
    assert found["train-test::bad::kolmogorov_smirnov"] == "pass"


def test_hundreds_of_clean_columns_do_not_fail_by_chance(tmp_path: Path) -> None:
    """At a level of 95 % for each, twenty-five of five hundred would."""
    names = [f"column-{number}" for number in range(500)]

    def wide(seed: int) -> Table:
        table = tables.rows(400, seed=seed)
        return {**table, **dict(zip(names, np.random.default_rng(seed).normal(size=(500, 400)), strict=True))}

    config = tables.config(drift=DriftGate(limits={"kolmogorov_smirnov": 0.02}))
    columns = {**tables.COLUMNS, **dict.fromkeys(names, Column(type=ColumnType.NUMBER))}
    stated = replace(config, data=replace(config.data, columns=columns, categorical=("city", "note")))
    splits = {"train": wide(1), "test": wide(2), "reference": wide(3)}
    found = tables.outcomes(Drift(), tables.given(tmp_path, splits, stated=stated))
    judged = {name: outcome for name, outcome in found.items() if "column-" in name}

    assert len(judged) == 1_000
    assert set(judged.values()) == {"pass"}
