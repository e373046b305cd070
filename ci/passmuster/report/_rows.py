"""What every format shows in the same order: why, comparisons, absolute limits, what needs attention, what changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from passmuster.config import Mode
from passmuster.measurement import Assertion, Estimate, Measurement
from passmuster.report import _strain, _words
from passmuster.report._about import About, about
from passmuster.report._facts import ReportFacts
from passmuster.report._words import Status
from passmuster.verdict import SEVERITY, Judgement, Outcome, number

#: Gates with a section of their own, so that their numbers are not among the absolute limits.
_APART = ("drift", "fairness", "slices")

#: Outcomes that nobody has to look at.
QUIET = (Outcome.PASS, Outcome.SKIPPED)


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


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """Why the report says what it says: one sentence, and where more than one thing objects, how many more."""

    text: str
    more: str = ""


def estimate(judgement: Judgement) -> Estimate | None:
    """Return the number that was judged, or None where no number was measured."""
    return judgement.measurement if isinstance(judgement.measurement, Estimate) else None


def compared(judgement: Judgement) -> Estimate | None:
    """Return the comparison that was judged, or None where it is none."""
    found = estimate(judgement)
    return found if found and found.candidate is not None and found.champion is not None else None


def comparisons(facts: ReportFacts) -> list[Judgement]:
    """Return the comparisons with the champion on all rows, in the verdict's order."""
    return [j for j in facts.judgements if compared(j) and j.gate != "slices"]


def slices(facts: ReportFacts) -> list[Judgement]:
    """Return the slices compared with the champion: worst outcome first, then what surely lost most."""
    return _worst_first(j for j in facts.judgements if j.gate == "slices" and compared(j))


def against_reference(facts: ReportFacts) -> list[Judgement]:
    """Return the slices compared with the same slice of the reference rows, in the same order."""
    return _worst_first(j for j in facts.judgements if j.gate == "slices" and estimate(j) and not compared(j))


def drift(facts: ReportFacts) -> list[Judgement]:
    """Return the effects of drift that were measured, in the same order."""
    return _worst_first(j for j in facts.judgements if j.gate == "drift" and estimate(j))


def fairness(facts: ReportFacts) -> list[Judgement]:
    """Return how far groups are apart, in the same order."""
    return _worst_first(j for j in facts.judgements if j.gate == "fairness" and estimate(j))


def _worst_first(found: Iterable[Judgement]) -> list[Judgement]:
    return sorted(found, key=lambda j: (SEVERITY.index(j.outcome), *_strain.worst_first(j)))


def limits(facts: ReportFacts) -> list[Judgement]:
    """Return the numbers that were held against an absolute limit."""
    return [j for j in facts.judgements if estimate(j) and not compared(j) and j.gate not in _APART]


def attention(facts: ReportFacts) -> list[Judgement]:
    """Return what is neither pass nor skipped: blocking first, worst first."""
    return [j for j in facts.judgements if j.outcome not in QUIET]


def by_gate(facts: ReportFacts) -> dict[str, list[Judgement]]:
    """Return the judgements by gate, the gates with the worst judgement first."""
    groups: dict[str, list[Judgement]] = {}
    for judgement in facts.judgements:
        groups.setdefault(judgement.gate, []).append(judgement)
    return groups


def worst(group: Iterable[Judgement]) -> Outcome:
    """Return the worst outcome of a gate's judgements."""
    return min((j.outcome for j in group), key=SEVERITY.index)


def gate_counts(facts: ReportFacts) -> str:
    """Return how many gates there are and what they came to, each by its worst outcome; what only advises says so."""
    groups = by_gate(facts).values()
    counted = tally((worst(group), all(j.mode is not Mode.BLOCKING for j in group)) for group in groups)
    said = ", ".join(f"{count:,} {_said(outcome, advisory)}" for outcome, advisory, count in counted)
    return f"{_words.plural(len(groups), 'gate')}: {said}"


