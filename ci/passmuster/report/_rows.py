"""Which rows every format shows, in which order, and how many of each outcome there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from passmuster.config import Mode
from passmuster.measurement import Assertion
from passmuster.report import _read, _row, _strain, _words
from passmuster.report._facts import ReportFacts
from passmuster.verdict import SEVERITY, Judgement, Outcome

#: Gates with a section of their own, so that their numbers are not among the absolute limits.
_APART = ("drift", "fairness", "slices")


def comparisons(facts: ReportFacts) -> list[Judgement]:
    """Return the comparisons with the champion on all rows, in the verdict's order."""
    return [j for j in facts.judgements if _row.compared(j) and j.gate != "slices"]


def slices(facts: ReportFacts) -> list[Judgement]:
    """Return the slices compared with the champion: worst outcome first, then what surely lost most."""
    return _worst_first(j for j in facts.judgements if j.gate == "slices" and _row.compared(j))


def against_reference(facts: ReportFacts) -> list[Judgement]:
    """Return the slices compared with the same slice of the reference rows, in the same order."""
    return _worst_first(j for j in facts.judgements if j.gate == "slices" and _row.estimate(j) and not _row.compared(j))


def drift(facts: ReportFacts) -> list[Judgement]:
    """Return the effects of drift that were measured, in the same order."""
    return _worst_first(j for j in facts.judgements if j.gate == "drift" and _row.estimate(j))


def fairness(facts: ReportFacts) -> list[Judgement]:
    """Return how far groups are apart, in the same order."""
    return _worst_first(j for j in facts.judgements if j.gate == "fairness" and _row.estimate(j))


def _worst_first(found: Iterable[Judgement]) -> list[Judgement]:
    return sorted(found, key=lambda j: (SEVERITY.index(j.outcome), *_strain.worst_first(j)))


def limits(facts: ReportFacts) -> list[Judgement]:
    """Return the numbers that were held against an absolute limit."""
    return [j for j in facts.judgements if _row.estimate(j) and not _row.compared(j) and j.gate not in _APART]


def attention(facts: ReportFacts) -> list[Judgement]:
    """Return what is neither pass nor skipped: blocking first, worst first."""
    return [j for j in facts.judgements if j.outcome not in _row.QUIET]


def by_gate(facts: ReportFacts) -> dict[str, list[Judgement]]:
    """Return the judgements by gate, the gates with the worst judgement first."""
    groups: dict[str, list[Judgement]] = {}
    for judgement in facts.judgements:
        groups.setdefault(judgement.gate, []).append(judgement)
    return groups


def worst(group: Iterable[Judgement]) -> Outcome:
    """Return the worst outcome of a gate's judgements."""
    return min((j.outcome for j in group), key=SEVERITY.index)


def gate_counts(facts: ReportFacts) -> str:
    """Return how many gates there are and what they came to, each by its worst outcome; what only advises says so."""
    groups = by_gate(facts).values()
    counted = tally((worst(group), all(j.mode is not Mode.BLOCKING for j in group)) for group in groups)
    said = ", ".join(f"{count:,} {_said(outcome, advisory)}" for outcome, advisory, count in counted)
    return f"{_words.plural(len(groups), 'gate')}: {said}"


def tally(outcomes: Iterable[tuple[Outcome, bool]]) -> list[tuple[Outcome, bool, int]]:
    """Count outcomes, worst first; those that only advise apart, where they are not quiet."""
    found = Counter((outcome, advisory and outcome not in _row.QUIET) for outcome, advisory in outcomes)
    order = sorted(found, key=lambda key: (key[1], SEVERITY.index(key[0])))
    return [(outcome, advisory, found[outcome, advisory]) for outcome, advisory in order]


def _said(outcome: Outcome, advisory: bool) -> str:
    return f"advisory {outcome.value}" if advisory else outcome.value


def left_out(facts: ReportFacts) -> str:
    """Return on which rows the comparisons were made where not simply on all, in words of ours alone, or ""."""
    judged = [j for j in facts.judgements if j.gate in ("champion", "slices", "calibration", "decision")]
    rows = max((_count(_read.mapping(j.measurement.details).get("left_out")) for j in judged), default=0)
    sentences = [f"Left out: {_words.plural(rows, 'row')} that the champion was trained on."] if rows else []
    if _read.mapping(facts.score.get("champion")).get("prepared") is True:
        sentences.append("The champion was scored on what its own preparation makes of the same raw data.")
    return " ".join(sentences)


def _count(raw: Any) -> int:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0 else 0


def overview(facts: ReportFacts) -> list[Judgement]:
    """Return the rows that a reviewer reads first, the worst outcomes first.

    Comparisons, the worst slice against champion and reference, absolute limits, the worst drift and the widest gap.
    """
    firsts = (slices(facts)[:1], against_reference(facts)[:1], limits(facts), drift(facts)[:1], fairness(facts)[:1])
    rows = [*comparisons(facts), *(j for found in firsts for j in found)]
    return sorted(rows, key=lambda j: (j.mode is not Mode.BLOCKING, SEVERITY.index(j.outcome)))


def in_overview(judgement: Judgement, *, apart: bool = False) -> str:
    """Return what a row of the overview is about; where it stands for many others it says so.

    Args:
        judgement: the row's.
        apart: whether comparisons stand in a table of their own, so that a limit need not be called absolute.
    """
    what = _row.subject(judgement)
    if _row.compared(judgement) and judgement.gate != "slices":
        return what.label if judgement.gate == "champion" else what.short
    if role := {"slices": "worst slice", "drift": "worst drift", "fairness": "widest gap"}.get(judgement.gate):
        return f"{role}: {what.listed}"
    return what.label if apart else f"{what.label}, absolute"


def slices_said(facts: ReportFacts, name: str) -> str:
    """Return what gate `slices` says of a comparison as a whole: how many slices there were."""
    found = (j.measurement for j in facts.judgements if j.gate == "slices" and j.name == name)
    return next((m.message for m in found if isinstance(m, Assertion)), "")
