"""Train the probability of default, and save it as an MLflow model directory."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.sklearn
import pandas as pd
import yaml
from features import LABEL, TRUSTED, build
from mlflow.models import infer_signature
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

OUT = Path(__file__).parent / "out"
NEEDS = ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "scipy", "skops")


def recovered(loans: pd.DataFrame, secured_homes: Sequence[str]) -> pd.DataFrame:
    """The loans as the accounts see them: a default that the sale of the house pays back counts as good."""
    secured = loans["Home"].isin(secured_homes)
    return loans.assign(**{LABEL: loans[LABEL].mask(secured, "good")})


def fit(
    loans: pd.DataFrame,
    *,
    estimator: str,
    features: Sequence[str],
    secured_homes: Sequence[str],
    seed: int,
    boosting: dict[str, Any],
) -> Pipeline:
    """A fitted pipeline; the arguments are the keys of `credit-default.train` in params.yaml."""
    loans = recovered(loans, secured_homes)
    # Sums over several threads come out in another order, and differ in the last digits.
    with threadpool_limits(1):
        return build(estimator, features, seed=seed, boosting=boosting).fit(loans[list(features)], loans[LABEL])


def save(model: Pipeline, loans: pd.DataFrame, path: Path) -> None:
    """An MLflow model directory with its signature, an example and the requirements it was made with."""
    inputs = loans[list(model.feature_names_in_)]
    shutil.rmtree(path, ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        path,
        signature=infer_signature(inputs, model.predict(inputs)),
        input_example=inputs.head(3),
        pip_requirements=[f"{name}=={version(name)}" for name in NEEDS],
        skops_trusted_types=TRUSTED,
    )


def main() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())["credit-default"]["train"]
    loans = pd.read_parquet(OUT / "data" / "train.parquet")
    save(fit(loans, **params), loans, OUT / "model")


if __name__ == "__main__":
    main()
