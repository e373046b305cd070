"""Groups of rows, all at once: for each group the same numbers as `compare` and `estimate` give of its rows alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics import METRICS, Scored, Task, compare, estimate
from passmuster_checks.statistics.groups import Answers, Differences, Pairs, classes_needed, unpaired

#: Far out in the tail, as simultaneous intervals are.
LEVEL = 1 - 1e-6
GROUPS = 12

Pair = tuple[Scored, Scored]


def _binary(rng: np.random.Generator, n: int, decimals: int | None) -> Pair:
    label = (rng.random(n) < 0.35).astype(np.int64)
    common = label + rng.normal(size=n)
    return _classifier(label, common + 0.3 * rng.normal(size=n), decimals), _classifier(label, common, decimals)


def _classifier(label: np.ndarray, score: np.ndarray, decimals: int | None) -> Scored:
    chance = special.expit(score)
    chance = chance if decimals is None else chance.round(decimals)
    return Scored.classification(
        label=label,
        prediction=(chance > 0.5).astype(np.int64),
        classes=(0, 1),
        positive=1,
        probabilities=np.column_stack([1 - chance, chance]),
    )


def _multiclass(rng: np.random.Generator, n: int, decimals: int | None) -> Pair:
    label = rng.integers(0, 3, n)
    table = special.softmax(rng.normal(size=(n, 3)) + 1.2 * np.eye(3)[label], axis=1)
    other = special.softmax(np.log(table) + 0.2 * rng.normal(size=(n, 3)), axis=1)
    return tuple(  # type: ignore[return-value]
        Scored.classification(label=label, prediction=t.argmax(axis=1), classes=(0, 1, 2), probabilities=t)
        for t in (table, other)
    )


def _regression(rng: np.random.Generator, n: int, decimals: int | None) -> Pair:
    label = rng.normal(10, 3, n)
    answers = [label + rng.normal(0, sd, n) for sd in (1.0, 1.1)]
    return tuple(  # type: ignore[return-value]
        Scored.regression(label=label, prediction=a if decimals is None else a.round(decimals)) for a in answers
    )


MAKERS: dict[Task, Callable[[np.random.Generator, int, int | None], Pair]] = {
    Task.BINARY: _binary,
    Task.MULTICLASS: _multiclass,
    Task.REGRESSION: _regression,
}
CASES = [(task, name) for task in MAKERS for name, one in METRICS.items() if task in one.tasks]


def _codes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Groups of very different sizes, and rows that are in none."""
    shares = np.geomspace(1, 60, GROUPS + 1)
    return rng.choice(GROUPS + 1, size=n, p=shares / shares.sum()).astype(np.uint8)


def _near(one: float, other: float) -> bool:
    return one == pytest.approx(other, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1], ids=["no ties", "ties"])
@pytest.mark.parametrize(("task", "name"), CASES)
def test_each_group_is_compared_as_its_rows_alone(task: Task, name: str, decimals: int | None) -> None:
    """Values, difference, interval, standard error and method; where that says why not, so do the groups."""
    rng = np.random.default_rng(11)
    ours, theirs = MAKERS[task](rng, 1500, decimals)
    codes = _codes(rng, 1500)
    found = Pairs(name, ours, theirs).compare(codes, GROUPS, LEVEL if name != "median_absolute_error" else 0.9)
    for group in range(GROUPS):
        _same_comparison(found, group, name, ours.take(codes == group), theirs.take(codes == group))


def _same_comparison(found: Differences, group: int, name: str, ours: Scored, theirs: Scored) -> None:
    try:
        one = compare(name, ours, theirs, LEVEL if name != "median_absolute_error" else 0.9)
    except NotMeasured:
        assert group in found.reasons or group in found.undefined
        return
    ends = (one.interval.low, one.interval.high)

    assert found.n[group] == one.n and found.method[group] == one.interval.method
    assert _near(found.candidate[group], one.candidate) and _near(found.other[group], one.champion)
    assert _near(found.difference[group], one.difference) and _near(found.error[group], one.standard_error)
    assert (_near(found.low[group], ends[0]), _near(found.high[group], ends[1])) == (True, True)


