"""What a report is made of: the records of one model, believed only as far as they hold together.

Nothing here decides whether a model passes: the record of step `gate` holds every judgement, and the kernel's own
`Verdict` counts them again. A record that is missing, altered, of another model, or that contradicts itself leaves the
candidate *could not be judged*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from passmuster import measurement as measurements
from passmuster import record
from passmuster.config import Mode, Waiver
from passmuster.errors import ExitCode, Refused, combine
from passmuster.measurement import Assertion, Estimate, Failure, NotApplicable
from passmuster.record import Record
from passmuster.report._words import Status
from passmuster.verdict import SEVERITY, Judgement, Outcome, Verdict

#: The champion's state in the record of step `score` where it was out of reach.
NO_ACCESS = "no-access"


@dataclass(frozen=True, kw_only=True)
class ReportFacts:
    """The facts of one report; all formats are pure functions of it."""

    model: str
    status: Status
    code: ExitCode  #: what the verdict means as an exit code; `OK` only for `Status.PASSES`
    verdict: Verdict | None = None  #: None: no judgement that can be believed
    also: Verdict | None = None  #: by the policy of the commit's first parent too, where that is another one
    problems: tuple[str, ...] = ()  #: why records can't be believed; then the candidate could not be judged
    notes: tuple[str, ...] = ()  #: what is odd but takes nothing from the verdict
    reproduce: Mapping[str, Any] = field(default_factory=dict)  #: bodies of the records; empty where there is none
    score: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    promotion: Mapping[str, Any] = field(default_factory=dict)
    champion: Mapping[str, Any] = field(default_factory=dict)  #: the champion's own reproduce record, where known
    digests: Mapping[str, str] = field(default_factory=dict)  #: of the records, by step
    contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  #: times and machine facts, by step

    @property
    def first(self) -> bool:
        """Whether candidates were judged, and there was no champion to compare with."""
        return self.verdict is not None and not self.verdict.compared and not self.no_access

    @property
    def no_access(self) -> bool:
        """Whether the champion was out of reach, as it is from a fork: then main compares with it."""
        return _mapping(self.score.get("champion")).get("state") == NO_ACCESS

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """All judgements, blocking and worst first."""
        return self.verdict.judgements if self.verdict else ()


def facts(folder: Path) -> ReportFacts:
    """Return what the records in `folder` (`.passmuster/<model>/`) say; never raises for what a record holds."""
    found, problems = _records(folder)
    bodies: dict[str, Any] = {step: found[step].body for step in ("reproduce", "score", "gate") if step in found}
    decision = bodies.get("reproduce", {}).get("decision")
    verdict: Verdict | None = None
    also: Verdict | None = None
    if decision not in ("not reproducible", "error") and not problems:
        verdict, also, problems = _judged(found)
    promotion, champion, notes = _further(folder, found)
    status, code = _status(decision, verdict, also, problems)
    return ReportFacts(
        model=folder.name,
        status=status,
        code=code,
        verdict=verdict,
        also=also,
        problems=tuple(problems) if status is not Status.NOT_REPRODUCIBLE else (),
        notes=tuple(notes),
        promotion=promotion,
        champion=champion,
        digests={step: entry.digest for step, entry in found.items()},
        contexts={step: entry.context for step, entry in found.items()},
        **bodies,
    )


def part(gate: Record) -> ReportFacts:
    """Return what a record of `gate --only` or `--informative` says: outcomes that decide nothing."""
    return ReportFacts(
        model=str(gate.body["model"]),
        status=Status.IN_PART if gate.body.get("only") else Status.INFORMATIVE,
        code=ExitCode(gate.body["code"]),
        verdict=Verdict(judgements=_judgements(gate.body["judgements"], gate.body), compared=gate.body["compared"]),
        gate=gate.body,
    )


def _status(
    decision: Any, verdict: Verdict | None, also: Verdict | None, problems: list[str]
) -> tuple[Status, ExitCode]:
    if decision == "not reproducible":
        return Status.NOT_REPRODUCIBLE, ExitCode.NOT_REPRODUCIBLE
    if decision == "error":
        return Status.NOT_JUDGED, ExitCode.NOT_MEASURED
    if problems or verdict is None:
        return Status.NOT_JUDGED, ExitCode.REFUSED
    code = _combined(verdict, also)
    by_code = {
        ExitCode.OK: Status.PASSES,
        ExitCode.GATE_FAILED: Status.FAILS,
        ExitCode.INCONCLUSIVE: Status.UNDECIDED,
    }
    return by_code.get(code, Status.NOT_JUDGED), code


def _combined(verdict: Verdict, also: Verdict | None) -> ExitCode:
    return combine([verdict.code, *([also.code] if also else [])])


def _read(path: Path, schema: str) -> Record:
    try:
        return record.read(path, schema)
    except Refused as exc:  # the folder is this machine's, and no part of the facts
        raise Refused(str(exc).replace(str(path), path.name)) from exc
    except (ValueError, RecursionError) as exc:  # text that is no Unicode, so that it has no digest
        raise Refused(f"{path.name} is not a record: {exc}") from exc


def _records(folder: Path) -> tuple[dict[str, Record], list[str]]:
    found: dict[str, Record] = {}
    problems: list[str] = []
    for step in ("reproduce", "score", "gate"):
        path = folder / f"{step}.json"
        if not path.exists():
            problems.append(f"no {step} record: `passmuster {step} {folder.name}` has not come to an end")
            continue
        try:
            entry = _read(path, step)
        except Refused as exc:
            problems.append(str(exc))
            continue
        if entry.body.get("model") == folder.name:
            found[step] = entry
        else:
            problems.append(f"{path.name} is of model {entry.body.get('model')!r}, not of {folder.name!r}")
    return found, problems


def _judged(found: Mapping[str, Record]) -> tuple[Verdict | None, Verdict | None, list[str]]:
    """Return the verdicts of records that are all there; or why they don't hold together."""
    if problems := _broken_links(found["reproduce"], found["score"], found["gate"]):
        return None, None, problems
    try:
        return *_verdicts(found["gate"].body), []
    except (Refused, ValueError, TypeError, KeyError, AttributeError) as exc:
        return None, None, [f"gate.json contradicts itself: {type(exc).__name__}: {exc}"]


