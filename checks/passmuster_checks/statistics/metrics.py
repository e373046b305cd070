"""The metrics, under scikit-learn's names and with its values, each with the influence of every row.

An *influence* is what one row adds to a metric: with `influence` of shape (n,) and sum zero, the metric's sampling
variance is `sum(influence**2) / (n * (n - 1))` (delta method, or infinitesimal jackknife: Efron 1982). The variance
of a difference on the same rows is that of the difference of the influences, so one idea serves every metric and
every pair.

What scikit-learn answers with a zero and a warning (a precision where nothing was predicted positive) is not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics import ranking
from passmuster_checks.statistics.scored import Floats, Scored, Task

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """A metric's value and what its uncertainty follows from."""

    value: float
    influence: Floats | None  #: shape (n,); None: there is no closed form, resample `losses`
    support: int | None = None  #: rows that the weakest part of a bounded metric rests on, e.g. the rarest class
    proportion: bool = False  #: `value` is exactly a share of `support` independent rows
    losses: Floats | None = None  #: shape (n,): the value is their median
    method: str = "delta method"  #: where the influence comes from


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric: what it is for, which way is better, and how it is computed."""

    name: str  #: scikit-learn's
    tasks: frozenset[Task]
    greater_is_better: bool
    needs: Literal["probabilities", "predictions"]
    bounds: tuple[float, float]  #: between which every value lies
    compute: Callable[[Scored], Components]

    @property
    def bounded(self) -> bool:
        """Whether one more row can only do limited harm."""
        return math.isfinite(self.bounds[0]) and math.isfinite(self.bounds[1])

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.greater_is_better else -1.0

    def components(self, scored: Scored) -> Components:
        """Return the value on `scored` and the influence of each row.

        Raises:
            NotMeasured: the metric is not for this task, needs what is not there, or is undefined on these rows.
        """
        if scored.task not in self.tasks:
            raise NotMeasured(f"{self.name} is not a metric of a {scored.task} model; see the list of metrics by task")
        if self.needs == "probabilities" and scored.probabilities is None:
            raise NotMeasured(f"{self.name} needs probabilities, and the model gives none")
        # A ratio of numbers next to zero can overflow; that is told below, by name.
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.compute(scored)
        if not math.isfinite(found.value) or (found.influence is not None and not np.isfinite(found.influence).all()):
            raise NotMeasured(f"{self.name} is not a finite number on these rows; are the values of a sane size?")
        return found


def metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UsageError: there is none; the message suggests the nearest.
    """
    if name not in METRICS:
        near = get_close_matches(name, METRICS, 1)
        hint = f"perhaps you meant {near[0]!r}" if near else f"there are {', '.join(sorted(METRICS))}"
        raise UsageError(f"unknown metric {name!r}; {hint}")
    return METRICS[name]


# ── shares and ratios ──────────────────────────────────────────────────────────────────────────────────────────────


def _mean(losses: Floats) -> Components:
    value = float(losses.mean())
    return Components(value=value, influence=losses - value, method="Student's t")


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> tuple[float, Floats]:
    """Return sum(part) / sum(whole) and its influence; the sum of `whole` is not zero."""
    total = float(whole.sum())
    value = float(part.sum()) / total
    return value, (part - value * whole) * (len(whole) / total)


def _average(parts: list[tuple[float, Floats]], support: int, method: str = "delta method") -> Components:
    value = float(np.mean([value for value, _ in parts]))
    influence = np.mean([each for _, each in parts], axis=0)
    return Components(value=value, influence=influence, support=support, method=method)


def _accuracy(scored: Scored) -> Components:
    hits = (scored.label == scored.prediction).astype(np.float64)
    value = float(hits.mean())
    return Components(value=value, influence=hits - value, support=scored.n, proportion=True)


def _precision_of(scored: Scored, code: int) -> tuple[float, Floats]:
    chosen = scored.prediction == code
    return _ratio(chosen & (scored.label == code), chosen)


def _recall_of(scored: Scored, code: int) -> tuple[float, Floats]:
    there = scored.label == code
    return _ratio(there & (scored.prediction == code), there)


def _f1_of(scored: Scored, code: int) -> tuple[float, Floats]:
    there, chosen = scored.label == code, scored.prediction == code
    return _ratio(2 * (there & chosen), there.astype(np.int64) + chosen)


