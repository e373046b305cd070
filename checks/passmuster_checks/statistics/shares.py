"""Shares of independent rows, and their differences, with intervals; and the quantile that most intervals need."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from passmuster.errors import UsageError
from passmuster.measurement import Interval
from passmuster_checks.statistics.scored import Floats


def check_level(level: float) -> None:
    """Refuse a level that is none.

    Raises:
        UsageError: outside (0, 1).
    """
    if not 0 < level < 1:
        raise UsageError(f"a level of {level!r} is not between 0 and 1; 0.95 is usual")


def normal(level: float) -> float:
    """Return the half width, in standard errors, of a two-sided normal interval.

    Raises:
        UsageError: `level` outside (0, 1).
    """
    check_level(level)
    return float(special.ndtri((1 + level) / 2))


def wilson(share: ArrayLike, trials: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Return the ends of Wilson's interval (1927) of shares, each of the shape of `share`.

    Raises:
        UsageError: `level` outside (0, 1).
    """
    value, rows, z = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64), normal(level)
    shrunk = 1 + z**2 / rows
    centre = (value + z**2 / (2 * rows)) / shrunk
    half = z / shrunk * np.sqrt(value * (1 - value) / rows + z**2 / (4 * rows**2))
    return np.clip(centre - half, 0, value), np.clip(centre + half, value, 1)


def exact(hits: ArrayLike, trials: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Return the ends of the interval of shares by the binomial distribution itself (Clopper and Pearson 1934).

    It covers at least as often as `level` says, at any number of trials; Wilson's ends are too close far out, where one
    row of a kind would be proof of many.

    Args:
        hits: counts, of any shape.
        trials: of which they are, at least one each.
        level: nominal coverage, in (0, 1).

    Raises:
        UsageError: `level` outside (0, 1).
    """
    check_level(level)
    return limits(hits, trials, (1 - level) / 2)


def limits(hits: ArrayLike, trials: ArrayLike, tail: float) -> tuple[Floats, Floats]:
    """Return the ends of `exact`, each of which is beyond the truth with chance `tail` at most."""
    there, rows = np.asarray(hits, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    missed, share = rows - there, there / rows
    low = np.where(there > 0, special.betaincinv(np.maximum(there, 1), missed + 1, tail), 0.0)
    high = np.where(missed > 0, 1 - special.betaincinv(np.maximum(missed, 1), there + 1, tail), 1.0)
    return np.minimum(low, share), np.maximum(high, share)


def rise(base: tuple[int, int], current: tuple[int, int], level: float) -> Interval:
    """Return the interval of how much larger the current share is than the base's; each a count and its rows."""
    check_level(level)
    low, high = rise_limits(base, current, (1 - level) / 2)
    return Interval(low=max(low, -1.0), high=min(high, 1.0), level=level, method="Clopper-Pearson, Newcombe")


def rise_limits(base: tuple[int, int], current: tuple[int, int], tail: float) -> tuple[float, float]:
    """Return the ends of `rise`: Newcombe's hybrid (1998, method 10), of exact limits in place of Wilson's."""
    shares = np.array([base[0] / base[1], current[0] / current[1]])
    low, high = limits([base[0], current[0]], [base[1], current[1]], tail)
    (before, now), (less_before, less_now), (more_before, more_now) = shares, shares - low, high - shares
    return (
        float(now - before - math.hypot(less_now, more_before)),
        float(now - before + math.hypot(more_now, less_before)),
    )
