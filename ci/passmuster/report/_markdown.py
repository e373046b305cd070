"""The report as GitHub Markdown: a comment on a pull request, or a job's summary. Pure.

GitHub takes 65,536 characters; this stays under `LIMIT`. What is too long is shortened by level: first what is folded,
then rows, then reasons. The verdict, why, and the first failures with the count of the rest are in every level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from passmuster.digest import is_digest
from passmuster.measurement import Estimate
from passmuster.pull_request import PullRequest
from passmuster.report import _advice, _changes, _drift, _evidence, _plot, _row, _rows, _strain, _tables, _why, _words
from passmuster.report._escape import BREAK, code, html, markdown
from passmuster.report._facts import ReportFacts
from passmuster.report._words import SIGNS, STATUS_SIGNS
from passmuster.verdict import Judgement, Outcome, summary

#: Most UTF-16 units (what GitHub counts) of a document.
LIMIT = 60_000

#: Rows of a table that shows the worst only.
_WORST = 10

#: Most characters of a slice's condition: what is cut can't be pasted.
_CONDITION = 300

#: What stands for a value that there is none of.
_ABSENT = ("—", "not known")

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
        document = Document(facts, level).render()
        if length(document) <= LIMIT:
            break
    return document


def length(text: str) -> int:
    """Return the length of a text as GitHub counts it."""
    return len(text.encode("utf-16-le")) // 2


def joined(parts: Iterable[str]) -> str:
    """Return the parts that say something, as paragraphs."""
    return "\n\n".join(part for part in parts if part)


def title(facts: ReportFacts, limit: int = 100) -> str:
    """Return the verdict as one line of Markdown, without a heading's marks."""
    muster = " muster" if facts.status in (_words.Status.PASSES, _words.Status.FAILS) else ""
    words = " · ".join([f"{facts.status.value}{muster}", *_why.qualifiers(facts)])
    return f"{STATUS_SIGNS[facts.status].emoji} {code(facts.model, limit)} {words}"


