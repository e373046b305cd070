"""Cuts a column into slices: each of its values, or ranges of about as many rows, and the rows without a value.

Slices are cut on the test rows; the same cuts then apply to the rows of any other split. Each has a name for people and
a condition in standard SQL, with `chr` for what can't be seen and `md5` for what is too long to be read.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from passmuster.errors import NotMeasured
from passmuster_checks import _arrow, _data
from passmuster_checks._text import shown

Codes = NDArray[Any]  #: shape (n,), unsigned integers: each row's slice in 0 … k - 1; k where it is in none

#: A column of numbers with more distinct values than this is cut into ranges.
DISTINCT = 20

MISSING = "(missing)"

#: Rows, evenly spread over the file, that the edges of ranges are taken from.
_SAMPLE = 100_000

#: Characters of a value that a condition may hold as they are.
_LITERAL = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """The slices of one column that have rows enough in the test split."""

    names: Sequence[str]  #: k of them, e.g. "Home=rent", "Age=[25, 34)"
    conditions: Sequence[str]  #: in SQL
    codes: Mapping[str, Codes]  #: split → the slice of each of its rows
    small: int  #: slices with fewer rows


class _Name(NamedTuple):
    """A column in texts."""

    text: str
    nan: bool  #: whether missing values are NaN, which SQL tells from NULL, and has for the greatest number

    @property
    def quoted(self) -> str:
        return '"' + self.text.replace('"', '""') + '"'

    def missing(self) -> str:
        return f"({self.quoted} IS NULL OR {self.quoted} = 'NaN')" if self.nan else f"{self.quoted} IS NULL"


def cut(column: str, files: Mapping[str, Path], *, bins: int, min_rows: int, category: bool) -> Cut:
    """Return the slices of one column.

    Args:
        column: its name.
        files: split → Parquet; `test` is the one that the slices are cut on.
        bins: how many ranges.
        min_rows: of the test split, that a slice needs.
        category: whether each value is a slice, however many numbers there are.

    Raises:
        NotMeasured: a file can't be read, has no such column or no rows, or the column's type has no slices; or its
            types differ between the splits.
    """
    if all(_data.is_text(path, column) for path in files.values()):
        return _each_value(
            _Name(column, nan=False), {s: _data.coded(path, column) for s, path in files.items()}, min_rows
        )
    # Read anew: a cache of whole columns would hold the table.
    raw = {split: _data.column.__wrapped__(path, column) for split, path in files.items()}
    values = {split: _plain(each, column) for split, each in raw.items()}
    name = _Name(column, nan=values[_data.TEST].null_count > raw[_data.TEST].null_count)
    if not category and _is_continuous(values[_data.TEST]):
        return _ranges(name, values, bins, min_rows)
    return _each_value(name, {split: _data.coded_in_turn(each) for split, each in values.items()}, min_rows)


def _plain(values: pa.Array, column: str) -> pa.Array:
    """Return the values as types that there are few of, NaN as missing."""
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        values = values.cast(pa.float64())
    elif pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        values = values.cast(pa.large_string())
    elif pa.types.is_date(kind):
        values = values.cast(pa.timestamp("s"))
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_timestamp, pa.types.is_string)
    if not (any(is_kind(values.type) for is_kind in known) or pa.types.is_large_string(values.type)):
        raise NotMeasured(f"column {column!r} is {kind}, which can't be cut into slices; name others in `columns`")
    if pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py():
        values = pc.if_else(pc.is_nan(values), _arrow.missing(values.type), values)
    return values


def _is_continuous(values: pa.Array) -> bool:
    if pa.types.is_boolean(values.type) or pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return False
    # The first rows mostly tell, at little cost.
    return any(pc.count_distinct(some).as_py() > DISTINCT for some in (values.slice(0, 1_000), values))


def _sampled(n: int) -> NDArray[np.int64]:
    return np.arange(0, n, -(-n // _SAMPLE))


# ── each value ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _each_value(column: _Name, splits: Mapping[str, _data.Coded], min_rows: int) -> Cut:
    test = splits[_data.TEST]
    counts = np.bincount(test.codes, minlength=len(test.values) + 1)
    kept = np.flatnonzero(counts >= min_rows)
    there = test.values.take(_arrow.from_numpy(kept[kept < len(test.values)]))
    missing = len(there) < len(kept)
    found = {_data.TEST: renumbered(test.codes, kept, len(counts))}
    for split, other in splits.items():
        if split != _data.TEST:
            found[split] = _coded(column.text, other, there, missing)
    words = _words(there)
    return Cut(
        names=[f"{column.text}={_named(str(word))}" for word in words] + [f"{column.text}={MISSING}"] * missing,
        conditions=[_is(column, word, there.type) for word in words] + [column.missing()] * missing,
        codes=found,
        small=int(np.count_nonzero(counts)) - len(kept),
    )


def renumbered(codes: NDArray[Any], kept: NDArray[np.int64], total: int) -> Codes:
    """Return the codes of the kept slices, counted anew; the others' rows are in none."""
    kind = np.min_scalar_type(len(kept))
    if total - len(kept) <= 1 and np.array_equal(kept, np.arange(len(kept))):
        return codes.astype(kind, copy=False)
    table = np.full(total, len(kept), dtype=kind)
    table[kept] = np.arange(len(kept), dtype=kind)
    found: Codes = table[codes]
    return found


