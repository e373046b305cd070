"""How many rows decide, how small a harm can be seen, and how a budget of false alarms is split."""

from __future__ import annotations

import math

from passmuster.errors import UsageError

#: The power that "would be found" means, and the quantile of the normal distribution at it.
POWER, POWER_QUANTILE = 0.95, 1.6448536269514722


def rows_to_decide(standard_error: float, n: int, margin: float, power: float = POWER, level: float = 0.95) -> int:
    """Return how many rows let a true difference of zero pass *not worse by more than margin*.

    The sample size of a non-inferiority comparison, (z_level + z_power)² · variance / margin². The spread of the pairs
    is known from `n` rows only, so the upper end of its one-sided 95 % interval counts (chi-square, as if normal): the
    power is held, not just aimed at. As many rows fail a true loss of twice the margin with the same power.

    Args:
        standard_error: of the difference, at `n` rows.
        n: rows that it was measured on, at least 2.
        margin: the largest loss that is accepted, in the metric's unit.
        power: the chance to pass, in [0.5, 1).
        level: of the two-sided interval that the rule reads.

    Raises:
        UsageError: a number out of range, or not finite.
    """
    _check(math.isfinite(standard_error) and standard_error >= 0, "standard_error", standard_error)
    _check(n >= 2, "n", n)
    _check(math.isfinite(margin) and margin > 0, "margin", margin)
    _check(0.5 <= power < 1, "power", power)
    _check(0 < level < 1, "level", level)
    from scipy import special

    quantiles = float(special.ndtri((1 + level) / 2) + special.ndtri(power))
    caution = (n - 1) / float(special.chdtri(n - 1, 0.95))
    ratio = quantiles * standard_error / margin
    rows = n * caution * ratio * ratio
    _check(math.isfinite(rows), "standard_error / margin", standard_error / margin)
    return max(2, math.ceil(rows))


def simultaneous(budget: float, comparisons: int) -> float:
    """Return the level of each interval, so that all of them together raise a false alarm with chance `budget` at most.

    For the *detect harm* rule, which fails on one side only: each of k comparisons has budget/k on the side of harm,
    hence a two-sided level of 1 - 2·budget/k. Bonferroni's split, since it holds however the comparisons depend on
    each other; slices share rows, and what Šidák's would gain under independence is under 1 % at any budget to 2 %.

    Args:
        budget: the chance of any false alarm, in (0, 0.5).
        comparisons: how many there are, at least 1.

    Raises:
        UsageError: a number out of range.
    """
    _check(0 < budget < 0.5, "budget", budget)
    _check(comparisons >= 1, "comparisons", comparisons)
    level = 1 - 2 * budget / comparisons
    _check(level < 1, "budget / comparisons", budget / comparisons)
    return level


def smallest_detectable(standard_error: float, level: float) -> float:
    """Return the loss that an interval of `level` lies wholly beyond zero for, with a chance of 95 %.

    Args:
        standard_error: of the difference.
        level: two-sided, as `simultaneous` returns it.

    Raises:
        UsageError: a number out of range, or not finite.
    """
    _check(math.isfinite(standard_error) and standard_error >= 0, "standard_error", standard_error)
    _check(0 < level < 1, "level", level)
    from scipy import special

    return float(special.ndtri((1 + level) / 2) + special.ndtri(POWER)) * standard_error


def _check(holds: bool, what: str, number: float) -> None:
    if not holds:
        raise UsageError(f"{what} is {number!r}: out of range")
