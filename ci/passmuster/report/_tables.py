"""Tables that gates leave in the details of their measurements; what is malformed is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from passmuster.policy import PART
from passmuster.report import _read
from passmuster.report._facts import ReportFacts
from passmuster.verdict import Judgement, number

#: What `fairness` tells of each group → its heading.
RATES: Mapping[str, str] = {
    "selection_rate": "selection rate",
    "true_positive_rate": "true positive rate",
    "false_positive_rate": "false positive rate",
    "calibration": "predicted − came true",
}

#: The parts of a Brier score → how they are called.
BRIER: Mapping[str, str] = {
    "score": "Brier score",
    "reliability": "reliability (0 is best)",
    "resolution": "resolution (more is better)",
    "uncertainty": "uncertainty (of the labels)",
    "within_bins": "within bins",
}

_CONFUSION: Mapping[str, str] = {
    "true_positive": "positive, rightly",
    "false_positive": "positive, wrongly",
    "false_negative": "negative, wrongly",
    "true_negative": "negative, rightly",
}

#: Groups, and names of groups that are too small, that are shown of one column.
MOST_GROUPS, MOST_SMALL = 40, 10

_MODELS = ("candidate", "champion")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A rate with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of one group of a protected column."""

    name: str
    rows: int
    rates: Mapping[str, Rate | None]  #: by the names in `RATES`; None: no row to have such a rate of


@dataclass(frozen=True, kw_only=True)
class Protected:
    """A protected column: its groups, and how far they are apart."""

    column: str
    judgements: tuple[Judgement, ...]  #: worst first
    groups: tuple[Group, ...]
    more: int  #: groups that were compared and are not told
    small: str  #: which groups have too few rows, in words; "" where none has


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A small table with a column for each model."""

    models: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    about: str = ""


def protected(facts: ReportFacts) -> list[Protected]:
    """Return what gate `fairness` found, by column, those with the worst outcome first."""
    by_column: dict[str, list[Judgement]] = {}
    for judgement in facts.judgements:
        if judgement.gate == "fairness" and PART in judgement.name:
            by_column.setdefault(judgement.name.split(PART)[0], []).append(judgement)
    return [_protected(column, group) for column, group in by_column.items()]


def _protected(column: str, group: list[Judgement]) -> Protected:
    details = next((_read.mapping(j.measurement.details) for j in group if j.measurement.details), {})
    raw = details.get("groups")
    groups = [found for entry in (raw if isinstance(raw, list) else []) if (found := _group(entry))][:MOST_GROUPS]
    count = details.get("count")
    return Protected(
        column=column,
        judgements=tuple(group),
        groups=tuple(groups),
        more=max(count - len(groups), 0) if type(count) is int else 0,
        small=_small(details),
    )


def _group(raw: Any) -> Group | None:
    entry = _read.mapping(raw)
    name, rows = entry.get("group"), entry.get("rows")
    if not isinstance(name, str) or type(rows) is not int or rows < 0:
        return None
    return Group(name=name, rows=rows, rates={rate: _rate(entry.get(rate)) for rate in RATES})


def _rate(raw: Any) -> Rate | None:
    if not isinstance(raw, list) or len(raw) != 3 or not all(_read.is_number(x) and -1 <= x <= 1 for x in raw):
        return None
    value, low, high = map(float, raw)
    return Rate(value=value, low=low, high=high) if low <= high else None


def _small(details: Mapping[str, Any]) -> str:
    raw, count = _read.mapping(details.get("too_small")), details.get("too_small_count")
    if type(count) is not int or count < 1:
        return ""
    named = [f"{name} ({rows:,})" for name, rows in raw.items() if type(rows) is int][:MOST_SMALL]
    more = [f"{count - len(named):,} more"] if count > len(named) else []
    return ", ".join([*named, *more])


def brier(facts: ReportFacts) -> Parts | None:
    """Return the Brier score and its parts, of both models where they were compared."""
    return _by_model(facts, "calibration", "brier", BRIER, lambda x: number(float(x)))


def confusion(facts: ReportFacts) -> Parts | None:
    """Return how many rows were decided how, of both models where they were compared."""
    return _by_model(facts, "decision", "confusion", _CONFUSION, lambda x: f"{x:,.0f}")


def _by_model(facts: ReportFacts, gate: str, key: str, names: Mapping[str, str], show: Any) -> Parts | None:
    best: Parts | None = None
    for judgement in facts.judgements:
        details = _read.mapping(judgement.measurement.details)
        if judgement.gate != gate or key not in details:
            continue
        raw = _read.mapping(details[key])
        sides = {model: _read.mapping(raw.get(model)) for model in _MODELS if model in raw} or {"candidate": raw}
        known = [side for side in sides.values() if all(_read.is_number(side.get(name)) for name in names)]
        if len(known) == len(sides) and (best is None or len(sides) > len(best.models)):
            rows = tuple((said, tuple(show(side[name]) for side in known)) for name, said in names.items())
            best = Parts(models=tuple(sides), rows=rows, about=_threshold(details.get("threshold")))
    return best


def _threshold(raw: Any) -> str:
    if _read.is_number(raw):
        return f"positive from a probability of {number(float(raw))} on"
    return "as each model predicts" if raw is not None else ""
