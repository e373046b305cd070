"""The kernel: measurements and a policy in, outcomes and one decision out. Pure; no file, clock or network.

The laws, each tested by property: a blocking gate is let through by nothing but a pass, a live waiver, or a skip for a
reason that the policy accepts; what is expected and did not come back is an error; a verdict without a blocking pass
does not promote; the order of the measurements changes nothing.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from passmuster import planning
from passmuster.config import Mode, Waiver
from passmuster.errors import ExitCode, UsageError, combine
from passmuster.measurement import Assertion, Estimate, Failure, Measurement, NotApplicable, to_json
from passmuster.policy import DetectEffect, DetectHarm, GatePolicy, Holds, NoHarm, Policy, Rule, Within, is_waived

#: The reason that a comparison gives where the ledger has no champion yet; accepted by the kernel itself, since then
#: absolute limits must hold and a person must say `--first`.
NO_CHAMPION = "no-champion"

#: The reason that a comparison gives where the champion is out of a fork's reach. The kernel accepts it only where the
#: caller knows that a fork's pull request is judged; such a verdict promotes nothing, main judges again.
NO_ACCESS = "no access from a fork"

#: Why nothing was compared, as passmuster alone may say it.
NOT_COMPARED = (NO_CHAMPION, NO_ACCESS)
_UNTRUE = {
    NO_CHAMPION: "says that there is no champion, but the ledger has one, or could not be asked",
    NO_ACCESS: "says that the champion is out of reach, but it is not known to be a fork's candidate",
}


class Outcome(StrEnum):
    """What a measurement came to under its rule."""

    PASS = "pass"  # noqa: S105  the word, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    SKIPPED = "skipped"
    WAIVED = "waived"


_CODES = {
    Outcome.PASS: ExitCode.OK,
    Outcome.SKIPPED: ExitCode.OK,
    Outcome.WAIVED: ExitCode.OK,
    Outcome.FAIL: ExitCode.GATE_FAILED,
    Outcome.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Outcome.ERROR: ExitCode.NOT_MEASURED,
}

#: Worst first: the order in which people are shown outcomes.
SEVERITY = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WAIVED, Outcome.SKIPPED, Outcome.PASS)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One measurement under its rule."""

    gate: str
    name: str
    mode: Mode
    outcome: Outcome
    reason: str  #: the sentence shown to people: what was measured, expected, and what it means
    limit: str = ""  #: the rule in short, e.g. "≥ −0.02"
    measurement: Measurement
    rows_to_decide: int | None = None  #: inconclusive: rows at which a true difference of 0 would pass
    detectable: float | None = None  #: *detect harm*: the smallest loss that these rows would have shown
    waiver: Waiver | None = None
    waived: Outcome | None = None  #: what the outcome was without the waiver

    @property
    def blocks(self) -> bool:
        """Whether this keeps the candidate from being promoted."""
        return self.mode is Mode.BLOCKING and _CODES[self.outcome] is not ExitCode.OK


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All outcomes of a candidate under one policy, and the decision."""

    judgements: tuple[Judgement, ...]  #: worst first, blocking before advisory
    compared: bool  #: whether there was a champion to compare with

    @property
    def code(self) -> ExitCode:
        """The exit code: `OK` only where the decision is to promote."""
        blocking = [j for j in self.judgements if j.mode is Mode.BLOCKING]
        code = combine(_CODES[j.outcome] for j in blocking)
        if code is ExitCode.OK and not self._something_passed(blocking):
            return ExitCode.NOT_MEASURED
        return ExitCode.NOT_MEASURED if code is ExitCode.NOTHING_TO_DO else code

    @property
    def promotes(self) -> bool:
        """Whether the candidate passes muster."""
        return self.code is ExitCode.OK

    @property
    def decision(self) -> str:
        """Either "promote" or "refuse"."""
        return "promote" if self.promotes else "refuse"

    def _something_passed(self, blocking: Sequence[Judgement]) -> bool:
        passed = [j for j in blocking if j.outcome is Outcome.PASS]
        if self.compared:
            return bool(passed)
        return any(j.gate == "performance" for j in passed)


def judge(
    measurements: Iterable[Measurement], policy: Policy, *, compared: bool, no_access: bool = False, today: date
) -> Verdict:
    """Judge `measurements` by `policy`.

    Args:
        measurements: from all gates, in any order.
        policy: of the commit that rules.
        compared: whether the ledger has a champion; only where it has none may a comparison not apply.
        no_access: whether it is a fork's candidate, from where the champion is out of reach: then a comparison may say
            so, and nothing counts as compared.
        today: the day that decides which waivers still count.
    """
    excused = NO_ACCESS if no_access else None if compared else NO_CHAMPION
    by_gate: dict[str, list[Measurement]] = {gate.gate: [] for gate in policy.gates}
    strangers: list[Measurement] = []
    for measurement in measurements:
        by_gate.get(measurement.gate, strangers).append(measurement)
    judgements: list[Judgement] = []
    for gate in policy.gates:
        found = _expected(gate, by_gate[gate.gate])
        level = _simultaneous_level(found, gate, policy)
        judgements += [_judge_one(m, gate, policy, level, excused) for m in found]
    judgements += [_stranger(m) for m in strangers]
    return Verdict(
        judgements=tuple(sorted((_waive(j, policy, today) for j in judgements), key=_order)),
        compared=compared and not no_access,
    )


def to_body(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON types, for the record of step `gate`."""
    return {
        "decision": verdict.decision,
        "code": int(verdict.code),
        "compared": verdict.compared,
        "judgements": [_judgement_to_json(j) for j in verdict.judgements],
    }


