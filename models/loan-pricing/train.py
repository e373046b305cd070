"""Train the interest rate of a loan, and save it as an MLflow model directory."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import mlflow.sklearn
import pandas as pd
import yaml
from features import LABEL, LEFT_OUT, TRUSTED, build
from mlflow.models import infer_signature
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

OUT = Path(__file__).parent / "out"
NEEDS = ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "scipy", "skops")


def save(model: Pipeline, inputs: pd.DataFrame, path: Path) -> None:
    """An MLflow model directory with its signature, an example and the requirements it was made with."""
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
    params = yaml.safe_load(Path("params.yaml").read_text())["loan-pricing"]["train"]
    loans = pd.read_parquet(OUT / "data" / "train.parquet")
    inputs = loans.drop(columns=LEFT_OUT)
    # Sums over several threads come out in another order, and differ in the last digits.
    with threadpool_limits(1):
        model = build(**params).fit(inputs, loans[LABEL])
    save(model, inputs, OUT / "model")


if __name__ == "__main__":
    main()
