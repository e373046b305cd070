"""Gate `leakage`: what the test rows could have told to the training, and features that give the label away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Assertion, Failure, Measurement
from passmuster_checks import _mlmodel, engine
from passmuster_checks._text import some
from passmuster_checks.statistics import shares

#: Features that `details` lists.
LISTED = 20

_TRAIN_TEST = ("train", "test")

#: What of this gate may raise a false alarm: each has its share of the gate's budget.
_BY_CHANCE = 2


class Leakage:
    """Counts rows, ids and times that train and test share, and asks each feature for the label."""

    name = "leakage"
    needs = frozenset({"data", "model"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Assertion` for each way in which the label or the test rows may have leaked."""
        facts = engine.facts(engine.Request.of(inputs), inputs.engine)
        asked: dict[str, Callable[[Inputs, engine.Facts], tuple[bool, str, dict[str, Any]]]] = {
            "duplicates": _duplicates,
            "rows": _rows,
            "features": _features,
            "ids": _ids,
            "predictors": _predictors,
        }
        if inputs.config.data.time:
            asked["time"] = _time
        if inputs.config.gates.leakage.unavailable:
            asked["unavailable"] = _unavailable
        return [self._one(name, ask, inputs, facts) for name, ask in asked.items()]

    def _one(self, name: str, ask: Callable[..., Any], inputs: Inputs, facts: engine.Facts) -> Measurement:
        try:
            holds, message, details = ask(inputs, facts)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=name, reason=str(exc))
        return Assertion(gate=self.name, name=name, holds=holds, message=message, details=details)


def _duplicates(inputs: Inputs, facts: engine.Facts) -> tuple[bool, str, dict[str, Any]]:
    limit = inputs.config.gates.leakage.duplicates
    found = {split: facts.row_facts(split) for split in inputs.data}
    if empty := [split for split, rows in found.items() if not rows.rows]:
        raise NotMeasured(f"{some(empty)}: there are no rows")
    repeated = {split: rows.rows - rows.distinct for split, rows in found.items()}
    share = {split: repeated[split] / rows.rows for split, rows in found.items()}
    message = "; ".join(f"{split}: {repeated[split]:,} of {rows.rows:,} rows" for split, rows in found.items())
    details = {"repeated": repeated, "shares": share}
    holds = all(value <= limit for value in share.values())
    return holds, f"repeat another row: {message} (at most {limit:.3g} of them may)", details


def _rows(inputs: Inputs, facts: engine.Facts) -> tuple[bool, str, dict[str, Any]]:
    shared, train = facts.shared_rows(_TRAIN_TEST), facts.row_facts("train")
    return _beyond_chance(inputs, shared.whole, shared, train.twins, train, "in every column but the id")


def _features(inputs: Inputs, facts: engine.Facts) -> tuple[bool, str, dict[str, Any]]:
    shared, train = facts.shared_rows(_TRAIN_TEST), facts.row_facts("train")
    return _beyond_chance(
        inputs, shared.features, shared, train.twins_features, train, "in every feature, whatever their label"
    )


def _beyond_chance(
    inputs: Inputs, count: int, shared: engine.SharedRows, twins: int, train: engine.RowFacts, how: str
) -> tuple[bool, str, dict[str, Any]]:
    """Hold the share of test rows that are training rows to what rows share by their nature.

    A row of a fresh sample is in train as often as a row of train is there a second time. Where the interval of the
    difference lies wholly above the limit, rows have leaked. Repeated rows come in pairs at least, so where train has
    any, half of the rows count as independent.
    """
    if not (shared.rows and train.rows):
        raise NotMeasured("train or test has no rows, so none can be shared")
    limit = inputs.config.gates.leakage.limit
    level = 1 - 2 * inputs.false_alarms / _BY_CHANCE
    pairs = 2 if twins else 1
    beyond = shares.rise(
        (twins // pairs, max(train.rows // pairs, 1)), (count // pairs, max(shared.rows // pairs, 1)), level
    )
    details = {
        "share": count / shared.rows,
        "expected": twins / train.rows,
        "beyond": [beyond.low, beyond.high],
        "left_out": list(shared.left_out),
    }
    by_nature = f"; rows of train repeat at a rate of {twins / train.rows:.3g}" if twins else ""
    message = f"{count:,} of {shared.rows:,} test rows are in train {how}{by_nature}"
    return beyond.low <= limit, message, details


def _ids(_inputs: Inputs, facts: engine.Facts) -> tuple[bool, str, dict[str, Any]]:
    shared = facts.shared_rows(_TRAIN_TEST)
    if shared.ids is None:
        raise NotMeasured("there is no id column in both splits, so shared ids can't be counted")
    return not shared.ids, f"{shared.ids:,} of {shared.rows:,} test rows have the id of a training row", {}


def _time(inputs: Inputs, facts: engine.Facts) -> tuple[bool, str, dict[str, Any]]:
    column = str(inputs.config.data.time)
    train, test = facts.profile("train", column), facts.profile("test", column)
    if train.maximum is None or test.minimum is None:
        raise NotMeasured(f"column {column!r} has no times in train or test")
    holds = train.maximum < test.minimum
    last, first = _point(train, train.maximum), _point(test, test.minimum)
    return holds, f"the last time of train is {last}, the first of test {first}", {}


def _point(profile: engine.ColumnProfile, value: float) -> str:
    if profile.kind is not engine.Kind.DATETIME:
        return f"{value:g}"
    return str(np.datetime64(round(value * 1000), "ms"))


def _predictors(inputs: Inputs, facts: engine.Facts) -> tuple[bool, str, dict[str, Any]]:
    data, limit = inputs.config.data, inputs.config.gates.leakage.predictor
    features = [name for name in data.columns if name not in (data.id, data.label)]
    found = {name: facts.predictor(name) for name in features}
    order = sorted(found, key=lambda name: (-found[name].score, name))
    telling = [f"{name} ({found[name].metric} {found[name].score:.3f})" for name in order]
    details = {"scores": {name: found[name].score for name in order[:LISTED]}, "metric": found[order[0]].metric}
    if beyond := [text for name, text in zip(order, telling, strict=True) if found[name].score > limit]:
        return False, f"alone, these features tell the label nearly perfectly: {some(beyond)}", details
    return True, f"no feature alone tells the label; the best is {telling[0]}, allowed {limit:g}", details


def _unavailable(inputs: Inputs, _facts: engine.Facts) -> tuple[bool, str, dict[str, Any]]:
    columns = _mlmodel.inputs(_mlmodel.read(inputs.model))
    if columns is None or any("name" not in column for column in columns):
        raise NotMeasured("the model's signature names no columns; save the model with a signature")
    taken = {str(column["name"]) for column in columns}
    asked = inputs.config.gates.leakage.unavailable
    if wrong := [name for name in asked if name in taken]:
        return False, f"the model takes what is not known yet when it is asked: {some(wrong)}", {}
    return True, f"the model takes none of {some(list(asked))}", {}
