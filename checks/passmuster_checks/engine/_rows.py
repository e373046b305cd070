"""Which rows are equal, within a split and between two, from the hashes of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from threading import Lock
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passmuster_checks import _arrow
from passmuster_checks._text import shown
from passmuster_checks.engine import _hash
from passmuster_checks.engine._columns import runs
from passmuster_checks.engine._facts import Failed, Pair, Request, RowFacts, SharedRows, What
from passmuster_checks.engine._hash import Hashes

#: What the values of a column without any have in common with others.
_NOTHING = "nothing"

#: What rows are compared by: features alone, or also label and time.
PARTS = {"features": (True,), "whole": (True, False)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeats:
    """Different hashes in ascending order, and how often they are there."""

    values: Hashes  #: shape (k,)
    repeated: Hashes  #: those of `values` that are there more than once
    counts: NDArray[np.int64]  #: how often each of `repeated` is there

    @property
    def distinct(self) -> int:
        """Different ones."""
        return len(self.values)

    @property
    def twins(self) -> int:
        """Rows that have at least one equal."""
        return int(self.counts.sum())

    def rows_in(self, base: Repeats) -> int:
        """Return how many of these rows are in `base`."""
        again = self.counts[np.isin(self.repeated, _common(self.repeated, base.values), assume_unique=True)] - 1
        return len(_common(self.values, base.values)) + int(again.sum())


def _common(one: Hashes, other: Hashes) -> Hashes:
    """Return what is in both; each is ascending, and holds nothing twice."""
    # Two ascending runs: a stable sort is one merge of them.
    both: Hashes = np.sort(np.concatenate([one, other]), kind="stable")
    return np.asarray(both[:-1][both[1:] == both[:-1]])


def repeats(hashes: Hashes) -> Repeats:
    """Return the different hashes; the argument is sorted in place."""
    hashes.sort()
    equal = hashes[1:] == hashes[:-1]
    if not equal.any():
        return Repeats(values=hashes, repeated=hashes[:0], counts=np.zeros(0, dtype=np.int64))
    repeated, counts = runs(hashes[1:][equal])
    return Repeats(values=hashes[np.append(True, ~equal)], repeated=repeated, counts=counts + 1)


@dataclass(kw_only=True, eq=False)
class _Sums:
    """The hashes of a split's rows, by what is in them."""

    rows: int
    lock: Any = field(default_factory=Lock)
    #: (a feature, or label and time; in all splits, or not) → shape (rows,)
    found: dict[tuple[bool, bool], Hashes] = field(default_factory=dict)
    parts: set[tuple[bool, bool]] = field(default_factory=set)  #: what its columns are, as in `found`
    likeness: dict[str, str] = field(default_factory=dict)  #: columns that all splits have → what equal values need
    alone: list[str] = field(default_factory=list)  #: columns that not all splits have
    ids: Hashes | None = None
    broken: str = ""

    def into(self, *, feature: bool, common: bool) -> Hashes:
        with self.lock:
            if (feature, common) not in self.found:
                self.found[feature, common] = np.zeros(self.rows, dtype=np.uint64)
            return self.found[feature, common]

    def repeats(self, features: tuple[bool, ...], *, common: bool) -> Repeats:
        total = np.zeros(self.rows, dtype=np.uint64)
        for key in product(features, (True,) if common else (True, False)):
            if key in self.found:
                total += self.found[key]
        return repeats(total)

    def repeated_ids(self) -> Repeats | None:
        return None if self.ids is None else repeats(self.ids[self.ids != _hash.of_missing(np.uint64(0))])


class Hashing:
    """Takes the hashes of one column's values into those of the rows; one that breaks off leaves the rows unknown."""

    def __init__(self, sums: _Sums, name: str, into: Hashes, salt: np.uint64) -> None:
        self.salt = salt
        self._sums, self._name, self._into = sums, name, into

    def add(self, start: int, hashes: Hashes) -> None:
        """Take the hashes of the rows from `start` on."""
        with self._sums.lock:  # columns are worked on at the same time
            self._into[start : start + len(hashes)] += hashes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._sums.broken = f"column {shown(self._name)} can't be read, so rows can't be compared"