def tally(outcomes: Iterable[tuple[Outcome, bool]]) -> list[tuple[Outcome, bool, int]]:
    """Count outcomes, worst first; those that only advise apart, where they are not quiet."""
    found = Counter((outcome, advisory and outcome not in QUIET) for outcome, advisory in outcomes)
    order = sorted(found, key=lambda key: (key[1], SEVERITY.index(key[0])))
    return [(outcome, advisory, found[outcome, advisory]) for outcome, advisory in order]


def _said(outcome: Outcome, advisory: bool) -> str:
    return f"advisory {outcome.value}" if advisory else outcome.value


def bound(judgement: Judgement) -> float | None:
    """Return the difference at which a comparison's limit lies; None for other rules."""
    found = _strain.bound(judgement)
    return found.at if found and not found.above else None


def label(judgement: Judgement) -> str:
    """Return what a row is about, as people write it: a metric, a column, a slice, a test."""
    return subject(judgement).label


def subject(judgement: Judgement) -> About:
    """Return the parts of a row's label."""
    return about(judgement.gate, judgement.name)


def limit(judgement: Judgement) -> str:
    """Return the limit of a judgement as a table shows it; "" where it has none."""
    return judgement.limit


def why(facts: ReportFacts) -> Reasons:
    """Return the reason for the report's status: the worst blocking judgement, or what made judging impossible."""
    if facts.status is Status.NOT_REPRODUCIBLE or facts.reproduce.get("decision") == "error":
        return _why_reproduction(facts)
    if facts.problems:
        return Reasons(text=facts.problems[0], more=_more(len(facts.problems) - 1, "problem"))
    blocking = [j for j in facts.judgements if j.blocks]
    if blocking:
        return Reasons(text=sentence(blocking[0]), more=_more(len(blocking) - 1, "blocking outcome"))
    if facts.status is Status.IN_PART:
        return Reasons(text=f"only {', '.join(facts.gate['only'])} was asked for, and nothing of it blocks")
    if facts.status is not Status.PASSES:
        return Reasons(text="no blocking gate passed, and what nothing has passed does not promote")
    return _why_passes(facts)


def _more(count: int, noun: str) -> str:
    return f"and {_words.plural(count, f'more {noun}')}" if count else ""


def _why_reproduction(facts: ReportFacts) -> Reasons:
    bad = [o for o in outputs(facts) if o["result"] not in ("identical", "within tolerance")]
    if not bad:
        return Reasons(text="the re-run did not give what the commit says; its record names no output")
    first = bad[0]
    reason = f": {first['reason']}" if first["reason"] else ""
    return Reasons(text=f"{first['path']} is {first['result']}{reason}", more=_more(len(bad) - 1, "output"))


def _why_passes(facts: ReportFacts) -> Reasons:
    if facts.first:
        return Reasons(text="every absolute limit holds, and the ledger has no champion yet")
    blocking = [j for j in comparisons(facts) if j.mode is Mode.BLOCKING and j.outcome is Outcome.PASS]
    proven = [j for j in blocking if not _detects(j)]
    more = _more(len(proven) - 1, "comparison")
    return Reasons(text=sentence(proven[0]), more=more) if proven else Reasons(text="every blocking gate passes")


def qualifiers(facts: ReportFacts) -> list[str]:
    """Return what stands beside the verdict's words, since without it they would say too much."""
    waived = sum(j.outcome is Outcome.WAIVED and j.mode is Mode.BLOCKING for j in facts.judgements)
    return [
        *([_words.FIRST_MODEL] if facts.first else []),
        *([f"{_words.plural(waived, 'blocking outcome')} waived"] if waived else []),
    ]


