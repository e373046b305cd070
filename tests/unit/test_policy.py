"""The policy that a config states, and how rules find the measurements that they are for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from passmuster import policy
from passmuster.config import Mode, Task
from passmuster.measurement import Estimate, Interval
from passmuster.policy import DetectEffect, DetectHarm, GatePolicy, Holds, Policy
from passmuster.verdict import Judgement, judge
from support import candidate as made

CONFIG = made.config()


def _judged(rule: DetectEffect, *, value: float, low: float, high: float, level: float = 0.995) -> Judgement:
    """How one effect ends, in a gate that has a budget of 0.5 % for itself."""
    gate = GatePolicy(gate="drift", mode=Mode.BLOCKING, expected=(), rules={"psi": rule}, alarms=True)
    stated = Policy(gates=(gate,), confidence=0.95, false_alarms=0.005)
    interval = Interval(low=low, high=high, level=level, method="m")
    found = Estimate(gate="drift", name="train-test::Age::psi", value=value, n=100, interval=interval)
    (judged,) = judge([found], stated, compared=True, today=date(2026, 11, 23)).judgements
    return judged


@pytest.mark.parametrize(
    ("rule", "low", "high", "outcome"),
    [
        pytest.param(DetectEffect(max=0.2), 0.1, 0.19, "pass", id="all of it within"),
        pytest.param(DetectEffect(max=0.2), 0.1, 0.4, "pass", id="not wholly above"),
        pytest.param(DetectEffect(max=0.2), 0.21, 0.4, "fail", id="wholly above"),
        pytest.param(DetectEffect(min=0.8), 0.7, 0.9, "pass", id="not wholly below"),
        pytest.param(DetectEffect(min=0.8), 0.5, 0.79, "fail", id="wholly below"),
        pytest.param(DetectEffect(), 0.0, 0.1, "error", id="no limit at all"),
    ],
)
def test_an_effect_fails_only_when_its_interval_lies_wholly_outside(
    rule: DetectEffect, low: float, high: float, outcome: str
) -> None:
    assert _judged(rule, value=(low + high) / 2, low=low, high=high, level=0.995).outcome.value == outcome


def test_an_effect_whose_interval_is_not_simultaneous_shows_nothing() -> None:
    judged = _judged(DetectEffect(max=0.2), value=0.1, low=0.05, high=0.15, level=0.95)

    assert judged.outcome.value == "error"
    assert "level 0.95" in judged.reason


def test_the_verdict_says_which_effect_would_have_shown() -> None:
    judged = _judged(DetectEffect(max=0.2), value=0.1, low=0.06, high=0.15)

    assert judged.detectable == pytest.approx(0.25)
    assert "more than 0.25 would have shown" in judged.reason


def test_a_rule_is_found_by_the_whole_name_then_the_last_part_then_the_first() -> None:
    whole, last, first, other = (DetectHarm(limit=number / 10) for number in range(4))
    gate = GatePolicy(
        gate="g",
        mode=Mode.BLOCKING,
        expected=(),
        rules={"champion::ece": whole, "ece": last, "champion": first},
        other=other,
        modes={"champion": Mode.ADVISORY},
    )

    assert [gate.rule(name) for name in ("champion::ece", "a::ece", "champion::auc", "a::auc")] == [
        whole,
        last,
        first,
        other,
    ]
    assert (gate.mode_of("champion::auc"), gate.mode_of("a::ece")) == (Mode.ADVISORY, Mode.BLOCKING)


def test_the_budget_is_split_over_the_gates_that_may_raise_false_alarms() -> None:
    stated = policy.from_config(CONFIG)
    alarming = [gate.gate for gate in stated.gates if gate.alarms]

    assert alarming == ["profile", "leakage", "drift", "slices", "calibration"]
    assert sum(stated.false_alarms_of(gate.gate) for gate in stated.gates) == pytest.approx(stated.false_alarms)
    assert stated.false_alarms_of("performance") == 0.0


def test_every_column_is_judged_for_drift_by_the_effects_of_its_kind() -> None:
    effects = {column: policy.effects_of(CONFIG, column) for column in CONFIG.data.columns}

    assert effects["loan_id"] == ()
    assert effects["income"] == ("kolmogorov_smirnov", "null_share")
    assert effects["home"] == effects["status"] == ("total_variation", "share_ratio", "null_share")


def test_gates_of_classifiers_are_not_asked_about_a_regression() -> None:
    stated = policy.from_config(replace(CONFIG, task=Task.REGRESSION))

    assert not {"calibration", "fairness"} & {gate.gate for gate in stated.gates}


def test_what_a_gate_only_holds_or_not_needs_no_limit() -> None:
    stated = {gate.gate: gate for gate in policy.from_config(CONFIG).gates}

    assert stated["slices"].rule("slices") == Holds()
    assert stated["slices"].rule("home=own") == DetectHarm(limit=CONFIG.gates.slices.limit)
    assert stated["slices"].rule("reference::home=own") == DetectHarm(limit=CONFIG.gates.slices.reference_limit)
