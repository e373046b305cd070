"""Brings one column of one split, as it is read, into the form from which everything is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from passmuster.errors import NotMeasured
from passmuster_checks import _arrow
from passmuster_checks.engine import _hash, _predictors, _rows
from passmuster_checks.engine._columns import Categories, Form, Named, Numbers, Opaque, runs, word, written
from passmuster_checks.engine._facts import Predictor
from passmuster_checks.engine._hash import Hashes
from passmuster_checks.engine._read import Source
from passmuster_checks.engine.profile import Kind


class Hashing(Protocol):
    """Takes the hashes of a column's values, to be joined to those of the rows."""

    salt: np.uint64

    def add(self, start: int, hashes: Hashes) -> None:
        """Take the hashes of the rows from `start` on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """A column's form, and its values in the order of the rows where they are still needed."""

    form: Form
    raw: NDArray[np.float64] | None = None  #: numbers, shape (rows,), NaN where one is missing
    codes: NDArray[np.int32] | None = None  #: places in `Categories.values`, shape (rows,); k where one is missing

    def predictor(self, target: _predictors.Target) -> Predictor:
        """Return how well the column tells the label.

        Raises:
            NotMeasured: it holds lists or the like, or there are too few rows.
        """
        if isinstance(self.form, Categories) and self.codes is not None:
            return _predictors.of_codes(self.codes, len(self.form.values) + 1, target, ordered=False)
        if isinstance(self.form, Numbers) and self.raw is not None:
            codes, bins = _predictors.bins_of_numbers(self.raw, self.form.values)
            return _predictors.of_codes(codes, bins, target, ordered=True)
        raise NotMeasured(f"values of type {self.form.type} are not tried as predictors")

    def classes(self) -> _predictors.Target:
        """Return the column as the label of a classifier."""
        if not isinstance(self.form, Categories) or self.codes is None:
            raise NotMeasured(f"a label of type {self.form.type} has no classes")
        names = [word(value) for value in self.form.values.to_pylist()]
        return _predictors.classes(self.codes, names, self.form.counts)

    def ranks(self) -> _predictors.Target:
        """Return the column as the label of a regression."""
        if not isinstance(self.form, Numbers) or self.raw is None:
            raise NotMeasured(f"a label of type {self.form.type} is no number, which a regression needs")
        return _predictors.ranks(self.raw)


def held(source: Source, name: str, hashing: Hashing, *, category: bool, in_order: bool) -> Held:
    """Read a column.

    Args:
        source: the split's files.
        name: one of the columns that can be read.
        hashing: where the values' hashes go.
        category: numbers are categories.
        in_order: the values are also needed in the order of the rows.

    Raises:
        NotMeasured: the file holds other than its header says, or values that can't be looked at.
        OSError, pa.ArrowException: it is broken.
    """
    kind = source.types[name]
    if _arrow.is_text(kind) or pa.types.is_null(kind):
        return _texts(source, name, hashing)
    if _arrow.is_number(kind):
        return _numbers(source, name, hashing, category=category, in_order=in_order)
    return _opaque(source, name, hashing)


def _numbers(source: Source, name: str, hashing: Hashing, *, category: bool, in_order: bool) -> Held:
    kind = source.types[name]
    raw = np.empty(source.rows)
    stop = null = 0
    for part in source.parts(name):
        start, stop = stop, stop + len(part)
        raw[start:stop] = _arrow.as_numbers(part)
        null += part.null_count
        _hash_numbers(part, raw[start:stop], start, hashing)
    boolean = pa.types.is_boolean(kind)
    in_order |= category or boolean
    ordered = np.sort(raw) if in_order else raw
    if not in_order:
        raw.sort()
    there = int(np.searchsorted(ordered, np.nan))
    named: dict[str, Any] = {
        "column": name,
        "type": str(kind),
        "rows": source.rows,
        "null": null,
        "nan": source.rows - there - null,
    }
    ordered = ordered[:there]
    if category or boolean:
        return _categories(raw, ordered, Named(kind=Kind.BOOLEAN if boolean else Kind.CATEGORY, **named))
    shape = Kind.DATETIME if _arrow.is_instant(kind) else Kind.NUMBER
    return Held(form=Numbers(values=ordered, kind=shape, **named), raw=raw if in_order else None)


