"""What is said of many slices: all that do not pass, then the worst, and in one sentence how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from passmuster.config import SlicesGate
from passmuster.measurement import Assertion, Estimate, Failure, Interval, Measurement, NotApplicable
from passmuster.planning import smallest_detectable
from passmuster_checks._sliced import Against, Champions, Sliced
from passmuster_checks.statistics.groups import Differences

#: Slices that are told even where all pass, and of all told those that are told in full: the worst ones.
TOLD, IN_FULL = 200, 100

#: Slices that are told at most.
MOST = 500

#: What the kernel's arithmetic may differ by in the last place: rather told once too often.
_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Slices with what was found in them."""

    sliced: Sliced
    found: Differences
    level: float  #: of the intervals


@dataclass(kw_only=True)
class Comparison:
    """The slices that are compared with one other side, and how far that has come."""

    against: Against
    singles: Sequence[Sliced]
    pairs: Sequence[Sliced] = ()
    pairs_at_most: int = 0  #: slices of pairs that count for the level
    level: float = 0.0
    pairs_level: float = 0.0
    compared: list[Compared] = field(default_factory=list)

    @property
    def at_most(self) -> int:
        """The slices that count for the levels."""
        return sum(part.k for part in self.singles) + self.pairs_at_most


@dataclass(frozen=True, kw_only=True)
class _Slice:
    """One slice of a comparison."""

    against: Against
    part: Compared
    number: int

    @property
    def name(self) -> str:
        return self.against.prefix + self.part.sliced.name(self.number)

    @property
    def room(self) -> float:
        """How far the interval reaches above the loss that is allowed."""
        return float(self.part.found.high[self.number]) + self.against.limit

    def estimate(self, gate: str, metric: str, *, in_full: bool) -> Estimate:
        found, number, paired = self.part.found, self.number, isinstance(self.against, Champions)
        details: dict[str, Any] = {"metric": metric}
        if in_full:
            details["condition"] = self.part.sliced.condition(number)
        if not paired:
            details |= {"reference": float(found.other[number]), "reference_rows": int(found.n_other[number])}
        return Estimate(
            gate=gate,
            name=self.name,
            value=float(found.difference[number]),
            n=int(found.n[number]),
            interval=Interval(
                low=float(found.low[number]),
                high=float(found.high[number]),
                level=self.part.level,
                method=found.method[number],
            ),
            candidate=float(found.candidate[number]),
            champion=float(found.other[number]) if paired else None,
            standard_error=float(found.error[number]),
            details=details,
        )


def told(
    comparisons: Sequence[Comparison], *, gate: str, metric: str, settings: SlicesGate, most: int
) -> Iterator[Measurement]:
    """Yield a summary of each comparison, why slices could not be measured, and slices: the worst ones first.

    Told are all slices that do not pass, the `TOLD` worst, and one of each column that the config names, but not more
    than `most`. The summary does not hold where that leaves out one that does not pass.
    """
    slices, unpassed = _worst_first(comparisons, settings)
    failed = [
        Failure(gate=gate, name=_Slice(against=one.against, part=part, number=number).name, reason=reason)
        for one in comparisons
        for part in one.compared
        for number, reason in part.found.reasons.items()
    ]
    for one in comparisons:
        yield _summary(one, gate, metric, untold=max(unpassed - most, 0), unmeasured=max(len(failed) - MOST, 0))
        if isinstance(one.against, Champions):
            yield from _without_slices(one, gate, settings.columns)
    yield from failed[:MOST]
    first = slices[:unpassed][:most]
    worth = dict.fromkeys([*_one_of_each(comparisons, settings.columns), *slices[:TOLD]])
    others = [each for each in worth if each not in first][: most - len(first)]
    for place, each in enumerate([*first, *sorted(others, key=lambda each: (each.room, each.name))]):
        yield each.estimate(gate, metric, in_full=place < IN_FULL)


