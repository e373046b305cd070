"""Estimates and paired comparisons with their intervals; never a certainty that the rows don't give.

The rules, in the order in which they apply to a difference:

1. Identical answers differ by nothing: 0, [0, 0].
2. No closed form: percentile bootstrap of the pairs.
3. Else the delta method with Student's t, its degrees of freedom from the kurtosis of what the rows contribute
   (Satterthwaite 1946: df = 2n / (kurtosis - 1)): where a difference rests on a handful of rows, it counts as
   measured on a handful. Of normal contributions these are the usual n - 1, of k rare events 2k.
4. Where fewer than `FEW` degrees of freedom carry it, disagreement that these rows don't show can't be ruled out.
   For bounded metrics one disagreement each way is added (after Bonett and Price 2012), in the part of the rows that
   supports the metric least; for losses without bound t alone stays, and no spread at all is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from passmuster.errors import NotMeasured
from passmuster.measurement import Interval
from passmuster_checks.statistics import bootstrap, shares
from passmuster_checks.statistics.metrics import Components, Metric, metric
from passmuster_checks.statistics.scored import Floats, Scored, Task

#: Below this many degrees of freedom a bounded metric's interval allows for what the rows don't show.
FEW = 10.0

#: Answers that differ by less are those of one model, computed twice.
_ROUNDING = 1e-6

#: A spread so much smaller than the difference itself is the rounding of a constant.
_CONSTANT = 1e-12


class Estimated(NamedTuple):
    """A metric on one set of rows."""

    value: float
    interval: Interval
    standard_error: float  #: in the metric's unit, at `n` rows
    n: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidate against champion on the same rows."""

    candidate: float  #: the metric's own direction
    champion: float  #: the metric's own direction
    difference: float  #: signed so that more is better
    interval: Interval  #: of `difference`
    standard_error: float  #: of `difference`, at `n` rows
    n: int


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """How far a value may be from the truth, and how well that itself is known."""

    error: float
    freedom: float  #: degrees of freedom; 0: the rows show no spread


def estimate(name: str, scored: Scored, level: float = 0.95) -> Estimated:
    """Return a metric's value with its interval.

    Shares have Wilson's interval (1927), other bounded metrics the delta method's on the logit scale (for ROC AUC
    with DeLong's variance), losses Student's t, medians the bootstrap's percentiles.

    Args:
        name: scikit-learn's name of the metric.
        scored: the answers on n rows.
        level: nominal coverage, in (0, 1).

    Raises:
        NotMeasured: the metric is undefined on these rows, or no honest interval exists.
        UsageError: unknown metric, or `level` outside (0, 1).
    """
    shares.check_level(level)
    chosen = metric(name)
    parts = chosen.components(scored)
    if parts.influence is None:
        return _estimate_by_bootstrap(scored, parts, level)
    if parts.proportion and parts.support is not None:
        return _estimate_share(parts.value, parts.support, scored.n, level)
    spread = _spread(parts.influence, parts.value)
    if parts.support is None:
        return _estimate_loss(chosen, parts, spread, scored.n, level)
    return _estimate_bounded(chosen, parts, spread, scored.n, level)


def compare(name: str, candidate: Scored, champion: Scored, level: float = 0.95) -> Comparison:
    """Return how much better the candidate is, row by row paired with the champion.

    Args:
        name: scikit-learn's name of the metric.
        candidate: its answers on n rows.
        champion: its answers on the same rows in the same order.
        level: nominal coverage, in (0, 1).

    Raises:
        NotMeasured: the labels are not identical, the metric is undefined on these rows, or no honest interval exists.
        UsageError: unknown metric, or `level` outside (0, 1).
    """
    shares.check_level(level)
    _check_pairs(candidate, champion)
    chosen = metric(name)
    ours, theirs = chosen.components(candidate), chosen.components(champion)
    # Adding zero makes a negative zero positive.
    difference = chosen.sign * (ours.value - theirs.value) + 0.0
    low, high, error, method = _difference(chosen, candidate, champion, ours, theirs, difference, level)
    width = chosen.bounds[1] - chosen.bounds[0]
    return Comparison(
        candidate=ours.value,
        champion=theirs.value,
        difference=difference,
        interval=Interval(low=max(low, -width), high=min(high, width), level=level, method=method),
        standard_error=error,
        n=candidate.n,
    )


def _difference(
    chosen: Metric,
    candidate: Scored,
    champion: Scored,
    ours: Components,
    theirs: Components,
    difference: float,
    level: float,
) -> tuple[float, float, float, str]:
    """Return low, high, standard error and method of the paired difference."""
    if _identical(candidate, champion):
        return 0.0, 0.0, 0.0, "identical answers"
    if ours.influence is None or theirs.influence is None:
        return _difference_by_bootstrap(candidate, champion, ours, theirs, difference, level)
    spread = _spread(ours.influence - theirs.influence, difference)
    unseen = 0.0
    if spread.freedom < FEW and ours.support is not None and theirs.support is not None:
        unseen = math.sqrt(2) * (chosen.bounds[1] - chosen.bounds[0]) / (min(ours.support, theirs.support) + 2)
    if _agree(candidate, champion) and (spread.error or not difference):
        unseen = 0.0
    elif not spread.error and not unseen:
        raise NotMeasured(
            f"{chosen.name}: the models answer differently, but the difference is {difference:.6g} in every one of the "
            f"{candidate.n:,} rows, and without a spread there is no interval; are the rows real?"
        )
    error = math.hypot(spread.error, unseen)
    half = error * (shares.normal(level) if unseen or not spread.error else _student(level, spread.freedom))
    method = f"{ours.method}, paired" + (", few rows differ" if unseen else "")
    return difference - half, difference + half, error, method


