"""Between Arrow and numpy without copies, and without pandas.

`pa.array`, `pa.scalar` and `to_numpy` import pandas where it is installed, which takes longer than a gate may.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passmuster.errors import NotMeasured

#: Names of the types whose values are texts or bytes of any length.
TEXTS = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")

_TYPES = {"b": pa.bool_(), "i4": pa.int32(), "i8": pa.int64(), "f8": pa.float64()}


def from_numpy(values: NDArray[Any]) -> pa.Array:
    """Return booleans, int32, int64 or float64 as an Arrow array."""
    if values.dtype == bool:
        packed = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(packed)])
    kind = _TYPES[values.dtype.str[1:]]
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def number(value: int, kind: pa.DataType) -> pa.Scalar:
    """Return a whole number as an Arrow scalar of a type of numbers."""
    return from_numpy(np.array([value], dtype=np.int64)).cast(kind)[0]


def missing(kind: pa.DataType) -> pa.Scalar:
    """Return the missing value of a type."""
    return pa.nulls(1, kind)[0]


def truth(mask: pa.Array) -> NDArray[np.bool_]:
    """Return booleans without missing ones, shape (n,)."""
    return fixed(mask.cast(pa.uint8()), np.uint8, 0).astype(bool)


def fixed(part: pa.Array, dtype: type[np.generic], missing: float) -> NDArray[Any]:
    """Return values of a fixed width, shape (n,), with `missing` where there is none; not to be written to."""
    data = part.buffers()[1]
    if data is None or not len(part):
        return np.full(len(part), missing, dtype=dtype)
    values = np.frombuffer(data, dtype=dtype)[part.offset : part.offset + len(part)]
    if not part.null_count:
        return values
    found = values.copy()
    found[truth(part.is_null())] = missing
    return found


def binary(words: list[bytes]) -> pa.Array:
    """Return words as large_binary."""
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    data = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(words))]
    return pa.Array.from_buffers(pa.large_binary(), len(words), data)


def offsets_and_bytes(values: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return offsets, shape (n + 1,), and bytes of a large_binary array."""
    _, offsets, data = values.buffers()
    if not len(values):
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    found = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    return found, np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, dtype=np.uint8)


def is_text(kind: pa.DataType) -> bool:
    """Return whether values are texts or bytes of any length."""
    return str(kind) in TEXTS


def is_number(kind: pa.DataType) -> bool:
    """Return whether `as_numbers` takes values of this type."""
    types = pa.types
    plain = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_time, types.is_duration)
    return is_instant(kind) or any(is_one(kind) for is_one in plain)


def is_instant(kind: pa.DataType) -> bool:
    """Return whether values are points in time."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def as_numbers(part: pa.Array) -> NDArray[np.float64]:
    """Return values as float64, shape (n,), NaN where one is missing; instants and durations in seconds.

    Raises:
        NotMeasured: the type holds no numbers.
    """
    kind = part.type
    if pa.types.is_null(kind):
        return np.full(len(part), np.nan)
    scale = 1.0
    if is_instant(kind):
        part, scale = part.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False).cast(pa.int64()), 1e6
    elif pa.types.is_time(kind) or pa.types.is_duration(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        part, scale = part.cast(width), {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    elif pa.types.is_boolean(kind):
        part = part.cast(pa.uint8())
    elif not is_number(kind):
        raise NotMeasured(f"values of type {kind} can't be looked at")
    values = fixed(part.cast(pa.float64(), safe=False), np.float64, np.nan)
    return values / scale if scale != 1 else values
