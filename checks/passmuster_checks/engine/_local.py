"""The engine on one machine: a few columns at a time, each of all splits at once, then the rows.

A column is read, sorted or counted, compared and forgotten; what stays of it is its profile, its distances, and its
part of every row's hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from passmuster.config import Task
from passmuster.errors import NotMeasured, PassmusterError
from passmuster_checks._text import shown
from passmuster_checks.engine import _apart, _forms, _predictors, _read, _rows
from passmuster_checks.engine._columns import Form
from passmuster_checks.engine._facts import Facts, Failed, Pair, Predictor, Request, What
from passmuster_checks.engine.profile import ColumnProfile, Kind, Profile

if TYPE_CHECKING:
    from passmuster_checks.engine._forms import Held

#: Bytes that the columns in work may take together, and how many one takes per row of all splits.
_MEMORY, _PER_ROW = 1 << 30, 24

#: Characters of a foreign error's message that are told.
_TOLD = 300


def facts(request: Request) -> Facts:
    """Return the facts that are asked for; what can't be measured is told, not raised."""
    with TemporaryDirectory(prefix="passmuster-") as scratch:
        return _Work(request, Path(scratch)).done()


class _Work:
    """One request in work: threads go over the columns, each writing under its column's name alone."""

    def __init__(self, request: Request, scratch: Path) -> None:
        self.request = request
        self.failures: list[Failed] = []
        self.sources: dict[str, _read.Source] = {}
        self.stored: dict[str, Mapping[str, ColumnProfile]] = {}
        for split, path in request.splits:
            self._try(What.FILE, (split,), None, partial(self._open, split, path, scratch))
        for split, path in request.stored:
            self._try(What.FILE, (split,), None, partial(self._open_stored, split, path))
        self.rows = _rows.Rows(request, {split: source.rows for split, source in self.sources.items()})
        self.profiles: dict[str, dict[str, ColumnProfile]] = {split: {} for split in self.sources}
        self.apart: dict[Pair, dict[str, _apart.Apart]] = {pair: {} for pair in request.pairs}
        self.predictors: dict[str, Predictor] = {}
        self.target: _predictors.Target | None = None

    def _try(self, what: What, splits: tuple[str, ...], column: str | None, work: Callable[[], None]) -> None:
        try:
            work()
        except PassmusterError as exc:
            reason = str(exc)
        except Exception as exc:  # whatever a hostile file does to a library is a failure with a reason, never a pass
            reason = f"{type(exc).__name__}: {str(exc)[:_TOLD]}"
        else:
            return
        self.failures.append(Failed(what=what, splits=splits, column=column, reason=reason))

    def _open(self, split: str, path: Path, scratch: Path) -> None:
        self.sources[split] = _read.opened(path, scratch)

    def _open_stored(self, split: str, path: Path) -> None:
        self.stored[split] = {column.column: column for column in Profile.read(path).columns}

    def done(self) -> Facts:
        """Return what was found."""
        found = chain(*(source.all_names for source in self.sources.values()), *self.stored.values())
        asked = (self.request.key, self.request.label, self.request.time)
        names = list(dict.fromkeys((*found, *(name for name in asked if name is not None))))
        if self.request.label in names:  # first, for features are tried against it
            self._column(str(self.request.label))
        others = [name for name in names if name != self.request.label]
        with ThreadPoolExecutor(self._threads(), thread_name_prefix="column") as pool:
            for _ in pool.map(self._column, others):
                pass
        self.failures += self.rows.count(self._threads())
        return self._facts(names)

    def _threads(self) -> int:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        column = _PER_ROW * sum(source.rows for source in self.sources.values())
        return max(1, min(processors, _MEMORY // max(1, column)))

    def _column(self, name: str) -> None:
        held: dict[str, Form] = {}
        for split in self.sources:
            self._try(What.PROFILE, (split,), name, partial(self._read, split, name, held))
        for pair in self.request.pairs:
            self._try(What.DISTANCES, pair, name, partial(self._compare, pair, name, held))

    def _read(self, split: str, name: str, forms: dict[str, Form]) -> None:
        source, request = self.sources[split], self.request
        if name in source.faults:
            self.rows.broken(split, f"column {shown(name)}: {source.faults[name]}")
        source.check(name)
        train = split == request.train and request.label is not None and request.task is not None
        category = dict(request.kinds).get(name) is Kind.CATEGORY
        category |= name == request.label and request.task is not Task.REGRESSION
        common = all(name in other.types for other in self.sources.values())
        with self.rows.hashing(split, name, source.types[name], common=common) as hashing:
            held = _forms.held(source, name, hashing, category=category, in_order=train)
        forms[split] = held.form
        if held.form.missing == source.rows:
            self.rows.without_values(split, name)
        self.profiles[split][name] = held.form.profile()
        if train and name == request.label:
            self._try(What.PREDICTOR, (split,), name, partial(self._aim, held))
        elif train and name != request.key:
            self._try(What.PREDICTOR, (split,), name, partial(self._predict, name, held))

    def _aim(self, held: Held) -> None:
        self.target = held.ranks() if self.request.task is Task.REGRESSION else held.classes()

    def _predict(self, name: str, held: Held) -> None:
        if self.target is None:
            raise NotMeasured("the label of the train rows can't be read, so no feature can be tried against it")
        self.predictors[name] = held.predictor(self.target)

    def _compare(self, pair: Pair, name: str, forms: Mapping[str, Form]) -> None:
        base, current = pair
        if name == self.request.key:
            raise NotMeasured("it names rows; there is no distribution to compare")
        for split in pair:
            if split not in forms and name not in self.stored.get(split, {}):
                raise NotMeasured(f"{split}: {self._why_not(split, name)}")
        if current not in forms:
            raise NotMeasured(f"{current} is a stored profile, which can only be the base")
        if base in forms:
            self.apart[pair][name] = _apart.apart(forms[base], forms[current])
        else:
            self.apart[pair][name] = _apart.apart_from_stored(self.stored[base][name], forms[current])

    def _why_not(self, split: str, name: str) -> str:
        for failed in self.failures:
            if failed.splits == (split,) and (
                failed.what is What.FILE or (failed.what, failed.column) == (What.PROFILE, name)
            ):
                return failed.reason
        return f"there is no column {shown(name)}"

    def _facts(self, names: list[str]) -> Facts:
        order = {name: place for place, name in enumerate(names)}
        apart = {
            pair: dict(sorted(found.items(), key=lambda item: order[item[0]])) for pair, found in self.apart.items()
        }
        return Facts(
            request=self.request,
            columns={split: source.names for split, source in self.sources.items()},
            profiles={
                split: {name: found[name] for name in names if name in found}
                for split, found in {**self.profiles, **self.stored}.items()
            },
            distances={pair: {name: one.distances for name, one in found.items()} for pair, found in apart.items()},
            categories={
                pair: {name: one.category for name, one in found.items() if one.category is not None}
                for pair, found in apart.items()
            },
            rows=self.rows.facts,
            shared=self.rows.shared,
            predictors={name: self.predictors[name] for name in names if name in self.predictors},
            failures=tuple(sorted(self.failures, key=lambda f: (f.what, f.splits, order.get(f.column or "", -1)))),
        )
