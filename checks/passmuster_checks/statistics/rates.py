"""Rates of several groups, and how far the groups are apart: fairlearn's measures, with intervals.

The difference of two rates has Newcombe's interval (1998, method 10), their ratio that of Donner and Zou (2012); both
are made from exact intervals of the rates. The largest of all differences, and the smallest of all ratios, are chosen
among the pairs of groups *after* looking, so towards "far apart" the intervals of all pairs hold together (Bonferroni).
Towards "close" none of that is needed: whichever pair is the truth's, the bound of the worst is no closer than its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from passmuster.errors import NotMeasured
from passmuster.measurement import Interval
from passmuster_checks.statistics import shares
from passmuster_checks.statistics.inference import Estimated
from passmuster_checks.statistics.scored import Floats

#: Groups that are compared pair by pair; more are no groups of people.
TOO_MANY_GROUPS = 1_000


class Rates(NamedTuple):
    """One rate in each of g groups."""

    hits: Floats  #: shape (g,): rows of the group that it counts
    trials: Floats  #: shape (g,): rows of the group that it could count, at least one

    @property
    def share(self) -> Floats:
        """The rates themselves, shape (g,)."""
        return self.hits / self.trials


def largest_difference(families: Sequence[Rates], level: float = 0.95) -> Estimated:
    """Return the largest difference of two groups' rates: of one rate, or the largest of several.

    Of the selection rate it is fairlearn's `demographic_parity_difference`; of the true and the false positive rate,
    its `equalized_odds_difference`.

    Args:
        families: for each rate the groups' counts.
        level: nominal coverage, in (0, 1).

    Raises:
        NotMeasured: a rate of fewer than two groups, or of too many.
        UsageError: `level` outside (0, 1).
    """
    normal = shares.normal(level)
    value = max(float(np.ptp(rates.share)) for rates in _checked(families))
    low, high = -1.0, 0.0
    for rates in families:
        share = rates.share
        all_pairs = _pairs_level(families, level)
        less, more = _room(rates, all_pairs)
        low = max(low, float((share[:, None] - share - np.hypot(less[:, None], more)).max()))
        less, more = _room(rates, level)
        high = max(high, float((share[:, None] - share + np.hypot(more[:, None], less)).max()))
    interval = Interval(low=min(max(low, 0.0), value), high=max(min(high, 1.0), value), level=level, method="Newcombe")
    return Estimated(value, interval, (value - low) / normal, _rows(families))


def smallest_ratio(families: Sequence[Rates], level: float = 0.95) -> Estimated:
    """Return the smallest ratio of two groups' rates, from 0 to 1 (all equal): of one rate, or the smallest of several.

    Of the selection rate it is fairlearn's `demographic_parity_ratio`, which the *four-fifths rule* asks to be at least
    0.8; of the true and the false positive rate, its `equalized_odds_ratio`.

    Args:
        families: for each rate the groups' counts.
        level: nominal coverage, in (0, 1).

    Raises:
        NotMeasured: a rate of fewer than two groups, or of too many, or one that is 0 in every group.
        UsageError: `level` outside (0, 1).
    """
    normal = shares.normal(level)
    if any(not rates.hits.any() for rates in _checked(families)):
        raise NotMeasured("a rate is 0 in every group, and zeros have no ratio; measure the difference")
    value = min(float(rates.share.min() / rates.share.max()) for rates in families)
    low, high = 1.0, np.inf
    for rates in families:
        low = min(low, float(_ratio_low(rates, level).min()))
        high = min(high, float(_ratio_high(rates, _pairs_level(families, level)).min()))
    interval = Interval(
        low=max(min(low, value), 0.0), high=max(min(high, 1.0), value), level=level, method="Donner-Zou"
    )
    return Estimated(value, interval, (high - value) / normal, _rows(families))


def _ratio_low(rates: Rates, level: float) -> Floats:
    """Return the lower end of each ratio of two groups, shape (g, g); of a group and itself 1."""
    share = rates.share
    less, more = _room(rates, level)
    top = (share**2 - less**2)[:, None]
    product = share[:, None] * share
    root = np.sqrt(np.maximum(product**2 - (share**2 - more**2) * top, 0))
    with np.errstate(invalid="ignore"):  # 0 / 0: two rates of 0, or one of 0 below
        low = np.nan_to_num(top / (product + root), nan=0.0)
    np.fill_diagonal(low, 1.0)
    return np.asarray(low)


def _ratio_high(rates: Rates, level: float) -> Floats:
    """Return the upper end of each ratio of two groups, shape (g, g); without a bound where the lower rate is 0."""
    share = rates.share
    less, more = _room(rates, level)
    bottom = np.broadcast_to(share**2 - less**2, (len(share), len(share)))
    product = share[:, None] * share
    root = np.sqrt(np.maximum(product**2 - bottom * (share**2 - more**2)[:, None], 0))
    high = np.full(product.shape, np.inf)
    np.divide(product + root, bottom, out=high, where=bottom > 0)
    np.fill_diagonal(high, np.inf)
    return high


def _room(rates: Rates, level: float) -> tuple[Floats, Floats]:
    """Return how far each rate may be lower, and how far higher."""
    low, high = shares.exact(rates.hits, rates.trials, level)
    return rates.share - low, high - rates.share


def _pairs_level(families: Sequence[Rates], level: float) -> float:
    """Return the level at which the intervals of all ordered pairs hold together, each on one side."""
    pairs = sum(len(rates.hits) * (len(rates.hits) - 1) for rates in families)
    return 1 - (1 - level) / pairs


def _checked(families: Sequence[Rates]) -> Sequence[Rates]:
    for rates in families:
        if len(rates.hits) < 2:
            raise NotMeasured(f"{len(rates.hits)} groups have the rows; at least two are needed to be compared")
        if len(rates.hits) > TOO_MANY_GROUPS:
            raise NotMeasured(f"{len(rates.hits):,} groups; a column of groups has at most {TOO_MANY_GROUPS:,}")
    return families


def _rows(families: Sequence[Rates]) -> int:
    return round(sum(float(rates.trials.sum()) for rates in families))
