"""The names of metrics and effects that a config may say, and which way is better. Names only, no maths."""

from __future__ import annotations

from collections.abc import Mapping

from passmuster.config import Task

#: task → metric of scikit-learn → whether greater is better.
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

#: Effects of drift in columns of numbers; see `docs/statistics.md`.
EFFECTS_OF_NUMBERS = ("kolmogorov_smirnov", "wasserstein", "psi", "jensen_shannon", "null_share")

#: Effects of drift in columns of categories.
EFFECTS_OF_CATEGORIES = ("total_variation", "share_ratio", "psi", "jensen_shannon", "cramers_v", "null_share")

#: The effect of drift in all columns together.
EFFECT_OF_ALL = "domain_auc"

#: What gate `drift` may be given a limit for.
EFFECTS = tuple(dict.fromkeys((*EFFECTS_OF_NUMBERS, *EFFECTS_OF_CATEGORIES, EFFECT_OF_ALL)))

#: What gate `fairness` may be given a limit for: fairlearn's names.
FAIRNESS = (
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
)

#: What gate `decision` may be given a limit or rule for → whether greater is better.
DECISION: Mapping[str, bool] = {
    "recall_score": True,
    "precision_score": True,
    "false_positive_rate": False,
    "selection_rate": False,
    "cost": False,
}
