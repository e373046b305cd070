"""DVC, as `reproduce` and `score` need it; makes no decisions. Foreign errors are translated here.

The graph is read in this process, from a clean worktree; stages are run by DVC's command line in a process of its own,
with a cache of its own that is empty, so that a re-run can neither be fed from the user's cache nor write to it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passmuster import _process, environments
from passmuster.errors import Unavailable, UsageError
from passmuster.progress import Progress

#: One thread: sums over several come out in another order, and differ in the last digits from machine to machine.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "BLIS_NUM_THREADS",
        "POLARS_MAX_THREADS",
    ),
    "1",
)

#: No program that is run here calls home.
NO_TELEMETRY = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}

#: Sections of DVC's settings that say where data is, and with whose credentials: never a commit's to choose.
_OF_THE_USER = ("core", "remote", "cache")

#: The user's cache, as a remote that is only read, each object checked against its name.
_USERS_CACHE = "passmuster-users-cache"


class DataMissing(Exception):
    """Data that the commit names cannot be had; the text says which and why."""


@dataclass(frozen=True, kw_only=True)
class Out:
    """One output of a stage."""

    path: str  #: relative to the repository's root, POSIX
    hash: str | None  #: in `dvc.lock`, e.g. "md5:0123…" or "md5:0123….dir"; None where the lock has none
    metric: bool  #: whether DVC knows it as metrics


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage that makes the targets, or is upstream of them."""

    address: str  #: as DVC takes it, e.g. "dvc.yaml:train"
    frozen: bool  #: whether DVC would not run it
    definition: Mapping[str, Any]  #: what it is, with every `${…}` resolved
    params: Mapping[str, Any]  #: flat values of the parameters that it declares
    deps: tuple[str, ...]  #: paths that it reads, parameters aside
    outs: tuple[Out, ...]
    recorded: Mapping[str, str | None]  #: path of a dependency → its hash in `dvc.lock`


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data that no stage makes: what a `.dvc` file names."""

    file: str  #: the `.dvc` file
    outs: tuple[Out, ...]


@dataclass(frozen=True, kw_only=True)
class Closure:
    """The targets with everything upstream of them, upstream first."""

    stages: tuple[Stage, ...]
    sources: tuple[Source, ...]

    @property
    def outs(self) -> dict[str, Out]:
        """Everything that the stages make, by path."""
        return {out.path: out for stage in self.stages for out in stage.outs}

    @property
    def raw(self) -> list[str]:
        """What the stages read and no stage makes: code and data, sorted."""
        made = list(self.outs)
        deps = {dep for stage in self.stages for dep in stage.deps}
        return sorted(dep for dep in deps if not any(overlaps(dep, out) for out in made))

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of all stages, flat."""
        return {name: value for stage in self.stages for name, value in stage.params.items()}


