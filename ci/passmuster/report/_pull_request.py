"""The report of a whole run as GitHub Markdown: the comment on a pull request, and the job's summary. Pure.

The order is that of the report of one model: the verdict, why, what to do, and the rest folded. Of several models each
has a line, worst first, and those that don't pass have their section below. It stays under `LIMIT` by showing less of
each model first, then fewer sections, then fewer lines; the verdict and the counts are always there.
"""

# Not `from __future__ import annotations`: a name of this module's own.

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from passmuster.pull_request import Posting
from passmuster.report import _changes, _conclusion, _earlier, _words
from passmuster.report._annotations import remarks as annotations
from passmuster.report._conclusion import Entry, Standing, conclusion, headline
from passmuster.report._earlier import remember, remembered
from passmuster.report._escape import code, html, markdown
from passmuster.report._markdown import LEVELS, Document, Level, fold, joined, length

__all__ = ["LIMIT", "annotations", "conclusion", "headline", "remember", "remembered", "render", "summary"]

#: Most UTF-16 units of what `render` returns: with what is hidden beside it a comment stays under 60,000.
LIMIT = 56_000

#: Models that are named in the heading; of more there is a count.
_NAMED = 3

#: What may stand in an address that is linked; ours all do.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9./:_~%?=&#@+,-]+")


@dataclass(frozen=True, kw_only=True)
class _Budget:
    """How much of each part is shown."""

    level: Level  #: of each model's section
    failing: int  #: sections of models that don't pass
    passing: bool  #: whether those that pass have one
    lines: int  #: models in the table, and sentences in a list


_BUDGETS = (
    *(_Budget(level=level, failing=200, passing=True, lines=200) for level in LEVELS[:3]),
    *(_Budget(level=level, failing=200, passing=False, lines=200) for level in LEVELS[1:4]),
    _Budget(level=LEVELS[2], failing=10, passing=False, lines=200),
    *(
        _Budget(level=level, failing=most, passing=False, lines=100)
        for level, most in zip(LEVELS[3:], (12, 8, 5, 3), strict=True)
    ),
    _Budget(level=LEVELS[-1], failing=1, passing=False, lines=40),
    _Budget(level=LEVELS[-1], failing=0, passing=False, lines=10),
)


def render(posting: Posting) -> str:
    """Return the comment, without what is hidden in it, at the first budget that keeps `LIMIT`."""
    found = _conclusion.entries(posting)
    document = ""
    for budget in _BUDGETS:
        document = _Comment(posting, found, budget).render()
        if length(document) <= LIMIT:
            break
    return document


def summary(posting: Posting) -> str:
    """Return the same for the job's summary or a check run, which are made anew each time: nothing of earlier runs."""
    return render(replace(posting, earlier=()))


