"""The expected calibration error: scikit-learn's bins, honest about its noise, the same for the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics import Scored
from passmuster_checks.statistics.calibration import Reliability, compare_error, estimate_error, reliability


def _scored(probability: Any, label: Any) -> Scored:
    return Scored.classification(
        label=label,
        prediction=(probability > 0.5).astype(int),
        classes=(0, 1),
        positive=1,
        probabilities=np.column_stack([1 - probability, probability]),
    )


def _rows(n: int = 2_000, seed: int = 1) -> tuple[Any, Any]:
    """Return probabilities, and labels that follow them."""
    random = np.random.default_rng(seed)
    probability = random.beta(2, 3, n)
    return probability, (random.random(n) < probability).astype(int)


def _found(probability: Any, label: Any, bins: int = 10) -> Reliability:
    return reliability(_scored(probability, label), bins)


@pytest.mark.parametrize("digits", [None, 2, 1, 0])
@pytest.mark.parametrize("bins", [2, 10, 15])
def test_the_bins_are_those_of_scikit_learn(digits: int | None, bins: int) -> None:
    """Also where ties leave some of them empty: the curve and the error of its points, weighted by their rows."""
    probability, label = _rows()
    if digits is not None:
        probability = probability.round(digits)
    found = _found(probability, label, bins)
    observed, predicted = calibration_curve(label, probability, n_bins=bins, strategy="quantile")
    curve = np.array(found.curve(0.95))

    assert curve[:, 0] == pytest.approx(predicted, rel=1e-5)
    assert curve[:, 1] == pytest.approx(observed, rel=1e-5)
    assert curve[:, 2].sum() == len(label)
    rows = found.rows[found.rows > 0] / len(label)
    assert found.error == pytest.approx(float(np.abs(predicted - observed) @ rows), abs=1e-12)


def test_the_brier_score_is_the_sum_of_its_parts() -> None:
    """scikit-learn's score; with one probability for each bin nothing is left within the bins."""
    probability, label = _rows()
    parts = _found(probability, label).brier()
    few = np.repeat([0.1, 0.3, 0.6, 0.9], 500)
    coarse = _found(few, label, 4).brier()

    assert parts.score == pytest.approx(brier_score_loss(label, probability), abs=1e-12)
    assert parts.score == pytest.approx(
        parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins, abs=1e-12
    )
    assert abs(parts.within_bins) > 1e-4
    assert coarse.within_bins == pytest.approx(0, abs=1e-12)
    assert coarse.score == pytest.approx(coarse.reliability - coarse.resolution + coarse.uncertainty, abs=1e-12)


def test_of_three_classes_the_likeliest_one_counts() -> None:
    """Top-label calibration: how often the class with the largest probability is the right one."""
    random = np.random.default_rng(2)
    table = random.dirichlet([1, 1, 1], 900)
    label = np.array([random.choice(3, p=row) for row in table])
    scored = Scored.classification(label=label, prediction=table.argmin(axis=1), classes=(0, 1, 2), probabilities=table)
    found = reliability(scored)

    assert found.probability == pytest.approx(table.max(axis=1))
    assert found.true.mean() == pytest.approx((table.argmax(axis=1) == label).mean())


def test_the_interval_is_above_a_limit_only_where_the_probabilities_are_wrong() -> None:
    """Of calibrated ones it reaches down to zero, though the measured error does not."""
    probability, label = _rows()
    right = estimate_error(_found(probability, label))
    wrong = estimate_error(_found(probability**3, label))

    assert right.value > 0.005 and right.interval.low == 0
    assert wrong.interval.low > 0.1
    assert wrong.interval.low < wrong.value < wrong.interval.high


def test_an_event_that_was_not_seen_yet_is_not_ruled_out() -> None:
    """In a thousand rows with one positive nothing says that the shares are exactly as observed."""
    label = np.zeros(1_000, dtype=int)
    label[0] = 1
    found = estimate_error(_found(np.linspace(0.0009, 0.0011, 1_000), label))

    assert found.interval.high > 0.003


