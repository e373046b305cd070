"""How much of what the policy allows a measurement uses up: orders what is shown, and sums up what passes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from passmuster.measurement import Estimate
from passmuster.policy import PART
from passmuster.report import _words
from passmuster.report._about import about
from passmuster.verdict import Judgement, Outcome, number

_NUMBER = r"(−?[0-9.]+(?:e[+−-]?[0-9]+)?)"
_LIMIT = re.compile(rf"(>|≥|≤|not wholly below|not wholly above) {_NUMBER}")

#: What an effect is where there is none; 0 for all others.
_NEUTRAL = {
    "share_ratio": 1.0,
    "domain_auc": 0.5,
    "demographic_parity_ratio": 1.0,
    "equalized_odds_ratio": 1.0,
}

#: Passes that are told one by one.
_ONE_BY_ONE = 6


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A rule with one limit, read from the kernel's words."""

    at: float
    above: bool  #: whether what lies above it is not allowed
    detects: bool  #: whether only what surely lies beyond it is not allowed


def bound(judgement: Judgement) -> Bound | None:
    """Return the limit that a judgement was held to; None where there is none, or more than one."""
    found = _LIMIT.fullmatch(judgement.limit)
    if found is None:
        return None
    at = float(found[2].replace("−", "-"))
    return Bound(at=at, above=found[1] in ("≤", "not wholly above"), detects=found[1].startswith("not"))


def units(judgement: Judgement) -> tuple[float, float, float] | None:
    """Return the interval's end nearer to none, the value, and the other end, in units of the way to the limit.

    0: no effect at all; 1: at the limit. None where there is no number, or no rule that forbids an effect or harm.
    """
    m, limit = judgement.measurement, bound(judgement)
    if not isinstance(m, Estimate) or limit is None or not (limit.detects or judgement.limit.startswith(">")):
        return None
    none = _NEUTRAL.get(judgement.name.split(PART)[-1], 0.0)
    room = limit.at - none or (1.0 if limit.above else -1.0)
    ends = (m.interval.low, m.interval.high) if m.interval else (m.value, m.value)
    near, far = ends if limit.above else reversed(ends)
    return (near - none) / room, (m.value - none) / room, (far - none) / room


def strain(judgement: Judgement) -> tuple[float, float] | None:
    """Return how much of the way to its limit a measurement has surely gone, and how much as measured."""
    found = units(judgement)
    return (max(found[0], 0.0), found[1]) if found else None


def worst_first(judgement: Judgement) -> tuple[float, float, str]:
    """Sort key: most surely near its limit first; what has no strain comes last."""
    sure, measured = strain(judgement) or (-1.0, -1.0)
    return -sure, -measured, judgement.name


@dataclass(frozen=True, kw_only=True)
class Passes:
    """The passes of one gate, told together."""

    count: int
    told: str  #: the worst of them, or each

    @property
    def line(self) -> str:
        """Both in one line, e.g. "5 pass: columns, types, …" or "83 pass, worst: …"."""
        return f"{self.count:,} pass{', ' if self.told.startswith('worst: ') else ': '}{self.told}"


def passes(judgements: Sequence[Judgement]) -> Passes | None:
    """Return the passes among one gate's judgements; None where there are none."""
    found = [j for j in judgements if j.outcome is Outcome.PASS]
    if not found:
        return None
    numbers = [j for j in found if isinstance(j.measurement, Estimate)]
    if len(numbers) > 1 and all(strain(j) for j in numbers):
        return Passes(count=len(found), told=f"worst: {said(min(found, key=worst_first))}")
    more = f" and {len(found) - _ONE_BY_ONE:,} more" if len(found) > _ONE_BY_ONE else ""
    return Passes(count=len(found), told=", ".join(said(j) for j in found[:_ONE_BY_ONE]) + more)


def said(judgement: Judgement) -> str:
    """Return what was measured and what is allowed, e.g. "Income, train against test, KS 0.05 of 0.15 allowed"."""
    label = about(judgement.gate, judgement.name).listed
    m, limit = judgement.measurement, bound(judgement)
    if not isinstance(m, Estimate):
        return label.split(PART)[-1]  # of a test, its name without its file
    is_gain = m.candidate is not None and (m.champion is not None or judgement.gate == "slices")
    value = _words.rounded(m, m.value, sign=is_gain)
    if limit is None or not limit.detects:
        return f"{label} {value}" + (f" ({judgement.limit})" if judgement.limit else "")
    # A value beyond the limit passes where it is not sure: then its interval says why.
    beyond = f" ({_words.interval(m, sign=is_gain)})" if (m.value > limit.at) is limit.above and m.interval else ""
    return f"{label} {value}{beyond}{' of' if limit.above else ', down to'} {number(limit.at)} allowed"
