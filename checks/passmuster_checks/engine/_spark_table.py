"""A split's Parquet files as a table of Spark's, each column in a form that does not depend on its width or encoding.

Numbers, instants and booleans become doubles as `_arrow.as_numbers` makes them; texts become bytes; lists and the like
become the hash of their JSON. Equal values are equal afterwards, in Spark as on one machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  what all of Spark's documentation calls it
from pyspark.sql import types as T  # noqa: N812

from passmuster.errors import NotMeasured
from passmuster_checks import _arrow
from passmuster_checks.engine._read import Source
from passmuster_checks.engine.profile import Kind

#: What stands for NaN among the texts of numbers that are categories; no text begins so.
NAN = b"\xffnan"

_EXACT = float(1 << 53)

#: The finaliser of splitmix64, as in `_hash`: by which shifts and multipliers.
_MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None))


def kind_of(kind: pa.DataType) -> Kind:
    """Return how values of a type are looked at, if the config does not call them categories."""
    if _arrow.is_text(kind) or pa.types.is_null(kind):
        return Kind.CATEGORY
    if not _arrow.is_number(kind):
        return Kind.OTHER
    if pa.types.is_boolean(kind):
        return Kind.BOOLEAN
    return Kind.DATETIME if _arrow.is_instant(kind) else Kind.NUMBER


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One split: column i of `names` is `v<i>`, and what a double lost of its whole numbers is `l<i>`."""

    source: Source
    names: tuple[str, ...]
    frame: DataFrame
    faults: Mapping[str, str] = field(default_factory=dict)  #: columns that Spark can't read, and why

    def value(self, name: str) -> Column:
        """Return a column's values: doubles, or bytes."""
        return F.col(f"v{self.names.index(name)}")

    def category(self, name: str) -> Column:
        """Return a column's values as the bytes of the texts that they are written as; `NAN` for NaN."""
        value, kind = self.value(name), self.source.types[name]
        if not _arrow.is_number(kind):
            return value
        if pa.types.is_boolean(kind):
            text = F.when(value == 1, "true").otherwise("false")
        else:
            whole = (F.floor(value) == value) & (F.abs(value) < 2.0**63)
            text = F.when(whole, value.cast("bigint").cast("string")).otherwise(value.cast("string"))
        return F.when(F.isnan(value), F.lit(NAN)).when(value.isNotNull(), text.cast("binary"))

    def missing(self, name: str) -> Column:
        """Return whether there is no value, NaN among them."""
        value = self.value(name)
        return value.isNull() | F.isnan(value) if self._is_number(name) else value.isNull()

    def hashed(self, names: Sequence[str]) -> Column:
        """Return a 64-bit hash of these columns' values, in this order."""
        parts: list[Column] = []
        for name in names:
            missing = self.missing(name)
            # Spark's hash passes over nulls, so that there is one must be a part of its own.
            parts += [missing, F.when(~missing, self.value(name))]
            if self._is_number(name):
                parts.append(F.when(~missing, F.col(f"l{self.names.index(name)}")))
        return F.xxhash64(*parts)

    def _is_number(self, name: str) -> bool:
        return _arrow.is_number(self.source.types[name])

    def half(self) -> Column:
        """Return 0 or 1 for each row of `placed`, by its place: as `_predictors.halves`."""
        found = F.col("place")
        for shift, factor in _MIXING:
            found = found.bitwiseXOR(F.shiftrightunsigned(found, shift))
            if factor is not None:
                found = found * F.lit(factor - (1 << 64))
        return found.bitwiseAND(F.lit(1)).cast("int")

    def placed(self) -> DataFrame:
        """Return the table with the place of each row in the split."""
        starts, start = {}, 0
        for file in self.source.files:
            starts[str(file.path.absolute())] = start
            start += file.metadata.num_rows
        found = [row.file for row in self.frame.select("file").distinct().collect()]
        places = [(uri, starts[unquote(re.sub("^file:/+", "/", uri))]) for uri in found]
        known = self.frame.sparkSession.createDataFrame(places, "file string, start bigint")
        return self.frame.join(F.broadcast(known), "file").withColumn("place", F.col("start") + F.col("row"))


def opened(session: SparkSession, source: Source) -> Table:
    """Return a split's table; its files must lie where all executors find them under the same path."""
    faults: dict[str, str] = {}
    for name in source.types:
        try:
            for file in source.files:
                _spark_type(_plain(file.schema.field(name).type))
        except NotMeasured as exc:
            faults[name] = str(exc)
    names = tuple(name for name in source.types if name not in faults)
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for file in source.files:
        layout = tuple((_plain(file.schema.field(name).type), _is_int96(file, name)) for name in names)
        groups.setdefault(layout, []).append(file)
    frames = [
        _frame(session, [file.path.absolute() for file in files], source, names, layout)
        for layout, files in groups.items()
    ]
    frame = frames[0]
    for other in frames[1:]:
        frame = frame.unionByName(other)
    return Table(source=source, names=names, frame=frame, faults=faults)


def _frame(
    session: SparkSession,
    paths: Sequence[Any],
    source: Source,
    names: Sequence[str],
    layout: Sequence[tuple[pa.DataType, bool]],
) -> DataFrame:
    """Return files of one layout, in the form that does not depend on it."""
    fields = [
        T.StructField(name, T.TimestampType() if int96 else _spark_type(kind))
        for name, (kind, int96) in zip(names, layout, strict=True)
        if not pa.types.is_null(kind)
    ]
    read = session.read.schema(T.StructType(fields)).parquet(*(f"file://{_escaped(str(path))}" for path in paths))
    columns = [
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.row_index").alias("row"),
    ]
    for i, (name, (kind, int96)) in enumerate(zip(names, layout, strict=True)):
        columns += _columns(i, name, kind, source.types[name], int96=int96)
    return read.select(*columns)


