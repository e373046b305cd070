"""What the engines share: how a request is taken up and answered, whoever looks at the columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from passmuster.config import Task
from passmuster.errors import NotMeasured, PassmusterError
from passmuster_checks._text import shown
from passmuster_checks.engine import _apart, _read, _rows
from passmuster_checks.engine._columns import Form
from passmuster_checks.engine._facts import Facts, Failed, Pair, Predictor, Request, What
from passmuster_checks.engine.profile import ColumnProfile, Kind, Profile

#: Characters of a foreign error's message that are told.
_TOLD = 300


class Work:
    """One request in work: what can't be measured is noted, not raised.

    Args:
        request: what is asked for.
        opened: returns what the headers of a split's files say.
    """

    def __init__(self, request: Request, opened: Callable[[Path], _read.Source]) -> None:
        self.request = request
        self.failures: list[Failed] = []
        self.sources: dict[str, _read.Source] = {}
        self.stored: dict[str, Mapping[str, ColumnProfile]] = {}
        for split, path in request.splits:
            self.attempt(What.FILE, (split,), None, partial(self._open, split, path, opened))
        for split, path in request.stored:
            self.attempt(What.FILE, (split,), None, partial(self._open_stored, split, path))
        self.profiles: dict[str, dict[str, ColumnProfile]] = {split: {} for split in self.sources}
        self.apart: dict[Pair, dict[str, _apart.Apart]] = {pair: {} for pair in request.pairs}
        self.predictors: dict[str, Predictor] = {}

    def attempt(self, what: What, splits: tuple[str, ...], column: str | None, work: Callable[[], Any]) -> None:
        """Do some work; where it fails, note what could not be measured, and why."""
        try:
            work()
        except PassmusterError as exc:
            reason = str(exc)
        except Exception as exc:  # whatever a hostile file does to a library is a failure with a reason, never a pass
            reason = f"{type(exc).__name__}: {str(exc)[:_TOLD]}"
        else:
            return
        self.failures.append(Failed(what=what, splits=splits, column=column, reason=reason))

    def _open(self, split: str, path: Path, opened: Callable[[Path], _read.Source]) -> None:
        self.sources[split] = opened(path)

    def _open_stored(self, split: str, path: Path) -> None:
        self.stored[split] = {column.column: column for column in Profile.read(path).columns}

    def names(self) -> list[str]:
        """Return every column that is there or asked for, the label first, for features are tried against it."""
        found = chain(*(source.all_names for source in self.sources.values()), *self.stored.values())
        asked = (self.request.key, self.request.label, self.request.time)
        names = dict.fromkeys((*found, *(name for name in asked if name is not None)))
        return sorted(names, key=lambda name: name != self.request.label)

    def checked(self, split: str, name: str, rows: _rows.Rows) -> None:
        """Refuse a column that can't be read; then the rows can't be compared either.

        Raises:
            NotMeasured: it is not there, or not once, or differs between the files.
        """
        source = self.sources[split]
        if name in source.faults:
            rows.broken(split, f"column {shown(name)}: {source.faults[name]}")
        source.check(name)

    def is_category(self, name: str) -> bool:
        """Return whether the config calls a column a category, whatever its type."""
        request = self.request
        label = name == request.label and request.task is not Task.REGRESSION
        return label or dict(request.kinds).get(name) is Kind.CATEGORY

    def is_common(self, name: str) -> bool:
        """Return whether all splits have a column that can be read."""
        return all(name in source.types for source in self.sources.values())

    def is_tried(self, split: str) -> bool:
        """Return whether the features of a split are tried as predictors."""
        return split == self.request.train and self.request.label is not None and self.request.task is not None

    def compare(self, pair: Pair, name: str, forms: Mapping[str, Form]) -> None:
        """Compare a column in two splits, whose forms are known by split.

        Raises:
            NotMeasured: there is nothing to compare.
        """
        base, current = pair
        if name == self.request.key:
            raise NotMeasured("it names rows; there is no distribution to compare")
        for split in pair:
            if split not in forms and name not in self.stored.get(split, {}):
                raise NotMeasured(f"{split}: {self._why_not(split, name)}")
        if current not in forms:
            raise NotMeasured(f"{current} is a stored profile, which can only be the base")
        if base in forms:
            self.apart[pair][name] = self.apart_of(pair, name, forms[base], forms[current])
        else:
            self.apart[pair][name] = _apart.apart_from_stored(self.stored[base][name], forms[current])

    def apart_of(self, _pair: Pair, _name: str, base: Form, current: Form) -> _apart.Apart:
        """Return how far apart a column's two forms are."""
        return _apart.apart(base, current)

    def _why_not(self, split: str, name: str) -> str:
        for failed in self.failures:
            if failed.splits == (split,) and (
                failed.what is What.FILE or (failed.what, failed.column) == (What.PROFILE, name)
            ):
                return failed.reason
        return f"there is no column {shown(name)}"

    def facts(self, rows: _rows.Rows) -> Facts:
        """Return all that was found."""
        found = chain(*(source.all_names for source in self.sources.values()), *self.stored.values())
        order = {name: place for place, name in enumerate(dict.fromkeys((*found, *self.names())))}
        apart = {
            pair: dict(sorted(found.items(), key=lambda item: order[item[0]])) for pair, found in self.apart.items()
        }
        return Facts(
            request=self.request,
            columns={split: source.names for split, source in self.sources.items()},
            profiles={
                split: {name: found[name] for name in order if name in found}
                for split, found in {**self.profiles, **self.stored}.items()
            },
            distances={pair: {name: one.distances for name, one in found.items()} for pair, found in apart.items()},
            categories={
                pair: {name: one.category for name, one in found.items() if one.category is not None}
                for pair, found in apart.items()
            },
            rows=rows.facts,
            shared=rows.shared,
            predictors={name: self.predictors[name] for name in order if name in self.predictors},
            failures=tuple(sorted(self.failures, key=lambda f: (f.what, f.splits, order.get(f.column or "", -1)))),
        )
