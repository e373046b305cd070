"""Reads data files and predictions, each column once in a process, and joins them by row id, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.gates import Champion, Inputs
from passmuster_checks.statistics import Scored

#: What the columns of class probabilities begin with.
PROBABILITY = "proba_"

#: The rows that comparisons are made on.
TEST = "test"


def file_schema(path: Path) -> pa.Schema:
    """Return the columns of a Parquet file and their types.

    Raises:
        NotMeasured: the file is not Parquet.
    """
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as exc:
        raise NotMeasured(f"{path.name} can't be read as Parquet: {exc}") from exc


@lru_cache(maxsize=256)
def column(path: Path, name: str) -> pa.Array:
    """Return one column of a Parquet file, as one array without dictionary encoding.

    Raises:
        NotMeasured: the file is not Parquet, or has no such column, or has it twice, or has no rows.
    """
    names = file_schema(path).names
    if names.count(name) != 1:
        raise NotMeasured(f"{path.name} has {names.count(name)} columns {name!r}, one is needed")
    try:
        values = pq.read_table(path, columns=[name]).column(0).combine_chunks()
    except (OSError, pa.ArrowException) as exc:
        raise NotMeasured(f"{path.name}: column {name!r} can't be read: {exc}") from exc
    if isinstance(values, pa.ChunkedArray):  # what combine_chunks answers with differs between versions
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if not len(values):
        raise NotMeasured(f"{path.name} has no rows; nothing can be measured on zero rows")
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def texts(values: pa.Array) -> NDArray[Any]:
    """Return the values as Python writes them (`1`, `True`, `bad`), shape (n,); None where one is missing."""
    encoded = values.dictionary_encode()
    words = np.array([*map(_text, encoded.dictionary.to_pylist()), None], dtype=object)
    codes = pc.fill_null(encoded.indices, len(words) - 1).to_numpy(zero_copy_only=False)
    found: NDArray[Any] = words[codes]
    return found


def _text(value: object) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return value if isinstance(value, str) else str(value)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """One model's answers on the rows of one split, in the order of the data file, rows left out taken away."""

    scored: Scored
    rows: NDArray[np.int64]  #: shape (n,): each row's position in the data file


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows of a data file, and how their labels are to be read."""

    path: Path
    id: str
    label: str
    task: Task
    positive: str | None


def candidate(inputs: Inputs, split: str = TEST) -> Answers:
    """Return the candidate's answers on all rows of `split`.

    Raises:
        NotMeasured: an id is missing or there twice, the rows are not those of the data, the labels are not the data's,
            or the answers are no answers (see `Scored`).
    """
    return _of(inputs, inputs.predictions, split, "the candidate's predictions")


def pair(inputs: Inputs, split: str = TEST) -> tuple[Answers, Answers, int | None]:
    """Return candidate's and champion's answers on the same rows, and how many rows were left out.

    Left out are rows that the champion was trained on; None where it is not known which these are.

    Raises:
        NotMeasured: as for `candidate`; or there is no champion.
    """
    champion = inputs.champion
    if not isinstance(champion, Champion):
        raise NotMeasured(f"there is no champion to compare with: {champion.message}")
    ours = candidate(inputs, split)
    theirs = _of(inputs, champion.predictions, split, "the champion's predictions")
    trained_on = champion.leave_out.get(split)
    if trained_on is None:
        return ours, theirs, None
    ids = _ids(inputs.data[split], inputs.config.data.id)
    # A file of no ids is as good as none; `column` would refuse it.
    seen = _native(column(trained_on, inputs.config.data.id)) if pq.read_metadata(trained_on).num_rows else ids[:0]
    kept = np.flatnonzero(~_is_in(ids, seen))
    if not len(kept):
        raise NotMeasured(f"the champion was trained on all {len(ids):,} rows of {split}; none is left to compare on")
    return _take(ours, kept), _take(theirs, kept), len(ids) - len(kept)


def _take(answers: Answers, rows: NDArray[np.int64]) -> Answers:
    return Answers(scored=answers.scored.take(rows), rows=answers.rows[rows])


@lru_cache(maxsize=8)
def _ids(path: Path, name: str) -> NDArray[Any]:
    ids = _native(column(path, name))
    _refuse_twice(ids, path.name)
    return ids


def _native(values: pa.Array) -> NDArray[Any]:
    if values.null_count:
        raise NotMeasured(f"{values.null_count:,} row ids are missing; each row needs its own")
    ids: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if ids.dtype.kind == "f":
        raise NotMeasured("row ids are floating point numbers; use whole numbers or text, which are exact")
    return ids.astype(str) if ids.dtype == object else ids


def _refuse_twice(ids: NDArray[Any], what: str) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (twice := counts > 1).any():
        raise NotMeasured(
            f"{what}: {int(twice.sum()):,} row ids are there more than once, first {values[twice][0]!s:.80}"
        )


def _is_in(ids: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    if not len(others):
        return np.zeros(len(ids), dtype=bool)
    _same_kind(ids, others)
    return np.isin(ids, others)


def _same_kind(ids: NDArray[Any], others: NDArray[Any]) -> None:
    if ids.dtype.kind != others.dtype.kind and {ids.dtype.kind, others.dtype.kind} != {"i", "u"}:
        raise NotMeasured(f"row ids are {ids.dtype} in the data and {others.dtype} elsewhere; rows can't be matched")


def _positions(ids: NDArray[Any], others: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Return where each of `ids` stands in `others`; both must hold the same ids, each once."""
    _refuse_twice(others, what)
    _same_kind(ids, others)
    if len(others) != len(ids):
        raise NotMeasured(f"{what}: {len(others):,} rows, but the data has {len(ids):,}")
    order = np.argsort(others, kind="stable")
    found: NDArray[np.int64] = order[np.searchsorted(others, ids, sorter=order).clip(max=len(others) - 1)]
    if (strange := others[found] != ids).any():
        raise NotMeasured(
            f"{what}: {int(strange.sum()):,} rows of the data have no answer, first id {ids[strange][0]!s:.80}"
        )
    return found