def _columns(i: int, name: str, kind: pa.DataType, wanted: pa.DataType, *, int96: bool) -> Iterator[Column]:
    raw = F.col("`" + name.replace("`", "``") + "`")
    if _arrow.is_number(wanted):
        yield (F.lit(None) if pa.types.is_null(kind) else _number(raw, kind, int96=int96)).cast("double").alias(f"v{i}")
        yield (_lost(raw, kind)).cast("bigint").alias(f"l{i}")
    elif pa.types.is_null(kind):
        yield F.lit(None).cast("binary").alias(f"v{i}")
    elif _arrow.is_text(wanted):
        yield raw.cast("binary").alias(f"v{i}")
    else:
        told = F.to_json(F.struct(raw.alias("value")), {"ignoreNullFields": "false"})
        yield F.when(raw.isNotNull(), F.xxhash64(told).cast("string").cast("binary")).alias(f"v{i}")


def _number(raw: Column, kind: pa.DataType, *, int96: bool) -> Column:
    """Return what `_arrow.as_numbers` makes of the values."""
    types = pa.types
    if types.is_boolean(kind):
        return raw.cast("int")
    if types.is_date(kind):
        return F.unix_date(raw).cast("double") * 86400
    if types.is_timestamp(kind):
        if kind.unit == "ns" and not int96:
            # Towards zero, as Arrow does it; a division of doubles would round.
            raw = F.call_function("div", raw, F.lit(1000))
        else:
            raw = F.unix_micros(raw.cast("timestamp"))
        return raw.cast("double") / 1e6
    if types.is_duration(kind):
        return raw.cast("double") / {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    return raw.cast("double") + F.lit(0.0)


def _lost(raw: Column, kind: pa.DataType) -> Column:
    if pa.types.is_integer(kind) and kind.bit_width == 64:
        whole = "bigint" if pa.types.is_signed_integer(kind) else "decimal(20,0)"
        lost = raw - raw.cast("double").cast(whole)
        return F.when(F.abs(raw.cast("double")) > _EXACT, lost).otherwise(F.lit(0))
    return F.lit(0)


def _spark_type(kind: pa.DataType) -> T.DataType:
    """Return what Spark reads values of a type as.

    Raises:
        NotMeasured: it can't read them.
    """
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _spark_type(kind.storage_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return T.ArrayType(_spark_type(_plain(kind.value_type)))
    if types.is_struct(kind):
        return T.StructType([T.StructField(field.name, _spark_type(_plain(field.type))) for field in kind])
    if types.is_map(kind):
        return T.MapType(_spark_type(_plain(kind.key_type)), _spark_type(_plain(kind.item_type)))
    if types.is_decimal(kind) and kind.precision <= 38:
        return T.DecimalType(kind.precision, kind.scale)
    if types.is_timestamp(kind):
        if kind.unit == "ns":
            return T.LongType()
        return T.TimestampType() if kind.tz else T.TimestampNTZType()
    if types.is_fixed_size_binary(kind) or "binary" in str(kind):
        return T.BinaryType()
    if types.is_duration(kind):
        return T.LongType()
    if (known := _PLAIN.get("string" if _arrow.is_text(kind) else str(kind))) is not None:
        return known
    raise NotMeasured(f"Spark can't read values of type {kind}; write them as another type")


_PLAIN: Mapping[str, T.DataType] = {
    "null": T.NullType(),
    "bool": T.BooleanType(),
    "int8": T.ByteType(),
    "int16": T.ShortType(),
    "int32": T.IntegerType(),
    "int64": T.LongType(),
    "uint8": T.ShortType(),
    "uint16": T.IntegerType(),
    "uint32": T.LongType(),
    "uint64": T.DecimalType(20, 0),
    "float": T.FloatType(),
    "double": T.DoubleType(),
    "string": T.StringType(),
    "date32[day]": T.DateType(),
    "date64[ms]": T.DateType(),
}


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_int96(file: Any, name: str) -> bool:
    """Return whether instants are written as Spark itself used to, which no schema of Arrow's tells."""
    if not pa.types.is_timestamp(file.schema.field(name).type):
        return False
    columns = file.metadata.schema
    found = (columns.column(i) for i in range(len(columns)))
    return any(column.path == name and column.physical_type == "INT96" for column in found)


def _escaped(path: str) -> str:
    """Return a path that is no pattern."""
    return re.sub(r"([\\{}\[\]*?,])", r"\\\1", path)


def unpivoted(table: Table, columns: Mapping[int, Column]) -> DataFrame:
    """Return the values of some columns in one, `value`, beside whose they are, `of`."""
    frame = table.frame.select(*(column.alias(str(of)) for of, column in columns.items()))
    return frame.unpivot([], list(frame.columns), "of", "value").withColumn("of", F.col("of").cast("int"))


def doubles(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a column of doubles, shape (n,), NaN where one is missing."""
    return np.concatenate([np.zeros(0), *(_arrow.fixed(part, np.float64, np.nan) for part in column.chunks)])


def wholes(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a column of 64-bit whole numbers, shape (n,), 0 where one is missing."""
    empty = np.zeros(0, dtype=np.int64)
    return np.concatenate([empty, *(_arrow.fixed(part, np.int64, 0) for part in column.chunks)])
