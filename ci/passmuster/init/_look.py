"""What a foreign repository already has: its branches, its pipelines, what they make, and the data's columns.

Everything here is a guess that a person reads and corrects; what can't be guessed is None or empty, never made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from passmuster import _dvc_graph
from passmuster._dvc_graph import Graph, Stage
from passmuster._git import GitError, Repository
from passmuster._tree import Folder
from passmuster.config import ColumnType, Task

_SLUG = re.compile(r"github\.com[:/](?P<slug>[\w.-]+/[\w.-]+?)(\.git)?/?$")
_TABLES = (".parquet", ".csv")

#: Names that people give to what is predicted, and to what names a row; compared in lower case.
_LABELS = ("target", "label", "y", "class", "outcome", "default", "churn", "price")
_IDS = ("id", "row_id", "uuid", "key")

#: A label of whole numbers with at most this many different values is taken for classes.
_MOST_CLASSES = 20


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of one data file."""

    types: Mapping[str, ColumnType]
    nullable: frozenset[str]
    label: str | None
    id: str | None
    task: Task | None
    classes: tuple[str, ...] = ()  #: the label's values, where it is classified


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline that makes a model: the stages at its end, and what they and those before them make."""

    targets: tuple[str, ...]
    model: str | None
    train: str | None
    test: str | None
    reference: str | None
    prepare: tuple[str, ...]
    outputs: Mapping[str, str]  #: path → how it is compared: "metrics" or "predictions"
    requirements: str | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was seen in a repository."""

    root: Path
    branch: str  #: the default branch
    slug: str | None  #: "owner/name" on GitHub
    configs: tuple[str, ...]  #: models that have a config already
    pipelines: tuple[Pipeline, ...]
    locks: tuple[str, ...]  #: files that say what is installed: uv.lock, requirements*.txt, pyproject.toml
    mlflow: bool  #: whether a file of these names MLflow
    config_folder: str


def look(root: Path, config_folder: str) -> Found:
    """Return what the checkout at `root` has; reads files and git, writes nothing.

    Raises:
        UsageError: DVC's files can't be read.
    """
    repository, files = Repository(root), Folder(root)
    graph = _dvc_graph.read(files)
    locks = tuple(sorted(path for path in files.paths if _is_lock(path)))
    texts = files.read(locks)
    return Found(
        root=root,
        branch=_branch(repository),
        slug=_slug(repository),
        configs=tuple(
            sorted(PurePosixPath(p).stem for p in files.paths if PurePosixPath(p).match(f"{config_folder}/*.yaml"))
        ),
        pipelines=_pipelines(graph, root, locks, texts),
        locks=locks,
        mlflow=any(b"mlflow" in text for text in texts.values()),
        config_folder=config_folder,
    )


def _is_lock(path: str) -> bool:
    name = PurePosixPath(path).name
    return name in ("uv.lock", "pyproject.toml") or (name.startswith("requirements") and name.endswith((".txt", ".in")))


def _asked(repository: Repository, *arguments: str) -> str:
    try:
        return repository.run(*arguments)
    except GitError:
        return ""


def _branch(repository: Repository) -> str:
    """Return the remote's default branch; else `main` or `master`, whichever is there; else the current one."""
    if head := _asked(repository, "symbolic-ref", "--short", "refs/remotes/origin/HEAD"):
        return head.removeprefix("origin/")
    branches = _asked(repository, "branch", "--format=%(refname:short)").split()
    usual: list[str] = [name for name in ("main", "master") if name in branches]
    return (usual or [_asked(repository, "symbolic-ref", "--short", "HEAD") or "main"])[0]


def _slug(repository: Repository) -> str | None:
    found = _SLUG.search(_asked(repository, "remote", "get-url", "origin"))
    return found["slug"] if found else None


def _pipelines(graph: Graph, root: Path, locks: Sequence[str], texts: Mapping[str, bytes]) -> tuple[Pipeline, ...]:
    """Return the pipelines that make something that looks like a model, one for each such output."""
    stages = {address: stage for address, stage in graph.stages.items() if stage.runs}
    return tuple(
        _pipeline(graph, root, stages, address, out, locks, texts)
        for address, stage in sorted(stages.items())
        for out in stage.outs
        if "model" in PurePosixPath(out).name.lower() and not out.endswith(_TABLES)
    )


def _pipeline(
    graph: Graph,
    root: Path,
    stages: Mapping[str, Stage],
    maker: str,
    model: str,
    locks: Sequence[str],
    texts: Mapping[str, bytes],
) -> Pipeline:
    after = [address for address in stages if maker in graph.upstream([address]) and address != maker]
    # The ends: what nothing else needs.
    ends = [a for a in after if not any(a in graph.upstream([b]) for b in after if b != a)]
    targets = tuple(sorted(ends)) or (maker,)
    belonging = {address for address in graph.upstream(targets) if address in stages}
    outs = sorted(out for address in belonging for out in stages[address].outs)
    tables = _tables(outs, graph, root)
    splits = {split: _split(tables, names) for split, names in _SPLITS.items()}
    prepare = {a for path in splits.values() if path for a in graph.makers(path) if a in belonging}
    before = graph.upstream(prepare)
    return Pipeline(
        targets=targets,
        model=model,
        train=splits["train"],
        test=splits["test"],
        reference=splits["reference"],
        prepare=tuple(sorted(prepare)) if maker not in before else (),
        outputs=_outputs(outs, {p for p in splits.values() if p}, model),
        requirements=_requirements(model, locks, texts),
    )