@pytest.mark.parametrize("decimals", [None, 1], ids=["no ties", "ties"])
@pytest.mark.parametrize(("task", "name"), CASES)
def test_each_group_is_estimated_as_its_rows_alone(task: Task, name: str, decimals: int | None) -> None:
    """For the comparison with other rows."""
    rng = np.random.default_rng(12)
    level = LEVEL if name != "median_absolute_error" else 0.9
    scored, _ = MAKERS[task](rng, 1500, decimals)
    codes = _codes(rng, 1500)
    found = Answers(name, scored).estimate(codes, GROUPS, level)
    for group in range(GROUPS):
        try:
            one = estimate(name, scored.take(codes == group), level)
        except NotMeasured:
            assert group in found.reasons
            continue

        assert _near(found.value[group], one.value) and _near(found.error[group], one.standard_error)
        assert _near(found.low[group], one.interval.low) and _near(found.high[group], one.interval.high)


def _same(found: Differences, name: str, ours: Scored, theirs: Scored, codes: np.ndarray, level: float) -> None:
    for group in range(len(found.n)):
        one = compare(name, ours.take(codes == group), theirs.take(codes == group), level)
        interval = (found.low[group], found.high[group], found.method[group])

        assert interval == (
            pytest.approx(one.interval.low, rel=1e-12, abs=1e-15),
            pytest.approx(one.interval.high, rel=1e-12, abs=1e-15),
            one.interval.method,
        )


@pytest.mark.parametrize("name", ["roc_auc_score", "accuracy_score", "log_loss"])
def test_groups_of_identical_answers_and_of_rounding_are_told_apart(name: str) -> None:
    """One group is the champion's answer for answer, one up to rounding, one in all rows but one, one not at all."""
    rng = np.random.default_rng(13)
    ours, theirs = _binary(rng, 400, None)
    codes = np.repeat(np.arange(4, dtype=np.uint8), 100)
    assert ours.probabilities is not None and theirs.probabilities is not None
    table = theirs.probabilities.copy()
    table[100:200, 0] += 1e-9
    table[300:], table[200] = ours.probabilities[300:], (0.75, 0.25)
    mixed = Scored.classification(
        label=theirs.label, prediction=table.argmax(axis=1), classes=(0, 1), positive=1, probabilities=table
    )
    found = Pairs(name, mixed, theirs).compare(codes, 4, LEVEL)

    assert (found.difference[0], found.low[0], found.high[0], found.error[0]) == (0, 0, 0, 0)
    _same(found, name, mixed, theirs, codes, LEVEL)


def test_scores_that_are_tied_across_groups_are_tied_within_each_alone() -> None:
    """The last row of one group and the first of the next have the same score, and nothing to do with each other."""
    rng = np.random.default_rng(21)
    label = (rng.random(300) < 0.5).astype(np.int64)
    ours, theirs = _classifier(label, np.zeros(300), None), _classifier(label, label + rng.normal(size=300), None)
    codes = np.repeat(np.arange(3, dtype=np.uint8), 100)
    found = Pairs("roc_auc_score", ours, theirs).compare(codes, 3, LEVEL)

    assert found.candidate.tolist() == [0.5, 0.5, 0.5]
    _same(found, "roc_auc_score", ours, theirs, codes, LEVEL)


def test_groups_of_a_regression_that_agree_up_to_rounding_are_told_apart() -> None:
    """The size of the group's own answers says what rounding is."""
    rng = np.random.default_rng(14)
    label = rng.normal(10, 3, 300)
    there = label + rng.normal(size=300)
    here = there + np.repeat([0.0, 1e-7, 1.0], 100) * rng.normal(size=300)
    codes = np.repeat(np.arange(3, dtype=np.uint8), 100)
    ours, theirs = (Scored.regression(label=label, prediction=answers) for answers in (here, there))

    _same(
        Pairs("mean_absolute_error", ours, theirs).compare(codes, 3, LEVEL),
        "mean_absolute_error",
        ours,
        theirs,
        codes,
        LEVEL,
    )