def overlaps(one: str, other: str) -> bool:
    """Return whether two paths are the same, or one lies in the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def closure(tree: Path, targets: Sequence[str], private: Path) -> Closure:
    """Return the stages that make `targets` and all upstream of them, as the files in `tree` say.

    Args:
        tree: a clean worktree.
        targets: names of stages (`train`, `folder/dvc.yaml:train`, the stem of a matrix), their outputs, or files.
        private: a folder outside the tree for what DVC writes.

    Raises:
        UsageError: there is no pipeline, it is not valid, a target is not in it, or it reaches outside the repository.
    """
    import networkx as nx  # type: ignore[import-untyped]  # DVC's own graph; it has no types

    with _open(tree, private) as repo, _translated("the pipeline cannot be read"):
        graph = repo.index.graph
        wanted = [stage for target in targets for stage in _named(repo, graph, target)]
        upstream = {*wanted, *(found for stage in wanted for found in nx.descendants(graph, stage))}
        order = list(
            nx.lexicographical_topological_sort(graph.subgraph(upstream).reverse(), key=lambda stage: _address(stage))
        )
        found = Closure(
            stages=tuple(_stage(stage) for stage in order if stage.cmd),
            sources=tuple(Source(file=_file(stage), outs=_outs(stage)) for stage in order if not stage.cmd),
        )
    _refuse_links(tree, found)
    return found


def _refuse_links(tree: Path, found: Closure) -> None:
    """Refuse outputs behind a link of the commit that leaves it: DVC would remove and write what lies there."""
    for path in (*found.outs, *(out.path for source in found.sources for out in source.outs)):
        if not (tree / path).parent.resolve().is_relative_to(tree.resolve()):
            raise UsageError(
                f"{path} lies behind a link that leaves the repository; make it a folder of the repository"
            )


def _named(repo: Any, graph: Any, target: str) -> list[Any]:
    """Return the stages that a target means; resolved here, since DVC resolves against the working folder."""
    found = [
        stage
        for stage in graph
        if target in (_address(stage), _file(stage), *(_relative(repo, out.fs_path) for out in stage.outs))
        or (_file(stage) == "dvc.yaml" and target in (stage.name, str(stage.name).split("@")[0]))
    ]
    if not found:
        names = ", ".join(sorted(_address(stage) for stage in graph)) or "none at all"
        raise UsageError(f"there is no DVC stage or output {target!r} at this commit; there are: {names}")
    return found


def _file(stage: Any) -> str:
    return _relative(stage.repo, stage.path)


def _address(stage: Any) -> str:
    name = getattr(stage, "name", None)
    return f"{_file(stage)}:{name}" if name else _file(stage)


def _relative(repo: Any, path: str) -> str:
    return Path(os.path.relpath(path, repo.root_dir)).as_posix()


def _stage(stage: Any) -> Stage:
    from dvc.dependency import ParamsDependency

    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    for thing in (*files, *stage.outs):
        if not thing.is_in_repo:
            raise UsageError(
                f"stage {_address(stage)} uses {thing.def_path}, which is outside the repository, so that a commit "
                "does not say what is in it; bring it in with `dvc add` or `dvc import-url`"
            )
    deps = {_relative(stage.repo, dep.fs_path): _hash(dep) for dep in files}
    return Stage(
        address=_address(stage),
        frozen=bool(stage.frozen),
        definition=_definition(stage, sorted(deps), params),
        params={name: value for dep in params for name, value in _values(dep).items()},
        deps=tuple(sorted(deps)),
        outs=_outs(stage),
        recorded=deps,
    )


def _definition(stage: Any, deps: Sequence[str], params: Sequence[Any]) -> dict[str, Any]:
    outs = [
        {
            "path": _relative(stage.repo, out.fs_path),
            "cache": bool(out.use_cache),
            "persist": bool(out.persist),
        }
        for out in stage.outs
    ]
    return {
        "stage": _address(stage),
        "cmd": stage.cmd,
        "wdir": _relative(stage.repo, stage.wdir),
        "frozen": bool(stage.frozen),
        "deps": list(deps),
        "params": sorted([_relative(stage.repo, dep.fs_path), *sorted(dep.params)] for dep in params),
        "outs": sorted(outs, key=lambda out: str(out["path"])),
    }


def _values(dep: Any) -> dict[str, Any]:
    """Return the declared parameters of one file, flat; those of another file than `params.yaml` with its name."""
    file = _relative(dep.repo, dep.fs_path)
    prefix = "" if file == "params.yaml" else f"{file}:"
    return {f"{prefix}{name}": _plain(value) for name, value in dep.read_params(flatten=True).items()}


def _plain(value: Any) -> Any:
    """Return a JSON value: dates, NaN and infinity become text."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _outs(stage: Any) -> tuple[Out, ...]:
    return tuple(
        Out(path=_relative(stage.repo, out.fs_path), hash=_hash(out), metric=bool(out.metric)) for out in stage.outs
    )


def _hash(thing: Any) -> str | None:
    info = thing.hash_info
    # Two names for one way of hashing; the second is written by DVC 2 and differs only in text with \r\n.
    return f"{str(info.name).removesuffix('-dos2unix')}:{info.value}" if info and info.value else None


def hashes(
    tree: Path, closure_: Closure, private: Path, *, sources: bool = True, outs: bool = True
) -> dict[str, str | None]:
    """Return path → hash of what is on disk now, computed anew; None where there is nothing.

    Args:
        tree: the worktree.
        closure_: its stages and sources.
        private: a folder outside the tree, not used before, so that no remembered hash is taken for a new one.
        sources: whether to include what no stage makes.
        outs: whether to include what the stages make.
    """
    wanted = {*(closure_.raw if sources else ()), *(closure_.outs if outs else ())}
    wanted |= {out.path for source in closure_.sources for out in source.outs} if sources else set()
    with _open(tree, private) as repo, _translated("a hash cannot be computed"):
        return {path: _hash_on_disk(repo, path) for path in sorted(wanted)}


def _hash_on_disk(repo: Any, path: str) -> str | None:
    from dvc_data.hashfile.build import build

    full = str(Path(repo.root_dir, path))
    if not os.path.lexists(full):
        return None
    cache = repo.cache.local
    _, _, found = build(cache, full, repo.fs, "md5", ignore=repo.dvcignore, dry_run=True)
    return f"{found.hash_info.name}:{found.hash_info.value}"


