"""Distances of two samples of sorted numbers, and their counts in the base's deciles."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from passmuster.errors import NotMeasured
from passmuster_checks.statistics.distance.cells import Cells
from passmuster_checks.statistics.distance.intervals import Supremum
from passmuster_checks.statistics.distance.size import Size
from passmuster_checks.statistics.scored import Floats

#: Bins of numbers are cut at the base's deciles.
BINS = 10

#: Base rows that are merged at once: bounds the memory, and fits the processor's cache.
BLOCK = 1 << 15


def merged(base: Floats, current: Floats) -> tuple[float, tuple[float, float], float]:
    """Return the largest difference of both distribution functions, their values there, and the area between them.

    One merge of both samples, a block of the larger one's rows at a time. Equal values are passed together, so ties are
    exact; counts are whole numbers until the end. The area is NaN or infinite where a value is.

    Args:
        base: shape (n,), ascending.
        current: shape (m,), ascending.
    """
    n, m = len(base), len(current)
    if m > n:
        largest_share, (q, p), area = merged(current, base)
        return largest_share, (p, q), area
    largest, at, area, before, last = 0, (0, 0), 0.0, 0, min(base[0], current[0])
    for values, in_base, (i, j) in _blocks(base, current):
        # n·m·(F - G) after each value: of t rows of both samples, c of them the base's, c·m - (t - c)·n.
        difference = np.cumsum(in_base, dtype=np.int64) * (n + m)
        difference -= np.arange(1, len(values) + 1) * n
        difference += i * m - j * n
        height = np.abs(difference)
        with np.errstate(invalid="ignore", over="ignore"):
            steps = values[1:] - values[:-1]
            area += abs(before) * float(values[0] - last) + float((height[:-1] * steps).sum())
        # Among equal values only the last counts.
        height[:-1] *= values[1:] != values[:-1]
        here = int(height.argmax())
        if height[here] > largest:
            of_base = int(np.count_nonzero(in_base[: here + 1]))
            largest, at = int(height[here]), (i + of_base, j + here + 1 - of_base)
        before, last = int(difference[-1]), values[-1]
    return largest / (n * m), (at[0] / n, at[1] / m), area / (n * m)


def _blocks(base: Floats, current: Floats) -> Iterator[tuple[Floats, NDArray[np.bool_], tuple[int, int]]]:
    """Yield merged values, which are the base's, and how many of each sample came before; ties stay in one block."""
    starts = base[BLOCK::BLOCK]
    ours = np.unique(np.concatenate(([0], np.searchsorted(base, starts), [len(base)])))
    inner = np.searchsorted(current, base[ours[1:-1]])
    theirs = np.concatenate(([0], inner, [len(current)]))
    for i, i_end, j, j_end in zip(ours[:-1], ours[1:], theirs[:-1], theirs[1:], strict=True):
        both = np.concatenate([base[i:i_end], current[j:j_end]])
        # Two ascending runs: a stable sort is one merge of them.
        order = np.argsort(both, kind="stable")
        yield both[order], order < i_end - i, (int(i), int(j))


def kolmogorov_smirnov(value: float, at: tuple[float, float], rows: tuple[int, int], resolution: float = 0.0) -> Size:
    """Return the largest difference of two distribution functions, whose values there are `at`."""
    (p, q), (n, m) = at, rows
    return Size(
        name="kolmogorov_smirnov",
        value=value,
        n_base=n,
        n_current=m,
        standard_error=math.sqrt(p * (1 - p) / n + q * (1 - q) / m),
        resolution=resolution,
        method=Supremum(scale=math.sqrt(1 / n + 1 / m), resolution=resolution),
    )


def wasserstein(area: float, spread: float, rows: tuple[int, int], resolution: float = 0.0) -> Size:
    """Return the area between two distribution functions in units of the base's standard deviation.

    Raises:
        NotMeasured: a number is infinite or too large, or the base is constant and the other is not.
    """
    if not math.isfinite(area) or not math.isfinite(spread):
        raise NotMeasured("wasserstein: infinite numbers, or numbers too large to be subtracted, are infinitely far")
    if not spread and area:
        raise NotMeasured("wasserstein: the base is constant, so there is no spread to measure the distance by")
    scale = spread or 1.0
    return Size(
        name="wasserstein",
        value=area / scale,
        n_base=rows[0],
        n_current=rows[1],
        resolution=resolution / scale,
        no_interval="its sampling error depends on tails that no sample shows",
    )


def spread(values: Floats) -> float:
    """Return the standard deviation of sorted values; exactly 0 for a constant, not finite where a value is not."""
    if values[0] == values[-1]:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        return float(values.std())


