"""The report as one HTML file: no script, no request, every foreign text escaped. Pure.

The file stays under `LIMIT`: what is too long is shortened by level, rows before reasons; the JSON report has it all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from passmuster.config import Mode
from passmuster.report import _advice, _curves, _plot, _rows, _words
from passmuster.report._escape import clean
from passmuster.report._facts import ReportFacts
from passmuster.report._words import SIGNS, STATUS_SIGNS, Sign, Status
from passmuster.verdict import Judgement, number, summary

#: Most bytes of a file.
LIMIT = 1_900_000


@dataclass(frozen=True, kw_only=True)
class Level:
    """How much is shown: rows of each table, rows of all outcomes, characters of a text."""

    rows: int
    outcomes: int
    text: int


LEVELS = (
    Level(rows=200, outcomes=1500, text=2000),
    Level(rows=100, outcomes=500, text=600),
    Level(rows=50, outcomes=150, text=300),
    Level(rows=20, outcomes=40, text=120),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One judgement as a table shows it."""

    label: str
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
    reason: str
    found: str
    waiver: str
    plot: Markup | None


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
    judged, segments = _rows.comparisons(facts), _rows.segments(facts)
    drift = _curves.drift(facts)
    return {
        "facts": facts,
        "sign": STATUS_SIGNS[facts.status],
        "verdict": f"{facts.status.value}{muster}",
        "why": _rows.why(facts),
        "qualifiers": [_words.first_upper(said) for said in _rows.qualifiers(facts)],
        "gate_counts": _rows.gate_counts(facts) if facts.judgements else "",
        "chips": [
            (SIGNS[outcome], count, advisory)
            for outcome, advisory, count in _rows.tally(
                (j.outcome, j.mode is not Mode.BLOCKING) for j in facts.judgements
            )
        ],
        "champion": _rows.champion_name(facts),
        "policy": _rows.policy_name(facts),
        "policy_changes": _rows.policy_changes(facts),
        "off": _rows.turned_off(facts),
        "promoted": _rows.promoted(facts),
        "steps": _advice.steps(facts),
        "attention": _some([row(j) for j in _rows.attention(facts)[: level.rows]], len(_rows.attention(facts))),
        "comparisons": _some([row(j, plot=True) for j in judged[: level.rows]], len(judged)),
        "levels": _rows.levels(judged),
        "left_out": _rows.left_out(facts),
        "segments": _some([row(j, plot=True, bar=True) for j in segments[: level.rows]], len(segments)),
        "segment_levels": _rows.levels(segments),
        "segment_metric": next((_rows.segment_metric(m) for j in segments if (m := _rows.compared(j))), ""),
        "limits": _some([row(j) for j in _rows.limits(facts)[: level.rows]], len(_rows.limits(facts))),
        "axis": _plot.forest_axis(),
        "figures": _curves.figures(facts),
        "drift": _some(
            [(entry, number(entry.score), _curves.drift_bar(entry, max(drift[0].score, 0.3))) for entry in drift[:25]],
            len(drift),
        ),
        "gates": _gates(facts, level),
        "changes": _rows.changes(facts),
        "changed": _rows.changed_counts(facts),
        "outputs": _rows.outputs(facts),
        "evidence": _rows.evidence(facts),
        "timings": [(name, f"{seconds:,.1f} s") for name, seconds in _rows.timings(facts)],
        "commit": str(facts.reproduce.get("commit") or ""),
        "judged_on": str(facts.gate.get("judged_on") or ""),
    }


@dataclass(frozen=True, kw_only=True)
class Some:
    """The first rows of a table, and how many more there are."""

    rows: Sequence[Any]
    more: int


def _some(rows: Sequence[Any], count: int) -> Some:
    return Some(rows=rows, more=count - len(rows))


@dataclass(frozen=True, kw_only=True)
class GateGroup:
    """One gate's judgements."""

    name: str
    sign: Sign
    counts: str
    open: bool
    advisory: bool
    rows: Some


def _gates(facts: ReportFacts, level: Level) -> list[GateGroup]:
    """Return the judgements by gate; the rows shown are shared out in order, at least one for each gate shown."""
    groups: list[GateGroup] = []
    left = level.outcomes
    for name, group in list(_rows.by_gate(facts).items())[: level.rows]:
        shown = [row(j) for j in group[: max(left, 1)]]
        left -= len(shown)
        groups.append(
            GateGroup(
                name=name,
                sign=SIGNS[_rows.worst(group)],
                counts=_words.counts(summary(group)),
                open=any(j.blocks for j in group),
                advisory=all(j.mode is not Mode.BLOCKING for j in group),
                rows=_some(shown, len(group)),
            )
        )
    return groups


def row(judgement: Judgement, *, plot: bool = False, bar: bool = False) -> Row:
    """Return what a table shows of one judgement."""
    m = _rows.estimate(judgement)
    pair = _rows.compared(judgement)
    sign = SIGNS[judgement.outcome]
    said = f"{_rows.label(judgement)}: gain {_rows.shown(judgement.measurement)}, {sign.word}"
    return Row(
        label=_rows.label(judgement),
        gate=judgement.gate,
        sign=sign,
        advisory=judgement.mode is not Mode.BLOCKING,
        n=f"{m.n:,}" if m else "",
        champion=number(pair.champion) if pair and pair.champion is not None else "",
        candidate=number(pair.candidate) if pair and pair.candidate is not None else "",
        gain=_words.rounded(pair, pair.value, sign=True) if pair else "",
        between=_words.interval(m, sign=pair is not None) if m else "",
        value=_words.rounded(m, m.value) if m and not pair else "",
        limit=_rows.limit(judgement),
        reason=judgement.reason,
        found=_rows.found(judgement),
        waiver=_rows.waived(judgement),
        plot=_plot.forest_row(pair, _rows.bound(judgement), sign.css, clean(said, 300), bar=bar)
        if plot and pair
        else None,
    )
