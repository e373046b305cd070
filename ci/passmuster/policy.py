"""The policy that a config states, as the kernel judges by it: for each gate its rules and what must come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from passmuster import curated
from passmuster.config import BehaviourGate, ChecksGate, Gate, Limit, Mode, ModelConfig, UserGate, Waiver


@dataclass(frozen=True, kw_only=True)
class Within:
    """An absolute limit: the whole interval (or, of an exact number, the number) lies within."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, kw_only=True)
class NoHarm:
    """*Prove no harm*: not worse than the champion by more than `margin` (negative: better by at least that)."""

    margin: float


@dataclass(frozen=True, kw_only=True)
class DetectHarm:
    """*Detect harm*: fails only when the simultaneous interval lies wholly beyond `-limit`."""

    limit: float
    detectable: float | None = None  #: a smallest visible effect above this is inconclusive


@dataclass(frozen=True, kw_only=True)
class Holds:
    """The assertion holds."""


Rule = Within | NoHarm | DetectHarm | Holds


@dataclass(frozen=True, kw_only=True)
class GatePolicy:
    """What one gate must show."""

    gate: str
    mode: Mode
    expected: tuple[str, ...]  #: names that must come back; "Job" is met by "Job" and by "Job=…"
    rules: Mapping[str, Rule] = field(default_factory=dict)  #: by the measurement's name
    other: Rule | None = None  #: for measurements that no name in `rules` matches
    modes: Mapping[str, Mode] = field(default_factory=dict)  #: where one measurement's weight differs
    accept: frozenset[str] = frozenset()  #: reasons for which *not applicable* is skipped
    timeout: float = 120.0  #: seconds


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All that the kernel needs to judge measurements."""

    gates: tuple[GatePolicy, ...]
    confidence: float
    false_alarms: float
    waivers: tuple[Waiver, ...] = ()

    def false_alarms_of(self, gate: str) -> float:
        """Return the share of the budget that a gate with a *detect harm* rule may use; equal shares."""
        detecting = [g.gate for g in self.gates if isinstance(g.other, DetectHarm)]
        return self.false_alarms / len(detecting) if gate in detecting else 0.0


def from_config(config: ModelConfig) -> Policy:
    """Return the policy that `config` states, defaults filled in; gates that are off are not in it."""
    gates = config.gates
    first_metric = next(iter(gates.champion.rules))
    segments = gates.segments
    columns = segments.columns or tuple(dict.fromkeys((*config.data.protected, *config.data.categorical)))
    found = [
        _holds("schema", gates.schema, ("columns", "types", "nulls", "categories", "signature")),
        _holds("artifact", gates.artifact, ("files", "size", "types")),
        _holds("environment", gates.environment, ("lock", "python", "platform")),
        _checks("integrity", gates.integrity, config),
        _checks("train-test", gates.train_test, config),
        _checks("evaluation", gates.evaluation, config),
        _gate(
            "performance",
            gates.performance,
            expected=tuple(gates.performance.limits),
            rules={name: _within(limit) for name, limit in gates.performance.limits.items()},
        ),
        _gate(
            "champion",
            gates.champion,
            expected=tuple(gates.champion.rules),
            rules={
                name: NoHarm(margin=rule.margin if rule.margin is not None else -(rule.better_by or 0.0))
                for name, rule in gates.champion.rules.items()
            },
        ),
        _gate(
            "segments",
            segments,
            expected=columns or (segments.metric or first_metric,),
            other=DetectHarm(limit=segments.limit, detectable=segments.detectable),
        ),
        _behaviour(gates.behaviour),
        *(_user(name, gate) for name, gate in gates.user.items()),
    ]
    return Policy(
        gates=tuple(gate for gate in found if gate.mode is not Mode.OFF),
        confidence=config.policy.confidence,
        false_alarms=config.policy.false_alarms,
        waivers=config.policy.waivers,
    )


def turned_off(config: ModelConfig) -> tuple[str, ...]:
    """Return the names of the gates that the config turns off, for the report."""
    running = {gate.gate for gate in from_config(config).gates}
    every = ("schema", "artifact", "environment", "integrity", "train-test", "evaluation", "performance")
    return tuple(
        name for name in (*every, "champion", "segments", "behaviour", *config.gates.user) if name not in running
    )


def is_waived(waivers: tuple[Waiver, ...], gate: str, name: str, today: date) -> Waiver | None:
    """Return the live waiver for a gate's measurement; one that names no measurement holds for all of the gate's."""
    for waiver in waivers:
        if waiver.gate == gate and waiver.name in (None, name) and today <= waiver.until:
            return waiver
    return None


def _gate(
    name: str,
    gate: Gate,
    *,
    expected: tuple[str, ...],
    rules: Mapping[str, Rule] | None = None,
    other: Rule | None = None,
    modes: Mapping[str, Mode] | None = None,
) -> GatePolicy:
    return GatePolicy(
        gate=name,
        mode=gate.mode,
        expected=expected,
        rules=rules or {},
        other=other,
        modes=modes or {},
        accept=frozenset(gate.accept),
        timeout=gate.timeout,
    )


def _holds(name: str, gate: Gate, expected: tuple[str, ...]) -> GatePolicy:
    return _gate(name, gate, expected=expected, other=Holds())


def _checks(name: str, gate: ChecksGate, config: ModelConfig) -> GatePolicy:
    named = gate.checks or curated.checks(name, task=config.task, has_time=config.data.time is not None)
    checks = {check: settings for check, settings in named.items() if settings.mode is not Mode.OFF}
    return _gate(
        name,
        gate,
        expected=tuple(checks),
        rules={check: Holds() for check in checks},
        modes={check: settings.mode for check, settings in checks.items() if settings.mode is not None},
    )


def _behaviour(gate: BehaviourGate) -> GatePolicy:
    return _gate("behaviour", gate, expected=("tests",), other=Holds())


def _user(name: str, gate: UserGate) -> GatePolicy:
    return _gate(
        name,
        gate,
        expected=tuple(gate.limits),
        rules={key: _within(limit) for key, limit in gate.limits.items()},
        other=Holds(),
    )


def _within(limit: Limit) -> Within:
    return Within(min=limit.min, max=limit.max)