def _judgement_to_json(judgement: Judgement) -> dict[str, Any]:
    waiver = judgement.waiver
    return {
        "gate": judgement.gate,
        "name": judgement.name,
        "mode": judgement.mode.value,
        "outcome": judgement.outcome.value,
        "reason": judgement.reason,
        "limit": judgement.limit,
        "measurement": to_json(judgement.measurement),
        "rows_to_decide": judgement.rows_to_decide,
        "detectable": judgement.detectable,
        "waiver": None
        if waiver is None
        else {"who": waiver.who, "reason": waiver.reason, "until": waiver.until.isoformat()},
        "waived": judgement.waived.value if judgement.waived else None,
    }


def _order(judgement: Judgement) -> tuple[bool, int, str, str, str]:
    """Sort key: blocking first, then worst first; the rest only makes the order one."""
    m = judgement.measurement
    return (
        judgement.mode is not Mode.BLOCKING,
        SEVERITY.index(judgement.outcome),
        judgement.gate,
        judgement.name,
        repr(m),
    )


def _expected(gate: GatePolicy, measurements: Sequence[Measurement]) -> list[Measurement]:
    """Add an error for all that is missing or given twice; a gate that said nothing said nothing good."""
    names = Counter(m.name for m in measurements)
    found: list[Measurement] = [
        m
        if names[m.name] == 1
        else Failure(gate=gate.gate, name=m.name, reason=f"measured {names[m.name]} times; one answer is a measurement")
        for m in measurements
    ]
    if len(found) == 1 and found[0].name == gate.gate and isinstance(found[0], (Failure, NotApplicable)):
        return found  # the gate as a whole did not measure, and says so: that stands for all its parts
    missing = [name for name in gate.expected if not any(_meets(m.name, name) for m in found)]
    found += [
        Failure(gate=gate.gate, name=name, reason="the policy asks for it, and it was not measured") for name in missing
    ]
    if not found:
        found = [Failure(gate=gate.gate, name=gate.gate, reason="the gate measured nothing")]
    return found


def _meets(name: str, expected: str) -> bool:
    return name == expected or name.startswith((f"{expected}=", f"{expected}::"))


def _stranger(measurement: Measurement) -> Judgement:
    return Judgement(
        gate=measurement.gate,
        name=measurement.name,
        mode=Mode.BLOCKING,
        outcome=Outcome.ERROR,
        reason="the policy knows no such gate",
        measurement=measurement,
    )


def _simultaneous_level(measurements: Sequence[Measurement], gate: GatePolicy, policy: Policy) -> float:
    """Return the level that intervals of a *detect harm* gate must have; without a budget, none is enough."""
    budget = policy.false_alarms_of(gate.gate)
    detecting = (DetectHarm, DetectEffect)
    comparisons = sum(isinstance(m, Estimate) and isinstance(gate.rule(m.name), detecting) for m in measurements)
    return planning.simultaneous(budget, comparisons) if budget and comparisons else 1.0


def _judge_one(
    measurement: Measurement, gate: GatePolicy, policy: Policy, simultaneous: float, excused: str | None
) -> Judgement:
    rule = gate.rule(measurement.name)
    blank = Judgement(
        gate=gate.gate,
        name=measurement.name,
        mode=gate.mode_of(measurement.name),
        outcome=Outcome.ERROR,
        reason="",
        measurement=measurement,
    )
    match measurement:
        case Failure():
            return replace(blank, reason=f"could not be measured: {measurement.reason}")
        case NotApplicable():
            return _not_applicable(measurement, blank, gate, excused)
        case Assertion():
            if not isinstance(rule, Holds):
                return replace(blank, reason="the policy has a limit for it, but a yes or no came back")
            outcome = Outcome.PASS if measurement.holds else Outcome.FAIL
            return replace(blank, outcome=outcome, reason=measurement.message)
        case Estimate():
            return _judge_estimate(measurement, rule, blank, policy, simultaneous)


