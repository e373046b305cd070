"""Distances of two samples counted in the same cells: categories, or bins of numbers, null one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passmuster.errors import NotMeasured
from passmuster_checks.statistics.distance.intervals import (
    LARGEST_RATIO,
    BoundedDifferences,
    ChiSquare,
    LargestRatio,
    ShareDifference,
)
from passmuster_checks.statistics.distance.size import Size
from passmuster_checks.statistics.scored import Floats

#: Rows that each cell must be expected to have in each sample, or PSI, Jensen-Shannon and Cramér's V have no interval.
FEWEST_EXPECTED = 20

#: The chance of error at which the category with the largest ratio is chosen; its interval may be of any level.
_CHOICE = 0.025


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Rows of two samples in the same k cells; cells that are empty in both are left out."""

    base: NDArray[np.int64]  #: shape (k,)
    current: NDArray[np.int64]  #: shape (k,)
    position: NDArray[np.intp]  #: shape (k,): where the cell stood before empty ones were left out

    @classmethod
    def of(cls, base: NDArray[np.int64], current: NDArray[np.int64]) -> Cells:
        """Return the cells that hold rows.

        Raises:
            NotMeasured: one of the samples has no rows.
        """
        for what, counts in (("base", base), ("current", current)):
            if not counts.sum():
                raise NotMeasured(f"the {what} sample has no rows: there is nothing to compare")
        (held,) = np.nonzero(base + current)
        return cls(base=base[held], current=current[held], position=held)

    @property
    def n(self) -> int:
        """Rows of the base."""
        return int(self.base.sum())

    @property
    def m(self) -> int:
        """Rows of the current sample."""
        return int(self.current.sum())

    @property
    def variance(self) -> float:
        """1/n + 1/m: what both samples' noise is proportional to."""
        return 1 / self.n + 1 / self.m

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """Of the base and of the current sample, each shape (k,)."""
        return self.base / self.n, self.current / self.m

    def size(
        self, name: str, value: float, slopes: tuple[Floats, Floats], *, factor: float, power: int, largest: float
    ) -> Size:
        """Return the size of a smooth divergence; `slopes` are its derivatives by both samples' shares."""
        error = _delta(self, slopes)
        expected = float((self.base + self.current).min() * min(self.n, self.m) / (self.n + self.m))
        method = ChiSquare(
            factor=factor,
            power=power,
            freedom=max(1, len(self.base) - 1),
            error=error,
            expected=expected,
            largest=largest,
        )
        enough = expected >= FEWEST_EXPECTED
        return Size(
            name=name,
            value=value,
            n_base=self.n,
            n_current=self.m,
            standard_error=error,
            method=method if enough else None,
            no_interval="" if enough else f"a cell expects fewer than {FEWEST_EXPECTED} rows",
        )


def psi(cells: Cells) -> Size:
    """Return the population stability index, the sum of (q - p)·log(q/p) over the cells (Jeffreys 1946), in nats.

    A cell that is empty in one sample counts as half a row there; no other share is touched.
    """
    p, q = np.maximum(cells.base, 0.5) / cells.n, np.maximum(cells.current, 0.5) / cells.m
    log = np.log(q / p)
    slopes = (1 - q / p - log, 1 - p / q + log)
    value = float(((q - p) * log).sum())
    return cells.size("psi", value, slopes, factor=1 / cells.variance, power=1, largest=math.inf)


def jensen_shannon(cells: Cells) -> Size:
    """Return the Jensen-Shannon distance (Endres and Schindelin 2003): the root of the divergence in bits, up to 1."""
    p, q = cells.shares
    # An empty cell adds nothing to the sum, and its slope is met by no row.
    p_log, q_log = (np.log2(np.where(share > 0, 2 * share / (p + q), 1.0)) for share in (p, q))
    value = math.sqrt(max(0.0, float((p * p_log + q * q_log).sum()) / 2))
    scale = 1 / (4 * value) if value else 0.0
    slopes = (scale * p_log, scale * q_log)
    factor = 8 * math.log(2) / cells.variance
    return cells.size("jensen_shannon", value, slopes, factor=factor, power=2, largest=1.0)


