"""The first config of a model, as text: from the pipeline that makes it and the columns of its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from passmuster.config import Task
from passmuster.init._look import Columns, Pipeline
from passmuster.init._templates import render

#: Where limits begin: what a coin or a constant reaches, so that a person has to raise them.
_LIMITS: dict[Task, dict[str, str]] = {
    Task.BINARY: {"roc_auc_score": "{min: 0.5}", "brier_score_loss": "{max: 0.25}"},
    Task.MULTICLASS: {"accuracy_score": "{min: 0.5}"},
    Task.REGRESSION: {"r2_score": "{min: 0.0}"},
}
_RULES: dict[Task, dict[str, str]] = {
    Task.BINARY: {"roc_auc_score": "0.02", "brier_score_loss": "0.01"},
    Task.MULTICLASS: {"accuracy_score": "0.02"},
    Task.REGRESSION: {"r2_score": "0.02"},
}


def text(
    name: str, pipeline: Pipeline, columns: Columns, *, owner: str, requirements: str, ledger: str, schema: str
) -> str:
    """Return the config; every fact that it needs is known (see `missing`)."""
    assert columns.task is not None
    told: dict[str, Any] = {
        "name": name,
        "owner": owner,
        "task": str(columns.task),
        "requirements": requirements,
        "targets": pipeline.targets,
        "model": pipeline.model,
        "outputs": _outputs(pipeline, columns),
        "train": pipeline.train,
        "test": pipeline.test,
        "reference": pipeline.reference,
        "prepare": pipeline.prepare,
        "label": columns.label,
        "positive": columns.classes[-1] if columns.task is Task.BINARY and columns.classes else None,
        "id": columns.id,
        "columns": {
            column: f"{{type: {kind}{', nullable: true' if column in columns.nullable else ''}}}"
            for column, kind in columns.types.items()
        },
        "limits": _LIMITS[columns.task],
        "rules": _RULES[columns.task],
        "ledger": ledger,
        "schema": schema,
    }
    return render("model.yaml.j2", told)


def _outputs(pipeline: Pipeline, columns: Columns) -> dict[str, str]:
    found = {}
    predictions = [path for path, how in pipeline.outputs.items() if how == "predictions"]
    metrics = [path for path, how in pipeline.outputs.items() if how == "metrics"]
    # A model directory's bytes never repeat: what it predicts stands for it, or else what was measured of it.
    for path in predictions[:1] or metrics[:1]:
        found[str(pipeline.model)] = f"{{compare: {pipeline.outputs[path]}, by: {json.dumps(path)}}}"
    found |= dict.fromkeys(metrics, "{compare: metrics, rtol: 1.0e-9, atol: 1.0e-12}")
    for path in predictions:
        found[path] = f"{{compare: predictions, id: {json.dumps(columns.id)}, atol: 1.0e-9}}"
    return found


def missing(root: Path, pipeline: Pipeline | None, columns: Columns | None) -> list[str]:
    """Return what keeps a first config from being written, one sentence each, with what to do."""
    if pipeline is None:
        return [
            "no stage of a dvc.yaml makes something called a model; write the pipeline first (dvc.org has a tutorial), "
            "with an MLflow model directory among its outputs"
        ]
    found = []
    for split in ("train", "test"):
        path = getattr(pipeline, split)
        if path is None:
            found.append(f"no Parquet or CSV output whose name has the word {split!r}; a stage must write one")
        elif not (root / path).is_file():
            found.append(f"{path} is not here to read its columns; `dvc pull` or `dvc repro`, then init again")
    if not found and columns is None:
        found.append(f"{pipeline.train} can't be read")
    if columns is not None and columns.label is None:
        found.append("which column is predicted can't be told; say it: --label COLUMN")
    if columns is not None and columns.id is None:
        found.append("which column names a row can't be told; say it: --id COLUMN (its values must be unique)")
    return found
