"""A measurement without a value can not be written as a number."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passmuster.errors import Refused
from passmuster.measurement import (
    Assertion,
    Estimate,
    Failure,
    Interval,
    Measurement,
    NotApplicable,
    from_json,
    to_json,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(min_size=1)
intervals = st.tuples(finite, finite).map(
    lambda ends: Interval(low=min(ends), high=max(ends), level=0.95, method="delta method")
)
measurements: st.SearchStrategy[Measurement] = st.one_of(
    st.builds(
        Estimate,
        gate=names,
        name=names,
        value=finite,
        n=st.integers(1),
        interval=st.none() | intervals,
        candidate=st.none() | finite,
        details=st.dictionaries(names, finite),
    ),
    st.builds(Assertion, gate=names, name=names, holds=st.booleans(), message=st.text()),
    st.builds(Failure, gate=names, name=names, reason=st.text()),
    st.builds(NotApplicable, gate=names, name=names, reason=st.text(), message=st.text()),
)


@given(measurements)
def test_json_and_back_is_the_same(measurement: Measurement) -> None:
    assert from_json(to_json(measurement)) == measurement


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, None, True, "0.9"])
def test_what_is_no_finite_number_is_no_estimate(number: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Estimate(gate="g", name="m", value=number, n=10)


@pytest.mark.parametrize("rows", [0, -1, True])
def test_no_rows_are_no_estimate(rows: Any) -> None:
    with pytest.raises(ValueError, match="rows"):
        Estimate(gate="g", name="m", value=0.5, n=rows)


@pytest.mark.parametrize(
    ("low", "high", "level"), [(1, 0, 0.95), (math.nan, 1, 0.95), (0, math.inf, 0.95), (0, 1, 1.0)]
)
def test_what_is_no_interval_is_refused(low: float, high: float, level: float) -> None:
    with pytest.raises(ValueError):
        Interval(low=low, high=high, level=level, method="Wilson")


@pytest.mark.parametrize("holds", [1, "yes", None])
def test_an_assertion_holds_by_true_alone(holds: Any) -> None:
    with pytest.raises(ValueError, match="not a bool"):
        Assertion(gate="g", name="a", holds=holds, message="")


GOOD = to_json(Estimate(gate="g", name="m", value=0.5, n=10))


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {**GOOD, "kind": "verdict"},
        {**GOOD, "passed": True},
        {k: v for k, v in GOOD.items() if k != "value"},
        {**GOOD, "value": None},
        {**GOOD, "n": 0},
        {**GOOD, "n": "10"},
        {**GOOD, "interval": {"low": 0}},
        {**GOOD, "interval": "narrow"},
        {**GOOD, "gate": 7},
        {**GOOD, "details": []},
    ],
)
def test_json_that_is_no_measurement_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        from_json(raw)
