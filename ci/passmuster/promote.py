"""Promote: make the judged candidate the champion, or change nothing that anybody looks at.

Refused is what lacks an intact chain of evidence for exactly this model directory; lost is what was judged against
another champion than the ledger has now.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster import _profile, digest, events, evidence, four_eyes, record, workspace
from passmuster._deployment import Deployment
from passmuster._git import Repository
from passmuster.errors import RaceLost, Refused
from passmuster.events import Event, Promoted, Promotion, Registered, Registration
from passmuster.evidence import Evidence
from passmuster.ledger import History, Ledger
from passmuster.progress import Progress
from passmuster.record import Record
from passmuster.registry import (
    COMMIT,
    DECISION,
    DIGEST,
    MODEL,
    NONCE,
    RECORDS,
    REPORT,
    VERSION,
    NotThere,
    Registry,
    Version,
)
from passmuster.swap import Desk, Intent, Result, at_desk

if TYPE_CHECKING:
    from passmuster.config import ModelConfig
    from passmuster.github.client import GitHub
    from passmuster.score import ChampionSource

_REPORTS = ("report.md", "report.html", "report.json", "report.xml")


def promote(
    root: Path,
    config: ModelConfig,
    *,
    commit: str | None = None,
    first: bool = False,
    deployment: str | None = None,
    github: GitHub | None = None,
    dry_run: bool = False,
    progress: Progress,
) -> Result:
    """Make the candidate that `.passmuster/<model>/` holds the champion.

    Args:
        root: the checkout.
        config: the model's, for its names and its ledger; the policy is read from the commit that was judged.
        commit: the commit that must have been judged; not given: whichever was.
        first: a person says that there is no champion yet; where there is one, it changes nothing.
        deployment: the environment on GitHub to which this is told as a deployment; None: nothing is told.
        github: who is told, and asked who approved; None: the repository of the running job, where it is needed.
        dry_run: write nothing, and say what would be written.
        progress: is told what is being done.

    Raises:
        Refused: the evidence is missing, altered, not for this model, or not enough for a first champion.
        RaceLost: the verdict was made against another champion than the ledger has now.
        Unavailable: the ledger's remote or MLflow did not answer; the same call goes on where this one stopped.
    """
    if deployment is not None and github is None:
        from passmuster.github.client import GitHub

        github = GitHub.from_environment()

    def make() -> Result:
        return _made(root, config, commit, first, deployment, github, dry_run, progress)

    if deployment is None or github is None or dry_run:
        return make()
    judged = commit or str(record.read(workspace.folder(root, config.name) / "gate.json", "gate").body["commit"])
    told = Deployment(github=github, environment=deployment, model=config.name, commit=judged, progress=progress)
    return told.of(make)


def _made(
    root: Path,
    config: ModelConfig,
    commit: str | None,
    first: bool,
    environment: str | None,
    github: GitHub | None,
    dry_run: bool,
    progress: Progress,
) -> Result:
    desk = desk_of(root, config, progress)
    with contextlib.nullcontext() if dry_run else at_desk(desk.folder):
        recovered = None if dry_run else desk.recover()
        progress.step(f"{config.name}: checking the chain of evidence")
        found = evidence.read(desk.folder, desk.folder / MODEL, config.name)
        if commit not in (None, found.commit):
            raise Refused(f"{config.name}: commit {found.commit[:12]} was judged, not {str(commit)[:12]}")
        history = desk.read()
        if done := _already(desk, found, history, recovered, dry_run=dry_run):
            return done
        if _check(root, config, found, history, desk, first=first):
            since = history.champion.commit if history.champion else None
            who = four_eyes.check(Repository(root), github, since=since, commit=found.commit, environment=environment)
            progress.step(f"{config.name}: approved by {who}, who wrote none of it")
        desk.refuse_lost_events(history)
        return _plan(desk, found, history) if dry_run else _promote(desk, config, found, history)


def settle(root: Path, config: ModelConfig, *, progress: Progress) -> None:
    """Finish what an interrupted promotion or rollback left, and point MLflow's aliases at what the ledger says.

    For callers that stop before `promote` because the candidate already is the champion.
    """
    desk = desk_of(root, config, progress)
    with at_desk(desk.folder):
        if desk.recover() is None:
            desk.settle()


def desk_of(root: Path, config: ModelConfig, progress: Progress) -> Desk:
    """Return where the promotions of `config`'s model are made."""
    return Desk(
        folder=workspace.folder(root, config.name),
        ledger=Ledger.of(root, config),
        registry=Registry.of(root),
        name=config.registry.name,
        progress=progress,
    )