class _Comment:
    def __init__(self, posting: Posting, entries: list[Entry], budget: _Budget) -> None:
        self.posting, self.entries, self.budget = posting, entries, budget

    def render(self) -> str:
        parts = [f"## {self.heading()}", self.why(), *self.notices(), self.advice(), *self.sections()]
        return joined([*parts, self.earlier(), self.footer()]) + "\n"

    def name(self, text: str) -> str:
        return code(text, self.budget.level.name)

    def text(self, text: str) -> str:
        return markdown(text, self.budget.level.reason)

    def heading(self) -> str:
        if self.posting.problems:
            return "❗ This run can't be believed: nothing in it passes"
        if not self.entries:
            nothing = _conclusion.nothing(self.posting)
            return "✅ Nothing to judge: no model is touched" if nothing else "❗ Nothing is known of what was judged"
        if len(self.entries) > _NAMED:
            return f"{self.entries[0].emoji} {_conclusion.counts(self.entries)}"
        return " · ".join(f"{entry.emoji} {self.name(entry.model)} {entry.words}" for entry in self.entries)

    def why(self) -> str:
        problems = self.posting.problems
        if problems:
            more = f" _and {_words.plural(len(problems) - 1, 'more problem')}_" if problems[1:] else ""
            return joined([f"**Why:** {self.text(problems[0])}{more}", self.table()])
        if not self.entries:
            return f"**Why:** {self.untouched()}"
        alone = self.entries[0]
        if len(self.entries) > 1:
            return self.table()
        by_gates = alone.facts and alone.standing is not Standing.UNKNOWN
        return self.document(alone).why() if by_gates else f"**Why:** {self.text(alone.why)}"

    def untouched(self) -> str:
        if not _conclusion.nothing(self.posting):
            return "neither a plan nor a verdict arrived, and what nothing has passed does not pass."
        raw = self.posting.plan.get("untouched")
        names = [str(name) for name in raw] if isinstance(raw, list) else []
        listed = ", ".join(map(self.name, names[:20])) + (f" and {len(names) - 20:,} more" if names[20:] else "")
        return "the change touches nothing that a model depends on" + (f" ({listed})." if names else ".")

    def table(self) -> str:
        """A line for each model, worst first."""
        if not self.entries:
            return ""
        shown = self.entries[: self.budget.lines]
        rows = [f"| {e.emoji} {e.words} | {self.name(e.model)} | {self.told(e)} |" for e in shown]
        left = len(self.entries) - len(shown)
        rows += [f"| | | _and {left:,} more_ |"] if left else []
        return "\n".join(["| | model | why |", "|---|---|---|", *rows])

    def told(self, entry: Entry) -> str:
        return self.text(entry.why) + (f" _{markdown(entry.more)}_" if entry.more else "")

    def notices(self) -> list[str]:
        """What has to be known beside the verdict."""
        posting = self.posting
        found = [self.listed("❗", "What is wrong with this run", posting.problems[1:])]
        found += [self.gone(), self.policies(), self.fork()]
        told = (
            "Claimed, not verified: this was made by the pull request's own code. main makes and judges it again "
            "before anything is promoted"
        )
        return [*found, self.listed("ℹ️", told, posting.claimed)]

    def listed(self, sign: str, head: str, sentences: Sequence[str]) -> str:
        if not sentences:
            return ""
        shown = [f"> - {self.text(sentence)}" for sentence in sentences[: self.budget.lines]]
        left = len(sentences) - len(shown)
        return "\n".join([f"> {sign} {head}:", ">", *shown, *([f"> - and {left:,} more"] if left else [])])

    def gone(self) -> str:
        told = []
        for name, heir in _conclusion.removed(self.posting):
            takes = (
                f"; {heir} takes over the name of its registered model, which a person has to decide" if heir else ""
            )
            told.append(f"{name} is deleted{takes}")
        return self.listed("⚠️", "Models that this change deletes, so that nothing judges them", told)

    def policies(self) -> str:
        """That a change of a policy judges nothing: of several models, since their own sections may be folded."""
        changed = [entry for entry in self.entries if entry.facts and _changes.policy_changes(entry.facts)]
        if len(self.entries) == 1 or not changed:
            return ""
        does = _changes.does_to_policy(line for e in changed if e.facts for line in _changes.policy_changes(e.facts))
        names = ", ".join(self.name(entry.model) for entry in changed[: self.budget.lines])
        left = len(changed) - self.budget.lines
        more = f" and {left:,} more" if left > 0 else ""
        return f"> ⚠️ This {self.change()} {does} the policy of {names}{more}. It is judged by the base branch's."

    def change(self) -> str:
        return "pull request" if self.posting.pull_request else "commit"

    def fork(self) -> str:
        if not any(entry.facts and entry.facts.no_access for entry in self.entries):
            return ""
        return (
            "> ℹ️ This run has no access to the champion, since the pull request comes from a fork: nothing was "
            "compared with it. After the merge main compares, and promotes nothing that does not hold."
        )

    def advice(self) -> str:
        """What to do where there is no verdict that says it."""
        if self.posting.problems:
            text = "nothing of this run counts: bring the branch up to date with its base, then run its checks again"
            return f"**What to do:** {text}."
        waiting = {entry.standing for entry in self.entries if entry.facts is None}
        told = []
        if Standing.UNKNOWN in waiting:
            told.append(
                "bring the model's config to the base branch by a change that its owners review, then run again"
            )
        if Standing.NOT_JUDGED in waiting:
            told.append("open the run, see which job did not come to its end, mend that, and run again")
        return "\n".join(["**What to do**", "", *(f"- {text}." for text in told)]) if told else ""

    def document(self, entry: Entry) -> Document:
        assert entry.facts is not None
        return Document(entry.facts, self.budget.level, pull_request=self.posting.pull_request)

    def sections(self) -> list[str]:
        """What is told of each model beyond its line: of one as it is, of several apart."""
        told = [entry for entry in self.entries if entry.facts]
        if not self.posting.problems and len(self.entries) == len(told) == 1:
            document = self.document(told[0])
            return [*document.opened(), *document.folds()]
        failing = [entry for entry in told if entry.standing is not Standing.PASSES]
        passing = [entry for entry in told if entry.standing is Standing.PASSES]
        found = [self.opened(entry) for entry in failing[: self.budget.failing]]
        if self.budget.passing:
            found += [self.folded(entry) for entry in passing]
        left = len(told) - len(found)
        more = f"_Too long to be shown whole: {_words.plural(left, 'more model')} in the HTML and JSON reports._"
        return [*found, *([more] if left else [])]

    def opened(self, entry: Entry) -> str:
        document = self.document(entry)
        head = f"### {entry.emoji} {self.name(entry.model)} {entry.words}"
        rest = joined(document.folds())
        more = (
            fold(f"All of <code>{html(entry.model, self.budget.level.name)}</code>", rest)
            if self.budget.level.folded
            else rest
        )
        return joined([head, document.why(), *document.opened(), more])

    def folded(self, entry: Entry) -> str:
        document = self.document(entry)
        head = f"{entry.emoji} <code>{html(entry.model, self.budget.level.name)}</code> {html(entry.words)}"
        return fold(head, joined([document.why(), *document.opened(), *document.folds()]))

    def earlier(self) -> str:
        found = _earlier.others(self.posting)
        if not found:
            return ""
        rows = [f"| {code(e.head, 10)} | {self.text(e.words)} | {self.text(e.reason)} |" for e in found]
        head = f"Earlier commits: {len(found)}"
        return fold(head, "\n".join(["| commit | verdict | why |", "|---|---|---|", *rows]))

    def footer(self) -> str:
        posting = self.posting
        parts = [code(posting.revision.head[:10])]
        if posting.pull_request:
            parts = [f"{parts[0]} merged into {code(posting.pull_request.base[:10])}"]
        if posting.revision.run_id:
            parts.append(f"run {code(str(posting.revision.run_id))}, attempt {posting.revision.attempt}")
        if len(self.entries) == 1 and self.entries[0].facts:
            parts += self.document(self.entries[0]).judged()
        parts += [f"[{markdown(name, 60)}]({to})" for name, to in posting.links.items() if _ADDRESS.fullmatch(to)]
        return " · ".join(parts)
