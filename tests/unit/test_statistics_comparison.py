"""Paired comparisons: signed so that more is better, exact where nothing differs, never certain without grounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from passmuster.errors import NotMeasured, UsageError
from passmuster.planning import rows_to_decide, simultaneous, smallest_detectable
from passmuster_checks.statistics import (
    METRICS,
    Scored,
    Task,
    compare,
    estimate,
    metrics_for,
)


def chances(label: Any, p: Any) -> Scored:
    """Answers of a binary model that gives row i the chance p[i] to be 1."""
    p = np.asarray(p, dtype=float)
    return Scored.classification(
        label=label,
        prediction=(p > 0.5).astype(int),
        classes=(0, 1),
        positive=1,
        probabilities=np.column_stack([1 - p, p]),
    )


def hard(label: Any, prediction: Any) -> Scored:
    return Scored.classification(label=label, prediction=prediction, classes=(0, 1), positive=1)


def pair(task: Task, seed: int, n: int = 300, noise: float = 0.3) -> tuple[Scored, Scored]:
    """Return two models of about the same quality on the same rows."""
    rng = np.random.default_rng(seed)
    if task is Task.REGRESSION:
        label = rng.normal(size=n)
        shared = 0.5 * rng.normal(size=n)
        one, two = (
            Scored.regression(label=label, prediction=label + shared + noise * rng.normal(size=n)) for _ in "ab"
        )
        return one, two
    k = 2 if task is Task.BINARY else 3
    label = rng.integers(0, k, n)
    shared = rng.normal(size=(n, k)) + 1.2 * np.eye(k)[label]
    return _noisy(label, shared, noise, rng), _noisy(label, shared, noise, rng)


def _noisy(label: Any, shared: Any, noise: float, rng: np.random.Generator) -> Scored:
    weight = np.exp(shared + noise * rng.normal(size=shared.shape))
    table = weight / weight.sum(axis=1, keepdims=True)
    k = shared.shape[1]
    return Scored.classification(
        label=label,
        prediction=table.argmax(axis=1),
        classes=tuple(range(k)),
        positive=1 if k == 2 else None,
        probabilities=table,
    )


CASES = [(task, name) for task in Task for name in metrics_for(task)]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_identical_answers_differ_by_exactly_nothing(task: Task, name: str) -> None:
    one, _ = pair(task, 0)
    copy = one.take(np.arange(one.n))

    found = compare(name, copy, one)

    assert (found.difference, found.standard_error) == (0.0, 0.0)
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)
    assert found.candidate == found.champion == estimate(name, one).value
    assert found.n == one.n


@pytest.mark.parametrize(("task", "name"), CASES)
def test_the_difference_is_signed_so_that_more_is_better(task: Task, name: str) -> None:
    better, _ = pair(task, 1, 400, noise=0.1)
    _, worse = pair(task, 1, 400, noise=0.1)
    flipped = np.arange(400) % 4 == 0
    if task is Task.REGRESSION:
        worse = Scored.regression(label=better.label, prediction=better.prediction + 3.0 * flipped)
    else:
        assert better.probabilities is not None
        table = np.where(flipped[:, None], np.roll(better.probabilities, 1, axis=1), better.probabilities)
        worse = Scored.classification(
            label=better.label,
            prediction=table.argmax(axis=1),
            classes=better.classes,
            positive=better.positive,
            probabilities=table,
        )

    found = compare(name, better, worse)

    assert found.difference > 0
    assert found.interval.low > 0
    assert found.difference == pytest.approx(abs(found.candidate - found.champion))
    assert (found.candidate > found.champion) == METRICS[name].greater_is_better


@pytest.mark.parametrize(("task", "name"), [case for case in CASES if case[1] != "median_absolute_error"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), level=st.floats(0.5, 0.9999))
def test_exchanging_the_models_mirrors_the_comparison(task: Task, name: str, seed: int, level: float) -> None:
    one, two = pair(task, seed)

    there, back = compare(name, one, two, level), compare(name, two, one, level)

    assert there.difference == -back.difference
    assert there.standard_error == pytest.approx(back.standard_error)
    assert (there.interval.low, there.interval.high) == pytest.approx((-back.interval.high, -back.interval.low))
    assert there.interval.low < there.difference < there.interval.high


@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_higher_level_gives_a_wider_interval(task: Task, name: str) -> None:
    one, two = pair(task, 3)

    inner, outer = compare(name, one, two, 0.8), compare(name, one, two, 0.98)

    assert outer.interval.low < inner.interval.low < inner.interval.high < outer.interval.high
    assert (inner.interval.level, outer.interval.level) == (0.8, 0.98)


@pytest.mark.parametrize(("task", "name"), CASES)
def test_the_same_rows_give_the_same_numbers(task: Task, name: str) -> None:
    assert compare(name, *pair(task, 4)) == compare(name, *pair(task, 4))
    assert estimate(name, pair(task, 4)[0]) == estimate(name, pair(task, 4)[0])


def test_a_paired_mean_difference_is_the_paired_t_test() -> None:
    one, two = pair(Task.REGRESSION, 5)
    losses = (two.label - two.prediction) ** 2 - (one.label - one.prediction) ** 2
    scale = losses.std(ddof=1) / math.sqrt(len(losses))

    found = compare("mean_squared_error", one, two)

    assert found.difference == pytest.approx(losses.mean())
    assert found.standard_error == pytest.approx(scale)
    by_scipy = stats.ttest_1samp(losses, 0).confidence_interval(0.95)
    assert found.interval.high == pytest.approx(by_scipy.high, rel=0.02)
    assert found.interval.high >= by_scipy.high * (1 - 1e-12)


def test_a_share_has_the_interval_of_wilson() -> None:
    label, answer = (
        np.r_[np.ones(40, int), np.zeros(60, int)],
        np.r_[np.ones(33, int), np.zeros(62, int), np.ones(5, int)],
    )
    scored = hard(label, answer)

    for name, hits, trials in (("accuracy_score", 88, 100), ("recall_score", 33, 40), ("precision_score", 33, 38)):
        expected = stats.binomtest(hits, trials).proportion_ci(0.95, "wilson")
        found = estimate(name, scored)

        assert found.value == hits / trials
        assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
        assert found.interval.method == "Wilson"


# ── never a false certainty ────────────────────────────────────────────────────────────────────────────────────────


def test_two_perfect_rankings_of_few_rows_are_not_known_to_be_equal() -> None:
    label = [0, 0, 0, 1, 1, 1]
    found = compare(
        "roc_auc_score", chances(label, [0.1, 0.2, 0.3, 0.6, 0.7, 0.8]), chances(label, [0.3, 0.2, 0.1, 0.8, 0.7, 0.6])
    )

    assert found.difference == 0
    assert found.interval.low < -0.5
    assert found.interval.high > 0.5
    assert found.standard_error > 0.2


def test_two_perfect_rankings_are_known_better_with_more_rows() -> None:
    widths = []
    for n in (20, 200, 2000):
        label = np.arange(n) % 2
        shift = np.linspace(0, 0.4, n)
        found = compare(
            "roc_auc_score", chances(label, label * 0.55 + shift), chances(label, label * 0.55 + 0.4 - shift)
        )
        widths.append(found.interval.high - found.interval.low)

    assert widths[0] > widths[1] > widths[2] > 0
    assert widths[2] == pytest.approx(2 * 1.96 * math.sqrt(2) / 1002, rel=1e-3)


def test_a_perfect_ranking_of_few_rows_is_not_known_to_be_perfect() -> None:
    found = estimate("roc_auc_score", chances([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.7, 0.8]))

    assert found.value == 1
    assert found.interval.low < 0.5
    assert found.interval.high == 1


@pytest.mark.parametrize("name", ["accuracy_score", "precision_score", "recall_score", "f1_score", "matthews_corrcoef"])
def test_models_that_are_right_on_the_same_rows_may_still_differ(name: str) -> None:
    label = np.arange(40) % 2
    answer = np.where(np.arange(40) < 8, 1 - label, label)
    one, two = (chances(label, np.where(answer == 1, high, 1 - high)) for high in (0.9, 0.6))

    found = compare(name, one, two)

    assert found.difference == 0
    assert found.interval.low < -0.05
    assert found.interval.high > 0.05


def test_one_row_that_differs_is_not_a_certain_difference() -> None:
    label = np.arange(100) % 2
    answer = label.copy()
    answer[0] = 1
    found = compare("accuracy_score", hard(label, answer), hard(label, label))

    assert found.difference == pytest.approx(-0.01)
    assert found.interval.low < -0.03
    assert found.interval.high > 0.01


@pytest.mark.parametrize("name", sorted(set(metrics_for(Task.REGRESSION)) - {"median_absolute_error"}))
def test_errors_of_the_same_size_in_every_row_are_refused_where_no_bound_helps(name: str) -> None:
    label = np.arange(12.0)

    with pytest.raises(NotMeasured, match="without a spread there is no interval"):
        compare(
            name,
            Scored.regression(label=label, prediction=label + 1.0),
            Scored.regression(label=label, prediction=label - 1.0),
        )


def test_a_constant_difference_is_refused_even_where_rounding_makes_it_spread() -> None:
    label = np.arange(12.0) / 7

    with pytest.raises(NotMeasured, match="without a spread"):
        compare(
            "mean_absolute_error",
            Scored.regression(label=label, prediction=label + 0.1),
            Scored.regression(label=label, prediction=label + 0.3),
        )


@pytest.mark.parametrize("name", metrics_for(Task.BINARY))
def test_one_model_computed_on_two_machines_is_one_model(name: str) -> None:
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    p = np.clip(0.2 + 0.4 * label + 0.2 * rng.normal(size=60), 0.01, 0.99)

    found = compare(name, chances(label, p * (1 + 1e-15 * rng.normal(size=60))), chances(label, p))

    assert abs(found.difference) < 1e-9
    assert found.interval.high - found.interval.low < 1e-9


def test_few_rows_that_differ_widen_the_interval_of_a_loss() -> None:
    label = np.zeros(1000)
    same = np.linspace(1, 2, 1000)
    other = same.copy()
    other[[3, 500, 900]] += (2.0, 2.2, 2.4)

    found = compare(
        "mean_absolute_error",
        Scored.regression(label=label, prediction=other),
        Scored.regression(label=label, prediction=same),
    )

    assert found.interval.low < found.difference - 2.3 * found.standard_error


def test_medians_of_rows_that_mostly_agree_are_refused() -> None:
    label = np.zeros(100)
    other = np.ones(100)
    other[0] = 3.0

    with pytest.raises(NotMeasured, match="nearly every bootstrap draw"):
        compare(
            "median_absolute_error",
            Scored.regression(label=label, prediction=other),
            Scored.regression(label=label, prediction=np.ones(100)),
        )


def test_a_bootstrap_refuses_a_level_that_its_draws_cannot_give() -> None:
    one, two = pair(Task.REGRESSION, 0)

    with pytest.raises(NotMeasured, match=r"level 0\.999"):
        compare("median_absolute_error", one, two, 0.999)


rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=14)


@settings(max_examples=300, deadline=None)
@given(rows, st.sampled_from(metrics_for(Task.BINARY)))
def test_only_identical_answers_have_an_interval_without_width(drawn: list[tuple[int, int, int]], name: str) -> None:
    label = [row[0] for row in drawn]
    try:
        one, two = (chances(label, [row[side] / 4 for row in drawn]) for side in (1, 2))
        found = compare(name, one, two)
    except NotMeasured:
        return

    assert found.interval.low <= found.difference <= found.interval.high
    assert (found.interval.low == found.interval.high) == all(row[1] == row[2] for row in drawn)


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_other_labels_rows_or_classes_are_not_compared() -> None:
    label, answer = [0, 1, 1, 0], [0, 1, 0, 0]
    champion = hard(label, answer)
    swapped = Scored.classification(label=label, prediction=answer, classes=(1, 0), positive=1)
    negative = Scored.classification(label=label, prediction=answer, classes=(0, 1), positive=0)

    for candidate in (hard([1, 0, 1, 0], answer), hard([0, 1, 1], [0, 1, 0])):
        with pytest.raises(NotMeasured, match="same labels in the same order"):
            compare("accuracy_score", candidate, champion)
    for candidate in (swapped, negative, Scored.regression(label=label, prediction=answer)):
        with pytest.raises(NotMeasured, match="not of one task"):
            compare("accuracy_score", candidate, champion)


def test_a_champion_without_probabilities_is_not_compared_by_them() -> None:
    one, _ = pair(Task.BINARY, 0)
    bare = Scored.classification(label=one.label, prediction=one.prediction, classes=(0, 1), positive=1)

    with pytest.raises(NotMeasured, match="needs probabilities"):
        compare("roc_auc_score", one, bare)
    assert compare("accuracy_score", one, bare).interval.low < 0


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95.0, math.nan])
def test_a_level_is_between_zero_and_one(level: float) -> None:
    one, two = pair(Task.BINARY, 0)

    with pytest.raises(UsageError, match="is not between 0 and 1"):
        compare("accuracy_score", one, two, level)
    with pytest.raises(UsageError, match="is not between 0 and 1"):
        estimate("accuracy_score", one, level)


# ── planning ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_to_decide_is_the_sample_size_of_non_inferiority() -> None:
    """Of a known spread (very many rows): (1.95996 + 1.64485)² · variance / margin²."""
    n = 10**9
    sd = 0.3

    assert rows_to_decide(sd / math.sqrt(n), n, 0.01) == pytest.approx(12.9947 * (sd / 0.01) ** 2, rel=2e-4)


def test_rows_to_decide_is_careful_with_a_spread_known_from_few_rows() -> None:
    known, guessed = (rows_to_decide(0.3 / math.sqrt(n), n, 0.01) for n in (10**7, 30))

    assert guessed == pytest.approx(known * 29 / stats.chi2.ppf(0.05, 29), rel=1e-3)


@given(st.floats(1e-6, 10), st.integers(2, 10**6), st.floats(1e-4, 10))
def test_a_smaller_margin_or_more_power_needs_more_rows(error: float, n: int, margin: float) -> None:
    rows = rows_to_decide(error, n, margin)

    assert rows >= 2
    assert rows_to_decide(error, n, margin / 2) >= rows
    assert rows_to_decide(error, n, margin, power=0.99) >= rows
    assert rows_to_decide(error, n, margin, level=0.99) >= rows


def test_false_alarms_are_split_evenly_and_on_the_side_of_harm() -> None:
    assert simultaneous(0.005, 1) == pytest.approx(0.99)
    assert simultaneous(0.005, 20) == pytest.approx(1 - 2 * 0.005 / 20)


def test_the_smallest_detectable_loss_is_found_with_95_percent() -> None:
    level = simultaneous(0.005, 20)
    effect = smallest_detectable(0.02, level)
    limit = stats.norm.ppf((1 + level) / 2) * 0.02

    assert stats.norm.sf(limit, loc=effect, scale=0.02) == pytest.approx(0.95)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_planning_refuses_numbers_out_of_range(bad: float) -> None:
    with pytest.raises(UsageError):
        rows_to_decide(bad, 100, 0.01)
    with pytest.raises(UsageError):
        rows_to_decide(0.1, 100, bad)
    with pytest.raises(UsageError):
        rows_to_decide(0.1, 100, 0.0)
    with pytest.raises(UsageError):
        rows_to_decide(0.1, 1, 0.01)
    with pytest.raises(UsageError):
        rows_to_decide(0.1, 100, 0.01, power=bad)
    with pytest.raises(UsageError):
        rows_to_decide(1e100, 100, 1e-100)
    with pytest.raises(UsageError):
        simultaneous(bad, 3)
    with pytest.raises(UsageError):
        simultaneous(0.005, 0)
    with pytest.raises(UsageError):
        smallest_detectable(bad, 0.99)
    with pytest.raises(UsageError):
        smallest_detectable(0.1, bad)