def _already(
    desk: Desk, found: Evidence, history: History, recovered: Promotion | None, *, dry_run: bool
) -> Result | None:
    """Return the result where the candidate is champion now, its aliases set right; else None."""
    champion = history.champion
    if champion is None or not _is(champion, found):
        return None
    if recovered is None and not dry_run:
        desk.settle()
    if recovered is not None and recovered.nonce == champion.nonce:
        return Result(state="done", event=champion, said=champion.sentence, writes=(champion.tag,))
    note = "" if found.model_digest == champion.model_digest else " (an earlier re-run of the same inputs)"
    said = f"{champion.model}: the candidate already is the champion, {champion.version}{note}"
    return Result(state="already", event=champion, said=said)


def _check(root: Path, config: ModelConfig, found: Evidence, history: History, desk: Desk, *, first: bool) -> bool:
    """Refuse what may not be promoted, in the order in which a person would want to know.

    The answer is whether a second person must approve it.
    """
    asks_another = _check_policy(root, config, found)
    if known := next((version for version in history.versions if _is(version, found)), None):
        raise Refused(
            f"{config.name}: this commit, or its inputs, are registered already, as {known.version}; to make it "
            f"champion again: `passmuster rollback {config.name} --to {known.version} --reason …`"
        )
    if not found.judged_against(history.champion):
        raise RaceLost(
            f"{config.name}: the verdict was made against {_shown(found.champion)}, but the champion is "
            f"{_shown(history.champion)}; run score and gate again"
        )
    if history.champion is not None and first:
        desk.progress.step(f"{config.name} has a champion, so --first changes nothing")
    if history.champion is None:
        _check_first(config, found, desk, first=first)
    return asks_another


def _check_policy(root: Path, config: ModelConfig, found: Evidence) -> bool:
    """Refuse what its policies do not let through; the answer is whether one of them asks for a second person."""
    from passmuster import _ruling
    from passmuster import config as configs

    repository = Repository(root)
    if not repository.has(found.commit):
        raise Refused(f"{config.name}: commit {found.commit}, which was judged, is not in this clone; fetch it")
    judged = configs.load_at(repository, found.commit, only=[config.name]).get(config.name)
    if judged is None or judged.registry != config.registry:
        raise Refused(f"{config.name}: commit {found.commit[:10]} has no such model with this registry and ledger")
    also = _ruling.of_first_parent(repository, found.commit, judged)
    evidence.judge_again(found, judged, also, datetime.now(UTC).date())
    return judged.policy.four_eyes or (also is not None and also.config.policy.four_eyes)


def _is(event: Event, found: Evidence) -> bool:
    """Return whether the candidate is what `event` names: its commit, or all that it follows from, is the same.

    A re-run gives the model directory another digest; and what was rolled back does not return under a new commit.
    """
    return event.commit == found.commit or event.input == found.digests["input"]


def _check_first(config: ModelConfig, found: Evidence, desk: Desk, *, first: bool) -> None:
    """Refuse a first champion that nobody asked for, that nothing measured, or that another ledger knows."""
    if not first:
        raise Refused(
            f"{config.name} has no champion, so nothing was compared; if that is right, say `passmuster promote "
            f"{config.name} --first`"
        )
    if not any(_absolute_pass(judgement) for judgement in found.gate.body["judgements"]):
        raise Refused(f"{config.name}: a first champion must pass an absolute limit of gate `performance`, blocking")
    for other in desk.ledger.others():
        shared = sorted({*other.targets} & {*events.named(config.pipeline.targets)})
        if other.registry.name == config.registry.name:
            shared.append(f"registry name {other.registry.name}")
        if shared:
            raise Refused(
                f"{config.name} is not a first model: the ledger of {other.model} has a champion with the same "
                f"{', '.join(shared)}; a renamed model keeps its name in the ledger"
            )


def _absolute_pass(judgement: Mapping[str, Any]) -> bool:
    told = tuple(judgement.get(key) for key in ("gate", "mode", "outcome"))
    return told == ("performance", "blocking", "pass")


def _shown(champion: Promotion | Mapping[str, Any] | None) -> str:
    if champion is None:
        return "no champion"
    if isinstance(champion, Promotion):
        return f"{champion.version} (promotion {champion.promotion})"
    return f"{champion.get('version')} (promotion {champion.get('promotion')})"


