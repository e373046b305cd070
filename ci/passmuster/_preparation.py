"""The champion's own preparation of the candidate's raw data, where the champion can't take the candidate's columns.

In a worktree of the champion's commit, the raw data is replaced by the candidate commit's, the champion's stages
`data.prepare` are run in the champion's environment, and what they make gives the rows of the candidate's
splits, by id.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from passmuster import _dvc, comparison, environments
from passmuster import config as configs
from passmuster._git import GitError, Repository
from passmuster.config import ModelConfig
from passmuster.errors import NotMeasured, UsageError
from passmuster.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

#: What tells data from code among the files in git that a stage reads; what `.dvc` files name is data always.
DATA_SUFFIXES = frozenset(
    {
        *(".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xlsx"),
        *(".parquet", ".feather", ".arrow", ".avro", ".orc", ".npy", ".npz", ".db", ".sqlite"),
        *(".gz", ".bz2", ".xz", ".zst", ".zip"),
    }
)


def prepare(
    root: Path,
    config: ModelConfig,
    *,
    champion: str,
    candidate: str,
    lock: Path,
    splits: Mapping[str, Path],
    to: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Return split → Parquet with the candidate's rows as the champion's preparation makes them.

    The files hold the champion's columns, and the candidate's id and label.

    Args:
        root: the user's checkout.
        config: the candidate's.
        champion: the champion's commit.
        candidate: the candidate's commit, whose raw data is taken.
        lock: the champion's.
        splits: the candidate's data, Parquet.
        to: an empty folder.
        progress: told what is going on.

    Raises:
        NotMeasured: the commit or its config is not here, the stages fail on this raw data, or rows are missing.
        Unavailable: a remote or the package index did not answer.
    """
    repository = Repository(root)
    try:
        old = _config_at(repository, champion, config.name)
        with repository.worktree(champion) as tree, tempfile.TemporaryDirectory(prefix="passmuster-dvc-") as private:
            tables = _run(root, repository, old, candidate, lock, tree, Path(private), progress)
    except (UsageError, _dvc.DataMissing) as exc:
        raise NotMeasured(f"the champion's own preparation can't be run: {exc}") from exc
    rows = _merged(tables, old.data.id)
    return {split: _split(rows, old, config, path, to / f"{split}.parquet") for split, path in splits.items()}


def _config_at(repository: Repository, commit: str, name: str) -> ModelConfig:
    found = configs.load_at(repository, commit).get(name)
    if found is None:
        raise NotMeasured(f"the champion's commit {commit[:12]} has no config of {name}")
    if not found.data.prepare:
        raise NotMeasured(f"the champion's config names no data.prepare stages ({found.path} at {commit[:12]})")
    return found


def _run(
    root: Path,
    repository: Repository,
    old: ModelConfig,
    candidate: str,
    lock: Path,
    tree: Path,
    private: Path,
    progress: Progress,
) -> list[pa.Table]:
    """Run the stages on the candidate's raw data; the answer is what they make, one table for each split."""
    sources = _replace_raw_data(repository, _dvc.closure(tree, old.data.prepare, private), candidate, tree)
    progress.step("preparing the candidate's raw data as the champion's commit does")
    _dvc.bring(tree, sources, _dvc.supply(root), private)
    closure = _dvc.closure(tree, old.data.prepare, private / "again")
    for path in closure.outs:
        shutil.rmtree(tree / path, ignore_errors=True)
        (tree / path).unlink(missing_ok=True)
    python = environments.ensure(lock)
    done = _dvc.run(tree, closure.stages, python, private, timeout=old.pipeline.timeout, progress=progress)
    if done.returncode != 0:
        said = done.last_lines().replace(str(tree), ".")
        raise NotMeasured(f"the champion's own preparation failed on the candidate's raw data:\n{said}")
    files = [path for path in (old.data.train, old.data.test, old.data.reference) if path is not None]
    try:
        return [comparison.read_table(tree / path) for path in files]
    except ValueError as exc:
        raise NotMeasured(f"what the champion's own preparation made can't be read: {exc}") from exc


def _replace_raw_data(repository: Repository, closure: _dvc.Closure, candidate: str, tree: Path) -> list[str]:
    """Put the candidate commit's raw data in place of the champion's; the answer is the `.dvc` files to bring."""
    tracked = [source.file for source in closure.sources]
    in_git = [path for path in closure.raw if PurePosixPath(path).suffix in DATA_SUFFIXES]
    in_git = [path for path in in_git if not any(_dvc.overlaps(path, o.path) for s in closure.sources for o in s.outs)]
    if not tracked and not in_git:
        raise NotMeasured("the champion's own preparation reads no raw data that could be taken from the candidate")
    # Without hooks: DVC's own would bring the old data back.
    command = ("-c", f"core.hooksPath={os.devnull}", "checkout", repository.commit(candidate), "--", *tracked, *in_git)
    try:
        Repository(tree).run(*command)
    except GitError as exc:
        raise NotMeasured(f"raw data that the champion reads is not in the candidate's commit: {exc.stderr}") from exc
    return tracked


def _merged(tables: list[pa.Table], key: str) -> pa.Table:
    """Return the rows of all splits as one table; a row that is in several splits counts once."""
    import pyarrow as pa

    if any(key not in table.column_names for table in tables):
        raise NotMeasured(f"the champion's own preparation makes no column {key!r}")
    try:
        rows = pa.concat_tables([table.unify_dictionaries() for table in tables], promote_options="permissive")
    except pa.ArrowException as exc:
        raise NotMeasured(f"the splits that the champion's own preparation makes differ in columns: {exc}") from exc
    numbered = pa.table({"id": rows.column(key), "row": pa.array(range(rows.num_rows), pa.int64())})
    first = numbered.group_by("id").aggregate([("row", "min")]).column("row_min")
    return rows.take(first)


def _split(rows: pa.Table, old: ModelConfig, new: ModelConfig, data: Path, out: Path) -> Path:
    """Write the rows of one split of the candidate's, in its order, with its ids and labels."""
    import pyarrow as pa
    from pyarrow import compute as pc
    from pyarrow import parquet as pq

    truth = pq.ParquetFile(data).read(columns=[new.data.id, new.data.label])
    ids = truth.column(new.data.id)
    try:
        places = pc.index_in(ids, value_set=rows.column(old.data.id).cast(ids.type).combine_chunks())
    except pa.ArrowException as exc:
        raise NotMeasured(f"the champion's ids and the candidate's are of different types: {exc}") from exc
    if places.null_count:
        raise NotMeasured(f"the champion's own preparation lacks {places.null_count} of {len(ids)} rows of {out.stem}")
    features = rows.drop_columns([name for name in {old.data.id, old.data.label} if name in rows.column_names])
    if clash := {new.data.id, new.data.label} & set(features.column_names):
        raise NotMeasured(f"{', '.join(sorted(clash))}: an id or label of the candidate, a feature of the champion")
    table = features.take(places)
    for name in (new.data.id, new.data.label):
        table = table.append_column(name, truth.column(name))
    pq.write_table(table, out)
    return out
