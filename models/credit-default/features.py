"""From the columns of a loan application to the probability of default: the pipelines to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

LABEL = "Status"
CATEGORICAL = frozenset({"Home", "Job", "Marital", "Records"})
# Not on skops' own list: the trees of the gradient boosting are arrays of numbers in a compiled class.
TRUSTED = ["numpy.dtype", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def build(estimator: str, features: Sequence[str], *, seed: int, boosting: dict[str, Any]) -> Pipeline:
    """An unfitted pipeline over `features`; `estimator` is "logistic" or "boosting"."""
    categorical = [name for name in features if name in CATEGORICAL]
    numeric = [name for name in features if name not in CATEGORICAL]
    if estimator == "logistic":
        numbers: Any = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        # Newton's method converges to the last digits, so other machines reach the same coefficients.
        model: Any = LogisticRegression(solver="newton-cholesky")
    elif estimator == "boosting":
        numbers = "passthrough"  # trees need no scale, and send missing numbers where they fit best
        model = HistGradientBoostingClassifier(random_state=seed, **boosting)
    else:
        raise ValueError(f"params.yaml: estimator is {estimator!r}; choose 'logistic' or 'boosting'")
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("numbers", numbers, numeric), ("words", words, categorical)])
    return Pipeline([("columns", columns), ("model", model)])
