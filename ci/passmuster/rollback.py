"""Roll back: make an earlier champion the champion again, by one more event in the ledger; nothing is taken back."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster import events, evidence, four_eyes
from passmuster._git import Repository
from passmuster.errors import Refused, UsageError
from passmuster.events import Promotion, Registered, RolledBack
from passmuster.ledger import History
from passmuster.progress import Progress
from passmuster.promote import desk_of, verify
from passmuster.swap import Desk, Intent, Result, at_desk

if TYPE_CHECKING:
    from passmuster.config import ModelConfig
    from passmuster.github.client import GitHub


def rollback(
    root: Path,
    config: ModelConfig,
    *,
    to: str | None = None,
    reason: str,
    github: GitHub | None = None,
    dry_run: bool = False,
    progress: Progress,
) -> Result:
    """Make `to` the champion again.

    Args:
        root: the checkout.
        config: the model's, for its names and its ledger.
        to: a version that was champion, e.g. "v3"; None: the one that the present champion replaced.
        reason: one line that stands in the ledger for good.
        github: who is asked who approved; None: the repository of the running job, where it is needed.
        dry_run: write nothing, and say what would be written.
        progress: is told what is being done.

    Raises:
        UsageError: there is no reason, or no such version.
        Refused: it never was champion, or its evidence is not intact any more.
        RaceLost: another promotion came between.
        Unavailable: the ledger's remote or MLflow did not answer; the same call goes on where this one stopped.
    """
    if not reason.strip() or len(reason) > 1000 or not reason.isprintable():
        raise UsageError("a rollback needs a reason: one line of at most 1000 characters, which stands in the ledger")
    desk = desk_of(root, config, progress)
    with contextlib.nullcontext() if dry_run else at_desk(desk.folder):
        recovered = None if dry_run else desk.recover()
        history = desk.read()
        finished = isinstance(recovered, RolledBack) and recovered == history.champion
        if recovered and finished and to in (None, recovered.version):
            return _done(recovered)
        target = _target(history, to)
        if history.champion is not None and target.version == history.champion.version:
            return _already(desk, history.champion, dry_run=dry_run)
        progress.step(f"{config.name}: checking the evidence of {target.version}")
        intact(desk, target)
        if config.policy.four_eyes and history.champion is not None:
            # Going back brings no new commits, so whoever asks for it counts.
            who = four_eyes.check(
                Repository(root), github, since=history.champion.commit, commit=target.commit, with_actor=True
            )
            progress.step(f"{config.name}: approved by {who}, who did not ask for it")
        desk.refuse_lost_events(history)
        return _plan(desk, history, target) if dry_run else _rollback(desk, history, target, reason)


def intact(desk: Desk, version: Registered) -> None:
    """Check that MLflow still holds a version as it was promoted: its tags, records and model directory.

    Raises:
        Refused: something is gone or altered.
    """
    desk.registry.check(version)
    found = verify(desk.registry, version.registry.run_id, version.model)
    evidence.same_as(found, version)


def _target(history: History, to: str | None) -> Registered:
    if history.champion is None:
        raise Refused(f"{history.model} has no champion, so there is nothing to roll back")
    if to is None:
        if history.replaced is None:
            raise Refused(f"{history.champion.version} is the only champion that {history.model} ever had")
        to = history.replaced.version
    version = history.version(to)
    if version is None:
        known = ", ".join(v.version for v in history.versions)
        raise UsageError(f"{history.model} has no version {to!r}; the ledger has {known}")
    return version


def _already(desk: Desk, champion: Promotion, *, dry_run: bool) -> Result:
    if not dry_run:
        desk.settle()
    said = f"{champion.model}: {champion.version} already is the champion"
    return Result(state="already", event=champion, said=said)


def _plan(desk: Desk, history: History, target: Registered) -> Result:
    model, promotion = desk.ledger.model, len(history.promotions) + 1
    return Result(
        state="dry run",
        event=None,
        said=f"{model} would be rolled back to {target.version} (commit {target.commit[:10]})",
        writes=(
            f"ledger {desk.ledger.remote}: tag {model}#champion#{promotion}",
            f"MLflow: alias champion at version {target.mlflow_version} of {desk.name}",
            f"{desk.folder / 'rollback.json'}",
        ),
    )


def _rollback(desk: Desk, history: History, target: Registered, reason: str) -> Result:
    champion = history.promotions[-1]
    intent = desk.begin(Intent.new("rollback", target.version, history))
    desk.progress.step(f"{target.model}: appending the rollback to the ledger at {desk.ledger.remote}")
    facts: dict[str, Any] = {item.name: getattr(target, item.name) for item in fields(target)}
    facts |= {
        "nonce": intent.nonce,
        "time": events.now(champion),
        "who": desk.ledger.who(),
        "previous": champion.digest,
    }
    event = RolledBack(**facts, promotion=champion.promotion + 1, replaced=champion.version, reason=reason)
    return _done(desk.swap(intent, (event,)))


def _done(event: Promotion) -> Result:
    writes = (event.tag, f"alias champion at MLflow version {event.mlflow_version}")
    return Result(state="done", event=event, said=event.sentence, writes=writes)
