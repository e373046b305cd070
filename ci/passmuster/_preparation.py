"""The champion's own preparation of the candidate's raw data, where the candidate's is another one.

A champion that is asked with columns it was not trained for, under their old names or new ones, looks worse than it is.
In a worktree of the champion's commit, the raw data is replaced by the candidate commit's, the champion's stages
`data.prepare` are run in the champion's environment, and what they make gives the rows of the candidate's
splits, by id.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from passmuster import _dvc, _recipe, comparison, environments
from passmuster import config as configs
from passmuster._git import GitError, Repository
from passmuster._recipe import Side
from passmuster._tree import Tree
from passmuster.config import ModelConfig
from passmuster.errors import NotMeasured, UsageError
from passmuster.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

#: How far a label may be from the champion's own: sums and logarithms differ in the last digits between versions.
_LABELS = 1e-9


def difference(
    root: Path,
    config: ModelConfig,
    *,
    champion: str,
    candidate: str,
    locks: tuple[Path, Path],
    made: Mapping[str, str | None],
) -> str:
    """Return in what the champion's preparation and the candidate's differ, in words; empty where nothing known does.

    Where neither config names `data.prepare`, nothing is known.

    Args:
        root: the user's checkout.
        config: the candidate's.
        champion: the champion's commit.
        candidate: the candidate's commit.
        locks: the champion's, the candidate's.
        made: path of each output of the candidate's pipeline → its hash.

    Raises:
        NotMeasured: a commit, its config or its stages are not here, so that it can't be told.
    """
    repository = Repository(root)
    try:
        old = _config_at(repository, champion, config.name)
        if not old.data.prepare and not config.data.prepare:
            return ""
        before = Side(commit=champion, config=old, lock=locks[0], made=_recipe.recorded(repository, champion))
        now = Side(commit=candidate, config=config, lock=locks[1], made=made)
        return _recipe.difference(repository, before, now)
    except UsageError as exc:
        raise NotMeasured(f"whether the champion's data was prepared as the candidate's can't be told: {exc}") from exc


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
        NotMeasured: the commit or its config is not here, the stages fail on this raw data, rows are missing, or a row
            has another label.
        Unavailable: a remote or the package index did not answer.
    """
    repository = Repository(root)
    try:
        old = _config_at(repository, champion, config.name)
        if not old.data.prepare:
            raise NotMeasured(f"the champion's config names no data.prepare stages ({old.path} at {champion[:12]})")
        with repository.worktree(champion) as tree, tempfile.TemporaryDirectory(prefix="passmuster-dvc-") as private:
            run(root, old, candidate, lock, tree, Path(private), progress)
            tables = _tables(tree, old)
    except (UsageError, _dvc.DataMissing) as exc:
        raise NotMeasured(f"the model's own preparation can't be run: {exc}") from exc
    rows = _merged(tables, old.data.id)
    return {split: _split(rows, old, config, path, to / f"{split}.parquet") for split, path in splits.items()}


def _config_at(repository: Repository, commit: str, name: str) -> ModelConfig:
    found = configs.load_at(repository, commit).get(name)
    if found is None:
        raise NotMeasured(f"the champion's commit {commit[:12]} has no config of {name}")
    return found


def run(
    root: Path, old: ModelConfig, candidate: str, lock: Path, tree: Path, private: Path, progress: Progress
) -> None:
    """Run the stages `data.prepare` of `old` in its worktree `tree`, on the raw data of the commit `candidate`.

    Raises:
        NotMeasured: the stages fail on this raw data, or it is not there.
        DataMissing: neither the local cache nor a remote has it.
    """
    repository = Repository(root)
    sources = _replace_raw_data(repository, _dvc.closure(tree, old.data.prepare, private), candidate, tree)
    progress.step(f"preparing the raw data of {candidate[:12]} as another commit does")
    _dvc.bring(tree, sources, _dvc.supply(root), private)
    closure = _dvc.closure(tree, old.data.prepare, private / "again")
    for path in closure.outs:
        shutil.rmtree(tree / path, ignore_errors=True)
        (tree / path).unlink(missing_ok=True)
    python = environments.ensure(lock)
    done = _dvc.run(tree, closure.stages, python, private, timeout=old.pipeline.timeout, progress=progress)
    if done.returncode != 0:
        said = done.last_lines().replace(str(tree), ".")
        raise NotMeasured(f"the model's own preparation failed on the raw data of {candidate[:12]}:\n{said}")


def _tables(tree: Path, old: ModelConfig) -> list[pa.Table]:
    """Return what the stages made, one table for each split."""
    files = [path for path in (old.data.train, old.data.test, old.data.reference) if path is not None]
    try:
        return [comparison.read_table(tree / path) for path in files]
    except ValueError as exc:
        raise NotMeasured(f"what the model's own preparation made can't be read: {exc}") from exc