def _broken_links(reproduce: Record, score: Record, gate: Record) -> list[str]:
    model = reproduce.body.get("model_digest")
    champion = _mapping(score.body.get("champion"))
    policy = _mapping(gate.body.get("policy"))
    links: dict[str, Callable[[], bool]] = {
        "reproduce.json does not say that the candidate is reproducible": (
            lambda: reproduce.body.get("decision") == "reproducible"
        ),
        "score.json was made from another re-run": lambda: score.inputs.get("reproduce") == reproduce.digest,
        "gate.json was made from other scores": lambda: gate.inputs.get("score") == score.digest,
        "the records are not all of one model": lambda: (
            model is not None
            and model == score.inputs.get("model") == gate.inputs.get("model") == gate.body.get("model_digest")
        ),
        "the records are not all of one commit": lambda: gate.body.get("commit") == reproduce.body.get("commit"),
        "gate.json names another policy than it was judged by": (
            lambda: policy.get("digest") == gate.inputs.get("policy") is not None
        ),
        "gate.json and score.json disagree on whether there is a champion": (
            lambda: gate.body.get("compared") is (champion.get("state") in ("scored", "unreadable"))
        ),
        "gate.json compares with another champion than was scored": (
            lambda: (
                champion.get("state") != "scored"
                or _mapping(gate.body.get("champion")).get("digest") == champion.get("digest")
            )
        ),
    }
    return [problem for problem, holds in links.items() if not holds()]


def _verdicts(body: Mapping[str, Any]) -> tuple[Verdict, Verdict | None]:
    """Return the verdict by the policy that rules, and by the first parent's where that is another one."""
    verdict = Verdict(judgements=_judgements(body["judgements"], body), compared=body["compared"])
    also: Verdict | None = None
    if (raw := body.get("also")) is not None:
        also = Verdict(judgements=_judgements(raw["judgements"], body), compared=body["compared"])
        _agrees(raw, also.code)
    _agrees(body, _combined(verdict, also))
    return verdict, also


