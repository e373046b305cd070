"""Measure the model on the test rows: the metrics, and the prediction of each row."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import skops.io
from features import LABEL, TRUSTED
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

OUT = Path(__file__).parent / "out"


def main() -> None:
    loans = pd.read_parquet(OUT / "data" / "test.parquet")
    model = skops.io.load(OUT / "model" / "model.skops", trusted=TRUSTED)
    label = loans[LABEL]
    prediction = model.predict(loans[list(model.feature_names_in_)])

    metrics = {
        "rows": len(loans),
        "root_mean_squared_error": root_mean_squared_error(label, prediction),
        "mean_absolute_error": mean_absolute_error(label, prediction),
        "r2_score": r2_score(label, prediction),
    }
    (OUT / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")

    predictions = pd.DataFrame({"loan_id": loans["loan_id"], "label": label, "prediction": prediction})
    predictions.to_csv(OUT / "predictions.csv", index=False, float_format="%.10f", lineterminator="\n")


if __name__ == "__main__":
    main()
