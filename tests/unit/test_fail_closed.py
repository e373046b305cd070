"""Fail closed: the ways in which a gate could lie, each through the real gates and the real kernel; none promotes.

`HONEST` is what the gates measure of an honest candidate, and it promotes. Each lie changes one thing: a file, a table,
a champion, a measurement, the policy. A lie that promoted would be worse than a gate that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from passmuster import measurement, policy
from passmuster.config import (
    ArtifactGate,
    ChampionGate,
    Check,
    ChecksGate,
    Comparison,
    Limit,
    Mode,
    ModelConfig,
    PerformanceGate,
    SlicesGate,
    UserGate,
    Waiver,
)
from passmuster.errors import Refused
from passmuster.measurement import Assertion, Estimate, Failure, Interval, Measurement, NotApplicable
from passmuster.policy import Policy
from support import candidate as made
from support.judging import TODAY, judge, judged, measurements

CONFIG = made.config()
POLICY = policy.from_config(CONFIG)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> list[Measurement]:
    """What the gates measure of an honest candidate."""
    root = tmp_path_factory.mktemp("honest")
    made.Candidate().write(root)
    return measurements(root, CONFIG)


def test_the_honest_candidate_is_promoted(honest: list[Measurement]) -> None:
    """Else nothing here would show anything."""
    assert judge(honest, POLICY).promotes


# ── lies in files ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Told:
    """A candidate with one thing wrong, and the config that it is judged by."""

    change: Callable[[made.Candidate], object]
    config: ModelConfig = CONFIG


def _ours(change: Callable[[dict[str, list[Any]]], object]) -> Told:
    return Told(lambda c: change(c.predictions["test"]))


def _theirs(change: Callable[[dict[str, list[Any]]], object]) -> Told:
    return Told(lambda c: change(c.champion["predictions"]["test"]))


def _set(name: str, value: Any, row: int = 0) -> Callable[[dict[str, list[Any]]], object]:
    return lambda table: table[name].__setitem__(row, value)


def _all(name: str, value: Any) -> Callable[[dict[str, list[Any]]], object]:
    return lambda table: table.__setitem__(name, [value] * len(table[name]))


def _empty(table: dict[str, list[Any]]) -> None:
    for column in table.values():
        column.clear()


def _cut(table: dict[str, list[Any]]) -> None:
    for column in table.values():
        del column[400:]


def _shuffle(table: dict[str, list[Any]]) -> None:
    """The answers of each row given to the next: right numbers, wrong rows."""
    table["loan_id"] = [*table["loan_id"][1:], table["loan_id"][0]]


def _constant(table: dict[str, list[Any]]) -> None:
    _all("proba_bad", 0.5)(table)
    _all("proba_good", 0.5)(table)


def _one_class(candidate: made.Candidate) -> None:
    for table, name in (
        (candidate.test, "status"),
        (candidate.predictions["test"], "label"),
        (candidate.champion["predictions"]["test"], "label"),
    ):
        table[name] = ["good"] * len(table[name])


def _swap(table: dict[str, list[Any]]) -> None:
    table["proba_bad"], table["proba_good"] = table["proba_good"], table["proba_bad"]


FILES: dict[str, Told] = {
    "a probability is NaN": _ours(_set("proba_bad", float("nan"))),
    "a probability is infinite": _ours(_set("proba_bad", float("inf"))),
    "a probability is missing": _ours(_set("proba_bad", None)),
    "a probability is above one": _ours(_set("proba_bad", 1.01)),
    "probabilities do not sum to one": _ours(_set("proba_bad", 0.123)),
    "all probabilities are missing": _ours(_all("proba_bad", None)),
    "probabilities are text": _ours(lambda t: t.update(proba_bad=[str(v) for v in t["proba_bad"]])),
    "there are no probabilities": _ours(lambda t: (t.pop("proba_bad"), t.pop("proba_good"))),
    "one class has no probabilities": _ours(lambda t: t.pop("proba_good")),
    "a third class has probabilities": _ours(lambda t: t.update(proba_ugly=[0.0] * 800)),
    "the classes are swapped": _ours(_swap),
    "a prediction is missing": _ours(_set("prediction", None)),
    "a prediction is no class": _ours(_set("prediction", "ugly")),
    "there are no predictions": _ours(_empty),
    "half of the rows have no prediction": _ours(_cut),
    "a row is predicted twice": _ours(_set("loan_id", 1)),
    "another row is predicted": _ours(_set("loan_id", 99_999)),
    "a row id is missing": _ours(_set("loan_id", None)),
    "each row has its neighbour's answer": _ours(_shuffle),
    "a label is another than the data's": _ours(lambda t: t["label"].reverse()),
    "the labels are missing": _ours(_all("label", None)),
    "every answer is the same": _ours(_constant),
    "the test split has no predictions": Told(lambda c: c.predictions.pop("test")),
    "the predictions are no Parquet": Told(lambda c: None, CONFIG),  # changed below, as bytes
    "the test data is empty": Told(lambda c: _empty(c.test)),
    "the test data has one class only": Told(_one_class),
    "the test data has no label": Told(lambda c: c.test.pop("status")),
    "the test labels are all missing": Told(lambda c: c.test.update(status=[None] * 800)),
    "a test row is there twice": Told(lambda c: c.test["loan_id"].__setitem__(1, 0)),
    "the test data lacks a column": Told(lambda c: c.test.pop("income")),
    "a column is all missing": Told(lambda c: c.test.update(home=[None] * 800)),
    "a column holds infinity": Told(lambda c: c.test["income"].__setitem__(0, float("inf"))),
    "numbers are kept as text": Told(lambda c: c.test.update(income=[str(v) for v in c.test["income"]])),
    "a category is new": Told(lambda c: c.test["home"].__setitem__(0, "ship")),
    "the label is a column under another name": Told(lambda c: c.train.update(copy=c.train["status"])),
    "the champion has no predictions": _theirs(_empty),
    "the champion is scored on half of the rows": _theirs(_cut),
    "the champion is scored on other labels": _theirs(lambda t: t["label"].reverse()),
    "the champion's probability is NaN": _theirs(_set("proba_bad", float("nan"))),
    "the champion's row is there twice": _theirs(_set("loan_id", 1)),
    "the champion is unreadable": Told(
        lambda c: c.champion.update(state="unreadable", digest=None, message="its columns are gone")
    ),
    "the champion was trained on all rows": Told(lambda c: c.champion.update(leave_out={"test": list(range(800))})),
    "the champion's lock is not known, but must be the same": Told(
        lambda c: c.champion.update(environment={}),
        made.config(environment=replace(CONFIG.gates.environment, same_as_champion=("lock",))),
    ),
    "the re-run did not record its Python": Told(lambda c: c.environment.pop("python")),
    "the model holds no lock": Told(lambda c: c.model.pop("passmuster.lock")),
    "the model was saved without MLmodel": Told(lambda c: c.model.pop("MLmodel")),
    "MLmodel is cut short": Told(lambda c: c.model.update(MLmodel=c.model["MLmodel"][:40])),
    "a file of the model is a broken pickle": Told(
        lambda c: c.model.update({"model.pkl": b"\x80\x04\x95"}), made.config(artifact=ArtifactGate(pickles=True))
    ),
    "a segment's column is not in the data": Told(
        lambda c: None, made.config(slices=SlicesGate(columns=("wealth",), limit=0.1))
    ),
    "no segment has rows enough": Told(
        lambda c: None, made.config(slices=SlicesGate(columns=("home",), min_rows=10_000))
    ),
    "a metric is unknown": Told(
        lambda c: None, made.config(performance=PerformanceGate(limits={"auc": Limit(min=0.1)}))
    ),
    "a metric is one of another task": Told(
        lambda c: None, made.config(performance=PerformanceGate(limits={"r2_score": Limit(max=1e9)}))
    ),
    "a comparison's metric is unknown": Told(
        lambda c: None, made.config(champion=ChampionGate(rules={"auc": Comparison(margin=1.0)}))
    ),
    "a gate of the user's is not there": Told(
        lambda c: None, made.with_gates(CONFIG, user={"mine": UserGate(file="nowhere.py")})
    ),
}


@pytest.mark.parametrize("lie", FILES)
def test_a_lie_in_what_the_steps_before_left_does_not_promote(lie: str, tmp_path: Path) -> None:
    """Through the real gates; the verdict refuses, and says a reason."""
    told = FILES[lie]
    candidate = made.Candidate()
    told.change(candidate)
    if lie == "the predictions are no Parquet":
        _write_garbage(candidate, tmp_path)
    else:
        candidate.write(tmp_path)
    verdict = judged(tmp_path, told.config)

    assert not verdict.promotes
    assert any(j.blocks and j.reason for j in verdict.judgements)


def _write_garbage(candidate: made.Candidate, root: Path) -> None:
    """Predictions that are no Parquet, under the digest that the record names."""
    from passmuster import digest, record

    folder = candidate.write(root)
    path = folder / "predictions" / "candidate" / "test.parquet"
    path.write_bytes(b"PAR1 but not really")
    scored = record.read(folder / "score.json", "score")
    body = json.loads(json.dumps(dict(scored.body)))
    body["candidate"]["predictions"]["test"]["digest"] = digest.of_file(path)
    record.write(replace(scored, body=body), folder / "score.json")


# ── lies in measurements ───────────────────────────────────────────────────────────────────────────────────────────


def _instead(gate: str, name: str, *found: Measurement) -> Callable[[list[Measurement]], list[Measurement]]:
    return lambda all_: [*(m for m in all_ if (m.gate, m.name) != (gate, name)), *found]


def _without(gate: str) -> Callable[[list[Measurement]], list[Measurement]]:
    return lambda all_: [m for m in all_ if m.gate != gate]


def _auc(
    gate: str, value: float = 0.9, low: float = 0.8, high: float = 1.0, level: float = 0.95, **others: Any
) -> Estimate:
    interval = Interval(low=low, high=high, level=level, method="m")
    return Estimate(gate=gate, name="roc_auc_score", value=value, n=800, interval=interval, **others)


def _segment(**others: Any) -> Estimate:
    interval = Interval(low=0.0, high=0.2, level=0.9999, method="m")
    return Estimate(**{"gate": "slices", "name": "home=own", "value": 0.1, "n": 9, "interval": interval, **others})


def _yes(gate: str, name: str, *, holds: bool = True) -> Assertion:
    return Assertion(gate=gate, name=name, holds=holds, message="fine")


MEASUREMENTS: dict[str, Callable[[list[Measurement]], list[Measurement]]] = {
    "nothing was measured at all": lambda all_: [],
    "a gate measured nothing": _without("performance"),
    "the gate of the champion measured nothing": _without("champion"),
    "the segments were not measured": _without("slices"),
    "the schema was not looked at": _without("schema"),
    "a metric of the policy is missing": _instead("performance", "roc_auc_score"),
    "another metric was measured instead": _instead(
        "performance", "roc_auc_score", Estimate(gate="performance", name="accuracy_score", value=1.0, n=1)
    ),
    "a part of the schema is missing": _instead("schema", "types"),
    "a number is measured twice": lambda all_: [*all_, _auc("performance")],
    "a yes stands beside a no": lambda all_: [*all_, _yes("schema", "types")],
    "a yes answers where a number is asked": _instead(
        "performance", "roc_auc_score", _yes("performance", "roc_auc_score")
    ),
    "a yes answers where a comparison is asked": _instead(
        "champion", "roc_auc_score", _yes("champion", "roc_auc_score")
    ),
    "a yes answers for a segment": _instead("slices", "home=own", _yes("slices", "home=own")),
    "a number answers where a yes is asked": _instead(
        "schema", "types", Estimate(gate="schema", name="types", value=1.0, n=1)
    ),
    "a comparison has no interval": _instead(
        "champion", "roc_auc_score", Estimate(gate="champion", name="roc_auc_score", value=0.5, n=800)
    ),
    "a comparison's interval has a lower level": _instead(
        "champion", "roc_auc_score", _auc("champion", 0.0, -0.01, 0.01, 0.5)
    ),
    "a limit's interval has a lower level": _instead("performance", "roc_auc_score", _auc("performance", level=0.6)),
    "a segment's interval is not simultaneous": _instead(
        "slices",
        "home=own",
        _segment(interval=Interval(low=0.0, high=0.1, level=0.95, method="m"), standard_error=0.01),
    ),
    "a segment has no standard error": _instead("slices", "home=own", _segment()),
    "a segment has no interval": _instead("slices", "home=own", _segment(interval=None, standard_error=0.01)),
    "a gate crashed": _instead("schema", "types", Failure(gate="schema", name="types", reason="KeyError")),
    "a gate crashed after its measurements": lambda all_: [
        *all_,
        Failure(gate="schema", name="end", reason="KeyError"),
    ],
    "a gate says that it does not apply": _instead(
        "schema", "types", NotApplicable(gate="schema", name="types", reason="not today")
    ),
    "a whole gate says that it does not apply": lambda all_: [
        *_without("performance")(all_),
        NotApplicable(gate="performance", name="performance", reason="no-data"),
    ],
    "a comparison says that there is no champion, but there is": lambda all_: [
        *_without("champion")(all_),
        NotApplicable(gate="champion", name="champion", reason="no-champion"),
    ],
    "a gate that the policy does not know answers": lambda all_: [*all_, _yes("vibes", "good")],
    "a gate answers for another": lambda all_: [*_without("champion")(all_), _yes("schema", "roc_auc_score")],
    "the candidate is worse": _instead("champion", "roc_auc_score", _auc("champion", -0.2, -0.3, -0.1)),
    "the candidate may be worse": _instead("champion", "roc_auc_score", _auc("champion", -0.04, -0.09, 0.01)),
    "the candidate is below its limit": _instead("performance", "roc_auc_score", _auc("performance", 0.6, 0.5, 0.69)),
    "the candidate may be below its limit": _instead(
        "performance", "roc_auc_score", _auc("performance", 0.71, 0.6, 0.8)
    ),
    "a contract does not hold": _instead("schema", "types", _yes("schema", "types", holds=False)),
}


@pytest.mark.parametrize("lie", MEASUREMENTS)
def test_a_lie_in_what_a_gate_answers_does_not_promote(lie: str, honest: list[Measurement]) -> None:
    """Through the real kernel; with champion, and as a first model."""
    told = MEASUREMENTS[lie](honest)

    assert not judge(told, POLICY).promotes


@pytest.mark.parametrize(
    "forge",
    [
        lambda: Estimate(gate="a", name="x", value=float("nan"), n=1),
        lambda: Estimate(gate="a", name="x", value=float("inf"), n=1),
        lambda: Estimate(gate="a", name="x", value=None, n=1),  # type: ignore[arg-type]
        lambda: Estimate(gate="a", name="x", value=True, n=1),
        lambda: Estimate(gate="a", name="x", value=1.0, n=0),
        lambda: Estimate(gate="a", name="x", value=1.0, n=1, standard_error=float("nan")),
        lambda: Interval(low=float("nan"), high=1.0, level=0.95, method="m"),
        lambda: Interval(low=1.0, high=0.0, level=0.95, method="m"),
        lambda: Interval(low=0.0, high=1.0, level=1.0, method="m"),
        lambda: Assertion(gate="a", name="x", holds=None, message=""),  # type: ignore[arg-type]
        lambda: Assertion(gate="a", name="x", holds=1, message=""),  # type: ignore[arg-type]
        lambda: measurement.from_json({"kind": "pass", "gate": "a", "name": "x"}),
        lambda: measurement.from_json({"kind": "assertion", "gate": "a", "name": "x", "holds": "true", "message": ""}),
        lambda: measurement.from_json({"kind": "estimate", "gate": "a", "name": "x", "n": 1}),
        lambda: measurement.from_json({"kind": "failure", "gate": "a", "name": "x", "reason": "", "holds": True}),
    ],
)
def test_a_value_that_is_none_cannot_be_made(forge: Callable[[], object]) -> None:
    """NaN, infinity, None, zero rows, a word for a yes: there is no measurement of them."""
    with pytest.raises((ValueError, TypeError, Refused)):
        forge()


# ── lies in the policy ─────────────────────────────────────────────────────────────────────────────────────────────

POLICIES: dict[str, Callable[[Policy], Policy]] = {
    "there are no gates": lambda p: replace(p, gates=()),
    "all gates only advise": lambda p: replace(p, gates=tuple(replace(g, mode=Mode.ADVISORY) for g in p.gates)),
    "a gate has no rule": lambda p: replace(p, gates=tuple(replace(g, rules={}, other=None) for g in p.gates)),
    "a limit is empty": lambda p: _with(p, "performance", rules={"roc_auc_score": policy.Within()}),
    "a limit is NaN": lambda p: _with(p, "performance", rules={"roc_auc_score": policy.Within(min=float("nan"))}),
    "more is expected than was measured": lambda p: _with(p, "schema", expected=("columns", "smell")),
    "segments must show a loss that the rows can't": lambda p: _with(
        p, "slices", other=policy.DetectHarm(limit=0.02, detectable=0.021)
    ),
}


def _with(stated: Policy, name: str, **changes: Any) -> Policy:
    return replace(stated, gates=tuple(replace(g, **changes) if g.gate == name else g for g in stated.gates))


@pytest.mark.parametrize("lie", POLICIES)
def test_a_policy_that_asks_for_nothing_does_not_promote(lie: str, honest: list[Measurement]) -> None:
    """Zero gates, zero conditions, empty limits: nothing was asked, so nothing was passed."""
    assert not judge(honest, POLICIES[lie](POLICY)).promotes


def test_checks_of_deepchecks_without_an_answer_do_not_promote(honest: list[Measurement]) -> None:
    """A check that the policy names and that was not run is an error."""
    named = ChecksGate(mode=Mode.BLOCKING, checks={"MixedNulls": Check(conditions={"x": {}})})
    stated = policy.from_config(made.config(deepchecks=named))
    other = Assertion(gate="deepchecks", name="IsSingleValue", holds=True, message="")

    assert not judge(honest, stated).promotes
    assert not judge([*honest, other], stated).promotes


@pytest.mark.parametrize(
    "waiver",
    [
        pytest.param({"until": TODAY - timedelta(days=1)}, id="expired"),
        pytest.param({"gate": "schema"}, id="of another gate"),
        pytest.param({"name": "accuracy_score"}, id="of another measurement"),
    ],
)
def test_a_waiver_that_does_not_hold_lets_nothing_through(waiver: dict[str, Any], honest: list[Measurement]) -> None:
    """Only the named gate's, until its day; the one that holds does."""
    bad = MEASUREMENTS["the candidate is below its limit"](honest)
    holds = Waiver(gate="performance", who="Risk officer", reason="known", until=TODAY)

    assert judge(bad, replace(POLICY, waivers=(holds,))).promotes
    assert not judge(bad, replace(POLICY, waivers=(replace(holds, **waiver),))).promotes


def test_a_first_model_without_an_absolute_limit_that_passed_does_not_promote(honest: list[Measurement]) -> None:
    """Where nothing is compared, gate `performance` must have passed."""
    none = [NotApplicable(gate=g, name=g, reason="no-champion") for g in ("champion", "slices")]
    first = [*(m for m in honest if m.gate not in ("champion", "slices")), *none]
    off = replace(POLICY, gates=tuple(g for g in POLICY.gates if g.gate != "performance"))

    assert judge(first, POLICY, compared=False).promotes
    assert not judge([m for m in first if m.gate != "performance"], off, compared=False).promotes


def test_the_table_is_as_long_as_promised() -> None:
    """At least forty ways to lie."""
    assert len(FILES) + len(MEASUREMENTS) + len(POLICIES) >= 40