def test_a_group_is_not_lost_beside_a_very_much_larger_one() -> None:
    """Errors of 1 beside errors of 1e90: squares of the one vanish beside the other's, if they are scaled together."""
    rng = np.random.default_rng(15)
    codes = np.repeat(np.arange(2, dtype=np.uint8), 50)
    label, size = np.zeros(100), np.repeat([1.0, 1e90], 50)
    ours, theirs = (Scored.regression(label=label, prediction=size * rng.normal(size=100)) for _ in range(2))
    found = Pairs("mean_squared_error", ours, theirs).compare(codes, 2, 0.99)

    _same(found, "mean_squared_error", ours, theirs, codes, 0.99)


def test_a_constant_difference_and_a_missing_class_are_reasons_not_numbers() -> None:
    """Beside a group that can be measured."""
    label = np.arange(90.0)
    ours = Scored.regression(label=label, prediction=label + np.where(np.arange(90) < 45, 2.0, label / 90))
    theirs = Scored.regression(label=label, prediction=label + np.where(np.arange(90) < 45, 1.0, 0.5))
    codes = (np.arange(90) >= 45).astype(np.uint8)
    found = Pairs("mean_absolute_error", ours, theirs).compare(codes, 2, LEVEL)
    ranked = _binary(np.random.default_rng(16), 90, None)[0]
    of_one = (ranked.label == 1).astype(np.uint8)
    alone = Answers("roc_auc_score", ranked).estimate(of_one, 2, LEVEL)

    assert set(found.reasons) == {0} and np.isnan(found.high[0]) and np.isfinite(found.high[1])
    assert "without a spread" in found.reasons[0]
    assert set(alone.reasons) == {0, 1} and "at least two" in alone.reasons[0]


@pytest.mark.parametrize("name", ["roc_auc_score", "log_loss"])
def test_other_rows_are_compared_by_both_sides_intervals(name: str) -> None:
    """Square-and-add; signed so that more is better; the sides exchanged, the interval is mirrored."""
    rng = np.random.default_rng(17)
    here, there = _binary(rng, 600, None)[0], _binary(rng, 500, None)[1]
    codes = np.zeros(600, dtype=np.uint8)
    one, other = (Answers(name, each).estimate(codes[: each.n], 1, 0.99) for each in (here, there))
    found, mirrored = unpaired(name, one, other), unpaired(name, other, one)
    loss = np.hypot(one.value - one.low, other.high - other.value)
    gain = np.hypot(one.high - one.value, other.value - other.low)

    assert METRICS[name].sign * found.difference == pytest.approx(one.value - other.value)
    ends = (loss, gain) if METRICS[name].greater_is_better else (gain, loss)
    assert found.difference - found.low == pytest.approx(ends[0])
    assert found.high - found.difference == pytest.approx(ends[1])
    assert (mirrored.low, mirrored.high) == (-found.high, -found.low)
    assert (found.n, found.n_other) == (600, 500)


@pytest.mark.parametrize("codes", [[0, 0, 2, 2], [0, 0, 3, 1]], ids=["an empty group", "an unknown group"])
def test_codes_that_are_no_groups_are_refused(codes: list[int]) -> None:
    """A group without rows has no sum."""
    scored = _regression(np.random.default_rng(18), 4, None)[0]

    with pytest.raises(UsageError, match="group codes"):
        Answers("mean_absolute_error", scored).estimate(np.array(codes, dtype=np.uint8), 2, LEVEL)


def test_a_metric_that_is_not_for_these_answers_is_refused() -> None:
    """Of another task, without probabilities, or on other rows."""
    ours, theirs = _binary(np.random.default_rng(19), 50, None)

    with pytest.raises(NotMeasured, match="not a metric of"):
        Pairs("mean_absolute_error", ours, theirs)
    with pytest.raises(NotMeasured, match="same labels"):
        Pairs("roc_auc_score", ours, theirs.take(np.arange(50)[::-1]))


@pytest.mark.parametrize(
    ("name", "classes"),
    [("roc_auc_score", (0, 1)), ("recall_score", (1,)), ("log_loss", ()), ("matthews_corrcoef", (0, 1))],
)
def test_what_a_group_needs_rows_of_follows_from_the_metric(name: str, classes: tuple[int, ...]) -> None:
    """A mean is defined on any row."""
    assert classes_needed(name, _binary(np.random.default_rng(20), 50, None)[0]) == classes
