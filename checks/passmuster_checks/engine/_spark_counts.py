"""How often each value of each column is there, counted by Spark, and what follows from that.

Counts of parts of the rows add up to those of all, so Spark merges them wherever the rows lie. What comes to the driver
is small whatever the rows: of numbers those at equal steps of rank, the ends and the frequent ones; of categories all,
or, where they are too many, the frequent ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from passmuster_checks import _arrow
from passmuster_checks.engine._columns import Categories, Named, Numbers, Opaque, word, written
from passmuster_checks.engine._spark_table import NAN, doubles, wholes
from passmuster_checks.engine.profile import AT_THE_EDGE, LISTED, MOST_FREQUENT, POINTS, ColumnProfile, Kind

#: Numbers of a column that come to the driver are those at this many equal steps of rank; a multiple of the steps
#: between quantiles.
STEPS = 200_000

#: Different values of a column of categories that come to the driver.
MOST_CATEGORIES = 200_000

#: Parts that the values of a column are spread over to find the most frequent ones.
_PARTS = 256

#: What reads as a number: as in `_columns`, in Java's dialect.
_NUMBER = r"^[\t\n\f\r ]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[\t\n\f\r ]*\z"

_KNOWN = "bucket int, of int, before bigint, missing bigint, low bigint, m bigint, finite bigint, whole boolean"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked(Numbers):
    """A column of numbers, of which `STEPS` + 1 are left at most, and as many fewer rows without one."""

    exact: ColumnProfile  #: of all of them

    @property
    def thinned(self) -> bool:
        """Whether numbers were left out."""
        return self.rows != self.exact.rows

    def profile(self) -> ColumnProfile:
        """Return what is known of the column."""
        return self.exact


@dataclass(frozen=True, kw_only=True, eq=False)
class Wide(Named):
    """A column of more different categories than the driver should hold."""

    distinct: int
    top: tuple[tuple[bytes, int], ...]  #: the most frequent
    numeric: float | None  #: the share of values that read as numbers

    def profile(self) -> ColumnProfile:
        """Return what is known of the column."""
        pairs = ((word(value), count) for value, count in self.top)
        return ColumnProfile(
            column=self.column,
            type=self.type,
            kind=self.kind,
            rows=self.rows,
            null=self.null,
            nan=self.nan,
            distinct=self.distinct,
            top=tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))),
            numeric_text=self.numeric,
        )


# ── numbers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def ranked(values: DataFrame) -> DataFrame:
    """Return the different numbers of each column in ascending order, with what is needed to rank them.

    Args:
        values: `of`, whose it is, and `value`, a double or null.

    Returns:
        `of`, `value`, `n` rows, and within its `bucket`, which holds neighbours: `upto`, rows up to it; `edge`, whether
        it is one of the first or last.
    """
    value = F.col("value") + F.lit(0.0)  # -0.0 is 0.0
    counted = values.withColumn("value", value).groupBy("of", "value").agg(F.count(F.lit(1)).alias("n"))
    near = counted.repartitionByRange("of", "value").withColumn("bucket", F.spark_partition_id())
    ordered = Window.partitionBy("bucket", "of").orderBy("value")
    # Beside the numbers at an edge, null, NaN and infinities may stand there.
    few = AT_THE_EDGE + 2
    return near.select(
        "bucket",
        "of",
        "value",
        "n",
        F.sum("n").over(ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)).alias("upto"),
        (F.lag("n", few).over(ordered).isNull() | F.lead("n", few).over(ordered).isNull()).alias("edge"),
    )


@dataclass(kw_only=True)
class _Totals:
    """The sums of one column over its buckets."""

    buckets: list[tuple[int, int]] = field(default_factory=list)  #: each with its rows, in the order of their values
    null: int = 0
    nan: int = 0
    low: int = 0  #: rows with -inf
    high: int = 0  #: rows with inf
    finite: int = 0
    distinct: int = 0  #: finite values
    minimum: float = np.inf
    maximum: float = -np.inf

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.buckets)

    @property
    def center(self) -> float:
        return self.minimum / 2 + self.maximum / 2 if self.finite else 0.0

    @property
    def scale(self) -> float:
        """A power of two, by which the division of any number is exact."""
        largest = max(abs(self.minimum), abs(self.maximum)) if self.finite else 0.0
        return 2.0 ** (math.frexp(largest)[1] - 1) if largest else 1.0


def numbers(found: DataFrame, named: Mapping[int, Mapping[str, Any]]) -> dict[int, Ranked]:
    """Return profiles and forms of columns of numbers.

    Args:
        found: by `ranked`; it is gone over several times.
        named: `of` → name, type, kind of the column.
    """
    totals = _totals(found, named)
    known = found.sparkSession.createDataFrame(_known(totals), _KNOWN)
    placed = found.join(F.broadcast(known), ["bucket", "of"])
    kept = _kept(placed).toArrow().combine_chunks()
    moments, often = _moments(found, totals), _often(found)
    of, n, before, weight = (wholes(kept.column(name).cast(pa.int64())) for name in ("of", "n", "before", "weight"))
    value = doubles(kept.column("value"))
    answers = {}
    for code, about in named.items():
        here = np.flatnonzero(of == code)
        here = here[np.argsort(value[here])]
        parts = _Kept(value=value[here], n=n[here], before=before[here], weight=weight[here])
        answers[code] = _answer(about, totals[code], parts, moments.get(code, (0.0, 0.0)), often.get(code, []))
    return answers


def midranks(found: DataFrame, of: int) -> DataFrame:
    """Return the ranks of a column's numbers, in (0, 1): columns `label`, the number, and `y`.

    Args:
        found: by `ranked`.
        of: whose numbers.
    """
    here = found.where(F.col("of") == of)
    known = found.sparkSession.createDataFrame(_known(_totals(here, {of: {}})), _KNOWN)
    placed = here.join(F.broadcast(known), ["bucket", "of"]).where(F.col("value").isNotNull() & ~F.isnan("value"))
    rank = F.col("before") + F.col("upto") - F.col("n") - F.col("missing") + F.col("n") / 2
    return placed.select(F.col("value").alias("label"), (rank / F.col("m")).alias("y"))


def _totals(found: DataFrame, named: Mapping[int, Any]) -> dict[int, _Totals]:
    value, n = F.col("value"), F.col("n")
    finite = F.abs(value) < float("inf")

    def rows(condition: Any) -> Any:
        return F.coalesce(F.sum(F.when(condition, n)), F.lit(0))

    sums = found.groupBy("bucket", "of").agg(
        F.sum("n").alias("rows"),
        rows(value.isNull()).alias("null"),
        rows(F.isnan(value)).alias("nan"),
        rows(value == float("-inf")).alias("low"),
        rows(value == float("inf")).alias("high"),
        rows(finite).alias("finite"),
        F.count(F.when(finite, value)).alias("distinct"),
        F.min(F.when(finite, value)).alias("minimum"),
        F.max(F.when(finite, value)).alias("maximum"),
    )
    totals = {of: _Totals() for of in named}
    for row in sorted(sums.collect(), key=lambda row: row.bucket):
        one = totals[row.of]
        one.buckets.append((row.bucket, row.rows))
        for name in ("null", "nan", "low", "high", "finite", "distinct"):
            setattr(one, name, getattr(one, name) + getattr(row, name))
        if row.finite:
            one.minimum, one.maximum = min(one.minimum, row.minimum), max(one.maximum, row.maximum)
    return totals


def _known(totals: Mapping[int, _Totals]) -> list[tuple[Any, ...]]:
    """Return for each bucket what its rows need to know of the others."""
    known: list[tuple[Any, ...]] = []
    for of, one in totals.items():
        before = 0
        for bucket, rows in one.buckets:
            there = one.low + one.finite + one.high
            known.append((bucket, of, before, one.null, one.low, there, one.finite, one.distinct <= LISTED))
            before += rows
    return known


def _kept(placed: DataFrame) -> DataFrame:
    """Return the numbers that come to the driver, each with its rank among the finite ones."""
    rank = F.col("before") + F.col("upto") - F.col("n") - F.col("missing")
    there = placed.where(F.col("value").isNotNull() & ~F.isnan("value")).withColumn("first", rank)
    weight = F.when(F.col("m") <= STEPS + 1, F.col("n")).otherwise(_steps("first", "m", STEPS))
    among = there.withColumn("weight", weight).withColumn("before", F.col("first") - F.col("low"))
    # Those that a quantile lies at, or between.
    point = (F.col("finite") > 1) & (_steps("before", "finite", POINTS - 1, back=1) > 0)
    wanted = (F.col("weight") > 0) | point | F.col("edge") | F.col("whole")
    return among.where(wanted).select("of", "value", "n", "before", "weight")


def _often(found: DataFrame) -> dict[int, list[tuple[float, int]]]:
    """Return the finite numbers that are there more than once and most often in their bucket, each with its rows."""
    again = found.where((F.col("n") > 1) & (F.abs("value") < float("inf")))
    order = Window.partitionBy("bucket", "of").orderBy(F.desc("n"), F.asc("value"))
    most = again.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= MOST_FREQUENT)
    pairs: dict[int, list[tuple[float, int]]] = {}
    for row in most.select("of", "value", "n").collect():
        pairs.setdefault(row.of, []).append((row.value, row.n))
    return pairs


def _steps(first: str, rows: str, steps: int, back: int = 0) -> Any:
    """Return how many of the ranks floor(i·(rows - 1)/steps), i from 0 to steps, a value's own ranks hold.

    Args:
        first: the column with the value's first rank.
        rows: the column with the number of all ranks.
        steps: how many steps there are.
        back: ranks before the first one that count as the value's own.
    """

    def upto(rank: str) -> Any:
        return F.expr(f"((({rank}) * {steps} + {rows} - 2) div ({rows} - 1))")

    return F.least(upto(f"{first} + n"), F.lit(steps + 1)) - F.greatest(upto(f"{first} - {back}"), F.lit(0))


def _moments(found: DataFrame, totals: Mapping[int, _Totals]) -> dict[int, tuple[float, float]]:
    """Return sum and sum of squares of the finite numbers, centred and scaled so that nothing overflows or cancels."""
    means = _sums(found, {of: (one.center, one.scale) for of, one in totals.items()}, "difference")
    centers = {
        of: (one.center + one.scale * (means.get(of, 0.0) / max(one.finite, 1)), one.scale)
        for of, one in totals.items()
    }
    squares = _sums(found, centers, "difference * difference")
    return {of: (means.get(of, 0.0), squares.get(of, 0.0)) for of in totals}


def _sums(found: DataFrame, centers: Mapping[int, tuple[float, float]], what: str) -> dict[int, float]:
    known = [(of, center, scale) for of, (center, scale) in centers.items()]
    about = found.sparkSession.createDataFrame(known, "of int, center double, scale double")
    joined = found.where(F.abs("value") < float("inf")).join(F.broadcast(about), "of")
    part = joined.withColumn("difference", F.expr("value / scale - center / scale"))
    return {row.of: row.total for row in part.groupBy("of").agg(F.expr(f"sum(n * ({what}))").alias("total")).collect()}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    """The numbers of a column that came to the driver, ascending; each array has shape (k,)."""

    value: NDArray[np.float64]
    n: NDArray[np.int64]
    before: NDArray[np.int64]  #: finite numbers below
    weight: NDArray[np.int64]


def _answer(
    about: Mapping[str, Any],
    total: _Totals,
    kept: _Kept,
    moments: tuple[float, float],
    often: Sequence[tuple[float, int]],
) -> Ranked:
    finite = np.isfinite(kept.value)
    inner = _Kept(**{name: part[finite] for name, part in vars(kept).items()})
    mean, deviation = _mean(total, *moments)
    ends = list(zip(inner.value.tolist(), inner.n.tolist(), strict=True))
    frequent = sorted(ends if total.distinct <= LISTED else often, key=lambda pair: (-pair[1], pair[0]))
    profile = ColumnProfile(
        **about,
        rows=total.rows,
        null=total.null,
        nan=total.nan,
        negative_infinite=total.low,
        positive_infinite=total.high,
        distinct=total.distinct + (total.low > 0) + (total.high > 0),
        mean=mean,
        standard_deviation=deviation,
        minimum=total.minimum if total.finite else None,
        maximum=total.maximum if total.finite else None,
        quantiles=_quantiles(inner, total.finite),
        low=tuple(ends[:AT_THE_EDGE]),
        high=tuple(ends[: -AT_THE_EDGE - 1 : -1]),
        top=tuple(frequent if total.distinct <= LISTED else frequent[:MOST_FREQUENT]),
    )
    return _form(about, profile, kept)


def _mean(total: _Totals, differences: float, squares: float) -> tuple[float | None, float | None]:
    if not total.finite:
        return None, None
    mean, spread = total.center + total.scale * (differences / total.finite), 0.0
    if total.minimum == total.maximum:
        mean = total.minimum
    elif total.finite > 1:
        spread = math.sqrt(squares / (total.finite - 1)) * total.scale
    known = total.finite > 1 and math.isfinite(spread)
    return (mean if math.isfinite(mean) else None), (spread if known else None)


def _quantiles(kept: _Kept, n: int) -> tuple[float, ...]:
    if not n:
        return ()
    steps = POINTS - 1
    places = [divmod(i * (n - 1), steps) for i in range(POINTS)]
    left = np.array([place for place, _ in places])
    part = np.array([rest / steps for _, rest in places])
    low, high = (
        kept.value[np.searchsorted(kept.before, ranks, "right") - 1] for ranks in (left, np.minimum(left + 1, n - 1))
    )
    found = np.clip(low * (1 - part) + high * part, low, high)
    return tuple(np.maximum.accumulate(found).tolist())


def _form(about: Mapping[str, Any], exact: ColumnProfile, kept: _Kept) -> Ranked:
    values = np.repeat(kept.value, kept.weight)
    if len(values) == exact.there:
        return Ranked(**about, rows=exact.rows, null=exact.null, nan=exact.nan, values=values, exact=exact)
    missing = exact.rows - exact.there
    missing = max(round(missing * len(values) / exact.there), int(missing > 0))
    return Ranked(**about, rows=len(values) + missing, null=missing, values=values, exact=exact)


# ── categories ─────────────────────────────────────────────────────────────────────────────────────────────────────


def counted(values: DataFrame) -> DataFrame:
    """Return `n`, the rows of each different `value` of each column `of`; values are bytes or null."""
    return values.groupBy("of", "value").agg(F.count(F.lit(1)).alias("n"))


def categories(found: DataFrame, named: Mapping[int, Mapping[str, Any]]) -> dict[int, Categories | Opaque | Wide]:
    """Return the forms of columns of categories.

    Args:
        found: by `counted`; it is gone over several times.
        named: `of` → name, type, kind of the column.
    """
    value, n = F.col("value"), F.col("n")
    nan, there = value == F.lit(NAN), value.isNotNull()
    reads = value.cast("string").rlike(_NUMBER)
    sums = found.groupBy("of").agg(
        F.sum(F.when(value.isNull(), n)).alias("null"),
        F.sum(F.when(nan, n)).alias("nan"),
        F.count(F.when(there & ~nan, n)).alias("distinct"),
        F.sum(n).alias("rows"),
        F.sum(F.when(there & reads, n)).alias("numeric"),
    )
    totals = {row.of: row for row in sums.collect()}
    told = [of for of, about in named.items() if about["kind"] is not Kind.OTHER]
    small = [of for of in told if of not in totals or totals[of].distinct <= MOST_CATEGORIES]
    words = _words(found.where(there & ~nan & F.col("of").isin(small)), small)
    top = _frequent(found.where(there & ~nan), [of for of in told if of not in small])
    return {of: _category(about, totals.get(of), words.get(of), top.get(of)) for of, about in named.items()}


def _words(found: DataFrame, small: Sequence[int]) -> dict[int, tuple[pa.Array, NDArray[np.int64]]]:
    if not small:
        return {}
    table = found.toArrow().combine_chunks()
    of, n = wholes(table.column("of").cast(pa.int64())), wholes(table.column("n").cast(pa.int64()))
    values = pa.concat_arrays([*table.column("value").cast(pa.large_binary()).chunks, pa.nulls(0, pa.large_binary())])
    return {code: (values.filter(_arrow.from_numpy(of == code)), n[of == code]) for code in small}


def _frequent(found: DataFrame, wide: Sequence[int]) -> dict[int, tuple[tuple[bytes, int], ...]]:
    if not wide:
        return {}
    parts = found.where(F.col("of").isin(list(wide))).withColumn("part", F.pmod(F.xxhash64("value"), F.lit(_PARTS)))
    order = [F.desc("n"), F.asc("value")]
    place = F.row_number().over(Window.partitionBy("of", "part").orderBy(*order))
    rows = parts.withColumn("place", place).where(F.col("place") <= MOST_FREQUENT).select("of", "value", "n").collect()
    pairs: dict[int, list[tuple[bytes, int]]] = {of: [] for of in wide}
    for row in rows:
        pairs[row.of].append((bytes(row.value), row.n))
    return {of: tuple(sorted(some, key=lambda p: (-p[1], p[0]))[:MOST_FREQUENT]) for of, some in pairs.items()}


def _category(about: Mapping[str, Any], total: Any, words: Any, top: Any) -> Categories | Opaque | Wide:
    rows, null, nan = (0, 0, 0) if total is None else (total.rows, total.null or 0, total.nan or 0)
    named = {**about, "rows": rows, "null": null, "nan": nan}
    texts = about["kind"] is Kind.CATEGORY and about["type"] in _arrow.TEXTS
    if about["kind"] is Kind.OTHER:
        return Opaque(**named, distinct=total.distinct if total is not None else 0)
    if words is None:
        numeric = (total.numeric or 0) / (rows - null - nan) if texts else None
        return Wide(**named, distinct=total.distinct, top=top, numeric=numeric)
    values, counts = words
    if not texts and about["kind"] is Kind.CATEGORY:
        values = _rewritten(values)
    return Categories(**named, values=values, counts=counts, texts=texts)


def _rewritten(values: pa.Array) -> pa.Array:
    """Return numbers that Java has written as they are written here."""
    texts = [value.decode() for value in values.to_pylist()]
    java = [i for i, text in enumerate(texts) if not text.lstrip("-").isdigit()]
    ours = written(np.array([float(texts[i]) for i in java]), boolean=False).to_pylist()
    found: list[bytes] = values.to_pylist()
    for i, text in zip(java, ours, strict=True):
        found[i] = text
    return _arrow.binary(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Aligned:
    """The rows of each category in two columns; categories of equal counts stand together."""

    base: NDArray[np.int64]  #: shape (k,)
    current: NDArray[np.int64]  #: shape (k,)
    ends: NDArray[np.int64]  #: shape (c,): where each run of equal counts ends
    examples: tuple[bytes, ...]  #: a category of each run

    def name(self, place: int | None) -> str | None:
        """Return a category with the counts of the one at `place`; None: it is that of missing values, or none."""
        if place is None or place >= len(self.base):
            return None
        return word(self.examples[int(np.searchsorted(self.ends, place, "right"))])


def aligned(found: DataFrame, base: int, current: int) -> Aligned:
    """Return the counts of two columns of categories.

    Args:
        found: by `counted`.
        base: whose column is the base.
        current: whose is compared with it.
    """
    whose, value = F.col("of"), F.col("value")
    here = found.where(value.isNotNull() & whose.isin([base, current]) & (value != F.lit(NAN)))
    ours, theirs = (F.sum(F.when(whose == of, F.col("n")).otherwise(0)) for of in (base, current))
    together = here.groupBy("value").agg(ours.alias("ours"), theirs.alias("theirs"))
    runs = together.groupBy("ours", "theirs").agg(F.count(F.lit(1)).alias("k"), F.min("value").alias("value"))
    rows = sorted(runs.collect(), key=lambda row: (row.ours, row.theirs))
    times = np.array([row.k for row in rows], dtype=np.int64)
    counts = np.array([(row.ours, row.theirs) for row in rows], dtype=np.int64).reshape(-1, 2)
    return Aligned(
        base=np.repeat(counts[:, 0], times),
        current=np.repeat(counts[:, 1], times),
        ends=np.cumsum(times),
        examples=tuple(bytes(row.value) for row in rows),
    )
