"""Why a report says what it says: one judgement, or what made judging impossible, as one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from passmuster.config import Mode
from passmuster.measurement import Estimate
from passmuster.report import _changes, _evidence, _row, _rows, _words
from passmuster.report._facts import ReportFacts
from passmuster.report._words import Status
from passmuster.verdict import Judgement, Outcome


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """Why the report says what it says: one sentence, and where more than one thing objects, how many more."""

    text: str
    more: str = ""


def why(facts: ReportFacts) -> Reasons:
    """Return the reason for the report's status: the worst blocking judgement, or what made judging impossible."""
    if facts.status is Status.NOT_REPRODUCIBLE or facts.reproduce.get("decision") == "error":
        return _why_reproduction(facts)
    if facts.problems:
        return Reasons(text=facts.problems[0], more=_more(len(facts.problems) - 1, "problem"))
    blocking = [j for j in facts.judgements if j.blocks]
    if blocking:
        return Reasons(text=sentence(blocking[0]), more=_more(len(blocking) - 1, "blocking outcome"))
    if others := [j for j in (facts.also.judgements if facts.also else ()) if j.blocks]:
        parent = f"by the policy of the commit before ({_changes.parent(facts)}), which must hold as well"
        return Reasons(text=f"{parent}: {sentence(others[0])}", more=_more(len(others) - 1, "blocking outcome"))
    if facts.status is Status.IN_PART:
        return Reasons(text=f"only {', '.join(facts.gate['only'])} was asked for, and nothing of it blocks")
    if facts.status is Status.INFORMATIVE:
        return Reasons(text=f"nothing blocks by the policy of {_changes.policy_name(facts)}")
    if facts.status is not Status.PASSES:
        return Reasons(text="no blocking gate passed, and what nothing has passed does not promote")
    return _why_passes(facts)


def _more(count: int, noun: str) -> str:
    return f"and {_words.plural(count, f'more {noun}')}" if count else ""


def _why_reproduction(facts: ReportFacts) -> Reasons:
    bad = [o for o in _evidence.outputs(facts) if o["result"] not in ("identical", "within tolerance")]
    if not bad:
        return Reasons(text="the re-run did not give what the commit says; its record names no output")
    first = bad[0]
    reason = f": {first['reason']}" if first["reason"] else ""
    return Reasons(text=f"{first['path']} is {first['result']}{reason}", more=_more(len(bad) - 1, "output"))


def _why_passes(facts: ReportFacts) -> Reasons:
    if facts.first:
        return Reasons(text="every absolute limit holds, and the ledger has no champion yet")
    if facts.no_access:
        return Reasons(text="every limit holds that can be judged without the champion, which a fork has no access to")
    blocking = [j for j in _rows.comparisons(facts) if j.mode is Mode.BLOCKING and j.outcome is Outcome.PASS]
    proven = [j for j in blocking if not _row.detects(j)]
    more = _more(len(proven) - 1, "comparison")
    return Reasons(text=sentence(proven[0]), more=more) if proven else Reasons(text="every blocking gate passes")


def qualifiers(facts: ReportFacts) -> list[str]:
    """Return what stands beside the verdict's words, since without it they would say too much."""
    waived = sum(j.outcome is Outcome.WAIVED and j.mode is Mode.BLOCKING for j in facts.judgements)
    return [
        *([_words.FIRST_MODEL] if facts.first else []),
        *([_words.NO_ACCESS] if facts.no_access and facts.verdict else []),
        *([f"{_words.plural(waived, 'blocking outcome')} waived"] if waived else []),
    ]


def sentence(judgement: Judgement) -> str:
    """Return one judgement as one sentence for a reader who sees nothing else."""
    m = _row.estimate(judgement)
    if m is None or judgement.outcome is Outcome.ERROR or m.interval is None:
        head = judgement.gate if judgement.name == judgement.gate else f"{judgement.gate}, {_row.label(judgement)}"
        return f"{head}: {judgement.reason}"
    if judgement.gate == "drift":
        return f"{_head(judgement)} has drifted: {_row.subject(judgement).measure} {_numbers(judgement, m)}"
    if not _row.compared(judgement) and judgement.gate != "slices":
        return f"{judgement.gate}, {_row.label(judgement)}: {_numbers(judgement, m)}"
    other = "on the reference" if not _row.compared(judgement) else "the champion's"
    verb = {
        Outcome.PASS: "is not shown to be worse than" if _row.detects(judgement) else "is not worse than",
        Outcome.FAIL: "is worse than",
    }.get(judgement.outcome, f"can't be told from worse than {other} on these rows")
    if judgement.outcome in (Outcome.PASS, Outcome.FAIL):
        verb = f"{verb} {other}"
    return f"{_head(judgement)} {verb}: gain {_numbers(judgement, m)}"


def _head(judgement: Judgement) -> str:
    what, m = _row.subject(judgement), _row.estimate(judgement)
    if judgement.gate == "slices" and m:
        return f"{_row.sliced_by(m)} in {what.subject}"
    if judgement.gate == "champion":
        return what.label
    return f"{what.subject}, {what.side}" if judgement.gate == "drift" else what.short


def _numbers(judgement: Judgement, m: Estimate) -> str:
    """Return value, interval, limit and rows in one clause."""
    sign = _row.is_gain(m)
    value = _words.rounded(m, m.value, sign=sign)
    rows = f"; about {judgement.rows_to_decide:,} rows would decide" if judgement.rows_to_decide else ""
    told = f"expected {_row.limit(judgement)}; {_words.plural(m.n, 'row')}{rows}"
    if m.interval is None:
        return f"{value} ({told})"
    low, high = (_words.rounded(m, end, sign=sign) for end in (m.interval.low, m.interval.high))
    return f"{value} ({_words.percent(m.interval.level)} interval {low} to {high}, {told})"
