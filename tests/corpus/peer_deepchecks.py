"""Runs Deepchecks' three default suites, as they come, on cases of the corpus. Runs in Deepchecks' own environment.

Called as `python peer_deepchecks.py REQUEST ANSWERS`; one line of JSON for each case goes to ANSWERS.
"""

from __future__ import annotations

import os

os.environ["DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY"] = "1"

import json
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402  what it warns about at import is no news here
from deepchecks import __version__  # noqa: E402
from deepchecks.tabular import Dataset  # noqa: E402
from deepchecks.tabular.suites import data_integrity, model_evaluation, train_test_validation  # noqa: E402


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
    """Fill in the conditions that failed, and the checks that did not run, suite by suite."""
    train, test = (dataset(case, split) for split in ("train", "test"))
    answered = {name: value for split in ("train", "test") for name, value in answers_of(case, split).items()}
    suites = (
        ("data integrity", lambda: data_integrity().run(train, with_display=False)),
        ("data integrity of test", lambda: data_integrity().run(test, with_display=False)),
        ("train test validation", lambda: train_test_validation().run(train, test, with_display=False)),
        ("model evaluation", lambda: model_evaluation().run(train, test, with_display=False, **answered)),
    )
    for suite, run in suites:
        try:
            results = run().results
        except Exception as exc:
            found["trouble"].append(f"{suite}: {type(exc).__name__}: {exc}"[:300])
            continue
        for result in results:
            if hasattr(result, "exception"):
                found["not_run"].append(f"{suite}: {result.get_header()}: {result.exception}"[:300])
                continue
            found["failed"] += [
                [suite, type(result.check).__name__, condition.name, str(condition.details)[:300]]
                for condition in result.conditions_results
                if not condition.is_pass()  # a warning is no pass
            ]


def dataset(case: dict[str, Any], split: str) -> Dataset:
    table = pd.read_parquet(Path(case["folder"], f"{split}.parquet"))
    return Dataset(
        table,
        label=case["label"],
        index_name=case["id"],
        datetime_name=case["time"],
        cat_features=case["categorical"],
        label_type=case["task"],
    )


def answers_of(case: dict[str, Any], split: str) -> dict[str, Any]:
    table = pd.read_parquet(Path(case["folder"], f"candidate-{split}.parquet"))
    answered = {f"y_pred_{split}": table["prediction"].to_numpy()}
    if classes := sorted(case["classes"]):
        answered[f"y_proba_{split}"] = table[[f"proba_{name}" for name in classes]].to_numpy()
        answered["model_classes"] = classes
    return answered


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