def _precision(scored: Scored) -> Components:
    code = _positive(scored)
    support = _rows_of(scored, code, predicted=True)
    value, influence = _precision_of(scored, code)
    return Components(value=value, influence=influence, support=support, proportion=True)


def _recall(scored: Scored) -> Components:
    code = _positive(scored)
    support = _rows_of(scored, code)
    value, influence = _recall_of(scored, code)
    return Components(value=value, influence=influence, support=support, proportion=True)


def _f1(scored: Scored) -> Components:
    code = _positive(scored)
    return _average([_f1_of(scored, code)], _rows_of(scored, code))


def _macro(
    of_class: Callable[[Scored, int], tuple[float, Floats]], *, predicted: bool = False
) -> Callable[[Scored], Components]:
    def compute(scored: Scored) -> Components:
        codes = range(len(scored.classes))
        support = min(_rows_of(scored, code) for code in codes)
        if predicted:
            support = min(support, *(_rows_of(scored, code, predicted=True) for code in codes))
        return _average([of_class(scored, code) for code in codes], support)

    return compute


def _matthews(scored: Scored) -> Components:
    """Return Matthews' coefficient: the correlation of two indicators, with that correlation's influence."""
    code = _positive(scored)
    there, chosen = scored.label == code, scored.prediction == code
    n, positives, predicted = scored.n, int(there.sum()), int(chosen.sum())
    spread = positives * (n - positives) * predicted * (n - predicted)
    if not spread:
        raise NotMeasured("matthews_corrcoef is undefined where all labels or all predictions are of one class")
    value = (n * int((there & chosen).sum()) - positives * predicted) / math.sqrt(spread)
    label = (there - positives / n) / math.sqrt(positives * (n - positives) / n**2)
    answer = (chosen - predicted / n) / math.sqrt(predicted * (n - predicted) / n**2)
    influence = label * answer - value / 2 * (label**2 + answer**2)
    return Components(value=value, influence=influence, support=min(positives, n - positives))


# ── probabilities ──────────────────────────────────────────────────────────────────────────────────────────────────


def _log_loss(scored: Scored) -> Components:
    epsilon = np.finfo(np.float64).eps
    given = _table(scored)[np.arange(scored.n), scored.label]
    return _mean(-np.log(np.clip(given, epsilon, 1 - epsilon)))


def _brier(scored: Scored) -> Components:
    code = _positive(scored)
    return _mean((_table(scored)[:, code] - (scored.label == code)) ** 2)


def _roc_auc(scored: Scored) -> Components:
    code = _positive(scored)
    support = min(_two_of(scored, code))
    value, influence = ranking.roc_auc(_table(scored)[:, code], scored.label == code)
    return Components(value=value, influence=influence, support=support, method="DeLong")


def _roc_auc_ovr(scored: Scored) -> Components:
    codes = range(len(scored.classes))
    support = min(min(_two_of(scored, code)) for code in codes)
    table = _table(scored)
    return _average([ranking.roc_auc(table[:, code], scored.label == code) for code in codes], support, "DeLong")


def _average_precision(scored: Scored) -> Components:
    code = _positive(scored)
    support = _rows_of(scored, code)
    value, influence = ranking.average_precision(_table(scored)[:, code], scored.label == code)
    return Components(value=value, influence=influence, support=support)


# ── regression ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _errors(scored: Scored) -> Floats:
    difference: Floats = np.abs(scored.label - scored.prediction)
    return difference


def _root_mean_squared(scored: Scored) -> Components:
    squares = _errors(scored) ** 2
    value = math.sqrt(squares.mean())
    # At zero every error is zero, and so is every influence.
    return Components(value=value, influence=(squares - value**2) / (2 * value or 1.0))


def _median_absolute(scored: Scored) -> Components:
    losses = _errors(scored)
    return Components(value=float(np.median(losses)), influence=None, losses=losses)


def _r2(scored: Scored) -> Components:
    around = (scored.label - scored.label.mean()) ** 2
    if not around.sum():
        raise NotMeasured("r2_score is undefined where all labels are equal")
    unexplained, share = _ratio(_errors(scored) ** 2, around)
    return Components(value=1 - unexplained, influence=-share)


# ── what a metric can't do without ─────────────────────────────────────────────────────────────────────────────────


def _positive(scored: Scored) -> int:
    if scored.positive is None:
        raise NotMeasured("there is no positive class")
    return scored.positive


