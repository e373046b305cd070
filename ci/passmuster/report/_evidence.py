"""What the verdict rests on: the re-run's outputs, digests, times, and the promotion that followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from passmuster.report import _read
from passmuster.report._facts import ReportFacts


def outputs(facts: ReportFacts) -> list[dict[str, str]]:
    """Return the outputs of the re-run, those that differ first; each with path, compare, result, reason."""
    keys = ("path", "compare", "result", "reason")
    found = [{key: str(raw.get(key) or "") for key in keys} for raw in _mappings(facts.reproduce.get("outputs"))]
    order = ("error", "different", "not re-run", "within tolerance", "identical")
    return sorted(found, key=lambda o: (order.index(o["result"]) if o["result"] in order else 0, o["path"]))


def timings(facts: ReportFacts) -> list[tuple[str, float]]:
    """Return the seconds that each step took, and each gate, from the records' contexts; those that are known."""
    found: list[tuple[str, float]] = []
    for step, context in facts.contexts.items():
        seconds = {
            step: context.get("seconds"),
            **{f"{step}: {k}": v for k, v in _read.mapping(context.get("timings")).items()},
        }
        found += [
            (name, float(taken))
            for name, taken in seconds.items()
            if isinstance(taken, (int, float)) and not isinstance(taken, bool) and taken >= 0
        ]
    return found


def evidence(facts: ReportFacts) -> list[tuple[str, str]]:
    """Return the names and digests that the verdict rests on."""
    policy = _read.mapping(facts.gate.get("policy"))
    champion = _read.mapping(facts.score.get("champion"))
    rows = [
        ("commit", facts.reproduce.get("commit")),
        ("model", facts.reproduce.get("model_digest")),
        ("champion's model", champion.get("digest")),
        ("policy", policy.get("digest")),
        *((f"judged by {path}", digest or "not there") for path, digest in _judged_by(facts)),
        *((f"record {step}", digest) for step, digest in facts.digests.items()),
        ("lock", _read.mapping(facts.reproduce.get("environment")).get("lock")),
        *(
            (f"data {split}", _read.mapping(raw).get("digest"))
            for split, raw in _read.mapping(facts.reproduce.get("data")).items()
        ),
        ("reference profile", _read.mapping(facts.gate.get("profile")).get("digest")),
    ]
    return [(str(name), str(digest)) for name, digest in rows if digest]


def _judged_by(facts: ReportFacts) -> Iterable[tuple[str, Any]]:
    """Return the user's gates and tests that judged, with their digests."""
    return _read.mapping(facts.gate.get("judged_by")).items()


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


def _mappings(raw: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in raw if isinstance(entry, Mapping)] if isinstance(raw, list) else []
