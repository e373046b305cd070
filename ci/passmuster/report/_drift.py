"""What gate `drift` found, column by column and pair by pair, the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from passmuster.measurement import Estimate
from passmuster.policy import PART
from passmuster.report import _histogram, _read, _strain, _words
from passmuster.report._about import about
from passmuster.report._facts import ReportFacts
from passmuster.report._histogram import Histogram
from passmuster.verdict import SEVERITY, Judgement, number

#: Sizes that are told beside the judged ones.
_MOST_SIZES = 8


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of one pair of splits."""

    subject: str
    side: str
    worst: Judgement
    others: tuple[Judgement, ...]  #: its other effects that were judged, the worst first
    histogram: Histogram | None
    sizes: tuple[tuple[str, str], ...]  #: effects that are only shown, with their values
    category: str  #: whose share changed most, where that is told

    @property
    def names(self) -> tuple[str, str]:
        """What base and current are called."""
        base, _, current = self.side.partition(" against ")
        return base, current


def columns(facts: ReportFacts) -> list[Column]:
    """Return what was compared, worst outcome first, then what is most surely near its limit."""
    groups: dict[tuple[str, str], list[Judgement]] = {}
    for judgement in facts.judgements:
        if judgement.gate == "drift" and PART in judgement.name:
            pair, column = judgement.name.split(PART)[:2]
            groups.setdefault((pair, column), []).append(judgement)
    found = [_column(sorted(group, key=_badness)) for group in groups.values()]
    return sorted(found, key=lambda column: _badness(column.worst))


def _badness(judgement: Judgement) -> tuple[int, tuple[float, float, str]]:
    return SEVERITY.index(judgement.outcome), _strain.worst_first(judgement)


def _column(group: list[Judgement]) -> Column:
    what = about("drift", group[0].name)
    details = next((_read.mapping(j.measurement.details) for j in group if j.measurement.details), {})
    judged = {j.name.split(PART)[-1] for j in group}
    category = details.get("category")
    return Column(
        subject=what.subject,
        side=what.side,
        worst=group[0],
        others=tuple(group[1:]),
        histogram=_histogram.histogram(details.get("histogram")),
        sizes=_sizes(_read.mapping(details.get("sizes")), judged),
        category=category if isinstance(category, str) else "",
    )


def _sizes(raw: Mapping[str, Any], judged: set[str]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name, size in raw.items():
        value, low, high = (_read.mapping(size).get(key) for key in ("value", "low", "high"))
        if str(name) in judged or not _read.is_number(value):
            continue
        ends = f" ({_short(low)} … {_short(high)})" if _read.is_number(low) and _read.is_number(high) else ""
        found.append((_words.metric(str(name)), f"{_short(value)}{ends}"))
    return tuple(found[:_MOST_SIZES])


def _short(value: float) -> str:
    return number(float(f"{value:.2g}"))


def effect(judgement: Judgement) -> str:
    """Return the name of a judged effect, e.g. "KS"; "" where the column as a whole was not measured."""
    return about("drift", judgement.name).measure


def value(judgement: Judgement) -> str:
    """Return the measured effect, or "not measured"."""
    m = judgement.measurement
    return _short(m.value) if isinstance(m, Estimate) else "not measured"
