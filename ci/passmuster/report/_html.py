"""The report as one HTML file: no script, no request, every foreign text escaped. Pure.

The file stays under `LIMIT`: what is too long is shortened by level, rows before reasons; the JSON report has it all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from passmuster.config import Mode
from passmuster.report import (
    _advice,
    _changes,
    _curves,
    _drift,
    _evidence,
    _histogram,
    _plot,
    _row,
    _rows,
    _strain,
    _tables,
    _why,
    _words,
)
from passmuster.report._escape import clean, verbatim
from passmuster.report._facts import ReportFacts
from passmuster.report._words import SIGNS, STATUS_SIGNS, Sign, Status
from passmuster.verdict import Judgement, Outcome, summary

#: Most bytes of a file.
LIMIT = 1_900_000

#: Rows of a long table that are not folded, where all pass.
WORST = 10

#: Most characters of a slice's condition.
LONGEST_CONDITION = 600


@dataclass(frozen=True, kw_only=True)
class Level:
    """How much is shown: rows of each table, protected columns, rows of all outcomes, characters of a text."""

    rows: int
    columns: int
    outcomes: int
    text: int


LEVELS = (
    Level(rows=200, columns=20, outcomes=1500, text=2000),
    Level(rows=100, columns=10, outcomes=500, text=600),
    Level(rows=50, columns=5, outcomes=150, text=300),
    Level(rows=20, columns=2, outcomes=40, text=120),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One judgement as a table shows it."""

    label: str
    subject: str  #: the label without what the table's heading says
    name: str  #: the measurement's own name where the label is another, else ""
    gate: str
    sign: Sign
    advisory: bool
    n: str
    champion: str
    candidate: str
    gain: str
    between: str
    value: str
    limit: str
    briefly: str  #: the limit where the table says what it means
    reason: str
    found: str
    waiver: str
    condition: Markup
    plot: Markup | None


@dataclass(frozen=True, kw_only=True)
class DriftRow:
    """One column of one pair of splits."""

    subject: str
    side: str
    worst: Row
    effect: str
    plot: Markup | None
    histogram: Markup | None
    caption: str
    others: str  #: the other effects, judged and not, in one line