def sentence(judgement: Judgement) -> str:
    """Return one judgement as one sentence for a reader who sees nothing else."""
    m = estimate(judgement)
    if m is None or judgement.outcome is Outcome.ERROR or m.interval is None:
        head = judgement.gate if judgement.name == judgement.gate else f"{judgement.gate}, {label(judgement)}"
        return f"{head}: {judgement.reason}"
    if judgement.gate == "drift":
        return f"{_head(judgement)} has drifted: {subject(judgement).measure} {_numbers(judgement, m)}"
    if not compared(judgement) and judgement.gate != "slices":
        return f"{judgement.gate}, {label(judgement)}: {_numbers(judgement, m)}"
    other = "on the reference" if not compared(judgement) else "the champion's"
    verb = {
        Outcome.PASS: "is not shown to be worse than" if _detects(judgement) else "is not worse than",
        Outcome.FAIL: "is worse than",
    }.get(judgement.outcome, f"can't be told from worse than {other} on these rows")
    if judgement.outcome in (Outcome.PASS, Outcome.FAIL):
        verb = f"{verb} {other}"
    return f"{_head(judgement)} {verb}: gain {_numbers(judgement, m)}"


def _detects(judgement: Judgement) -> bool:
    """Whether a pass says only that no harm has shown, not that there is none."""
    found = _strain.bound(judgement)
    return found is not None and found.detects


def _head(judgement: Judgement) -> str:
    what, m = subject(judgement), estimate(judgement)
    if judgement.gate == "slices" and m:
        return f"{sliced_by(m)} in {what.subject}"
    return f"{what.subject}, {what.side}" if judgement.gate == "drift" else what.short


def _numbers(judgement: Judgement, m: Estimate) -> str:
    """Return value, interval, limit and rows in one clause."""
    is_gain = _is_gain(m)
    value = _words.rounded(m, m.value, sign=is_gain)
    rows = f"; about {judgement.rows_to_decide:,} rows would decide" if judgement.rows_to_decide else ""
    told = f"expected {limit(judgement)}; {_words.plural(m.n, 'row')}{rows}"
    if m.interval is None:
        return f"{value} ({told})"
    low, high = (_words.rounded(m, end, sign=is_gain) for end in (m.interval.low, m.interval.high))
    return f"{value} ({_words.percent(m.interval.level)} interval {low} to {high}, {told})"


def _is_gain(m: Estimate) -> bool:
    return m.candidate is not None and (m.champion is not None or m.gate == "slices")


def left_out(facts: ReportFacts) -> str:
    """Return on which rows the comparisons were made where not simply on all, in words of ours alone, or ""."""
    judged = [j for j in facts.judgements if j.gate in ("champion", "slices", "calibration", "decision")]
    rows = max((_count(mapping(j.measurement.details).get("left_out")) for j in judged), default=0)
    sentences = [f"Left out: {_words.plural(rows, 'row')} that the champion was trained on."] if rows else []
    if mapping(facts.score.get("champion")).get("prepared") is True:
        sentences.append("The champion was scored on what its own preparation makes of the same raw data.")
    return " ".join(sentences)


def _count(raw: Any) -> int:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0 else 0


def found(judgement: Judgement) -> str:
    """Return what a row of all outcomes says was found: a number that passes, else the whole reason."""
    if judgement.outcome is Outcome.PASS and (value := shown(judgement.measurement)):
        return value
    return judgement.reason


def overview(facts: ReportFacts) -> list[Judgement]:
    """Return the rows that a reviewer reads first, the worst outcomes first.

    Comparisons, the worst slice against champion and reference, absolute limits, the worst drift and the widest gap.
    """
    firsts = (slices(facts)[:1], against_reference(facts)[:1], limits(facts), drift(facts)[:1], fairness(facts)[:1])
    rows = [*comparisons(facts), *(j for found in firsts for j in found)]
    return sorted(rows, key=lambda j: (j.mode is not Mode.BLOCKING, SEVERITY.index(j.outcome)))


def in_overview(judgement: Judgement) -> str:
    """Return what a row of the overview is about; where it stands for many others it says so."""
    what = subject(judgement)
    if compared(judgement) and judgement.gate != "slices":
        return what.short
    if role := {"slices": "worst slice", "drift": "worst drift", "fairness": "widest gap"}.get(judgement.gate):
        return f"{role}: {what.listed}"
    return f"{what.label}, absolute"


