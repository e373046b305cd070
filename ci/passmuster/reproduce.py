"""The step `reproduce`: the commit's pipeline run again, from nothing but the commit, and compared with what it says.

A clean git worktree holds the code; data comes from the user's cache (only read) or the remote; every stage is forced,
without run-cache, with a cache of its own. What comes out is compared with the *committed* `dvc.lock` and files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import posixpath
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from passmuster import __version__, _dvc, comparison, digest, environments, record, workspace
from passmuster._dvc_graph import parents
from passmuster._git import Repository
from passmuster.comparison import Outcome, Pair, Result
from passmuster.config import Compare, ModelConfig, Tolerance
from passmuster.errors import ExitCode, Refused, Unavailable, UsageError
from passmuster.progress import Progress
from passmuster.record import Record

#: The record's file, below the model's folder.
RECORD = "reproduce.json"

#: The model's lock, inside its MLflow directory.
LOCK = "passmuster.lock"

REPRODUCIBLE, NOT_REPRODUCIBLE, ERROR = "reproducible", "not reproducible", "error"


def folder(root: Path, model: str) -> Path:
    """Return where the records of `model` are kept in the checkout `root`, made if it is not there.

    Raises:
        Refused: git tracks something there (see `workspace.folder`).
    """
    found = workspace.folder(root, model)
    workspace.make(found)
    return found


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A commit's pipeline, read in a clean worktree of its own."""

    repository: Repository
    sha: str
    tree: Path  #: the worktree
    private: Path  #: a folder outside it
    closure: _dvc.Closure
    inputs: Mapping[str, str]  #: the digests of what a result follows from, see `_inputs`

    @property
    def input_digest(self) -> str:
        """The digest of code, data, parameters, lock, config and policy."""
        return self.inputs["input"]


@contextlib.contextmanager
def opened(root: Path, config: ModelConfig, *, commit: str = "HEAD") -> Iterator[Opened]:
    """Yield the pipeline of `config` at `commit`, whose worktree is gone afterwards; nothing is run.

    Raises:
        UsageError: there is no such commit, or its pipeline does not make the model.
    """
    repository = Repository(root)
    sha = repository.commit(commit)
    with repository.worktree(sha) as tree, _private() as private:
        closure = _closure(tree, config, private)
        inputs = _inputs(repository, sha, config, closure)
        yield Opened(repository=repository, sha=sha, tree=tree, private=private, closure=closure, inputs=inputs)


def input_digest(root: Path, config: ModelConfig, *, commit: str = "HEAD") -> str:
    """Return the digest of code, data, parameters, lock, config and policy at `commit`; raises as `opened`."""
    with opened(root, config, commit=commit) as pipeline:
        return pipeline.input_digest


def reproduce(
    root: Path,
    config: ModelConfig,
    *,
    commit: str = "HEAD",
    pipeline: Opened | None = None,
    force: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
    progress: Progress,
) -> Record:
    """Run the pipeline of `config` at `commit` again, compare, and write the record `reproduce.json`.

    A result that differs is not an exception: the record says `not reproducible`, and why. A record that is already
    there for the same inputs, with its files intact, is taken over unless `force`.

    Args:
        root: the user's checkout; only `.passmuster/<model>/` in it is written.
        config: the model.
        commit: what to reproduce.
        pipeline: that commit's, where the caller has opened it; the stages then run in its worktree, once.
        force: run again even where a record is there.
        meanwhile: called when the first stage runs, in a process of its own; must return at once.
        progress: told what is going on.

    Raises:
        UsageError: no such commit, no such stages, or a lock that does not install.
        Unavailable: the DVC remote or the package index did not answer.
    """
    target = folder(root, config.name)
    with contextlib.ExitStack() as stack:
        found = pipeline or stack.enter_context(opened(root, config, commit=commit))
        if not force and (known := _known(target, found.inputs, found.sha)):
            progress.step(
                f"{config.name}: the same inputs were reproduced already ({found.sha[:12]}); reused, not run again"
            )
            return known
        record.begin(target, "reproduce")
        return _Rerun(root, config, found, meanwhile, progress).record(target)


