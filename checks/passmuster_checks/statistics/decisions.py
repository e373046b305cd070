"""What is decided of two classes: how often, how often wrongly, and at what cost; by itself and in pairs.

Recall and precision are `estimate` and `compare` of scikit-learn's metrics. A share of rows is put to the same
functions as an accuracy, that of "it does not happen". The cost is the sum of two such shares, each times its price,
and its interval is made from theirs (Zou and Donner 2008, *MOVER*): a mistake that is dear and was not seen yet stays
in the interval, where the spread of the costs that were seen would know nothing of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passmuster.errors import NotMeasured, UsageError
from passmuster.measurement import Interval
from passmuster_checks.statistics.inference import Comparison, Estimated, compare, estimate
from passmuster_checks.statistics.scored import Scored, Task

_SCIKIT_LEARN = ("recall_score", "precision_score")
_SHARES = ("selection_rate", "false_positive_rate")


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What a wrong decision costs, in any unit; neither is negative."""

    false_positive: float
    false_negative: float


def estimate_decision(name: str, scored: Scored, prices: Prices, level: float = 0.95) -> Estimated:
    """Return one measure of the decisions with its interval.

    Args:
        name: `recall_score`, `precision_score`, `selection_rate` (rows decided positive), `false_positive_rate`
            (negatives decided positive), or `cost`: per row.
        scored: labels and decisions of n rows, of a binary model.
        prices: what `cost` is made of.
        level: nominal coverage, in (0, 1).

    Raises:
        NotMeasured: it is undefined on these rows, e.g. a precision where nothing was decided positive.
        UsageError: unknown name, or `level` outside (0, 1).
    """
    _check(name, scored)
    if name in _SCIKIT_LEARN:
        return estimate(name, scored, level)
    if name in _SHARES:
        return _estimate_share(name, scored, level)
    parts = [(price, _estimate_share(what, scored, level)) for what, price in _priced(prices)]
    value = sum(price * part.value for price, part in parts)
    below = math.hypot(*(price * (part.value - part.interval.low) for price, part in parts))
    above = math.hypot(*(price * (part.interval.high - part.value) for price, part in parts))
    error = math.hypot(*(price * part.standard_error for price, part in parts))
    interval = Interval(low=max(value - below, 0.0), high=value + above, level=level, method="MOVER")
    return Estimated(value, interval, error, scored.n)


def compare_decision(name: str, candidate: Scored, champion: Scored, prices: Prices, level: float = 0.95) -> Comparison:
    """Return how much better the candidate decides, row by row paired with the champion; for `name` see above.

    More recall and precision are better, less of the others.

    Raises:
        NotMeasured: the labels are not identical, or it is undefined on these rows.
        UsageError: unknown name, or `level` outside (0, 1).
    """
    _check(name, candidate)
    if name in _SCIKIT_LEARN:
        return compare(name, candidate, champion, level)
    if name in _SHARES:
        return _compare_share(name, candidate, champion, level)
    parts = [(price, _compare_share(what, candidate, champion, level)) for what, price in _priced(prices)]
    difference = sum(price * part.difference for price, part in parts)
    half = math.hypot(*(price * (part.interval.high - part.interval.low) / 2 for price, part in parts))
    return Comparison(
        candidate=sum(price * part.candidate for price, part in parts),
        champion=sum(price * part.champion for price, part in parts),
        difference=difference,
        interval=Interval(low=difference - half, high=difference + half, level=level, method="MOVER, paired"),
        standard_error=math.hypot(*(price * part.standard_error for price, part in parts)),
        n=candidate.n,
    )


def _check(name: str, scored: Scored) -> None:
    known = (*_SCIKIT_LEARN, *_SHARES, "cost")
    if name not in known:
        raise UsageError(f"unknown measure of decisions {name!r}; there are {', '.join(known)}")
    if scored.task is not Task.BINARY:
        raise NotMeasured(f"a {scored.task} model does not decide between two classes")


def _priced(prices: Prices) -> tuple[tuple[str, float], ...]:
    if min(prices.false_positive, prices.false_negative) < 0:
        raise UsageError(f"{prices}: a cost is not negative")
    if not max(prices.false_positive, prices.false_negative):
        raise NotMeasured("all costs are 0, so every decision costs the same; state `costs`")
    return ("false_positive", prices.false_positive), ("false_negative", prices.false_negative)


def _estimate_share(name: str, scored: Scored, level: float) -> Estimated:
    metric, answers = _happens(name, scored)
    found = estimate(metric, answers, level)
    low, high = 1 - found.interval.high, 1 - found.interval.low
    interval = Interval(low=low, high=high, level=level, method=found.interval.method)
    return Estimated(1 - found.value, interval, found.standard_error, found.n)


def _compare_share(name: str, candidate: Scored, champion: Scored, level: float) -> Comparison:
    # Of rows with other labels nothing is told apart any more once they are shares.
    if not np.array_equal(candidate.label, champion.label):
        raise NotMeasured("candidate and champion do not have the same labels in the same order; join them by id")
    (metric, ours), (_, theirs) = _happens(name, candidate), _happens(name, champion)
    found = compare(metric, ours, theirs, level)
    return Comparison(
        candidate=1 - found.candidate,
        champion=1 - found.champion,
        difference=found.difference,
        interval=found.interval,
        standard_error=found.standard_error,
        n=found.n,
    )


def _happens(name: str, scored: Scored) -> tuple[str, Scored]:
    """Return a metric, and answers that it is one minus the share of: 1 says that it happens, and 0 counts as right."""
    true, taken = scored.label == scored.positive, scored.prediction == scored.positive
    if name == "false_positive_rate":
        return "recall_score", _answers(scored, label=true, prediction=taken, positive=0)
    happens = {"selection_rate": taken, "false_positive": taken & ~true, "false_negative": true & ~taken}[name]
    return "accuracy_score", _answers(scored, label=np.zeros_like(true), prediction=happens, positive=1)


def _answers(scored: Scored, *, label: NDArray[np.bool_], prediction: NDArray[np.bool_], positive: int) -> Scored:
    # Whether two models are one is seen by all that they answer, not by these events: they may differ in other rows.
    said = np.eye(2)[scored.prediction] if scored.probabilities is None else scored.probabilities
    return Scored(
        task=Task.BINARY,
        label=label.astype(np.int64),
        prediction=prediction.astype(np.int64),
        probabilities=said,
        classes=(0, 1),
        positive=positive,
    )