def decile_cells(base: Floats, current: Floats, nulls: tuple[int, int]) -> Cells:
    """Return both samples' rows in the base's deciles, null a cell of its own.

    Cells end at a decile and include it. A value that is two deciles at once is a cell of its own, so that what lies
    below it does not hide in it.
    """
    ranks = -(-len(base) * np.arange(1, BINS) // BINS) - 1
    cuts, alone = _tied(base[ranks] if len(base) else base)
    ours, theirs = _counts(base, cuts, alone), _counts(current, cuts, alone)
    return Cells.of(np.append(ours, nulls[0]), np.append(theirs, nulls[1]))


def binned_cells(base: NDArray[np.int64], current: NDArray[np.int64], nulls: tuple[int, int]) -> Cells:
    """Return both samples' rows in the base's deciles, each ending where a bin does, null a cell of its own."""
    of_base, of_current = np.cumsum(base), np.cumsum(current)
    ranks = -(-of_base[-1] * np.arange(1, BINS) // BINS)
    ends = np.unique(np.append(np.searchsorted(of_base, ranks), len(base) - 1))
    ours, theirs = (np.diff(counts[ends], prepend=0) for counts in (of_base, of_current))
    return Cells.of(np.append(ours, nulls[0]), np.append(theirs, nulls[1]))


def binned_supremum(base: NDArray[np.int64], current: NDArray[np.int64]) -> Size:
    """Return the Kolmogorov-Smirnov distance at the edges; `resolution` is what a bin may hide."""
    n, m = int(base.sum()), int(current.sum())
    p, q = _distribution(base), _distribution(current)
    at = int(np.argmax(np.abs(p - q)))
    value = float(abs(p[at] - q[at]))
    most = float(np.maximum(p[1:] - q[:-1], q[1:] - p[:-1]).max())
    return kolmogorov_smirnov(value, (float(p[at]), float(q[at])), (n, m), resolution=max(0.0, most - value))


def binned_area(
    edges: Floats, base: NDArray[np.int64], current: NDArray[np.int64], standard_deviation: float | None
) -> Size:
    """Return the Wasserstein distance as if rows were spread evenly in their bin.

    Raises:
        NotMeasured: an edge is infinite, or the base's standard deviation is not known.
    """
    difference = _distribution(base) - _distribution(current)
    left, right = np.abs(difference[:-1]), np.abs(difference[1:])
    crossing = difference[:-1] * difference[1:] < 0
    height = np.where(crossing, (left**2 + right**2) / np.where(crossing, left + right, 1), left + right) / 2
    width = np.diff(edges)
    shares = base / base.sum() + current / current.sum()
    # An empty bin may be infinitely wide.
    held = shares > 0
    resolution = float((width[held] * shares[held]).sum()) / 2
    apart = height > 0
    area = float((width[apart] * height[apart]).sum())
    return wasserstein(area, _known(standard_deviation), (int(base.sum()), int(current.sum())), resolution)


def quantile_cells(quantiles: Floats, n: int, current: Floats, nulls: tuple[int, int]) -> Cells:
    """Return the rows in the base's deciles, as far as its quantiles tell them; cells as in `decile_cells`."""
    last = len(quantiles) - 1
    cuts, alone = _tied(quantiles[np.rint(np.arange(1, BINS) * last / BINS).astype(np.intp)])
    upto = np.searchsorted(quantiles, cuts, "right") - 1
    below = np.searchsorted(quantiles, cuts[alone], "left")
    ends = np.rint(np.sort(np.concatenate((upto, below))) * (n / last)).astype(np.int64)
    ours, theirs = np.diff(ends, prepend=0, append=n), _counts(current, cuts, alone)
    return Cells.of(np.append(ours, nulls[0]), np.append(theirs, nulls[1]))


def quantile_supremum(quantiles: Floats, n: int, current: Floats) -> Size:
    """Return the Kolmogorov-Smirnov distance that the base's quantiles prove; `resolution` is what they may hide.

    At a quantile of probability p, F(v) >= p >= F(v-) up to 1/n, interpolated or not and whatever the ties; between two
    of them both functions are bounded by their values at them.
    """
    m, p = len(current), np.linspace(0, 1, len(quantiles))
    upto, below = (np.searchsorted(current, quantiles, side) / m for side in ("right", "left"))
    gaps = np.maximum(p - upto, below - p) - 1 / n
    at = int(np.argmax(gaps))
    q = float(upto[at] if p[at] > upto[at] else below[at])
    resolution = 1 / (len(quantiles) - 1) + 2 / n
    return kolmogorov_smirnov(max(0.0, float(gaps[at])), (float(p[at]), q), (n, m), resolution)


def quantile_area(quantiles: Floats, n: int, current: Floats, standard_deviation: float | None) -> Size:
    """Return the Wasserstein distance as if both quantile functions were straight between the base's quantiles.

    Raises:
        NotMeasured: a number is infinite, or the base's standard deviation is not known.
    """
    steps = len(quantiles) - 1
    ranks = np.minimum(np.arange(steps + 1) * len(current) // steps, len(current) - 1)
    theirs = current[ranks]
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(quantiles - theirs)
        area = float((apart[1:] + apart[:-1]).sum()) / (2 * steps)
        ranges = float(quantiles[-1] - quantiles[0] + current[-1] - current[0])
    return wasserstein(area, _known(standard_deviation), (n, len(current)), resolution=ranges / steps)


def _distribution(counts: NDArray[np.int64]) -> Floats:
    return np.concatenate(([0.0], np.cumsum(counts) / counts.sum()))


def _known(standard_deviation: float | None) -> float:
    if standard_deviation is None:
        raise NotMeasured("wasserstein: the base's standard deviation, which is its unit, is not known")
    return standard_deviation


def _tied(deciles: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the distinct deciles, and which of them are more than one."""
    cuts, times = np.unique(deciles, return_counts=True)
    return cuts, times > 1


def _counts(values: Floats, cuts: Floats, alone: NDArray[np.bool_]) -> NDArray[np.int64]:
    upto, below = np.searchsorted(values, cuts, "right"), np.searchsorted(values, cuts[alone], "left")
    ends = np.sort(np.concatenate((upto, below)))
    return np.diff(ends, prepend=0, append=len(values)).astype(np.int64)
