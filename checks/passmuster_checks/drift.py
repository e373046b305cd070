"""Gate `drift`: how far train, test and reference are apart, column by column and all columns together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Estimate, Failure, Measurement
from passmuster.metrics import EFFECT_OF_ALL
from passmuster.planning import simultaneous
from passmuster.policy import ALL_COLUMNS, ANSWERS, PART, effect_of_answers, effects_of, judged_for_drift
from passmuster_checks import _data, _domain, _histograms, engine
from passmuster_checks._text import shown
from passmuster_checks.engine import Facts, Pair
from passmuster_checks.statistics.distance import Distances, Size

#: The level of the intervals that are shown beside the judged ones.
_SHOWN = 0.95


class Drift:
    """Measures effect sizes with simultaneous intervals; a column that can't be measured is a `Failure`."""

    name = "drift"
    needs = frozenset({"data", "predictions"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each judged effect, named `base-current::column::effect`."""
        facts = engine.facts(engine.Request.of(inputs), inputs.engine)
        judged = judged_for_drift(inputs.config)
        of_all = EFFECT_OF_ALL in inputs.config.gates.drift.limits
        effects = sum(len(effects_of(inputs.config, column)) for column in judged)
        # The answers are one more effect where they are compared; a level for one too many is only more careful.
        level = simultaneous(inputs.false_alarms, max(len(facts.request.pairs) * (effects + of_all + 1), 1))
        found: list[Measurement] = []
        for pair in facts.request.pairs:
            for column in judged:
                found += self._column(inputs, facts, pair, column, level)
            if of_all and pair[0] not in dict(facts.request.stored):
                found.append(self._all_columns(inputs, pair, level))
        return [*found, *self._answers(inputs, level)]

    def _column(self, inputs: Inputs, facts: Facts, pair: Pair, column: str, level: float) -> Iterator[Measurement]:
        try:
            distances = facts.distance(pair, column)
        except NotMeasured as exc:
            yield Failure(gate=self.name, name=_name(pair, shown(column)), reason=str(exc))
            return
        details: dict[str, Any] = {
            "sizes": _sizes(distances),
            "absent": dict(distances.absent),
            "histogram": _histograms.of(facts.profile(pair[0], column), facts.profile(pair[1], column)),
        }
        if category := facts.categories.get(pair, {}).get(column):
            details["category"] = shown(category)
        for effect in effects_of(inputs.config, column):
            yield from self._effect(facts, pair, shown(column), effect, distances, level, details)

    def _effect(
        self,
        facts: Facts,
        pair: Pair,
        column: str,
        effect: str,
        distances: Distances,
        level: float,
        details: Mapping[str, Any],
    ) -> Iterator[Measurement]:
        name = _name(pair, column, effect)
        size = distances.sizes.get(effect)
        if size is None:
            reason = distances.absent.get(effect, "columns of this kind have no such effect")
            yield Failure(gate=self.name, name=name, reason=reason)
        elif size.interval(level) is not None:
            yield self._estimate(name, size, level, details)
        elif pair[0] not in dict(facts.request.stored):  # of a stored profile some effects are only shown
            reason = f"{size.no_interval or 'no interval is known for it'}; name another effect under `limits`"
            yield Failure(gate=self.name, name=name, reason=reason)

    def _estimate(self, name: str, size: Size, level: float, details: Mapping[str, Any]) -> Estimate:
        return Estimate(
            gate=self.name,
            name=name,
            value=size.value,
            n=max(size.n_base + size.n_current, 1),
            interval=size.interval(level),
            standard_error=size.standard_error,
            details=details,
        )

    def _all_columns(self, inputs: Inputs, pair: Pair, level: float) -> Measurement:
        name = _name(pair, ALL_COLUMNS, EFFECT_OF_ALL)
        try:
            found, rows = _domain.auc(inputs, pair, level)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=name, reason=str(exc))
        return Estimate(
            gate=self.name,
            name=name,
            value=found.value,
            n=found.n,
            interval=found.interval,
            standard_error=found.standard_error,
            details={"rows": rows},
        )

    def _answers(self, inputs: Inputs, level: float) -> Iterator[Measurement]:
        """Compare the answers on reference and test; those on train are sharper by nature, which is no drift."""
        effect, pair = effect_of_answers(inputs.config), ("reference", _data.TEST)
        if effect is None:
            return
        name = _name(pair, ANSWERS, effect)
        try:
            column = self._answered(inputs)
            splits = tuple((split, inputs.predictions[split]) for split in pair if split in inputs.predictions)
            request = engine.Request(
                splits=splits, pairs=(pair,), kinds=_kinds(inputs, column), key=inputs.config.data.id
            )
            facts = engine.facts(request)
            distances = facts.distance(pair, column)
            histogram = _histograms.of(facts.profile(pair[0], column), facts.profile(pair[1], column))
        except NotMeasured as exc:
            yield Failure(gate=self.name, name=name, reason=str(exc))
            return
        details = {"sizes": _sizes(distances), "histogram": histogram}
        yield from self._effect(facts, pair, ANSWERS, effect, distances, level, details)

    def _answered(self, inputs: Inputs) -> str:
        if inputs.config.task is not Task.BINARY:
            return "prediction"
        return f"{_data.PROBABILITY}{inputs.config.data.positive}"


def _kinds(inputs: Inputs, column: str) -> tuple[tuple[str, engine.Kind], ...]:
    return ((column, engine.Kind.CATEGORY),) if inputs.config.task is Task.MULTICLASS else ()


def _name(pair: Pair, *parts: str) -> str:
    # What a column is called must not look like a part of the name.
    return PART.join(("-".join(pair), *(part.replace(PART, ":\u200b:") for part in parts)))


def _sizes(distances: Distances) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, size in distances.sizes.items():
        interval = size.interval(_SHOWN)
        ends = {"low": interval.low, "high": interval.high} if interval else {}
        found[name] = {"value": size.value, **ends}
    return found
