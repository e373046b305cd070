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
from passmuster_checks import _arrow
from passmuster_checks.statistics import Scored
from passmuster_checks.statistics.scored import Encoded

#: What the columns of class probabilities begin with.
PROBABILITY = "proba_"

#: The rows that comparisons are made on.
TEST = "test"


def file_schema(path: Path) -> pa.Schema:
    """Return the columns of a Parquet file and their types.

    Raises:
        NotMeasured: the file is not Parquet.
    """
    schema, _ = _header(path)
    return schema


@lru_cache(maxsize=16)
def _header(path: Path) -> tuple[pa.Schema, Any]:
    """Return a file's schema and its metadata, which tell where each column is: read once, not for each of them."""
    try:
        with pq.ParquetFile(path) as file:
            return file.schema_arrow, file.metadata
    except (OSError, pa.ArrowException) as exc:
        raise NotMeasured(f"{path.name} can't be read as Parquet: {exc}") from exc


@lru_cache(maxsize=256)
def column(path: Path, name: str) -> pa.Array:
    """Return one column of a Parquet file, as one array without dictionary encoding.

    Raises:
        NotMeasured: the file is not Parquet, or has no such column, or has it twice, or has no rows.
    """
    schema, metadata = _header(path)
    names = schema.names
    if names.count(name) != 1:
        raise NotMeasured(f"{path.name} has {names.count(name)} columns {name!r}, one is needed")
    try:
        with pq.ParquetFile(path, metadata=metadata) as file:
            values = file.read(columns=[name]).column(0).combine_chunks()
    except (OSError, pa.ArrowException) as exc:
        raise NotMeasured(f"{path.name}: column {name!r} can't be read: {exc}") from exc
    if isinstance(values, pa.ChunkedArray):  # what combine_chunks answers with differs between versions
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.nulls(0, values.type)
    if not len(values):
        raise NotMeasured(f"{path.name} has no rows; nothing can be measured on zero rows")
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded:
    """A column of which each different value is kept once, in the order of its first row."""

    values: pa.Array  #: shape (k,), none missing
    codes: NDArray[np.int32]  #: shape (n,): each row's place in `values`; k where it has none


def coded_in_turn(values: pa.Array) -> Coded:
    """Return the values of a column, the different ones once."""
    found = values.dictionary_encode()
    return Coded(values=found.dictionary, codes=_arrow.fixed(found.indices, np.int32, len(found.dictionary)))


def is_text(path: Path, name: str) -> bool:
    """Return whether a Parquet file has a column once, and it holds texts."""
    schema = file_schema(path)
    if schema.names.count(name) != 1:
        return False
    kind = schema.field(name).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def coded(path: Path, name: str) -> Coded:
    """Return a column of texts, the different ones once, as the file mostly keeps them.

    Raises:
        NotMeasured: as `column`.
    """
    try:
        with pq.ParquetFile(path, metadata=_header(path)[1], read_dictionary=[name]) as file:
            parts = file.read(columns=[name]).column(0)
        if not pa.types.is_dictionary(parts.type):
            parts = parts.dictionary_encode()
        chunks = parts.unify_dictionaries().chunks
    except (OSError, pa.ArrowException) as exc:
        raise NotMeasured(f"{path.name}: column {name!r} can't be read: {exc}") from exc
    if not len(parts):
        raise NotMeasured(f"{path.name} has no rows; nothing can be measured on zero rows")
    words = chunks[0].dictionary
    if words.null_count or len(words.unique()) < len(words):
        return coded_in_turn(pa.concat_arrays([chunk.dictionary_decode() for chunk in chunks]))
    places = [_arrow.fixed(chunk.indices.cast(pa.int32()), np.int32, len(words)) for chunk in chunks]
    return _in_turn(words, np.concatenate(places))


