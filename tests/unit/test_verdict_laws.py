"""The kernel's laws, by property: whatever gates answer, only an explicit pass promotes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passmuster.config import Mode, Waiver
from passmuster.errors import ExitCode
from passmuster.measurement import Assertion, Estimate, Failure, Interval, Measurement, NotApplicable
from passmuster.policy import DetectEffect, DetectHarm, GatePolicy, Holds, NoHarm, Policy, Rule, Within
from passmuster.verdict import NO_ACCESS, NO_CHAMPION, NOT_COMPARED, Outcome, Verdict, judge

TODAY = date(2026, 11, 23)
#: Fifty draws each keep the whole file to some seconds; the laws are simple enough to break within ten.
settings.register_profile("kernel", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kernel")

GATES, NAMES = ("a", "b", "performance"), ("x", "y", "x=1", "a", "b", "a::x", "b::y")
LET_THROUGH = {Outcome.PASS, Outcome.WAIVED, Outcome.SKIPPED}

numbers = st.floats(-1, 1) | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def estimates(draw: st.DrawFn, gate: str, name: str) -> Estimate:
    low, high = sorted((draw(numbers), draw(numbers)))
    interval = draw(st.none() | st.floats(0.5, 0.9999).map(lambda x: Interval(low=low, high=high, level=x, method="m")))
    error = draw(st.none() | st.floats(0, 10))
    return Estimate(
        gate=gate,
        name=name,
        value=draw(numbers),
        n=draw(st.integers(1, 10**6)),
        interval=interval,
        standard_error=error,
    )


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    gate, name = draw(st.sampled_from((*GATES, "stranger"))), draw(st.sampled_from(NAMES))
    match draw(st.integers(0, 3)):
        case 0:
            return Assertion(gate=gate, name=name, holds=draw(st.booleans()), message="")
        case 1:
            return Failure(gate=gate, name=name, reason="broken")
        case 2:
            return NotApplicable(
                gate=gate, name=name, reason=draw(st.sampled_from((*NOT_COMPARED, "known", "unknown")))
            )
        case _:
            return draw(estimates(gate, name))


rules = st.one_of(
    st.builds(Within, min=st.none() | numbers, max=st.none() | numbers),
    st.builds(NoHarm, margin=st.floats(-0.1, 0.1)),
    st.builds(DetectHarm, limit=st.floats(0, 0.1), detectable=st.none() | st.floats(0.01, 1)),
    st.builds(DetectEffect, min=st.none() | numbers, max=st.none() | numbers),
    st.just(Holds()),
)


@st.composite
def gate_policies(draw: st.DrawFn, gate: str) -> GatePolicy:
    return GatePolicy(
        gate=gate,
        mode=draw(st.sampled_from((Mode.BLOCKING, Mode.ADVISORY))),
        expected=tuple(draw(st.lists(st.sampled_from(("x", "y")), unique=True))),
        rules=draw(st.dictionaries(st.sampled_from(NAMES), rules, max_size=2)),
        other=draw(st.none() | rules),
        modes=draw(
            st.dictionaries(st.sampled_from(NAMES), st.sampled_from((Mode.BLOCKING, Mode.ADVISORY)), max_size=1)
        ),
        accept=frozenset(draw(st.sets(st.just("known")))),
        alarms=draw(st.booleans()),
    )


waivers = st.builds(
    Waiver,
    gate=st.sampled_from((*GATES, "stranger")),
    name=st.none() | st.sampled_from(NAMES),
    who=st.just("Risk officer"),
    reason=st.just("known"),
    until=st.integers(-3, 3).map(lambda days: TODAY + timedelta(days=days)),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    gates = draw(st.sets(st.sampled_from(GATES)))
    return Policy(
        gates=tuple(draw(gate_policies(gate)) for gate in sorted(gates)),
        confidence=draw(st.sampled_from((0.9, 0.95))),
        false_alarms=draw(st.floats(1e-6, 0.2)),
        waivers=tuple(draw(st.lists(waivers, max_size=2))),
    )


def _judge(found: list[Measurement], policy: Policy, compared: bool) -> Verdict:
    return judge(found, policy, compared=compared, today=TODAY)


@given(st.lists(measurements(), max_size=8), policies(), st.booleans(), st.booleans())
def test_nothing_but_a_pass_a_live_waiver_or_an_accepted_skip_lets_a_blocking_gate_through(
    found: list[Measurement], policy: Policy, compared: bool, no_access: bool
) -> None:
    """What does not block is a pass, a live waiver, or a skip that was accepted; where one blocks, none promotes."""
    verdict = judge(found, policy, compared=compared, no_access=no_access, today=TODAY)
    excused = NO_ACCESS if no_access else "" if compared else NO_CHAMPION
    accepted = {gate.gate: gate.accept for gate in policy.gates}

    assert not (verdict.promotes and any(one.blocks for one in verdict.judgements))
    for one in verdict.judgements:
        if one.mode is not Mode.BLOCKING or one.blocks:
            continue
        assert one.outcome in LET_THROUGH
        if one.outcome is Outcome.WAIVED:
            assert one.waiver is not None and one.waiver.until >= TODAY
            assert one.waiver.gate == one.gate and one.waiver.name in (None, one.name)
        if one.outcome is Outcome.SKIPPED:
            assert isinstance(one.measurement, NotApplicable)
            said = one.measurement.reason
            assert said == excused if said in NOT_COMPARED else said in accepted[one.gate]
        if one.outcome is Outcome.PASS:
            assert isinstance(one.measurement, (Assertion, Estimate))


@given(st.lists(measurements(), max_size=8), policies(), st.booleans())
def test_a_verdict_without_a_blocking_pass_does_not_promote(
    found: list[Measurement], policy: Policy, compared: bool
) -> None:
    """Skips and waivers alone are not a pass, and without a champion an absolute limit must have passed."""
    verdict = _judge(found, policy, compared)
    passed = {j.gate for j in verdict.judgements if j.mode is Mode.BLOCKING and j.outcome is Outcome.PASS}

    assert not verdict.promotes or (passed if compared else "performance" in passed)


@given(st.lists(measurements(), max_size=8), policies(), st.booleans())
def test_what_is_expected_and_did_not_come_back_is_an_error(
    found: list[Measurement], policy: Policy, compared: bool
) -> None:
    """For each expected name there is a judgement, and where nothing was measured it is no pass."""
    verdict = _judge(found, policy, compared)

    for gate in policy.gates:
        mine = [j for j in verdict.judgements if j.gate == gate.gate]
        assert mine
        for name in gate.expected:
            met = [j for j in mine if j.name == name or j.name.startswith((f"{name}=", f"{name}::"))]
            whole = [j for j in mine if j.name == gate.gate and isinstance(j.measurement, (Failure, NotApplicable))]
            assert met or whole
            if not any(m.gate == gate.gate and m.name in {j.name for j in met} for m in found):
                assert all(j.outcome is not Outcome.PASS for j in met)


@given(st.lists(measurements(), max_size=8), policies(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_the_measurements_changes_nothing(
    found: list[Measurement], policy: Policy, compared: bool, random: object
) -> None:
    """The same measurements in another order give the same verdict."""
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert _judge(shuffled, policy, compared) == _judge(found, policy, compared)


@given(st.lists(measurements(), max_size=8), policies(), st.booleans())
def test_a_name_measured_twice_is_an_error(found: list[Measurement], policy: Policy, compared: bool) -> None:
    """Two answers to one question are none, also where both say pass."""
    verdict = _judge([*found, *found], policy, compared)

    assert not any(
        isinstance(j.measurement, (Assertion, Estimate)) and j.outcome is Outcome.PASS for j in verdict.judgements
    )


@given(st.lists(measurements(), max_size=8), policies(), st.booleans())
def test_a_waiver_is_never_shown_as_a_pass(found: list[Measurement], policy: Policy, compared: bool) -> None:
    """Waivers change outcomes that are no pass, to `waived`; without them the passes are the same."""
    verdict = _judge(found, policy, compared)
    bare = _judge(found, replace(policy, waivers=()), compared)

    def passes(judged: Verdict) -> list[tuple[str, str]]:
        return sorted((j.gate, j.name) for j in judged.judgements if j.outcome is Outcome.PASS)

    assert passes(verdict) == passes(bare)
    assert all(j.waived not in (None, Outcome.PASS) for j in verdict.judgements if j.outcome is Outcome.WAIVED)


@given(st.lists(measurements(), max_size=8), policies(), st.booleans(), st.sampled_from(GATES))
def test_one_more_blocking_failure_never_promotes(
    found: list[Measurement], policy: Policy, compared: bool, gate: str
) -> None:
    """A failure of a blocking gate without a waiver keeps the candidate back, whatever else was measured."""
    policy = replace(policy, waivers=())
    blocking = {one.gate for one in policy.gates if one.mode is Mode.BLOCKING and "new" not in one.modes}
    verdict = _judge([*found, Failure(gate=gate, name="new", reason="crashed")], policy, compared)

    assert gate not in blocking or not verdict.promotes


@given(st.lists(measurements(), max_size=8), policies(), st.booleans())
def test_the_code_is_zero_only_where_the_decision_is_to_promote(
    found: list[Measurement], policy: Policy, compared: bool
) -> None:
    """Decision and exit code say the same, and the code is one that the documentation names for gates."""
    verdict = _judge(found, policy, compared)

    assert (verdict.code is ExitCode.OK) == verdict.promotes == (verdict.decision == "promote")
    assert verdict.code in {ExitCode.OK, ExitCode.NOT_MEASURED, ExitCode.GATE_FAILED, ExitCode.INCONCLUSIVE}


def test_a_policy_without_gates_does_not_promote() -> None:
    """An empty list of gates is not a pass."""
    verdict = _judge([], Policy(gates=(), confidence=0.95, false_alarms=0.005), compared=True)

    assert verdict.code is ExitCode.NOT_MEASURED


def _rule(rule: Rule, estimate: Estimate, false_alarms: float = 0.005) -> Outcome:
    gate = GatePolicy(gate="a", mode=Mode.BLOCKING, expected=("x",), other=rule, alarms=True)
    policy = Policy(gates=(gate,), confidence=0.95, false_alarms=false_alarms)
    (found,) = judge([estimate], policy, compared=True, today=TODAY).judgements
    return found.outcome


def _estimate(low: float, high: float, level: float = 0.95) -> Estimate:
    interval = Interval(low=low, high=high, level=level, method="m")
    return Estimate(gate="a", name="x", value=(low + high) / 2, n=100, interval=interval, standard_error=0.01)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.001, 0.5))
def test_no_harm_passes_only_where_the_whole_interval_is_above_the_margin(a: float, b: float, margin: float) -> None:
    """Prove no harm: pass above, fail below, else inconclusive."""
    low, high = sorted((a, b))
    outcome = _rule(NoHarm(margin=margin), _estimate(low, high))

    assert (outcome is Outcome.PASS) == (low > -margin or low == high == -margin)
    assert (outcome is Outcome.FAIL) == (high < -margin)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 0.5))
def test_detected_harm_fails_only_where_the_whole_interval_is_beyond_the_limit(
    a: float, b: float, limit: float
) -> None:
    """Detect harm: a wide interval is no harm, a low one is."""
    low, high = sorted((a, b))
    outcome = _rule(DetectHarm(limit=limit), _estimate(low, high, 0.99))

    assert outcome is (Outcome.FAIL if high < -limit else Outcome.PASS)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_an_absolute_limit_holds_for_the_whole_interval(a: float, b: float, least: float) -> None:
    """Within: pass where all of the interval keeps it, fail where none does, else inconclusive."""
    low, high = sorted((a, b))
    outcome = _rule(Within(min=least), _estimate(low, high))

    assert outcome is (Outcome.PASS if low >= least else Outcome.FAIL if high < least else Outcome.INCONCLUSIVE)


@given(st.floats(0.5, 0.9499), st.sampled_from((NoHarm(margin=0.1), Within(min=0.0), DetectHarm(limit=0.1))))
def test_an_interval_narrower_than_the_policy_asks_is_an_error(level: float, rule: Rule) -> None:
    """A lower level makes a shorter interval: a gate can't pass by choosing one."""
    assert _rule(rule, _estimate(0.2, 0.3, level)) is Outcome.ERROR
