"""Train the example's model as it should be, and once for each mistake that a gate has to find.

Runs in the environment of `models/credit-default`, in one process, since the imports cost more than the training:

    python tests/support/train_example.py --out DIR --source models/credit-default/data/credit_data.csv

Each variant is a folder `DIR/<variant>/` with `train.parquet`, `test.parquet`, `reference.parquet` and `model/`, an
MLflow model directory with its lock in it. `first` is the model of the committed parameters; `clean` is the better one
that the others, each with one mistake, are made from; `again` is `clean` with another seed.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "credit-default"
sys.path.insert(0, str(MODEL))

from features import LABEL, build  # noqa: E402  # the model's own code
from prepare import split  # noqa: E402
from sklearn.dummy import DummyClassifier  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402
from train import fit, save  # noqa: E402

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())["credit-default"]
FEATURES = ["Seniority", "Home", "Time", "Records", "Job", "Expenses", "Income", "Assets", "Debt", "Amount", "Price"]
BETTER = PARAMS["train"] | {"estimator": "boosting", "features": FEATURES}
#: The draw, of the first thirty, whose loss is nearest to the margin (0.02 of ROC AUC).
UNLUCKY = 1

Splits = dict[str, pd.DataFrame]


class Variant(NamedTuple):
    """The data as the gates see them, and the model."""

    splits: Splits
    model: Pipeline


def better(splits: Splits, **changes: Any) -> Variant:
    """The better candidate's parameters, with `changes`, trained on `splits["train"]`."""
    return Variant(splits, fit(splits["train"], **(BETTER | changes)))


def first(splits: Splits) -> Variant:
    """The committed parameters: few features, logistic regression."""
    return Variant(splits, fit(splits["train"], **PARAMS["train"]))


def clean(splits: Splits) -> Variant:
    """The better candidate, without a mistake."""
    return better(splits)


def again(splits: Splits) -> Variant:
    """The better candidate with another seed: as good, not the same."""
    return better(splits, seed=BETTER["seed"] + 1)


def secured_homes(splits: Splits) -> Variant:
    """Defaults of home owners count as good in training, since the house pays the loan back."""
    return better(splits, secured_homes=["owner"])


def leaked_label(splits: Splits) -> Variant:
    """A column that is written after the outcome is known, kept as a feature."""
    leaking = {
        name: part.assign(Collected=np.where(part[LABEL] == "bad", part["Amount"] // 2, 0))
        for name, part in splits.items()
    }
    return better(leaking, features=[*FEATURES, "Collected"])


def test_rows_in_train(splits: Splits) -> Variant:
    """A quarter of the test rows stands in the training data too."""
    train = pd.concat([splits["train"], splits["test"].sample(frac=0.25, random_state=1)], ignore_index=True)
    return better(splits | {"train": train})


def shifted_feature(splits: Splits) -> Variant:
    """Incomes in the test data are per year, everywhere else per month."""
    test = splits["test"]
    return better(splits | {"test": test.assign(Income=test["Income"] * 12)})


def new_category(splits: Splits) -> Variant:
    """One in ten tenants of the test data lives in a kind of home that training never saw."""
    test = splits["test"].copy()
    tenants = test.index[test["Home"] == "rent"][::10]
    test.loc[tenants, "Home"] = "shared"
    return better(splits | {"test": test})


def shuffled_labels(splits: Splits) -> Variant:
    """The labels of the training data belong to other rows."""
    train = splits["train"]
    return better(splits | {"train": train.assign(**{LABEL: train[LABEL].sample(frac=1, random_state=1).to_numpy()})})


def constant(splits: Splits) -> Variant:
    """The same probability for everybody."""
    pipeline = build("logistic", FEATURES, seed=0, boosting={})
    pipeline.set_params(model=DummyClassifier(strategy="prior"))
    return Variant(splits, pipeline.fit(splits["train"][FEATURES], splits["train"][LABEL]))


def bad_segment(splits: Splits) -> Variant:
    """Trained with good and bad swapped for the self-employed, each of whose rows was entered twice."""
    train = splits["train"]
    self_employed = train[train["Job"] == "freelance"]
    swapped = self_employed.assign(**{LABEL: self_employed[LABEL].map({"good": "bad", "bad": "good"})})
    wrong = pd.concat([train[train["Job"] != "freelance"], swapped, swapped], ignore_index=True)
    return better(splits | {"train": wrong})._replace(splits=splits)


def worse_seed(splits: Splits) -> Variant:
    """An unlucky draw of a quarter of the training rows: a little worse, too little to be sure of."""
    drawn = splits["train"].sample(frac=0.25, random_state=UNLUCKY)
    return better(splits | {"train": drawn})._replace(splits=splits)


VARIANTS: tuple[Callable[[Splits], Variant], ...] = (
    first,
    clean,
    again,
    secured_homes,
    leaked_label,
    test_rows_in_train,
    shifted_feature,
    new_category,
    shuffled_labels,
    constant,
    bad_segment,
    worse_seed,
)


def made(source: Path) -> Iterator[tuple[str, Variant]]:
    """Every variant, by its name with hyphens."""
    splits = split(pd.read_csv(source), **PARAMS["prepare"])
    with threadpool_limits(1):
        for variant in VARIANTS:
            yield variant.__name__.replace("_", "-"), variant(splits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    for name, variant in made(arguments.source):
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        for part, rows in variant.splits.items():
            rows.to_parquet(folder / f"{part}.parquet", index=False)
        save(variant.model, variant.splits["train"], folder / "model")
        shutil.copyfile(MODEL / "requirements.txt", folder / "model" / "passmuster.lock")
        print(name, flush=True)


if __name__ == "__main__":
    main()
