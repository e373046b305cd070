"""Outputs of a re-run against the committed ones: how equal they are, with numbers.

The hashes come from `dvc.lock` as committed and as the re-run wrote it; contents are read only where a hash differs, or
where a class asks for more than equal bytes (a NaN is never equal to a NaN). Nothing here runs or fetches anything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster.config import Compare, Tolerance

if TYPE_CHECKING:
    import pyarrow as pa


#: How YAML, and people in JSON, write what is no measurement.
_NOT_FINITE = re.compile(r"[-+]?\.?(nan|inf|infinity)", re.IGNORECASE)


class Result(StrEnum):
    """How an output of the re-run stands to the committed one."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within tolerance"
    DIFFERENT = "different"
    NOT_RERUN = "not re-run"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One output as committed and as the re-run made it."""

    path: str  #: relative to the repository's root
    expected: str | None  #: the hash in the committed `dvc.lock`; None where it has none
    actual: str | None  #: the hash of what the re-run made; None where it made nothing
    committed: str | None = None  #: the hash of the file in git; None where git does not keep it
    old: Path | None = None  #: the committed content, where it could be had
    new: Path | None = None  #: the content that the re-run made
    missing: str = ""  #: why the re-run made nothing, where it is known


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one output."""

    path: str
    compare: str  #: the class, `bytes`, `metrics` or `predictions`
    result: Result
    reason: str = ""
    expected: str | None = None
    actual: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        names = ("path", "compare", "reason", "expected", "actual")
        return {
            **{name: getattr(self, name) for name in names},
            "result": str(self.result),
            "details": dict(self.details),
        }


class _NotComparable(Exception):
    """The contents cannot be compared; the text says why."""


_Found = tuple[Result, str, dict[str, Any]]


def compare(pairs: Mapping[str, Pair], tolerances: Mapping[str, Tolerance]) -> list[Outcome]:
    """Return one outcome for each output, in the order of `pairs`.

    An output with `by` takes the result of the one that it names. One that is not named in `tolerances` must have the
    same bytes. Whatever cannot be compared is `error`, never *within tolerance*.
    """
    strict = Tolerance(compare=Compare.BYTES)
    own = {path: _outcome(pair, tolerances.get(path, strict)) for path, pair in pairs.items()}
    return [_by(outcome, tolerances.get(path, strict), own) for path, outcome in own.items()]


def _by(outcome: Outcome, tolerance: Tolerance, all_: Mapping[str, Outcome]) -> Outcome:
    if tolerance.by is None or outcome.result in (Result.NOT_RERUN, Result.ERROR):
        return outcome
    other = all_.get(tolerance.by)
    if other is None or tolerance.by == outcome.path or other.details.get("by"):
        reason = f"`by` names {tolerance.by}, which is not an output with a comparison of its own"
        return replace(outcome, result=Result.ERROR, reason=reason)
    return replace(
        outcome,
        result=other.result,
        reason=f"by {other.path}" + (f": {other.reason}" if other.reason else ""),
    )


def _outcome(pair: Pair, tolerance: Tolerance) -> Outcome:
    result, reason, details = _judge(pair, tolerance)
    return Outcome(
        path=pair.path,
        compare=str(tolerance.compare),
        result=result,
        reason=reason,
        expected=pair.expected,
        actual=pair.actual,
        details=details,
    )


def _judge(pair: Pair, tolerance: Tolerance) -> _Found:
    if pair.expected is None:
        reason = "the committed dvc.lock has no hash of it; run `dvc repro` and commit dvc.lock"
        return Result.ERROR, reason, {}
    if pair.committed not in (None, pair.expected):
        reason = "the file in the commit is not the one that its dvc.lock names; run `dvc repro` and commit both"
        return Result.DIFFERENT, reason, {"committed": pair.committed}
    if pair.actual is None or pair.new is None:
        return Result.NOT_RERUN, pair.missing or "the re-run did not make it", {}
    same = pair.expected == pair.actual
    if tolerance.by is not None:
        return (Result.IDENTICAL if same else Result.DIFFERENT), "", {"by": tolerance.by}
    if tolerance.compare == Compare.BYTES:
        return (Result.IDENTICAL, "", {}) if same else (Result.DIFFERENT, "its bytes differ", {})
    return _by_content(pair, tolerance, same=same)