@contextlib.contextmanager
def _private() -> Any:
    with tempfile.TemporaryDirectory(prefix="passmuster-dvc-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _closure(tree: Path, config: ModelConfig, private: Path) -> _dvc.Closure:
    """Return the model's stages, after checking that the config speaks of their outputs.

    Raises:
        UsageError: the model is not made by the targets, or a comparison names what is not an output of theirs.
    """
    closure = _dvc.closure(tree, config.pipeline.targets, private)
    outs = closure.outs
    targets = ", ".join(config.pipeline.targets)
    if not any(_within(config.pipeline.model, out) for out in outs):
        raise UsageError(
            f"{config.path}: pipeline.model is {config.pipeline.model}, which {targets} do not make; "
            f"they make: {', '.join(sorted(outs)) or 'nothing'}"
        )
    named = {*config.pipeline.outputs, *(t.by for t in config.pipeline.outputs.values() if t.by)}
    if unknown := sorted(named - outs.keys()):
        raise UsageError(f"{config.path}: pipeline.outputs names {', '.join(unknown)}, which {targets} do not make")
    if not (tree / config.requirements).is_file():
        raise UsageError(
            f"{config.path}: the lock {config.requirements} is not in the commit; `passmuster lock` makes it"
        )
    return closure


def _within(path: str, folder_: str) -> bool:
    return path == folder_ or path.startswith(f"{folder_}/")


# Inputs


def _inputs(repository: Repository, sha: str, config: ModelConfig, closure: _dvc.Closure) -> dict[str, str]:
    """Return the digests of what a result follows from: `input`, the same on every machine, and `rerun`, which decides
    whether a re-run can be taken over: without the policy, with this Python and platform.
    """
    settings = json.loads(json.dumps(dataclasses.asdict(config), default=str, allow_nan=False))
    code = digest.of_json(
        {
            "framework": __version__,
            "files": _files(repository, sha, config, closure),
            "stages": [_facts(stage) for stage in closure.stages],
            "config": {key: settings[key] for key in ("name", "task", "requirements", "pipeline", "data")},
        }
    )
    machine = {"python": platform.python_version(), "platform": _platform()}
    return {
        "rerun": digest.of_json({"code": code, **machine}),
        "input": digest.of_json({"code": code, "config": settings}),
    }


def _files(repository: Repository, sha: str, config: ModelConfig, closure: _dvc.Closure) -> dict[str, str]:
    """Return path → mode and object of all files of the commit that a result may follow from.

    A Python script imports what lies beside it without saying so to DVC. So the whole folder of each file that a stage
    depends on, or names in its command, counts; of a script in the repository's root, all Python files anywhere; and of
    a stage that runs `python -m` or sets `PYTHONPATH`, the whole commit.
    """
    listed = (entry.partition("\t") for entry in repository.run("ls-tree", "-r", "-z", sha).split("\0") if entry)
    every = {path: facts for facts, _, path in listed}
    commands = [str(stage.definition["cmd"]) for stage in closure.stages]
    if any(" -m " in command or "PYTHONPATH" in command for command in commands):
        return every
    used = {*closure.raw, *(path for stage in closure.stages for path in _words(stage) if path in every)}
    wanted = {config.requirements, *used, *closure.outs, *(source.file for source in closure.sources)}
    wanted |= {posixpath.dirname(path) for path in used} - {""}
    python = any(path.endswith(".py") and "/" not in path for path in used)
    return {
        path: facts
        for path, facts in every.items()
        if path in wanted or (python and path.endswith(".py")) or not wanted.isdisjoint(parents(path))
    }


def _words(stage: _dvc.Stage) -> set[str]:
    """Return what in a stage's command may be a path, relative to the repository's root."""
    where = str(stage.definition["wdir"])
    words = re.split(r"[\s'\"=;|&<>()\[\],]+", str(stage.definition["cmd"]))
    return {posixpath.normpath(posixpath.join(where, word)) for word in words if word}


def _facts(stage: _dvc.Stage) -> dict[str, Any]:
    results = {out.path: out.hash for out in stage.outs}
    return {**stage.definition, "values": dict(stage.params), "recorded": dict(stage.recorded), "results": results}


def _known(target: Path, inputs: Mapping[str, str], sha: str) -> Record | None:
    """Return the record of an earlier run with the same inputs and whole files, made to name this commit."""
    try:
        found = record.read(target / RECORD, "reproduce")
        if found.inputs.get("rerun") != inputs["rerun"] or found.body["decision"] != REPRODUCIBLE:
            return None
        verify_files(target, found)
    except (Refused, KeyError, TypeError):
        return None
    if dict(found.inputs) == dict(inputs) and found.body["commit"] == sha:
        return found
    taken_over = {**found.context, "reused_from": found.digest}
    moved = replace(found, inputs=dict(inputs), body={**found.body, "commit": sha}, context=taken_over)
    record.write(moved, target / RECORD)
    return moved


def verify_files(target: Path, found: Record) -> None:
    """Check that model and data in the folder `target` are the ones that the record `found` names.

    Raises:
        Refused: a file is missing, altered, or outside the folder, or the record does not name it.
    """
    try:
        named = {"model": found.body["model_digest"]}
        named |= {item["path"]: item["digest"] for item in (found.body["train_ids"], *found.body["data"].values())}
    except (KeyError, TypeError, AttributeError) as exc:
        raise Refused(f"{target / RECORD} does not name model and data; run `passmuster reproduce --force`") from exc
    for path, expected in named.items():
        full = target / path
        inside = full.resolve().is_relative_to(target.resolve())
        if not inside or not full.exists() or digest.of_path(full) != expected:
            raise Refused(f"{full} is missing or not the one that was reproduced; run `passmuster reproduce --force`")


# The re-run


@dataclass(kw_only=True)
class _Findings:
    """What is found while the re-run goes on."""

    outcomes: list[Outcome] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)  #: reasons for "not reproducible", outputs aside
    errors: list[str] = field(default_factory=list)  #: reasons for "error", outputs aside

    @property
    def decision(self) -> str:
        """`reproducible` only where every output was compared and nothing else was found."""
        results = {outcome.result for outcome in self.outcomes}
        if self.differs or results & {Result.DIFFERENT, Result.NOT_RERUN}:
            return NOT_REPRODUCIBLE
        if self.errors or not results or results - {Result.IDENTICAL, Result.WITHIN_TOLERANCE}:
            return ERROR
        return REPRODUCIBLE


