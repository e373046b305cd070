"""Groups of rows by one column: each value, quartiles of numbers, and the rows without a value."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passmuster.errors import NotMeasured
from passmuster_checks import _arrow, _data
from passmuster_checks._text import shown

#: A column of numbers with more distinct values than this is cut at its quartiles.
DISTINCT = 20

MISSING = "(missing)"


def of_column(values: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    """Return the groups' names, and each row's group as a position among them, shape (n,); every group has rows.

    Raises:
        NotMeasured: lists and the like, which are no groups; or more than `DISTINCT` numbers, some of them infinite.
    """
    if pa.types.is_nested(values.type):
        raise NotMeasured(f"values of type {values.type} are no groups")
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)
    if numeric and len(values.drop_null().unique()) > DISTINCT:
        return _quartiles(_data.numbers(values))
    encoded = values.dictionary_encode()
    words = [None, *_data.texts(encoded.dictionary).tolist()]  # None may be there a second time: NaN
    named = np.array([MISSING if word is None else _named(word) for word in words], dtype=str)
    code = _arrow.fixed(encoded.indices, np.int32, -1) + 1
    return _those_with_rows(named, code)


def _named(word: str) -> str:
    return repr(word) if word in ("", MISSING) else shown(word)


def _quartiles(numbers: NDArray[np.float64]) -> tuple[list[str], NDArray[np.int64]]:
    if np.isinf(numbers).any():
        raise NotMeasured("the column holds infinite values, so it has no quartiles")
    there = ~np.isnan(numbers)
    edges = np.unique(np.quantile(numbers[there], [0, 0.25, 0.5, 0.75, 1]))
    cell = np.where(there, np.searchsorted(edges[1:-1], numbers, side="right"), len(edges) - 1)
    last = len(edges) - 2
    names = [f"{low:.6g} to {'' if i == last else 'below '}{high:.6g}" for i, (low, high) in enumerate(pairwise(edges))]
    return _those_with_rows(np.array([*names, MISSING], dtype=str), cell)


def _those_with_rows(named: NDArray[Any], code: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    """Return names and codes of groups that have rows; equal names are one group."""
    there, code = np.unique(code, return_inverse=True)
    names, group = np.unique(named[there], return_inverse=True)
    return names.tolist(), group[code]
