"""Passes over all rows that serve all groups: a metric by group, and the influence of each row within its group.

Rows are sorted by group with a radix sort, and sums are taken by group. A ranking within groups needs no sort of scores
by group: a stable sort by group of rows that are in the order of their scores leaves each group in that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from passmuster.errors import UsageError
from passmuster_checks.statistics import inference
from passmuster_checks.statistics.metrics import Metric
from passmuster_checks.statistics.scored import Floats, Scored

Codes = NDArray[Any]  #: shape (n,), unsigned integers: each row's group in 0 … k - 1; k where it is in none

#: Where a group's largest influence is so much smaller than the largest of all, its fourth power would vanish.
_VANISHING = 1e-60

#: Rows that are worked on at a time, so that what is made in between stays in the processor's cache.
_BLOCK = 1 << 15

#: Metrics that are a mean over rows, or its root, hence defined on any row.
MEANS = {
    "accuracy_score",
    "log_loss",
    "brier_score_loss",
    "mean_squared_error",
    "mean_absolute_error",
    "mean_pinball_loss",
    "root_mean_squared_error",
}

RANKINGS = {"roc_auc_score", "roc_auc_score_ovr"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Rows sorted by group, those of a group in the order that they came in; m of n rows are in a group."""

    codes: Codes
    order: NDArray[np.intp]  #: shape (m,)
    starts: NDArray[np.int64]  #: shape (k,)
    sizes: NDArray[np.int64]  #: shape (k,)

    @classmethod
    def of(cls, codes: Codes, k: int) -> Cells:
        sizes = np.bincount(codes, minlength=k + 1)
        if len(sizes) > k + 1 or k < 1 or not sizes[:k].all():
            raise UsageError(f"group codes must be 0 to {k}, and each group but the last must have rows")
        order = np.argsort(codes, kind="stable")[: len(codes) - sizes[k]]
        ends = np.cumsum(sizes[:k])
        return cls(codes=codes, order=order, starts=ends - sizes[:k], sizes=sizes[:k])

    @property
    def k(self) -> int:
        return len(self.sizes)

    def sums(self, values: NDArray[Any]) -> Floats:
        found: Floats = np.add.reduceat(values, self.starts, dtype=np.float64)
        return found

    def largest(self, values: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = np.maximum.reduceat(values, self.starts)
        return found

    def each(self, of_group: NDArray[Any]) -> NDArray[Any]:
        """Return the group's number for each sorted row."""
        return np.repeat(of_group, self.sizes)

    @cached_property
    def even(self) -> NDArray[np.int64]:
        """Twice each sorted row's group: where the first of two numbers by group stands that a table has in turn."""
        return self.each(2 * np.arange(self.k))

    def rows(self, group: int) -> NDArray[np.intp]:
        start = self.starts[group]
        return np.sort(self.order[start : start + self.sizes[group]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """One model's metric in each of k groups."""

    value: Floats  #: shape (k,)
    influence: Floats  #: shape (m,): of each sorted row on its group's value
    support: Floats  #: shape (k,): rows that the weakest part rests on, as `Components.support`


class Kernel(Protocol):
    """One model's metric by group, in one pass."""

    method: str

    def of(self, cells: Cells) -> Found:
        """Return the values with all that their uncertainty follows from."""


class Loss:
    """The mean of losses, or its square root; influences as in `metrics`."""

    def __init__(self, losses: Floats, method: str, *, root: bool = False) -> None:
        self._losses, self._root, self.method = losses, root, method

    def of(self, cells: Cells) -> Found:
        influence = self._losses[cells.order]
        value = cells.sums(influence) / cells.sizes
        influence -= cells.each(value)
        if self._root:
            value = np.sqrt(value)
            influence /= cells.each(np.where(value, 2 * value, 1.0))
        return Found(value=value, influence=influence, support=cells.sizes.astype(np.float64))


class Ranking:
    """ROC AUC by group with DeLong's components, as `ranking.roc_auc`; mid-ranks where scores are tied."""

    method = "DeLong"

    def __init__(self, score: Floats, positive: NDArray[np.bool_]) -> None:
        self._order = None if (score[1:] >= score[:-1]).all() else np.argsort(score)
        ordered = score if self._order is None else score[self._order]
        self._positive = (positive if self._order is None else positive[self._order]).astype(np.uint8)
        changes = ordered[1:] != ordered[:-1]
        self._rank = None if changes.all() else np.cumsum(np.append(False, changes), dtype=np.int32)
        self._place = None if self._order is None else _inverse(self._order)

    def of(self, cells: Cells) -> Found:
        if self._order is None or self._place is None:
            return self._components(cells.order, cells)
        places = np.argsort(cells.codes.take(self._order), kind="stable")[: len(cells.order)]
        found = self._components(places, cells)
        by_score = np.empty(len(cells.codes))
        by_score[places] = found.influence
        return replace(found, influence=by_score.take(self._place.take(cells.order)))

    def _components(self, places: NDArray[np.intp], cells: Cells) -> Found:
        """Return values and influences of rows that are sorted by group, then by score."""
        positive = self._positive.take(places)
        n_positive = np.add.reduceat(positive, cells.starts, dtype=np.int64)
        n_negative = cells.sizes - n_positive
        index = self._rightly(places, cells, positive, n_positive)
        with np.errstate(divide="ignore", invalid="ignore"):  # the caller says where a class has too few rows
            value = cells.sums(index * positive) / (n_positive * n_negative)
            scale = np.column_stack([_scale(cells.sizes, n_negative), _scale(cells.sizes, n_positive)])
            factor, centre = scale / np.column_stack([n_positive, n_negative]), scale * value[:, None]
            for part in _blocks(len(index)):
                kind = cells.even[part] + positive[part].astype(np.int64)
                index[part] *= factor.take(kind)
                index[part] -= centre.take(kind)
        return Found(value=value, influence=index, support=np.minimum(n_positive, n_negative).astype(np.float64))

    def _rightly(
        self, places: NDArray[np.intp], cells: Cells, positive: NDArray[np.uint8], n_positive: NDArray[np.int64]
    ) -> Floats:
        """Return to how many of the other class each row stands rightly, those with which it is tied as halves.

        A positive row does to those below, a negative one to those above.
        """
        upto = np.cumsum(n_positive)
        base = np.column_stack([upto, upto - n_positive - cells.starts])
        found = np.empty(len(places))
        ties = None if self._rank is None else _middles(self._rank.take(places), cells, positive)
        before = 0
        for part in _blocks(len(places)):
            here = positive[part].astype(np.int64)
            positives: NDArray[Any]
            rows: NDArray[Any]
            if ties is None:
                positives = np.cumsum(here) + before
                before = int(positives[-1])
                rows = np.arange(part.start + 1, part.stop + 1)
            else:
                positives, rows = ties[0][part], ties[1][part]
            rows *= here
            rows -= positives
            rows += base.take(cells.even[part] + here)
            found[part] = rows
        return found


def _inverse(order: NDArray[np.intp]) -> NDArray[np.intp]:
    found = np.empty_like(order)
    found[order] = np.arange(len(order))
    return found


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _BLOCK):
        yield slice(start, min(start + _BLOCK, rows))


def _middles(rank: NDArray[np.int32], cells: Cells, positive: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return the positive rows, and all rows, up to the middle of each row's ties; counted from the first row."""
    first = np.append(True, rank[1:] != rank[:-1])
    first[cells.starts] = True
    begins = np.flatnonzero(first)
    ends = np.append(begins[1:], len(rank))
    before = np.append(0, np.cumsum(positive, dtype=np.int64))
    middles = (before[begins] + before[ends]) / 2, (begins + ends) / 2
    return np.repeat(middles[0], ends - begins), np.repeat(middles[1], ends - begins)


class Average:
    """The mean of several rankings, one for each class against the rest."""

    method = "DeLong"

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        self._kernels = kernels

    def of(self, cells: Cells) -> Found:
        parts = [kernel.of(cells) for kernel in self._kernels]
        return Found(
            value=np.mean([part.value for part in parts], axis=0),
            influence=np.mean([part.influence for part in parts], axis=0),
            support=np.min([part.support for part in parts], axis=0),
        )


def _scale(n: NDArray[np.int64], n_class: NDArray[np.int64]) -> Floats:
    n_, of_class = n.astype(np.float64), n_class.astype(np.float64)
    found: Floats = np.sqrt(n_ * (n_ - 1) / (of_class * (of_class - 1)))
    return found


def ranked(chosen: Metric, scored: Scored) -> NDArray[np.intp] | None:
    """Return the rows in the order of the scores that a binary ranking is of: in it, passes need no more sorting."""
    if chosen.name not in RANKINGS or scored.positive is None or scored.probabilities is None:
        return None
    return np.argsort(scored.probabilities[:, scored.positive])


def kernel(chosen: Metric, scored: Scored, order: NDArray[np.intp] | None) -> Kernel | None:
    """Return how the metric is computed by group, of rows in `order`; None where each group is computed by itself."""
    if chosen.name in RANKINGS:
        assert scored.probabilities is not None
        codes = range(len(scored.classes)) if scored.positive is None else [scored.positive]
        rows = slice(None) if order is None else order
        each = [Ranking(scored.probabilities[:, code][rows].copy(), scored.label[rows] == code) for code in codes]
        return each[0] if len(each) == 1 else Average(each)
    if chosen.name not in MEANS:
        return None
    if chosen.name == "accuracy_score":
        return Loss((scored.label == scored.prediction).astype(np.float64), "delta method")
    if chosen.name == "root_mean_squared_error":
        return Loss(_losses(chosen.name, scored), "delta method", root=True)
    return Loss(_losses(chosen.name, scored), "Student's t")


def _losses(name: str, scored: Scored) -> Floats:
    """Return what each row loses, as `metrics` has it."""
    if scored.probabilities is None:
        error = np.abs(scored.label - scored.prediction)
        return np.asarray({"mean_absolute_error": error, "mean_pinball_loss": error / 2}.get(name, error**2))
    if name == "log_loss":
        epsilon = np.finfo(np.float64).eps
        given = scored.probabilities[np.arange(scored.n), scored.label]
        return np.asarray(-np.log(np.clip(given, epsilon, 1 - epsilon)))
    squares: Floats = (scored.probabilities[:, scored.positive] - (scored.label == scored.positive)) ** 2
    return squares


# ── spreads and quantiles ──────────────────────────────────────────────────────────────────────────────────────────


def spreads(influence: Floats, cells: Cells, value: Floats) -> tuple[Floats, Floats]:
    """Return standard error and degrees of freedom of each group; 0 and 0 where the rows show no spread."""
    n = cells.sizes.astype(np.float64)
    largest = cells.largest(np.abs(influence))
    top = float(np.max(largest, where=np.isfinite(largest), initial=0.0)) or 1.0
    squares = influence / top
    squares *= squares
    total = cells.sums(squares)
    squares *= squares
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = n * cells.sums(squares) / total**2 - 1
        freedom = np.where(excess > 0, np.minimum(n - 1, 2 * n / excess), n - 1)
        error = top * np.sqrt(total / (n * (n - 1)))
    none = (cells.sizes < 2) | (largest <= inference._CONSTANT * np.abs(value))
    error[none], freedom[none] = 0.0, 0.0
    for group in np.flatnonzero(~none & (largest < _VANISHING * top)):
        start = cells.starts[group]
        one = inference._spread(influence[start : start + cells.sizes[group]], float(value[group]))
        error[group], freedom[group] = one.error, one.freedom
    return error, freedom


def student(level: float, freedom: Floats) -> Floats:
    """Return the quantile by group; 0 where there are no degrees of freedom."""
    found: Floats = special.stdtrit(np.where(freedom > 0, freedom, 1.0), (1 + level) / 2)
    return np.where(freedom > 0, found, 0.0)
