"""The checks of Deepchecks that run where a model's config names none, with their limits and budgets.

Limits are Deepchecks' own defaults but for those that say why. Never the whole suites: they take minutes, most of them
for checks whose answer depends on the machine's load or that can't be had from predictions. Each of these was seen to
run on 2,000 x 10 rows for its tasks, all of them together in 15 s, Deepchecks' import not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passmuster.config import Check, Mode, Task

#: The gates whose measurements are checks of Deepchecks, in the order in which they run.
GATES = ("integrity", "train-test", "evaluation")

_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})


def _check(conditions: Mapping[str, Mapping[str, Any]], **others: Any) -> Check:
    return Check(conditions=conditions, **others)


_INTEGRITY = {
    "MixedNulls": _check({"different_nulls_less_equal_to": {"max_allowed_null_types": 1}}),
    # By default a type in less than 1 % of the rows is let through; it is the likelier slip.
    "MixedDataTypes": _check({"rare_type_ratio_not_in_range": {"ratio_range": [0.0, 0.1]}}),
    "StringMismatch": _check({"no_variants": {}}),
    "SpecialCharacters": _check({"ratio_of_special_characters_less_or_equal": {"max_ratio": 0.001}}),
    # By default 5 % of the rows may be there twice.
    "DataDuplicates": _check({"ratio_less_or_equal": {"max_ratio": 0.01}}),
    "ConflictingLabels": _check(
        {"ratio_of_conflicting_labels_less_or_equal": {"max_ratio": 0.0}}, options={"n_samples": 100_000}
    ),
    "IsSingleValue": _check({"not_single_value": {}}),
    "FeatureLabelCorrelation": _check(
        {"feature_pps_less_than": {"threshold": 0.8}}, options={"ppscore_params": {"sample": 10_000}}
    ),
}

_TRAIN_TEST = {
    "IndexTrainTestLeakage": _check({"ratio_less_or_equal": {"max_ratio": 0.0}}),
    "DateTrainTestLeakageDuplicates": _check({"leakage_ratio_less_or_equal": {"max_ratio": 0.0}}),
    "DateTrainTestLeakageOverlap": _check({"leakage_ratio_less_or_equal": {"max_ratio": 0.0}}),
    # By default 5 % of the test rows may be training rows.
    "TrainTestSamplesMix": _check({"duplicates_ratio_less_or_equal": {"max_ratio": 0.01}}),
    "NewCategoryTrainTest": _check({"new_categories_less_or_equal": {"max_new": 0}}),
    "NewLabelTrainTest": _check({"new_labels_number_less_or_equal": {"max_new": 0}}),
    "FeatureDrift": _check(
        {"drift_score_less_than": {"max_allowed_categorical_score": 0.2, "max_allowed_numeric_score": 0.2}},
        options={"n_samples": 100_000},
    ),
    "LabelDrift": _check({"drift_score_less_than": {"max_allowed_drift_score": 0.15}}, options={"n_samples": 100_000}),
    "MultivariateDrift": _check(
        {"overall_drift_value_less_than": {"max_drift_value": 0.25}}, options={"n_samples": 10_000}
    ),
}

_EVALUATION = {
    "TrainTestPerformance": _check({"train_test_relative_degradation_less_than": {"threshold": 0.1}}),
    "PredictionDrift": _check(
        {"drift_score_less_than": {"max_allowed_drift_score": 0.15}}, options={"n_samples": 100_000}
    ),
    # Deepchecks has no condition for it; the runner adds this one. 0.25 is what *one half, always* scores.
    "CalibrationScore": _check({"brier_score_less_or_equal": {"max_score": 0.25}}),
    # The default, a mean error of 1 % of the RMSE, is below what chance gives on fewer than some 100,000 rows.
    "RegressionSystematicError": _check({"systematic_error_ratio_to_rmse_less_than": {"max_ratio": 0.1}}),
    # The worst of many segments is always far from the average, so it advises.
    "WeakSegmentsPerformance": _check(
        {"segments_relative_performance_greater_than": {"max_ratio_change": 0.2}},
        options={"n_samples": 10_000},
        mode=Mode.ADVISORY,
        timeout=120.0,
    ),
}

_TABLE: dict[str, dict[str, Check]] = dict(zip(GATES, (_INTEGRITY, _TRAIN_TEST, _EVALUATION), strict=True))

_ONLY_FOR: dict[str, frozenset[Task]] = {
    "ConflictingLabels": _CLASSES,
    "NewLabelTrainTest": _CLASSES,
    "CalibrationScore": _CLASSES,
    "RegressionSystematicError": frozenset({Task.REGRESSION}),
}
_ONLY_WITH_TIME = frozenset({"DateTrainTestLeakageDuplicates", "DateTrainTestLeakageOverlap"})


def checks(gate: str, *, task: Task, has_time: bool) -> dict[str, Check]:
    """Return the checks of `gate` that apply to the task, and to data with or without a time column.

    Raises:
        KeyError: no gate of that name has checks of Deepchecks.
    """
    return {
        name: check
        for name, check in _TABLE[gate].items()
        if task in _ONLY_FOR.get(name, frozenset(Task)) and (has_time or name not in _ONLY_WITH_TIME)
    }
