"""Gate `profile`: the statistics of every column in every split, against the config and against the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from passmuster.config import Column, ProfileGate
from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Assertion, Failure, Measurement
from passmuster.policy import PROFILED
from passmuster_checks import engine
from passmuster_checks._text import shown
from passmuster_checks.engine import CHAMPION, ColumnProfile, Kind, Profile
from passmuster_checks.statistics import shares

#: The file that the gate leaves in its workspace: the profile that later runs and monitoring compare with.
REFERENCE_PROFILE = "profile.json"

#: Findings that `details` lists; of the rest only the count is.
LISTED = 100

#: A sentinel is a habit, not a slip: fewer rows than this are one. It stands further from the rest than twice the
#: rest's own range, and there is a rest: this many values in all.
_SENTINELS, _FAR, _DISTINCT = 5, 2.0, 4

#: The share of a text column's values that reads as numbers, from which they are numbers.
_NUMERIC = 0.9

#: The questions that chance could answer wrongly; each has an equal share of the gate's budget.
_BY_CHANCE = 4

#: Arrow's types whose values are the same in another width or encoding.
_FAMILIES = {
    "number": ("int", "uint", "float", "double", "halffloat", "decimal"),
    "text": ("string", "large_string", "string_view", "dictionary"),
    "boolean": ("bool",),
    "time": ("timestamp", "date"),
}


class ProfileOfColumns:
    """Looks for what a broken export, join or encoding leaves in the statistics of columns."""

    name = "profile"
    needs = frozenset({"data"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Assertion` for each question of `PROFILED`, over all columns and splits.

        The candidate's reference profile is left in the workspace.
        """
        facts = engine.facts(engine.Request.of(inputs), inputs.engine)
        seen = _Seen(inputs=inputs, facts=facts)
        measured = [self._one(question, seen) for question in PROFILED]
        seen.reference().write(inputs.workspace / REFERENCE_PROFILE)
        return measured

    def _one(self, question: str, seen: _Seen) -> Measurement:
        try:
            found = list(_ASKED[question](seen))
        except NotMeasured as exc:
            return Failure(gate=self.name, name=question, reason=str(exc))
        details = {"found": found[:LISTED], "count": len(found), "compared_with": list(seen.bases)}
        message = "; ".join(found[:5]) + (f"; and {len(found) - 5:,} more" if len(found) > 5 else "")
        return Assertion(
            gate=self.name, name=question, holds=not found, message=message or _FINE[question], details=details
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """What the questions are asked about."""

    inputs: Inputs
    facts: engine.Facts

    @property
    def settings(self) -> ProfileGate:
        return self.inputs.config.gates.profile

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns that are judged."""
        data = self.inputs.config.data
        left_out = {data.id, *self.settings.ignore}
        return {name: column for name, column in data.columns.items() if name not in left_out}

    @cached_property
    def base(self) -> str:
        """The split that the others are compared with."""
        return "reference" if "reference" in self.inputs.data else "train"

    @cached_property
    def champion(self) -> Mapping[str, ColumnProfile]:
        """The columns as they were when the champion was made; none where that is not known.

        Raises:
            NotMeasured: its profile can't be read.
        """
        if CHAMPION not in dict(self.facts.request.stored):
            return {}
        if CHAMPION not in self.facts.profiles:
            raise NotMeasured("the profile that the champion was promoted with can't be read")
        return self.facts.profiles[CHAMPION]

    @property
    def bases(self) -> tuple[str, ...]:
        return (self.base, *((CHAMPION,) if self.champion else ()))

    def each(self) -> Iterator[tuple[str, str, ColumnProfile]]:
        """Yield split, column and profile of all that is judged."""
        for name in self.columns:
            for split in self.inputs.data:
                yield split, name, self.facts.profile(split, name)

    def compared(self) -> Iterator[tuple[str, str, ColumnProfile, ColumnProfile]]:
        """Yield where a column is, and its profile in the base and there."""
        for name in self.columns:
            base = self.facts.profile(self.base, name)
            for split in self.inputs.data:
                if split != self.base:
                    yield f"{split}.{shown(name)}", self.base, base, self.facts.profile(split, name)
            if name in self.champion:
                yield f"{self.base}.{shown(name)}", CHAMPION, self.champion[name], base

    @cached_property
    def level(self) -> float:
        """The level of an interval of which one end counts, so that all of them keep the gate's budget."""
        intervals = len(self.columns) * len(self.inputs.data) * _BY_CHANCE
        return 1 - 2 * self.inputs.false_alarms / max(intervals, 1)

    def reference(self) -> Profile:
        """Return the profile of the base split, to be kept with the model."""
        found = self.facts.profiles.get(self.base, {})
        rows = max((column.rows for column in found.values()), default=0)
        return Profile(rows=rows, columns=tuple(found.values()))


def _nulls(seen: _Seen) -> Iterator[str]:
    limit = seen.settings.null_rise
    for where, name, base, now in seen.compared():
        missing = (base.null + base.nan, base.rows), (now.null + now.nan, now.rows)
        if all(rows for _, rows in missing) and shares.rise(*missing, seen.level).low > limit:
            before, after = (count / rows for count, rows in missing)
            yield f"{where}: {after:.1%} missing, {name} has {before:.1%}"


def _types(seen: _Seen) -> Iterator[str]:
    for where, name, base, now in seen.compared():
        if _family(base) != _family(now):
            yield f"{where}: {now.type}, {name} has {base.type}"


def _family(profile: ColumnProfile) -> str:
    return next((f for f, starts in _FAMILIES.items() if profile.type.startswith(starts)), profile.type)


def _numeric_text(seen: _Seen) -> Iterator[str]:
    categorical = seen.inputs.config.data.categorical
    for split, name, profile in seen.each():
        share = (profile.numeric_text or 0.0) * profile.rows / max(profile.there, 1)
        if name not in categorical and share >= _NUMERIC:
            yield f"{split}.{shown(name)}: {share:.1%} of its texts are numbers"


def _infinities(seen: _Seen) -> Iterator[str]:
    for split, name, profile in seen.each():
        if profile.infinite:
            yield f"{split}.{shown(name)}: {profile.infinite:,} infinite values"


def _constants(seen: _Seen) -> Iterator[str]:
    """Yield columns of one value, where chance does not explain that it is the only one."""
    for split, name, profile in seen.each():
        if not profile.constant:
            continue
        base = seen.facts.profile(seen.base, name)
        most = base.top[0][1] / base.there if base.top else 0.0
        by_chance = most**profile.rows if not base.constant else 0.0
        if split in ("train", seen.base) or by_chance < (1 - seen.level) / 2:
            value = profile.top[0][0] if profile.top else profile.minimum
            yield f"{split}.{shown(name)}: the only value is {shown(str(value))}"


def _empty(seen: _Seen) -> Iterator[str]:
    for split, name, profile in seen.each():
        if not profile.there:
            yield f"{split}.{shown(name)}: no value at all in {profile.rows:,} rows"


def _sentinels(seen: _Seen) -> Iterator[str]:
    for split, name, profile in seen.each():
        if profile.kind is not Kind.NUMBER:
            continue
        for value, count in _at_the_edge(profile):
            share = count / profile.rows
            if count >= _SENTINELS and share >= seen.settings.sentinel:
                where = f"{split}.{shown(name)}"
                yield f"{where}: {value:g} stands in {count:,} rows ({share:.2%}), far from all other values"


def _at_the_edge(profile: ColumnProfile) -> Iterator[tuple[float, int]]:
    """Yield values at an edge that are no measurement: far from the rest, alone below zero, or nothing but nines."""
    if profile.distinct < _DISTINCT:
        return
    (low, low_count), (second, _), *_ = profile.low
    (high, high_count), (last, last_count), *_ = profile.high
    few = profile.there / 2  # what most rows have is the rule, not the exception
    if low_count < few and (second - low > _FAR * (high - second) or low < 0 <= second):
        yield low, low_count
    nines = high >= 99 and set(f"{high:.10g}") == {"9"} and high_count > 10 * last_count
    if high_count < few and (high - last > _FAR * (last - low) or nines):
        yield high, high_count


def _ranges(seen: _Seen) -> Iterator[str]:
    for split, name, profile in seen.each():
        contract = seen.columns[name]
        if contract.min is not None and profile.minimum is not None and profile.minimum < contract.min:
            yield f"{split}.{shown(name)}: down to {profile.minimum:g}, the config allows {contract.min:g}"
        if contract.max is not None and profile.maximum is not None and profile.maximum > contract.max:
            yield f"{split}.{shown(name)}: up to {profile.maximum:g}, the config allows {contract.max:g}"
    for where, name, base, now in seen.compared():
        if base.kind is not Kind.NUMBER or base.minimum is None or base.maximum is None or not now.quantiles:
            continue
        outside = _outside(now, base.minimum, base.maximum)
        # Of a fresh sample, one row in as many as the base has lies beyond each of its ends.
        if _at_least(outside, now.rows, seen) > seen.settings.outside + 2 / (base.there + 1):
            yield (
                f"{where}: at least {outside / now.rows:.1%} of the rows outside of {base.minimum:g} to "
                f"{base.maximum:g}, the range in {name}"
            )


def _at_least(count: int, rows: int, seen: _Seen) -> float:
    return float(shares.exact(count, rows, seen.level)[0])


def _outside(profile: ColumnProfile, minimum: float, maximum: float) -> int:
    """Return how many values lie outside at least, as far as the profile's quantiles (half percents) tell."""
    below = sum(value < minimum for value in profile.quantiles)
    above = sum(value > maximum for value in profile.quantiles)
    steps = max(below - 1, 0) + max(above - 1, 0)
    return steps * (profile.there - profile.infinite) // (len(profile.quantiles) - 1)


def _cardinality(seen: _Seen) -> Iterator[str]:
    data = seen.inputs.config.data
    for split, name, profile in seen.each():
        many = profile.there > 100 and profile.distinct == profile.there
        if name in data.categorical and many:
            yield f"{split}.{shown(name)}: called a category, but each of its {profile.there:,} values is another"
    for where, name, base, now in seen.compared():
        if now.kind is not Kind.CATEGORY or base.kind is not Kind.CATEGORY or base.rest or now.rest:
            continue  # more than a profile lists; `drift` counts every one of them
        known = {value for value, _ in base.top}
        new = {value: count for value, count in now.top if value not in known}
        # What a sample has not seen weighs about as much as what it has seen once (Good 1953).
        once = sum(count == 1 for _, count in base.top)
        unseen = float(shares.exact(once, max(base.there, 1), seen.level)[1])
        rows = sum(new.values())
        if rows and _at_least(rows, now.rows, seen) > unseen + seen.settings.outside:
            first = ", ".join(shown(str(value)) for value in list(new)[:3])
            yield f"{where}: {rows / now.rows:.1%} of the rows in {len(new):,} categories that {name} lacks: {first}"


_ASKED: Mapping[str, Callable[[_Seen], Iterator[str]]] = {
    "nulls": _nulls,
    "types": _types,
    "numeric-text": _numeric_text,
    "infinities": _infinities,
    "constants": _constants,
    "empty": _empty,
    "sentinels": _sentinels,
    "ranges": _ranges,
    "cardinality": _cardinality,
}

_FINE = {
    "nulls": "no column misses notably more values than the reference",
    "types": "the same types in every split",
    "numeric-text": "no numbers are kept as text",
    "infinities": "all numbers are finite",
    "constants": "no column has one value only",
    "empty": "every column has values",
    "sentinels": "no value stands apart at the edge of a column",
    "ranges": "within the ranges of the config and of the reference",
    "cardinality": "categories are those of the reference",
}
