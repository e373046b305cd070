"""Gate `segments`: candidate against champion within each value of the declared columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Failure, Measurement, NotApplicable
from passmuster.planning import simultaneous
from passmuster_checks import _data
from passmuster_checks._compared import compared
from passmuster_checks._text import shown
from passmuster_checks.statistics import Scored

#: A column of numbers with more distinct values than this is cut at its quartiles.
DISTINCT = 20

#: Small segments that are named one by one; of the rest only the count is.
NAMED = 100

#: Rows of each class that a segment of a classifier needs, for a ranking within it.
OF_EACH_CLASS = 2

MISSING = "(missing)"


@dataclass(kw_only=True)
class _Column:
    """The segments of one column, told apart by whether they are large enough."""

    name: str
    large: dict[str, NDArray[np.int64]] = field(default_factory=dict)  #: value → positions among the compared rows
    small: dict[str, int] = field(default_factory=dict)  #: value → rows


class Segments:
    """Measures where the candidate is worse than the champion, with simultaneous intervals (Bonferroni)."""

    name = "segments"
    needs = frozenset({"data", "predictions", "champion"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each segment with enough rows, named `column=value`, signed: more is better."""
        ours, theirs, left_out = _data.pair(inputs)
        settings = inputs.config.gates.segments
        columns: list[_Column] = []
        measured: list[Measurement] = []
        for name in _columns(inputs):
            try:
                columns.append(_cut(name, inputs, ours, settings.min_rows))
            except NotMeasured as exc:
                measured.append(Failure(gate=self.name, name=name, reason=str(exc)))
        metric = settings.metric or next(iter(inputs.config.gates.champion.rules))
        if not columns and not measured:
            columns = [_Column(name=metric, large={"": np.arange(ours.scored.n)})]
        level = simultaneous(inputs.false_alarms, max(sum(len(column.large) for column in columns), 1))
        for column in columns:
            measured += self._of_column(column, ours.scored, theirs.scored, metric, level, left_out)
        return measured

    def _of_column(
        self, column: _Column, ours: Scored, theirs: Scored, metric: str, level: float, left_out: int | None
    ) -> Iterator[Measurement]:
        small = dict(list(column.small.items())[:NAMED])
        details = {"metric": metric, "left_out": left_out, "too_small": small, "too_small_count": len(column.small)}
        if not column.large:
            yield NotApplicable(
                gate=self.name,
                name=column.name,
                reason="too-few-rows",
                message=f"none of {len(column.small):,} segments has the rows, and each class in them, to be judged",
                details=details,
            )
        for value, rows in column.large.items():
            name = f"{column.name}={value}" if value else column.name
            yield compared(self.name, name, metric, ours.take(rows), theirs.take(rows), level=level, details=details)


def _columns(inputs: Inputs) -> tuple[str, ...]:
    data = inputs.config.data
    return inputs.config.gates.segments.columns or tuple(dict.fromkeys((*data.protected, *data.categorical)))


def _cut(name: str, inputs: Inputs, answers: _data.Answers, min_rows: int) -> _Column:
    """Return the segments of a column among the compared rows; missing values are a segment of their own."""
    values = _data.column(inputs.data[_data.TEST], name).take(pa.array(answers.rows))
    labels = _labels(values)
    found = _Column(name=name)
    words, codes = np.unique(labels, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(words)))
    for word, rows in zip(words.tolist(), np.split(order, ends[:-1]), strict=True):
        if len(rows) >= min_rows and _has_all_classes(answers.scored, rows, inputs.config.task):
            found.large[word] = np.sort(rows)
        else:
            found.small[word] = len(rows)
    return found


def _has_all_classes(scored: Scored, rows: NDArray[np.int64], task: Task) -> bool:
    if task is Task.REGRESSION:
        return True
    return bool(np.bincount(scored.label[rows], minlength=len(scored.classes)).min() >= OF_EACH_CLASS)


def _labels(values: pa.Array) -> NDArray[Any]:
    """Return the name of each row's segment, shape (n,)."""
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)
    if numeric and len(values.drop_null().unique()) > DISTINCT:
        return _quartiles(_data.numbers(values))
    words = _data.texts(values)
    names = {word: MISSING if word is None else _named(word) for word in set(words.tolist())}
    return np.array([names[word] for word in words.tolist()], dtype=str)


def _named(word: str) -> str:
    return repr(word) if word in ("", MISSING) else shown(word)


def _quartiles(numbers: NDArray[np.float64]) -> NDArray[Any]:
    there = ~np.isnan(numbers)
    edges = np.unique(np.quantile(numbers[there], [0, 0.25, 0.5, 0.75, 1]))
    if not np.isfinite(edges).all():
        raise NotMeasured("the column holds infinite values, so it has no quartiles")
    inner = edges[1:-1]
    cell = np.searchsorted(inner, numbers, side="right")
    names = [
        f"{low:.6g} to {'below ' if last is False else ''}{high:.6g}"
        for low, high, last in zip(edges[:-1], edges[1:], [*[False] * (len(edges) - 2), True], strict=True)
    ] or [f"{edges[0]:.6g}"]
    found = np.array([*names, MISSING], dtype=str)
    return found[np.where(there, cell, len(names))]