def _of(inputs: Inputs, files: Mapping[str, Path], split: str, what: str) -> Answers:
    if split not in inputs.data or split not in files:
        raise NotMeasured(f"there are no data or no answers: {what}, split {split!r}")
    data = inputs.config.data
    rows = _Rows(path=inputs.data[split], id=data.id, label=data.label, task=inputs.config.task, positive=data.positive)
    return _answers(files[split], rows, f"{what} ({split})")


@lru_cache(maxsize=8)
def _answers(path: Path, rows: _Rows, what: str) -> Answers:
    ids = _ids(rows.path, rows.id)
    found = pa.array(_positions(ids, _native(column(path, rows.id)), what))
    truth = column(rows.path, rows.label)
    names = file_schema(path).names
    classes = sorted(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))
    wanted = ["label", "prediction", *(PROBABILITY + name for name in classes)]
    aligned = {name: column(path, name).take(found) for name in wanted}
    regression = rows.task is Task.REGRESSION
    scored = _regression(truth, aligned, what) if regression else _classes(truth, aligned, classes, rows, what)
    return Answers(scored=scored, rows=np.arange(len(ids)))


def _regression(truth: pa.Array, aligned: Mapping[str, pa.Array], what: str) -> Scored:
    label, said = numbers(truth), numbers(aligned["label"])
    if not np.array_equal(label, said, equal_nan=True):
        raise NotMeasured(f"{what}: the labels are not those of the data")
    return Scored.regression(label=label, prediction=numbers(aligned["prediction"]))


def _classes(
    truth: pa.Array, aligned: Mapping[str, pa.Array], classes: Sequence[str], rows: _Rows, what: str
) -> Scored:
    label = texts(truth)
    if not np.array_equal(label, texts(aligned["label"])):
        raise NotMeasured(f"{what}: the labels are not those of the data")
    if (len(classes) == 2) != (rows.task is Task.BINARY):
        raise NotMeasured(f"{what}: {len(classes)} classes have a probability, which does not fit task {rows.task}")
    return Scored.classification(
        label=label,
        prediction=texts(aligned["prediction"]),
        classes=classes,
        positive=rows.positive,
        probabilities=np.column_stack([numbers(aligned[PROBABILITY + name]) for name in classes]),
    )


def numbers(values: pa.Array) -> NDArray[Any]:
    """Return a column of numbers, shape (n,), float64; NaN where one is missing.

    Raises:
        NotMeasured: the column holds no numbers.
    """
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise NotMeasured(f"numbers are needed, not {values.type}")
    found: NDArray[Any] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found
