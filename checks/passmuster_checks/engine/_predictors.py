"""How well one feature alone tells the label: the sign of a leak is a feature that tells it nearly always.

A feature's rows are put in bins (a category each, or quantiles of numbers; missing values are one), and each bin's mean
label is learnt on one half of the rows and tried on the other, so that categories and curves show, and noise does not.
Numbers are also tried by their order alone, on all rows. From counts per bin, half and class everything follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passmuster.errors import NotMeasured
from passmuster_checks.engine import _hash
from passmuster_checks.engine._facts import Predictor

#: Bins of numbers; with ties inside a bin as halves, an AUC is off by at most half a bin of rows: 0.4 %.
BINS = 128

#: Classes that are tried, the most frequent; and the rows of a class that each half needs, or chance looks like a leak.
MOST_CLASSES, FEWEST = 20, 20

#: Cells of the table of a column of categories; rarer ones share a bin beyond that.
MOST_CELLS = 1 << 24

#: Cells that bins of numbers are joined from, and how many bins' worth of rows one may hold.
_CELLS, _CROWDED = 4096, 2

#: Rows that are counted at a time.
_BLOCK = 1 << 18

#: What is left of a sum of squares by rounding alone.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """The labels of a classifier's train rows."""

    names: Sequence[str]  #: of the k classes that are tried
    groups: NDArray[np.uint8]  #: shape (n,): class (k: any other) + (k + 1)·half, or 2·(k + 1): the label is missing


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranks:
    """The labels of a regression's train rows, as ranks in (0, 1), so that far values do not count for all."""

    values: NDArray[np.float64]  #: shape (n,)
    half: NDArray[np.uint8]  #: shape (n,): 0, 1, or 2: the label is missing


Target = Classes | Ranks


def classes(codes: NDArray[np.int32], names: Sequence[str], counts: NDArray[np.int64]) -> Classes:
    """Return the target of a classifier.

    Args:
        codes: shape (n,): the class of each row, or `len(names)`: missing.
        names: of all classes.
        counts: rows of each.
    """
    order = np.argsort(-counts, kind="stable")
    tried = order[:MOST_CLASSES]
    k = len(tried)
    place = np.full(len(names) + 1, k, dtype=np.uint8)
    place[tried] = np.arange(k)
    groups = place[codes] + np.uint8(k + 1) * halves(len(codes))
    groups[codes == len(names)] = 2 * (k + 1)
    return Classes(names=[names[i] for i in tried], groups=groups)


def ranks(values: NDArray[np.float64]) -> Ranks:
    """Return the target of a regression: mid-ranks over n.

    Args:
        values: shape (n,), NaN where a label is missing.
    """
    order = np.argsort(values)  # NaN last
    n = len(values) - int(np.isnan(values).sum())
    ordered = values[order[:n]]
    left, right = np.searchsorted(ordered, ordered, "left"), np.searchsorted(ordered, ordered, "right")
    found, half = np.zeros(len(values)), halves(len(values))
    found[order[:n]] = (left + right) / (2 * n) if n else 0.0
    half[order[n:]] = 2
    return Ranks(values=found, half=half)


def halves(rows: int) -> NDArray[np.uint8]:
    """Return 0 or 1 for each row: to learn from, or to try on; as if by chance, always the same."""
    found = np.empty(rows, dtype=np.uint8)
    for i in range(0, rows, _hash.BLOCK):
        places = np.arange(i, min(i + _hash.BLOCK, rows), dtype=np.uint64)
        found[i : i + _hash.BLOCK] = _hash.mix(places) & np.uint64(1)
    return found


def of_codes(codes: NDArray[np.int32], bins: int, target: Target, *, ordered: bool) -> Predictor:
    """Return how well bins tell the label.

    Args:
        codes: shape (n,): the bin of each row; the last bin is that of missing values.
        bins: how many there are.
        target: the labels of the same rows.
        ordered: bins but the last are in the order of their values.

    Raises:
        NotMeasured: too few rows, or the label does not vary.
    """
    if isinstance(target, Classes):
        return of_classes(_table(codes, bins, target), target.names, ordered=ordered)
    return of_ranks(_moments(codes, bins, target))