def _agrees(body: Mapping[str, Any], code: ExitCode) -> None:
    decision = "promote" if code is ExitCode.OK else "refuse"
    if (body["decision"], body["code"]) != (decision, code):
        raise Refused(
            f"it says {body['decision']!r} ({body['code']}), its judgements come to {decision!r} ({code.value})"
        )


def _judgements(judgements: Any, body: Mapping[str, Any]) -> tuple[Judgement, ...]:
    judged_on = date.fromisoformat(body["judged_on"])
    found = [_judgement(raw, judged_on) for raw in judgements]
    return tuple(sorted(found, key=lambda j: (j.mode is not Mode.BLOCKING, SEVERITY.index(j.outcome), j.gate, j.name)))


def _judgement(raw: Mapping[str, Any], judged_on: date) -> Judgement:
    """Return the judgement that `verdict.to_body` wrote as `raw`; refuse an outcome that its measurement can't have."""
    waiver = raw["waiver"]
    judgement = Judgement(
        gate=_text(raw["gate"]),
        name=_text(raw["name"]),
        mode=Mode(raw["mode"]),
        outcome=Outcome(raw["outcome"]),
        reason=_text(raw["reason"]),
        limit=_text(raw["limit"]),
        measurement=measurements.from_json(raw["measurement"]),
        rows_to_decide=_integer(raw["rows_to_decide"]),
        detectable=raw["detectable"],
        waiver=Waiver(
            gate=raw["gate"],
            name=raw["name"],
            who=_text(waiver["who"]),
            reason=_text(waiver["reason"]),
            until=date.fromisoformat(waiver["until"]),
        )
        if waiver
        else None,
        waived=Outcome(raw["waived"]) if raw["waived"] else None,
    )
    if not _possible(judgement, judged_on):
        raise Refused(f"{judgement.gate}/{judgement.name} can't be {judgement.outcome.value!r} as it was measured")
    return judgement


def _possible(judgement: Judgement, judged_on: date) -> bool:
    outcome, waiver = judgement.outcome, judgement.waiver
    if outcome is Outcome.WAIVED:
        return bool(waiver and waiver.who and judged_on <= waiver.until and judgement.waived)
    match judgement.measurement:
        case Failure():
            return outcome is Outcome.ERROR
        case NotApplicable():
            return outcome in (Outcome.SKIPPED, Outcome.ERROR)
        case Assertion():
            return outcome is Outcome.ERROR or outcome is (
                Outcome.PASS if judgement.measurement.holds else Outcome.FAIL
            )
        case Estimate():
            return outcome is not Outcome.SKIPPED


def _further(folder: Path, found: Mapping[str, Record]) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
    """Return the promotion's event and the champion's re-run, if any, and what of them can't be believed."""
    notes: list[str] = []
    promotion: Mapping[str, Any] = {}
    champion: Mapping[str, Any] = {}
    if (path := folder / "promote.json").exists():
        try:
            entry = _read(path, "promote")
            if "gate" in found and entry.inputs.get("gate") == found["gate"].digest:
                promotion = entry.body
        except Refused as exc:
            notes.append(f"the promotion's record can't be believed: {exc}")
    if (path := folder / "champion" / "reproduce.json").exists():
        try:
            entry = _read(path, "reproduce")
            scored = _mapping(found["score"].body.get("champion")) if "score" in found else {}
            if scored.get("digest") and scored.get("digest") == entry.body.get("model_digest"):
                champion = entry.body
        except Refused as exc:
            notes.append(f"what the champion was made from can't be believed: {exc}")
    return promotion, champion, notes


def _mapping(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise Refused(f"{raw!r:.80} is not text")
    return raw


def _integer(raw: Any) -> int | None:
    if raw is not None and (isinstance(raw, bool) or not isinstance(raw, int)):
        raise Refused(f"{raw!r:.80} is not a number of rows")
    return raw
