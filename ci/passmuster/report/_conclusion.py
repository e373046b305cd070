"""What a run comes to as a whole: each of its models in one line, worst first, and a check run's conclusion.

Fails closed: what was planned and did not come back, came back twice, or is told by a run that can't be believed could
not be judged; and a run that names no plan and no model has not said that there is nothing to judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from passmuster.errors import ExitCode
from passmuster.pull_request import Conclusion, Posting
from passmuster.report import _read, _why
from passmuster.report._escape import clean, shorten
from passmuster.report._facts import ReportFacts
from passmuster.report._words import STATUS_SIGNS, Status, plural

#: Most characters of a headline: what GitHub takes as a title.
_HEADLINE = 250


class Standing(StrEnum):
    """What is said of a model, in words for one and in `MANY` for several; worst first."""

    NOT_JUDGED = Status.NOT_JUDGED.value
    NOT_REPRODUCIBLE = Status.NOT_REPRODUCIBLE.value
    FAILS = f"{Status.FAILS.value} muster"
    UNKNOWN = "needs a person to decide"
    UNDECIDED = Status.UNDECIDED.value
    PASSES = f"{Status.PASSES.value} muster"


_MANY: Mapping[Standing, str] = {
    Standing.NOT_REPRODUCIBLE: "are not reproducible",
    Standing.FAILS: "do not pass muster",
    Standing.UNKNOWN: "need a person to decide",
    Standing.PASSES: "pass muster",
}

_OF_STATUS: Mapping[Status, Standing] = {
    Status.NOT_REPRODUCIBLE: Standing.NOT_REPRODUCIBLE,
    Status.FAILS: Standing.FAILS,
    Status.UNDECIDED: Standing.UNDECIDED,
    Status.PASSES: Standing.PASSES,
}

_EMOJI: Mapping[Standing, str] = {
    **{standing: STATUS_SIGNS[status].emoji for status, standing in _OF_STATUS.items()},
    Standing.NOT_JUDGED: STATUS_SIGNS[Status.NOT_JUDGED].emoji,
    Standing.UNKNOWN: "✋",
}

_ORDER = tuple(Standing)

_CONCLUSIONS: Mapping[Standing, Conclusion] = {
    Standing.UNKNOWN: Conclusion.ACTION_REQUIRED,
    Standing.UNDECIDED: Conclusion.NEUTRAL,
    Standing.PASSES: Conclusion.SUCCESS,
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model of a run in one line; its texts are others'."""

    model: str
    standing: Standing
    why: str
    more: str = ""  #: words of ours
    qualifiers: tuple[str, ...] = ()  #: words of ours
    facts: ReportFacts | None = None  #: None: nothing that can be believed

    @property
    def emoji(self) -> str:
        """The sign of its standing."""
        return _EMOJI[self.standing]

    @property
    def words(self) -> str:
        """Its standing, and what has to be said beside it."""
        return " · ".join([self.standing.value, *self.qualifiers])


def entries(posting: Posting) -> list[Entry]:
    """Return every model that the run judged, or should have, worst first."""
    counted = Counter(facts.model for facts in posting.models)
    found = [_judged(posting, facts, counted[facts.model]) for facts in posting.models]
    found += [_not_judged(model, why) for model, why in posting.missing.items() if model not in counted]
    found += [_unknown(posting, model) for model in posting.unknown if model not in counted]
    heard = {entry.model for entry in found}
    unheard = [model for model in planned(posting) if model not in heard]
    found += [_not_judged(model, "it was planned, and no verdict of it arrived") for model in unheard]
    heirs = {heir: name for name, heir in removed(posting) if heir}
    strangers = heirs.keys() - {entry.model for entry in found}
    found += [Entry(model=heir, standing=Standing.UNKNOWN, why="") for heir in sorted(strangers)]
    found = [_inherits(entry, heirs[entry.model]) if entry.model in heirs else entry for entry in found]
    return sorted(found, key=lambda entry: _ORDER.index(entry.standing))


def _inherits(entry: Entry, name: str) -> Entry:
    """What takes over the name of a registered model has lost its champion, or taken that of another."""
    if _ORDER.index(entry.standing) < _ORDER.index(Standing.UNKNOWN):
        return entry
    why = f"it takes over the name of the registered model of {name}, which this change deletes"
    return replace(entry, standing=Standing.UNKNOWN, why=why, more="")


