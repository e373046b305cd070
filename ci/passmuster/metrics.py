"""The metrics that a config may name, by task: scikit-learn's names, and which way is better. Names only, no maths."""

from __future__ import annotations

from collections.abc import Mapping

from passmuster.config import Task

#: task → metric → whether greater is better.
METRICS: Mapping[Task, Mapping[str, bool]] = {
    Task.BINARY: {
        "roc_auc_score": True,
        "average_precision_score": True,
        "log_loss": False,
        "brier_score_loss": False,
        "accuracy_score": True,
        "balanced_accuracy_score": True,
        "precision_score": True,
        "recall_score": True,
        "f1_score": True,
        "matthews_corrcoef": True,
    },
    Task.MULTICLASS: {
        "accuracy_score": True,
        "balanced_accuracy_score": True,
        "log_loss": False,
        "f1_score_macro": True,
        "precision_score_macro": True,
        "recall_score_macro": True,
        "roc_auc_score_ovr": True,
    },
    Task.REGRESSION: {
        "root_mean_squared_error": False,
        "mean_squared_error": False,
        "mean_absolute_error": False,
        "median_absolute_error": False,
        "r2_score": True,
        "mean_pinball_loss": False,
    },
}
