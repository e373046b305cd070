"""Makes Deepchecks' check objects as they are asked for, and runs them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from . import _scorers
from ._tables import Data, Predictions
from ._trouble import TEXT_SIZE, Trouble, refuse_unknown
from ._values import refuse_unmeasured, shortened

#: Rows of each data set that a check sees where its options do not say otherwise (`n_samples`).
ROWS = 1_000_000

#: Rows that the predictive power score sees by Deepchecks' default, whatever `n_samples` says.
PPS_ROWS = 5_000

SEED = 42

#: What these ask of a model can't be had from its predictions. ModelInferenceTime would time a lookup, and pass.
NOT_ON_PREDICTIONS = frozenset(
    {"BoostingOverfit", "ModelInferenceTime", "ModelInfo", "MultiModelPerformanceReport", "UnusedFeatures"}
)


def make_check(asked: Mapping[str, Any], data: Data) -> Any:
    """Return Deepchecks' check object with the options and conditions that are asked for.

    Raises:
        Trouble: the check, an option or a condition is unknown, or no condition is asked for. Deepchecks itself takes
            any option, and a check without conditions has nothing that could fail.
    """
    import deepchecks.tabular.checks as catalogue

    classes = {name: cls for name, cls in vars(catalogue).items() if inspect.isclass(cls)}
    refuse_unknown("unknown-check", "check", {asked["name"]: 0}, list(classes))
    kind = classes[asked["name"]]
    options = _options(kind, asked["options"], data)
    if not asked["conditions"]:
        raise Trouble("no-condition", f"{asked['name']} is given no condition, so nothing could fail")
    check = kind(**options)
    prefix = "add_condition_"
    known = {name.removeprefix(prefix): getattr(check, name) for name in dir(check) if name.startswith(prefix)}
    known |= {name: partial(add, check) for name, add in _scorers.OWN_CONDITIONS.get(asked["name"], {}).items()}
    given = {name.removeprefix(prefix): arguments for name, arguments in asked["conditions"].items()}
    refuse_unknown("unknown-condition", f"condition of {asked['name']}", given, list(known))
    for name, arguments in given.items():
        allowed = list(inspect.signature(known[name]).parameters)
        refuse_unknown("unknown-option", f"argument of {name}", arguments, allowed)
        known[name](**arguments)
    return check


def _options(kind: type, given: Mapping[str, Any], data: Data) -> dict[str, Any]:
    known = inspect.signature(kind).parameters
    named = [name for name, parameter in known.items() if parameter.kind is not parameter.VAR_KEYWORD]
    refuse_unknown("unknown-option", f"option of {kind.__name__}", given, named)
    options: dict[str, Any] = {"n_samples": ROWS, "random_state": SEED}
    if kind.__name__ == "DataDuplicates" and data.request["id"] is not None:
        options["ignore_columns"] = [data.request["id"]]  # with the id in it no row equals another
    options = {name: value for name, value in options.items() if name in named} | dict(given)
    if "ppscore_params" in named:  # by default a column whose score can't be computed scores 0, and passes
        options["ppscore_params"] = {"catch_errors": False, **(options.get("ppscore_params") or {})}
    if "scorers" in named and (scorers := options.get("scorers") or _scorers.DEFAULT_SCORERS.get(data.task)):
        options["scorers"] = _scorers.named(scorers, data.task)
    if kind.__name__ == "WeakSegmentsPerformance" and data.task == "regression":
        options.setdefault("alternative_scorer", {"Neg RMSE": "neg_rmse"})
    if isinstance(options.get("alternative_scorer"), Mapping):
        options["alternative_scorer"] = _scorers.named(options["alternative_scorer"], data.task)
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
        refuse_unmeasured(asked["name"], where, result.value)
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
