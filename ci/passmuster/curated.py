"""The checks of Deepchecks that run where a model's config names none, with their limits and budgets.

They are what Deepchecks does best, the hygiene of tables; what must not happen is asked by gates of our own, on every
row. Limits are Deepchecks' own defaults but for those that say why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passmuster.config import Check, Task


def _check(conditions: Mapping[str, Mapping[str, Any]], **others: Any) -> Check:
    return Check(conditions=conditions, **others)


_CHECKS: dict[str, Check] = {
    "MixedNulls": _check({"different_nulls_less_equal_to": {"max_allowed_null_types": 1}}),
    # By default a type in less than 1 % of the rows is let through; it is the likelier slip.
    "MixedDataTypes": _check({"rare_type_ratio_not_in_range": {"ratio_range": [0.0, 0.1]}}),
    "StringMismatch": _check({"no_variants": {}}),
    "SpecialCharacters": _check({"ratio_of_special_characters_less_or_equal": {"max_ratio": 0.001}}),
    # It goes through groups of equal rows one by one: a minute for a million.
    "ConflictingLabels": _check(
        {"ratio_of_conflicting_labels_less_or_equal": {"max_ratio": 0.0}}, options={"n_samples": 100_000}
    ),
    # It fits decision trees to each feature: by default to a sample of 5,000.
    "FeatureLabelCorrelation": _check(
        {"feature_pps_less_than": {"threshold": 0.8}}, options={"ppscore_params": {"sample": 10_000}}
    ),
}

_ONLY_FOR_CLASSES = frozenset({"ConflictingLabels"})


def checks(task: Task) -> dict[str, Check]:
    """Return the checks that apply to the task, by Deepchecks' names."""
    return {
        name: check for name, check in _CHECKS.items() if name not in _ONLY_FOR_CLASSES or task is not Task.REGRESSION
    }
