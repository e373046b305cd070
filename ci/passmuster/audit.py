"""Audit: is the evidence of every champion there ever was still what it was, and did anything move outside?

Nothing is believed that can be read again: the tags and their chain, the registered versions, the records and the
model directories, downloaded and digested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster._table import table
from passmuster.errors import ExitCode, Refused
from passmuster.events import Registered
from passmuster.ledger import Examined, History
from passmuster.progress import Progress
from passmuster.promote import desk_of
from passmuster.rollback import intact
from passmuster.swap import Desk, disagreement, remembered

if TYPE_CHECKING:
    from passmuster.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    model: str
    subject: str  #: a tag, a version, "aliases"
    problem: str  #: what was found, expected, and what it means


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What was looked at, and what was found wrong."""

    models: tuple[str, ...]
    champions: int  #: versions whose evidence was read
    findings: tuple[Finding, ...]

    @property
    def code(self) -> ExitCode:
        """`OK` where nothing is wrong; of no model at all, nothing to do."""
        if not self.models:
            return ExitCode.NOTHING_TO_DO
        return ExitCode.REFUSED if self.findings else ExitCode.OK


def audit(root: Path, configs: Iterable[ModelConfig], *, progress: Progress) -> Audited:
    """Check the evidence of every champion that the models ever had.

    Raises:
        Unavailable: a ledger's remote or MLflow did not answer; what could not be looked at is not called intact.
    """
    models: list[str] = []
    champions = 0
    findings: list[Finding] = []
    for config in configs:
        models.append(config.name)
        desk = desk_of(root, config, progress)
        progress.step(f"{config.name}: reading the ledger at {desk.ledger.remote}")
        try:
            examined = desk.ledger.examine()
        except Refused as exc:
            findings.append(Finding(model=config.name, subject="ledger", problem=str(exc)))
            continue
        champions += len(examined.history.versions)
        found = [*_of_ledger(desk, examined), *_of_registry(desk, examined.history)]
        findings += [Finding(model=config.name, subject=subject, problem=problem) for subject, problem in found]
    return Audited(models=tuple(models), champions=champions, findings=tuple(findings))


def _of_ledger(desk: Desk, examined: Examined) -> Iterator[tuple[str, str]]:
    for problem in examined.problems:
        subject, _, said = problem.partition(": ")
        yield subject, said
    for tag in examined.only_here:
        yield tag, f"is in this clone, not at remote {desk.ledger.remote!r}: deleted there, or never pushed"


def _of_registry(desk: Desk, history: History) -> Iterator[tuple[str, str]]:
    if problem := disagreement(history, desk.registry.aliases(desk.name)):
        yield "aliases", f"{problem}; somebody moved them outside, or a promotion was interrupted"
    yield from _of_memory(desk, history)
    for version in history.versions:
        desk.progress.step(f"{version.model}: reading the evidence of {version.version}")
        if problem := _broken(desk, version):
            yield version.version, problem


def _of_memory(desk: Desk, history: History) -> Iterator[tuple[str, str]]:
    """Compare what MLflow remembers of promotions with the ledger: finds its last event deleted or rewritten."""
    digests = {event.promotion: event.digest for event in history.promotions}
    for version in desk.registry.versions(desk.name):
        for number, told in remembered(version.tags).items():
            tag = f"{history.model}#champion#{number}"
            if number not in digests:
                yield tag, "MLflow remembers it, the ledger does not have it: it was deleted"
            elif digests[number] != told:
                yield tag, f"MLflow remembers another event of this number ({told}): the tag was rewritten"


def _broken(desk: Desk, version: Registered) -> str:
    try:
        intact(desk, version)
    except Refused as exc:
        return str(exc)
    return ""


def to_json(audited: Audited) -> dict[str, Any]:
    """Return the findings as JSON types."""
    return {
        "models": list(audited.models),
        "champions": audited.champions,
        "findings": [{"model": f.model, "subject": f.subject, "problem": f.problem} for f in audited.findings],
    }


def to_text(audited: Audited) -> str:
    """Return the findings as a table, or the sentence that there are none."""
    looked = f"{_count(audited.champions, 'champion')} of {_count(len(audited.models), 'model')}"
    if not audited.findings:
        return f"audit: the evidence of {looked} is intact, and the aliases are where the ledger says"
    rows: Sequence[tuple[str, ...]] = [(f.model, f.subject, f.problem) for f in audited.findings]
    title = f"audit of {looked}: {_count(len(rows), 'finding')}"
    return table(title, ("model", "subject", "what is wrong"), rows)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