_SPLITS = {"train": ("train",), "test": ("test", "holdout"), "reference": ("reference", "valid", "val", "dev")}


def _tables(outs: Iterable[str], graph: Graph, root: Path) -> list[str]:
    """Return the data files that stages make: outputs, dependencies inside one, and what lies in one here."""
    deps = {dep for stage in graph.stages.values() for dep in stage.deps}
    inside = {
        path.relative_to(root).as_posix()
        for out in outs
        if (root / out).is_dir()
        for path in sorted((root / out).iterdir())
    }
    return sorted(path for path in {*outs, *deps, *inside} if path.endswith(_TABLES))


def _split(tables: Iterable[str], names: Sequence[str]) -> str | None:
    """Return the table whose name says that it is this split, and not its labels alone."""
    words = {path: re.split(r"[^a-z]+", PurePosixPath(path).stem.lower()) for path in tables}
    found = (path for name in names for path in words if name in words[path] and not {"y", "labels"} & {*words[path]})
    return next(found, None)


def _outputs(outs: Iterable[str], data: set[str], model: str) -> dict[str, str]:
    found = {}
    for out in outs:
        name = PurePosixPath(out).name.lower()
        if out in data or out == model:
            continue
        if name.endswith((".json", ".yaml")) and ("metric" in name or "score" in name):
            found[out] = "metrics"
        elif name.endswith(_TABLES) and "pred" in name:
            found[out] = "predictions"
    return found


def _requirements(model: str, locks: Sequence[str], texts: Mapping[str, bytes]) -> str | None:
    """Return the lock with hashes that is nearest to the model's folder, where there is one."""
    hashed = [path for path in locks if path.endswith(".txt") and b"--hash=" in texts.get(path, b"")]
    near = sorted(hashed, key=lambda path: -len(_shared(path, model)))
    return near[0] if near else None


def _shared(one: str, other: str) -> tuple[str, ...]:
    pairs = zip(PurePosixPath(one).parts, PurePosixPath(other).parts, strict=False)
    parts = []
    for left, right in pairs:
        if left != right:
            break
        parts.append(left)
    return tuple(parts)


def columns(path: Path, *, label: str | None = None, key: str | None = None) -> Columns | None:
    """Return the columns of a Parquet or CSV file, and which of them seem to be label and id; None: unreadable.

    Args:
        path: the file.
        label: the column that is predicted, where a person said it.
        key: the column that names a row, where a person said it.
    """
    import pyarrow as pa

    from passmuster.comparison import read_table

    try:
        table = read_table(path)
    except (OSError, ValueError, pa.ArrowException):
        return None
    types = {name: _type(table.schema.field(name).type) for name in table.schema.names}
    label = label if label in types else _label(table)
    key = key if key in types else _id(table)
    return Columns(
        types=types,
        nullable=frozenset(name for name in types if table[name].null_count),
        label=label,
        id=key,
        **_task(table, label),
    )


def _type(kind: Any) -> ColumnType:
    from pyarrow import types

    if types.is_boolean(kind):
        return ColumnType.BOOLEAN
    if types.is_integer(kind):
        return ColumnType.INTEGER
    if types.is_floating(kind) or types.is_decimal(kind):
        return ColumnType.NUMBER
    if types.is_temporal(kind):
        return ColumnType.DATETIME
    return ColumnType.STRING


def _label(table: Any) -> str | None:
    """Return the column whose name is one that people give to what is predicted; else nothing."""
    names = {name.lower(): name for name in table.schema.names}
    return next((names[name] for name in _LABELS if name in names), None)


def _id(table: Any) -> str | None:
    """Return the first column whose name is that of an id and whose values are all there and all different."""
    from pyarrow import compute as pc

    for name in table.schema.names:
        low = name.lower()
        if low in _IDS or low.endswith(("_id", "-id")) or (name.endswith("Id") and len(name) > 2):
            column = table[name]
            if not column.null_count and pc.count_distinct(column).as_py() == len(column):
                return str(name)
    return None


def _task(table: Any, label: str | None) -> dict[str, Any]:
    from pyarrow import compute as pc
    from pyarrow import types

    if label is None:
        return {"task": None}
    column = table[label]
    if types.is_floating(column.type) and pc.count_distinct(column).as_py() > 2:
        return {"task": Task.REGRESSION}
    values = pc.unique(column.drop_null()).to_pylist()
    if len(values) > _MOST_CLASSES:
        is_text = types.is_string(column.type) or types.is_large_string(column.type)
        return {"task": Task.MULTICLASS if is_text else Task.REGRESSION}
    task = Task.BINARY if len(values) == 2 else Task.MULTICLASS
    return {"task": task, "classes": tuple(str(value) for value in sorted(values, key=str))}
