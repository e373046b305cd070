"""Labelled answers of one model: what every metric is computed from.

Everything that can't be measured is refused here, once: after that the metrics may count on finite numbers, known
classes and equal lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passmuster.errors import NotMeasured

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: How far the probabilities of a row may be from summing to 1.
SUM_TOLERANCE = 1e-6

#: The largest number whose squares, summed over any number of rows, are still finite.
LARGEST = 1e100


class Task(StrEnum):
    """What the model answers with."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """A column of which each different value is kept once: row i holds `values[codes[i]]`."""

    codes: NDArray[Any]  #: shape (n,), integers
    values: Sequence[object]

    @classmethod
    def plainly(cls, column: NDArray[Any]) -> Self:
        """Return a column with a value of its own for each row, equal or not."""
        return cls(codes=np.arange(len(column)), values=column.tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """The labels of `n` rows and one model's answers on them; made by `classification` or `regression`.

    Classes are kept as codes: positions in `classes`. Arrays are read-only.
    """

    task: Task
    label: NDArray[Any]  #: shape (n,): codes (int64), or numbers (float64) in regression
    prediction: NDArray[Any]  #: shape (n,), as `label`
    probabilities: Floats | None = None  #: shape (n, k), columns in the order of `classes`
    classes: tuple[object, ...] = ()  #: k of them; none in regression
    positive: int | None = None  #: the positive class's code; binary only

    @classmethod
    def classification(
        cls,
        *,
        label: ArrayLike | Encoded,
        prediction: ArrayLike | Encoded,
        classes: Sequence[object],
        positive: object = None,
        probabilities: ArrayLike | None = None,
    ) -> Self:
        """Return checked answers of a classifier.

        Args:
            label: shape (n,), values of `classes`.
            prediction: shape (n,), values of `classes`.
            classes: all classes, at least two; two are binary and need `positive`, more are multiclass.
            positive: the positive one of two classes.
            probabilities: shape (n, k), one column per class in the order of `classes`; each row sums to 1.

        Raises:
            NotMeasured: no rows, unequal lengths, a value that is missing or not a class, labels of one class only,
                probabilities that are not finite, outside [0, 1], or that do not sum to 1.
        """
        known = _distinct(classes)
        task = Task.BINARY if len(known) == 2 else Task.MULTICLASS
        if (task is Task.BINARY) != (positive in known):
            raise NotMeasured(
                f"the positive class is {positive!r} and the classes are {_some(known)}: name one of two classes, or "
                "more than two classes and none"
            )
        codes = _encode(label, known, "label")
        predicted = _encode(prediction, known, "prediction")
        _same_length(len(codes), prediction=len(predicted))
        if (codes == codes[0]).all():
            raise NotMeasured(
                f"all {len(codes):,} labels are {known[codes[0]]!r}: one class alone says nothing about a classifier; "
                "look at how the rows were selected"
            )
        return cls(
            task=task,
            label=codes,
            prediction=predicted,
            probabilities=None if probabilities is None else _probabilities(probabilities, len(codes), len(known)),
            classes=known,
            positive=known.index(positive) if task is Task.BINARY else None,
        )

    @classmethod
    def regression(cls, *, label: ArrayLike, prediction: ArrayLike) -> Self:
        """Return checked answers of a regression: both of shape (n,), in the label's unit.

        Raises:
            NotMeasured: no rows, unequal lengths, or a value that is not a finite number up to `LARGEST`.
        """
        labels, predictions = _numbers(label, "label"), _numbers(prediction, "prediction")
        _same_length(len(labels), prediction=len(predictions))
        return cls(task=Task.REGRESSION, label=labels, prediction=predictions)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.label)

    def take(self, rows: ArrayLike) -> Self:
        """Return the answers on `rows` (a mask of shape (n,), or positions), e.g. of one segment.

        A segment may hold one class only; metrics that need more refuse it by themselves.

        Raises:
            NotMeasured: no row is left.
        """
        chosen = np.asarray(rows)
        labels = self.label[chosen]
        if not len(labels):
            raise NotMeasured("no row is left: nothing can be measured on zero rows")
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        return replace(self, label=labels, prediction=self.prediction[chosen], probabilities=probabilities)


def _distinct(classes: Sequence[object]) -> tuple[object, ...]:
    known = tuple(classes)
    if len(known) < 2 or len(set(known)) != len(known):
        raise NotMeasured(f"the classes are {_some(known)}: at least two are needed, each named once")
    return known


def _some(values: Sequence[object]) -> str:
    shown = ", ".join(repr(value) for value in values[:5])
    return f"({shown}, … {len(values)} in all)" if len(values) > 5 else f"({shown})"


def _column(values: ArrayLike, what: str) -> NDArray[Any]:
    column = np.asarray(values)
    if column.ndim != 1:
        raise NotMeasured(f"{what}: one value per row is needed, not an array of shape {column.shape}")
    if not len(column):
        raise NotMeasured(f"{what}: there are no rows; nothing can be measured on zero rows")
    return column


def _encode(given: ArrayLike | Encoded, classes: tuple[object, ...], what: str) -> Codes:
    column = given if isinstance(given, Encoded) else Encoded.plainly(_column(given, what))
    rows = _column(column.codes, what)
    position = {value: code for code, value in enumerate(classes)}
    try:
        known = np.fromiter((position.get(value, -1) for value in column.values), np.int64, len(column.values))
    except TypeError as exc:
        raise NotMeasured(f"{what}: {exc}; a class must be a plain value") from exc
    codes = known[rows]
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        raise NotMeasured(
            f"{what}: {len(unknown):,} of {len(rows):,} values are missing or not a class, first "
            f"{column.values[rows[unknown[0]]]!r} in row {unknown[0]:,}; the classes are {_some(classes)}"
        )
    return _frozen(codes)


def _numbers(values: ArrayLike, what: str) -> Floats:
    column = _column(values, what)
    if column.dtype.kind not in "fiub":
        raise NotMeasured(f"{what}: numbers are needed, not {column.dtype}")
    numbers = _finite(column.astype(np.float64), what)
    largest = np.abs(numbers).max()
    if largest > LARGEST:
        raise NotMeasured(f"{what}: up to {largest:.3g}; beyond {LARGEST:.0e} squares can't be told from infinity")
    return numbers


def _finite(numbers: Floats, what: str) -> Floats:
    bad = int(np.count_nonzero(~np.isfinite(numbers)))
    if bad:
        raise NotMeasured(
            f"{what}: {bad:,} of {numbers.size:,} values are NaN or infinite; the model must answer each row"
        )
    return _frozen(numbers)


def _probabilities(values: ArrayLike, n: int, k: int) -> Floats:
    table = np.asarray(values)
    if table.dtype.kind not in "fiub":
        raise NotMeasured(f"probabilities: numbers are needed, not {table.dtype}")
    if table.shape != (n, k):
        raise NotMeasured(f"probabilities: of shape {table.shape}, but {n:,} rows of {k} classes need {(n, k)}")
    table = _finite(table.astype(np.float64), "probabilities")
    low, high = table.min(), table.max()
    if low < 0 or high > 1:
        raise NotMeasured(f"probabilities: between {low:.6g} and {high:.6g}, outside [0, 1]; are they scores?")
    worst = np.abs(table.sum(axis=1) - 1).max()
    if worst > SUM_TOLERANCE:
        raise NotMeasured(f"probabilities: rows must sum to 1; one is off by {worst:.2g}. Is a class's column missing?")
    return table


def _same_length(n: int, **others: int) -> None:
    for what, length in others.items():
        if length != n:
            raise NotMeasured(f"{what}: {length:,} rows, but there are {n:,} labels; the rows must be the same")


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
