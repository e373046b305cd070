"""64-bit hashes of values, of a whole column at once: equal values have equal hashes, whatever their type's width.

A row's hash is the sum of its values' hashes (modulo 2**64), each salted by its column's name, so the order of columns
does not matter, and a column can be added or taken away. It finds equal rows; it does not keep out who builds unequal
rows with equal hashes, which only makes that person's own data look repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from passmuster_checks import _arrow

Hashes = NDArray[np.uint64]

#: Rows that are worked on at a time, so that what is made in between stays in the processor's cache.
BLOCK = 1 << 14

#: Bytes of texts that are worked on at a time; longer single texts are hashed one by one.
_BYTES, _LONG = 1 << 20, 1 << 12

#: Multipliers of the finaliser of splitmix64 (Steele, Lea and Flood 2014), and a generator for polynomials.
_FIRST, _SECOND, _BASE = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), 0x9E3779B97F4A7C15
_MISSING = np.uint64(0x6A09E667F3BCC909)
_NO_SALT = np.uint64(0)
_EXACT = 1 << 53


def mix(values: Hashes) -> Hashes:
    """Return well-spread hashes of 64-bit patterns; the argument is overwritten."""
    values ^= values >> np.uint64(30)
    values *= _FIRST
    values ^= values >> np.uint64(27)
    values *= _SECOND
    values ^= values >> np.uint64(31)
    return values


def salt(name: str) -> np.uint64:
    """Return the salt of a column, from its name."""
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def of_numbers(values: NDArray[np.float64], salt: np.uint64 = _NO_SALT) -> Hashes:
    """Return hashes of numbers, shape (n,); NaN stands for missing, -0.0 equals 0.0."""
    canonical = values + 0.0
    patterns = canonical.view(np.uint64)
    patterns[np.isnan(canonical)] = _MISSING
    patterns ^= salt
    return mix(patterns)


def of_missing(salt: np.uint64) -> np.uint64:
    """Return the hash of a missing value, whatever the column's type."""
    found: np.uint64 = mix(np.array([_MISSING ^ salt]))[0]
    return found


def beyond_float(part: pa.Array) -> Hashes | None:
    """Return what float64 lost of whole numbers, as something to add to their hashes; None: nothing."""
    if not (pa.types.is_integer(part.type) and part.type.bit_width == 64):
        return None
    span = pc.min_max(part).as_py()
    if span["min"] is None or (span["min"] >= -_EXACT and span["max"] <= _EXACT):
        return None
    dtype = np.int64 if pa.types.is_signed_integer(part.type) else np.uint64
    whole = _arrow.fixed(part, dtype, 0)
    # Taken up again beside the float it became: 0 wherever the float is exact, so equal floats stay equal.
    with np.errstate(invalid="ignore"):
        lost: Hashes = (whole - whole.astype(np.float64).astype(whole.dtype)).astype(np.uint64)
    return lost * _FIRST


def of_texts(values: pa.Array) -> Hashes:
    """Return hashes of large_binary values, shape (n,): polynomials over the bytes, then mixed."""
    offsets, data = _arrow.offsets_and_bytes(values)
    found = np.empty(len(values), dtype=np.uint64)
    lengths = np.diff(offsets)
    for index in np.flatnonzero(lengths > _LONG):
        digest = hashlib.blake2b(data[offsets[index] : offsets[index + 1]].tobytes(), digest_size=8).digest()
        found[index] = int.from_bytes(digest, "little")
    power, inverse = _powers()
    for start, stop in _runs(offsets):
        base, end = offsets[start], offsets[stop]
        terms = (data[base:end].astype(np.uint64) + np.uint64(1)) * power[: end - base]
        sums = np.concatenate(([np.uint64(0)], np.cumsum(terms, dtype=np.uint64)))
        at = offsets[start : stop + 1] - base
        values_here = (sums[at[1:]] - sums[at[:-1]]) * inverse[at[:-1]]
        short = lengths[start:stop] <= _LONG
        found[start:stop][short] = values_here[short]
    return mix(found + lengths.astype(np.uint64) * _SECOND)


def _runs(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield ranges of texts of about `_BYTES` bytes together, in which the long ones stand alone."""
    start, n = 0, len(offsets) - 1
    while start < n:
        stop = int(np.searchsorted(offsets, offsets[start] + _BYTES, side="right")) - 1
        if stop > start:
            yield start, stop
        start = max(stop, start + 1)


@cache
def _powers() -> tuple[Hashes, Hashes]:
    """Return powers of the base, and of its inverse modulo 2**64; an odd number has one."""
    inverse = pow(_BASE, -1, 1 << 64)
    made = []
    for factor in (_BASE, inverse):
        steps = np.full(_BYTES + 1, factor, dtype=np.uint64)
        steps[0] = 1
        made.append(np.cumprod(steps, dtype=np.uint64))
    return made[0], made[1]


def of_anything(values: pa.Array) -> Hashes:
    """Return hashes of values of any type, shape (n,); lists and structures are hashed by their parts.

    Raises:
        NotMeasured: the type has no such hash.
    """
    kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), _MISSING)
    if isinstance(kind, pa.BaseExtensionType):
        return of_anything(values.storage)
    if pa.types.is_dictionary(kind):
        return of_anything(values.dictionary_decode())
    if pa.types.is_map(kind):
        entry = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
        return of_anything(values.cast(pa.list_(entry)))
    if pa.types.is_struct(kind):
        found = _structures(values)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        found = _lists(values)
    elif _arrow.is_text(kind) or pa.types.is_fixed_size_binary(kind):
        found = of_texts(values.cast(pa.large_binary()))
    else:
        return of_numbers(_arrow.as_numbers(values))
    return np.where(_arrow.truth(values.is_null()), _MISSING, found)


def _structures(values: pa.Array) -> Hashes:
    total = np.zeros(len(values), dtype=np.uint64)
    for name, part in zip(values.type, values.flatten(), strict=True):
        total += mix(of_anything(part) ^ salt(name.name))
    return total


def _lists(values: pa.Array) -> Hashes:
    lengths = _arrow.fixed(pc.list_value_length(values).cast(pa.int64()), np.int64, 0)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    places = np.arange(ends[-1] if len(ends) else 0) - np.repeat(starts, lengths)
    parts = mix(of_anything(values.flatten()) + places.astype(np.uint64) * _FIRST)
    sums = np.concatenate(([np.uint64(0)], np.cumsum(parts, dtype=np.uint64)))
    return mix(sums[ends] - sums[starts] + lengths.astype(np.uint64) * _SECOND)