def _by_content(pair: Pair, tolerance: Tolerance, *, same: bool) -> _Found:
    old = pair.new if same else pair.old
    if old is None or pair.new is None:
        reason = (
            "its hash differs, and the committed content is not in git, the cache or a remote, so there is nothing to "
            "measure the difference against; keep it in git (`cache: false`), or push it"
        )
        return Result.ERROR, reason, {}
    import pyarrow as pa

    content: Callable[[Path, Path, Tolerance], _Found]
    content = compare_metrics if tolerance.compare == Compare.METRICS else compare_predictions
    try:
        result, reason, details = content(old, pair.new, tolerance)
    except (_NotComparable, pa.ArrowException) as exc:
        return Result.ERROR, str(exc), {}
    return (Result.IDENTICAL, "", details) if same else (result, reason, details)


# Metrics


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings and lists, named `a.b.0`; an empty mapping or list is a leaf."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = False
    for key, inner in items:
        found = True
        yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    if not found:
        yield prefix, value


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the leaves of a JSON or YAML file of metrics, by name.

    Raises:
        ValueError: it cannot be read, is empty, names a leaf twice, or holds NaN or infinity.
    """
    from passmuster.config import _plain  # as DVC reads YAML: `1e-5` is a number; and aliases can't make it endless

    try:
        text = path.read_text(encoding="utf-8")
        tree = _plain.load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
        leaves = list(flatten(tree))
    except (OSError, ValueError, RecursionError) as exc:
        raise ValueError(f"it cannot be read as metrics: {exc}") from exc
    if not isinstance(tree, dict) or not tree:
        raise ValueError("it holds no metrics: expected a mapping of names to numbers")
    if len(dict(leaves)) != len(leaves):
        raise ValueError("two of its metrics have the same name")
    for name, value in leaves:
        if (is_number(value) and not _finite(value)) or (isinstance(value, str) and _NOT_FINITE.fullmatch(value)):
            raise ValueError(f"{name} is not a finite number, so it is not a measurement")
    return dict(leaves)


def compare_metrics(old: Path, new: Path, tolerance: Tolerance) -> _Found:
    """Return how two files of metrics differ: `|new - old| <= atol + rtol * |old|` for each number."""
    expected, actual = _metrics(old, "committed"), _metrics(new, "new")
    lacking, extra = sorted(expected.keys() - actual.keys()), sorted(actual.keys() - expected.keys())
    if lacking or extra:
        texts = [f"missing: {', '.join(lacking)}"] * bool(lacking) + [f"not in the commit: {', '.join(extra)}"] * bool(
            extra
        )
        return Result.DIFFERENT, "metrics " + "; ".join(texts), {"missing": lacking, "extra": extra}
    worst = _Worst()
    others = []
    for name, value in expected.items():
        if is_number(value) and is_number(actual[name]):
            worst.see(value, actual[name], tolerance, {"metric": name})
        elif type(value) is not type(actual[name]) or value != actual[name]:
            others.append(name)
    details = {"compared": len(expected), **worst.to_json(), "not_numbers": others}
    if others:
        return Result.DIFFERENT, f"{', '.join(others)} differ and are not numbers", details
    return worst.result(), worst.sentence(), details


def _metrics(path: Path, which: str) -> dict[str, Any]:
    try:
        return read_metrics(path)
    except ValueError as exc:
        raise _NotComparable(f"the {which} file: {exc}") from exc


def is_number(value: object) -> bool:
    """Return whether a leaf is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer with more digits than a float can hold
        return False


