"""From the columns of an offered loan to its interest rate."""

from __future__ import annotations

from typing import Any

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

LABEL = "int_rate"
# The state is left out: a price by place of residence is not offered.
LEFT_OUT = ["loan_id", "addr_state", LABEL]
CATEGORICAL = ["term", "verification_status", "emp_length"]
# Not on skops' own list: the trees of the gradient boosting are arrays of numbers in a compiled class.
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def build(*, seed: int, boosting: dict[str, Any]) -> Pipeline:
    """An unfitted pipeline; the arguments are the keys of `loan-pricing.train` in params.yaml."""
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((words, CATEGORICAL), remainder="passthrough")
    model = HistGradientBoostingRegressor(random_state=seed, **boosting)
    return Pipeline([("columns", columns), ("model", model)])