def _plan(desk: Desk, found: Evidence, history: History) -> Result:
    version, promotion = _numbers(history)
    model = desk.ledger.model
    return Result(
        state="dry run",
        event=None,
        said=f"{model} {version} would become champion (commit {found.commit[:10]}, model {found.model_digest})",
        writes=(
            f"MLflow at {desk.registry.shown}: a run, and a version of {desk.name} with its model directory",
            f"ledger {desk.ledger.remote}: tags {model}@{version}.0.0 and {model}#champion#{promotion}",
            f"MLflow: alias champion at that version, previous at {_shown(history.champion)}",
            f"{desk.folder / 'promote.json'}",
        ),
    )


def _numbers(history: History) -> tuple[str, int]:
    """Return the next version and the number of the next promotion."""
    return f"v{len(history.versions) + 1}", len(history.promotions) + 1


def _promote(desk: Desk, config: ModelConfig, found: Evidence, history: History) -> Result:
    intent = desk.begin(Intent.new("promote", found.gate.digest, history))
    version, promotion = _numbers(history)
    desk.progress.step(f"{config.name}: registering {version} in MLflow at {desk.registry.shown}")
    registered = _register(desk, found, intent, version)
    desk.progress.step(f"{config.name}: appending {version} to the ledger at {desk.ledger.remote}")
    facts: dict[str, Any] = {
        "nonce": intent.nonce,
        "time": events.now(history.champion),
        "who": desk.ledger.who(),
        "model": config.name,
        "version": version,
        "commit": found.commit,
        "model_digest": found.model_digest,
        "evidence": found.digests,
        "registry": Registration(
            name=desk.name,
            mlflow_version=registered.number,
            run_id=registered.run_id,
            uri=desk.registry.shown,
        ),
        "targets": tuple(config.pipeline.targets),
        "environment": found.environment,
    }
    last = history.versions[-1].digest if history.versions else None
    before = history.champion.digest if history.champion else None
    event = desk.swap(
        intent,
        (
            Registered(**facts, previous=last),
            Promoted(**facts, previous=before, promotion=promotion, first=history.champion is None),
        ),
    )
    writes = (f"{event.model}@{event.version}.0.0", event.tag, f"MLflow version {event.mlflow_version}")
    return Result(state="done", event=event, said=event.sentence, writes=writes)


def _register(desk: Desk, found: Evidence, intent: Intent, version: str) -> Version:
    """Return the version that this attempt registered, made now if it is not there, its upload read back."""
    tags = {
        COMMIT: found.commit,
        DIGEST: found.model_digest,
        DECISION: "promote",
        NONCE: intent.nonce,
        VERSION: version,
    }
    registered = desk.registry.find(desk.name, intent.nonce)
    if registered is None:
        run_id = desk.registry.log(
            desk.name,
            intent.nonce,
            files=_files(desk.folder, found),
            params=found.reproduce.body.get("params", {}),
            metrics=found.reproduce.body.get("metrics", {}),
            tags=tags,
        )
        verify(desk.registry, run_id, desk.ledger.model, found)
        registered = desk.registry.register(desk.name, run_id, tags)
    if registered.lost:
        desk.undo(intent)
        raise Refused(f"{desk.name}: MLflow's version {registered.number} of this attempt is marked as lost; run again")
    return registered


def _files(folder: Path, found: Evidence) -> dict[str, list[Path]]:
    """Return artifact folder → what to upload into it."""
    ids = folder / evidence.TRAIN_IDS
    told = found.reproduce.body.get("train_ids")
    if isinstance(told, dict) and (not ids.is_file() or digest.of_file(ids) != told.get("digest")):
        raise Refused(f"{ids} is missing or altered; run `passmuster reproduce` again")
    profile = [folder / evidence.PROFILE] if found.profile else []
    return {
        MODEL: [folder / MODEL],
        RECORDS: [*(folder / f"{step}.json" for step in evidence.STEPS), *profile],
        REPORT: [path for name in _REPORTS if (path := folder / name).is_file()],
        "": [ids] if ids.is_file() else [],
    }


