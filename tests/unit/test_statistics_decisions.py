"""Decisions of two classes: scikit-learn's numbers, costs in the owner's unit, mistakes that were not seen yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics import Scored
from passmuster_checks.statistics.decisions import Prices, compare_decision, estimate_decision

PRICES = Prices(false_positive=1.0, false_negative=20.0)
NAMES = ("recall_score", "precision_score", "selection_rate", "false_positive_rate", "cost")


def _scored(label: Any, taken: Any) -> Scored:
    return Scored.classification(label=label, prediction=taken, classes=(0, 1), positive=1)


def _models(n: int = 800, seed: int = 1) -> tuple[Scored, Scored]:
    random = np.random.default_rng(seed)
    label = (random.random(n) < 0.3).astype(int)
    one, other = (np.where(random.random(n) < right, label, 1 - label) for right in (0.85, 0.8))
    return _scored(label, one), _scored(label, other)


def _two(chance: Any) -> Any:
    return np.column_stack([1 - chance, chance])


def _slow(name: str, scored: Scored) -> float:
    (_, fp), (fn, _) = confusion_matrix(scored.label, scored.prediction)
    return float(
        {
            "recall_score": recall_score(scored.label, scored.prediction),
            "precision_score": precision_score(scored.label, scored.prediction),
            "selection_rate": scored.prediction.mean(),
            "false_positive_rate": fp / (scored.label == 0).sum(),
            "cost": (1.0 * fp + 20.0 * fn) / scored.n,
        }[name]
    )


@pytest.mark.parametrize("name", NAMES)
def test_values_and_differences_are_those_of_the_confusion_matrix(name: str) -> None:
    """In their own direction; the difference is signed so that more is better."""
    candidate, champion = _models()
    alone, paired = estimate_decision(name, candidate, PRICES), compare_decision(name, candidate, champion, PRICES)
    ours, theirs = _slow(name, candidate), _slow(name, champion)
    better = ours - theirs if name.endswith("_score") else theirs - ours

    assert alone.value == pytest.approx(ours, abs=1e-12)
    assert alone.interval.low < alone.value < alone.interval.high
    assert (paired.candidate, paired.champion) == (pytest.approx(ours), pytest.approx(theirs))
    assert paired.difference == pytest.approx(better, abs=1e-12)
    assert paired.interval.low < paired.difference < paired.interval.high
    assert alone.standard_error > 0 and paired.standard_error > 0


def test_a_share_has_wilsons_interval() -> None:
    """Of the rows that it is a share of: of the false positive rate these are the negatives."""
    from scipy import stats

    candidate, _ = _models()
    found = estimate_decision("false_positive_rate", candidate, PRICES)
    negatives = candidate.label == 0
    hits, trials = int(candidate.prediction[negatives].sum()), int(negatives.sum())
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")

    assert (found.interval.low, found.interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_dear_mistake_that_was_not_seen_yet_stays_in_the_interval() -> None:
    """Twenty positives, all found: that 5 % of them are missed at a hundred each is not ruled out by cheap mistakes."""
    label = np.repeat([1, 0], [20, 980])
    taken = label.copy()
    taken[20:70] = 1
    found = estimate_decision("cost", _scored(label, taken), Prices(false_positive=1, false_negative=100))

    assert found.value == pytest.approx(0.05)
    assert found.interval.high > 0.05 + 100 * 0.05 * 0.02


def test_equal_decisions_are_equal_for_sure_only_where_the_models_are() -> None:
    """Two models that say the same on few rows may differ on others."""
    label, taken = np.repeat([0, 1], 20), np.repeat([0, 1], 20)
    chance = 0.2 + 0.6 * taken
    one = Scored.classification(label=label, prediction=taken, classes=(0, 1), positive=1, probabilities=_two(chance))
    other = replace(one, probabilities=_two(0.9 * chance))
    for name in NAMES:
        same, alike = (compare_decision(name, one, each, PRICES).interval for each in (one, other))

        assert (same.low, same.high) == (0, 0)
        assert alike.low < 0 < alike.high


def test_models_that_differ_are_not_one_since_one_mistake_is_shared() -> None:
    """They miss the same rows here, and raise other false alarms; elsewhere they may miss others."""
    label = np.repeat([1, 0], [20, 80])
    one, other = label.copy(), label.copy()
    one[:2] = other[:2] = 0
    other[50:55] = 1
    found = compare_decision("cost", _scored(label, one), _scored(label, other), PRICES)

    assert found.interval.high - found.interval.low > 20 * 2 / 100


@pytest.mark.parametrize(
    ("name", "taken", "prices", "word"),
    [
        ("precision_score", [0, 0, 0, 0], PRICES, "no row was predicted"),
        ("cost", [0, 1, 0, 1], Prices(false_positive=0, false_negative=0), "all costs are 0"),
    ],
)
def test_what_is_undefined_is_not_measured(name: str, taken: list[int], prices: Prices, word: str) -> None:
    """Never a zero that stands for nothing."""
    scored = _scored([0, 1, 0, 1], taken)
    with pytest.raises(NotMeasured, match=word):
        estimate_decision(name, scored, prices)
    with pytest.raises(NotMeasured, match=word):
        compare_decision(name, scored, scored, prices)


def test_rows_with_other_labels_are_not_compared() -> None:
    """Of every measure, also of those that do not look at the label."""
    one, other = _scored([0, 1, 0, 1], [0, 1, 0, 0]), _scored([0, 0, 1, 1], [0, 1, 0, 0])
    for name in NAMES:
        with pytest.raises(NotMeasured, match="same labels"):
            compare_decision(name, one, other, PRICES)


def test_other_models_and_wrong_calls_are_refused() -> None:
    """Three classes, no such measure, a cost below zero."""
    three = Scored.classification(label=[0, 1, 2], prediction=[0, 1, 2], classes=(0, 1, 2))
    with pytest.raises(NotMeasured, match="multiclass"):
        estimate_decision("selection_rate", three, PRICES)
    with pytest.raises(UsageError, match="there are recall_score"):
        estimate_decision("recall", _models()[0], PRICES)
    with pytest.raises(UsageError, match="not negative"):
        estimate_decision("cost", _models()[0], Prices(false_positive=-1, false_negative=1))