def _worst_first(comparisons: Sequence[Comparison], settings: SlicesGate) -> tuple[list[_Slice], int]:
    """Return the worst slices, at most `MOST`, and how many there are in all that do not pass; those come first.

    The worse, the less the interval reaches above the loss that is allowed.
    """
    parts = [(one.against, part) for one in comparisons for part in one.compared]
    if not parts:
        return [], 0
    room = np.concatenate([part.found.high + against.limit for against, part in parts])
    unpassed = room < _SLACK
    if settings.detectable is not None:
        visible = [against.limit + smallest_detectable(1.0, part.level) * part.found.error for against, part in parts]
        unpassed |= np.concatenate(visible) > settings.detectable - _SLACK
    ends = np.cumsum([part.sliced.k for _, part in parts])
    worst = []
    for place in np.lexsort((room, ~unpassed))[:MOST].tolist():
        if not np.isnan(room[place]):
            against, part = parts[int(np.searchsorted(ends, place, side="right"))]
            first = int(ends[np.searchsorted(ends, place, side="right")]) - part.sliced.k
            worst.append(_Slice(against=against, part=part, number=place - first))
    return worst, int(np.count_nonzero(unpassed))


def _one_of_each(comparisons: Sequence[Comparison], columns: Sequence[str]) -> list[_Slice]:
    """Return the worst slice of each of `columns`, against the champion."""
    return [
        _Slice(against=one.against, part=part, number=int(np.nanargmin(part.found.high)))
        for one in comparisons
        for part in one.compared
        if isinstance(one.against, Champions)
        and len(part.sliced.columns) == 1
        and part.sliced.columns[0] in columns
        and not np.isnan(part.found.high).all()
    ]


def _without_slices(comparison: Comparison, gate: str, columns: Sequence[str]) -> Iterator[Measurement]:
    """Yield that a column, which the config names, has no slice to compare."""
    compared = {part.sliced.columns: part for part in comparison.compared}
    for one in comparison.singles:
        if one.columns[0] not in columns:
            continue
        if not one.k:
            message = f"none of {one.small:,} slices has the rows, and each class in them, to be compared"
            yield NotApplicable(gate=gate, name=one.columns[0], reason="too-few-rows", message=message)
        elif len(compared[one.columns].found.undefined) == one.k:
            message = "the champion has no value of the metric in any slice"
            yield NotApplicable(gate=gate, name=one.columns[0], reason="undefined-metric", message=message)


def _summary(comparison: Comparison, gate: str, metric: str, *, untold: int, unmeasured: int) -> Measurement:
    against, name = comparison.against, f"{comparison.against.prefix}slices"
    if unmeasured:
        reason = f"{MOST} slices that could not be measured are told, and there are {unmeasured:,} more"
        return Failure(gate=gate, name=name, reason=reason)
    undefined = sum(len(part.found.undefined) for part in comparison.compared)
    compared = sum(part.sliced.k for part in comparison.compared) - undefined
    paired = sum(part.k for part in comparison.pairs)
    small = sum(part.small for part in [*comparison.singles, *comparison.pairs])
    columns = sum(part.k > 0 for part in comparison.singles)
    of_pairs = f", {paired:,} of them of two columns," if paired else ""
    without = f"; {undefined:,} without a value of the champion" if undefined else ""
    more = f"; {untold:,} more do not pass than are told" if untold else ""
    details: dict[str, Any] = {
        "metric": metric,
        "compared": compared,
        "pairs": paired,
        "too_small_count": small,
        "undefined_count": undefined,
        "counted_for_level": comparison.at_most,
        "level": comparison.level,
        "pairs_level": comparison.pairs_level if comparison.pairs_at_most else None,
    }
    if isinstance(against, Champions):
        details["left_out"] = against.left_out
    return Assertion(
        gate=gate,
        name=name,
        holds=compared > 0 and not untold,
        message=f"{compared:,} slices of {columns:,} columns{of_pairs} compared with {against.title} by {metric}, "
        f"{small:,} smaller ones left out{without}{more}",
        details=details,
    )
