"""The engine on one machine: a few columns at a time, each of all splits at once, then the rows.

A column is read, sorted or counted, compared and forgotten; what stays of it is its profile, its distances, and its
part of every row's hash.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster_checks.engine import _forms, _predictors, _read, _rows
from passmuster_checks.engine._columns import Form
from passmuster_checks.engine._facts import Facts, Request, What
from passmuster_checks.engine._work import Work

if TYPE_CHECKING:
    from passmuster_checks.engine._forms import Held

#: Bytes that the columns in work may take together, and how many one takes per row of all splits.
_MEMORY, _PER_ROW = 1 << 30, 24


def facts(request: Request) -> Facts:
    """Return the facts that are asked for; what can't be measured is told, not raised."""
    with TemporaryDirectory(prefix="passmuster-") as scratch:
        return _Local(request, Path(scratch)).done()


class _Local(Work):
    """One request in work: threads go over the columns, each writing under its column's name alone."""

    def __init__(self, request: Request, scratch: Path) -> None:
        super().__init__(request, partial(_read.opened, scratch=scratch))
        self.rows = _rows.Rows(request, {split: source.rows for split, source in self.sources.items()})
        self.target: _predictors.Target | None = None

    def done(self) -> Facts:
        """Return what was found."""
        names = self.names()
        if names and names[0] == self.request.label:
            self._column(names.pop(0))
        with ThreadPoolExecutor(self._threads(), thread_name_prefix="column") as pool:
            for _ in pool.map(self._column, names):
                pass
        self.failures += self.rows.count(self._threads())
        return self.facts(self.rows)

    def _threads(self) -> int:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        column = _PER_ROW * sum(source.rows for source in self.sources.values())
        return max(1, min(processors, _MEMORY // max(1, column)))

    def _column(self, name: str) -> None:
        held: dict[str, Form] = {}
        for split in self.sources:
            self.attempt(What.PROFILE, (split,), name, partial(self._read, split, name, held))
        for pair in self.request.pairs:
            self.attempt(What.DISTANCES, pair, name, partial(self.compare, pair, name, held))

    def _read(self, split: str, name: str, forms: dict[str, Form]) -> None:
        source = self.sources[split]
        self.checked(split, name, self.rows)
        tried = self.is_tried(split)
        with self.rows.hashing(split, name, source.types[name], common=self.is_common(name)) as hashing:
            held = _forms.held(source, name, hashing, category=self.is_category(name), in_order=tried)
        forms[split] = held.form
        if held.form.missing == source.rows:
            self.rows.without_values(split, name)
        self.profiles[split][name] = held.form.profile()
        if tried and name == self.request.label:
            self.attempt(What.PREDICTOR, (split,), name, partial(self._aim, held))
        elif tried and name != self.request.key:
            self.attempt(What.PREDICTOR, (split,), name, partial(self._predict, name, held))

    def _aim(self, held: Held) -> None:
        self.target = held.ranks() if self.request.task is Task.REGRESSION else held.classes()

    def _predict(self, name: str, held: Held) -> None:
        if self.target is None:
            raise NotMeasured("the label of the train rows can't be read, so no feature can be tried against it")
        self.predictors[name] = held.predictor(self.target)
