"""What is other than in the champion, and by which policy the candidate was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passmuster.report import _read, _words
from passmuster.report._facts import ReportFacts

#: Keys of a policy with a number that allows more, the greater (the smaller) it is.
_LOOSER_ABOVE = ("margin", "limit", "max", "worse", "reference-limit", "detectable", "max-size", "atol", "rtol")
_LOOSER_BELOW = ("min", "better-by", "confidence")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is other than in the champion; texts as in the records."""

    what: str
    champion: str
    candidate: str

    @property
    def differs(self) -> bool:
        """Whether both sides are known to differ."""
        return self.champion != self.candidate


def policy_changes(facts: ReportFacts) -> list[str]:
    """Return what the commit would change in the policy; it is judged by the policy without."""
    return _lines(_read.mapping(facts.gate.get("policy")).get("changes"))


def turned_off(facts: ReportFacts) -> list[str]:
    """Return the gates that the policy turns off."""
    return _lines(facts.gate.get("off"))


def _lines(raw: Any) -> list[str]:
    return [str(name) for name in raw] if isinstance(raw, Sequence) and not isinstance(raw, str) else []


def champion_name(facts: ReportFacts) -> str:
    """Return the champion's version, e.g. "v3", or "none"."""
    return str(
        _read.mapping(facts.gate.get("champion")).get("version")
        or _read.mapping(facts.score.get("champion")).get("version")
        or "none"
    )


def policy_source(facts: ReportFacts) -> tuple[str, str]:
    """Return where the policy comes from: how its commit was named, and the commit, shortened; "" where not known."""
    policy = _read.mapping(facts.gate.get("policy"))
    if not policy.get("commit"):
        return "this checkout", ""
    # A commit that was named by itself is not named twice.
    ref = str(policy.get("ref") or "")
    return "" if ref == policy["commit"] else ref, _words.short_digest(policy["commit"])


def policy_name(facts: ReportFacts) -> str:
    """Return where the policy comes from: the ref and its commit, the commit itself, or the files that were there."""
    where, commit = policy_source(facts)
    return f"{where} ({commit})" if where and commit else where or commit


def parent(facts: ReportFacts) -> str:
    """Return the first parent of the commit, shortened, whose policy judged as well; "" where none did."""
    also = _read.mapping(facts.gate.get("also"))
    return _words.short_digest(also.get("commit")) if also else ""


def parent_changes(facts: ReportFacts) -> list[str]:
    """Return how the commit's policy differs from its first parent's, where that judged as well."""
    return _lines(_read.mapping(facts.gate.get("also")).get("changes"))


def does_to_policy(lines: Iterable[str]) -> str:
    """Return "loosens" where a line surely does, else "changes"."""
    return "loosens" if any(map(loosens, lines)) else "changes"


def loosens(line: str) -> bool:
    """Whether a line of `config.differences` surely allows more than before; of many lines nobody can say."""
    where, _, values = line.rpartition(": ")
    before, arrow, after = values.partition(" → ")
    key = where.rpartition(".")[2]
    if not arrow or key == "mode":
        return before == '"blocking"'
    if after == "(not set)":
        return ".limits." in where or ".rules." in where
    try:
        rise = float(after) - float(before)
    except ValueError:
        return False
    return rise > 0 if key in _LOOSER_ABOVE else rise < 0 and key in _LOOSER_BELOW


def changes(facts: ReportFacts) -> dict[str, list[Change]]:
    """Return data, parameters, metrics and environment of candidate and champion, what differs first.

    The champion's side is "not known" where its own re-run's record is not there.
    """
    old = facts.champion
    scored = _read.mapping(facts.score.get("champion"))
    old_environment = old.get("environment") or scored.get("environment")
    return {
        "data": _pairs(_splits(old.get("data")), _splits(facts.reproduce.get("data")), known=bool(old)),
        "parameters": _pairs(_flat(old.get("params")), _flat(facts.reproduce.get("params")), known=bool(old)),
        "environment": _pairs(
            _flat(old_environment), _flat(facts.reproduce.get("environment")), known=bool(old_environment)
        ),
        "metrics of the pipeline": _pairs(
            _flat(old.get("metrics")), _flat(facts.reproduce.get("metrics")), known=bool(old)
        ),
    }


def _pairs(old: Mapping[str, str], new: Mapping[str, str], *, known: bool) -> list[Change]:
    missing = "—" if known else "not known"
    found = [
        Change(what=what, champion=old.get(what, missing), candidate=new.get(what, "—"))
        for what in dict.fromkeys((*new, *old))
    ]
    return sorted(found, key=lambda change: (not change.differs, change.what))


def _splits(raw: Any) -> dict[str, str]:
    found = {str(split): _read.mapping(entry) for split, entry in _read.mapping(raw).items()}
    return {
        split: f"{_words.value(entry.get('rows'))} rows, {_words.short_digest(entry.get('digest'))}"
        for split, entry in found.items()
    }


def _flat(raw: Any) -> dict[str, str]:
    return {str(key): _words.value(entry) for key, entry in _read.mapping(raw).items()}


def changed_counts(facts: ReportFacts) -> str:
    """Return what changed in one line, e.g. "2 parameters, 1 data file"; "nothing that is known" where nothing did."""
    nouns = {"data": "data file", "parameters": "parameter", "environment": "fact of the environment"}
    found = changes(facts)
    parts = [
        _words.plural(count, noun)
        for kind, noun in nouns.items()
        if (count := sum(c.differs and c.champion != "not known" for c in found[kind]))
    ]
    if lines := policy_changes(facts):
        parts.append(_words.plural(len(lines), "line") + " of the policy")
    if not facts.champion and not facts.first:
        return ", ".join(parts) or "what the champion was made from is not known here"
    return ", ".join(parts) or ("there is no champion to differ from" if facts.first else "nothing that is known")
