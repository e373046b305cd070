"""How well one feature alone tells the label, from counts by bin that Spark makes; `_predictors` says the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from passmuster.errors import NotMeasured
from passmuster_checks import _arrow
from passmuster_checks.engine import _predictors, _spark_counts
from passmuster_checks.engine._columns import Categories, Form, Numbers, Opaque, word
from passmuster_checks.engine._facts import Predictor
from passmuster_checks.engine._spark_counts import Wide
from passmuster_checks.engine._spark_table import Table, doubles, wholes
from passmuster_checks.engine.profile import Kind

#: Bins that the categories of a `Wide` column share.
BINS = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """The train rows that have a label, and what it is: `half`, and `code` of the class or `y`, its rank."""

    table: Table
    names: tuple[str, ...] | None  #: of the classes; None: a regression

    def cells(self, features: Mapping[str, Form | Wide]) -> dict[str, Cells]:
        """Return the rows of some features by bin, half and class; features of lists and the like are left out."""
        names = [name for name, form in features.items() if not isinstance(form, Opaque)]
        if not names:
            return {}
        binned, frame = _binned(self.table, {name: features[name] for name in names})
        label = "code" if self.names is not None else "y"
        columns = [binned[name].alias(str(of)) for of, name in enumerate(names)]
        wide = frame.select("half", label, *columns)
        long = wide.unpivot(["half", label], [str(of) for of in range(len(names))], "of", "cell")
        if self.names is not None:
            counted = long.groupBy("of", "cell", "half", "code").agg(F.count(F.lit(1)).alias("n"))
            return _parts(counted.withColumns({"y": F.lit(0.0), "squares": F.lit(0.0)}), names)
        sums = (F.count(F.lit(1)).alias("n"), F.sum("y").alias("y"), F.sum(F.col("y") * F.col("y")).alias("squares"))
        return _parts(long.groupBy("of", "cell", "half").agg(*sums).withColumn("code", F.lit(0)), names)

    def predictor(self, cells: Cells, *, ordered: bool) -> Predictor:
        """Return how well a feature tells the label.

        Raises:
            NotMeasured: too few rows, or the label does not vary.
        """
        if self.names is None:
            moments = np.zeros((3, 2, cells.bins))
            for moment, sums in zip(moments, (cells.n, cells.y, cells.squares), strict=True):
                np.add.at(moment, (cells.half, cells.bin), sums)
            return _predictors.of_ranks(moments.swapaxes(0, 1))
        table = np.zeros((cells.bins, 2, len(self.names) + 1), dtype=np.int64)
        np.add.at(table, (cells.bin, cells.half, cells.code), cells.n)
        return _predictors.of_classes(table, self.names, ordered=ordered)


def of_classes(table: Table, label: str, form: Form | Wide) -> Target:
    """Return the target of a classifier.

    Raises:
        NotMeasured: the label has no classes.
    """
    if not isinstance(form, Categories):
        raise NotMeasured(f"a label of type {form.type} has no classes, or too many")
    order = np.argsort(-form.counts, kind="stable")[: _predictors.MOST_CLASSES]
    values = [form.values[int(i)].as_py() for i in order]
    code = F.lit(len(values))
    for i, value in reversed(list(enumerate(values))):
        code = F.when(_is(table, label, value, form.kind), i).otherwise(code)
    frame = table.placed().where(~table.missing(label)).withColumn("half", table.half()).withColumn("code", code)
    return Target(table=replace(table, frame=frame), names=tuple(map(word, values)))


def _is(table: Table, name: str, value: bytes, kind: Kind) -> Column:
    if not _arrow.is_number(table.source.types[name]):
        return table.value(name) == F.lit(value)
    number = float(value == b"true") if kind is Kind.BOOLEAN else float(value)
    return table.value(name) == F.lit(number)


def of_ranks(table: Table, label: str, form: Form | Wide, ranked: DataFrame, of: int) -> Target:
    """Return the target of a regression.

    Args:
        table: the train rows.
        label: the name of the label.
        form: its form.
        ranked: by `_spark_counts.ranked`.
        of: whose the label is there.

    Raises:
        NotMeasured: the label is no number.
    """
    if not isinstance(form, Numbers):
        raise NotMeasured(f"a label of type {form.type} is no number, which a regression needs")
    ranks = _spark_counts.midranks(ranked, of)
    placed = table.placed().withColumn("half", table.half())
    frame = placed.join(ranks, placed[f"v{table.names.index(label)}"] + F.lit(0.0) == ranks["label"])
    return Target(table=replace(table, frame=frame), names=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """The rows of one feature by bin, half and class; each array has shape (c,)."""

    bin: NDArray[np.int64]
    bins: int  #: the last is that of missing values
    half: NDArray[np.int64]
    code: NDArray[np.int64]
    n: NDArray[np.int64]
    y: NDArray[np.float64]
    squares: NDArray[np.float64]


def _parts(found: DataFrame, names: Sequence[str]) -> dict[str, Cells]:
    whole = [F.col(name).cast("bigint").alias(name) for name in ("of", "half", "code", "n", "cell")]
    table = found.select(*whole, F.col("cell").isNull().cast("bigint").alias("none"), "y", "squares").toArrow()
    column = {name: wholes(table.column(name)) for name in ("of", "half", "code", "n", "cell", "none")}
    sums = {name: doubles(table.column(name)) for name in ("y", "squares")}
    parts = {}
    for of, name in enumerate(names):
        here = column["of"] == of
        none = column["none"][here] > 0
        values, places = np.unique(column["cell"][here][~none], return_inverse=True)
        bins = np.full(len(none), len(values), dtype=np.int64)
        bins[~none] = places
        parts[name] = Cells(
            bin=bins,
            bins=len(values) + 1,
            **{key: column[key][here] for key in ("half", "code", "n")},
            **{key: sums[key][here] for key in ("y", "squares")},
        )
    return parts


def _binned(table: Table, features: Mapping[str, Form | Wide]) -> tuple[dict[str, Column], DataFrame]:
    """Return the bin of each feature, null where a value is missing, and the frame that these are columns of."""
    from pyspark.ml.feature import Bucketizer

    numbers = {name: form for name, form in features.items() if isinstance(form, Numbers)}
    frame = table.frame
    if numbers:
        value = {name: F.coalesce(table.value(name), F.lit(float("nan"))) for name in numbers}
        frame = frame.withColumns({f"w{i}": value[name] for i, name in enumerate(numbers)})
        bucketizer = Bucketizer(
            splitsArray=[_splits(form.values) for form in numbers.values()],
            inputCols=[f"w{i}" for i in range(len(numbers))],
            outputCols=[f"b{i}" for i in range(len(numbers))],
            handleInvalid="keep",
        )
        frame = bucketizer.transform(frame)
    places = {name: i for i, name in enumerate(numbers)}
    found = {}
    for name, form in features.items():
        if name in places:
            cell = F.col(f"b{places[name]}").cast("bigint")
        else:
            cell = F.xxhash64(table.category(name))
            cell = F.pmod(cell, F.lit(BINS)) if isinstance(form, Wide) else cell
        found[name] = F.when(~table.missing(name), cell)
    return found, frame


def _splits(ordered: NDArray[np.float64]) -> list[float]:
    """Return where the bins of one machine begin, each up to but without the next one's begin."""
    codes, _ = _predictors.bins_of_numbers(ordered, ordered)
    ends = ordered[:-1][codes[1:] != codes[:-1]] if len(ordered) else ordered
    begins = np.nextafter(ends, np.inf)
    inner = [float(begin) for begin in begins if np.isfinite(begin)]
    return [-np.inf, *(inner or [0.0]), np.inf]
