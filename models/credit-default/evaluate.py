"""Measure the model on the test rows: the metrics, the prediction of each row, and the ROC curve."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import skops.io
from features import LABEL, TRUSTED
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score, roc_curve

OUT = Path(__file__).parent / "out"


def main() -> None:
    loans = pd.read_parquet(OUT / "data" / "test.parquet")
    model = skops.io.load(OUT / "model" / "model.skops", trusted=TRUSTED)
    inputs = loans[list(model.feature_names_in_)]
    probabilities = pd.DataFrame(model.predict_proba(inputs), columns=model.classes_, index=loans.index)

    bad, label = probabilities["bad"], loans[LABEL]
    metrics = {
        "rows": len(loans),
        "roc_auc_score": roc_auc_score(label == "bad", bad),
        "average_precision_score": average_precision_score(label, bad, pos_label="bad"),
        "brier_score_loss": brier_score_loss(label, bad, pos_label="bad"),
        "log_loss": log_loss(label, probabilities, labels=model.classes_),
    }
    (OUT / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")

    predictions = pd.DataFrame({"loan_id": loans["loan_id"], "label": label, "prediction": model.predict(inputs)}).join(
        probabilities.add_prefix("proba_")
    )
    predictions.to_csv(OUT / "predictions.csv", index=False, float_format="%.12f", lineterminator="\n")

    fpr, tpr, _ = roc_curve(label, bad, pos_label="bad")
    curve = pd.DataFrame({"fpr": fpr, "tpr": tpr})
    curve.to_csv(OUT / "roc.csv", index=False, float_format="%.6f", lineterminator="\n")


if __name__ == "__main__":
    main()
