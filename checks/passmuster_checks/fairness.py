"""Gate `fairness`: rates by group of the protected columns, and how far the groups are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Estimate, Failure, Measurement, NotApplicable
from passmuster.planning import simultaneous
from passmuster_checks import _arrow, _data, _groups
from passmuster_checks.decision import decided
from passmuster_checks.statistics import Scored
from passmuster_checks.statistics.rates import Rates, largest_difference, smallest_ratio
from passmuster_checks.statistics.shares import wilson

#: Groups that are named one by one; of the rest only the count is.
NAMED = 100


class Fairness:
    """Measures how far the decisions on the groups are apart, with simultaneous intervals."""

    name = "fairness"
    needs = frozenset({"data", "predictions"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each protected column and limit, named as in `Age::demographic_parity_ratio`."""
        columns = inputs.config.gates.fairness.columns or inputs.config.data.protected
        if inputs.config.task is not Task.BINARY:
            return [self._not_applicable("wrong-task", "rates by group are those of two classes")]
        if not columns:
            return [self._not_applicable("no-protected-columns", "the config names none")]
        answers = _data.candidate(inputs)
        scored = decided(answers.scored, inputs.config.gates.decision.threshold)
        level = simultaneous(inputs.false_alarms, len(columns) * len(inputs.config.gates.fairness.limits))
        return [
            m for column in columns for m in self._of_column(column, inputs, replace(answers, scored=scored), level)
        ]

    def _not_applicable(self, reason: str, message: str) -> NotApplicable:
        return NotApplicable(gate=self.name, name=self.name, reason=reason, message=message)

    def _of_column(self, column: str, inputs: Inputs, answers: _data.Answers, level: float) -> list[Measurement]:
        settings = inputs.config.gates.fairness
        names = [f"{column}::{metric}" for metric in settings.limits]
        try:
            values = _data.column(inputs.data[_data.TEST], column).take(_arrow.from_numpy(answers.rows))
            found = _by_group(values, answers.scored, settings.min_rows)
            _refuse_constant(answers.scored)
        except NotMeasured as exc:
            return [Failure(gate=self.name, name=name, reason=str(exc)) for name in names]
        details = found.details(inputs.config.policy.confidence)
        return [
            self._one(name, metric, found, level, details) for name, metric in zip(names, settings.limits, strict=True)
        ]

    def _one(self, name: str, metric: str, found: _Counts, level: float, details: dict[str, Any]) -> Measurement:
        measure = smallest_ratio if metric.endswith("_ratio") else largest_difference
        try:
            measured = measure(found.families(metric), level)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=name, reason=str(exc), details=details)
        return Estimate(
            gate=self.name,
            name=name,
            value=measured.value,
            n=measured.n,
            interval=measured.interval,
            standard_error=measured.standard_error,
            details=details,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Counts:
    """The counts of the g groups with enough rows; arrays of shape (g,)."""

    names: list[str]
    rows: NDArray[np.float64]
    positives: NDArray[np.float64]  #: rows with the positive label
    selected: NDArray[np.float64]  #: rows decided positive
    hits: NDArray[np.float64]  #: both
    predicted: NDArray[np.float64] | None  #: sum of the positive class's probabilities
    small: dict[str, int]  #: name → rows, of the groups that are too small

    def families(self, metric: str) -> list[Rates]:
        """Return the rates that the metric compares."""
        if metric.startswith("demographic_parity"):
            return [Rates(self.selected, self.rows)]
        true, false = self._true_positives(), self._false_positives()
        for what, (_, trials) in (("positive", true), ("negative", false)):
            if not trials.all():
                without = [name for name, some in zip(self.names, trials.tolist(), strict=True) if not some]
                raise NotMeasured(f"groups {', '.join(without[:5])} have no {what} row: no rate can be compared")
        return [true, false]

    def details(self, level: float) -> dict[str, Any]:
        """Return the table for people: of each group its rows and rates with Wilson's intervals."""
        rates = {
            "selection_rate": Rates(self.selected, self.rows),
            "true_positive_rate": self._true_positives(),
            "false_positive_rate": self._false_positives(),
        }
        table: list[dict[str, Any]] = [
            {"group": name, "rows": int(rows)}
            for name, rows in zip(self.names[:NAMED], self.rows.tolist(), strict=False)
        ]
        for name, (hits, trials) in rates.items():
            for row, part, whole in zip(table, hits.tolist(), trials.tolist(), strict=False):
                row[name] = _rate(part / whole, whole, level) if whole else None
        self._add_calibration(table, level)
        small = dict(list(self.small.items())[:NAMED])
        return {"groups": table, "count": len(self.names), "too_small": small, "too_small_count": len(self.small)}

    def _add_calibration(self, table: list[dict[str, Any]], level: float) -> None:
        """Add the mean probability minus the share that came true; its interval is that of the share."""
        if self.predicted is None:
            return
        means = (self.predicted / self.rows).tolist()
        for row, mean, true, rows in zip(table, means, self.positives.tolist(), self.rows.tolist(), strict=False):
            share, low, high = _rate(true / rows, rows, level)
            row["calibration"] = [_short(mean - share), _short(mean - high), _short(mean - low)]

    def _true_positives(self) -> Rates:
        return Rates(self.hits, self.positives)

    def _false_positives(self) -> Rates:
        return Rates(self.selected - self.hits, self.rows - self.positives)


def _by_group(values: pa.Array, scored: Scored, min_rows: int) -> _Counts:
    names, group = _groups.of_column(values)
    true, taken = scored.label == scored.positive, scored.prediction == scored.positive
    counts = [_counted(group, which, len(names)) for which in (np.ones(len(group)), true, taken, true & taken)]
    large = np.flatnonzero(counts[0] >= min_rows)
    if len(large) < 2:
        raise NotMeasured(
            f"{len(large)} of {len(names):,} groups have {min_rows:,} rows or more; two are needed to be compared"
        )
    predicted = None
    if scored.probabilities is not None and scored.positive is not None:
        predicted = _counted(group, scored.probabilities[:, scored.positive], len(names))[large]
    rows, positives, selected, hits = (count[large] for count in counts)
    return _Counts(
        names=[names[i] for i in large],
        rows=rows,
        positives=positives,
        selected=selected,
        hits=hits,
        predicted=predicted,
        small={names[i]: int(counts[0][i]) for i in np.flatnonzero(counts[0] < min_rows)},
    )


def _counted(group: NDArray[np.int64], weights: NDArray[Any], groups: int) -> NDArray[np.float64]:
    return np.bincount(group, weights=weights, minlength=groups).astype(np.float64)


def _refuse_constant(scored: Scored) -> None:
    if (scored.prediction == scored.prediction[0]).all():
        raise NotMeasured(
            f"all {scored.n:,} rows are decided the same; groups can't be told apart by that. Is the threshold right?"
        )


def _rate(share: float, rows: float, level: float) -> list[float]:
    low, high = wilson(share, rows, level)
    return [_short(share), _short(float(low)), _short(float(high))]


def _short(value: float) -> float:
    return float(f"{value:.6g}")
