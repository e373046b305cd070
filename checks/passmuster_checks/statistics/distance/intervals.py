"""How far a distance of two samples may be from that of their populations, per kind of distance.

The plain difference of two empirical distributions is biased near zero: two samples of one population always differ.
So none of these intervals is *value ± quantile · standard error*: each bounds, from below, what noise alone adds.
The chance to be wrong is split evenly: at level 1 - a, the lower end lies above the truth with chance a/2 at most, and
the upper end below it. Intervals are conservative rather than short; `docs/statistics.md` shows their coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from passmuster_checks.statistics import shares

#: No ratio of shares is told apart from a larger one: what is absent on one side has no ratio at all.
LARGEST_RATIO = 1e6

#: How much longer a chi-square's quantile is made, as a share of the fewest expected rows.
SKEW = 5.0


class Method(Protocol):
    """Gives the ends of the interval around a value."""

    name: ClassVar[str]

    def ends(self, value: float, tail: float) -> tuple[float, float]:
        """Return low and high; each is beyond the truth with chance `tail` at most."""
        ...


@dataclass(frozen=True, kw_only=True)
class Supremum:
    """Of the largest difference of two distribution functions (Kolmogorov 1933, Smirnov 1939, Massart 1990).

    |D' - D| is at most the supremum of W = (F' - F) - (G' - G). Whatever F and G are, the limit of W has the covariance
    of the case F = G less a positive matrix of rank one, so its supremum is stochastically no larger than in that case
    (Anderson 1955), and ties only take points away. There Kolmogorov's tail is below 2·exp(-2x²). The upper end needs
    one point alone, where the distance is attained: Hoeffding's inequality (1963), at any n.
    """

    name: ClassVar[str] = "Kolmogorov-Smirnov"
    scale: float  #: sqrt(1/n + 1/m)
    resolution: float = 0.0  #: how much larger the exact distance of the samples may be than the value

    def ends(self, value: float, tail: float) -> tuple[float, float]:
        """Return low and high; each is beyond the truth with chance `tail` at most."""
        below = self.scale * math.sqrt(math.log(2 / tail) / 2)
        above = self.scale * math.sqrt(math.log(1 / tail) / 2)
        return max(0.0, value - below), min(1.0, value + self.resolution + above)


@dataclass(frozen=True, kw_only=True)
class BoundedDifferences:
    """Of the total variation of two multinomials: its bias, and McDiarmid's inequality (1989).

    One row changes the value by 1/n or 1/m, so it is within sqrt(log(1/tail)·(1/n + 1/m)/2) of its mean. The mean lies
    above the truth by at most the mean under equal shares, which `noise` gives.
    """

    name: ClassVar[str] = "McDiarmid, less the noise of equal shares"
    scale: float  #: sqrt(1/n + 1/m)
    bias: float  #: the mean of the value if both populations were one

    @staticmethod
    def noise(base: NDArray[np.int64], current: NDArray[np.int64]) -> float:
        """Return the mean total variation of two samples of one population, given each category's rows in both.

        The rows of a category fall to one of the samples with chances n/(n+m) and m/(n+m); the mean absolute
        deviation of that binomial is De Moivre's (1730), and bounds that of drawing without replacement
        (Hoeffding 1963). That counts rare categories in full, where a normal approximation would not.

        Args:
            base: shape (k,), rows of each category.
            current: shape (k,), likewise.
        """
        n, m = int(base.sum()), int(current.sum())
        rows, times = np.unique(base + current, return_counts=True)
        deviation = _binomial_deviation(rows.astype(np.float64), m / (n + m))
        return float((1 / n + 1 / m) / 2 * (times * deviation).sum())

    def ends(self, value: float, tail: float) -> tuple[float, float]:
        """Return low and high; each is beyond the truth with chance `tail` at most."""
        half = self.scale * math.sqrt(math.log(1 / tail) / 2)
        return max(0.0, value - self.bias - half), min(1.0, value + half)


@dataclass(frozen=True, kw_only=True)
class ShareDifference:
    """Of the absolute difference of two shares: exact limits (Clopper and Pearson 1934), combined as Newcombe's (1998).

    Wilson's limits in Newcombe's place are too short far out, where one row of a kind would be proof of many.
    """

    name: ClassVar[str] = "Clopper-Pearson, Newcombe"
    counts: tuple[int, int]  #: rows of the kind, base and current
    rows: tuple[int, int]

    def ends(self, value: float, tail: float) -> tuple[float, float]:
        """Return low and high; each is beyond the truth with chance `tail` at most."""
        # Near zero the sign is noise, and both of them are looked at.
        low, high = self._signed(tail / 2)
        _, up = self._signed(tail)
        down, _ = self._signed(tail)
        return min(value, max(0.0, low, -high)), max(value, up, -down)

    def _signed(self, tail: float) -> tuple[float, float]:
        (x, y), (n, m) = self.counts, self.rows
        return shares.rise_limits((x, n), (y, m), tail)


@dataclass(frozen=True, kw_only=True)
class LargestRatio:
    """Of the largest ratio between the shares of a category, either way: exact per category, Bonferroni's over all.

    Of a category's rows in both samples, those in one are binomial, and their exact limits (Clopper and Pearson 1934)
    are limits of the ratio (Przyborowski and Wilenski 1940); for shares that are not rare they are conservative. The
    upper end needs no split: it is above that of whichever category has the largest ratio.
    """

    name: ClassVar[str] = "exact, conditional, simultaneous over categories"
    pairs: NDArray[np.int64]  #: shape (p, 2): the counts, base and current, that may hold the largest ratio either way
    categories: int
    rows: tuple[int, int]

    def ends(self, value: float, tail: float) -> tuple[float, float]:
        """Return low and high; each is beyond the truth with chance `tail` at most."""
        low = self.lower(tail).max()
        x, y = self.pairs.T
        up = np.maximum(self._limit(y, x, tail, upper=True), 1 / self._limit(y, x, tail, upper=False))
        return min(value, max(1.0, float(low))), max(value, min(LARGEST_RATIO, float(up.max())))

    def lower(self, tail: float) -> NDArray[np.float64]:
        """Return the lower limits of the ratios of `pairs`, all of them right but with chance `tail`."""
        x, y = self.pairs.T
        each = tail / (2 * self.categories)
        return np.maximum(self._limit(y, x, each, upper=False), 1 / self._limit(y, x, each, upper=True).clip(1e-300))

    def _limit(self, y: NDArray[np.int64], x: NDArray[np.int64], tail: float, *, upper: bool) -> NDArray[np.float64]:
        n, m = self.rows
        # Of the odds y : x, from the complement where that is the more exact.
        share = special.betaincinv(x, y + 1.0, tail) if upper else special.betaincinv(y, x + 1.0, tail)
        share = np.where((x if upper else y) > 0, share, 0.0)
        with np.errstate(divide="ignore"):
            odds = (1 - share) / share if upper else share / (1 - share)
        return np.asarray(odds * (n / m), dtype=np.float64).clip(1 / LARGEST_RATIO, LARGEST_RATIO)


@dataclass(frozen=True, kw_only=True)
class ChiSquare:
    """Of divergences that are a chi-square near zero: PSI, Jensen-Shannon, Cramér's V.

    `factor · value^power` is a noncentral chi-square T; its root is the length of a normal vector around the true one,
    so |sqrt(T) - sqrt(truth)| is at most the root of a central chi-square. Far from zero the delta method (Cramér 1946)
    may be wider; the wider of both counts at each end. Counts of few rows are skewed, which shows in the tails: both
    chi-square and variance are taken larger by `SKEW` over the fewest rows that a cell expects (found by simulation).
    """

    name: ClassVar[str] = "chi-square and delta method"
    factor: float
    power: int
    freedom: int
    error: float  #: standard error of the delta method
    expected: float  #: the fewest rows that a cell expects in a sample
    largest: float = math.inf

    def ends(self, value: float, tail: float) -> tuple[float, float]:
        """Return low and high; each is beyond the truth with chance `tail` at most."""
        root = math.sqrt(self.factor * value**self.power)
        wider = math.sqrt(1 + SKEW / self.expected)
        length = wider * math.sqrt(float(special.chdtri(self.freedom, tail)))
        half = wider * self.error * float(-special.ndtri(tail))
        low = min(self._back(max(0.0, root - length)), value - half)
        high = max(self._back(root + length), value + half)
        return max(0.0, low), min(self.largest, high)

    def _back(self, root: float) -> float:
        return float((root * root / self.factor) ** (1 / self.power))


def _binomial_deviation(trials: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    """Return E|B - trials·chance| of binomials: 2k(1-p)·P(B = k) with k the next whole number above the mean."""
    above = np.floor(trials * chance) + 1
    log_choose = special.gammaln(trials + 1) - special.gammaln(above + 1) - special.gammaln(trials - above + 1)
    log_mass = log_choose + special.xlogy(above, chance) + special.xlogy(trials - above, 1 - chance)
    return np.asarray(np.where(above > trials, 0.0, 2 * above * (1 - chance) * np.exp(log_mass)), dtype=np.float64)