# ── estimates of one model ─────────────────────────────────────────────────────────────────────────────────────────


def _estimate_share(value: float, trials: int, n: int, level: float) -> Estimated:
    low, high = map(float, shares.wilson(value, trials, level))
    error = (high - low) / (2 * shares.normal(level))
    return Estimated(value, Interval(low=low, high=high, level=level, method="Wilson"), error, n)


def _estimate_loss(chosen: Metric, parts: Components, spread: _Spread, n: int, level: float) -> Estimated:
    if not spread.error:
        raise NotMeasured(
            f"{chosen.name}: {parts.value:.6g} in every one of {n:,} rows; without a spread there is no interval. Does "
            "the model answer the same everywhere, or does it know the label?"
        )
    half = spread.error * _student(level, spread.freedom)
    low, high = max(parts.value - half, chosen.bounds[0]), min(parts.value + half, chosen.bounds[1])
    return Estimated(parts.value, Interval(low=low, high=high, level=level, method=parts.method), spread.error, n)


def _estimate_bounded(chosen: Metric, parts: Components, spread: _Spread, n: int, level: float) -> Estimated:
    lowest, width = chosen.bounds[0], chosen.bounds[1] - chosen.bounds[0]
    share, error, method = (parts.value - lowest) / width, spread.error / width, f"{parts.method}, logit scale"
    if spread.freedom >= FEW and 0 < share < 1:
        half = _student(level, spread.freedom) * error / (share * (1 - share))
        centre = float(special.logit(share))
        low, high = float(special.expit(centre - half)), float(special.expit(centre + half))
    else:
        low, high = map(float, shares.wilson(share, parts.support or 1, level))
        half = error * _student(level, spread.freedom) if error else 0.0
        low, high, method = min(low, max(share - half, 0)), max(high, min(share + half, 1)), "Wilson, few rows"
        error = max(error, (high - low) / (2 * shares.normal(level)))
    interval = Interval(
        low=min(lowest + width * low, parts.value),
        high=max(lowest + width * high, parts.value),
        level=level,
        method=method,
    )
    return Estimated(parts.value, interval, error * width, n)


def _estimate_by_bootstrap(scored: Scored, parts: Components, level: float) -> Estimated:
    content = np.stack([scored.label, scored.prediction])
    draws = bootstrap.resampled_medians(content, _losses(parts)[None, :], level)[0]
    low, high = bootstrap.percentile_interval(draws, parts.value, level)
    return Estimated(
        parts.value, Interval(low=low, high=high, level=level, method="bootstrap"), _deviation(draws), scored.n
    )


# ── pairs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _difference_by_bootstrap(
    candidate: Scored, champion: Scored, ours: Components, theirs: Components, difference: float, level: float
) -> tuple[float, float, float, str]:
    content = np.stack([candidate.label, candidate.prediction, champion.prediction])
    ours_drawn, theirs_drawn = bootstrap.resampled_medians(content, np.stack([_losses(ours), _losses(theirs)]), level)
    draws = theirs_drawn - ours_drawn
    return *bootstrap.percentile_interval(draws, difference, level), _deviation(draws), "bootstrap, paired"


def _check_pairs(candidate: Scored, champion: Scored) -> None:
    if (candidate.task, candidate.classes, candidate.positive) != (champion.task, champion.classes, champion.positive):
        raise NotMeasured("candidate and champion are not of one task with the same classes in the same order")
    if not np.array_equal(candidate.label, champion.label):
        raise NotMeasured(
            f"candidate ({candidate.n:,} rows) and champion ({champion.n:,} rows) do not have the same labels in "
            "the same order: score both on the same rows, and join them by id"
        )


def _identical(candidate: Scored, champion: Scored) -> bool:
    if not np.array_equal(candidate.prediction, champion.prediction):
        return False
    if candidate.probabilities is None or champion.probabilities is None:
        return candidate.probabilities is champion.probabilities
    return np.array_equal(candidate.probabilities, champion.probabilities)


def _agree(candidate: Scored, champion: Scored) -> bool:
    """Whether the answers are equal up to rounding: one model, computed on two machines."""
    if candidate.task is Task.REGRESSION:
        tolerance = _ROUNDING * np.abs(champion.prediction).max()
        return bool((np.abs(candidate.prediction - champion.prediction) <= tolerance).all())
    if candidate.probabilities is None or champion.probabilities is None:
        return False
    return np.array_equal(candidate.prediction, champion.prediction) and bool(
        (np.abs(candidate.probabilities - champion.probabilities) <= _ROUNDING).all()
    )


# ── spreads and quantiles ──────────────────────────────────────────────────────────────────────────────────────────


def _spread(influence: Floats, value: float) -> _Spread:
    n = len(influence)
    largest = float(np.abs(influence).max())
    if n < 2 or largest <= _CONSTANT * abs(value):
        return _Spread(error=0.0, freedom=0.0)
    squares = (influence / largest) ** 2
    total = float(squares.sum())
    excess = n * float((squares**2).sum()) / total**2 - 1
    freedom = min(n - 1.0, 2 * n / excess) if excess > 0 else n - 1.0
    return _Spread(error=largest * math.sqrt(total / (n * (n - 1))), freedom=freedom)


def _deviation(draws: Floats) -> float:
    return float(draws.std(ddof=1))


def _losses(parts: Components) -> Floats:
    if parts.losses is None:
        raise NotMeasured("neither a closed form nor losses to resample")
    return parts.losses


def _student(level: float, freedom: float) -> float:
    return float(special.stdtrit(freedom, (1 + level) / 2))
