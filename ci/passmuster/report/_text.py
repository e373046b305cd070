"""The report for a terminal: the verdict, why, one table, what to do. Plain where the console is no terminal."""

from __future__ import annotations

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from passmuster.config import Mode
from passmuster.report import _advice, _changes, _evidence, _plot, _row, _rows, _strain, _why, _words
from passmuster.report._escape import clean
from passmuster.report._facts import ReportFacts
from passmuster.report._words import SIGNS, STATUS_SIGNS, Status
from passmuster.verdict import Judgement, Outcome, summary

#: Rows of a table; the other formats have them all.
MOST = 25

_STYLES = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "error": "bold magenta",
    "skipped": "dim",
    "waived": "cyan",
}


def render(facts: ReportFacts, console: Console) -> None:
    """Print the report to `console`, for 80 columns and more."""
    console.print(_verdict(facts))
    if rows := _rows.overview(facts):
        console.print(_comparison(facts, rows))
    if facts.judgements:
        console.print(_gates(facts))
    if found := _rows.attention(facts):
        console.print(_attention(found))
    for step in _advice.steps(facts)[:MOST]:
        said = Text.assemble((f"{clean(step.gate, 60)}: " if step.gate else "", "bold"), step.text, ". ")
        console.print(Text("→ ").append_text(said).append(clean(step.command, 120), style="bold"))


def _verdict(facts: ReportFacts) -> Panel:
    sign = STATUS_SIGNS[facts.status]
    style = _STYLES[sign.css]
    muster = " muster" if facts.status in (Status.PASSES, Status.FAILS) else ""
    head = Text(f"{sign.symbol} {clean(facts.model, 100)} {facts.status.value}{muster}", style=style)
    reasons = _why.why(facts)
    lines = [Text(f"Why: {clean(reasons.text, 800)}{f' ({reasons.more})' if reasons.more else ''}")]
    lines += [Text(_words.first_upper(said), style="bold") for said in _why.qualifiers(facts)]
    if promoted := _evidence.promoted(facts):
        lines.append(Text(clean(promoted, 300), style="bold"))
    lines += [Text(f"! {clean(line, 300)}") for line in (*facts.problems[1:], *facts.notes)[:MOST]]
    if changed := _changes.policy_changes(facts):
        lines.append(
            Text(f"! judged by the policy of {clean(_changes.policy_name(facts), 80)}; this commit would change it:")
        )
        lines += [Text(f"    {clean(line, 200)}") for line in changed[:MOST]]
    if parent := _changes.parent(facts):
        lines.append(Text(f"! judged by the policy of {clean(parent, 80)}, the first parent, as well; what changed:"))
        lines += [Text(f"    {clean(line, 200)}") for line in _changes.parent_changes(facts)[:MOST]]
    if off := _changes.turned_off(facts):
        lines.append(Text(f"! turned off by the policy: {clean(', '.join(off), 300)}"))
    return Panel(Group(head, *lines), box=ROUNDED, border_style=style, padding=(0, 1))


def _comparison(facts: ReportFacts, rows: list[Judgement]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", ratio=1, overflow="fold")
    for head in (_other(facts, rows), "candidate", "gain"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("")
    for judgement in rows[:MOST]:
        table.add_row(*_comparison_row(judgement))
    if len(rows) > MOST:
        table.add_row(f"and {len(rows) - MOST:,} more")
    return table


def _other(facts: ReportFacts, rows: list[Judgement]) -> str:
    """Return what the rows compare with, as a heading."""
    if not any(_row.compared(judgement) for judgement in rows):
        return "reference" if any(_row.sides(judgement) for judgement in rows) else ""
    version = _changes.champion_name(facts)
    return "champion" if version == "none" else clean(version, 12)


def _comparison_row(judgement: Judgement) -> list[Text]:
    m = _row.estimate(judgement)
    if m is None:
        return []
    about = Text(clean(_rows.in_overview(judgement), 80))
    if (sides := _row.sides(judgement)) is None:
        cells = ["", _words.rounded(m, m.value), "", clean(_row.briefly(judgement), 40)]
    else:
        plot = _plot.text(m, _row.bound(judgement)) if m.interval else ""
        cells = [*sides, _words.rounded(m, m.value, sign=True), plot]
    return [about, *(Text(cell) for cell in cells), _outcome(judgement)]


def _outcome(judgement: Judgement) -> Text:
    sign = SIGNS[judgement.outcome]
    advisory = " (advisory)" if _row.advises(judgement) else ""
    return Text(f"{sign.symbol} {sign.word}{advisory}", style=_STYLES[sign.css])


def _gates(facts: ReportFacts) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("gate")
    table.add_column("")
    table.add_column("outcomes")
    groups = list(_rows.by_gate(facts).items())
    for gate, group in groups[:MOST]:
        sign = SIGNS[_rows.worst(group)]
        advisory = "" if any(j.mode is Mode.BLOCKING for j in group) else " (advisory)"
        state = Text(f"{sign.symbol} {sign.word}", style=_STYLES[sign.css])
        table.add_row(Text(clean(gate, 40) + advisory), state, Text(_counts(group)))
    if len(groups) > MOST:
        table.add_row(f"and {len(groups) - MOST:,} more")
    return table


def _counts(group: list[Judgement]) -> str:
    """Return what is not a pass by its count, and all passes in a few words."""
    others = [j for j in group if j.outcome is not Outcome.PASS]
    told = [_words.counts(summary(others))] if others else []
    return "; ".join([*told, *([clean(passes.line, 160)] if (passes := _strain.passes(group)) else [])])


def _attention(found: list[Judgement]) -> Group:
    lines: list[Text] = []
    for judgement in found[:MOST]:
        sign = SIGNS[judgement.outcome]
        advisory = "" if judgement.mode is Mode.BLOCKING else " (advisory)"
        head = f"{sign.symbol} {clean(judgement.gate, 40)} / {clean(_row.label(judgement), 80)}{advisory}: "
        said = _row.waived(judgement)
        reason = (f"{clean(said, 200)}; " if said else "") + clean(judgement.reason, 300)
        lines.append(Text(head, style=_STYLES[sign.css]).append(reason, style="default"))
    if len(found) > MOST:
        lines.append(Text(f"and {len(found) - MOST:,} more", style="bold"))
    return Group(*lines)
