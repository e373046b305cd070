"""All steps for one model, in order: from its configuration to champion, or a refusal with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from passmuster.errors import ExitCode, PassmusterError
from passmuster.progress import Progress

if TYPE_CHECKING:
    from passmuster.config import ModelConfig
    from passmuster.record import Record


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How far a model came."""

    model: str
    code: ExitCode
    said: str  #: one sentence: what became of it
    reports: tuple[Path, ...] = ()


def run(
    root: Path,
    config: ModelConfig,
    *,
    commit: str = "HEAD",
    first: bool = False,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress,
) -> Ran:
    """Take `config`'s model at `commit` through every step; the report is written whatever the verdict.

    Raises:
        PassmusterError: a step could not do its work; what it had found is in the report all the same.
    """
    from passmuster import gate, ledger, promote, reproduce, score

    champion = ledger.champion(root, config)
    progress.step(f"{config.name}: looking whether anything changed since the champion")
    if champion and not force and champion.input == reproduce.input_digest(root, config, commit=commit):
        said = f"{config.name}: the candidate already is the champion ({champion.version}); nothing was trained"
        return Ran(model=config.name, code=ExitCode.OK, said=said)
    reproduced = reproduce.reproduce(root, config, commit=commit, force=force, progress=progress)
    if reproduced.body["decision"] != "reproducible":
        return _refused(root, config, _reproduction_code(reproduced), "is not reproducible", progress)
    source = promote.champion_source(root, config, champion, progress=progress)
    score.score(root, config, champion=source, progress=progress)
    judged = gate.gate(root, config, progress=progress)
    if judged.body["decision"] != "promote":
        return _refused(root, config, ExitCode(judged.body["code"]), "does not pass muster", progress)
    try:
        promoted = promote.promote(root, config, first=first, dry_run=dry_run, progress=progress)
    except PassmusterError as exc:
        return _refused(root, config, exc.code, f"passes muster, but was not promoted: {exc}", progress)
    return Ran(model=config.name, code=ExitCode.OK, said=promoted, reports=_report(root, config, progress))


def _refused(root: Path, config: ModelConfig, code: ExitCode, why: str, progress: Progress) -> Ran:
    return Ran(
        model=config.name, code=code, said=f"{config.name}: {why}", reports=_report(root, config, progress)
    )


def _reproduction_code(record: Record) -> ExitCode:
    return ExitCode.NOT_REPRODUCIBLE if record.body["decision"] == "not reproducible" else ExitCode.NOT_MEASURED


def _report(root: Path, config: ModelConfig, progress: Progress) -> tuple[Path, ...]:
    from passmuster import report

    return tuple(report.report(root, config.name, formats=("markdown", "html", "json", "junit"), progress=progress).values())