class _Worst:
    """The largest differences seen so far, and where."""

    def __init__(self) -> None:
        self.absolute = 0.0
        self.relative: float | None = 0.0  #: None: a number other than zero stands where zero was
        self.where: dict[str, Any] | None = None
        self.beyond = 0
        self._excess = -math.inf

    def see(self, old: float, new: float, tolerance: Tolerance, where: Mapping[str, Any]) -> None:
        """Take one pair of finite numbers into account."""
        difference = abs(new - old)
        limit = tolerance.atol + tolerance.rtol * abs(old)
        self.add(difference, difference / abs(old) if old else (math.inf if difference else 0.0))
        self.beyond += not difference <= limit
        if difference and difference - limit > self._excess:
            self._excess = difference - limit
            self.where = {**where, "expected": old, "actual": new}

    def add(self, absolute: float, relative: float) -> None:
        """Raise the largest differences to these, where they are larger."""
        self.absolute = max(self.absolute, absolute)
        if self.relative is not None:
            self.relative = None if math.isinf(relative) else max(self.relative, relative)

    def result(self) -> Result:
        """Return what the differences mean."""
        return Result.DIFFERENT if self.beyond else Result.WITHIN_TOLERANCE

    def sentence(self) -> str:
        """Return the differences in words."""
        relative = "" if self.relative is None else f", relative {self.relative:.3g}"
        where = (
            ""
            if self.where is None
            else " at "
            + ", ".join(f"{key} {value}" for key, value in self.where.items() if key not in ("expected", "actual"))
        )
        return f"{self.beyond} beyond the tolerance; largest difference {self.absolute:.3g}{relative}{where}"

    def to_json(self) -> dict[str, Any]:
        """Return the differences as JSON types."""
        return {
            "beyond": self.beyond,
            "max_abs": self.absolute,
            "max_rel": self.relative,
            "where": self.where,
        }


# Predictions


def compare_predictions(old: Path, new: Path, tolerance: Tolerance) -> _Found:
    """Return how two tables of predictions (CSV or Parquet) differ: the same rows in the same order, numbers close.

    Rows are named by the column `tolerance.id`, which must be unique and never null. NaN and infinity are an error.
    """
    if tolerance.id is None:
        raise _NotComparable("no `id` column is declared for it, so its rows cannot be told apart")
    expected, actual = _table(old, tolerance.id, "committed"), _table(new, tolerance.id, "new")
    if difference := _rows_differ(expected, actual, tolerance.id) or _columns_differ(expected, actual):
        return difference
    worst, others = _Worst(), {}
    ids = expected.column(tolerance.id)
    for name in expected.column_names:
        if name != tolerance.id and (count := _column(name, ids, expected, actual, tolerance, worst)):
            others[name] = count
    details = {"rows": expected.num_rows, **worst.to_json(), "not_numbers": others}
    if others:
        text = ", ".join(f"{name} in {count} rows" for name, count in others.items())
        return Result.DIFFERENT, f"{text} differ, and not by numbers", details
    return worst.result(), worst.sentence(), details


