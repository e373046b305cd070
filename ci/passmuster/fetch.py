"""The step `fetch`: bring what a job without secrets will need: the champion, and the data that a commit names.

It runs with secrets and never runs the commit's code. Of the commit it reads names of objects; where they are, and with
which credentials they are asked for, is said by the checkout's own settings of DVC.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from passmuster import _dvc, _dvc_objects, bundle, ledger, promote, record, workspace
from passmuster import config as configs
from passmuster._git import Repository
from passmuster.config import Compare, ModelConfig
from passmuster.errors import UsageError
from passmuster.events import Promotion
from passmuster.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What was brought."""

    champion: str | None  #: the version in production, now in `.passmuster/<model>/champion/`; None: there is none
    objects: tuple[str, ...]  #: DVC's objects that are in the checkout's cache now
    missing: tuple[str, ...]  #: hashes that neither the cache nor the remote has; the re-run will say what they are of


def fetch(root: Path, model: str, *, commit: str, base: str | None = None, progress: Progress) -> Fetched:
    """Bring the champion of `model`, and the DVC objects that a re-run of `commit` needs, into the checkout at `root`.

    Args:
        root: the checkout; its own config says where the champion is, its DVC settings where the data is.
        model: the model's name.
        commit: what will be re-run.
        base: the commit whose test rows count too, its data is brought as well; not given: the champion's.
        progress: told what is going on.

    Raises:
        Refused: MLflow no longer holds what was promoted, or the ledger is broken.
        Unavailable: MLflow, the DVC remote or the ledger's remote did not answer.
        UsageError: there is no such commit or model, or its pipeline can't be read.
    """
    repository = Repository(root)
    theirs = configs.load_at(repository, commit, only=[model]).get(model)
    ours = configs.load_at(repository, "HEAD", only=[model]).get(model)
    if theirs is None:
        raise UsageError(f"there is no model {model!r} at {commit}")
    champion = _champion(root, ours or theirs, progress)
    progress.step(f"{model}: bringing the data of {commit[:12]}")
    hashes = set(_needed(repository, commit, theirs))
    if rows_of := base or (champion.commit if champion else None):
        hashes |= _of_base(repository, rows_of, model, progress)
    given = _dvc.supply(root)
    brought = _dvc_objects.bring(hashes, given, given.cache or root / ".dvc" / "cache")
    folder = workspace.folder(root, model)
    workspace.make(folder)
    record.write_atomically(folder / bundle.OBJECTS, json.dumps(brought.names))
    return Fetched(champion=champion.version if champion else None, objects=brought.names, missing=brought.missing)


def _champion(root: Path, config: ModelConfig, progress: Progress) -> Promotion | None:
    """Return the version in production, after its directory was brought; without one, none stays here."""
    champion = ledger.champion(root, config)
    if promote.champion_source(root, config, champion, progress=progress) is None:
        shutil.rmtree(workspace.folder(root, config.name) / "champion", ignore_errors=True)
    return champion


def _of_base(repository: Repository, commit: str, model: str, progress: Progress) -> set[str]:
    """Return the hashes that the commit whose rows count too needs; that it can't be read is no reason to stop here."""
    try:
        config = configs.load_at(repository, commit, only=[model]).get(model)
        return set(_needed(repository, commit, config)) if config else set()
    except UsageError as exc:
        progress.step(f"{model}: the data of {commit[:12]} can't be brought: {exc}")
        return set()


def _needed(repository: Repository, commit: str, config: ModelConfig) -> Iterator[str]:
    """Yield the hashes of what a re-run reads, and of what its outputs are compared with."""
    with repository.worktree(commit) as tree, tempfile.TemporaryDirectory(prefix="passmuster-dvc-") as private:
        closure = _dvc.closure(tree, [*config.pipeline.targets, *config.data.prepare], Path(private))
    in_cache = {out["path"] for stage in closure.stages for out in stage.definition["outs"] if out["cache"]}
    outs = [out for source in closure.sources for out in source.outs]
    outs += [out for path, out in closure.outs.items() if path in in_cache and _is_compared(path, config)]
    yield from (out.hash for out in outs if out.hash is not None)


def _is_compared(path: str, config: ModelConfig) -> bool:
    tolerance = config.pipeline.outputs.get(path)
    by_content = tolerance is not None and tolerance.compare != Compare.BYTES and tolerance.by is None
    return by_content or any(_dvc.overlaps(path, data) for data in _data(config))


def _data(config: ModelConfig) -> Iterable[str]:
    """Return the paths of the rows that candidates are judged on."""
    return (path for path in (config.data.test, config.data.reference) if path is not None)
