"""Runs Evidently's default presets, with the tests that they bring, on cases of the corpus. Runs in an own environment.

Called as `python peer_evidently.py REQUEST ANSWERS`; one line of JSON for each case goes to ANSWERS.
"""

from __future__ import annotations

import os

os.environ["DO_NOT_TRACK"] = "1"

import json
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402  what it warns about at import is no news here
from evidently import (  # noqa: E402
    BinaryClassification,
    DataDefinition,
    Dataset,
    MulticlassClassification,
    Regression,
    Report,
    __version__,
)
from evidently.presets import (  # noqa: E402
    ClassificationPreset,
    DataDriftPreset,
    DataSummaryPreset,
    RegressionPreset,
)


class TimeUp(BaseException):
    """The time limit of a case is over."""


def main(request: Path, answers: Path) -> None:
    asked = json.loads(request.read_text())
    signal.signal(signal.SIGPROF, _interrupt)  # of processor time: a busy machine is no reason to stop
    with answers.open("a") as stream:
        for case in asked["cases"]:
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, asked["timeout"])
            found: dict[str, Any] = {"failed": [], "not_run": [], "trouble": []}
            try:
                judge(case, found)
            except TimeUp:
                found["trouble"].append("time limit")
            except Exception as exc:
                found["trouble"].append(f"{type(exc).__name__}: {exc}"[:300])
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            seconds = round(time.process_time() - start, 1)
            stream.write(
                json.dumps(
                    {"case": case["name"], "key": case["key"], "version": __version__, "seconds": seconds, **found}
                )
                + "\n"
            )
            stream.flush()


def _interrupt(*_: object) -> None:
    raise TimeUp


def judge(case: dict[str, Any], found: dict[str, Any]) -> None:
    """Fill in the tests that failed, and those that ended in an error, preset by preset; train is the reference."""
    train, test = (dataset(case, split) for split in ("train", "test"))
    models = RegressionPreset if case["task"] == "regression" else ClassificationPreset
    for preset in (DataSummaryPreset, DataDriftPreset, models):
        try:
            run = Report([preset()], include_tests=True).run(current_data=test, reference_data=train).dict()
        except Exception as exc:
            found["trouble"].append(f"{preset.__name__}: {type(exc).__name__}: {exc}"[:300])
            continue
        for one in run["tests"]:
            status = str(getattr(one["status"], "value", one["status"])).upper()
            if status == "FAIL":
                found["failed"].append([preset.__name__, str(one["id"])[:200], one["name"], one["description"][:300]])
            elif status != "SUCCESS":
                found["not_run"].append(f"{preset.__name__}: {one['name']}: {status}: {one['description']}"[:300])


def dataset(case: dict[str, Any], split: str) -> Dataset:
    table = pd.read_parquet(Path(case["folder"], f"{split}.parquet"))
    said = pd.read_parquet(Path(case["folder"], f"candidate-{split}.parquet"))
    for name in said.columns.difference([case["id"], "label"]):
        table[name] = said[name].to_numpy()
    by_type: dict[str, list[str]] = {}
    for name, kind in case["columns"].items():
        if name != case["id"]:
            by_type.setdefault("text" if name in case["categorical"] else kind, []).append(name)
    classes, label = case["classes"], case["label"]
    definition = DataDefinition(
        id_column=case["id"],
        timestamp=case["time"],
        numerical_columns=[*by_type.get("integer", []), *by_type.get("number", [])],
        categorical_columns=[*by_type.get("text", []), *by_type.get("string", []), *by_type.get("boolean", [])],
        datetime_columns=[name for name in by_type.get("datetime", []) if name != case["time"]],
    )
    if not classes:
        definition.regression = [Regression(target=label, prediction="prediction")]
    elif len(classes) == 2:
        table["chance"] = table[f"proba_{classes[1]}"]
        binary = BinaryClassification(
            target=label, prediction_labels="prediction", prediction_probas="chance", pos_label=classes[1]
        )
        definition.classification = [binary]
    else:
        probas = {f"proba_{name}": name for name in classes}
        table = table.rename(columns=probas)
        several = MulticlassClassification(
            target=label, prediction_labels="prediction", prediction_probas=list(probas.values())
        )
        definition.classification = [several]
    return Dataset.from_pandas(table, data_definition=definition)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
