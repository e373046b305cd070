"""The report as GitHub Markdown: a comment on a pull request, or a job's summary. Pure.

GitHub takes 65,536 characters; this stays under `LIMIT`. What is too long is shortened by level: first what is folded,
then rows, then reasons. The verdict, why, and the first failures with the count of the rest are in every level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from passmuster.config import Mode
from passmuster.report import _advice, _plot, _rows, _words
from passmuster.report._escape import code, markdown
from passmuster.report._facts import ReportFacts
from passmuster.report._words import SIGNS, STATUS_SIGNS
from passmuster.verdict import Judgement, Outcome, number, summary

#: Most UTF-16 units (what GitHub counts) of a document.
LIMIT = 60_000

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
        return lines + ([rest.format(f"{len(entries) - count:,}")] if len(entries) > count else [])

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
        """The table of the candidate against the champion, its absolute limits, and the worst segment."""
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
        about = markdown(_rows.label(judgement), self.level.name)
        if judgement.gate == "segments":
            about = f"worst segment: {self.name(judgement.name)}"
        elif not _rows.compared(judgement):
            about += ", absolute"
        about += f", {_words.plural(m.n, 'row')}"
        if _rows.compared(judgement) is None or m.candidate is None or m.champion is None:
            cells = ["", markdown(_rows.shown(m)), "", ""]
        else:
            plot = f"`{_plot.text(m, _rows.bound(judgement))}`" if m.interval else ""
            cells = [number(m.champion), number(m.candidate), _rows.shown(m), plot]
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
        advisory = " (advisory)" if judgement.mode is not Mode.BLOCKING else ""
        gate, name = self.name(judgement.gate), self.name(judgement.name)
        return f"| {_outcome(judgement)}{advisory} | {gate} | {name} | {reason} |"

    def outcomes(self) -> str:
        groups = _rows.by_gate(self.facts)
        if not groups:
            return ""
        lines: list[str] = []
        left = self.level.folded
        for gate, group in groups.items():
            lines.append(f"\n**{self.name(gate)}** {_words.counts(summary(group))}\n")
            lines += ["| | measured | limit | found |", "|---|---|--:|---|"]
            lines += self.first(group, max(left, 1), self.outcome_row, "| | _and {} more_ | | |")
            left -= len(group)
        return _fold(_rows.gate_counts(self.facts), "\n".join(lines))

    def outcome_row(self, judgement: Judgement) -> str:
        cells = (_outcome(judgement), self.name(judgement.name), self.text(_rows.limit(judgement)))
        return f"| {' | '.join(cells)} | {self.text(_rows.found(judgement))} |"

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
    return f"{sign.emoji} {word}"


def _fold(head: str, body: str) -> str:
    return f"<details><summary>{head}</summary>\n\n{body.strip()}\n\n</details>"