def _table(codes: NDArray[np.int32], bins: int, target: Classes) -> NDArray[np.int64]:
    """Return rows by bin, half and class, shape (bins, 2, classes + 1)."""
    k = len(target.names) + 1
    width = 2 * k + 1
    cells = min(bins, MOST_CELLS // width)
    total = np.zeros(cells * width, dtype=np.int64)
    step = max(_BLOCK, len(total))
    for i in range(0, len(codes), step):
        cell = codes[i : i + step] % cells if bins > cells else codes[i : i + step]
        total += np.bincount(cell.astype(np.int64) * width + target.groups[i : i + step], minlength=len(total))
    return total.reshape(cells, width)[:, :-1].reshape(cells, 2, k)


def of_classes(table: NDArray[np.int64], names: Sequence[str], *, ordered: bool) -> Predictor:
    """Return how well bins tell the label of a classifier.

    Args:
        table: shape (bins, 2, k + 1): rows by bin, half and class, the last one any other.
        names: of the k classes that are tried.
        ordered: as in `of_codes`.

    Raises:
        NotMeasured: too few rows.
    """
    rows = table.sum(axis=2)
    found: list[tuple[float, str]] = []
    for code, name in enumerate(names):
        ours = table[:, :, code]
        others = rows - ours
        if min(*ours.sum(axis=0), *others.sum(axis=0)) < FEWEST:
            continue
        mean = ours[:, 0].sum() / rows[:, 0].sum()
        learnt = (ours[:, 0] + mean) / (rows[:, 0] + 1)
        found.append((max(0.5, _auc(learnt, ours[:, 1], others[:, 1])), name))
        if ordered:
            found.append((_by_order(ours.sum(axis=1), others.sum(axis=1)), name))
    if not found:
        raise NotMeasured(f"no class has {FEWEST} rows, and {FEWEST} others, in each half of the train rows")
    score, of = max(found)
    return Predictor(score=score, metric="roc_auc_score", n=int(table.sum()), of=of)


def _by_order(ours: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return the AUC of the bins' order, either way, with missing values (the last bin) at the better end."""
    bins = np.arange(len(ours))
    found = [_auc(np.append(bins[1:], last), ours, others) for last in (0, len(bins))]
    return max(*found, *(1 - auc for auc in found))


def _auc(score: NDArray[np.float64] | NDArray[np.int64], ours: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve of bins with these scores; rows of equal score count half."""
    values, place = np.unique(score, return_inverse=True)
    a, b = (np.bincount(place, weights=counts, minlength=len(values)) for counts in (ours, others))
    return float((a * (np.cumsum(b) - b / 2)).sum() / (a.sum() * b.sum()))


def _moments(codes: NDArray[np.int32], bins: int, target: Ranks) -> NDArray[np.float64]:
    """Return rows, sum and sum of squares of the labels by half and bin, shape (2, 3, bins)."""
    found = np.empty((2, 3, bins))
    for half in (0, 1):
        here, y = codes[target.half == half], target.values[target.half == half]
        for power in range(3):
            found[half, power] = np.bincount(here, weights=y**power, minlength=bins)
    return found


def of_ranks(moments: NDArray[np.float64]) -> Predictor:
    """Return how well bins tell the label of a regression.

    Args:
        moments: shape (2, 3, bins): of each half and bin the rows, the sum of the labels' ranks, and that of squares.

    Raises:
        NotMeasured: too few rows, or the label does not vary.
    """
    (rows, sums, _), (tried, tried_sums, squares) = moments
    if min(rows.sum(), tried.sum()) < FEWEST:
        raise NotMeasured(f"fewer than {FEWEST} rows with a label in a half of the train rows")
    spread = float(squares.sum() - tried_sums.sum() ** 2 / tried.sum())
    if spread <= _ROUNDING * float(squares.sum()):
        raise NotMeasured("the label does not vary")
    # Not shrunk to the mean: a feature that tells the label nearly perfectly must reach a score of nearly one.
    guess = np.where(rows > 0, sums / np.maximum(rows, 1), sums.sum() / rows.sum())
    left = float((squares - 2 * guess * tried_sums + guess**2 * tried).sum())
    return Predictor(score=min(1.0, max(0.0, 1 - left / spread)), metric="r2_score", n=int(rows.sum() + tried.sum()))


def bins_of_numbers(raw: NDArray[np.float64], ordered: NDArray[np.float64]) -> tuple[NDArray[np.int32], int]:
    """Return the bin of each number, and how many bins there are; the last is that of NaN.

    Bins are in the order of the numbers, and hold about equally many.

    Args:
        raw: shape (n,), NaN where one is missing.
        ordered: the same ascending, without NaN.
    """
    cells = _Cells.of(ordered)
    codes = np.empty(len(raw), dtype=np.int32)
    places = np.linspace(0, len(ordered) - 1, BINS + 1)[1:-1].astype(np.int64) if len(ordered) else np.zeros(0, int)
    edges = np.unique(ordered[places])
    bins = BINS if cells else len(edges) + 1
    for i in range(0, len(raw), _hash.BLOCK):
        block = raw[i : i + _hash.BLOCK]
        codes[i : i + _hash.BLOCK] = cells.bins(block) if cells else np.searchsorted(edges, block, side="left")
    if len(ordered) < len(raw):
        codes[np.isnan(raw)] = bins
    return codes, bins + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """Bins that are found by arithmetic: fine cells of equal width, several to a bin. A search costs ten times that."""

    low: float
    scale: float  #: cells per unit
    bin: NDArray[np.int32]  #: shape (cells,)

    @classmethod
    def of(cls, ordered: NDArray[np.float64]) -> _Cells | None:
        """Return such bins; None where numbers are so unequally spread, or so few, that some would hold too many."""
        n = len(ordered)
        low, high = (float(ordered[int(n * share)]) for share in (0.005, 0.995)) if n else (0.0, 0.0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            scale = _CELLS / np.float64(high - low)
        if not (np.isfinite(scale) and 0 < scale < 1e300 and np.isfinite(low)):
            return None
        # Rows below each cell; what is beyond either end goes to the cells there.
        below = np.searchsorted(ordered, low + np.arange(1, _CELLS) / scale)
        rows = np.diff(below, prepend=0, append=n)
        if rows.max() > _CROWDED * n / BINS:
            return None
        return cls(low=low, scale=float(scale), bin=np.append(0, below * BINS // n).astype(np.int32))

    def bins(self, values: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the bin of each number; of NaN, any."""
        with np.errstate(over="ignore", invalid="ignore"):
            cell = np.fmin(np.fmax((values - self.low) * self.scale, 0), _CELLS - 1)
        return self.bin.take(cell.astype(np.int64))
