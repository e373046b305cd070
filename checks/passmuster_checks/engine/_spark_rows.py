"""Which rows are equal, within a split and between two, from hashes that Spark makes and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from passmuster_checks import _arrow
from passmuster_checks.engine import _rows
from passmuster_checks.engine._facts import Pair, Request
from passmuster_checks.engine._spark_table import Table

#: How the hashes of a part are called where they are of the columns that all splits have.
_COMMON = "common "

_IDS = "ids"


class SparkRows(_rows.Rows):
    """The rows of all splits, as far as columns were noted."""

    def __init__(self, request: Request, rows: Mapping[str, int], tables: Mapping[str, Table]) -> None:
        super().__init__(request, rows)
        self._tables = tables

    def measure(self, splits: Sequence[str], pairs: Sequence[Pair], threads: int) -> None:  # noqa: ARG002
        """Fill in what is equal, within these splits and between these pairs of them."""
        if not splits:
            return
        order = {split: i for i, split in enumerate(splits)}
        hashes = [self._hashes(split).withColumn("split", F.lit(i)) for split, i in order.items()]
        rows = [F.sum((F.col("split") == i).cast("bigint")).alias(f"n{i}") for i in order.values()]
        together = reduce(lambda one, other: one.unionByName(other), hashes).groupBy("part", "hash").agg(*rows)
        sums = [part for i in order.values() for part in _repeats(i)]
        both = [
            F.sum(F.when(F.col(f"n{order[base]}") > 0, F.col(f"n{order[current]}")).otherwise(0)).alias(f"both{i}")
            for i, (base, current) in enumerate(pairs)
        ]
        found = {row.part: row for row in together.groupBy("part").agg(*sums, *both).collect()}
        for split, i in order.items():
            for part in _rows.PARTS:
                row = found.get(part)
                self.own[split, part] = (row[f"distinct{i}"], row[f"twins{i}"]) if row else (0, 0)
            if self._key(split):
                self.ids[split] = found[_IDS][f"distinct{i}"] if _IDS in found else 0
        for i, pair in enumerate(pairs):
            for part in _rows.PARTS:
                row = found.get(_COMMON + part)
                self.equal[pair, part] = row[f"both{i}"] if row else 0
            if all(map(self._key, pair)):
                self.shared_ids[pair] = found[_IDS][f"both{i}"] if _IDS in found else 0

    def _key(self, split: str) -> str | None:
        key = self._request.key
        return key if key in self._tables[split].names else None

    def _hashes(self, split: str) -> DataFrame:
        table = self._tables[split]
        columns = {part: self._hash(table, part, table.names) for part in _rows.PARTS}
        common = [name for name in table.names if all(name in other.names for other in self._tables.values())]
        columns |= {_COMMON + part: self._hash(table, part, common) for part in _rows.PARTS}
        if (key := self._key(split)) is not None:
            number = F.lit(_arrow.is_number(table.source.types[key]))
            columns[_IDS] = F.when(~table.missing(key), F.xxhash64(number, table.hashed([key])))
        frame = table.frame.select(*(column.alias(part) for part, column in columns.items()))
        return frame.unpivot([], list(columns), "part", "hash").where(F.col("hash").isNotNull())

    def _hash(self, table: Table, part: str, names: Sequence[str]) -> Column:
        compared = [name for name in names if self.is_feature(name) or (part == "whole" and name != self._request.key)]
        return table.hashed(sorted(compared))


def _repeats(i: int) -> list[Column]:
    n = F.col(f"n{i}")
    return [
        F.sum((n > 0).cast("bigint")).alias(f"distinct{i}"),
        F.coalesce(F.sum(F.when(n > 1, n)), F.lit(0)).alias(f"twins{i}"),
    ]
