"""Values are scikit-learn's, influences are DeLong's and the jackknife's, and what can't be measured is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics import METRICS, Scored, Task, compare, estimate, metric, metrics_for

EXACT = 1e-12


def binary(seed: int, n: int = 700, *, steps: int = 12, positive: object = "bad") -> Scored:
    """Answers with many ties: probabilities are multiples of 1/steps."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.35
    p = np.clip(np.round((0.25 + 0.3 * truth + 0.2 * rng.normal(size=n)) * steps) / steps, 0, 1)
    names = np.array(["good", "bad"])
    return Scored.classification(
        label=names[truth.astype(int)],
        prediction=names[(p >= 0.5).astype(int)],
        classes=("bad", "good"),
        positive=positive,
        probabilities=np.column_stack([p, 1 - p]),
    )


def multiclass(seed: int, n: int = 600, k: int = 4) -> Scored:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, k, n)
    weight = np.exp(np.round(rng.normal(size=(n, k)) + 1.2 * np.eye(k)[label], 1))
    table = weight / weight.sum(axis=1, keepdims=True)
    return Scored.classification(
        label=label, prediction=table.argmax(axis=1), classes=tuple(range(k)), probabilities=table
    )


def regression(seed: int, n: int = 500) -> Scored:
    rng = np.random.default_rng(seed)
    label = rng.normal(12, 4, n)
    return Scored.regression(label=label, prediction=label + rng.standard_t(5, n))


DATA = {Task.BINARY: binary, Task.MULTICLASS: multiclass, Task.REGRESSION: regression}
CASES = [(task, name) for task in Task for name in metrics_for(task)]


def by_scikit_learn(scored: Scored, name: str) -> float:
    """Ask scikit-learn for the metric of that name."""
    y, answer = scored.label, scored.prediction
    if name.endswith("_macro"):
        return float(getattr(sklearn.metrics, name.removesuffix("_macro"))(y, answer, average="macro"))
    if name == "roc_auc_score_ovr":
        return float(sklearn.metrics.roc_auc_score(y, scored.probabilities, multi_class="ovr"))
    function = getattr(sklearn.metrics, name)
    if scored.task is Task.BINARY:
        y, answer = (y == scored.positive).astype(int), (answer == scored.positive).astype(int)
    if METRICS[name].needs == "probabilities":
        assert scored.probabilities is not None
        answer = scored.probabilities if scored.positive is None else scored.probabilities[:, scored.positive]
    return float(function(y, answer))


@pytest.mark.parametrize(("task", "name"), CASES)
@pytest.mark.parametrize("seed", range(5))
def test_every_metric_has_the_value_of_scikit_learn(task: Task, name: str, seed: int) -> None:
    scored = DATA[task](seed)

    assert metric(name).components(scored).value == pytest.approx(by_scikit_learn(scored, name), rel=EXACT)


@pytest.mark.parametrize("positive", ["bad", "good"])
def test_the_positive_class_is_the_one_that_is_named(positive: str) -> None:
    scored = binary(3, positive=positive)

    for name in metrics_for(Task.BINARY):
        assert metric(name).components(scored).value == pytest.approx(by_scikit_learn(scored, name), rel=EXACT)


def slow_components(scored: Scored) -> tuple[Any, Any]:
    """DeLong's structural components by comparing every positive row with every negative one."""
    assert scored.probabilities is not None
    score = scored.probabilities[:, scored.positive]
    there = scored.label == scored.positive
    above = score[there][:, None] > score[~there][None, :]
    equal = score[there][:, None] == score[~there][None, :]
    wins = above + equal / 2
    return wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize(("n", "steps"), [(9, 3), (100, 5), (700, 12), (2000, 40), (2000, 10**9)])
