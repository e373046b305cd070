"""The policy that a config states, as the kernel judges by it: for each gate its rules and what must come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import TypeVar

from passmuster import curated
from passmuster.config import (
    BehaviourGate,
    ChecksGate,
    ColumnType,
    Comparison,
    Gate,
    Limit,
    Mode,
    ModelConfig,
    Task,
    UserGate,
    Waiver,
)
from passmuster.metrics import EFFECT_OF_ALL, EFFECTS_OF_CATEGORIES, EFFECTS_OF_NUMBERS

#: Between the parts of a measurement's name.
PART = "::"

#: What gate `profile` looks at.
PROFILED = (
    "nulls",
    "types",
    "numeric-text",
    "infinities",
    "constants",
    "empty",
    "sentinels",
    "ranges",
    "cardinality",
)

#: How gate `drift` names all columns together, and the model's answers.
ALL_COLUMNS, ANSWERS = "(all columns)", "(prediction)"

_T = TypeVar("_T")


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
class DetectEffect:
    """*Detect harm* by the size of an effect: fails only when the simultaneous interval lies wholly outside."""

    max: float | None = None
    min: float | None = None


@dataclass(frozen=True, kw_only=True)
class Holds:
    """The assertion holds."""


Rule = Within | NoHarm | DetectHarm | DetectEffect | Holds


@dataclass(frozen=True, kw_only=True)
class GatePolicy:
    """What one gate must show."""

    gate: str
    mode: Mode
    expected: tuple[str, ...]  #: names that must come back; "Job" is met by "Job" and by "Job=…"
    rules: Mapping[str, Rule] = field(default_factory=dict)  #: by the measurement's name, or its last or first part
    other: Rule | None = None  #: for measurements that no name in `rules` matches
    modes: Mapping[str, Mode] = field(default_factory=dict)  #: where the weight differs; by name, last or first part
    accept: frozenset[str] = frozenset()  #: reasons for which *not applicable* is skipped
    timeout: float = 120.0  #: seconds
    alarms: bool = False  #: whether it may raise false alarms, and so has a share of the budget for them

    def rule(self, name: str) -> Rule | None:
        """Return the rule for a measurement: that of its whole name, else of its last part, else of its first."""
        return _named(self.rules, name, self.other)

    def mode_of(self, name: str) -> Mode:
        """Return how much a measurement weighs; found as its rule is."""
        return _named(self.modes, name, self.mode)


def _named(settings: Mapping[str, _T], name: str, other: _T) -> _T:
    parts = name.split(PART)
    return next((settings[key] for key in (name, parts[-1], parts[0]) if key in settings), other)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All that the kernel needs to judge measurements."""

    gates: tuple[GatePolicy, ...]
    confidence: float
    false_alarms: float
    waivers: tuple[Waiver, ...] = ()

    def false_alarms_of(self, gate: str) -> float:
        """Return the share of the budget that a gate which may raise false alarms has; equal shares."""
        detecting = [g.gate for g in self.gates if g.alarms]
        return self.false_alarms / len(detecting) if gate in detecting else 0.0


def from_config(config: ModelConfig) -> Policy:
    """Return the policy that `config` states, defaults filled in; gates that are off are not in it."""
    gates = config.gates
    found = [
        _holds("schema", gates.schema, ("columns", "types", "nulls", "categories", "signature")),
        _holds("profile", gates.profile, PROFILED, alarms=True),
        _holds("leakage", gates.leakage, _leaks(config), alarms=True),
        _drift(config),
        _holds("artifact", gates.artifact, ("files", "size", "types")),
        _holds("environment", gates.environment, ("lock", "python", "platform")),
        _deepchecks(gates.deepchecks, config.task),
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
            rules={name: _no_harm(rule) for name, rule in gates.champion.rules.items()},
        ),
        _slices(config),
        *_calibration(config),
        *_fairness(config),
        _decision(config),
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
    built_in = {item.name.replace("_", "-"): getattr(config.gates, item.name) for item in fields(config.gates)}
    built_in.pop("user")
    return tuple(name for name, gate in {**built_in, **config.gates.user}.items() if gate.mode is Mode.OFF)


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
    alarms: bool = False,
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
        alarms=alarms,
    )


def _holds(name: str, gate: Gate, expected: tuple[str, ...], *, alarms: bool = False) -> GatePolicy:
    return _gate(name, gate, expected=expected, other=Holds(), alarms=alarms)