@dataclass(frozen=True, kw_only=True)
class Supply:
    """Where data that is not in git comes from."""

    cache: Path | None  #: the user's own cache, only read
    remotes: Mapping[str, Any]  #: DVC's settings of the remotes, paths made absolute
    default: str | None  #: the remote that is asked


def supply(root: Path) -> Supply:
    """Return the cache and the remotes that the user's checkout is set up with, its local settings included."""
    from dvc.config import Config

    folder = str(root / ".dvc")
    with _translated("DVC's configuration cannot be read"):
        config = Config(folder, local_dvc_dir=folder) if Path(folder).is_dir() else Config()
    chosen = config["cache"].get("dir")
    cache = Path(chosen) if chosen else root / ".dvc" / "cache"
    remotes = {name: dict(settings) for name, settings in config["remote"].items()}
    return Supply(cache=cache if cache.is_dir() else None, remotes=remotes, default=config["core"].get("remote"))


def bring(tree: Path, paths: Iterable[str], given: Supply, private: Path) -> None:
    """Put the data that `paths` (`.dvc` files or outputs) name into `tree`: from the user's cache, else a remote.

    The user's cache is only read, and each object is checked against its name, so that neither an altered cache nor a
    re-run that writes to its inputs does harm.

    Raises:
        DataMissing: neither has it.
        Unavailable: the remote did not answer.
    """
    targets = [str(tree / path) for path in paths]
    if not targets:
        return
    config: dict[str, Any] = {"remote": {name: dict(settings) for name, settings in given.remotes.items()}}
    if given.default:
        config["core"] = {"remote": given.default}
    if given.cache:
        config["remote"][_USERS_CACHE] = {"url": str(given.cache), "verify": True}
    with _open(tree, private, config) as repo:
        if given.cache and _tried(repo, targets, _USERS_CACHE):
            return
        if not repo.config["core"].get("remote") and not any(out.remote for out in _outs_of(repo, targets)):
            raise DataMissing(
                f"{', '.join(paths)}: not in the local cache, and no DVC remote is set; `dvc pull` it where it "
                "is to be had, or set a remote (`dvc remote add -d`) and `dvc push`"
            )
        if not _tried(repo, targets, None):
            raise DataMissing(
                f"{', '.join(paths)}: neither the local cache nor the DVC remote has all of it; `dvc push` it"
            )


def _outs_of(repo: Any, targets: Sequence[str]) -> Iterator[Any]:
    for stage in repo.index.stages:
        if stage.path in targets:
            yield from stage.outs
        else:
            yield from (out for out in stage.outs if out.fs_path in targets)


def _tried(repo: Any, targets: list[str], remote: str | None) -> bool:
    """Fetch from `remote` (None: the default) and check out; the answer is whether everything is there now."""
    from dvc.config import NoRemoteError
    from dvc.exceptions import CheckoutError, DownloadError, DvcException

    try:
        with contextlib.suppress(DownloadError, FileNotFoundError):
            repo.fetch(targets=targets, remote=remote)
        repo.checkout(targets=targets, force=True)
    except (CheckoutError, NoRemoteError):
        return False
    except (DvcException, OSError) as exc:
        if remote == _USERS_CACHE:
            return False
        raise Unavailable(f"the DVC remote did not give the data: {exc}; try again, or `dvc pull` to see more") from exc
    return True


def run(
    tree: Path,
    stages: Sequence[Stage],
    python: Path,
    private: Path,
    *,
    timeout: float,
    meanwhile: Callable[[], object] = lambda: None,
    progress: Progress,
) -> _process.Finished:
    """Run exactly `stages`, in order, each forced, without run-cache; DVC writes `dvc.lock` in `tree`.

    `meanwhile` is called when the first stage runs: until then DVC's own start needs the processor.

    The commands see the model's environment first on PATH, a home and a cache of their own, no secrets, one thread;
    where the system allows, no other process, whose secrets they could read, and none of theirs outlives them; and
    they can write to nothing but `tree` and those folders.
    """
    home = private / "home"
    home.mkdir(parents=True, exist_ok=True)
    own = _configure(tree, private)
    command = [
        sys.executable,
        "-P",
        "-m",
        "dvc",
        "repro",
        "--force",
        "--no-run-cache",
        "--no-commit",
        "--single-item",
    ]

    later = [meanwhile]

    def tell(line: str) -> None:
        if line.startswith("Running stage "):
            if later:
                later.pop()()
            progress.step(line.removesuffix(":").lower())

    return _process.run(
        environments.alone([*command, "--", *(stage.address for stage in stages)], own),
        cwd=tree,
        env=_variables(home, python),
        timeout=timeout,
        on_line=tell,
    )