def test_auc_variance_and_paired_covariance_are_those_of_delong_with_ties(n: int, steps: int) -> None:
    ours = binary(11, n, steps=steps)
    rng = np.random.default_rng(n)
    assert ours.probabilities is not None
    p = np.clip(np.round((ours.probabilities[:, 0] + 0.1 * rng.normal(size=n)) * steps) / steps, 0, 1)
    names = np.array(ours.classes)
    theirs = Scored.classification(
        label=names[ours.label],
        prediction=names[ours.prediction],
        classes=("bad", "good"),
        positive="bad",
        probabilities=np.column_stack([p, 1 - p]),
    )
    (v10, v01), (w10, w01) = slow_components(ours), slow_components(theirs)
    covariance = np.cov(v10, w10) / len(v10) + np.cov(v01, w01) / len(v01)

    fast = [metric("roc_auc_score").components(each) for each in (ours, theirs)]
    a, b = (each.influence for each in fast)
    assert a is not None and b is not None
    measured = np.array([[a @ a, a @ b], [a @ b, b @ b]]) / (n * (n - 1))

    assert fast[0].value == pytest.approx(v10.mean(), rel=EXACT)
    assert fast[1].value == pytest.approx(w10.mean(), rel=EXACT)
    np.testing.assert_allclose(measured, covariance, rtol=EXACT)


def test_a_comparison_of_auc_has_delongs_standard_error() -> None:
    ours, theirs = binary(1, steps=1000), binary(1, steps=7)
    (v10, v01), (w10, w01) = slow_components(ours), slow_components(theirs)
    variance = np.var(v10 - w10, ddof=1) / len(v10) + np.var(v01 - w01, ddof=1) / len(v01)

    found = compare("roc_auc_score", ours, theirs)

    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=EXACT)


@pytest.mark.parametrize(("task", "name"), CASES)
def test_influences_sum_to_zero_and_give_the_variance_of_the_jackknife(task: Task, name: str) -> None:
    scored = DATA[task](5, 400)
    influence = metric(name).components(scored).influence
    if influence is None:
        assert name == "median_absolute_error"
        return
    n = scored.n
    without = np.array([metric(name).components(scored.take(np.arange(n) != row)).value for row in range(n)])
    jackknife = (n - 1) / n * ((without - without.mean()) ** 2).sum()

    assert abs(influence.mean()) < EXACT * max(1.0, np.abs(influence).max())
    assert (influence**2).sum() / (n * (n - 1)) == pytest.approx(jackknife, rel=0.03)
    np.testing.assert_allclose(influence, (n - 1) * (without.mean() - without), atol=0.05 * np.abs(influence).max())


@pytest.mark.parametrize(("task", "name"), CASES)
def test_the_order_of_rows_changes_nothing(task: Task, name: str) -> None:
    ours, theirs = DATA[task](7), DATA[task](7)
    other = DATA[task](8)
    theirs = Scored(
        task=task,
        label=theirs.label,
        prediction=np.where(np.arange(theirs.n) % 3 == 0, other.prediction, theirs.prediction),
        probabilities=None
        if theirs.probabilities is None or other.probabilities is None
        else (theirs.probabilities + other.probabilities) / 2,
        classes=theirs.classes,
        positive=theirs.positive,
    )
    shuffled = np.random.default_rng(0).permutation(ours.n)

    one, two = estimate(name, ours), estimate(name, ours.take(shuffled))
    pair, again = compare(name, ours, theirs), compare(name, ours.take(shuffled), theirs.take(shuffled))

    for left, right in (
        (one.value, two.value),
        (one.interval.low, two.interval.low),
        (one.interval.high, two.interval.high),
        (one.standard_error, two.standard_error),
        (pair.difference, again.difference),
        (pair.interval.low, again.interval.low),
        (pair.interval.high, again.interval.high),
        (pair.standard_error, again.standard_error),
    ):
        assert left == pytest.approx(right, rel=EXACT, abs=EXACT * abs(one.value))


def test_auc_sees_only_the_ranks() -> None:
    scored = binary(2)
    assert scored.probabilities is not None
    squared = scored.probabilities[:, 0] ** 2
    names = np.array(scored.classes)
    other = Scored.classification(
        label=names[scored.label],
        prediction=names[scored.prediction],
        classes=scored.classes,
        positive="bad",
        probabilities=np.column_stack([squared, 1 - squared]),
    )
    for name in ("roc_auc_score", "average_precision_score"):
        one, two = metric(name).components(scored), metric(name).components(other)

        assert one.value == two.value
        assert one.influence is not None and two.influence is not None
        assert (one.influence == two.influence).all()


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────────────