def _in_turn(words: pa.Array, codes: NDArray[np.int32]) -> Coded:
    """Return the values that have rows, in the order of their first ones."""
    rows = np.full(len(words) + 1, len(codes))
    rows[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    order = np.argsort(rows[:-1], kind="stable")[: np.count_nonzero(rows[:-1] < len(codes))]
    place = np.full(len(words) + 1, len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return Coded(values=words.take(_arrow.from_numpy(order)), codes=place.take(codes))


def encoded(values: pa.Array) -> Encoded:
    """Return the values as Python writes them (`1`, `True`, `bad`), the different ones once; None: one is missing."""
    found = values.dictionary_encode()
    words = [*map(_text, found.dictionary.to_pylist()), None]
    return Encoded(codes=_arrow.fixed(found.indices, np.int32, len(words) - 1), values=words)


def texts(values: pa.Array) -> NDArray[Any]:
    """Return the values as `encoded` has them, each in its row, shape (n,)."""
    found = encoded(values)
    words: NDArray[Any] = np.array(found.values, dtype=object)
    return np.asarray(words[found.codes])


def _same(one: Encoded, other: Encoded) -> bool:
    """Return whether both hold the same values in the same rows."""
    places: dict[object, int] = {}
    ours = np.array([places.setdefault(value, len(places)) for value in one.values])
    theirs = np.array([places.get(value, -1) for value in other.values])
    return np.array_equal(ours[one.codes], theirs[other.codes])


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
    ids = _native(_ids(inputs.data[split], inputs.config.data.id))
    # A file of no ids is as good as none; `column` would refuse it.
    seen = _native(column(trained_on, inputs.config.data.id)) if pq.read_metadata(trained_on).num_rows else ids[:0]
    kept = np.flatnonzero(~_is_in(ids, seen))
    if not len(kept):
        raise NotMeasured(f"the champion was trained on all {len(ids):,} rows of {split}; none is left to compare on")
    if len(kept) == len(ids):
        return ours, theirs, 0
    return _take(ours, kept), _take(theirs, kept), len(ids) - len(kept)


def _take(answers: Answers, rows: NDArray[np.int64]) -> Answers:
    return Answers(scored=answers.scored.take(rows), rows=answers.rows[rows])


@lru_cache(maxsize=8)
def _ids(path: Path, name: str) -> pa.Array:
    ids = column(path, name)
    _refuse_twice(ids, path.name)
    return ids


def _native(values: pa.Array) -> NDArray[Any]:
    _refuse_missing(values)
    kind = values.type
    if pa.types.is_integer(kind):
        return np.from_dlpack(values)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array(values.to_pylist(), dtype=str)
    ids: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return ids.astype(str) if ids.dtype == object else ids


def _refuse_missing(ids: pa.Array) -> None:
    if ids.null_count:
        raise NotMeasured(f"{ids.null_count:,} row ids are missing; each row needs its own")
    if pa.types.is_floating(ids.type):
        raise NotMeasured("row ids are floating point numbers; use whole numbers or text, which are exact")


def _refuse_twice(ids: pa.Array, what: str) -> None:
    _refuse_missing(ids)
    if _are_different(ids):
        return
    values, counts = np.unique(_native(ids), return_counts=True)
    if (twice := counts > 1).any():
        raise NotMeasured(
            f"{what}: {int(twice.sum()):,} row ids are there more than once, first {values[twice][0]!s:.80}"
        )


def _are_different(ids: pa.Array) -> bool:
    """Return whether it is plain that no id is there twice, without sorting them."""
    if pa.types.is_integer(ids.type):
        rising = np.from_dlpack(ids)
        return bool((rising[1:] > rising[:-1]).all())
    text = pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)
    return bool(text and pc.count_distinct(ids).as_py() == len(ids))


def _is_in(ids: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    if not len(others):
        return np.zeros(len(ids), dtype=bool)
    _same_kind(ids, others)
    return np.isin(ids, others)


def _same_kind(ids: NDArray[Any], others: NDArray[Any]) -> None:
    if ids.dtype.kind != others.dtype.kind and {ids.dtype.kind, others.dtype.kind} != {"i", "u"}:
        raise NotMeasured(f"row ids are {ids.dtype} in the data and {others.dtype} elsewhere; rows can't be matched")


def _places(ids: pa.Array, others: pa.Array, what: str) -> pa.Array | None:
    """Return where each of `ids` stands in `others`, which must hold the same, each once; None: in its own place."""
    if ids.equals(others):
        return None
    _refuse_twice(others, what)
    return _arrow.from_numpy(_joined(_native(ids), _native(others), what))


def _joined(ids: NDArray[Any], others: NDArray[Any], what: str) -> NDArray[np.int64]:
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
    places = _places(ids, column(path, rows.id), what)
    truth = column(rows.path, rows.label)
    names = file_schema(path).names
    classes = sorted(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))
    wanted = ["label", "prediction", *(PROBABILITY + name for name in classes)]
    columns = {name: column(path, name) for name in wanted}
    aligned = columns if places is None else {name: values.take(places) for name, values in columns.items()}
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
    label = encoded(truth)
    if not _same(label, encoded(aligned["label"])):
        raise NotMeasured(f"{what}: the labels are not those of the data")
    if (len(classes) == 2) != (rows.task is Task.BINARY):
        raise NotMeasured(f"{what}: {len(classes)} classes have a probability, which does not fit task {rows.task}")
    return Scored.classification(
        label=label,
        prediction=encoded(aligned["prediction"]),
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
    return _arrow.fixed(values.cast(pa.float64(), safe=False), np.float64, np.nan)