def sides(judgement: Judgement) -> tuple[str, str] | None:
    """Return the numbers that a difference is between: of champion (or reference) and candidate; else None."""
    m = estimate(judgement)
    if m is None or m.candidate is None:
        return None
    if m.champion is not None:
        return number(m.champion), number(m.candidate)
    other = mapping(m.details).get("reference")
    return (number(other) if is_number(other) else "", number(m.candidate)) if judgement.gate == "slices" else None


def condition(judgement: Judgement) -> str:
    """Return a slice's condition in SQL, or "" where it is not told."""
    raw = mapping(judgement.measurement.details).get("condition") if judgement.gate == "slices" else None
    return raw if isinstance(raw, str) else ""


def slices_said(facts: ReportFacts, name: str) -> str:
    """Return what gate `slices` says of a comparison as a whole: how many slices there were."""
    found = (j.measurement for j in facts.judgements if j.gate == "slices" and j.name == name)
    return next((m.message for m in found if isinstance(m, Assertion)), "")


def sliced_by(m: Estimate) -> str:
    """Return the metric that a slice is measured by, as people write it."""
    return _words.metric(str(m.details["metric"])) if mapping(m.details).get("metric") else "the metric"


def shown(measurement: Measurement) -> str:
    """Return a measurement's value with its interval, or "" where it has no number."""
    if not isinstance(measurement, Estimate):
        return ""
    is_gain = _is_gain(measurement)
    value = _words.rounded(measurement, measurement.value, sign=is_gain)
    between = _words.interval(measurement, sign=is_gain)
    return f"{value} ({between})" if between else value


def waived(judgement: Judgement) -> str:
    """Return what was waived, by whom, until when and why; "" where nothing was."""
    waiver, was = judgement.waiver, judgement.waived
    if judgement.outcome is not Outcome.WAIVED or waiver is None or was is None:
        return ""
    return f"{was.value}, let through by {waiver.who} until {waiver.until.isoformat()}: {waiver.reason}"


def briefly(judgement: Judgement) -> str:
    """Return the limit of a judgement in few characters: of one that detects, the limit alone."""
    found = _strain.bound(judgement)
    if found is None or not found.detects:
        return judgement.limit
    return f"{'up' if found.above else 'down'} to {number(found.at)}"


def advises(judgement: Judgement) -> bool:
    """Whether it has to be said that an outcome blocks nothing."""
    return judgement.mode is not Mode.BLOCKING and judgement.outcome not in QUIET


def levels(judgements: Iterable[Judgement]) -> str:
    """Return the levels of the intervals shown, e.g. "95 %" or "95 % to 99.9 %"."""
    found = sorted({m.interval.level for j in judgements if (m := estimate(j)) and m.interval})
    return " to ".join(_words.percent(level) for level in dict.fromkeys((found[0], found[-1]))) if found else ""


def outputs(facts: ReportFacts) -> list[dict[str, str]]:
    """Return the outputs of the re-run, those that differ first; each with path, compare, result, reason."""
    keys = ("path", "compare", "result", "reason")
    found = [{key: str(raw.get(key) or "") for key in keys} for raw in _mappings(facts.reproduce.get("outputs"))]
    order = ("error", "different", "not re-run", "within tolerance", "identical")
    return sorted(found, key=lambda o: (order.index(o["result"]) if o["result"] in order else 0, o["path"]))


def policy_changes(facts: ReportFacts) -> list[str]:
    """Return what the commit would change in the policy; it is judged by the policy without."""
    raw = mapping(facts.gate.get("policy")).get("changes")
    return [str(line) for line in raw] if isinstance(raw, Sequence) and not isinstance(raw, str) else []


def turned_off(facts: ReportFacts) -> list[str]:
    """Return the gates that the policy turns off."""
    raw = facts.gate.get("off")
    return [str(name) for name in raw] if isinstance(raw, Sequence) and not isinstance(raw, str) else []