GOOD: dict[str, Any] = {
    "label": [0, 1, 0, 1],
    "prediction": [0, 1, 1, 1],
    "classes": (0, 1),
    "positive": 1,
    "probabilities": [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]],
}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": [], "prediction": []}, "zero rows"),
        ({"label": [0, 1, 0]}, "4 rows, but there are 3 labels"),
        ({"prediction": [0, 1, 0]}, "3 rows, but there are 4 labels"),
        ({"label": [1, 1, 1, 1]}, "all 4 labels are 1"),
        ({"label": [0, 1, None, 1]}, "missing or not a class"),
        ({"label": [0.0, 1.0, NAN, 1.0]}, "missing or not a class"),
        ({"label": [0, 1, 2, 1]}, "first 2 in row 2"),
        ({"label": ["0", "1", "0", "1"]}, "missing or not a class"),
        ({"label": [[0], [1], [0], [1]]}, "one value per row"),
        ({"prediction": [0.0, 1.0, INF, 1.0]}, "missing or not a class"),
        ({"prediction": [0, 1, None, 1]}, "missing or not a class"),
        ({"prediction": np.array([0, 1, {}, 1], dtype=object)}, "plain value"),
        ({"classes": (0,)}, "at least two"),
        ({"classes": ()}, "at least two"),
        ({"classes": (0, 1, 1)}, "named once"),
        ({"positive": None}, "name one of two classes"),
        ({"positive": "yes"}, "name one of two classes"),
        ({"classes": (0, 1, 2)}, "name one of two classes"),
        ({"probabilities": [[0.9, 0.1]]}, "of shape"),
        ({"probabilities": [0.1, 0.8, 0.6, 0.7]}, "of shape"),
        ({"probabilities": [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [NAN, 0.7]]}, "NaN or infinite"),
        ({"probabilities": [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [INF, 0.7]]}, "NaN or infinite"),
        ({"probabilities": [[0.9, 0.1], [-0.2, 1.2], [0.4, 0.6], [0.3, 0.7]]}, "outside"),
        ({"probabilities": [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.69999]]}, "sum to 1"),
        ({"probabilities": [["a", "b"]] * 4}, "numbers are needed"),
    ],
)
def test_answers_that_cannot_be_measured_are_refused(change: dict[str, Any], reason: str) -> None:
    assert Scored.classification(**GOOD).n == 4

    with pytest.raises(NotMeasured, match=reason):
        Scored.classification(**(GOOD | change))


@pytest.mark.parametrize(
    ("label", "prediction", "reason"),
    [
        ([], [], "zero rows"),
        ([1.0, 2.0], [1.0], "1 rows, but there are 2 labels"),
        ([1.0, NAN], [1.0, 2.0], "label: 1 of 2 values are NaN"),
        ([1.0, 2.0], [1.0, NAN], "prediction: 1 of 2 values are NaN"),
        ([1.0, 2.0], [-INF, 2.0], "prediction: 1 of 2 values are NaN or infinite"),
        ([1.0, 2.0], [1.0, -1e101], "beyond 1e\\+100"),
        (["1", "2"], [1.0, 2.0], "numbers are needed"),
        ([1.0, None], [1.0, 2.0], "numbers are needed"),
    ],
)
def test_numbers_that_cannot_be_measured_are_refused(label: Any, prediction: Any, reason: str) -> None:
    with pytest.raises(NotMeasured, match=reason):
        Scored.regression(label=label, prediction=prediction)


def hard(label: list[int], prediction: list[int], k: int = 2) -> Scored:
    return Scored.classification(
        label=label, prediction=prediction, classes=tuple(range(k)), positive=1 if k == 2 else None
    )


