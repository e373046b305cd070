"""What is known of a column, and a file of it that outlives the rows: the reference profile. A stable promise.

Profile.read(path) == profile  after  profile.write(path)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from passmuster.errors import NotMeasured

#: What a stored profile calls itself, and its version.
SCHEMA, VERSION = "passmuster/profile", 1

#: A stored profile is read up to this size, in bytes.
LARGEST = 64 * 1024 * 1024

#: Points of the quantile function: probabilities 0, 1/200, … 1.
POINTS = 201

#: Values that are listed with their counts, where a column has no more different ones.
LISTED = 1_000

#: Values that are listed of a column that has more: the most frequent ones.
MOST_FREQUENT = 100

#: Values that are listed at either end of a column of numbers.
AT_THE_EDGE = 5

#: A number, or a category's text (long ones cut, with a mark of their content).
Value = float | str


class Kind(StrEnum):
    """How a column's values are looked at."""

    NUMBER = "number"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    DATETIME = "datetime"  #: seconds since 1970 in UTC; a time without a zone is taken as it stands
    OTHER = "other"  #: lists and the like: counted, and compared whole

    @property
    def ordered(self) -> bool:
        """Whether values are numbers that can be sorted."""
        return self in (Kind.NUMBER, Kind.DATETIME)


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """The facts of one column of one split; numbers are read as float64, statistics are those of the finite ones."""

    column: str
    type: str  #: Arrow's name of the type, e.g. "int64"
    kind: Kind
    rows: int
    null: int  #: missing values; NaN is counted apart, and is as good as missing for all that compares
    nan: int = 0
    negative_infinite: int = 0
    positive_infinite: int = 0
    distinct: int  #: different values, infinities among them, missing ones not
    mean: float | None = None  #: None: no finite value, or beyond float64
    standard_deviation: float | None = None  #: divisor n - 1; None also of a single value
    minimum: float | None = None
    maximum: float | None = None
    quantiles: tuple[float, ...] = ()  #: shape (201,) or (0,): linear between neighbours, as numpy's default
    low: tuple[tuple[float, int], ...] = ()  #: the 5 lowest finite values, each with its count
    high: tuple[tuple[float, int], ...] = ()  #: the 5 highest, the highest first
    #: finite values with counts, the most frequent first: all if there are no more than 1,000, else 100 (of numbers,
    #: 100 of those that are there more than once)
    top: tuple[tuple[Value, int], ...] = ()
    numeric_text: float | None = None  #: texts: the share of rows with a value that reads as a number

    @property
    def infinite(self) -> int:
        """The number of infinite values."""
        return self.negative_infinite + self.positive_infinite

    @property
    def there(self) -> int:
        """The number of rows that have a value, infinite ones among them."""
        return self.rows - self.null - self.nan

    @property
    def constant(self) -> bool:
        """Whether every row that has a value has the same."""
        return self.distinct == 1

    @property
    def rest(self) -> int:
        """The number of rows with a value that `top` does not list."""
        return self.there - sum(count for _, count in self.top)

    def __post_init__(self) -> None:
        _texts(self.column, self.type)
        _counts(self.rows, self.null, self.nan, self.negative_infinite, self.positive_infinite, self.distinct)
        _counts(*(count for pairs in (self.low, self.high, self.top) for _, count in pairs))
        numbers = (self.mean, self.standard_deviation, self.minimum, self.maximum, self.numeric_text)
        _numbers(*(n for n in numbers if n is not None), *self.quantiles, *(v for v, _ in (*self.low, *self.high)))
        values = [value for value, _ in self.top]
        _numbers(*values) if self.kind.ordered else _texts(*values)
        known = len(set(values)) == len(values) <= self.distinct <= self.there
        if self.infinite > self.there or not known or self.rest < 0:
            raise ValueError(f"{self.column}: the counts do not add up")
        if len(self.quantiles) not in (0, POINTS):
            raise ValueError(f"{self.column}: {len(self.quantiles)} quantiles, {POINTS} are needed")
        if any(a > b for a, b in pairwise(self.quantiles)):
            raise ValueError(f"{self.column}: quantiles descend")
        if bool(self.quantiles) != (self.kind.ordered and self.there > self.infinite):
            raise ValueError(f"{self.column}: quantiles are there without numbers, or the other way round")


def _texts(*values: object) -> None:
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise ValueError(f"{wrong[0]!r:.80} is not a text")


def _counts(*values: object) -> None:
    if wrong := [value for value in values if type(value) is not int or value < 0]:
        raise ValueError(f"{wrong[0]!r:.80} is not a count")


def _numbers(*values: object) -> None:
    for value in values:
        if type(value) is not float or not math.isfinite(value):
            raise ValueError(f"{value!r:.80} is not a finite number")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The profiles of a split's columns."""

    rows: int
    columns: tuple[ColumnProfile, ...]

    def __post_init__(self) -> None:
        _counts(self.rows)
        names = [column.column for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("a column is there twice")
        if any(column.rows != self.rows for column in self.columns):
            raise ValueError("the columns have different numbers of rows")

    def write(self, path: Path) -> None:
        """Write the profile as JSON."""
        path.write_text(json.dumps(self.to_json(), allow_nan=False, separators=(",", ":")) + "\n", encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """Return the profile as JSON types."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "rows": self.rows,
            "columns": [{f.name: getattr(column, f.name) for f in fields(column)} for column in self.columns],
        }

    @classmethod
    def read(cls, path: Path) -> Profile:
        """Return the profile that a file holds.

        Raises:
            NotMeasured: it can't be read, is too large, or is no profile of a version that is known.
        """
        try:
            with path.open("rb") as file:
                text = file.read(LARGEST + 1)
            if len(text) > LARGEST:
                raise ValueError(f"it has more than {LARGEST:,} bytes")
            return cls.from_json(json.loads(text))
        except (OSError, ValueError, RecursionError) as exc:
            raise NotMeasured(f"{path.name} is no profile that can be used: {exc}") from exc

    @classmethod
    def from_json(cls, answer: object) -> Profile:
        """Return the profile that `answer` holds.

        Raises:
            ValueError: it is no profile: another schema or version, a missing or unknown field, numbers that can't be.
        """
        if not isinstance(answer, Mapping) or (answer.get("schema"), answer.get("version")) != (SCHEMA, VERSION):
            raise ValueError(f"its schema is not {SCHEMA!r} in version {VERSION}")
        columns = answer.get("columns")
        if set(answer) != {"schema", "version", "rows", "columns"} or not isinstance(columns, list):
            raise ValueError("it needs `schema`, `version`, `rows`, `columns`, and nothing else")
        return cls(rows=answer["rows"], columns=tuple(_column(column) for column in columns))


def _column(answer: object) -> ColumnProfile:
    if not isinstance(answer, Mapping) or set(answer) != {f.name for f in fields(ColumnProfile)}:
        raise ValueError("a column has missing or unknown fields")
    values = dict(answer)
    try:
        values["kind"] = Kind(values["kind"])
        values["quantiles"] = tuple(values["quantiles"])
        for name in ("low", "high", "top"):
            values[name] = tuple((value, count) for value, count in values[name])
        return ColumnProfile(**values)
    except TypeError as exc:
        raise ValueError(f"a column's field has another type: {exc}") from exc