def champion_name(facts: ReportFacts) -> str:
    """Return the champion's version, e.g. "v3", or "none"."""
    return str(
        mapping(facts.gate.get("champion")).get("version")
        or mapping(facts.score.get("champion")).get("version")
        or "none"
    )


def policy_name(facts: ReportFacts) -> str:
    """Return where the policy comes from: the ref and its commit, the commit itself, or the files that were there."""
    policy = mapping(facts.gate.get("policy"))
    if not policy.get("commit"):
        return "this checkout"
    commit = _words.short_digest(policy["commit"])
    return f"{policy['ref']} ({commit})" if policy.get("ref") else commit


def changes(facts: ReportFacts) -> dict[str, list[Change]]:
    """Return data, parameters, metrics and environment of candidate and champion, what differs first.

    The champion's side is "not known" where its own re-run's record is not there.
    """
    old = facts.champion
    scored = mapping(facts.score.get("champion"))
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
    return {
        str(
            split
        ): f"{_words.value(mapping(entry).get('rows'))} rows, {_words.short_digest(mapping(entry).get('digest'))}"
        for split, entry in mapping(raw).items()
    }


def _flat(raw: Any) -> dict[str, str]:
    return {str(key): _words.value(entry) for key, entry in mapping(raw).items()}


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


def timings(facts: ReportFacts) -> list[tuple[str, float]]:
    """Return the seconds that each step took, and each gate, from the records' contexts; those that are known."""
    found: list[tuple[str, float]] = []
    for step, context in facts.contexts.items():
        seconds = {
            step: context.get("seconds"),
            **{f"{step}: {k}": v for k, v in mapping(context.get("timings")).items()},
        }
        found += [
            (name, float(taken))
            for name, taken in seconds.items()
            if isinstance(taken, (int, float)) and not isinstance(taken, bool) and taken >= 0
        ]
    return found


def evidence(facts: ReportFacts) -> list[tuple[str, str]]:
    """Return the names and digests that the verdict rests on."""
    policy = mapping(facts.gate.get("policy"))
    champion = mapping(facts.score.get("champion"))
    rows = [
        ("commit", facts.reproduce.get("commit")),
        ("model", facts.reproduce.get("model_digest")),
        ("champion's model", champion.get("digest")),
        ("policy", policy.get("digest")),
        *((f"judged by {path}", digest or "not there") for path, digest in _judged_by(facts)),
        *((f"record {step}", digest) for step, digest in facts.digests.items()),
        ("lock", mapping(facts.reproduce.get("environment")).get("lock")),
        *((f"data {split}", mapping(raw).get("digest")) for split, raw in mapping(facts.reproduce.get("data")).items()),
        ("reference profile", mapping(facts.gate.get("profile")).get("digest")),
    ]
    return [(str(name), str(digest)) for name, digest in rows if digest]


def _judged_by(facts: ReportFacts) -> Iterable[tuple[str, Any]]:
    """Return the user's gates and tests that judged, with their digests."""
    return mapping(facts.gate.get("judged_by")).items()


def promoted(facts: ReportFacts) -> str:
    """Return the sentence on the promotion that followed, or ""."""
    event = facts.promotion
    if not event:
        return ""
    parts = [f"promoted as {event.get('version', 'a version that the record does not name')}"]
    parts += [f"promotion {event['promotion']}"] if event.get("promotion") else []
    parts += [f"by {str(event['who']).partition(' <')[0]}"] if event.get("who") else []
    parts += [f"at {event['time']}"] if event.get("time") else []
    return ", ".join(parts)


def mapping(raw: Any) -> Mapping[str, Any]:
    """Return `raw` where it is a mapping, else an empty one: records are read tolerantly where nothing is decided."""
    return raw if isinstance(raw, Mapping) else {}


def is_number(raw: Any) -> TypeGuard[float]:
    """Whether `raw` is a finite number that can be drawn."""
    return isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw) and abs(raw) < 1e15


def _mappings(raw: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in raw if isinstance(entry, Mapping)] if isinstance(raw, list) else []