def _not_applicable(measurement: NotApplicable, blank: Judgement, gate: GatePolicy, excused: str | None) -> Judgement:
    """Judge what does not apply; `excused` is the one reason for which nothing may have been compared, if any is."""
    said = f"{measurement.reason}: {measurement.message}" if measurement.message else measurement.reason
    if measurement.reason in NOT_COMPARED:
        if measurement.reason != excused:
            return replace(blank, reason=_UNTRUE[measurement.reason])
        return replace(blank, outcome=Outcome.SKIPPED, reason=f"nothing was compared: {said}")
    if measurement.reason in gate.accept:
        return replace(blank, outcome=Outcome.SKIPPED, reason=f"{said} (the policy accepts it)")
    return replace(
        blank,
        reason=f"not applicable ({said}), which the policy does not accept; "
        f"add {measurement.reason!r} to the gate's `accept` if it should",
    )


def _judge_estimate(m: Estimate, rule: Rule | None, blank: Judgement, policy: Policy, simultaneous: float) -> Judgement:
    match rule:
        case None | Holds():
            return replace(blank, reason="a number was measured, but the policy has no limit for it")
        case Within():
            return _judge_within(m, rule, blank, policy.confidence)
        case NoHarm():
            return _judge_no_harm(m, rule, blank, policy.confidence)
        case DetectHarm():
            return _judge_detect_harm(m, rule, blank, simultaneous)
        case DetectEffect():
            return _judge_detect_effect(m, rule, blank, simultaneous)


def _judge_within(m: Estimate, rule: Within, blank: Judgement, level: float) -> Judgement:
    limit = " and ".join(
        text
        for text in (
            f"≥ {number(rule.min)}" if rule.min is not None else "",
            f"≤ {number(rule.max)}" if rule.max is not None else "",
        )
        if text
    )
    if not limit:
        return replace(blank, reason="the policy's limit is empty")
    if m.interval is not None and _too_low(m.interval.level, level):
        return replace(blank, limit=limit, reason=_level_reason(m.interval.level, level))
    low, high = (m.interval.low, m.interval.high) if m.interval else (m.value, m.value)
    outside = (rule.min is not None and high < rule.min) or (rule.max is not None and low > rule.max)
    inside = (rule.min is None or low >= rule.min) and (rule.max is None or high <= rule.max)
    outcome = Outcome.FAIL if outside else Outcome.PASS if inside else Outcome.INCONCLUSIVE
    return replace(
        blank,
        outcome=outcome,
        limit=limit,
        reason=f"{_shown(m)}, expected {limit}",
        rows_to_decide=_rows_for_limit(m, rule, level) if outcome is Outcome.INCONCLUSIVE else None,
    )


def _rows_for_limit(m: Estimate, rule: Within, level: float) -> int | None:
    """Rows at which the value as measured would lie within its limit; None where it lies outside now."""
    room = min(
        m.value - rule.min if rule.min is not None else math.inf,
        rule.max - m.value if rule.max is not None else math.inf,
    )
    return _rows(m, room, level) if room > 0 else None


def _judge_no_harm(m: Estimate, rule: NoHarm, blank: Judgement, level: float) -> Judgement:
    limit = f"> {number(-rule.margin)}"
    blank = replace(blank, limit=limit)
    if m.interval is None:
        return replace(blank, reason="a comparison without an interval proves nothing")
    if _too_low(m.interval.level, level):
        return replace(blank, reason=_level_reason(m.interval.level, level))
    said = f"{_shown(m)}, expected {limit}"
    if m.interval.low > -rule.margin or (m.interval.low == m.interval.high == m.value == -rule.margin):
        return replace(blank, outcome=Outcome.PASS, reason=said)
    if m.interval.high < -rule.margin:
        return replace(blank, outcome=Outcome.FAIL, reason=said)
    rows = _rows(m, abs(rule.margin), level) if rule.margin else None
    return replace(
        blank,
        outcome=Outcome.INCONCLUSIVE,
        reason=f"{said}; these rows can't decide" + (f", about {rows:,} would" if rows else ""),
        rows_to_decide=rows,
    )


