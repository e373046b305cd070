"""All steps for one model, in order: from its configuration to champion, or a refusal with its reason."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from passmuster import record
from passmuster.errors import ExitCode, PassmusterError
from passmuster.progress import Progress, Silent

if TYPE_CHECKING:
    from passmuster._scoring import Waiting
    from passmuster.config import ModelConfig
    from passmuster.events import Promotion
    from passmuster.reproduce import Opened


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How far a model came."""

    model: str
    code: ExitCode
    said: str  #: what became of it, for people
    reports: dict[str, Path] = field(default_factory=dict)  #: format → file; empty: nothing was judged


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
    """Take `config`'s model at `commit` through every step; once it is judged, a report is left whatever the verdict.

    Args:
        root: the user's checkout.
        config: the model's config as `commit` has it.
        commit: what is judged.
        first: a person says that the model has no champion yet.
        force: re-run even where the same inputs were re-run already, or are the champion's.
        dry_run: do all but promote.
        progress: told what is going on.

    Raises:
        PassmusterError: nothing could be judged at all: the ledger or the commit can't be read.
    """
    from passmuster import ledger, promote, reproduce

    progress.step(f"{config.name}: asking the ledger for the champion")
    champion = ledger.champion(root, config)
    with contextlib.ExitStack() as stack:
        pipeline: Opened | None = None
        if champion and not force:
            progress.step(f"{config.name}: looking whether anything changed since champion {champion.version}")
            pipeline = stack.enter_context(reproduce.opened(root, config, commit=commit))
            if champion.input == pipeline.input_digest:
                if not dry_run:
                    promote.settle(root, config, progress=progress)
                said = f"the candidate already is the champion ({champion.version}); nothing was trained"
                return Ran(model=config.name, code=ExitCode.OK, said=said)
        record.begin(root / ".passmuster" / config.name, "score")  # what is told below is of this run
        try:
            code, said = _judge_and_promote(root, config, champion, commit, pipeline, first, force, dry_run, progress)
        except PassmusterError as exc:
            code, said = exc.code, str(exc)
    return Ran(model=config.name, code=code, said=said, reports=_report(root, config, progress))


def _judge_and_promote(
    root: Path,
    config: ModelConfig,
    champion: Promotion | None,
    commit: str,
    pipeline: Opened | None,
    first: bool,
    force: bool,
    dry_run: bool,
    progress: Progress,
) -> tuple[ExitCode, str]:
    from passmuster import _scoring, gate, ledger, promote, reproduce, score

    with _scoring.Waiting() as waiting:
        ahead = threading.Thread(target=_ahead, args=(root, config, champion, commit, dry_run, waiting), daemon=True)
        reproduced = reproduce.reproduce(
            root,
            config,
            commit=commit,
            pipeline=pipeline,
            force=force,
            meanwhile=ahead.start,
            progress=progress,
        )
        code = reproduce.code(reproduced)
        if code is not ExitCode.OK:
            return code, f"{reproduced.body['decision']}: {'; '.join(reproduce.reasons(reproduced))}"
        if ahead.ident is not None:  # it writes where the champion is looked for next
            ahead.join()
        # Asked again: while the stages ran, another may have become champion.
        source = promote.champion_source(root, config, ledger.champion(root, config), progress=progress)
        score.score(root, config, champion=source, waiting=waiting, progress=progress)
    judged = gate.gate(root, config, progress=progress)
    if judged.body["decision"] != "promote":
        return ExitCode(judged.body["code"]), "the candidate was refused; the champion stays"
    _report(root, config, progress)  # promoted with the evidence
    result = promote.promote(root, config, first=first, dry_run=dry_run, progress=progress)
    return ExitCode.OK, str(result)


def _ahead(
    root: Path, config: ModelConfig, champion: Promotion | None, commit: str, dry_run: bool, waiting: Waiting
) -> None:
    """Do what takes seconds, the imports alone, while the stages run: for `score` and for `promote`.

    What fails here fails again, and is told, where it is needed.
    """
    from passmuster import _scoring, promote
    from passmuster._git import Repository
    from passmuster.registry import Registry

    with contextlib.suppress(Exception):
        lock = root / config.requirements
        if lock.read_text(encoding="utf-8").strip() == str(Repository(root).read(commit, config.requirements)).strip():
            waiting.start(lock)
    with contextlib.suppress(Exception):
        registry = Registry.of(root)
        _ = registry.import_client() if dry_run else registry.client  # the client of a new SQLite file makes its tables
        source = promote.champion_source(root, config, champion, progress=Silent())
        if source is not None:
            waiting.start(source.directory / _scoring.LOCK)
    with contextlib.suppress(Exception):
        import jsonschema  # noqa: F401
        from pyarrow import parquet  # noqa: F401
        from scipy import special  # noqa: F401

        from passmuster import gate, report, score  # noqa: F401


def _report(root: Path, config: ModelConfig, progress: Progress) -> dict[str, Path]:
    from passmuster import report

    return report.report(root, config, progress=progress)