def planned(posting: Posting) -> list[str]:
    """Return the models that the plan names."""
    raw = posting.plan.get("models")
    return [str(model) for model in raw] if isinstance(raw, list) else []


def removed(posting: Posting) -> list[tuple[str, str]]:
    """Return the models that the change deletes, and of each the model that takes over its registry's name, or ""."""
    return [(str(name), str(heir or "")) for name, heir in _read.mapping(posting.plan.get("removed")).items()]


def _judged(posting: Posting, facts: ReportFacts, count: int) -> Entry:
    if posting.problems:
        return _not_judged(facts.model, "the run that told of it can't be believed")
    if count > 1:
        return _not_judged(facts.model, f"{count} verdicts of it arrived; one is a verdict")
    if facts.model in posting.missing:
        return _not_judged(facts.model, posting.missing[facts.model])
    if facts.model in posting.unknown:
        return _unknown(posting, facts.model)
    if isinstance(posting.plan.get("models"), list) and facts.model not in planned(posting):
        return _not_judged(facts.model, "a verdict of it arrived, and the plan does not name it")
    if facts.status in (Status.IN_PART, Status.INFORMATIVE):
        return _not_judged(facts.model, f"it {facts.status.value}")
    reasons, standing = _why.why(facts), _OF_STATUS.get(facts.status, Standing.NOT_JUDGED)
    if standing is Standing.PASSES and not _promotes(facts):
        return _not_judged(facts.model, "its report says that it passes, its verdict does not")
    return Entry(
        model=facts.model,
        standing=standing,
        why=reasons.text,
        more=reasons.more,
        qualifiers=tuple(_why.qualifiers(facts)),
        facts=facts,
    )


def _promotes(facts: ReportFacts) -> bool:
    verdicts = [facts.verdict, *([facts.also] if facts.also else [])]
    return facts.code is ExitCode.OK and not facts.problems and all(v is not None and v.promotes for v in verdicts)


def _not_judged(model: str, why: str) -> Entry:
    return Entry(model=model, standing=Standing.NOT_JUDGED, why=why)


def _unknown(posting: Posting, model: str) -> Entry:
    if posting.problems:
        return _not_judged(model, "the run that told of it can't be believed")
    why = (
        "the base branch does not know this model, so there is no policy to judge it by: a person has to look at its "
        "config and bring it there first"
    )
    return Entry(model=model, standing=Standing.UNKNOWN, why=why)


def nothing(posting: Posting) -> bool:
    """Whether the run says, and may be believed, that there is nothing to judge."""
    return not posting.problems and posting.plan.get("models") == [] and not entries(posting)


def conclusion(posting: Posting) -> Conclusion:
    """Return what the run comes to: the worst of its models; success only where every one of them surely passes."""
    found = entries(posting)
    if posting.problems or not (found or nothing(posting)):
        return Conclusion.FAILURE
    return _CONCLUSIONS.get(found[0].standing, Conclusion.FAILURE) if found else Conclusion.SUCCESS


def tally(found: list[Entry]) -> list[tuple[Standing, int]]:
    """Count the entries by standing, worst first."""
    counted = Counter(entry.standing for entry in found)
    return [(standing, counted[standing]) for standing in _ORDER if counted[standing]]


def counts(found: list[Entry]) -> str:
    """Return how many models there are and what they came to, e.g. "3 models: 1 can't be decided, 2 pass muster"."""
    parts = [
        f"{count:,} {standing.value if count == 1 else _MANY.get(standing, standing.value)}"
        for standing, count in tally(found)
    ]
    return f"{plural(len(found), 'model')}: {', '.join(parts)}"


def headline(posting: Posting) -> str:
    """Return the run's verdict as one line of plain text, for a check run's title; texts of others are cleaned."""
    found = entries(posting)
    if posting.problems:
        return "This run can't be believed: nothing in it passes"
    if not found:
        return "Nothing to judge: no model is touched" if nothing(posting) else "Nothing is known of what was judged"
    named = ", ".join(f"{clean(entry.model, 100)} {entry.words}" for entry in found)
    return named if len(found) <= 2 and len(named) <= _HEADLINE else shorten(counts(found), _HEADLINE)