def _table(scored: Scored) -> Floats:
    if scored.probabilities is None:
        raise NotMeasured("there are no probabilities")
    return scored.probabilities


def _rows_of(scored: Scored, code: int, *, predicted: bool = False) -> int:
    found = int(np.count_nonzero((scored.prediction if predicted else scored.label) == code))
    if not found:
        what = "no row was predicted" if predicted else "no row has the label"
        raise NotMeasured(f"{what} {scored.classes[code]!r}: the metric is undefined")
    return found


def _two_of(scored: Scored, code: int) -> tuple[int, int]:
    found = int(np.count_nonzero(scored.label == code))
    if min(found, scored.n - found) < 2:
        raise NotMeasured(
            f"{found:,} of {scored.n:,} rows have the label {scored.classes[code]!r}: a ranking needs at least two "
            "rows of it and two others"
        )
    return found, scored.n - found


# ── the list ───────────────────────────────────────────────────────────────────────────────────────────────────────

_SHARE, _LOSS = (0.0, 1.0), (0.0, math.inf)
_BINARY, _MULTICLASS = frozenset({Task.BINARY}), frozenset({Task.MULTICLASS})
_CLASSIFIERS, _REGRESSION = _BINARY | _MULTICLASS, frozenset({Task.REGRESSION})


def _predicted(name: str, tasks: frozenset[Task], compute: Callable[[Scored], Components]) -> Metric:
    return Metric(name=name, tasks=tasks, greater_is_better=True, needs="predictions", bounds=_SHARE, compute=compute)


def _ranked(name: str, tasks: frozenset[Task], compute: Callable[[Scored], Components]) -> Metric:
    return Metric(name=name, tasks=tasks, greater_is_better=True, needs="probabilities", bounds=_SHARE, compute=compute)


def _lost(
    name: str,
    tasks: frozenset[Task],
    compute: Callable[[Scored], Components],
    *,
    needs: Literal["probabilities", "predictions"] = "predictions",
) -> Metric:
    return Metric(name=name, tasks=tasks, greater_is_better=False, needs=needs, bounds=_LOSS, compute=compute)


#: Every metric by name; `_macro` and `_ovr` stand for scikit-learn's `average="macro"` and `multi_class="ovr"`.
METRICS: Mapping[str, Metric] = {
    each.name: each
    for each in (
        _ranked("roc_auc_score", _BINARY, _roc_auc),
        _ranked("average_precision_score", _BINARY, _average_precision),
        _lost("log_loss", _CLASSIFIERS, _log_loss, needs="probabilities"),
        _lost("brier_score_loss", _BINARY, _brier, needs="probabilities"),
        _predicted("accuracy_score", _CLASSIFIERS, _accuracy),
        _predicted("balanced_accuracy_score", _CLASSIFIERS, _macro(_recall_of)),
        _predicted("precision_score", _BINARY, _precision),
        _predicted("recall_score", _BINARY, _recall),
        _predicted("f1_score", _BINARY, _f1),
        Metric(
            name="matthews_corrcoef",
            tasks=_BINARY,
            greater_is_better=True,
            needs="predictions",
            bounds=(-1.0, 1.0),
            compute=_matthews,
        ),
        _predicted("f1_score_macro", _MULTICLASS, _macro(_f1_of)),
        _predicted("precision_score_macro", _MULTICLASS, _macro(_precision_of, predicted=True)),
        _predicted("recall_score_macro", _MULTICLASS, _macro(_recall_of)),
        _ranked("roc_auc_score_ovr", _MULTICLASS, _roc_auc_ovr),
        _lost("root_mean_squared_error", _REGRESSION, _root_mean_squared),
        _lost("mean_squared_error", _REGRESSION, lambda scored: _mean(_errors(scored) ** 2)),
        _lost("mean_absolute_error", _REGRESSION, lambda scored: _mean(_errors(scored))),
        _lost("median_absolute_error", _REGRESSION, _median_absolute),
        _lost("mean_pinball_loss", _REGRESSION, lambda scored: _mean(_errors(scored) / 2)),
        Metric(
            name="r2_score",
            tasks=_REGRESSION,
            greater_is_better=True,
            needs="predictions",
            bounds=(-math.inf, 1.0),
            compute=_r2,
        ),
    )
}


def metrics_for(task: Task) -> tuple[str, ...]:
    """Return the names of the task's metrics."""
    return tuple(name for name, each in METRICS.items() if task in each.tasks)