def _judge_detect_harm(m: Estimate, rule: DetectHarm, blank: Judgement, level: float) -> Judgement:
    limit = f"not wholly below {number(-rule.limit)}"
    blank = replace(blank, limit=limit)
    if m.interval is None or m.standard_error is None:
        return replace(blank, reason="a comparison without an interval and its standard error shows nothing")
    if _too_low(m.interval.level, level):
        return replace(blank, reason=_level_reason(m.interval.level, level))
    detectable = rule.limit + planning.smallest_detectable(m.standard_error, m.interval.level)
    said = f"{_shown(m)}, expected {limit}; a loss of {number(detectable)} would have shown"
    blank = replace(blank, detectable=detectable, reason=said)
    if m.interval.high < -rule.limit:
        return replace(blank, outcome=Outcome.FAIL)
    if rule.detectable is not None and detectable > rule.detectable:
        return replace(
            blank,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"{said}, but the policy asks that one of {number(rule.detectable)} shows",
        )
    return replace(blank, outcome=Outcome.PASS)


def _judge_detect_effect(m: Estimate, rule: DetectEffect, blank: Judgement, level: float) -> Judgement:
    limit = " and ".join(
        text
        for text in (
            f"not wholly below {number(rule.min)}" if rule.min is not None else "",
            f"not wholly above {number(rule.max)}" if rule.max is not None else "",
        )
        if text
    )
    if not limit:
        return replace(blank, reason="the policy's limit is empty")
    blank = replace(blank, limit=limit)
    if m.interval is None:
        return replace(blank, reason="an effect without an interval shows nothing")
    if _too_low(m.interval.level, level):
        return replace(blank, reason=_level_reason(m.interval.level, level))
    beyond = rule.max is not None
    # Nearer to the limit an effect is told less exactly than near zero: the wider side counts.
    room = max(m.value - m.interval.low, m.interval.high - m.value)
    room += planning.POWER_QUANTILE * (m.standard_error or 0.0)
    detectable = rule.max + room if rule.max is not None else (rule.min or 0.0) - room
    said = (
        f"{_shown(m)}, expected {limit}; {'more than' if beyond else 'less than'} {number(detectable)} would have shown"
    )
    blank = replace(blank, detectable=detectable, reason=said)
    above = rule.max is not None and m.interval.low > rule.max
    below = rule.min is not None and m.interval.high < rule.min
    return replace(blank, outcome=Outcome.FAIL if above or below else Outcome.PASS)


def _rows(m: Estimate, room: float, level: float) -> int | None:
    """Rows at which the interval lies within `room` of its centre; None where the spread is not known."""
    if m.standard_error is None or m.n < 2 or not room > 0:
        return None
    with contextlib.suppress(UsageError):
        return planning.rows_to_decide(m.standard_error, m.n, room, level=level)
    return None


def _too_low(level: float, asked: float) -> bool:
    return level < asked - 1e-9


def _level_reason(level: float, asked: float) -> str:
    return f"the interval has level {level:.6g}, the policy asks for {asked:.6g}"


def _shown(m: Estimate) -> str:
    interval = (
        f" ({m.interval.level * 100:.6g} % interval {number(m.interval.low)} to {number(m.interval.high)})"
        if m.interval
        else ""
    )
    return f"{number(m.value)}{interval} on {m.n:,} rows"


def number(value: float) -> str:
    """Return a number as people read it: four significant digits, a true minus sign."""
    return f"{value:.4g}".replace("-", "−")


def _waive(judgement: Judgement, policy: Policy, today: date) -> Judgement:
    if judgement.outcome in (Outcome.PASS, Outcome.SKIPPED):
        return judgement
    waiver = is_waived(policy.waivers, judgement.gate, judgement.name, today)
    if waiver is None:
        ended = [w for w in policy.waivers if w.gate == judgement.gate and w.name in (None, judgement.name)]
        said = "".join(f"; the waiver of {w.who} ended on {w.until.isoformat()}" for w in ended)
        return replace(judgement, reason=judgement.reason + said)
    return replace(judgement, outcome=Outcome.WAIVED, waived=judgement.outcome, waiver=waiver)


def summary(judgements: Iterable[Mapping[str, Any] | Judgement]) -> dict[str, int]:
    """Return how many outcomes there are of each kind, worst first; those of count 0 left out."""
    counts = Counter(j.outcome.value if isinstance(j, Judgement) else str(j["outcome"]) for j in judgements)
    return {outcome.value: counts[outcome.value] for outcome in SEVERITY if counts[outcome.value]}