def _coded(column: str, other: _data.Coded, words: pa.Array, missing: bool) -> Codes:
    """Return another split's codes: positions in `words`, after them the missing values where they are a slice."""
    try:
        same = other.values.cast(words.type)
    except pa.ArrowException as exc:
        raise NotMeasured(
            f"column {column!r} is {words.type} in test and {other.values.type} in another split"
        ) from exc
    k = len(words) + missing
    places = _arrow.fixed(pc.index_in(same, value_set=words), np.int32, k)
    found: Codes = np.append(places, len(words)).astype(np.min_scalar_type(k)).take(other.codes)
    return found


def _words(values: pa.Array) -> list[Any]:
    """Return values, none missing, as Python has them; times as texts, since it knows no nanoseconds."""
    words: list[Any] = (values.cast(pa.string()) if pa.types.is_timestamp(values.type) else values).to_pylist()
    return words


def _named(word: str) -> str:
    """Return a value as it stands in a name: quoted where it could be taken for something else."""
    strange = word in ("", MISSING) or " & " in word or word.startswith(("'", '"'))
    return shown(repr(word) if strange else word).replace("::", ":\\x3a")  # which sets parts of a name apart


# ── ranges ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ranges(column: _Name, values: Mapping[str, pa.Array], bins: int, min_rows: int) -> Cut:
    test = values[_data.TEST]
    edges = _edges(test, bins)
    k = len(edges) + 2
    codes = {split: _cells(column.text, other, test.type, edges) for split, other in values.items()}
    counts = np.bincount(codes[_data.TEST], minlength=k)
    kept = np.flatnonzero(counts >= min_rows)
    texts, literals = _written(edges, test.type)
    names = [f"below {texts[0]}", *(f"[{a}, {b})" for a, b in itertools.pairwise(texts)), f"{texts[-1]} or more"]
    name = column.quoted
    conditions = [
        f"{name} < {literals[0]}",
        *(f"{name} >= {a} AND {name} < {b}" for a, b in itertools.pairwise(literals)),
        f"{name} >= {literals[-1]}" + (f" AND {name} <> 'NaN'" if column.nan else ""),
    ]
    return Cut(
        names=[f"{column.text}={[*names, MISSING][code]}" for code in kept],
        conditions=[[*conditions, column.missing()][code] for code in kept],
        codes={split: renumbered(cells, kept, k) for split, cells in codes.items()},
        small=int(np.count_nonzero(counts)) - len(kept),
    )


def _edges(values: pa.Array, bins: int) -> NDArray[Any]:
    """Return the inner edges, rising; each is a value of the column, and there is at least one."""
    numbers = _numbers(values.drop_null())
    ordered = np.sort(numbers if len(numbers) <= _SAMPLE else numbers[_sampled(len(numbers))])
    least, edges = numbers.min(), np.unique(ordered[len(ordered) * np.arange(1, bins) // bins])
    edges = edges[edges > least]
    # Where nearly all values are the least one, the others are a slice.
    return np.asarray(edges if len(edges) else numbers[numbers > least].min(keepdims=True))


def _numbers(values: pa.Array) -> NDArray[Any]:
    """Return values, none missing, as numbers; times as whole numbers of their unit."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    found: NDArray[Any] = np.from_dlpack(values)
    return found


def _cells(column: str, values: pa.Array, kind: pa.DataType, edges: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the range of each row; after the last one, that of missing values."""
    if pa.types.is_timestamp(kind) != pa.types.is_timestamp(values.type) or not _is_ordered(values.type):
        raise NotMeasured(f"column {column!r} is {kind} in test and {values.type} in another split")
    if pa.types.is_timestamp(kind):
        values = values.cast(kind, safe=False)
    numbers = _numbers(pc.fill_null(values, _arrow.number(0, values.type)) if values.null_count else values)
    found = np.zeros(len(numbers), dtype=np.uint8)
    for edge in edges:
        found += numbers >= edge
    if values.null_count:
        found[np.from_dlpack(pc.is_null(values).cast(pa.uint8())) == 1] = len(edges) + 1
    return found


def _is_ordered(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _written(edges: NDArray[Any], kind: pa.DataType) -> tuple[list[str], list[str]]:
    """Return the edges for people, as short as they can be told apart, and as literals of SQL."""
    if pa.types.is_timestamp(kind):
        texts = _words(pa.array(edges, pa.int64()).cast(kind))
        return texts, [_literal(text, kind) for text in texts]
    literals = [_literal(edge.item(), kind) for edge in edges]
    if edges.dtype.kind in "iu":
        return literals, literals
    for digits in (4, 6, 9):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            return texts, literals
    return [repr(edge.item()) for edge in edges], literals


# ── conditions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _is(column: _Name, value: Any, kind: pa.DataType) -> str:
    if isinstance(value, str) and len(value) > _LITERAL:
        digest = hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()
        return f"md5({column.quoted}) = '{digest}'"
    return f"{column.quoted} = {_literal(value, kind)}"


def _literal(value: Any, kind: pa.DataType) -> str:
    """Return a value in SQL: texts in quotes, characters that can't be seen by their number."""
    if pa.types.is_timestamp(kind):
        return f"TIMESTAMP '{value}'"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        return repr(value) if np.isfinite(value) else f"CAST('{value}' AS DOUBLE PRECISION)"
    parts = [
        "'" + "".join(run).replace("'", "''") + "'" if can_be_seen else " || ".join(f"chr({ord(c)})" for c in run)
        for can_be_seen, run in itertools.groupby(value, str.isprintable)
    ]
    return " || ".join(parts) or "''"