def _variables(home: Path, python: Path) -> dict[str, str]:
    """Return the environment of the stages: the same on every machine but for the programs that PATH finds."""
    variables = environments.scrubbed(home, **ONE_THREAD, **NO_TELEMETRY)
    del variables["PYTHONSAFEPATH"]  # a stage's script imports the modules beside it
    shell = shutil.which("bash") or "/bin/sh"
    path = os.pathsep.join([str(python.parent), variables.get("PATH", os.defpath)])
    fixed = {"PATH": path, "SHELL": shell, "TZ": "UTC", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}
    return {
        **variables,
        **fixed,
        "VIRTUAL_ENV": str(python.parent.parent),
        "XDG_CACHE_HOME": str(home / ".cache"),
    }


def _configure(tree: Path, private: Path) -> list[Path]:
    """Write the worktree's local settings: an own empty cache, and no git, where the re-run has no business.

    Returns:
        The folders outside the tree that DVC then writes to.
    """
    _refuse_links_of_dvc(tree)
    cache, site = private / "rerun-cache", private / "rerun-site"
    shutil.rmtree(cache, ignore_errors=True)
    for folder in (cache, site):
        folder.mkdir(exist_ok=True)
    lines = [
        "[core]",
        "    no_scm = true",
        "    analytics = false",
        "    check_update = false",
        "    autostage = false",
        f"    site_cache_dir = {site}",
        "[cache]",
        f"    dir = {cache}",
        "    type = copy",
    ]
    (tree / ".dvc" / "config.local").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [cache, site]


@contextlib.contextmanager
def _open(tree: Path, private: Path, config: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Yield DVC's `Repo` at `tree`, which writes only to `private`.

    It has the user's settings, what `config` gives, and how the commit wants its stages' `${…}` read. The commit's
    other settings are left aside: its remotes would be asked with the user's credentials.
    """
    # CRITICAL also switches its progress bars off; what went wrong comes as an exception.
    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    if not (tree / ".dvc").is_dir():
        raise UsageError("the commit holds no DVC project at its root (`.dvc/` is missing); run `dvc init` and commit")
    _refuse_links_of_dvc(tree)
    given = dict(config or {})
    core = {
        "no_scm": True,
        "site_cache_dir": str(private / "site"),
        "analytics": False,
        **given.pop("core", {}),
    }
    cache = {"dir": str(private / "cache"), "type": ["reflink", "copy"]}
    with _translated("DVC's project cannot be opened"):
        parsing = _committed(tree).get("parsing", {})
        repo = _repo_class()(str(tree), config={"core": core, "cache": cache, "parsing": parsing, **given})
    with contextlib.closing(repo):
        yield repo


def _repo_class() -> Any:
    """Return DVC's `Repo`, but without the settings that lie in the worktree."""
    from dvc.config import Config
    from dvc.repo import Repo

    class Worktree(Repo):  # type: ignore[misc]  # DVC has no types
        @functools.cached_property
        def config(self) -> Any:
            return Config(config=self._config)

        def _ignore(self) -> None:
            """Leave alone what git ignores: the worktree is thrown away."""

    return Worktree


def _committed(root: Path) -> dict[str, Any]:
    """Return what `.dvc/config` at `root` says; nothing where it is not there."""
    from dvc.config import Config

    try:
        found: dict[str, Any] = Config.load_file(str(root / ".dvc" / "config"))
    except FileNotFoundError:
        return {}
    return found


def _refuse_links_of_dvc(tree: Path) -> None:
    """Refuse a link in `.dvc` of the commit: DVC, and what is written here, would write where it leads."""
    folder = tree / ".dvc"
    if links := [path for path in (folder, *folder.rglob("*")) if path.is_symlink()]:
        raise UsageError(f"{links[0].relative_to(tree)} is a link; make it a file or folder of the commit")


def overruled(tree: Path, root: Path) -> list[str]:
    """Return which of the commit's settings of remotes and cache differ from the checkout's, whose are taken instead.

    Args:
        tree: the worktree.
        root: the user's checkout.
    """
    with _translated("DVC's configuration cannot be read"):
        theirs, ours = (
            {name: str(value) for name, value in _flat(_committed(where)) if name.split(".")[0] in _OF_THE_USER}
            for where in (tree, root)
        )
    return sorted(name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as exc:
        causes = [str(exc)]
        cause = exc.__cause__
        while cause is not None:
            causes.append(str(cause))
            cause = cause.__cause__
        raise UsageError(f"{what}: {': '.join(text for text in causes if text)}") from exc