class Rows:
    """The rows of all splits, as far as columns were added."""

    def __init__(self, request: Request, rows: Mapping[str, int]) -> None:
        self._request = request
        self._sums = {split: _Sums(rows=n) for split, n in rows.items()}
        #: (split, part) → different rows, and rows that have an equal; (pair, part) → the second's rows in the first
        self.own: dict[tuple[str, str], tuple[int, int]] = {}
        self.equal: dict[tuple[Pair, str], int] = {}
        self.ids: dict[str, int] = {}  #: split → different ids
        self.shared_ids: dict[Pair, int] = {}  #: pair → the second's rows whose id is in the first
        self.facts: dict[str, RowFacts] = {}
        self.shared: dict[Pair, SharedRows] = {}

    def hashing(self, split: str, name: str, kind: pa.DataType, *, common: bool) -> Hashing:
        """Return what takes the hashes of a column of a split; `common`: all splits have it."""
        sums, request = self._sums[split], self._request
        self.note(split, name, kind, common=common)
        if name == request.key:
            sums.ids = np.zeros(sums.rows, dtype=np.uint64)
            return Hashing(sums, name, sums.ids, np.uint64(0))
        into = sums.into(feature=self.is_feature(name), common=common)
        return Hashing(sums, name, into, _hash.salt(name))

    def note(self, split: str, name: str, kind: pa.DataType, *, common: bool) -> None:
        """Tell that a split has a column of a type; `common`: all splits have it."""
        sums = self._sums[split]
        if common:
            sums.likeness[name] = _likeness(kind)
        if name != self._request.key:
            sums.parts.add((self.is_feature(name), common))
            if not common:
                sums.alone.append(name)

    def is_feature(self, name: str) -> bool:
        """Return whether rows that are compared by features alone are compared by this column."""
        return name not in (self._request.key, self._request.label, self._request.time)

    def alone(self, split: str) -> bool:
        """Return whether a split has columns that not all have."""
        return bool(self._sums[split].alone)

    def without_values(self, split: str, name: str) -> None:
        """Tell that no row has a value of a column, so that its type does not matter."""
        if name in self._sums[split].likeness:
            self._sums[split].likeness[name] = _NOTHING

    def broken(self, split: str, reason: str) -> None:
        """Tell that a column can't be added, so that the rows are unknown: without it, unequal rows may look equal."""
        self._sums[split].broken = reason

    def count(self, threads: int) -> Iterator[Failed]:
        """Find out what rows are equal; yield what can't be told."""
        reasons = {split: self._why_not(split) for split in self._sums}
        whys = {pair: self._why_not_shared(pair, reasons) for pair in self._request.pairs}
        good = [split for split, reason in reasons.items() if not reason]
        pairs = [pair for pair, reason in whys.items() if not reason]
        self.measure(good, pairs, threads)
        for split in good:
            self.facts[split] = self._facts(split)
        for pair in pairs:
            self.shared[pair] = self._facts_shared(pair)
        yield from (Failed(what=What.ROWS, splits=(s,), reason=why) for s, why in reasons.items() if why)
        yield from (Failed(what=What.SHARED, splits=pair, reason=why) for pair, why in whys.items() if why)

    def measure(self, splits: list[str], pairs: list[Pair], threads: int) -> None:
        """Fill in what is equal, within these splits and between these pairs of them."""
        with ThreadPoolExecutor(threads, thread_name_prefix="rows") as pool:
            for part in PARTS:
                self._count(part, splits, pairs, pool)
            found = pool.map(lambda split: self._sums[split].repeated_ids(), splits)
            ids = {split: one for split, one in zip(splits, found, strict=True) if one is not None}
        self.ids = {split: one.distinct for split, one in ids.items()}
        for base, current in pairs:
            if base in ids and current in ids:
                self.shared_ids[base, current] = ids[current].rows_in(ids[base])

    def _count(self, part: str, splits: list[str], pairs: list[Pair], pool: ThreadPoolExecutor) -> None:
        def repeats_of(split: str, common: bool) -> Repeats:
            return self._sums[split].repeats(PARTS[part], common=common)

        found = dict(zip(splits, pool.map(lambda split: repeats_of(split, False), splits), strict=True))
        self.own |= {(split, part): (one.distinct, one.twins) for split, one in found.items()}
        for split in {split for pair in pairs for split in pair if self._sums[split].alone}:
            found[split] = repeats_of(split, True)
        for base, current in pairs:
            self.equal[(base, current), part] = found[current].rows_in(found[base])

    def _why_not(self, split: str) -> str:
        sums = self._sums[split]
        if sums.broken or any(feature for feature, _ in sums.parts):
            return sums.broken
        return "there is no feature to compare rows by"

    def _why_not_shared(self, pair: Pair, reasons: Mapping[str, str]) -> str:
        for split in pair:
            if split not in self._sums:
                return f"the rows of {split} are not there"
            if reasons[split]:
                return f"{split}: {reasons[split]}"
        base, current = (self._sums[split].likeness for split in pair)
        for name, likeness in base.items():
            if not _may_be_equal({likeness, current[name]}):
                held = f"{likeness} in {pair[0]} and {current[name]} in {pair[1]}"
                return f"column {shown(name)} holds {held}, so no two rows would be equal"
        return "" if (True, True) in self._sums[pair[1]].parts else "they have no feature in common"

    def _facts(self, split: str) -> RowFacts:
        (distinct, twins), (distinct_features, twins_features) = (self.own[split, p] for p in ("whole", "features"))
        return RowFacts(
            rows=self._sums[split].rows,
            distinct=distinct,
            twins=twins,
            distinct_features=distinct_features,
            twins_features=twins_features,
            ids=self.ids.get(split),
        )

    def _facts_shared(self, pair: Pair) -> SharedRows:
        sides = [self._sums[split] for split in pair]
        return SharedRows(
            rows=sides[1].rows,
            whole=self.equal[pair, "whole"],
            features=self.equal[pair, "features"],
            ids=self.shared_ids.get(pair),
            columns=len(set(sides[0].likeness) - {self._request.key}),
            left_out=tuple(dict.fromkeys(name for side in sides for name in sorted(side.alone))),
        )


def _likeness(kind: pa.DataType) -> str:
    """Return what values need to have in common for any two to have equal hashes."""
    if pa.types.is_null(kind):
        return _NOTHING
    if _arrow.is_text(kind):
        return "text"
    if _arrow.is_instant(kind):
        return "instants"
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return "durations"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return f"float{kind.bit_width}" if pa.types.is_floating(kind) else "float64"
    return "numbers" if _arrow.is_number(kind) else "other values"


def _may_be_equal(found: set[str]) -> bool:
    known = found - {_NOTHING}
    if "numbers" in known:  # whole numbers are exact in every width of floats
        known = {"numbers" if one.startswith("float") else one for one in known}
    return len(known) <= 1
