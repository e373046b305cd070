"""Gate `slices`: the candidate within every value and range of every column, and within pairs of the most telling.

It is compared with the champion on the same rows, and with itself on the same slice of the reference data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path

from passmuster.errors import NotMeasured
from passmuster.gates import Inputs, NoChampion
from passmuster.measurement import Failure, Measurement
from passmuster.planning import simultaneous
from passmuster_checks import _data, _sliced
from passmuster_checks._cut import Cut, cut
from passmuster_checks._no_champion import uncompared
from passmuster_checks._sliced import Against, Champions, Reference, Sliced
from passmuster_checks._told import MOST, Compared, Comparison, told
from passmuster_checks.statistics.groups import Answers, Pairs

REFERENCE = "reference"


class Slices:
    """Measures where the candidate is worse, with simultaneous intervals (Bonferroni)."""

    name = "slices"
    needs = frozenset({"data", "predictions"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Assertion` on what was compared, and an `Estimate` for each slice that is worth telling.

        Those that do not pass come first, then the worst, and at least one of each column that the config names. All
        slices count for the level of the intervals, also those that are not told.

        Raises:
            NotMeasured: answers are missing, or not those of the rows.
        """
        found: list[Measurement] = []
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            sides = pool.submit(self._sides, inputs)
            cuts = self._cuts(inputs, pool, found)
            comparisons = [
                Comparison(
                    against=side, singles=list(pool.map(partial(_sliced.single, side), cuts.keys(), cuts.values()))
                )
                for side in sides.result()
            ]
            found += self._uncompared(inputs)
            most = _set_levels(comparisons, inputs)
            for comparison in comparisons:
                _compare(comparison, inputs.config.gates.slices.pairs, pool)
        settings = inputs.config.gates.slices
        return [*found, *told(comparisons, gate=self.name, metric=_metric(inputs), settings=settings, most=most)]

    def _cuts(self, inputs: Inputs, pool: Executor, found: list[Measurement]) -> dict[str, Cut]:
        """Return the cuts of all columns; add to `found` why one could not be cut."""
        data, settings = inputs.config.data, inputs.config.gates.slices
        files: dict[str, Path] = {_data.TEST: inputs.data[_data.TEST]}
        if data.reference is not None:
            if REFERENCE not in inputs.data:
                raise NotMeasured("there is no data file for the reference")
            files[REFERENCE] = inputs.data[REFERENCE]

        def one(column: str) -> Cut | Failure:
            contract = data.columns.get(column)
            category = column in data.categorical or (contract is not None and contract.categories is not None)
            try:
                return cut(column, files, bins=settings.bins, min_rows=settings.min_rows, category=category)
            except NotMeasured as exc:
                return Failure(gate=self.name, name=column, reason=str(exc))

        columns = settings.columns or tuple(c for c in data.columns if c not in (data.id, data.label))
        each = dict(zip(columns, pool.map(one, columns), strict=True))
        found += [failed for failed in each.values() if isinstance(failed, Failure)]
        return {column: done for column, done in each.items() if isinstance(done, Cut)}

    def _uncompared(self, inputs: Inputs) -> list[Measurement]:
        if not isinstance(inputs.champion, NoChampion):
            return []
        names = (self.name, *inputs.config.gates.slices.columns)
        return [uncompared(self.name, name, inputs.champion) for name in names]

    def _sides(self, inputs: Inputs) -> list[Against]:
        """Return what the candidate is compared with."""
        settings = inputs.config.gates.slices
        metric = _metric(inputs)
        sides: list[Against] = []
        if not isinstance(inputs.champion, NoChampion):
            ours, theirs, left_out = _data.pair(inputs)
            side = Champions(
                metric=metric,
                limit=settings.limit,
                min_rows=settings.min_rows,
                scored=ours.scored,
                rows=ours.rows,
                left_out=left_out,
                pairs=Pairs(metric, ours.scored, theirs.scored),
            )
            sides.append(side)
        if inputs.config.data.reference is not None:
            scored = {split: _data.candidate(inputs, split).scored for split in (_data.TEST, REFERENCE)}
            reference = Reference(
                metric=metric,
                limit=settings.reference_limit,
                min_rows=settings.min_rows,
                scored=scored,
                answers={split: Answers(metric, each) for split, each in scored.items()},
            )
            sides.append(reference)
        return sides


def _metric(inputs: Inputs) -> str:
    gates = inputs.config.gates
    return gates.slices.metric or next(iter(gates.champion.rules))


def _set_levels(comparisons: Sequence[Comparison], inputs: Inputs) -> int:
    """Split the budget of false alarms, and return how many slices the levels allow to tell.

    Half is for the first comparison's single columns, the rest for pairs and the other comparison evenly; each part is
    split over its slices. The kernel asks of every interval the level for as many as it is told.
    """
    settings = inputs.config.gates.slices
    for one in comparisons:
        if isinstance(one.against, Champions) and settings.pairs > 1:
            one.pairs_at_most = _sliced.most_pairs(one.singles, len(one.against.rows), settings.min_rows)
    parts = len(comparisons) + sum(one.pairs_at_most > 0 for one in comparisons)
    singles = max((sum(part.k for part in one.singles) for one in comparisons), default=0)
    most = max(min(MOST, singles * min(parts, 2)), 1)

    def level(count: int, weight: int) -> float:
        return simultaneous(inputs.false_alarms, max(count * weight, most))

    for place, one in enumerate(comparisons):
        one.level = level(one.at_most - one.pairs_at_most, 2 * (parts - 1) if place else min(parts, 2))
        one.pairs_level = level(one.pairs_at_most, 2 * (parts - 1))
    return most


def _compare(comparison: Comparison, telling: int, pool: Executor) -> None:
    """Compare the slices of each column, then those of pairs of the most telling ones."""
    against = comparison.against

    def all_of(parts: Iterable[Sliced], level: float) -> list[Compared]:
        def one(part: Sliced) -> Compared:
            return Compared(sliced=part, found=against.compare(part.codes, part.k, level), level=level)

        return list(pool.map(one, [part for part in parts if part.k]))

    comparison.compared += all_of(comparison.singles, comparison.level)
    if comparison.pairs_at_most:
        chosen = _sliced.most_telling([(one.sliced, one.found) for one in comparison.compared], telling)
        comparison.pairs = list(pool.map(lambda two: _sliced.crossed(against, *two), list(combinations(chosen, 2))))
        comparison.compared += all_of(comparison.pairs, comparison.pairs_level)
