"""Metrics and conditions that Deepchecks lacks, or that would crash in it on predictions alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any


def neg_rmse(model: Any, features: Any, truth: Any) -> float:
    """Return minus the root of the mean squared error."""
    return -math.sqrt(float(((truth.astype(float) - model.predict(features)) ** 2).mean()))


def neg_mae(model: Any, features: Any, truth: Any) -> float:
    """Return minus the mean absolute error."""
    return -float(abs(truth.astype(float) - model.predict(features)).mean())


def r2(model: Any, features: Any, truth: Any) -> float:
    """Return the coefficient of determination; NaN where all truths are equal."""
    truth = truth.astype(float)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - model.predict(features)) ** 2).sum()) / spread if spread else math.nan


def by_class(metric: str, average: str | None) -> Callable[[Any, Any, Any], Any]:
    """Return scikit-learn's `metric` of several classes as a scorer: array (classes,), or a number where averaged."""

    def scorer(model: Any, features: Any, truth: Any) -> Any:
        import sklearn.metrics

        score = getattr(sklearn.metrics, metric)
        return score(truth, model.predict(features), average=average, zero_division=0)

    return scorer


#: Metrics by task, under Deepchecks' names, as plain functions. As scikit-learn's scorers they would crash: for
#: regression, since those refuse Deepchecks' stand-in for a model that is known by its predictions alone; for several
#: classes, since those look for a class 1 among the names.
SCORERS: dict[str, dict[str, Callable[[Any, Any, Any], Any]]] = {
    "binary": {},
    "multiclass": {
        f"{name}_{ending}": by_class(f"{name}_score", average)
        for name in ("f1", "precision", "recall")
        for ending, average in (("per_class", None), ("macro", "macro"), ("micro", "micro"), ("weighted", "weighted"))
    },
    "regression": {"neg_rmse": neg_rmse, "neg_mae": neg_mae, "r2": r2},
}

DEFAULT_SCORERS: dict[str, dict[str, str]] = {
    "multiclass": {"F1": "f1_per_class", "Precision": "precision_per_class", "Recall": "recall_per_class"},
    "regression": {"Neg RMSE": "neg_rmse", "Neg MAE": "neg_mae", "R2": "r2"},
}


def named(given: Any, task: str) -> dict[str, Any]:
    """Return the scorers that an option names, ours where Deepchecks' own would crash, by the name to show."""
    chosen = dict(given) if isinstance(given, Mapping) else {name: name for name in given}
    return {shown: SCORERS[task].get(name, name) for shown, name in chosen.items()}


def brier_score_less_or_equal(check: Any, max_score: float) -> Any:
    """Add to CalibrationScore, for which Deepchecks has no condition, a limit on every class's Brier score."""
    from deepchecks.core import ConditionCategory, ConditionResult

    def condition(scores: Mapping[Any, float]) -> Any:
        worst = max(scores.values())
        kind = ConditionCategory.PASS if worst <= max_score else ConditionCategory.FAIL
        return ConditionResult(kind, f"Found a Brier score of {worst:.4g}")

    return check.add_condition(f"Brier score is less or equal to {max_score}", condition)


#: Conditions that Deepchecks lacks, by check.
OWN_CONDITIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "CalibrationScore": {"brier_score_less_or_equal": brier_score_less_or_equal}
}