def cramers_v(cells: Cells) -> Size:
    """Return Cramér's V (1946) of category against sample: sqrt(chi-square / rows), in [0, 1].

    Pearson's chi-square of the table with two rows (the samples) and a column per category, without a correction of
    continuity or bias, and without merging rare categories.
    """
    p, q = cells.shares
    base = cells.n / (cells.n + cells.m)
    current = 1 - base
    mean, difference = base * p + current * q, p - q
    value = math.sqrt(base * current * float((difference**2 / mean).sum()))
    twice, square = 2 * difference / mean, (difference / mean) ** 2
    scale = base * current / (2 * value) if value else 0.0
    slopes = (scale * (twice - base * square), scale * (-twice - current * square))
    return cells.size("cramers_v", min(1.0, value), slopes, factor=float(cells.n + cells.m), power=2, largest=1.0)


def total_variation(cells: Cells) -> Size:
    """Return the total variation distance: half the sum of absolute differences of shares, in [0, 1]."""
    p, q = cells.shares
    sign = np.sign(p - q) / 2
    return Size(
        name="total_variation",
        value=float(np.abs(p - q).sum()) / 2,
        n_base=cells.n,
        n_current=cells.m,
        standard_error=_delta(cells, (sign, -sign)),
        method=BoundedDifferences(
            scale=math.sqrt(cells.variance), bias=BoundedDifferences.noise(cells.base, cells.current)
        ),
    )


def share_ratio(cells: Cells) -> Size:
    """Return the largest ratio of a category's shares, either way, of the category whose lower limit is the largest.

    A rare category's ratio is mostly noise, so it is the limit that chooses. Where one sample has no row of the
    category, half a row is added to both counts (Haldane 1956, Anscombe 1956). A ratio beyond `LARGEST_RATIO` is that.
    """
    pairs = np.stack([cells.base, cells.current], axis=1)
    method = LargestRatio(pairs=_extremes(pairs), categories=len(pairs), rows=(cells.n, cells.m))
    chosen = method.pairs[int(method.lower(_CHOICE).argmax())]
    x, y = (float(count) + 0.5 * (not chosen.all()) for count in chosen)
    ratio = y / cells.m * cells.n / x
    value = min(LARGEST_RATIO, max(ratio, 1 / ratio))
    (at,) = np.nonzero((pairs == chosen).all(axis=1))
    return Size(
        name="share_ratio",
        value=value,
        n_base=cells.n,
        n_current=cells.m,
        standard_error=value * math.sqrt(1 / x + 1 / y),
        category=int(cells.position[at[0]]),
        method=method,
    )


def null_share(counts: tuple[int, int], rows: tuple[int, int]) -> Size:
    """Return the absolute difference of the shares of nulls."""
    p, q = counts[0] / rows[0], counts[1] / rows[1]
    return Size(
        name="null_share",
        value=abs(q - p),
        n_base=rows[0],
        n_current=rows[1],
        standard_error=math.sqrt(p * (1 - p) / rows[0] + q * (1 - q) / rows[1]),
        method=ShareDifference(counts=counts, rows=rows),
    )


def _delta(cells: Cells, slopes: tuple[Floats, Floats]) -> float:
    """Return the standard error of a function of both samples' shares, from its derivatives."""
    variance = 0.0
    for share, slope, rows in zip(cells.shares, slopes, (cells.n, cells.m), strict=True):
        mean = float((share * slope).sum())
        variance += float((share * (slope - mean) ** 2).sum()) / rows
    return math.sqrt(variance)


def _extremes(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of counts that no other beats in growth (fewer before, more after), or in shrinking.

    Limits of a ratio rise with one count and fall with the other, so the largest is among these, which are few.
    """
    grown = _front(pairs)
    shrunk = _front(pairs[:, ::-1])[:, ::-1]
    return np.unique(np.concatenate([grown, shrunk]), axis=0)


def _front(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    ordered = pairs[np.lexsort((-pairs[:, 1], pairs[:, 0]))]
    best = np.maximum.accumulate(ordered[:, 1])
    return ordered[np.concatenate(([True], best[1:] > best[:-1]))]