@pytest.mark.parametrize(
    ("name", "scored", "reason"),
    [
        ("r2_score", binary(0), "not a metric of a binary model"),
        ("precision_score", multiclass(0), "not a metric of a multiclass model"),
        ("log_loss", regression(0), "not a metric of a regression model"),
        ("roc_auc_score", hard([0, 1, 1, 0], [0, 1, 0, 0]), "gives none"),
        ("precision_score", hard([0, 1, 1, 0], [0, 0, 0, 0]), "no row was predicted 1"),
        ("matthews_corrcoef", hard([0, 1, 1, 0], [0, 0, 0, 0]), "undefined"),
        ("precision_score_macro", hard([0, 1, 2, 0], [0, 1, 1, 0], 3), "no row was predicted 2"),
        ("recall_score_macro", hard([0, 1, 1, 0], [0, 1, 2, 0], 3), "no row has the label 2"),
        ("balanced_accuracy_score", hard([0, 1, 1, 0], [0, 1, 2, 0], 3), "no row has the label 2"),
        ("recall_score", binary(0).take(binary(0).label == 1), "no row has the label 'bad'"),
        ("roc_auc_score", binary(0).take(binary(0).label == 1), "at least two"),
        ("roc_auc_score", Scored.classification(**GOOD).take([0, 2, 1]), "at least two"),
        ("r2_score", Scored.regression(label=[2.0, 2.0, 2.0], prediction=[1.0, 2.0, 3.0]), "all labels are equal"),
        ("mean_squared_error", Scored.regression(label=[1.0], prediction=[2.0]), "without a spread"),
        ("mean_absolute_error", Scored.regression(label=[1.0, 2.0, 3.0], prediction=[1.0, 2.0, 3.0]), "know the label"),
        ("median_absolute_error", Scored.regression(label=[1.0] * 9, prediction=[2.0] * 9), "needs at least 10"),
        ("median_absolute_error", Scored.regression(label=[1.0] * 99, prediction=[2.0] * 99), "every bootstrap draw"),
        ("median_absolute_error", Scored.regression(label=[1.0] * 50_000, prediction=[2.0] * 50_000), "serves below"),
    ],
)
def test_metrics_that_are_undefined_on_the_rows_are_refused(name: str, scored: Scored, reason: str) -> None:
    with pytest.raises(NotMeasured, match=reason):
        estimate(name, scored)


def test_a_segment_of_one_class_still_has_an_accuracy() -> None:
    scored = binary(0)

    assert estimate("accuracy_score", scored.take(scored.label == 1)).n == int((scored.label == 1).sum())


def test_a_segment_without_rows_is_refused() -> None:
    with pytest.raises(NotMeasured, match="no row is left"):
        binary(0).take(np.zeros(700, dtype=bool))


def test_an_unknown_metric_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="perhaps you meant 'roc_auc_score'"):
        metric("roc_auc")
    with pytest.raises(UsageError, match="there are accuracy_score"):
        metric("zzz")


def test_answers_cannot_be_changed_after_they_were_checked() -> None:
    scored = binary(0)

    with pytest.raises(ValueError, match="read-only"):
        scored.label[0] = 7


def test_changing_the_callers_array_does_not_change_the_answers() -> None:
    label, prediction = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.0])
    scored = Scored.regression(label=label, prediction=prediction)
    prediction[0] = math.nan

    assert math.isfinite(estimate("mean_absolute_error", scored).value)


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), max_size=12), st.sampled_from(metrics_for(Task.REGRESSION)))
def test_any_numbers_are_refused_or_measured_with_a_finite_interval(rows: list[tuple[float, float]], name: str) -> None:
    try:
        found = estimate(name, Scored.regression(label=[row[0] for row in rows], prediction=[row[1] for row in rows]))
    except NotMeasured:
        return

    assert all(math.isfinite(value) for row in rows for value in row)
    assert found.interval.low <= found.value <= found.interval.high
    assert found.interval.low < found.interval.high
    assert found.standard_error > 0


chances = st.floats(0, 1)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), chances), min_size=1, max_size=12),
    st.sampled_from(metrics_for(Task.BINARY)),
)
def test_any_probabilities_are_refused_or_measured_with_a_real_interval(
    rows: list[tuple[int, float]], name: str
) -> None:
    p = np.array([row[1] for row in rows])
    try:
        found = estimate(
            name,
            Scored.classification(
                label=[row[0] for row in rows],
                prediction=(p > 0.5).astype(int),
                classes=(0, 1),
                positive=1,
                probabilities=np.column_stack([1 - p, p]),
            ),
        )
    except NotMeasured:
        return

    assert found.interval.low <= found.value <= found.interval.high
    assert found.interval.low < found.interval.high
    assert found.standard_error > 0
