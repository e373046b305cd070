"""The report as GitHub Markdown: a comment on a pull request, or a job's summary. Pure.

GitHub takes 65,536 characters; this stays under `LIMIT`. What is too long is shortened by level: first what is folded,
then rows, then reasons. The verdict, why, and the first failures with the count of the rest are in every level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from passmuster.report import _advice, _drift, _plot, _rows, _strain, _tables, _words
from passmuster.report._escape import BREAK, code, markdown
from passmuster.report._facts import ReportFacts
from passmuster.report._words import SIGNS, STATUS_SIGNS
from passmuster.verdict import Judgement, Outcome, summary

#: Most UTF-16 units (what GitHub counts) of a document.
LIMIT = 60_000

#: Rows of a table that shows the worst only.
_WORST = 10

#: Most characters of a slice's condition: what is cut can't be pasted.
_CONDITION = 300

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Level:
    """How much of each part is shown."""

    folded: int  #: rows of all parts that are folded; 0 leaves the folds out
    rows: int  #: rows of a table, failures excepted
    failures: int  #: rows of what needs attention
    name: int  #: characters of a name
    reason: int  #: characters of a reason


LEVELS = (
    Level(folded=400, rows=40, failures=200, name=200, reason=800),
    Level(folded=150, rows=40, failures=200, name=200, reason=500),
    Level(folded=60, rows=20, failures=100, name=120, reason=300),
    Level(folded=0, rows=20, failures=100, name=120, reason=300),
    Level(folded=0, rows=10, failures=60, name=80, reason=160),
    Level(folded=0, rows=5, failures=20, name=50, reason=80),
    Level(folded=0, rows=2, failures=10, name=40, reason=60),
)


def render(facts: ReportFacts) -> str:
    """Return the document at the first level that keeps `LIMIT`."""
    document = ""
    for level in LEVELS:
        document = _Document(facts, level).render()
        if len(document.encode("utf-16-le")) // 2 <= LIMIT:
            break
    return document


def title(facts: ReportFacts, limit: int = 100) -> str:
    """Return the verdict as one line of Markdown, without a heading's marks."""
    muster = " muster" if facts.status in (_words.Status.PASSES, _words.Status.FAILS) else ""
    words = " · ".join([f"{facts.status.value}{muster}", *_rows.qualifiers(facts)])
    return f"{STATUS_SIGNS[facts.status].emoji} {code(facts.model, limit)} {words}"


