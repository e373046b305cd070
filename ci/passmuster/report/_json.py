"""The report for machines: the facts and what they come to, named by a schema."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from passmuster.report import _advice, _changes, _evidence, _why
from passmuster.report._facts import ReportFacts
from passmuster.verdict import summary, to_body

SCHEMA = "passmuster/report"
VERSION = 1


def render(facts: ReportFacts) -> dict[str, Any]:
    """Return the report as JSON types; texts stand as in the records, for the reader to escape."""
    reasons = _why.why(facts)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "model": facts.model,
        "status": facts.status.value,
        "code": facts.code.value,
        "why": reasons.text,
        "more": reasons.more,
        "first_model": facts.first,
        "qualifiers": _why.qualifiers(facts),
        "problems": list(facts.problems),
        "notes": list(facts.notes),
        "outcomes": summary(facts.judgements),
        "judgements": to_body(facts.verdict)["judgements"] if facts.verdict else [],
        "advice": [asdict(step) for step in _advice.steps(facts)],
        "policy": facts.gate.get("policy"),
        "off": _changes.turned_off(facts),
        "champion": facts.gate.get("champion"),
        "reproduction": {"decision": facts.reproduce.get("decision"), "outputs": _evidence.outputs(facts)},
        "changes": {kind: [asdict(change) for change in found] for kind, found in _changes.changes(facts).items()},
        "promotion": dict(facts.promotion) or None,
        "evidence": dict(_evidence.evidence(facts)),
        "records": dict(facts.digests),
    }