def _hash_numbers(part: pa.Array, values: NDArray[np.float64], start: int, hashing: Hashing) -> None:
    beyond = _hash.beyond_float(part)
    for i in range(0, len(values), _hash.BLOCK):
        hashes = _hash.of_numbers(values[i : i + _hash.BLOCK], hashing.salt)
        if beyond is not None:
            hashes += beyond[i : i + _hash.BLOCK]
        hashing.add(start + i, hashes)


def _categories(raw: NDArray[np.float64], ordered: NDArray[np.float64], named: Named) -> Held:
    different, counts = runs(ordered)
    codes = np.searchsorted(different, raw).astype(np.int32)
    form = Categories(
        values=written(different, boolean=named.kind is Kind.BOOLEAN),
        counts=counts,
        **vars(named),
    )
    return Held(form=form, codes=codes)


def _texts(source: Source, name: str, hashing: Hashing) -> Held:
    parts = list(source.parts(name))
    null = sum(part.null_count for part in parts)
    values, codes = _encoded(parts, source.rows)
    hashes = np.append(_hash.mix(_hash.of_texts(values) ^ hashing.salt), _hash.of_missing(hashing.salt))
    for i in range(0, len(codes), _hash.BLOCK):
        hashing.add(i, hashes.take(codes[i : i + _hash.BLOCK]))
    text = not pa.types.is_null(source.types[name])
    form = Categories(
        column=name,
        type=str(source.types[name]),
        kind=Kind.CATEGORY,
        rows=source.rows,
        null=null,
        values=values,
        counts=_counted(codes, len(values)),
        texts=text,
    )
    return Held(form=form, codes=codes)


def _encoded(parts: list[pa.Array], rows: int) -> tuple[pa.Array, NDArray[np.int32]]:
    """Return the different texts that are there, and each row's place among them, `k` where it has none."""
    codes = np.empty(rows, dtype=np.int32)
    if not parts or pa.types.is_null(parts[0].type):
        codes[:] = 0
        return pa.nulls(0, pa.large_binary()), codes
    chunks = pa.chunked_array(parts).unify_dictionaries().chunks
    dictionary = chunks[0].dictionary
    start = 0
    for chunk in chunks:
        codes[start : start + len(chunk)] = _arrow.fixed(chunk.indices, np.int32, len(dictionary))
        start += len(chunk)
    used = _counted(codes, len(dictionary)) > 0
    unique = dictionary.filter(_arrow.from_numpy(used)).unique()
    if len(unique) < len(dictionary):  # it held a text twice, or one that no row has
        place = _arrow.fixed(pc.index_in(dictionary, unique), np.int32, 0)
        codes = np.append(place, len(unique)).astype(np.int32)[codes]
    return unique, codes


def _counted(codes: NDArray[np.int32], k: int) -> NDArray[np.int64]:
    """Return how often each of `k` values is there; the missing ones, whose code is `k`, are left out."""
    total = np.zeros(k + 1, dtype=np.int64)
    step = max(_hash.BLOCK, k)
    for i in range(0, len(codes), step):
        total += np.bincount(codes[i : i + step], minlength=k + 1)
    return total[:k]


def _opaque(source: Source, name: str, hashing: Hashing) -> Held:
    null, start = 0, 0
    found = np.empty(source.rows, dtype=np.uint64)
    for part in source.parts(name):
        null += part.null_count
        hashes = _hash.of_anything(part)
        found[start : start + len(part)] = hashes
        hashing.add(start, _hash.mix(hashes ^ hashing.salt))
        start += len(part)
    there = found[found != _hash.of_anything(pa.nulls(1))[0]]
    distinct = _rows.repeats(there).distinct
    kind = str(source.types[name])
    form = Opaque(column=name, type=kind, kind=Kind.OTHER, rows=source.rows, null=null, distinct=distinct)
    return Held(form=form)
