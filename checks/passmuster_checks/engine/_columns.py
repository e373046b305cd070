"""From the values of a column, sorted or counted, to its profile: whoever did the reading.

An engine brings a column of one split into one of three forms, which hold everything that is told of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from passmuster_checks import _arrow
from passmuster_checks.engine import _hash
from passmuster_checks.engine.profile import AT_THE_EDGE, LISTED, MOST_FREQUENT, POINTS, ColumnProfile, Kind

#: Characters of a category that a profile keeps.
KEPT = 200

#: What reads as a number, as Python and pandas read it.
_NUMBER = r"^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$"

#: Numbers that are summed at a time: few enough for the processor's cache, and for BLAS to do it in this thread.
_BLOCK = 1 << 13


@dataclass(frozen=True, kw_only=True)
class Named:
    """What every form of a column has."""

    column: str
    type: str  #: Arrow's name of it
    kind: Kind
    rows: int
    null: int
    nan: int = 0

    @property
    def missing(self) -> int:
        """Rows without a value, NaN among them."""
        return self.null + self.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbers(Named):
    """A column of numbers or instants."""

    values: NDArray[np.float64]  #: shape (rows - null - nan,), ascending

    def profile(self) -> ColumnProfile:
        """Return what is known of the column."""
        values = self.values
        start, stop = int(np.searchsorted(values, -np.inf, "right")), int(np.searchsorted(values, np.inf, "left"))
        finite = values[start:stop]
        again = finite[1:][finite[1:] == finite[:-1]]
        mean, deviation = moments(finite)
        return ColumnProfile(
            column=self.column,
            type=self.type,
            kind=self.kind,
            rows=self.rows,
            null=self.null,
            nan=self.nan,
            negative_infinite=start,
            positive_infinite=len(values) - stop,
            distinct=len(finite) - len(again) + (start > 0) + (stop < len(values)),
            mean=mean,
            standard_deviation=deviation,
            minimum=float(finite[0]) if len(finite) else None,
            maximum=float(finite[-1]) if len(finite) else None,
            quantiles=tuple(_quantiles(finite).tolist()),
            low=_edge(finite, lowest=True),
            high=_edge(finite, lowest=False),
            top=_frequent(finite, again),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Categories(Named):
    """A column of categories, each value as the text that it is written as."""

    values: pa.Array  #: shape (k,), large_binary, different, none missing
    counts: NDArray[np.int64]  #: shape (k,)
    texts: bool = False  #: whether the column held texts

    def profile(self) -> ColumnProfile:
        """Return what is known of the column."""
        numeric = None
        there = self.rows - self.missing
        if self.texts and there:
            matches = _arrow.truth(pc.match_substring_regex(self.values, _NUMBER))
            numeric = float(self.counts[matches].sum() / there)
        return ColumnProfile(
            column=self.column,
            type=self.type,
            kind=self.kind,
            rows=self.rows,
            null=self.null,
            nan=self.nan,
            distinct=len(self.values),
            top=self._top(),
            numeric_text=numeric,
        )

    def _top(self) -> tuple[tuple[str, int], ...]:
        chosen = np.arange(len(self.values))
        if len(chosen) > LISTED:
            border = int(np.partition(self.counts, -MOST_FREQUENT)[-MOST_FREQUENT])
            above, level = np.flatnonzero(self.counts > border), np.flatnonzero(self.counts == border)
            # Which of the equally frequent are listed follows from the values, not from the order of the rows.
            hashes = _hash.of_texts(self.values.take(_arrow.from_numpy(level)))
            level = level[np.argsort(hashes)[: MOST_FREQUENT - len(above)]]
            chosen = np.concatenate([above, level])
        texts = [word(value) for value in self.values.take(_arrow.from_numpy(chosen)).to_pylist()]
        pairs = zip(texts, self.counts[chosen].tolist(), strict=True)
        return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


@dataclass(frozen=True, kw_only=True, eq=False)
class Opaque(Named):
    """A column of lists or other things that are only the same or not."""

    distinct: int

    def profile(self) -> ColumnProfile:
        """Return what is known of the column."""
        return ColumnProfile(
            column=self.column,
            type=self.type,
            kind=self.kind,
            rows=self.rows,
            null=self.null,
            nan=self.nan,
            distinct=self.distinct,
        )


Form = Numbers | Categories | Opaque


def word(value: bytes) -> str:
    """Return a category as a profile names it: no two the same; what is long or no text has a mark of its content."""
    text = value.decode(errors="backslashreplace")
    if len(text) <= KEPT and text.encode() == value:
        return text
    return f"{text[: KEPT - 20]}…{hashlib.sha256(value).hexdigest()[:16]}"


def written(numbers: NDArray[np.float64], *, boolean: bool) -> pa.Array:
    """Return different numbers as the texts that they are written as: `1` of the integer 1 and of 1.0, or `true`."""
    if boolean:
        return _arrow.binary([b"true" if number else b"false" for number in numbers])
    whole = (np.floor(numbers) == numbers) & (np.abs(numbers) < 2.0**63)
    parts = [_arrow.from_numpy(numbers[whole].astype(np.int64)), _arrow.from_numpy(numbers[~whole])]
    texts = pa.concat_arrays([part.cast(pa.large_string()).cast(pa.large_binary()) for part in parts])
    return texts.take(_arrow.from_numpy(np.argsort(np.argsort(~whole, kind="stable"), kind="stable")))


def moments(finite: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation (divisor n - 1) of finite numbers; None where there is none in float64."""
    n = len(finite)
    if not n:
        return None, None
    # Scaled, so that squares of large numbers do not overflow.
    scale = float(max(abs(finite[0]), abs(finite[-1]))) or 1.0
    if not 1e-150 < scale < 1e150:
        finite = finite / scale
    else:
        scale = 1.0
    mean = float(finite.mean())
    squares = sum(float(np.dot(part, part)) for i in range(0, n, _BLOCK) for part in [finite[i : i + _BLOCK] - mean])
    spread = float(np.sqrt(squares / (n - 1))) * scale if n > 1 else None
    return _finite(mean * scale), _finite(spread)


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _quantiles(finite: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(finite):
        return np.zeros(0)
    place = np.linspace(0, len(finite) - 1, POINTS)
    left = place.astype(np.int64)
    right = np.minimum(left + 1, len(finite) - 1)
    part = place - left
    # Not by the difference of the neighbours, which may overflow; rounding must not make it descend.
    found = finite[left] * (1 - part) + finite[right] * part
    return np.maximum.accumulate(np.clip(found, finite[left], finite[right]))


def _edge(finite: NDArray[np.float64], *, lowest: bool) -> tuple[tuple[float, int], ...]:
    found: list[tuple[float, int]] = []
    start, stop = 0, len(finite)
    while start < stop and len(found) < AT_THE_EDGE:
        value = finite[start] if lowest else finite[stop - 1]
        first, last = (int(np.searchsorted(finite, value, side)) for side in ("left", "right"))
        found.append((float(value), last - first))
        start, stop = (last, stop) if lowest else (start, first)
    return tuple(found)


def _frequent(finite: NDArray[np.float64], again: NDArray[np.float64]) -> tuple[tuple[float, int], ...]:
    """Return the values that are listed; `again` holds a value once for each time that it is there again."""
    if len(finite) - len(again) <= LISTED:
        values, counts = runs(finite)
    else:
        values, counts = runs(again)
        counts += 1
        if len(values) > MOST_FREQUENT:
            border = np.partition(counts, -MOST_FREQUENT)[-MOST_FREQUENT]
            level = np.flatnonzero(counts == border)[: MOST_FREQUENT - int((counts > border).sum())]
            chosen = np.concatenate([np.flatnonzero(counts > border), level])
            values, counts = values[chosen], counts[chosen]
    pairs = zip(values.tolist(), counts.tolist(), strict=True)
    return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def runs(ordered: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the different values of an ascending array, and how often each is there."""
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    return ordered[starts], np.diff(starts, append=len(ordered)).astype(np.int64)
