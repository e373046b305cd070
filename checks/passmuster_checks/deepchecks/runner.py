"""The script that runs Deepchecks' checks in their own environment: a request in, one line of JSON for each check out.

Called as `python runner.py REQUEST ANSWERS`. It needs deepchecks, pandas and pyarrow and imports nothing of passmuster;
`client.py` writes the request and believes an answer only after checking it. Every check ends as `ran` (with its
conditions), `error` or `not-applicable`; what Deepchecks itself would let through unmeasured is an error here.
"""

from __future__ import annotations

import contextlib
import difflib
import faulthandler
import inspect
import json
import math
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

#: Rows of each data set that a check sees where its options do not say otherwise (`n_samples`).
ROWS = 1_000_000
#: Rows that the predictive power score sees by Deepchecks' default, whatever `n_samples` says.
PPS_ROWS = 5_000
SEED = 42
#: Seconds that a check may take to obey its time limit before the whole process is ended.
GRACE = 5.0
#: Characters of a check's value that an answer carries.
VALUE_SIZE = 8_000
TEXT_SIZE = 2_000

#: Exceptions by which Deepchecks 0.19 says that a check does not apply: their class, the words that tell it apart from
#: a failure of the same class, and the reason that a policy may accept.
NOT_APPLICABLE = (
    ("DatasetValidationError", "does not contain an index", "no-index"),
    ("DatasetValidationError", "does not contain a datetime", "no-datetime"),
    ("DatasetValidationError", "should have index or date", "no-index"),
    ("ModelValidationError", "irrelevant for regression tasks", "wrong-task"),
    ("ModelValidationError", "irrelevant for classification tasks", "wrong-task"),
    ("DeepchecksNotSupportedError", "Predicted probabilities not supplied", "no-probabilities"),
    ("DeepchecksNotSupportedError", "at least two features", "one-feature"),
)

#: What these ask of a model can't be had from its predictions. ModelInferenceTime would time a lookup, and pass.
NOT_ON_PREDICTIONS = frozenset(
    {"BoostingOverfit", "ModelInferenceTime", "ModelInfo", "MultiModelPerformanceReport", "UnusedFeatures"}
)


