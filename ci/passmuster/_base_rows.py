"""The test rows of the commit that rules, where the candidate brings others: who drops hard rows is judged on them too.

The rows are the base's by content: from its commit, or DVC's object of the hash that its `dvc.lock` records, or made
again by its own preparation. Rows that the candidate was trained on are left out and counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster import _dvc, _preparation, _recipe, comparison
from passmuster import config as configs
from passmuster._git import Repository
from passmuster._tree import Tree
from passmuster.config import ModelConfig
from passmuster.errors import NotMeasured, UsageError
from passmuster.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

#: What became of the comparison: the same rows, others, or it could not be told.
SAME, OTHERS, UNKNOWN = "same", "others", "unknown"

#: The split's name, in file names and before the names of measurements.
BASE = "base"

#: Row ids that are named of each kind of difference.
_MOST = 5


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The base's rows that candidate and champion are asked."""

    commit: str  #: the base
    config: ModelConfig  #: the model's, there
    lock: Path  #: of the environment that its stages ran in
    own: Path  #: Parquet: as the base's preparation made them
    candidates: Path  #: Parquet: as the candidate's would, so that it can take them


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the comparison of the test rows found."""

    told: Mapping[str, Any]  #: for the record: commit, state, message, what differs
    rows: Rows | None = None  #: None: there is nothing to ask


def find(
    root: Path,
    config: ModelConfig,
    *,
    base: str,
    candidate: str,
    data: Mapping[str, Path],
    made: Mapping[str, str | None],
    lock: Path,
    to: Path,
    progress: Progress,
) -> Found:
    """Compare the candidate's test rows with those of the commit `base`, by id, label and the features of both.

    Args:
        root: the user's checkout.
        config: the candidate's.
        base: the commit whose rows count too.
        candidate: the candidate's commit.
        data: the candidate's splits, Parquet.
        made: path of each output of the candidate's re-run → its hash.
        lock: the candidate's.
        to: an empty folder for the rows.
        progress: told what is going on.

    Raises:
        Unavailable: a remote or the package index did not answer.
    """
    search = _Search(Repository(root), root, config, base, candidate, data, lock, to, progress)
    try:
        return search.found(made)
    except (NotMeasured, UsageError, _dvc.DataMissing) as exc:
        return unknown(base, f"the test rows of {base[:12]} can't be compared with the candidate's: {exc}")


def unknown(base: str, message: str) -> Found:
    """Return that nobody can say whether the rows are the same, which no gate takes for *the same*."""
    return Found(told={"commit": base, "state": UNKNOWN, "message": message})


@dataclass(frozen=True)
class _Search:
    repository: Repository
    root: Path
    config: ModelConfig
    base: str
    candidate: str
    data: Mapping[str, Path]
    lock: Path
    to: Path
    progress: Progress

    def found(self, made: Mapping[str, str | None]) -> Found:
        same = Found(told={"commit": self.base, "state": SAME})
        config = configs.load_at(self.repository, self.base, only=[self.config.name]).get(self.config.name)
        if config is None:
            raise NotMeasured(f"that commit has no {self.config.path}")
        if (config.data.id, config.data.label) != (self.config.data.id, self.config.data.label):
            raise NotMeasured("id or label is another column there")
        if self._same_file(config, made):
            return same
        self.progress.step(f"{self.config.name}: the test rows of {self.base[:12]}")
        rows = self._table(config)
        differences = _Differences.between(rows, self.data, config.data.id, config.data.label)
        if not differences:
            return same
        told = {"commit": self.base, "state": OTHERS, "differences": differences.to_json()}
        return Found(told=told, rows=self._rows(config, rows, differences))

    def _same_file(self, config: ModelConfig, made: Mapping[str, str | None]) -> bool:
        """Return whether hashes say so already: then nothing need be brought."""
        before = _hash(_recipe.recorded(self.repository, self.base), config.data.test)
        if before is not None and before == _hash(made, self.config.data.test):
            return True
        trees = (Tree.at(self.repository, commit).entries for commit in (self.base, self.candidate))
        old, new = (tree.get(one.data.test) for tree, one in zip(trees, (config, self.config), strict=True))
        return old is not None and old == new and _hash(made, self.config.data.test) is None

    def _table(self, config: ModelConfig) -> pa.Table:
        """Return all test rows of the base."""
        with (
            self.repository.worktree(self.base) as tree,
            tempfile.TemporaryDirectory(prefix="passmuster-dvc-") as private,
        ):
            path = tree / config.data.test
            try:
                _bring(self.root, tree, config, Path(private))
            except _dvc.DataMissing as exc:
                if not config.data.prepare:
                    raise NotMeasured(f"{exc}; name data.prepare, whose stages can make them again") from exc
                lock = tree / config.requirements
                _preparation.run(self.root, config, self.base, lock, tree, Path(private) / "run", self.progress)
            try:
                return comparison.read_table(path)
            except ValueError as exc:
                raise NotMeasured(f"{config.data.test}: {exc}") from exc

    def _rows(self, config: ModelConfig, rows: pa.Table, differences: _Differences) -> Rows:
        """Write the rows for base and candidate, less those that the candidate was trained on."""
        from pyarrow import compute as pc
        from pyarrow import parquet as pq

        kept = rows.filter(pc.invert(differences.trained_on))
        if not kept.num_rows:
            raise NotMeasured(f"the candidate was trained on all {rows.num_rows:,} of them")
        (self.to / "lock").write_text(self.repository.read(self.base, config.requirements) or "", encoding="utf-8")
        own = self.to / "own.parquet"
        pq.write_table(kept, own)
        candidates = own
        if not differences.alike:
            self.progress.step(f"{self.config.name}: preparing the raw data of {self.base[:12]} as the candidate does")
            (self.to / "prepared").mkdir()
            candidates = _preparation.prepare(
                self.root,
                config,
                champion=self.candidate,
                candidate=self.base,
                lock=self.lock,
                splits={BASE: own},
                to=self.to / "prepared",
                progress=self.progress,
            )[BASE]
        return Rows(commit=self.base, config=config, lock=self.to / "lock", own=own, candidates=candidates)


def _bring(root: Path, tree: Path, config: ModelConfig, private: Path) -> None:
    """Put the base's test rows into its worktree, where they are not in git.

    Raises:
        DataMissing: neither the user's cache nor a remote has them.
    """
    path = config.data.test
    if (tree / path).exists():
        return
    closure = _dvc.closure(tree, [*config.pipeline.targets, *config.data.prepare], private)
    wanted = [out for out in closure.outs if _dvc.overlaps(out, path)]
    wanted += [source.file for source in closure.sources if any(_dvc.overlaps(o.path, path) for o in source.outs)]
    if not wanted:
        raise NotMeasured(f"{path} is neither in that commit nor made by its stages")
    _dvc.bring(tree, wanted, _dvc.supply(root), private)


def _hash(made: Mapping[str, str | None], path: str) -> str | None:
    """Return what a file's content is by its hash, or by that of the folder that holds it; None: not known."""
    out = next((out for out in made if path == out or path.startswith(f"{out}/")), None)
    return None if out is None or made[out] is None else f"{made[out]}/{path.removeprefix(out)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Differences:
    """How the candidate's test rows differ from the base's; ids are of the base's rows, but those that are new."""

    trained_on: pa.Array  #: for each of the base's rows: whether it is among the candidate's training rows
    alike: bool  #: whether the candidate can take the base's rows as they are: its columns mean the same there
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: kind of difference → the first ids
    counts: Mapping[str, int] = field(default_factory=dict)  #: kind of difference → rows
    rows: int  #: of the base

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """Return what the record says."""
        return {"rows": self.rows, "counts": dict(self.counts), "first": {k: list(v) for k, v in self.ids.items()}}

    @classmethod
    def between(cls, base: pa.Table, data: Mapping[str, Path], key: str, label: str) -> _Differences:
        """Compare rows by id; columns that only one side has are no difference of rows.

        Raises:
            NotMeasured: ids can't be compared, or are not unique.
        """
        import pyarrow as pa
        from pyarrow import compute as pc
        from pyarrow import parquet as pq

        test, train = (pq.ParquetFile(data[split]).read() for split in ("test", "train"))
        try:
            ids = _plain(base.column(key))
            ours, trained = (_plain(table.column(key)).cast(ids.type) for table in (test, train))
        except (KeyError, pa.ArrowException) as exc:
            raise NotMeasured(f"column {key!r} can't be compared: {exc}") from exc
        if any(pc.count_distinct(one).as_py() != len(one) for one in (ids, ours)):
            raise NotMeasured(f"{key} does not name each row")
        trained_on = pc.is_in(ids, value_set=trained)
        relabelled, changed, alike = _compared(base, ids, test, ours, label, {key, label})
        if not pc.any(pc.is_in(ids, value_set=ours)).as_py():  # rows that moved tell it too
            alike = _compared(base, ids, train, trained, label, {key, label})[2]
        gone = pc.and_(pc.invert(pc.is_in(ids, value_set=ours)), pc.invert(trained_on))
        kinds = {
            "removed": ids.filter(gone),
            "trained_on": ids.filter(trained_on),
            "relabelled": relabelled,
            "changed": changed,
            "added": ours.filter(pc.invert(pc.is_in(ours, value_set=ids))),
        }
        return cls(
            trained_on=trained_on,
            alike=alike and set(test.column_names) <= set(base.column_names),
            ids={kind: [str(one)[:80] for one in found[:_MOST].to_pylist()] for kind, found in kinds.items()},
            counts={kind: len(found) for kind, found in kinds.items()},
            rows=base.num_rows,
        )


def _plain(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    found = column.combine_chunks()
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


def _compared(
    base: pa.Table, ids: pa.Array, other: pa.Table, others: pa.Array, label: str, apart: set[str]
) -> tuple[pa.Array, pa.Array, bool]:
    """Return which ids have another label, which other features, and whether there are rows and none has."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute as pc

    at = pc.index_in(ids, value_set=others)
    there = pc.is_valid(at)
    ours, theirs, named = base.filter(there), other.take(at.drop_null()), ids.filter(there)
    features = [name for name in base.column_names if name in other.column_names and name not in apart]
    changed = np.zeros(len(named), dtype=bool)
    for name in features:
        changed |= _preparation.differ(ours.column(name), theirs.column(name))
    relabelled = _preparation.differ(ours.column(label), theirs.column(label))
    alike = bool(len(named)) and not changed.any()
    return named.filter(pa.array(relabelled)), named.filter(pa.array(changed)), alike