class _Rerun:
    """One re-run in a worktree; every path in it is below `tree` or `private`."""

    def __init__(
        self,
        root: Path,
        config: ModelConfig,
        pipeline: Opened,
        meanwhile: Callable[[], object],
        progress: Progress,
    ) -> None:
        self.config, self.sha, self.inputs = config, pipeline.sha, dict(pipeline.inputs)
        self.tree, self.private, self.closure = pipeline.tree, pipeline.private, pipeline.closure
        self.meanwhile, self.progress = meanwhile, progress
        self.supply, self.overruled = _dvc.supply(root), _dvc.overruled(self.tree, root)
        self.found = _Findings()
        self.metrics: dict[str, float] = {}

    def record(self, target: Path) -> Record:
        """Run, compare, copy what was made to `target`, and write the record, whatever the decision."""
        began = time.time()
        python = self._environment()
        # Facts about the lock are taken before a stage can write to it.
        lock = digest.of_file(self.tree / self.config.requirements)
        shutil.copyfile(self.tree / self.config.requirements, self.private / LOCK)
        self._run_and_compare(python)
        target.mkdir(parents=True, exist_ok=True)
        delivered = self._deliver(target)
        body = {
            "model": self.config.name,
            "commit": self.sha,
            "decision": self.found.decision,
            "reasons": [*self.found.differs, *self.found.errors],
            "outputs": [outcome.to_json() for outcome in self.found.outcomes],
            **delivered,
            "metrics": self.metrics,
            "params": self.closure.params,
            "environment": {
                "lock": lock,
                "python": platform.python_version(),
                "platform": _platform(),
                "cpu_count": os.cpu_count(),
            },
            "stages": [stage.address for stage in self.closure.stages],
            "isolation": environments.isolation(network=True).to_json(),
        }
        context = {"began": began, "seconds": time.time() - began}
        result = Record(schema="reproduce", version=1, inputs=self.inputs, body=body, context=context)
        record.write(result, target / RECORD)
        return result

    def _environment(self) -> Path:
        self.progress.step(f"{self.config.name}: the environment of {self.config.requirements}")
        return environments.ensure(self.tree / self.config.requirements)

    def _run_and_compare(self, python: Path) -> None:
        if frozen := [stage.address for stage in self.closure.stages if stage.frozen]:
            text = f"{', '.join(frozen)}: frozen, so DVC does not run it; `dvc unfreeze` it"
            self.found.outcomes = self._all(Result.NOT_RERUN, text)
            return
        try:
            self.progress.step(f"{self.config.name}: bringing the data of {self.sha[:12]}")
            if self.overruled:
                names = ", ".join(self.overruled[:5])
                self.progress.step(f".dvc/config of {self.sha[:12]} sets {names} otherwise; the checkout's is taken")
            _dvc.bring(self.tree, [source.file for source in self.closure.sources], self.supply, self.private)
            before = self._hashes("before")
            self._check_sources(before)
        except _dvc.DataMissing as exc:
            self.found.outcomes = self._all(Result.ERROR, f"the stages were not run, their data is missing: {exc}")
            self.found.errors.append(str(exc))
            return
        committed = {path: before[path] for path in self.closure.outs}
        old = self._set_committed_aside(committed)
        finished = _dvc.run(
            self.tree,
            self.closure.stages,
            python,
            self.private,
            timeout=self.config.pipeline.timeout,
            meanwhile=self.meanwhile,
            progress=self.progress,
        )
        shutil.rmtree(self.private / "cache", ignore_errors=True)
        after = self._hashes("after")
        failure = self._failure(finished)
        self._look_for_changes(before, after, ran=not failure)
        self.progress.step(f"{self.config.name}: comparing {len(self.closure.outs)} outputs with the commit")
        pairs = {
            path: Pair(
                path=path,
                expected=out.hash,
                committed=committed[path],
                actual=after[path],
                old=old.get(path),
                new=self.tree / path if after[path] else None,
                missing=failure,
            )
            for path, out in self.closure.outs.items()
        }
        self.found.outcomes = comparison.compare(pairs, self.config.pipeline.outputs)
        self.metrics = self._read_metrics()

    def _all(self, result: Result, reason: str) -> list[Outcome]:
        strict = Tolerance(compare=Compare.BYTES)
        return [
            Outcome(
                path=path,
                compare=str(self.config.pipeline.outputs.get(path, strict).compare),
                result=result,
                reason=reason,
                expected=out.hash,
            )
            for path, out in self.closure.outs.items()
        ]

    def _hashes(self, when: str) -> dict[str, str | None]:
        return _dvc.hashes(self.tree, self.closure, self.private / when)

    def _check_sources(self, before: Mapping[str, str | None]) -> None:
        for source in self.closure.sources:
            for out in source.outs:
                if out.hash is None or before[out.path] != out.hash:
                    raise _dvc.DataMissing(f"{out.path}: what was brought is not what {source.file} names")

    def _set_committed_aside(self, committed: Mapping[str, str | None]) -> dict[str, Path]:
        """Move the committed outputs out of the tree, so that no stage finds one; the answer is where contents are."""
        outs = self.closure.outs
        by_content = [
            path
            for path, tolerance in self.config.pipeline.outputs.items()
            if tolerance.compare != Compare.BYTES and tolerance.by is None and outs[path].hash is not None
        ]
        for path in by_content:
            if committed[path] is None:
                # Not having it is no trouble unless its hash turns out to differ.
                with contextlib.suppress(_dvc.DataMissing, Unavailable, UsageError):
                    _dvc.bring(self.tree, [path], self.supply, self.private)
        now = _dvc.hashes(self.tree, self.closure, self.private / "committed", sources=False)
        aside = {}
        for path in outs:
            if path in by_content and now[path] is not None and now[path] == outs[path].hash:
                aside[path] = self.private / "old" / path
                aside[path].parent.mkdir(parents=True, exist_ok=True)
                shutil.move(self.tree / path, aside[path])
            _remove(self.tree / path)
            (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
        return aside

    def _failure(self, finished: Any) -> str:
        """Return why the stages did not all run, or nothing; a failure is a finding of its own too."""
        if finished.returncode == 0:
            return ""
        if finished.timed_out:
            text = f"the stages took longer than pipeline.timeout, {self.config.pipeline.timeout:g} s, and were ended"
        else:
            said = finished.last_lines().replace(str(self.tree), ".").replace(str(self.private), "…")
            text = f"a stage failed when run from the commit alone; the last lines it said:\n{said}"
        self.found.differs.append(text)
        return "the re-run failed before it was made"

    def _look_for_changes(
        self, before: Mapping[str, str | None], after: Mapping[str, str | None], *, ran: bool
    ) -> None:
        """Find what changed while the stages ran: sources, the pipeline itself, outputs after their stage had ended."""
        outs = self.closure.outs
        changed = [path for path in before if path not in outs and after[path] != before[path]]
        if changed:
            text = f"{', '.join(changed)} changed while the stages ran, so the results belong to no known code or data"
            self.found.differs.append(text)
        try:
            now = _dvc.closure(self.tree, self.config.pipeline.targets, self.private / "pipeline")
        except UsageError as exc:
            self.found.differs.append(f"the stages left a pipeline that cannot be read: {exc}")
            return
        if _plan(now) != _plan(self.closure):
            self.found.differs.append("the pipeline's stages or parameters changed while the stages ran")
        late = [path for path, out in now.outs.items() if ran and after.get(path) != out.hash]
        if late:
            self.found.differs.append(f"{', '.join(late)} changed after the stage that makes it had ended")

    def _read_metrics(self) -> dict[str, float]:
        """Return the numbers of all files of metrics; a name that two files use is preceded by its file."""
        declared = {p for p, t in self.config.pipeline.outputs.items() if t.compare == Compare.METRICS and not t.by}
        found: list[tuple[str, str, float]] = []
        for path in sorted(declared | {path for path, out in self.closure.outs.items() if out.metric}):
            with contextlib.suppress(ValueError):
                leaves = comparison.read_metrics(self.tree / path)
                found += [(path, name, value) for name, value in leaves.items() if comparison.is_number(value)]
        names = [name for _, name, _ in found]
        return {name if names.count(name) == 1 else f"{path}:{name}": value for path, name, value in found}

    # What is handed on

    def _deliver(self, target: Path) -> dict[str, Any]:
        """Copy model and data to `target`, in place of what an earlier run left there; never half of it."""
        for name in ("model", "data", "train_ids.parquet"):
            _remove(target / name)
        empty: dict[str, Any] = {"model_digest": None, "data": {}, "train_ids": None}
        if not any(outcome.actual for outcome in self.found.outcomes):
            return empty
        with tempfile.TemporaryDirectory(dir=target, prefix=".reproduce-") as name:
            made = Path(name)
            try:
                facts = {"model_digest": self._model(made / "model"), **self._data(made)}
            except (ValueError, OSError, Refused) as exc:
                self.found.errors.append(f"the results cannot be handed on: {exc}".replace(str(self.tree), "."))
                return empty
            for item in sorted(made.iterdir()):
                item.rename(target / item.name)
        return facts

    def _model(self, to: Path) -> str:
        shutil.copytree(self._inside(self.config.pipeline.model), to, symlinks=True)
        lock = to / LOCK
        if not lock.exists():
            shutil.copyfile(self.private / LOCK, lock)
        elif lock.read_bytes() != (self.private / LOCK).read_bytes():
            raise ValueError(f"the model directory holds a {LOCK} that is not {self.config.requirements}")
        return digest.of_path(to)

    def _data(self, to: Path) -> dict[str, Any]:
        from pyarrow import parquet

        splits = {"train": self.config.data.train, "test": self.config.data.test}
        if self.config.data.reference is not None:
            splits["reference"] = self.config.data.reference
        (to / "data").mkdir()
        for split, path in splits.items():
            _to_parquet(self._inside(path), to / "data" / f"{split}.parquet", self.config.data.id)
        train = parquet.ParquetFile(to / "data" / "train.parquet")
        parquet.write_table(train.read(columns=[self.config.data.id]), to / "train_ids.parquet")
        return {
            "data": {split: described(to, f"data/{split}.parquet") for split in splits},
            "train_ids": described(to, "train_ids.parquet"),
        }

    def _inside(self, path: str) -> Path:
        full = self.tree / path
        if not full.exists():
            raise ValueError(f"{path} is neither in the commit nor made by the stages")
        if not full.resolve().is_relative_to(self.tree.resolve()):
            raise ValueError(f"{path} is a link that leaves the repository")
        return full


def _plan(closure: _dvc.Closure) -> list[Any]:
    return [(stage.definition, stage.params) for stage in closure.stages]


def _to_parquet(source: Path, to: Path, key: str) -> None:
    """Copy a Parquet file as it is, or write a CSV as Parquet; no row, or no column `key`, is an error."""
    from pyarrow import parquet

    if source.suffix == ".parquet":
        shutil.copyfile(source, to)
    else:
        parquet.write_table(comparison.read_table(source), to)
    try:
        file = parquet.ParquetFile(to)
    except OSError as exc:
        raise ValueError(f"{source.name} cannot be read as Parquet: {exc}") from exc
    if not file.metadata.num_rows:
        raise ValueError(f"{source.name} has no rows")
    if key not in file.schema_arrow.names:
        raise ValueError(f"{source.name} has no column {key!r}, which data.id names")


def described(base: Path, path: str) -> dict[str, Any]:
    """Return path, digest and number of rows of a Parquet file."""
    from pyarrow import parquet

    return {
        "path": path,
        "digest": digest.of_file(base / path),
        "rows": parquet.ParquetFile(base / path).metadata.num_rows,
    }


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _platform() -> str:
    return f"{sys.platform}-{platform.machine()}"


def code(found: Record) -> ExitCode:
    """Return the exit code of a re-run's record; what is neither reproducible nor plainly different is not measured."""
    codes = {"reproducible": ExitCode.OK, "not reproducible": ExitCode.NOT_REPRODUCIBLE}
    return codes.get(found.body["decision"], ExitCode.NOT_MEASURED)


def reasons(found: Record) -> Iterable[str]:
    """Yield why the decision is not `reproducible`, one sentence each; for people."""
    yield from found.body["reasons"]
    good: Sequence[str] = (Result.IDENTICAL, Result.WITHIN_TOLERANCE)
    for output in found.body["outputs"]:
        if output["result"] not in good:
            yield f"{output['path']}: {output['result']}" + (f": {output['reason']}" if output["reason"] else "")
