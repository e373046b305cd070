"""How far apart two distributions of one column are: sizes of the effect, of every row, with honest intervals.

Numbers come sorted, or as counts in shared bins, or as a reference profile's quantiles; categories come as counts.
Nulls are counted beside, and are a category of their own wherever there are bins or categories. `docs/statistics.md`
has the definitions, their sources, the coverage that was seen, and where other tools differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics.distance import cells, numbers
from passmuster_checks.statistics.distance.cells import Cells
from passmuster_checks.statistics.distance.size import Distances, Size
from passmuster_checks.statistics.scored import Floats

__all__ = [
    "Binned",
    "Counts",
    "Distances",
    "Quantiles",
    "Size",
    "Sorted",
    "of_binned",
    "of_counts",
    "of_numbers",
    "of_quantiles",
]

#: Sizes of numbers alone, which rows without a number take no part in.
_OF_NUMBERS = ("kolmogorov_smirnov", "wasserstein")

_OF_BINS = {"psi": cells.psi, "jensen_shannon": cells.jensen_shannon}

_OF_CATEGORIES = {
    "total_variation": cells.total_variation,
    "cramers_v": cells.cramers_v,
    "share_ratio": cells.share_ratio,
    **_OF_BINS,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Sorted:
    """The numbers of a column in one split, in ascending order; -inf and inf are ordinary values.

    Raises:
        UsageError: the values are not ascending float64, or NaN is among them (it counts as null).
    """

    values: Floats  #: shape (n,), float64, ascending
    null: int = 0  #: rows without a number: null or NaN

    def __post_init__(self) -> None:
        _check_ascending(self.values)
        _check_counts(np.array([self.null]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """The rows of a column in each category; rare ones are never merged.

    Raises:
        UsageError: the counts are not integers from 0 up.
    """

    values: NDArray[np.int64]  #: shape (k,): the same categories in the same order in both samples
    null: int = 0  #: rows without a category

    def __post_init__(self) -> None:
        _check_counts(np.asarray(self.values))
        _check_counts(np.array([self.null]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Binned:
    """The rows of a column of numbers in bins: what is left of data that outgrow one machine.

    Raises:
        UsageError: the counts are not integers from 0 up, or the edges not one more, and rising.
    """

    edges: (
        Floats  #: shape (k + 1,), rising: bin i holds edges[i] < number <= edges[i + 1], the first its lower edge too
    )
    counts: NDArray[np.int64]  #: shape (k,)
    null: int = 0  #: rows without a number
    standard_deviation: float | None = None  #: of the numbers; None: the Wasserstein distance is not measured

    def __post_init__(self) -> None:
        _check_ascending(self.edges)
        _check_counts(self.counts)
        _check_counts(np.array([self.null]))
        if not len(self.counts) or len(self.edges) != len(self.counts) + 1:
            raise UsageError(f"{len(self.counts)} bins and {len(self.edges)} edges: one edge more than bins is needed")
        if not (self.edges[1:] > self.edges[:-1]).all():
            raise UsageError("the edges of bins must rise; two are equal")


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantiles:
    """What a reference profile keeps of a column of numbers.

    Raises:
        UsageError: fewer than 11 quantiles, or not ascending float64, or no rows, or more nulls than rows.
    """

    values: Floats  #: shape (q,), ascending: the quantiles at q equally spaced probabilities from 0 to 1
    rows: int  #: all rows
    null: int = 0  #: rows without a number
    standard_deviation: float | None = None  #: of the numbers; None: the Wasserstein distance is not measured

    def __post_init__(self) -> None:
        _check_ascending(self.values)
        if len(self.values) <= numbers.BINS or not 0 <= self.null < self.rows:
            raise UsageError(
                f"{len(self.values)} quantiles of {self.rows} rows, {self.null} of them null: at least "
                f"{numbers.BINS + 1} quantiles and one number are needed"
            )


def of_numbers(base: Sorted, current: Sorted) -> Distances:
    """Return the distances of two samples of numbers, of every row, by one merge.

    Kolmogorov-Smirnov and Wasserstein are of the numbers alone; PSI and Jensen-Shannon have null as a bin of its own.

    Raises:
        NotMeasured: one of the samples has no rows.
    """
    nulls, rows = (base.null, current.null), (len(base.values), len(current.values))
    sizes = _of_cells(numbers.decile_cells(base.values, current.values, nulls), _OF_BINS)
    sizes["null_share"] = _null_share(nulls, rows)
    if min(rows) == 0:
        return _without_numbers(sizes, "base" if not rows[0] else "current")
    supremum, at, area = numbers.merged(base.values, current.values)
    spread = numbers.spread(base.values)
    sizes["kolmogorov_smirnov"] = lambda: numbers.kolmogorov_smirnov(supremum, at, rows)
    sizes["wasserstein"] = lambda: numbers.wasserstein(area, spread, rows)
    return _measured(sizes)


def of_counts(base: Counts, current: Counts) -> Distances:
    """Return the distances of two samples of categories; null is a category of its own.

    Raises:
        NotMeasured: one of the samples has no rows.
        UsageError: the samples do not have the same number of categories.
    """
    if len(base.values) != len(current.values):
        raise UsageError(f"counts of {len(base.values)} and {len(current.values)} categories: they must be the same")
    nulls, rows = (base.null, current.null), (int(base.values.sum()), int(current.values.sum()))
    sizes = _of_cells(Cells.of(np.append(base.values, nulls[0]), np.append(current.values, nulls[1])), _OF_CATEGORIES)
    sizes["null_share"] = _null_share(nulls, rows)
    return _measured(sizes)


def of_binned(base: Binned, current: Binned) -> Distances:
    """Return the distances of two samples of numbers that are known by bin: the finer, the nearer to those of the rows.

    The Kolmogorov-Smirnov distance of the rows is larger by `resolution` at most, which is at most what the two samples
    have in one bin; the Wasserstein distance is within `resolution`: half a bin's width for the rows in it. PSI and
    Jensen-Shannon are exact for bins that end at the first edge at or above each decile.

    Raises:
        NotMeasured: one of the samples has no rows.
        UsageError: the edges are not the same.
    """
    if not np.array_equal(base.edges, current.edges):
        raise UsageError("the bins of both samples must have the same edges")
    nulls, rows = (base.null, current.null), (int(base.counts.sum()), int(current.counts.sum()))
    sizes = _of_cells(numbers.binned_cells(base.counts, current.counts, nulls), _OF_BINS)
    sizes["null_share"] = _null_share(nulls, rows)
    if min(rows) == 0:
        return _without_numbers(sizes, "base" if not rows[0] else "current")
    sizes["kolmogorov_smirnov"] = lambda: numbers.binned_supremum(base.counts, current.counts)
    sizes["wasserstein"] = lambda: numbers.binned_area(base.edges, base.counts, current.counts, base.standard_deviation)
    return _measured(sizes)


def of_quantiles(base: Quantiles, current: Sorted) -> Distances:
    """Return the distances of a sample of numbers from a reference profile, whose rows are gone.

    With q quantiles, the Kolmogorov-Smirnov distance of the rows is larger by `resolution`, 1/(q - 1) + 2/n, at most,
    and never smaller; the Wasserstein distance is within `resolution`: the two ranges together, divided by q - 1. The
    shares of tied deciles are known to 1/(q - 1), so PSI and Jensen-Shannon have no interval.

    Raises:
        NotMeasured: the current sample has no rows.
    """
    nulls, rows = (base.null, current.null), (base.rows - base.null, len(current.values))
    shared = numbers.quantile_cells(base.values, rows[0], current.values, nulls)
    sizes = _of_cells(shared, _OF_BINS)
    known: _Sizes = {name: partial(_without_interval, size) for name, size in sizes.items()}
    known["null_share"] = _null_share(nulls, rows)
    if not rows[1]:
        return _without_numbers(known, "current")
    known["kolmogorov_smirnov"] = lambda: numbers.quantile_supremum(base.values, rows[0], current.values)
    known["wasserstein"] = lambda: numbers.quantile_area(base.values, rows[0], current.values, base.standard_deviation)
    return _measured(known)


# ── assembly ───────────────────────────────────────────────────────────────────────────────────────────────────────

_Sizes = dict[str, Callable[[], Size]]


def _of_cells(shared: Cells, sizes: Mapping[str, Callable[[Cells], Size]]) -> _Sizes:
    return {name: partial(size, shared) for name, size in sizes.items()}


def _null_share(nulls: tuple[int, int], rows: tuple[int, int]) -> Callable[[], Size]:
    return partial(cells.null_share, nulls, (rows[0] + nulls[0], rows[1] + nulls[1]))


def _without_interval(size: Callable[[], Size]) -> Size:
    return replace(size(), method=None, no_interval="a profile does not hold the rows of each bin")


def _without_numbers(sizes: _Sizes, side: str) -> Distances:
    found = _measured(sizes)
    reason = f"the {side} sample holds no number at all, only nulls"
    return Distances(sizes=found.sizes, absent={**found.absent, **dict.fromkeys(_OF_NUMBERS, reason)})


def _measured(sizes: _Sizes) -> Distances:
    found, absent = {}, {}
    for name, size in sizes.items():
        try:
            found[name] = size()
        except NotMeasured as exc:
            absent[name] = str(exc)
    return Distances(sizes=found, absent=absent)


def _check_ascending(values: Floats) -> None:
    if values.ndim != 1 or values.dtype != np.float64:
        raise UsageError(f"one float64 after the other is needed, not {values.dtype} of shape {values.shape}")
    if not (values[1:] >= values[:-1]).all() or np.isnan(values[:1]).any():
        raise UsageError("the numbers are not ascending, or NaN is among them: sort them, and count NaN as null")


def _check_counts(counts: NDArray[np.int64]) -> None:
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise UsageError(f"counts of rows are integers from 0 up, not {counts.dtype} of shape {counts.shape}")
