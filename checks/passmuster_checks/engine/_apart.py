"""How far apart two splits' forms of one column are, or a form and what a stored profile tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from passmuster.errors import NotMeasured
from passmuster_checks import _arrow
from passmuster_checks.engine._columns import KEPT, Categories, Form, Numbers, Opaque, word
from passmuster_checks.engine.profile import ColumnProfile, Kind

if TYPE_CHECKING:
    from passmuster_checks.statistics.distance import Distances

#: What a profile does not list, together; longer than a word can be, so that it is none.
_OTHERS = "any other value".ljust(KEPT + 1, "\0")


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How far apart a column's two distributions are."""

    distances: Distances
    category: str | None = None  #: the one that `share_ratio` is of; None: of none, or of missing values


def apart(base: Form, current: Form) -> Apart:
    """Return how far apart two forms of one column are.

    Raises:
        NotMeasured: they are of different kinds, or of one that has no distance, or one has no rows.
    """
    from passmuster_checks.statistics import distance

    base, current = _alike(base, current)
    if isinstance(base, Numbers) and isinstance(current, Numbers):
        return Apart(distances=distance.of_numbers(_sorted(base), _sorted(current)))
    if isinstance(base, Categories) and isinstance(current, Categories):
        ours, theirs, new = aligned(base, current)
        return _named(_counted(ours, base.missing, theirs, current.missing), pa.concat_arrays([base.values, new]))
    raise NotMeasured(f"values of type {current.type} have no distance here; compare a number made of them")


def apart_from_stored(base: ColumnProfile, current: Form) -> Apart:
    """Return how far a column is from what a profile tells of its distribution then.

    Where the profile lists all values this is exact; else numbers are compared by quantiles, and categories that the
    profile does not list are one.

    Raises:
        NotMeasured: as `apart`.
    """
    from passmuster_checks.statistics import distance

    missing = base.null + base.nan
    if isinstance(current, Numbers) and base.kind.ordered:
        if base.rest == base.infinite:
            return apart(_rebuilt(base), current)
        if base.infinite:
            raise NotMeasured(f"the profile's quantiles leave out {base.infinite:,} infinite numbers")
        then = distance.Quantiles(
            values=np.array(base.quantiles),
            rows=base.rows,
            null=missing,
            standard_deviation=base.standard_deviation,
        )
        return Apart(distances=distance.of_quantiles(then, _sorted(current)))
    if isinstance(current, Categories) and base.kind in (Kind.CATEGORY, Kind.BOOLEAN):
        words, ours, theirs = _listed(base, current)
        return _named(_counted(ours, missing, theirs, current.missing), _arrow.binary([one.encode() for one in words]))
    return apart(_rebuilt(base), current)


def _sorted(form: Numbers) -> Any:
    from passmuster_checks.statistics import distance

    return distance.Sorted(values=form.values, null=form.missing)


def _counted(ours: NDArray[np.int64], null: int, theirs: NDArray[np.int64], null_theirs: int) -> Distances:
    from passmuster_checks.statistics import distance

    base, current = distance.Counts(values=ours, null=null), distance.Counts(values=theirs, null=null_theirs)
    return distance.of_counts(base, current)


def _named(found: Distances, values: pa.Array) -> Apart:
    size = found.sizes.get("share_ratio")
    if size is None or size.category is None or size.category >= len(values):
        return Apart(distances=found)
    value = values[size.category].as_py()
    return Apart(distances=found, category=_OTHERS.rstrip("\0") if value == _OTHERS.encode() else word(value))


def _alike(base: Form, current: Form) -> tuple[Form, Form]:
    """Return both in one form: a column without any value has no type of its own."""
    if type(base) is type(current) and base.kind == current.kind:
        return base, current
    if base.missing == base.rows:
        return _empty(base, current), current
    if current.missing == current.rows:
        return base, _empty(current, base)
    raise NotMeasured(f"it holds {base.type} in one and {current.type} in the other, which can't be compared")


def _empty(one: Form, like: Form) -> Form:
    named: dict[str, Any] = {"column": one.column, "type": one.type, "kind": like.kind, "rows": one.rows}
    named |= {"null": one.null, "nan": one.nan}
    if isinstance(like, Numbers):
        return Numbers(values=np.zeros(0), **named)
    if isinstance(like, Categories):
        return Categories(values=like.values[:0], counts=np.zeros(0, np.int64), **named)
    return Opaque(distinct=0, **named)


def _rebuilt(base: ColumnProfile) -> Form:
    """Return the form of a column that a profile knows in full, or that has nothing to know."""
    named: dict[str, Any] = {"column": base.column, "type": base.type, "kind": base.kind, "rows": base.rows}
    named |= {"null": base.null, "nan": base.nan}
    if not base.kind.ordered:
        return Opaque(distinct=base.distinct, **named)
    ends = [(-np.inf, base.negative_infinite), (np.inf, base.positive_infinite)]
    pairs = sorted([*((float(value), count) for value, count in base.top), *ends])
    values, counts = (np.array(part) for part in zip(*pairs, strict=True))
    return Numbers(values=np.repeat(values, counts), **named)


def aligned(base: Categories, current: Categories) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.Array]:
    """Return counts of the same categories, shape (k,): the base's, then those that only the current has, and these."""
    place = _arrow.fixed(pc.index_in(current.values, value_set=base.values), np.int32, -1)
    new = place < 0
    where = place.astype(np.int64)
    k = len(base.values)
    where[new] = k + np.arange(int(new.sum()))
    ours = np.zeros(k + int(new.sum()), dtype=np.int64)
    theirs = np.zeros_like(ours)
    ours[:k] = base.counts
    theirs[where] = current.counts
    return ours, theirs, current.values.filter(_arrow.from_numpy(new))


def _listed(base: ColumnProfile, current: Categories) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return counts by the words of a profile; where it does not list all, one more for all the others together."""
    then = {str(value): count for value, count in base.top}
    now: dict[str, int] = {}
    for value, count in zip(current.values.to_pylist(), current.counts.tolist(), strict=True):
        name = word(value)
        name = name if name in then or not base.rest else _OTHERS
        now[name] = now.get(name, 0) + count
    if base.rest:
        then[_OTHERS] = base.rest
    words = [*then, *(name for name in now if name not in then)]
    ours, theirs = (np.array([found.get(name, 0) for name in words], dtype=np.int64) for found in (then, now))
    return words, ours, theirs
