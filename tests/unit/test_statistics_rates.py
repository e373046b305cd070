"""Rates by group: fairlearn's numbers, and intervals that hold for all pairs of groups together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics.rates import (
    TOO_MANY_GROUPS,
    Rates,
    largest_difference,
    smallest_ratio,
)
from passmuster_checks.statistics.shares import wilson

#: Four groups: rows, positive ones, rows decided positive, both.
COUNTS = np.array([[230, 113, 115, 94], [186, 91, 94, 81], [130, 62, 49, 38], [54, 27, 22, 21]], dtype=float)
SELECTION = [Rates(COUNTS[:, 2], COUNTS[:, 0])]
ODDS = [Rates(COUNTS[:, 3], COUNTS[:, 1]), Rates(COUNTS[:, 2] - COUNTS[:, 3], COUNTS[:, 0] - COUNTS[:, 1])]


def _rates(*hits: int, of: int = 100) -> list[Rates]:
    return [Rates(np.array(hits, dtype=float), np.full(len(hits), float(of)))]


@pytest.mark.parametrize(
    ("measure", "families", "value"),
    [
        (largest_difference, SELECTION, 0.12845326716294458),
        (smallest_ratio, SELECTION, 0.7458265139116202),
        (largest_difference, ODDS, 0.27720666430343843),
        (smallest_ratio, ODDS, 0.20634920634920634),
    ],
)
def test_the_values_are_fairlearns(measure: Any, families: list[Rates], value: float) -> None:
    """As fairlearn 0.15.0 computed them from the rows of these counts."""
    found = measure(families)

    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.interval.low <= found.value <= found.interval.high
    assert found.n == 600


def test_every_pair_of_groups_is_looked_at() -> None:
    """A slow reference: the largest difference and the smallest ratio over all pairs, of random counts."""
    random = np.random.default_rng(4)
    for _ in range(20):
        trials = random.integers(20, 200, 6).astype(float)
        rates = Rates(random.binomial(trials.astype(int), 0.4).astype(float) + 1, trials + 1)
        pairs = [(a, b) for a in rates.share for b in rates.share]

        assert largest_difference([rates]).value == pytest.approx(max(a - b for a, b in pairs), abs=1e-12)
        assert smallest_ratio([rates]).value == pytest.approx(min(a / b for a, b in pairs), abs=1e-12)


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 10), (10, 10), (500, 1_000)])
def test_wilsons_interval_is_scipys(hits: int, trials: int) -> None:
    """To 1e-9."""
    low, high = wilson(hits / trials, trials, 0.99)
    expected = stats.binomtest(hits, trials).proportion_ci(0.99, method="wilson")

    assert (low, high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


def test_two_groups_have_the_interval_of_their_difference_and_ratio() -> None:
    """Newcombe's, and Donner and Zou's, of the exact ends of the rates, for the one pair each way."""
    found, ratio = largest_difference(_rates(30, 60)), smallest_ratio(_rates(30, 60))
    ends = [stats.binomtest(k, 100).proportion_ci(0.975, method="exact") for k in (30, 60)]
    low = 0.3 - np.hypot(0.6 - ends[1].low, ends[0].high - 0.3)

    assert found.interval.low == pytest.approx(low, abs=1e-9)
    # The ratio's end is where the difference of one rate and that multiple of the other can be zero.
    high = ratio.interval.high
    assert 0.6 * high - 0.3 == pytest.approx(np.hypot(ends[0].high - 0.3, high * (0.6 - ends[1].low)), abs=1e-9)


def test_more_groups_make_the_harmful_end_more_careful() -> None:
    """Equal groups added between the extremes leave the value, and move the end that a limit fails by."""
    two, ten = _rates(30, 60), _rates(30, 60, *[45] * 8)

    assert largest_difference(ten).value == largest_difference(two).value
    assert largest_difference(ten).interval.low < largest_difference(two).interval.low
    assert smallest_ratio(ten).interval.high > smallest_ratio(two).interval.high


@pytest.mark.parametrize("hits", [(0, 50), (0, 100), (100, 100), (50, 50), (1, 99), (0, 0, 7)])
def test_extreme_rates_have_finite_intervals(hits: tuple[int, ...]) -> None:
    """None and all of a group, within 0 and 1, around the value; with a standard error for planning."""
    for measure in (largest_difference, smallest_ratio):
        found = measure(_rates(*hits), 0.999)

        assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1
        assert np.isfinite(found.standard_error) and found.standard_error > 0


def test_equal_groups_are_never_far_apart() -> None:
    """The interval of the difference begins at 0, that of the ratio ends at 1."""
    assert largest_difference(_rates(40, 40)).interval.low == 0
    assert smallest_ratio(_rates(40, 40)).interval.high == 1


@pytest.mark.parametrize(
    ("measure", "families", "word"),
    [
        (smallest_ratio, _rates(0, 0), "0 in every group"),
        (smallest_ratio, [*_rates(3, 4), *_rates(0, 0)], "0 in every group"),
        (largest_difference, _rates(3), "at least two"),
        (smallest_ratio, _rates(3), "at least two"),
        (largest_difference, _rates(*[3] * (TOO_MANY_GROUPS + 1)), "1,001 groups"),
    ],
)
def test_groups_that_can_not_be_compared_are_not_measured(measure: Any, families: list[Rates], word: str) -> None:
    """One group, thousands, or a ratio of zeros."""
    with pytest.raises(NotMeasured, match=word):
        measure(families)


def test_a_level_that_is_none_is_a_wrong_call() -> None:
    """As everywhere."""
    for measure in (largest_difference, smallest_ratio):
        with pytest.raises(UsageError):
            measure(_rates(1, 2), 1.0)
