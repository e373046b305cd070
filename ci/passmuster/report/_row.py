"""One judgement as a row shows it: what it is about, its numbers, its limit, in the words of people."""

from __future__ import annotations

from collections.abc import Iterable

from passmuster.config import Mode
from passmuster.measurement import Estimate, Measurement
from passmuster.report import _read, _strain, _words
from passmuster.report._about import About, about
from passmuster.verdict import Judgement, Outcome, number

#: Outcomes that nobody has to look at.
QUIET = (Outcome.PASS, Outcome.SKIPPED)


def estimate(judgement: Judgement) -> Estimate | None:
    """Return the number that was judged, or None where no number was measured."""
    return judgement.measurement if isinstance(judgement.measurement, Estimate) else None


def compared(judgement: Judgement) -> Estimate | None:
    """Return the comparison that was judged, or None where it is none."""
    found = estimate(judgement)
    return found if found and found.candidate is not None and found.champion is not None else None


def bound(judgement: Judgement) -> float | None:
    """Return the difference at which a comparison's limit lies; None for other rules."""
    found = _strain.bound(judgement)
    return found.at if found and not found.above else None


def label(judgement: Judgement) -> str:
    """Return what a row is about, as people write it: a metric, a column, a slice, a test."""
    return subject(judgement).label


def subject(judgement: Judgement) -> About:
    """Return the parts of a row's label."""
    return about(judgement.gate, judgement.name)


def limit(judgement: Judgement) -> str:
    """Return the limit of a judgement as a table shows it; "" where it has none."""
    return judgement.limit


def is_gain(m: Estimate) -> bool:
    """Whether a number is a gain, which is shown with its sign."""
    return m.candidate is not None and (m.champion is not None or m.gate == "slices")


def found(judgement: Judgement) -> str:
    """Return what a row of all outcomes says was found: a number that passes, else the whole reason."""
    if judgement.outcome is Outcome.PASS and (value := shown(judgement.measurement)):
        return value
    return judgement.reason


def sides(judgement: Judgement) -> tuple[str, str] | None:
    """Return the numbers that a difference is between: of champion (or reference) and candidate; else None."""
    m = estimate(judgement)
    if m is None or m.candidate is None:
        return None
    if m.champion is not None:
        return number(m.champion), number(m.candidate)
    other = _read.mapping(m.details).get("reference")
    return (
        (number(other) if _read.is_number(other) else "", number(m.candidate)) if judgement.gate == "slices" else None
    )


def condition(judgement: Judgement) -> str:
    """Return a slice's condition in SQL, or "" where it is not told."""
    raw = _read.mapping(judgement.measurement.details).get("condition") if judgement.gate == "slices" else None
    return raw if isinstance(raw, str) else ""


def sliced_by(m: Estimate) -> str:
    """Return the metric that a slice is measured by, as people write it."""
    return _words.metric(str(m.details["metric"])) if _read.mapping(m.details).get("metric") else "the metric"


def shown(measurement: Measurement) -> str:
    """Return a measurement's value with its interval, or "" where it has no number."""
    if not isinstance(measurement, Estimate):
        return ""
    sign = is_gain(measurement)
    value = _words.rounded(measurement, measurement.value, sign=sign)
    between = _words.interval(measurement, sign=sign)
    return f"{value} ({between})" if between else value


def waived(judgement: Judgement) -> str:
    """Return what was waived, by whom, until when and why; "" where nothing was."""
    waiver, was = judgement.waiver, judgement.waived
    if judgement.outcome is not Outcome.WAIVED or waiver is None or was is None:
        return ""
    return f"{was.value}, let through by {waiver.who} until {waiver.until.isoformat()}: {waiver.reason}"


def detects(judgement: Judgement) -> bool:
    """Whether a pass says only that no harm has shown, not that there is none."""
    found = _strain.bound(judgement)
    return found is not None and found.detects


def briefly(judgement: Judgement) -> str:
    """Return the limit of a judgement in few characters: of one that detects, the limit alone."""
    found = _strain.bound(judgement)
    if found is None or not found.detects:
        return judgement.limit
    return f"{'up' if found.above else 'down'} to {number(found.at)}"


def advises(judgement: Judgement) -> bool:
    """Whether it has to be said that an outcome blocks nothing."""
    return judgement.mode is not Mode.BLOCKING and judgement.outcome not in QUIET


def levels(judgements: Iterable[Judgement]) -> str:
    """Return the levels of the intervals shown, e.g. "95 %" or "95 % to 99.9 %"."""
    found = sorted({m.interval.level for j in judgements if (m := estimate(j)) and m.interval})
    return " to ".join(_words.percent(level) for level in dict.fromkeys((found[0], found[-1]))) if found else ""