class _Document:
    def __init__(self, facts: ReportFacts, level: Level) -> None:
        self.facts, self.level = facts, level

    def render(self) -> str:
        parts: list[str] = [f"## {title(self.facts, self.level.name)}", self.why(), *self.warnings()]
        parts += [self.comparison(), self.advice(), self.attention()]
        if self.level.folded:
            parts += [self.slices(), self.drift(), self.fairness()]
            parts += [self.outcomes(), self.changed(), self.rerun(), self.evidence(), self.here()]
        else:
            parts.append("_Too long to be shown whole: the HTML and JSON reports have every row._")
        return "\n\n".join(part for part in [*parts, self.footer()] if part) + "\n"

    def name(self, text: str) -> str:
        return code(text, self.level.name)

    def text(self, text: str) -> str:
        return markdown(text, self.level.reason)

    def first(self, entries: Sequence[T], count: int, show: Callable[[T], str], rest: str) -> list[str]:
        """Show the first `count` entries, and of the rest their number."""
        lines = [show(entry) for entry in entries[:count]]
        # Not `format`: what others wrote may hold braces.
        more = rest.replace("and {} more", f"and {len(entries) - count:,} more")
        return lines + ([more] if len(entries) > count else [])

    def why(self) -> str:
        reasons = _rows.why(self.facts)
        more = f" _{markdown(reasons.more)}_" if reasons.more else ""
        counted = f"\n\n{_rows.gate_counts(self.facts)}{self.off()}." if self.facts.judgements else ""
        return f"**Why:** {self.text(reasons.text)}{more}{counted}"

    def off(self) -> str:
        off = _rows.turned_off(self.facts)
        listed = self.first(off, self.level.rows, self.name, "and {} more")
        return f"; turned off by the policy: {', '.join(listed)}" if off else ""

    def warnings(self) -> list[str]:
        found: list[str] = []
        if promoted := _rows.promoted(self.facts):
            found.append(f"> 🏁 {self.text(promoted)}")
        if lines := _rows.policy_changes(self.facts):
            listed = self.first(lines, self.level.rows, lambda line: f"> - {self.text(line)}", "> - … and {} more")
            head = "> ⚠️ This commit changes its own policy. It is judged by the policy of "
            found.append("\n".join([f"{head}{self.text(_rows.policy_name(self.facts))}:", ">", *listed]))
        problems = self.facts.problems[1:] if self.facts.problems else ()
        rest = (*problems, *self.facts.notes)
        return found + self.first(rest, self.level.rows, lambda line: f"> ⚠️ {self.text(line)}", "> ⚠️ and {} more")

    def comparison(self) -> str:
        """The table of what is read first: comparisons, absolute limits, and the worst slice, drift and gap."""
        rows = _rows.overview(self.facts)
        if not rows:
            return ""
        head = f"| | {self.champion()} | candidate | gain | | limit | |\n|---|--:|--:|--:|:-:|--:|---|"
        shown = self.first(rows, self.level.rows, self.comparison_row, "| _and {} more_ | | | | | | |")
        levels = _rows.levels(rows)
        is_compared = any(_rows.compared(judgement) for judgement in rows)
        legend = (
            f"<sub>gain: candidate against champion on the same rows, positive is better whatever the metric's "
            f"direction; intervals at {levels}. `│` no difference · `╎` limit · `─` interval · `●` gain. "
            f"{_rows.left_out(self.facts)}".rstrip()
            + "</sub>"
        )
        return "\n".join([head, *shown]) + ("\n\n" + legend if is_compared else "")

    def champion(self) -> str:
        version = _rows.champion_name(self.facts)
        return "champion" if version == "none" else f"champion {markdown(version, 40)}"

    def comparison_row(self, judgement: Judgement) -> str:
        m = _rows.estimate(judgement)
        if m is None:
            return ""
        about = f"{markdown(_rows.in_overview(judgement), self.level.name)}, {_words.plural(m.n, 'row')}"
        if (sides := _rows.sides(judgement)) is None:
            cells = ["", markdown(_rows.shown(m)), "", ""]
        else:
            plot = f"`{_plot.text(m, _rows.bound(judgement))}`" if m.interval else ""
            other = sides[0] if _rows.compared(judgement) else f"reference {sides[0]}"
            cells = [other, sides[1], _rows.shown(m), plot]
        return f"| {about} | {' | '.join(cells)} | {self.text(_rows.limit(judgement))} | {_outcome(judgement)} |"

    def advice(self) -> str:
        found = _advice.steps(self.facts)
        if not found:
            return ""

        def show(step: _advice.Step) -> str:
            gate = f"{self.name(step.gate)}: " if step.gate else ""
            return f"- {gate}{markdown(step.text)}. {self.name(step.command)}"

        return "\n".join(["**What to do**", "", *self.first(found, self.level.rows, show, "- and {} more gates")])

    def attention(self) -> str:
        found = _rows.attention(self.facts)
        if not found:
            return ""
        counted = _words.counts(summary(found))
        head = "| | gate | measured | why |\n|---|---|---|---|"
        shown = self.first(found, self.level.failures, self.attention_row, "| | | | _and {} more_ |")
        return f"**What needs attention:** {counted}\n\n" + "\n".join([head, *shown])

    def attention_row(self, judgement: Judgement) -> str:
        reason = self.text(judgement.reason)
        if said := _rows.waived(judgement):
            reason = f"{self.text(said)}. {reason}"
        gate, measured = self.name(judgement.gate), self.measured(judgement)
        return f"| {_outcome(judgement)} | {gate} | {measured} | {reason} |"

    def measured(self, judgement: Judgement) -> str:
        """What was measured: in words where there are some, else by its own name."""
        label = _rows.label(judgement)
        return self.name(label) if label == judgement.name else markdown(label, self.level.name)

    def slices(self) -> str:
        """The worst slices with their conditions."""
        found = {"slices": _rows.slices(self.facts), "reference::slices": _rows.against_reference(self.facts)}
        parts = [self.slices_against(name, some) for name, some in found.items() if some]
        count = sum(map(len, found.values()))
        return _fold(f"Slices: the worst of {count:,}", "\n\n".join(parts)) if parts else ""

    def slices_against(self, name: str, found: list[Judgement]) -> str:
        said = _rows.slices_said(self.facts, name) or f"against the {'champion' if name == 'slices' else 'reference'}"
        head = f"{self.text(_words.first_upper(said))}:\n\n| | slice | rows | gain | limit |\n|---|---|--:|--:|--:|"
        return "\n".join([head, *self.first(found, self.worst(), self.slice_row, "| | _and {} more_ | | | |")])

    def slice_row(self, judgement: Judgement) -> str:
        m, condition = _rows.estimate(judgement), _rows.condition(judgement)
        # Two spaces would be pasted as one, and what breaks a link is pasted too.
        altered = "  " in condition or BREAK in markdown(condition)
        told = condition and len(condition) <= _CONDITION and not altered
        about = code(condition) if told else self.name(_rows.subject(judgement).subject)
        gain, limit = _rows.shown(judgement.measurement), self.text(_rows.limit(judgement))
        return f"| {_outcome(judgement)} | {about} | {f'{m.n:,}' if m else ''} | {gain} | {limit} |"

    def worst(self) -> int:
        return min(_WORST, self.level.rows)

    def drift(self) -> str:
        """The columns that moved most."""
        found = _drift.columns(self.facts)
        if not found:
            return ""
        head = "| | column | | effect | limit |\n|---|---|---|--:|--:|"
        rows = self.first(found, self.worst(), self.drift_row, "| | _and {} more_ | | | |")
        return _fold(f"Drift: the worst of {_words.plural(len(found), 'comparison')}", "\n".join([head, *rows]))

    def drift_row(self, column: _drift.Column) -> str:
        worst = column.worst
        effect = f"{_drift.effect(worst)} {_rows.shown(worst.measurement) or 'not measured'}".strip()
        cells = (_outcome(worst), self.name(column.subject), markdown(column.side, 80), markdown(effect))
        return f"| {' | '.join(cells)} | {self.text(_rows.limit(worst))} |"

    def fairness(self) -> str:
        """The rates of the groups of each protected column."""
        found = _tables.protected(self.facts)
        parts = [self.protected(column) for column in found[: self.worst()] if column.groups]
        return _fold("Fairness: rates by group", "\n\n".join(parts)) if parts else ""

    def protected(self, column: _tables.Protected) -> str:
        rates = [name for name in _tables.RATES if any(group.rates[name] for group in column.groups)]
        head = f"| {self.name(column.column)} | rows | {' | '.join(_tables.RATES[name] for name in rates)} |"

        def show(group: _tables.Group) -> str:
            told = (_rate(group.rates[name]) for name in rates)
            return f"| {self.name(group.name)} | {group.rows:,} | {' | '.join(told)} |"

        more = f"| _and {{}} more_ | {' | ' * len(rates)} |"
        rows = self.first(column.groups, self.worst(), show, more)
        small = f"\n\nWith too few rows: {self.text(column.small)}." if column.small else ""
        return "\n".join([head, f"|---|--:{'|--:' * len(rates)}|", *rows]) + small

    def outcomes(self) -> str:
        """What is not a pass row by row, and the passes of each gate in one."""
        groups = _rows.by_gate(self.facts)
        if not groups:
            return ""
        lines = ["| | gate | measured | limit | found |", "|---|---|---|--:|---|"]
        left = self.level.folded
        for gate, group in list(groups.items())[: self.level.folded]:
            others = [j for j in group if j.outcome is not Outcome.PASS]
            lines += self.first(
                others, max(left, 1), self.outcome_row, f"| | {self.name(gate)} | _and {{}} more_ | | |"
            )
            if passes := _strain.passes(group):
                lines.append(f"| ✅ {passes.count:,} pass | {self.name(gate)} | | | {self.text(passes.told)} |")
            left -= len(others)
        if len(groups) > self.level.folded:
            lines.append(f"| | _and {len(groups) - self.level.folded:,} more gates_ | | | |")
        return _fold(_rows.gate_counts(self.facts), "\n".join(lines))

    def outcome_row(self, judgement: Judgement) -> str:
        cells = (_outcome(judgement), self.name(judgement.gate), self.measured(judgement))
        return f"| {' | '.join(cells)} | {self.text(_rows.limit(judgement))} | {self.text(_rows.found(judgement))} |"

    def changed(self) -> str:
        parts: list[str] = []
        for kind, found in _rows.changes(self.facts).items():
            if not found:
                continue
            differs = [change for change in found if change.differs]
            same = len(found) - len(differs)
            rows = self.first(differs, self.level.folded, self.change_row, "| _and {} more_ | | |")
            rows += [f"| _{same:,} the same_ | | |"] if same else []
            parts.append(f"\n| {kind} | {self.champion()} | candidate |\n|---|---|---|\n" + "\n".join(rows))
        return _fold(f"What changed: {_rows.changed_counts(self.facts)}", "\n".join(parts)) if parts else ""

    def change_row(self, change: _rows.Change) -> str:
        return f"| {self.name(change.what)} | {self.text(change.champion)} | {self.text(change.candidate)} |"

    def rerun(self) -> str:
        found = _rows.outputs(self.facts)
        if not found:
            return ""

        def show(output: dict[str, str]) -> str:
            told = " | ".join(self.text(output[key]) for key in ("compare", "result", "reason"))
            return f"| {self.name(output['path'])} | {told} |"

        rows = self.first(found, self.level.folded, show, "| _and {} more_ | | | |")
        body = "\n".join(["| output | compared by | result | |", "|---|---|---|---|", *rows])
        return _fold(f"Re-run: {markdown(str(self.facts.reproduce.get('decision')), 40)}", body)

    def evidence(self) -> str:
        found = _rows.evidence(self.facts)
        if not found:
            return ""
        rows = [f"| {markdown(name, 80)} | {code(digest, 80)} |" for name, digest in found[: self.level.folded]]
        return _fold("Evidence", "\n".join(["| | digest |", "|---|---|", *rows]))

    def here(self) -> str:
        checkout = f"{code(f'git checkout {self.commit()[:10]}')}, then " if self.commit() else ""
        return _fold("Reproduce it here", f"{checkout}{self.name(f'passmuster run {self.facts.model}')}")

    def commit(self) -> str:
        return str(self.facts.reproduce.get("commit") or "")

    def footer(self) -> str:
        parts = [code(self.commit()[:10])] if self.commit() else []
        if self.facts.gate.get("judged_on"):
            parts.append(f"judged on {self.text(str(self.facts.gate['judged_on']))}")
            parts.append(f"policy of {markdown(_rows.policy_name(self.facts), 80)}")
        if "gate" in self.facts.digests:
            parts.append(f"evidence {code(_words.short_digest(self.facts.digests['gate']))}")
        return " · ".join(parts)


def _outcome(judgement: Judgement) -> str:
    sign = SIGNS[judgement.outcome]
    word = "not worse" if judgement.outcome is Outcome.PASS and judgement.gate == "champion" else sign.word
    return f"{sign.emoji} {word}{' (advisory)' if _rows.advises(judgement) else ''}"


def _rate(rate: _tables.Rate | None) -> str:
    if rate is None:
        return "no such row"
    return f"{rate.value:.3f} ({rate.low:.3f} … {rate.high:.3f})".replace("-", "−")


def _fold(head: str, body: str) -> str:
    return f"<details><summary>{head}</summary>\n\n{body.strip()}\n\n</details>"
