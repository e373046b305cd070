"""What the bank's rules demand of any model of default, whatever its metrics; run by gate `behaviour`."""

from __future__ import annotations

from typing import Any

import pytest

ROWS = 200


@pytest.fixture(scope="module")
def probability(candidate: Any, test: Any) -> Any:
    """Ask once about the same applications in several variants; the probability of default by variant."""
    import pandas as pd

    rows = test.head(ROWS)
    variants = {
        "as it is": rows,
        "with a record": rows.assign(Records="yes"),
        "without a record": rows.assign(Records="no"),
        "income not told": rows.assign(Income=None),
        "job never seen": rows.assign(Job="astronaut"),
    }
    answers = candidate.predict(pd.concat(variants.values(), ignore_index=True))["proba_bad"].to_numpy()
    return dict(zip(variants, answers.reshape(len(variants), len(rows)), strict=True))


def test_a_record_of_unpaid_debts_never_makes_an_applicant_safer(probability: Any) -> None:
    assert (probability["with a record"] >= probability["without a record"]).all()


def test_an_applicant_who_does_not_tell_the_income_gets_an_answer(probability: Any) -> None:
    assert ((probability["income not told"] >= 0) & (probability["income not told"] <= 1)).all()


def test_a_job_never_seen_before_gets_an_answer_between_the_known_ones(probability: Any) -> None:
    assert abs(probability["job never seen"] - probability["as it is"]).mean() < 0.25


def test_the_answers_are_those_that_were_judged(probability: Any, predictions: Any) -> None:
    assert abs(probability["as it is"] - predictions["proba_bad"].head(ROWS).to_numpy()).max() < 1e-9