def _leaks(config: ModelConfig) -> tuple[str, ...]:
    time = ("time",) if config.data.time else ()
    unavailable = ("unavailable",) if config.gates.leakage.unavailable else ()
    return ("duplicates", "rows", "features", "ids", *time, "predictors", *unavailable)


def _drift(config: ModelConfig) -> GatePolicy:
    gate = config.gates.drift
    pairs = ("train-test", "reference-test") if config.data.reference else ("train-test",)
    expected = [f"{pair}::{column}" for pair in pairs for column in judged_for_drift(config)]
    if EFFECT_OF_ALL in gate.limits:
        expected += [f"{pair}::{ALL_COLUMNS}" for pair in pairs]
    if effect_of_answers(config):
        expected.append(f"reference-test::{ANSWERS}")
    return _gate(
        "drift",
        gate,
        expected=tuple(expected),
        rules={name: DetectEffect(max=limit) for name, limit in gate.limits.items()},
        # A world that changed since the champion was made is a reason to have a candidate.
        modes={"champion-test": Mode.ADVISORY},
        alarms=True,
    )


def effects_of(config: ModelConfig, column: str) -> tuple[str, ...]:
    """Return the effects that drift of a column is judged by; none for its id, times and what is to be ignored."""
    data = config.data
    contract = data.columns.get(column)
    if column in (data.id, data.time, *config.gates.drift.ignore) or contract is None:
        return ()
    if contract.type is ColumnType.DATETIME:
        return ()
    numbers = contract.type in (ColumnType.INTEGER, ColumnType.NUMBER) and column not in data.categorical
    classes = column == data.label and config.task is not Task.REGRESSION
    of_this = EFFECTS_OF_NUMBERS if numbers and not classes else EFFECTS_OF_CATEGORIES
    return tuple(name for name in of_this if name in config.gates.drift.limits)


def effect_of_answers(config: ModelConfig) -> str | None:
    """Return the effect that drift of the model's answers is judged by; None where there is nothing to compare."""
    effect = "total_variation" if config.task is Task.MULTICLASS else "kolmogorov_smirnov"
    return effect if config.data.reference and effect in config.gates.drift.limits else None


def judged_for_drift(config: ModelConfig) -> tuple[str, ...]:
    """Return the columns whose drift is judged, the label among them."""
    return tuple(column for column in config.data.columns if effects_of(config, column))


def _slices(config: ModelConfig) -> GatePolicy:
    gate = config.gates.slices
    return _gate(
        "slices",
        gate,
        expected=("slices", *gate.columns),
        rules={"slices": Holds(), "reference": DetectHarm(limit=gate.reference_limit, detectable=gate.detectable)},
        other=DetectHarm(limit=gate.limit, detectable=gate.detectable),
        alarms=True,
    )


def _calibration(config: ModelConfig) -> tuple[GatePolicy, ...]:
    if config.task is Task.REGRESSION:
        return ()
    gate = config.gates.calibration
    error, compared = "expected_calibration_error", "champion::expected_calibration_error"
    rules: dict[str, Rule] = {error: DetectEffect(max=gate.limit), compared: DetectHarm(limit=gate.worse)}
    return (_gate("calibration", gate, expected=(error, compared), rules=rules, alarms=True),)


def _fairness(config: ModelConfig) -> tuple[GatePolicy, ...]:
    gate = config.gates.fairness
    columns = gate.columns or config.data.protected
    if config.task is not Task.BINARY or not columns:
        return ()
    rules = {name: DetectEffect(min=limit.min, max=limit.max) for name, limit in gate.limits.items()}
    expected = tuple(f"{column}::{name}" for column in columns for name in rules)
    return (_gate("fairness", gate, expected=expected, rules=rules, alarms=True),)


def _decision(config: ModelConfig) -> GatePolicy:
    gate = config.gates.decision
    rules: dict[str, Rule] = {name: _within(limit) for name, limit in gate.limits.items()}
    rules |= {f"champion::{name}": _no_harm(rule) for name, rule in gate.rules.items()}
    return _gate("decision", gate, expected=tuple(rules), rules=rules)


def _no_harm(rule: Comparison) -> NoHarm:
    return NoHarm(margin=rule.margin if rule.margin is not None else -(rule.better_by or 0.0))


def _deepchecks(gate: ChecksGate, task: Task) -> GatePolicy:
    named = gate.checks or curated.checks(task)
    checks = {check: settings for check, settings in named.items() if settings.mode is not Mode.OFF}
    return _gate(
        "deepchecks",
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