def read_table(path: Path, *, text: tuple[str, ...] = (), gaps: bool = True) -> pa.Table:
    """Return a CSV or Parquet file as a table.

    Args:
        path: the file.
        text: columns of a CSV that are read as strings, whatever they look like.
        gaps: whether an empty field (or `NA`, as pandas has it) is a missing value in a CSV's columns of text too.

    Raises:
        ValueError: it cannot be read, or its name ends neither in `.csv` nor in `.parquet`.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        if path.suffix == ".csv":
            types = dict.fromkeys(text, pa.string())
            return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=gaps))
        if path.suffix == ".parquet":
            # One file, whatever folders it stands in: `year=2026/x.parquet` would else gain a column.
            return parquet.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as exc:
        raise ValueError(f"it cannot be read as a table: {exc}") from exc
    raise ValueError(f"{path.name} is neither .csv nor .parquet")


def _table(path: Path, key: str, which: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import compute as pc

    try:
        table = read_table(path, text=(key,), gaps=False)
    except ValueError as exc:
        raise _NotComparable(f"the {which} file: {exc}") from exc
    if len(set(table.column_names)) != table.num_columns:
        raise _NotComparable(f"the {which} file has two columns of the same name")
    if key not in table.column_names:
        raise _NotComparable(f"the {which} file has no column {key!r}")
    if not table.num_rows:
        raise _NotComparable(f"the {which} file has no rows")
    ids = table.column(key).cast(pa.string())
    if ids.null_count or pc.count_distinct(ids).as_py() != table.num_rows:
        raise _NotComparable(f"the {which} file's column {key!r} is not unique in every row")
    return table.set_column(table.column_names.index(key), key, ids)


def _rows_differ(expected: pa.Table, actual: pa.Table, key: str) -> _Found | None:
    from pyarrow import compute as pc

    old, new = expected.column(key), actual.column(key)
    if old.equals(new):
        return None
    lacking = pc.sum(pc.invert(pc.is_in(old, value_set=new.combine_chunks()))).as_py() or 0
    extra = pc.sum(pc.invert(pc.is_in(new, value_set=old.combine_chunks()))).as_py() or 0
    numbers = {"rows": expected.num_rows, "rows_now": actual.num_rows, "missing": lacking, "extra": extra}
    if lacking or extra:
        return Result.DIFFERENT, f"other rows: {lacking} missing, {extra} not in the commit", numbers
    return Result.DIFFERENT, "the same rows in another order", numbers


def _columns_differ(expected: pa.Table, actual: pa.Table) -> _Found | None:
    lacking = sorted(set(expected.column_names) - set(actual.column_names))
    extra = sorted(set(actual.column_names) - set(expected.column_names))
    if not lacking and not extra:
        return None
    return (
        Result.DIFFERENT,
        f"other columns: missing {lacking}, not in the commit {extra}",
        {"missing": lacking, "extra": extra},
    )


def _column(
    name: str, ids: pa.ChunkedArray, expected: pa.Table, actual: pa.Table, tolerance: Tolerance, worst: _Worst
) -> int:
    """Take one column into account; the answer is the number of rows that differ other than by numbers."""
    import pyarrow as pa
    from pyarrow import compute as pc

    old, new = expected.column(name), actual.column(name)
    for which, column in (("committed", old), ("new", new)):
        # In a CSV a NaN is read as missing; where a whole column is, its type is null.
        if column.null_count and (_numeric(column.type) or pa.types.is_null(column.type)):
            at = ids.filter(pc.is_null(column))[0].as_py()
            raise _NotComparable(f"the {which} file has no number (or a NaN) in {name}, row {at}")
    if _numeric(old.type) and _numeric(new.type):
        _numbers(name, ids, old, new, tolerance, worst)
        return 0
    if pa.types.is_dictionary(old.type):
        old = old.cast(old.type.value_type)
    if pa.types.is_dictionary(new.type):
        new = new.cast(new.type.value_type)
    if pa.types.is_large_string(old.type) or pa.types.is_large_string(new.type):
        old, new = old.cast(pa.string()), new.cast(pa.string())
    if old.type != new.type:
        return int(expected.num_rows)
    same = pc.or_(pc.fill_null(pc.equal(old, new), False), pc.and_(pc.is_null(old), pc.is_null(new)))
    return int(expected.num_rows - (pc.sum(same).as_py() or 0))


def _numeric(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _numbers(
    name: str,
    ids: pa.ChunkedArray,
    old: pa.ChunkedArray,
    new: pa.ChunkedArray,
    tolerance: Tolerance,
    worst: _Worst,
) -> None:
    """Take a column of numbers into account."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_integer(old.type) and pa.types.is_integer(new.type):
        a, b = (np.asarray(column).astype(np.longdouble) for column in (old, new))  # ids above 2**53 stay apart
    else:
        a, b = (np.asarray(column.cast(pa.float64(), safe=False)) for column in (old, new))
    for which, values in (("committed", a), ("new", b)):
        if not np.isfinite(values).all():
            at = ids[int(np.flatnonzero(~np.isfinite(values))[0])].as_py()
            raise _NotComparable(f"the {which} file holds NaN or infinity in {name}, row {at}")
    difference = np.abs(b - a)
    excess = difference - (tolerance.atol + tolerance.rtol * np.abs(a))
    at = int(np.argmax(excess))
    before = worst.beyond
    worst.see(float(a[at]), float(b[at]), tolerance, {"column": name, "row": ids[at].as_py()})
    worst.beyond = before + int((~(excess <= 0)).sum())
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.where(difference == 0, 0.0, difference / np.abs(a))
    worst.add(float(difference.max()), float(relative.max()))