class Document:
    """The parts of one model's report, at one level; the whole of it, or what another document is put together from."""

    def __init__(self, facts: ReportFacts, level: Level, *, pull_request: PullRequest | None = None) -> None:
        self.facts, self.level = facts, level
        self.pull_request = pull_request  #: what brought the candidate; None: a commit
        self.change = "pull request" if pull_request else "commit"

    def render(self) -> str:
        """Return the whole document."""
        head = [f"## {title(self.facts, self.level.name)}"]
        return joined([*head, self.why(), *self.opened(), *self.folds(), self.footer()]) + "\n"

    def opened(self) -> list[str]:
        """Return what is read at once, after the verdict and why."""
        return [*self.warnings(), self.comparison(), self.advice(), self.attention()]

    def folds(self) -> list[str]:
        """Return what is folded, or that it was too long."""
        if not self.level.folded:
            return ["_Too long to be shown whole: the HTML and JSON reports have every row._"]
        parts = [self.slices(), self.drift(), self.fairness()]
        return [*parts, self.outcomes(), self.changed(), self.rerun(), self.evidence(), self.here()]

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
        reasons = _why.why(self.facts)
        more = f" _{markdown(reasons.more)}_" if reasons.more else ""
        counted = f"\n\n{_rows.gate_counts(self.facts)}{self.off()}." if self.facts.judgements else ""
        return f"**Why:** {self.text(reasons.text)}{more}{counted}"

    def off(self) -> str:
        off = _changes.turned_off(self.facts)
        listed = self.first(off, self.level.rows, self.name, "and {} more")
        return f"; turned off by the policy: {', '.join(listed)}" if off else ""

    def warnings(self) -> list[str]:
        found: list[str] = []
        if promoted := _evidence.promoted(self.facts):
            found.append(f"> 🏁 {self.text(promoted)}")
        if lines := _changes.policy_changes(self.facts):
            listed = self.first(lines, self.level.rows, lambda line: f"> - {self.text(line)}", "> - … and {} more")
            head = f"> ⚠️ This {self.change} {_changes.does_to_policy(lines)} its own policy. It is judged by the policy"
            found.append("\n".join([f"{head} of {self.policy()}, without these changes:", ">", *listed]))
        if parent := _changes.parent(self.facts):
            lines = _changes.parent_changes(self.facts)
            listed = self.first(lines, self.level.rows, lambda line: f"> - {self.text(line)}", "> - … and {} more")
            head = f"> ⚠️ This {self.change} {_changes.does_to_policy(lines)} the policy. It is judged by that of"
            found.append("\n".join([f"{head} {code(parent)}, its first parent, as well:", ">", *listed]))
        problems = self.facts.problems[1:] if self.facts.problems else ()
        rest = (*problems, *self.facts.notes)
        return found + self.first(rest, self.level.rows, lambda line: f"> ⚠️ {self.text(line)}", "> ⚠️ and {} more")

    def policy(self) -> str:
        """Where the policy comes from."""
        where, commit = _changes.policy_source(self.facts)
        shown = code(commit, 40) if commit else ""
        return f"{self.text(where)} ({shown})" if where and shown else shown or self.text(where)

    def comparison(self) -> str:
        """What is read first: comparisons, and below them what was measured of the candidate alone."""
        rows = _rows.overview(self.facts)
        both = [judgement for judgement in rows if _row.sides(judgement)]
        alone = [judgement for judgement in rows if not _row.sides(judgement)]
        return joined([self.compared(both), self.alone(alone), self.legend(rows)])

    def compared(self, rows: Sequence[Judgement]) -> str:
        head = f"| | | {self.other(rows)} → candidate | gain | limit |\n|---|---|--:|:-:|--:|"
        shown = self.first(rows, self.level.rows, self.compared_row, "| | _and {} more_ | | | |")
        return "\n".join([head, *shown]) if rows else ""

    def alone(self, rows: Sequence[Judgement]) -> str:
        head = "| | of the candidate alone | measured | limit |\n|---|---|--:|--:|"
        shown = self.first(rows, self.level.rows, self.alone_row, "| | _and {} more_ | | |")
        return "\n".join([head, *shown]) if rows else ""

    def legend(self, rows: Sequence[Judgement]) -> str:
        if not (levels := _row.levels(rows)):
            return ""
        told = [f"Intervals at {levels}"]
        if any(_row.compared(judgement) for judgement in rows):
            told = [
                "gain: candidate against champion on the same rows, positive is better whatever the metric's "
                f"direction; intervals at {levels}. `│` no difference · `╎` limit · `─` interval · `●` gain"
            ]
        if any(_row.detects(judgement) for judgement in rows):
            told.append('Of a limit "down to" or "up to", only what surely lies beyond fails')
        return f"<sub>{'. '.join(told)}. {_rows.left_out(self.facts)}".rstrip() + "</sub>"

    def champion(self) -> str:
        version = _changes.champion_name(self.facts)
        return "champion" if version == "none" else f"champion {markdown(version, 40)}"

    def other(self, rows: Sequence[Judgement]) -> str:
        """What the rows compare with, as a heading."""
        return self.champion() if any(_row.compared(judgement) for judgement in rows) else "reference"

    def compared_row(self, judgement: Judgement) -> str:
        m, sides = _row.estimate(judgement), _row.sides(judgement)
        if m is None or sides is None:
            return ""
        plot = f"<br>`{_plot.text(m, _row.bound(judgement))}`" if m.interval else ""
        both = " → ".join(sides) if _row.compared(judgement) else f"reference {' → '.join(sides)}"
        cells = (_together(_outcome(judgement)), self.about(judgement, m), _together(both), f"{_number(m)}{plot}")
        return f"| {' | '.join(cells)} | {self.limit(judgement)} |"

    def alone_row(self, judgement: Judgement) -> str:
        m = _row.estimate(judgement)
        if m is None:
            return ""
        cells = (_together(_outcome(judgement)), self.about(judgement, m), _number(m))
        return f"| {' | '.join(cells)} | {self.limit(judgement)} |"

    def about(self, judgement: Judgement, m: Estimate) -> str:
        what = markdown(_rows.in_overview(judgement, apart=True), self.level.name)
        return f"{what}, {_together(_words.plural(m.n, 'row'))}"

    def limit(self, judgement: Judgement) -> str:
        return _together(self.text(_row.briefly(judgement)))

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
        if said := _row.waived(judgement):
            reason = f"{self.text(said)}. {reason}"
        gate, measured = self.name(judgement.gate), self.measured(judgement)
        return f"| {_outcome(judgement)} | {gate} | {measured} | {reason} |"

    def measured(self, judgement: Judgement) -> str:
        """What was measured: in words where there are some, else by its own name."""
        label = _row.label(judgement)
        return self.name(label) if label == judgement.name else markdown(label, self.level.name)

    def slices(self) -> str:
        """The worst slices with their conditions."""
        found = {"slices": _rows.slices(self.facts), "reference::slices": _rows.against_reference(self.facts)}
        parts = [self.slices_against(name, some) for name, some in found.items() if some]
        count = sum(map(len, found.values()))
        return fold(f"Slices: the worst of {count:,}", "\n\n".join(parts)) if parts else ""

    def slices_against(self, name: str, found: list[Judgement]) -> str:
        said = _rows.slices_said(self.facts, name) or f"against the {'champion' if name == 'slices' else 'reference'}"
        head = f"{self.text(_words.first_upper(said))}:\n\n| | slice | rows | gain | limit |\n|---|---|--:|--:|--:|"
        return "\n".join([head, *self.first(found, self.worst(), self.slice_row, "| | _and {} more_ | | | |")])

    def slice_row(self, judgement: Judgement) -> str:
        m, condition = _row.estimate(judgement), _row.condition(judgement)
        # Two spaces would be pasted as one, and what breaks a link is pasted too.
        altered = "  " in condition or BREAK in markdown(condition)
        told = condition and len(condition) <= _CONDITION and not altered
        about = code(condition) if told else self.name(_row.subject(judgement).subject)
        gain, limit = _row.shown(judgement.measurement), self.text(_row.limit(judgement))
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
        return fold(f"Drift: the worst of {_words.plural(len(found), 'comparison')}", "\n".join([head, *rows]))

    def drift_row(self, column: _drift.Column) -> str:
        worst = column.worst
        effect = f"{_drift.effect(worst)} {_row.shown(worst.measurement) or 'not measured'}".strip()
        cells = (_outcome(worst), self.name(column.subject), markdown(column.side, 80), markdown(effect))
        return f"| {' | '.join(cells)} | {self.text(_row.limit(worst))} |"

    def fairness(self) -> str:
        """The rates of the groups of each protected column."""
        found = _tables.protected(self.facts)
        parts = [self.protected(column) for column in found[: self.worst()] if column.groups]
        return fold("Fairness: rates by group", "\n\n".join(parts)) if parts else ""

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
        return fold(_rows.gate_counts(self.facts), "\n".join(lines))

    def outcome_row(self, judgement: Judgement) -> str:
        cells = (_outcome(judgement), self.name(judgement.gate), self.measured(judgement))
        return f"| {' | '.join(cells)} | {self.text(_row.limit(judgement))} | {self.text(_row.found(judgement))} |"

    def changed(self) -> str:
        parts: list[str] = []
        for kind, found in _changes.changes(self.facts).items():
            if not found:
                continue
            differs = [change for change in found if change.differs]
            same = len(found) - len(differs)
            rows = self.first(differs, self.level.folded, self.change_row, "| _and {} more_ | | |")
            rows += [f"| _{same:,} the same_ | | |"] if same else []
            parts.append(f"\n| {kind} | {self.champion()} | candidate |\n|---|---|---|\n" + "\n".join(rows))
        return fold(f"What changed: {_changes.changed_counts(self.facts)}", "\n".join(parts)) if parts else ""

    def change_row(self, change: _changes.Change) -> str:
        sides = (side if side in _ABSENT else self.name(_briefly(side)) for side in (change.champion, change.candidate))
        return f"| {self.name(change.what)} | {' | '.join(sides)} |"

    def rerun(self) -> str:
        found = _evidence.outputs(self.facts)
        if not found:
            return ""

        def show(output: dict[str, str]) -> str:
            told = " | ".join(self.text(output[key]) for key in ("compare", "result", "reason"))
            return f"| {self.name(output['path'])} | {told} |"

        rows = self.first(found, self.level.folded, show, "| _and {} more_ | | | |")
        body = "\n".join(["| output | compared by | result | |", "|---|---|---|---|", *rows])
        return fold(f"Re-run: {html(str(self.facts.reproduce.get('decision')), 40)}", body)

    def evidence(self) -> str:
        found = _evidence.evidence(self.facts)
        rows = [f"- {markdown(name, 80)}: {code(digest, 80)}" for name, digest in found[: self.level.folded]]
        return fold("Evidence", "\n".join(rows)) if rows else ""

    def here(self) -> str:
        return fold("Reproduce it here", "<br>\n".join(code(line, 400) for line in self.commands()))

    def commands(self) -> list[str]:
        """What a person types to see the same."""
        model, commit = self.facts.model, self.commit()
        if self.pull_request is None:
            return [*([f"git checkout {commit[:10]}"] if commit else []), f"passmuster run {model}"]
        # What is judged is the merge with the base, which no branch holds.
        brought = [f"git fetch origin {commit} {self.pull_request.base}", f"git checkout {commit}"] if commit else []
        score, gate = (" --no-access", " --fork") if self.facts.no_access else ("", "")
        return [
            *brought,
            f"passmuster reproduce {model}",
            f"passmuster score {model}{score}",
            f"passmuster gate {model} --policy-ref {self.pull_request.base}{gate}",
        ]

    def commit(self) -> str:
        return str(self.facts.reproduce.get("commit") or "")

    def footer(self) -> str:
        """Return of which commit this is, and what it rests on."""
        return " · ".join([*([code(self.commit()[:10])] if self.commit() else []), *self.judged()])

    def judged(self) -> list[str]:
        """Return when the candidate was judged, by what, and the record that says so."""
        parts: list[str] = []
        if self.facts.gate.get("judged_on"):
            parts = [f"judged on {self.text(str(self.facts.gate['judged_on']))}", f"policy of {self.policy()}"]
        if "gate" in self.facts.digests:
            parts.append(f"evidence {code(_words.short_digest(self.facts.digests['gate']))}")
        return parts


def _outcome(judgement: Judgement) -> str:
    sign = SIGNS[judgement.outcome]
    word = "not worse" if judgement.outcome is Outcome.PASS and judgement.gate == "champion" else sign.word
    return f"{sign.emoji} {word}{' (advisory)' if _row.advises(judgement) else ''}"


def _number(measured: Estimate) -> str:
    """Return a value and its interval, which is broken nowhere."""
    value, space, between = _row.shown(measured).partition(" ")
    return f"{value}{space}{_together(between)}"


def _together(text: str) -> str:
    """Return text that is broken nowhere."""
    return text.replace(" ", "&nbsp;")


def _briefly(value: str) -> str:
    """Return a value, or the beginning of a digest, of which the evidence has the whole."""
    return _words.short_digest(value) if is_digest(value) else value


def _rate(rate: _tables.Rate | None) -> str:
    if rate is None:
        return "no such row"
    return f"{rate.value:.3f} ({rate.low:.3f} … {rate.high:.3f})".replace("-", "−")


def fold(head: str, body: str) -> str:
    """Return `body` folded below `head`, which is HTML."""
    return f"<details><summary>{head}</summary>\n\n{body.strip()}\n\n</details>"