def render(facts: ReportFacts) -> str:
    """Return the file's content at the first level that keeps `LIMIT`."""
    document = ""
    for level in LEVELS:
        document = _render(facts, level)
        if len(document.encode()) <= LIMIT:
            break
    return document


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("passmuster.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(plural=_words.plural, counts=_words.counts, short=_words.short_digest)
    environment.filters["upper_first"] = _words.first_upper
    return environment


def _render(facts: ReportFacts, level: Level) -> str:
    def honest(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value, level.text)

    environment = _environment().overlay(finalize=honest)
    style = files("passmuster.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        style=Markup(style),  # noqa: S704  our own file
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        level=level,
        **_context(facts, level),
    )


def _context(facts: ReportFacts, level: Level) -> dict[str, Any]:
    muster = " muster" if facts.status in (Status.PASSES, Status.FAILS) else ""
    judged, slices, against = _rows.comparisons(facts), _rows.slices(facts), _rows.against_reference(facts)
    drift, protected = _drift.columns(facts), _tables.protected(facts)
    return {
        "facts": facts,
        "sign": STATUS_SIGNS[facts.status],
        "verdict": f"{facts.status.value}{muster}",
        "why": _why.why(facts),
        "qualifiers": [_words.first_upper(said) for said in _why.qualifiers(facts)],
        "gate_counts": _rows.gate_counts(facts) if facts.judgements else "",
        "chips": [
            (SIGNS[outcome], count, advisory)
            for outcome, advisory, count in _rows.tally(
                (j.outcome, j.mode is not Mode.BLOCKING) for j in facts.judgements
            )
        ],
        "champion": _changes.champion_name(facts),
        "policy": _changes.policy_name(facts),
        "policy_changes": _changes.policy_changes(facts),
        "off": _changes.turned_off(facts),
        "promoted": _evidence.promoted(facts),
        "steps": _advice.steps(facts),
        "attention": _some([row(j) for j in _rows.attention(facts)[: level.rows]], len(_rows.attention(facts))),
        "comparisons": _some([row(j, plot=True) for j in judged[: level.rows]], len(judged)),
        "levels": _row.levels(judged),
        "left_out": _rows.left_out(facts),
        "slices": _folded([(j, row(j, plot=True, bar=True)) for j in slices[: level.rows]], len(slices)),
        "against": _folded([(j, row(j, plot=True, bar=True)) for j in against[: level.rows]], len(against)),
        "slices_said": _rows.slices_said(facts, "slices"),
        "against_said": _rows.slices_said(facts, "reference::slices"),
        "slice_levels": _row.levels([*slices, *against]),
        "slice_metric": next((_row.sliced_by(m) for j in (*slices, *against) if (m := _row.estimate(j))), ""),
        "limits": _some([row(j) for j in _rows.limits(facts)[: level.rows]], len(_rows.limits(facts))),
        "axis": _plot.forest_axis(),
        "figures": _curves.figures(facts),
        "brier": _tables.brier(facts),
        "confusion": _tables.confusion(facts),
        "drift": _folded([(column.worst, _drift_row(column)) for column in drift[: level.rows]], len(drift)),
        "drift_levels": _row.levels([column.worst for column in drift]),
        "protected": _some([_protected(entry, level) for entry in protected[: level.columns]], len(protected)),
        "rates": _tables.RATES,
        "gates": _gates(facts, level),
        "changes": _changes.changes(facts),
        "changed": _changes.changed_counts(facts),
        "outputs": _evidence.outputs(facts),
        "evidence": _evidence.evidence(facts),
        "timings": [(name, f"{seconds:,.1f} s") for name, seconds in _evidence.timings(facts)],
        "commit": str(facts.reproduce.get("commit") or ""),
        "judged_on": str(facts.gate.get("judged_on") or ""),
    }


@dataclass(frozen=True, kw_only=True)
class Some:
    """The first rows of a table, and how many more there are."""

    rows: Sequence[Any]
    more: int

    @property
    def count(self) -> int:
        """How many rows there are in all."""
        return len(self.rows) + self.more


def _some(rows: Sequence[Any], count: int) -> Some:
    return Some(rows=rows, more=count - len(rows))


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A long table, worst first: what is read at once, and passes that are folded."""

    first: Some
    rest: Some


def _folded(rows: Sequence[tuple[Judgement, Any]], count: int) -> Folded:
    """Return all that does not pass and the worst passes, at least `WORST`, then the rest."""
    others = sum(j.outcome is not Outcome.PASS for j, _ in rows)
    at = max(others, WORST)
    if at >= len(rows):
        return Folded(first=_some([shown for _, shown in rows], count), rest=_some((), 0))
    first, rest = ([shown for _, shown in part] for part in (rows[:at], rows[at:]))
    return Folded(first=_some(first, len(first)), rest=_some(rest, count - len(first)))


def _drift_row(column: _drift.Column) -> DriftRow:
    worst, found = column.worst, column.histogram
    shown, effect = row(worst), _drift.effect(worst)
    units = _strain.units(worst)
    title = f"{column.subject}, {column.side}"
    said = f"{title}: {effect} {_row.shown(worst.measurement)}, {shown.sign.word}"
    others = [(_drift.effect(other), _drift.value(other)) for other in column.others]
    return DriftRow(
        subject=column.subject,
        side=column.side,
        worst=shown,
        effect=f"{effect} of {column.category}" if column.category and "share_ratio" in worst.name else effect,
        plot=_plot.effect(*units, shown.sign.css, said) if units else None,
        histogram=_histogram.draw(found, title, column.names) if found else None,
        caption=_histogram.caption(found) if found else "",
        others=" · ".join(f"{name} {value}" for name, value in (*others, *column.sizes)),
    )


@dataclass(frozen=True, kw_only=True)
class ProtectedTable:
    """A protected column with its rows and groups as tables show them."""

    column: str
    rows: Sequence[Row]
    groups: Some
    rates: Sequence[str]  #: those that a group has
    small: str


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One group's rates: value, interval and plot, by name; None where there is no such rate."""

    name: str
    rows: str
    rates: Mapping[str, tuple[str, str, Markup | None] | None]


def _protected(entry: _tables.Protected, level: Level) -> ProtectedTable:
    groups = [_group(group) for group in entry.groups[: level.rows]]
    return ProtectedTable(
        column=entry.column,
        rows=[replace(row(j), label=_row.subject(j).measure) for j in entry.judgements[: level.rows]],
        groups=_some(groups, len(entry.groups) + entry.more),
        rates=[name for name in _tables.RATES if any(group.rates[name] for group in groups)],
        small=entry.small,
    )


def _group(group: _tables.Group) -> GroupRow:
    rates: dict[str, tuple[str, str, Markup | None] | None] = {}
    for name, rate in group.rates.items():
        if rate is None:
            rates[name] = None
            continue
        said = f"{group.name}: {rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f})"
        plot = _plot.rate(rate.value, rate.low, rate.high, said) if name != "calibration" else None
        texts = (f"{x:.3f}".replace("-", "−") for x in (rate.value, rate.low, rate.high))
        value, low, high = texts
        rates[name] = (value, f"{low} … {high}", plot)
    return GroupRow(name=group.name, rows=f"{group.rows:,}", rates=rates)


@dataclass(frozen=True, kw_only=True)
class GateGroup:
    """One gate's judgements: what is not a pass row by row, and the passes in one line that unfolds."""

    name: str
    sign: Sign
    counts: str  #: of what is not a pass
    passes: str
    open: bool
    advisory: bool
    rows: Some
    passed: Some


def _gates(facts: ReportFacts, level: Level) -> list[GateGroup]:
    """Return the judgements by gate; the rows shown are shared out in order, at least one for each gate shown."""
    groups: list[GateGroup] = []
    left = level.outcomes
    for name, group in list(_rows.by_gate(facts).items())[: level.rows]:
        passed = sorted((j for j in group if j.outcome is Outcome.PASS), key=_strain.worst_first)
        others = [j for j in group if j.outcome is not Outcome.PASS]
        shown = [row(j) for j in others[: max(left, 1)]]
        passing = [row(j) for j in passed[: max(left - len(shown), 1)]]
        left -= len(shown) + len(passing)
        groups.append(
            GateGroup(
                name=name,
                sign=SIGNS[_rows.worst(group)],
                counts=_words.counts(summary(others)) if others else "",
                passes=passes.line if (passes := _strain.passes(group)) else "",
                open=any(j.blocks for j in group),
                advisory=all(j.mode is not Mode.BLOCKING for j in group),
                rows=_some(shown, len(others)),
                passed=_some(passing, len(passed)),
            )
        )
    return groups


def row(judgement: Judgement, *, plot: bool = False, bar: bool = False) -> Row:
    """Return what a table shows of one judgement."""
    m = _row.estimate(judgement)
    sides = _row.sides(judgement)
    sign, what = SIGNS[judgement.outcome], _row.subject(judgement)
    said = f"{what.label}: gain {_row.shown(judgement.measurement)}, {sign.word}"
    other, candidate = sides or ("", "")
    return Row(
        label=what.label,
        subject=what.short,
        name=judgement.name if what.label != judgement.name else "",
        gate=judgement.gate,
        sign=sign,
        advisory=judgement.mode is not Mode.BLOCKING,
        n=f"{m.n:,}" if m else "",
        champion=other,
        candidate=candidate,
        gain=_words.rounded(m, m.value, sign=True) if m and sides else "",
        between=_words.interval(m, sign=sides is not None) if m else "",
        value=_words.rounded(m, m.value) if m and not sides else "",
        limit=_row.limit(judgement),
        briefly=_row.briefly(judgement),
        reason=judgement.reason,
        found=_row.found(judgement),
        waiver=_row.waived(judgement),
        condition=_code(_row.condition(judgement)),
        plot=_plot.forest_row(m, _row.bound(judgement), sign.css, said, bar=bar) if plot and m and sides else None,
    )


def _code(text: str) -> Markup:
    """Return text as it is, but for what can't be seen: it is there to be pasted."""
    return Markup("<code>{}</code>").format(verbatim(text, LONGEST_CONDITION)) if text else Markup("")