def test_the_order_of_the_rows_changes_nothing() -> None:
    """Neither value nor interval; and twice the same gives the same to the last digit."""
    probability, label = _rows()
    order = np.random.default_rng(3).permutation(len(label))
    straight, turned = (estimate_error(_found(probability[rows], label[rows])) for rows in (slice(None), order))

    assert estimate_error(_found(probability, label)) == straight
    assert turned.value == pytest.approx(straight.value, abs=1e-12)
    assert turned.interval.low == pytest.approx(straight.interval.low, abs=1e-9)
    assert turned.interval.high == pytest.approx(straight.interval.high, abs=1e-9)


def test_a_higher_level_is_a_wider_interval() -> None:
    """For the error and for its difference."""
    probability, label = _rows()
    one, other = _found(probability**1.5, label), _found(probability, label)
    for measure in (lambda level: estimate_error(one, level), lambda level: compare_error(one, other, level)):
        narrow, wide = measure(0.95).interval, measure(0.999).interval

        assert wide.low < narrow.low and narrow.high < wide.high
        assert wide.level == 0.999


def test_a_comparison_is_signed_so_that_more_is_better() -> None:
    """A candidate whose probabilities are wrong has a difference below zero, and the champion's gain is its mirror."""
    probability, label = _rows()
    good, bad = _found(probability, label), _found(probability**3, label)
    worse, better = compare_error(bad, good), compare_error(good, bad)

    assert worse.difference == pytest.approx(good.error - bad.error)
    assert (worse.candidate, worse.champion) == (bad.error, good.error)
    assert worse.interval.high < -0.1
    assert better.difference == -worse.difference
    assert better.interval.low == pytest.approx(-worse.interval.high, abs=5e-4)


def test_nearly_one_model_differs_by_nearly_nothing() -> None:
    """Rows are shared: what their labels do to one model they do to the other. Identical answers: [0, 0]."""
    probability, label = _rows()
    same = compare_error(_found(probability, label), _found(probability.copy(), label)).interval
    close = compare_error(_found(np.clip(probability + 1e-5, 0, 1), label), _found(probability, label)).interval
    alone = estimate_error(_found(probability, label)).interval

    assert (same.low, same.high) == (0, 0)
    assert close.low <= 0 <= close.high
    assert 0 < close.high - close.low < (alone.high - alone.low) / 4


def test_the_same_probabilities_of_other_classes_are_not_the_same_answers() -> None:
    """Of three classes, two models may be as sure of something else."""
    random = np.random.default_rng(5)
    table = random.dirichlet([1, 1, 1], 300)
    label = random.integers(0, 3, 300)
    one, other = (
        reliability(Scored.classification(label=label, prediction=label, classes=(0, 1, 2), probabilities=given))
        for given in (table, table[:, [1, 2, 0]])
    )

    assert compare_error(one, other).interval.low < 0


def _constant() -> Reliability:
    return _found(np.full(100, 0.3), np.arange(100) % 2)


def _one_class() -> Reliability:
    probability, label = _rows()
    return reliability(_scored(probability, label).take(label == 1))


def _without_probabilities() -> Reliability:
    return reliability(Scored.classification(label=[0, 1], prediction=[0, 1], classes=(0, 1), positive=1))


def _regression() -> Reliability:
    return reliability(Scored.regression(label=[0.0, 1.0], prediction=[0.0, 1.0]))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (_constant, "0.3 in every one of 100 rows"),
        (_one_class, "of one class"),
        (_without_probabilities, "gives none"),
        (_regression, "a regression has none"),
        (lambda: estimate_error(_found(*_rows()), 1 - 1e-7), "can't give an interval"),
        (lambda: compare_error(_found(*_rows(100)), _found(*_rows(101))), "score both on the same rows"),
    ],
)
def test_what_has_no_calibration_is_not_measured(make: Any, word: str) -> None:
    """With a reason; never a number."""
    with pytest.raises(NotMeasured, match=word):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: _found(*_rows(), bins=1),
        lambda: estimate_error(_found(*_rows()), 1.0),
        lambda: compare_error(_found(*_rows()), _found(*_rows()), 0.0),
    ],
)
def test_a_wrong_call_says_so(make: Any) -> None:
    """Fewer than two bins, a level that is none."""
    with pytest.raises(UsageError):
        make()