class Trouble(Exception):
    """A check can't be measured, and why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TimeUp(BaseException):
    """The time limit of a check is over; no `except Exception` on the way may swallow it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` in the body after `seconds`; end the process where even that is not obeyed within `GRACE`.

    The second limit is a thread of the interpreter's own, which needs no lock: it also ends a loop in C code.
    """

    def interrupt(*_: object) -> NoReturn:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, interrupt)
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also where the signal came while the timer was being stopped
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A model's answers in the order of the data's rows."""

    labels: Any  #: array (n,)
    proba: Any  #: array (n, classes), or None


class Data:
    """The two tables, read once, as pandas and as Deepchecks' data sets, and the predictions where a check needs them.

    Raises:
        Trouble: the data can't be judged: columns, rows or labels are missing.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request = request
        self.task: str = request["task"]
        self.tables = {split: self._read(split) for split in ("train", "test")}
        self.classes = self._classes()
        for split, table in self.tables.items():
            if self.classes is not None:
                table[request["label"]] = _as_classes(table[request["label"]], self.classes)
            self._refuse_bad_labels(split, table[request["label"]])
        start = len(self.tables["train"])  # Deepchecks finds a prediction by its row's number, whatever the split
        self.tables["test"].index = range(start, start + len(self.tables["test"]))
        self.datasets = self._datasets()

    def _datasets(self) -> dict[str, Any]:
        _import_quietly()
        from deepchecks.tabular import Dataset

        wanted = self.request
        given = {
            "label": wanted["label"],
            "features": list(wanted["features"]),
            "cat_features": self._categorical(),
            "index_name": wanted["id"],
            "datetime_name": wanted["time"],
            "label_type": self.task,
        }
        return {split: Dataset(table, **given) for split, table in self.tables.items()}

    @cached_property
    def predictions(self) -> dict[str, Predictions]:
        """The model's answers by split."""
        if self.classes is not None:
            for split, table in self.tables.items():
                if missing := set(self.classes) - set(table[self.request["label"]]):
                    raise Trouble("bad-data", f"{split}: no row has the label {_names(missing)}")
        return {s: read_predictions(self.request, self.classes, s, table) for s, table in self.tables.items()}

    def _read(self, split: str) -> Any:
        import pandas as pd
        import pyarrow.parquet as pq

        wanted = [self.request[key] for key in ("label", "id", "time") if self.request[key] is not None]
        columns = list(dict.fromkeys([*self.request["features"], *wanted]))
        present = pq.read_schema(self.request[split]).names
        if missing := [name for name in columns if present.count(name) != 1]:
            raise Trouble("bad-data", f"{split}: missing, or there twice: the columns {_names(missing)}")
        table = pq.read_table(self.request[split], columns=columns).to_pandas(ignore_metadata=True)
        if table.empty:
            raise Trouble("bad-data", f"{split}: no rows")
        for name in table.columns:
            if isinstance(table[name].dtype, pd.CategoricalDtype):
                table[name] = table[name].astype(object)
            elif pd.api.types.is_datetime64_any_dtype(table[name]) and name != self.request["time"]:
                # Deepchecks looks at numbers and categories only, and says nothing of other columns.
                moments = pd.to_datetime(table[name], utc=True)
                table[name] = (moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        return table

    def _classes(self) -> list[Any] | None:
        """Return the classes, sorted as Deepchecks wants them; of a model without probabilities, all labels."""
        if self.task == "regression":
            return None
        labels = [table[self.request["label"]].dropna() for table in self.tables.values()]
        return sorted(self.request["classes"] or {value for column in labels for value in column.tolist()})

    def _refuse_bad_labels(self, split: str, labels: Any) -> None:
        if empty := int(labels.isna().sum()):
            raise Trouble("bad-data", f"{split}: {empty} of {len(labels)} labels are missing")
        if self.classes is None:
            if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in labels.tolist()):
                raise Trouble("bad-data", f"{split}: a label is not a finite number")
        elif labels.nunique() < 2:
            raise Trouble("bad-data", f"{split}: all labels are {labels.iloc[0]!r}")

    def _categorical(self) -> list[str]:
        """Return the declared columns, and those which are text in either table: else no check would look at them."""
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        def is_category(name: str) -> bool:
            kinds = [table[name].dtype for table in self.tables.values()]
            return not all(is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in kinds)

        return [n for n in self.request["features"] if n in self.request["categorical"] or is_category(n)]


def read_predictions(request: Mapping[str, Any], classes: list[Any] | None, split: str, table: Any) -> Predictions:
    """Return the model's answers to the rows of `table`, in their order.

    Args:
        request: names the file and the id column.
        classes: sorted; None for a regression.
        split: "train" or "test".
        table: the data that the predictions are for.

    Raises:
        Trouble: they are not for exactly these rows with these labels, or one is no answer.
    """
    given = _in_order_of(table, request, split)
    answers, truth = given["prediction"], given["label"]
    numbers = [name for name in (f"proba_{name}" for name in classes or ()) if name in given.columns]
    if classes is None:
        numbers = ["prediction"]
    else:
        answers, truth = _as_classes(answers, classes), _as_classes(truth, classes)
        if numbers and len(numbers) < len(classes):
            raise Trouble("bad-predictions", f"{split}: probabilities of {len(numbers)} of {len(classes)} classes")
        if strange := set(answers) - set(classes):
            raise Trouble("bad-predictions", f"{split}: predicted {_names(strange)}, which is no class")
    values = given[numbers].to_numpy(dtype=float)
    if not _all_finite(values):
        raise Trouble("bad-predictions", f"{split}: a prediction is missing or not a finite number")
    if (truth.to_numpy() != table[request["label"]].to_numpy()).any():
        raise Trouble("bad-predictions", f"{split}: the labels of the predictions are not those of the data")
    return Predictions(labels=answers.to_numpy(), proba=values if classes is not None and numbers else None)


def _in_order_of(table: Any, request: Mapping[str, Any], split: str) -> Any:
    """Return the predictions' table with the rows of `table`, found by their id."""
    import pandas as pd
    import pyarrow.parquet as pq

    ids = request["id"]
    if not (request["predictions"] or {}).get(split):
        raise Trouble("no-predictions", f"{split}: the request names no predictions")
    if ids is None:
        raise Trouble("bad-predictions", "no column names the rows, so predictions can't be brought to them")
    given = pq.read_table(request["predictions"][split]).to_pandas(ignore_metadata=True)
    if missing := {ids, "label", "prediction"} - set(given.columns):
        raise Trouble("bad-predictions", f"{split}: the predictions lack the columns {_names(missing)}")
    if given[ids].duplicated().any() or table[ids].duplicated().any():
        raise Trouble("bad-predictions", f"{split}: an id stands for more than one row")
    order = pd.Index(given[ids]).get_indexer(pd.Index(table[ids]))
    if len(given) != len(table) or (order < 0).any():
        raise Trouble("bad-predictions", f"{split}: the predictions are not for exactly the rows of the data")
    return given.iloc[order]


def _as_classes(column: Any, classes: list[Any]) -> Any:
    """Return `column` with each value as the class that it stands for; a value of no class stays as it is."""
    known = {**{_text(name): name for name in classes}, **{name: name for name in classes}}
    return column.astype(object).map(lambda value: known.get(value, known.get(_text(value), value)), na_action="ignore")


def _text(value: Any) -> str:
    """Return how a class is written in a column's name: of 1 and 1.0 alike, "1"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _all_finite(values: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(values).all())


def _names(values: Any) -> str:
    shown = sorted(map(str, values))
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def _refuse_unknown(reason: str, what: str, given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.6)
            hint = f"perhaps {near[0]!r} is meant" if near else f"known are {_names(known)}"
            raise Trouble(reason, f"{what} {name!r} is unknown to Deepchecks; {hint}")


def neg_rmse(model: Any, features: Any, truth: Any) -> float:
    """Return minus the root of the mean squared error."""
    return -math.sqrt(float(((truth.astype(float) - model.predict(features)) ** 2).mean()))


def neg_mae(model: Any, features: Any, truth: Any) -> float:
    """Return minus the mean absolute error."""
    return -float(abs(truth.astype(float) - model.predict(features)).mean())


def r2(model: Any, features: Any, truth: Any) -> float:
    """Return the coefficient of determination; NaN where all truths are equal."""
    truth = truth.astype(float)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - model.predict(features)) ** 2).sum()) / spread if spread else math.nan


def by_class(metric: str, average: str | None) -> Callable[[Any, Any, Any], Any]:
    """Return scikit-learn's `metric` of several classes as a scorer: array (classes,), or a number where averaged."""

    def scorer(model: Any, features: Any, truth: Any) -> Any:
        import sklearn.metrics

        score = getattr(sklearn.metrics, metric)
        return score(truth, model.predict(features), average=average, zero_division=0)

    return scorer


#: Metrics by task, under Deepchecks' names, as plain functions. As scikit-learn's scorers they would crash: for
#: regression, since those refuse Deepchecks' stand-in for a model that is known by its predictions alone; for several
#: classes, since those look for a class 1 among the names.
SCORERS: dict[str, dict[str, Callable[[Any, Any, Any], Any]]] = {
    "binary": {},
    "multiclass": {
        f"{name}_{ending}": by_class(f"{name}_score", average)
        for name in ("f1", "precision", "recall")
        for ending, average in (("per_class", None), ("macro", "macro"), ("micro", "micro"), ("weighted", "weighted"))
    },
    "regression": {"neg_rmse": neg_rmse, "neg_mae": neg_mae, "r2": r2},
}
DEFAULT_SCORERS: dict[str, dict[str, str]] = {
    "multiclass": {"F1": "f1_per_class", "Precision": "precision_per_class", "Recall": "recall_per_class"},
    "regression": {"Neg RMSE": "neg_rmse", "Neg MAE": "neg_mae", "R2": "r2"},
}


def _scorers(given: Any, task: str) -> dict[str, Any]:
    named = dict(given) if isinstance(given, Mapping) else {name: name for name in given}
    return {shown: SCORERS[task].get(name, name) for shown, name in named.items()}


def brier_score_less_or_equal(check: Any, max_score: float) -> Any:
    """Add to CalibrationScore, for which Deepchecks has no condition, a limit on every class's Brier score."""
    from deepchecks.core import ConditionCategory, ConditionResult

    def condition(scores: Mapping[Any, float]) -> Any:
        worst = max(scores.values())
        kind = ConditionCategory.PASS if worst <= max_score else ConditionCategory.FAIL
        return ConditionResult(kind, f"Found a Brier score of {worst:.4g}")

    return check.add_condition(f"Brier score is less or equal to {max_score}", condition)


#: Conditions that Deepchecks lacks, by check.
OWN_CONDITIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "CalibrationScore": {"brier_score_less_or_equal": brier_score_less_or_equal}
}


def make_check(asked: Mapping[str, Any], data: Data) -> Any:
    """Return Deepchecks' check object with the options and conditions that are asked for.

    Raises:
        Trouble: the check, an option or a condition is unknown, or no condition is asked for. Deepchecks itself takes
            any option, and a check without conditions has nothing that could fail.
    """
    import deepchecks.tabular.checks as catalogue

    classes = {name: cls for name, cls in vars(catalogue).items() if inspect.isclass(cls)}
    _refuse_unknown("unknown-check", "check", {asked["name"]: 0}, list(classes))
    kind = classes[asked["name"]]
    options = _options(kind, asked["options"], data)
    if not asked["conditions"]:
        raise Trouble("no-condition", f"{asked['name']} is given no condition, so nothing could fail")
    check = kind(**options)
    prefix = "add_condition_"
    known = {name.removeprefix(prefix): getattr(check, name) for name in dir(check) if name.startswith(prefix)}
    known |= {name: partial(add, check) for name, add in OWN_CONDITIONS.get(asked["name"], {}).items()}
    given = {name.removeprefix(prefix): arguments for name, arguments in asked["conditions"].items()}
    _refuse_unknown("unknown-condition", f"condition of {asked['name']}", given, list(known))
    for name, arguments in given.items():
        allowed = list(inspect.signature(known[name]).parameters)
        _refuse_unknown("unknown-option", f"argument of {name}", arguments, allowed)
        known[name](**arguments)
    return check


def _options(kind: type, given: Mapping[str, Any], data: Data) -> dict[str, Any]:
    known = inspect.signature(kind).parameters
    named = [name for name, parameter in known.items() if parameter.kind is not parameter.VAR_KEYWORD]
    _refuse_unknown("unknown-option", f"option of {kind.__name__}", given, named)
    options: dict[str, Any] = {"n_samples": ROWS, "random_state": SEED}
    if kind.__name__ == "DataDuplicates" and data.request["id"] is not None:
        options["ignore_columns"] = [data.request["id"]]  # with the id in it no row equals another
    options = {name: value for name, value in options.items() if name in named} | dict(given)
    if "ppscore_params" in named:  # by default a column whose score can't be computed scores 0, and passes
        options["ppscore_params"] = {"catch_errors": False, **(options.get("ppscore_params") or {})}
    if "scorers" in named and (scorers := options.get("scorers") or DEFAULT_SCORERS.get(data.task)):
        options["scorers"] = _scorers(scorers, data.task)
    if kind.__name__ == "WeakSegmentsPerformance" and data.task == "regression":
        options.setdefault("alternative_scorer", {"Neg RMSE": "neg_rmse"})
    if isinstance(options.get("alternative_scorer"), Mapping):
        options["alternative_scorer"] = _scorers(options["alternative_scorer"], data.task)
    return options


def run_check(asked: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """Return what the check found: its conditions, its value, and the rows that it saw.

    Checks of one data set run on train and test, those of a model on test alone: on train they say nothing of it.
    """
    import numpy as np
    from deepchecks.tabular import SingleDatasetCheck, TrainTestCheck

    if asked["name"] in NOT_ON_PREDICTIONS:
        return {"status": "not-applicable", "reason": "not-on-predictions", "message": "it needs the model itself"}
    np.random.seed(SEED)  # what a check finds must not depend on the checks before it
    check = make_check(asked, data)
    evaluates = ".model_evaluation." in type(check).__module__
    sets, answers = data.datasets, data.predictions if evaluates else {}
    if isinstance(check, TrainTestCheck):
        splits: tuple[str, ...] = ("train", "test")
        known = {f"{key}_{s}": v for s in splits if evaluates for key, v in _given(answers[s]).items()}
        results = {"": check.run(sets["train"], sets["test"], with_display=False, **_model(known, data))}
    elif isinstance(check, SingleDatasetCheck):
        splits = ("test",) if evaluates else ("train", "test")
        known = {s: _model(_given(answers[s]) if evaluates else {}, data) for s in splits}
        results = {s: check.run(sets[s], with_display=False, **known[s]) for s in splits}
    else:
        raise Trouble("unknown-check", f"{asked['name']} takes neither one data set nor train and test")
    for where, result in results.items():
        _refuse_unmeasured(asked["name"], where, result.value)
    rows = _rows(check, {s: len(data.tables[s]) for s in splits})
    return {
        "status": "ran",
        "conditions": [_condition(where, found) for where, r in results.items() for found in r.conditions_results],
        "value": shortened({w: r.value for w, r in results.items()} if "" not in results else results[""].value),
        "rows": rows,
        "sampled": any(rows[s] < len(data.tables[s]) for s in splits),
    }


def _given(predictions: Predictions) -> dict[str, Any]:
    given = {"y_pred": predictions.labels}
    return given if predictions.proba is None else {**given, "y_proba": predictions.proba}


def _model(predictions: dict[str, Any], data: Data) -> dict[str, Any]:
    return {**predictions, "model_classes": data.classes} if predictions and data.classes else predictions


def _condition(where: str, found: Any) -> dict[str, str]:
    name = f"{where}: {found.name}" if where else str(found.name)
    return {"name": name[:TEXT_SIZE], "category": found.category.value, "details": str(found.details)[:TEXT_SIZE]}


def _rows(check: Any, there: dict[str, int]) -> dict[str, int]:
    most = getattr(check, "n_samples", None) or max(there.values())
    parameters = getattr(check, "ppscore_params", None)
    if parameters is not None:
        most = min(most, parameters.get("sample", PPS_ROWS) or most)
    if type(check).__name__ in ("MultivariateDrift", "WholeDatasetDrift"):  # as many of train as of test
        most = min(most, *there.values())
    return {split: min(rows, most) for split, rows in there.items()}


def _refuse_unmeasured(name: str, where: str, value: Any) -> None:
    """Raise `Trouble` where the value has a hole that Deepchecks' conditions would let through."""
    place = f"{where}: " if where else ""
    if name == "IsSingleValue" and (empty := [column for column, distinct in value.items() if distinct == 0]):
        raise Trouble("not-a-number", f"{place}nothing but missing values in {_names(empty)}")
    if holes := sorted(set(_holes(value, ""))):
        raise Trouble("not-a-number", f"{place}no value for {_names(hole or 'the result' for hole in holes)}")


def _holes(value: Any, path: str) -> Iterator[str]:
    import numpy as np
    import pandas as pd

    if isinstance(value, (pd.DataFrame, pd.Series)):
        value = value.to_dict()
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "Drift score" and inner is None:  # too few values that are not missing
                yield path
            elif key != "feature_importance":  # of Deepchecks' own; there is no model to have it from
                yield from _holes(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        if np.isnan(value).any():
            yield path
    elif isinstance(value, (list, tuple, np.ndarray)):
        for inner in value:
            yield from _holes(inner, path)
    elif isinstance(value, (float, np.floating)) and math.isnan(value):
        yield path


def shortened(value: Any) -> Any:
    """Return `value` as JSON types, cut to what a person would read; `None` where even that is too long."""
    short = _plain(value, 4)
    return short if len(json.dumps(short)) <= VALUE_SIZE else None


def _plain(value: Any, depth: int) -> Any:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        value = value.head(20).astype(object).reset_index(allow_duplicates=True).to_dict("records")
    elif isinstance(value, pd.Series):
        value = value.to_dict()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {str(k)[:100]: _plain(v, depth - 1) for k, v in list(value.items())[:100]}
    if isinstance(value, (list, tuple, set)):
        return [_plain(inner, depth - 1) for inner in list(value)[:20]]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, (bool, int)) else str(value)[:200]


def answer(asked: Mapping[str, Any], data: Data | dict[str, Any], limit: float) -> dict[str, Any]:
    """Return the one answer to what is asked, whatever happens within `limit` seconds.

    Args:
        asked: gate, name, options and conditions of a check.
        data: what to check, or the error that all checks end with since there is none.
        limit: seconds; none left is an answer too.
    """
    start = time.monotonic()
    empty: dict[str, Any] = {"reason": "", "message": "", "conditions": [], "value": None, "rows": {}, "sampled": False}
    try:
        if limit <= 0:
            raise Trouble("timeout", "the time limit of its gate was used up before it began")
        with time_limit(limit):
            found = data if isinstance(data, dict) else _in_one_process(asked, data)
    except TimeUp:
        found = _error("timeout", f"stopped after {limit:g} s, its time limit")
    except Trouble as exc:
        found = _error(exc.reason, str(exc))
    except Exception as exc:
        found = _explained(exc)
    seconds = round(time.monotonic() - start, 3)
    return {"gate": asked["gate"], "name": asked["name"], **empty, **found, "seconds": seconds}


def _in_one_process(asked: Mapping[str, Any], data: Data) -> dict[str, Any]:
    import joblib  # type: ignore[import-untyped]

    # Its own worker processes would each import everything again, and outlive a time limit.
    with joblib.parallel_config(backend="threading"):
        return run_check(asked, data)


def _error(reason: str, message: str) -> dict[str, Any]:
    return {"status": "error", "reason": reason, "message": message[:TEXT_SIZE]}


def _explained(exc: Exception) -> dict[str, Any]:
    for kind, words, reason in NOT_APPLICABLE:
        if type(exc).__name__ == kind and words in str(exc):
            return {"status": "not-applicable", "reason": reason, "message": str(exc)[:TEXT_SIZE]}
    traceback.print_exc()
    return _error("crash", f"{type(exc).__name__}: {exc}")


def _read_data(request: Mapping[str, Any]) -> Data | dict[str, Any]:
    try:
        return Data(request)
    except Trouble as exc:
        return _error(exc.reason, str(exc))
    except Exception as exc:
        traceback.print_exc()
        return _error("bad-data", f"{type(exc).__name__}: {exc}")


def _import_quietly() -> None:
    import logging

    warnings.simplefilter("ignore")
    import deepchecks.tabular  # noqa: F401  its import sets levels and filters of its own

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def main(request_file: str, answers_file: str) -> None:
    """Answer the request, one line for each check as it ends; each line is written whole or not at all."""
    os.environ["DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY"] = "1"
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    if (request["schema"], request["version"]) != ("passmuster/deepchecks-request", 1):
        raise SystemExit(f"unknown request: {request['schema']} version {request['version']}")
    out = os.open(answers_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(line: Mapping[str, Any]) -> None:
        os.write(out, json.dumps(line, allow_nan=False).encode() + b"\n")

    data = _read_data(request)
    left = dict(request["limits"])
    for asked in request["checks"]:
        say({"started": [asked["gate"], asked["name"]]})
        said = answer(asked, data, min(asked["timeout"], left[asked["gate"]]))
        left[asked["gate"]] -= said["seconds"]
        say(said)
    os.close(out)


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
