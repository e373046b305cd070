"""Judges a case by the gates of data and predictions and the kernel, all in this process, under the default policy."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from corpus.cases import Case
from passmuster import policy, verdict
from passmuster.config import DriftGate, ModelConfig
from passmuster.gates import NEEDS, Inputs
from passmuster.measurement import Failure, Measurement
from passmuster.metrics import EFFECT_OF_ALL
from passmuster.policy import Policy
from passmuster.verdict import Judgement, Outcome, Verdict

TODAY = date(2026, 11, 23)

#: What the gates are called in code, by the policy's names.
CLASSES = {
    "schema": "schema:Schema",
    "profile": "profile:ProfileOfColumns",
    "leakage": "leakage:Leakage",
    "drift": "drift:Drift",
    "performance": "performance:Performance",
    "champion": "champion:Champion",
    "slices": "slices:Slices",
    "calibration": "calibration:Calibration",
    "fairness": "fairness:Fairness",
    "decision": "decision:Decision",
}


def judged(case: Case, folder: Path, *, only: tuple[str, ...] = tuple(CLASSES)) -> Verdict:
    """Return the verdict on a case; its files are written below `folder`.

    Args:
        case: what to judge.
        folder: an empty folder; its path must be new in this process, since gates remember files by their paths.
        only: the gates to run, each with the share of the false-alarm budget that it has among all.
    """
    config = _config(case, folder)
    inputs = case.write(folder, config)
    whole = policy.from_config(config)
    stated = replace(whole, gates=tuple(gate for gate in whole.gates if gate.gate in CLASSES))
    assert [g for g in whole.gates if g.alarms and g not in stated.gates] == []
    measured: list[Measurement] = []
    # On a busy machine the threads of a classifier wait for each other longer than they work.
    with threadpool_limits(1) if EFFECT_OF_ALL in config.gates.drift.limits else nullcontext():
        for name in sorted((gate.gate for gate in stated.gates if gate.gate in only), key=_cost):
            measured += measurements(name, replace(inputs, false_alarms=whole.false_alarms_of(name)))
    return verdict.judge(measured, _of(stated, only), compared=True, today=TODAY)


def measurements(name: str, inputs: Inputs) -> list[Measurement]:
    """Return what a gate measured; what it raises is an error outcome, as in the step."""
    try:
        return list(_gate(name).measure(inputs))
    except Exception as exc:
        return [Failure(gate=name, name=name, reason=f"{type(exc).__name__}: {exc}")]


def without_classifier(case: Case) -> Case:
    """Return the case under a policy without the classifier of all columns, which takes longer than all else."""
    limits = {effect: limit for effect, limit in DriftGate().limits.items() if effect != EFFECT_OF_ALL}
    return case.with_gates(drift={"limits": limits})


def failed(found: Verdict, gate: str, measurement: str) -> list[Judgement]:
    """Return a gate's failed judgements of a measurement, or of its parts."""
    return [j for j in of(found, gate, measurement) if j.outcome is Outcome.FAIL]


def of(found: Verdict, gate: str, measurement: str) -> list[Judgement]:
    """Return a gate's judgements of a measurement, or of its parts."""
    return [
        j
        for j in found.judgements
        if j.gate == gate and (j.name == measurement or j.name.startswith((f"{measurement}=", f"{measurement}::")))
    ]


def _of(stated: Policy, only: tuple[str, ...]) -> Policy:
    """Return the policy of some gates; the budget shrinks with them, so that each keeps its share."""
    gates = tuple(gate for gate in stated.gates if gate.gate in only)
    before, after = (sum(gate.alarms for gate in some) for some in (stated.gates, gates))
    return replace(stated, gates=gates, false_alarms=stated.false_alarms * after / before if after else 0.0)


@lru_cache
def _gate(name: str) -> Any:
    module, _, cls = CLASSES[name].partition(":")
    return getattr(import_module(f"passmuster_checks.{module}"), cls)()


def _cost(name: str) -> tuple[int, str]:
    return max(map(NEEDS.index, _gate(name).needs)), name


_configs: dict[str, ModelConfig] = {}


def _config(case: Case, folder: Path) -> ModelConfig:
    """Return the case's config; that of the same words is read once."""
    words = repr((case.task, case.columns, case.facts, case.gates))
    if words not in _configs:
        _configs[words] = case.config(folder)
    return _configs[words]