def _replace_raw_data(repository: Repository, closure: _dvc.Closure, candidate: str, tree: Path) -> list[str]:
    """Put the candidate commit's raw data in place of the champion's; the answer is the `.dvc` files to bring."""
    tracked = [source.file for source in closure.sources]
    theirs = _recipe.raw_in_git(Tree.at(repository, candidate).paths, closure)
    own = _recipe.raw_in_git(Tree.at(Repository(tree), "HEAD").paths, closure)
    if not tracked and not own:
        raise NotMeasured("the model's own preparation reads no raw data that could be taken from the other commit")
    if gone := [path for path in own if path in closure.raw and path not in theirs]:
        raise NotMeasured(f"raw data that the champion reads is not in the candidate's commit: {', '.join(gone)}")
    for path in own:
        (tree / path).unlink()  # of a folder of files the candidate may have others
    # Without hooks: DVC's own would bring the old data back.
    options = ("--literal-pathspecs", "-c", f"core.hooksPath={os.devnull}")
    try:
        if tracked or theirs:
            Repository(tree).run(*options, "checkout", repository.commit(candidate), "--", *tracked, *theirs)
    except GitError as exc:
        raise NotMeasured(f"raw data that the champion reads is not in the candidate's commit: {exc.stderr}") from exc
    return tracked


def _merged(tables: list[pa.Table], key: str) -> pa.Table:
    """Return the rows of all splits as one table; a row that is in several splits counts once."""
    import pyarrow as pa

    if any(key not in table.column_names for table in tables):
        raise NotMeasured(f"the model's own preparation makes no column {key!r}")
    try:
        rows = pa.concat_tables([table.unify_dictionaries() for table in tables], promote_options="permissive")
    except pa.ArrowException as exc:
        raise NotMeasured(f"the splits that the model's own preparation makes differ in columns: {exc}") from exc
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
        raise NotMeasured(f"the model's own preparation lacks {places.null_count} of {len(ids)} rows of {out.stem}")
    _check_labels(rows, places, old, truth, new, out.stem)
    features = rows.drop_columns([name for name in {old.data.id, old.data.label} if name in rows.column_names])
    if clash := {new.data.id, new.data.label} & set(features.column_names):
        raise NotMeasured(f"{', '.join(sorted(clash))}: an id or label of the candidate, a feature of the champion")
    table = features.take(places)
    for name in (new.data.id, new.data.label):
        table = table.append_column(name, truth.column(name))
    pq.write_table(table, out)
    return out


def _check_labels(
    rows: pa.Table, places: pa.Array, old: ModelConfig, truth: pa.Table, new: ModelConfig, split: str
) -> None:
    """Refuse a row that has another label: the champion answers another question, which no comparison makes fair."""
    if old.data.label not in rows.column_names:
        raise NotMeasured(f"the model's own preparation makes no label {old.data.label!r}, so labels can't be compared")
    own = rows.column(old.data.label).take(places)
    others = differ(own, truth.column(new.data.label), rtol=_LABELS)
    if others.any():
        first = truth.column(new.data.id)[int(others.argmax())]
        raise NotMeasured(
            f"{int(others.sum())} of {len(others)} rows of {split} get another label from the model's own "
            f"preparation (first {new.data.id} {str(first)[:80]}): what is predicted has changed, so the two "
            "models can't be compared; undo that, or let a person waive what compares them"
        )


def same(one: Path, other: Path) -> bool:
    """Return whether two Parquet files hold the same columns, in any order, with the same values in the same rows."""
    from pyarrow import parquet as pq

    a, b = pq.ParquetFile(one).read(), pq.ParquetFile(other).read()
    if sorted(a.column_names) != sorted(b.column_names) or a.num_rows != b.num_rows:
        return False
    return not any(differ(a.column(name), b.column(name)).any() for name in a.column_names)


def differ(one: pa.ChunkedArray, other: pa.ChunkedArray, *, rtol: float = 0.0) -> NDArray[np.bool_]:
    """Return for each row whether the values differ; what can't be compared differs, two missing values don't."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute as pc

    one, other = (c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in (one, other))
    kinds = [pa.types.is_floating(c.type) + 2 * pa.types.is_integer(c.type) for c in (one, other)]
    if all(kinds) and 1 in kinds:
        a, b = (np.asarray(c.to_numpy(), dtype=np.float64) for c in (one, other))
        return np.asarray(~np.isclose(a, b, rtol=rtol, atol=0, equal_nan=True))
    try:
        equal = pc.fill_null(pc.equal(one, other), False)
        return ~np.asarray(pc.or_(equal, pc.and_(pc.is_null(one), pc.is_null(other))))
    except pa.ArrowException:
        return np.ones(len(one), dtype=bool)