def verify(registry: Registry, run_id: str, model: str, expected: Evidence | None = None) -> Evidence:
    """Return the evidence that an MLflow run holds, downloaded, every link checked.

    Raises:
        Refused: something is missing or altered, or it is not `expected`.
    """
    with registry.fetched(run_id, RECORDS) as records, registry.fetched(run_id, MODEL) as directory:
        try:
            found = evidence.read(records, directory, model)
        except Refused as exc:
            said = str(exc).replace(f"{records.parent}/", "").replace(f"{directory.parent}/", "")
            raise Refused(f"{model}: what MLflow holds in run {run_id} is not intact: {said}") from exc
    if expected is not None and found.digests != expected.digests:
        raise Refused(f"{model}: MLflow does not give back the evidence that was uploaded to run {run_id}")
    return found


def champion_source(
    root: Path, config: ModelConfig, champion: Promotion | None, *, supplied: bool = False, progress: Progress
) -> ChampionSource | None:
    """Return the champion's model directory for step `score`, downloaded and verified; None: there is no champion.

    Args:
        root: the checkout.
        config: the model's.
        champion: the ledger's last event; None: it has none.
        supplied: take what stands in `.passmuster/<model>/champion/`, and never ask MLflow.
        progress: is told what is being done.

    Raises:
        Refused: MLflow, or the folder, does not hold what was promoted.
        Unavailable: MLflow did not answer.
    """
    from passmuster.score import ChampionSource

    folder = workspace.folder(root, config.name) / "champion"
    if champion is None:
        if supplied and (folder / MODEL).exists():
            raise Refused(
                f"{folder} holds a champion, but the ledger's tags in this clone know of none; fetch the tags of "
                f"{config.name}, or remove the folder"
            )
        return None
    if supplied and not _is_there(folder, champion):
        raise Refused(
            f"{folder} does not hold {champion.version}, as it was promoted; `passmuster fetch {config.name}` brings it"
        )
    if not _is_there(folder, champion):
        registry = Registry.of(root)
        progress.step(f"{config.name}: downloading the champion, {champion.version}")
        registry.download(champion, folder / MODEL)
        _beside(registry, champion, evidence.TRAIN_IDS, folder / evidence.TRAIN_IDS)
        for name in ("reproduce.json", "gate.json", evidence.PROFILE):
            _beside(registry, champion, f"{RECORDS}/{name}", folder / name)
    profile = _profiled(folder, champion)
    return ChampionSource(
        version=champion.version,
        promotion=champion.promotion,
        commit=champion.commit,
        digest=champion.model_digest,
        directory=folder / MODEL,
        environment=dict(champion.environment),
        train_ids=_trained_on(folder, champion),
        profile=folder / evidence.PROFILE if profile else None,
        profile_digest=profile,
    )


def _is_there(folder: Path, champion: Promotion) -> bool:
    with contextlib.suppress(Refused):
        _trained_on(folder, champion)
        _profiled(folder, champion)
        return digest.of_path(folder / MODEL) == champion.model_digest
    return False


def _trained_on(folder: Path, champion: Promotion) -> Path | None:
    """Return the ids of the rows that the champion was trained on, as its own record names them; None: it names none.

    Who could put others in their place would choose the rows on which candidates are compared with it.
    """
    told = _promoted_on(folder, champion, "reproduce").body.get("train_ids")
    if not isinstance(told, Mapping):
        return None
    ids = folder / evidence.TRAIN_IDS
    if not ids.is_file() or digest.of_file(ids) != told.get("digest"):
        raise Refused(
            f"{champion.version}: {evidence.TRAIN_IDS}, which names the rows that it was trained on, is missing in "
            "MLflow or altered; `passmuster audit` says what else is"
        )
    return ids


def _profiled(folder: Path, champion: Promotion) -> str | None:
    """Return the digest of the champion's reference profile, as its own verdict names it; None: it names none."""
    told = _profile.digest_in(_promoted_on(folder, champion, "gate").body)
    if not _profile.is_there(folder, told):
        raise Refused(
            f"{champion.version}: {evidence.PROFILE}, with which later candidates are compared, is missing in MLflow "
            "or altered; `passmuster audit` says what else is"
        )
    return told


def _promoted_on(folder: Path, champion: Promotion, step: str) -> Record:
    found = record.read(folder / f"{step}.json", step)
    if found.digest != champion.evidence[step]:
        raise Refused(f"{champion.version}: {step}.json in MLflow is not the one that it was promoted on")
    return found


def _beside(registry: Registry, champion: Promotion, path: str, target: Path) -> None:
    """Fetch another of the champion's files, where it has one."""
    target.unlink(missing_ok=True)
    with (
        contextlib.suppress(NotThere),
        registry.fetched(champion.registry.run_id, path, beside=target) as found,
    ):
        found.rename(target)
