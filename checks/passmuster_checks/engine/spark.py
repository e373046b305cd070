"""The engine on Spark: the same facts of data that outgrow one machine.

Spark counts; what comes to the driver is small, and is judged there by the code that judges one machine's counts.
`docs/spark.md` says what is equal, what is equal up to a bound, and what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from passmuster.config import Task
from passmuster.errors import NotMeasured, PassmusterError, UsageError
from passmuster_checks._text import shown
from passmuster_checks.engine import _read
from passmuster_checks.engine._columns import Form, Opaque
from passmuster_checks.engine._facts import Facts, Failed, Pair, Request, What
from passmuster_checks.engine._work import Work
from passmuster_checks.engine.profile import Kind

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from passmuster_checks.engine._spark_counts import Wide
    from passmuster_checks.engine._spark_predictors import Target
    from passmuster_checks.engine._spark_table import Table

#: Rows that a split may have: ranks among them, times steps, are counted in 64 bits.
MOST_ROWS = 10**11

#: Columns that are in work together: bounds what the driver holds, and the size of Spark's plans.
BATCH = 32

#: How this engine's session differs from the user's: SQL as it is meant here, and no file silently passed over.
_SETTINGS = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}

#: One column of one split.
_Part = tuple[str, str]


def facts(request: Request, session: SparkSession | None = None) -> Facts:
    """Return the facts that are asked for; what can't be measured is told, not raised.

    Args:
        request: its files are Parquet, and lie where all executors find them under the same path.
        session: where the work is done; not given: the active one, or the one that Spark's own settings describe.

    Raises:
        UsageError: no session can be made.
    """
    own = (session or _session()).newSession()
    for key, value in _SETTINGS.items():
        own.conf.set(key, value)
    with TemporaryDirectory(prefix="passmuster-") as scratch:
        return _Spark(request, own, Path(scratch)).done()


def _session() -> SparkSession:
    from pyspark.sql import SparkSession

    try:
        made = SparkSession.builder.appName("passmuster").config("spark.ui.showConsoleProgress", "false")
        return made.getOrCreate()
    except Exception as exc:  # of many kinds, as Java and the cluster are
        raise UsageError(f"no Spark session could be made; it needs Java 17 or 21: {_reason(exc)}") from exc


def _reason(exc: Exception) -> str:
    if isinstance(exc, PassmusterError):
        return str(exc)
    return f"{type(exc).__name__}: {str(exc)[:300]}"


def _opened(path: Path, scratch: Path) -> _read.Source:
    if path.exists() and _read.paths_of(path)[1]:
        raise NotMeasured(f"{path.name} is CSV, which can't be read in parts; write it as Parquet for Spark")
    return _read.opened(path, scratch, MOST_ROWS)


@dataclass(kw_only=True)
class _Found:
    """What is known of the columns in work."""

    forms: dict[_Part, Form | Wide] = field(default_factory=dict)
    counts: dict[_Part, tuple[DataFrame, int]] = field(default_factory=dict)  #: whose counts are where, under what code
    frames: list[DataFrame] = field(default_factory=list)  #: what Spark keeps meanwhile

    def keep(self, frame: DataFrame) -> DataFrame:
        """Let Spark keep a frame's rows, which several questions are asked of."""
        self.frames.append(frame.persist())
        return frame

    def release(self) -> None:
        """Let Spark forget."""
        for frame in self.frames:
            frame.unpersist()


class _Spark(Work):
    """One request in work, some columns of all splits at a time."""

    def __init__(self, request: Request, session: SparkSession, scratch: Path) -> None:
        from passmuster_checks.engine._spark_rows import SparkRows

        super().__init__(request, partial(_opened, scratch=scratch))
        self.session = session
        self.tables: dict[str, Table] = {}
        for split in self.sources:
            self.attempt(What.FILE, (split,), None, partial(self._table, split))
        self.rows = SparkRows(request, {split: source.rows for split, source in self.sources.items()}, self.tables)
        self.label = _Found()  #: of a regression's label
        self.target: Target | None = None

    def _table(self, split: str) -> None:
        from passmuster_checks.engine import _spark_table

        self.tables[split] = _spark_table.opened(self.session, self.sources[split])

    def done(self) -> Facts:
        """Return what was found."""
        names = self.names()
        # The ranks of a regression's label are made from its counts, so those are kept, and little else with them.
        alone = int(self.request.task is Task.REGRESSION and names[:1] == [self.request.label])
        try:
            if alone:
                self._batch(names[:1], self.label)
            for i in range(alone, len(names), BATCH):
                self._forgotten(names[i : i + BATCH])
        finally:
            self.label.release()
        self._rows()
        return self.facts(self.rows)

    def _forgotten(self, names: Sequence[str]) -> None:
        found = _Found()
        try:
            self._batch(names, found)
        finally:
            found.release()

    def _rows(self) -> None:
        try:
            self.failures += list(self.rows.count(1))
        except Exception as exc:  # whatever Spark could not do is a reason, as in `attempt`
            reason = _reason(exc)
            self.failures += [Failed(what=What.ROWS, splits=(split,), reason=reason) for split in self.sources]
            self.failures += [Failed(what=What.SHARED, splits=pair, reason=reason) for pair in self.request.pairs]

    def _batch(self, names: Sequence[str], found: _Found) -> None:
        parts: list[_Part] = []
        for split in self.sources:
            for name in names:
                self.attempt(What.PROFILE, (split,), name, partial(self._note, split, name, parts))
        self._count(parts, found)
        for name in names:
            for pair in self.request.pairs:
                self.attempt(What.DISTANCES, pair, name, partial(self._compare, pair, name, found))
        train = self.request.train
        if self.is_tried(train):
            self._predict({name: found.forms[train, name] for name in names if (train, name) in found.forms})

    def _note(self, split: str, name: str, parts: list[_Part]) -> None:
        self.checked(split, name, self.rows)
        if split not in self.tables:
            raise NotMeasured("Spark can't read the file")
        if (reason := self.tables[split].faults.get(name)) is not None:
            self.rows.broken(split, f"column {shown(name)}: {reason}")
            raise NotMeasured(reason)
        self.rows.note(split, name, self.sources[split].types[name], common=self.is_common(name))
        parts.append((split, name))

    # ── counting ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _count(self, parts: Sequence[_Part], found: _Found) -> None:
        """Count some columns; where that fails, each half of them by itself, so that none takes another down."""
        try:
            self._forms(parts, found)
        except Exception as exc:  # of a hostile file, or of the cluster: a reason in either case
            if len(parts) > 1:
                self._count(parts[: len(parts) // 2], found)
                self._count(parts[len(parts) // 2 :], found)
                return
            for split, name in parts:
                self.rows.broken(split, f"column {shown(name)} can't be read, so rows can't be compared")
                failed = Failed(what=What.PROFILE, splits=(split,), column=name, reason=_reason(exc))
                self.failures.append(failed)

    def _forms(self, parts: Sequence[_Part], found: _Found) -> None:
        from passmuster_checks.engine import _spark_counts as counts

        about = {of: self._about(part) for of, part in enumerate(parts)}
        numbers = {of: named for of, named in about.items() if named["kind"].ordered}
        others = {of: named for of, named in about.items() if of not in numbers}
        forms: dict[int, Form | Wide] = {}
        if numbers:
            ranked = found.keep(counts.ranked(self._long(parts, numbers, category=False)))
            forms |= counts.numbers(ranked, numbers)
            found.counts |= {parts[of]: (ranked, of) for of in numbers}
        if others:
            counted = found.keep(counts.counted(self._long(parts, others, category=True)))
            forms |= counts.categories(counted, others)
            found.counts |= {parts[of]: (counted, of) for of in others}
        for of, form in forms.items():
            split, name = parts[of]
            self.attempt(What.PROFILE, (split,), name, partial(self._take, split, name, form, found))

    def _about(self, part: _Part) -> dict[str, Any]:
        from passmuster_checks.engine import _spark_table

        split, name = part
        kind = self.sources[split].types[name]
        how = _spark_table.kind_of(kind)
        if how.ordered and self.is_category(name):
            how = Kind.CATEGORY
        return {"column": name, "type": str(kind), "kind": how}

    def _long(self, parts: Sequence[_Part], asked: Iterable[int], *, category: bool) -> DataFrame:
        from passmuster_checks.engine import _spark_table

        frames = []
        for split, table in self.tables.items():
            names = {of: parts[of][1] for of in asked if parts[of][0] == split}
            if names:
                values = {of: table.category(name) if category else table.value(name) for of, name in names.items()}
                frames.append(_spark_table.unpivoted(table, values))
        return reduce(lambda one, other: one.unionByName(other), frames)

    def _take(self, split: str, name: str, form: Form | Wide, found: _Found) -> None:
        profile, rows = form.profile(), self.sources[split].rows
        if profile.rows != rows:
            self.rows.broken(split, f"column {shown(name)} can't be read, so rows can't be compared")
            raise NotMeasured(f"{profile.rows:,} rows were found where the header says {rows:,}")
        if not profile.there:
            self.rows.without_values(split, name)
        found.forms[split, name] = form
        self.profiles[split][name] = profile

    # ── what follows from counts ───────────────────────────────────────────────────────────────────────────────────

    def _compare(self, pair: Pair, name: str, found: _Found) -> None:
        from passmuster_checks.engine import _spark_apart

        forms = {split: form for (split, column), form in found.forms.items() if column == name}
        if name != self.request.key and pair[0] in forms and pair[1] in forms:
            base, current = (_spark_apart.Side(form=forms[split], counts=found.counts[split, name]) for split in pair)
            self.apart[pair][name] = _spark_apart.apart(base, current)
        else:
            self.compare(pair, name, _spark_apart.narrow(forms, pair))

    def _predict(self, forms: Mapping[str, Form | Wide]) -> None:
        train, label = self.request.train, self.request.label
        if label is not None and label in forms:
            self.attempt(What.PREDICTOR, (train,), label, partial(self._aim, forms[label]))
        tried = {name: form for name, form in forms.items() if name not in (label, self.request.key)}
        cells: dict[str, Any] = {}
        why = "the label of the train rows can't be read, so no feature can be tried against it"
        if self.target is not None and tried:
            try:
                cells = self.target.cells(tried)
            except Exception as exc:  # as in `attempt`, of all these features at once
                why = _reason(exc)
        for name, form in tried.items():
            self.attempt(What.PREDICTOR, (train,), name, partial(self._tell, name, form, cells, why))

    def _aim(self, form: Form | Wide) -> None:
        from passmuster_checks.engine import _spark_predictors

        train, label = self.request.train, str(self.request.label)
        if self.request.task is Task.REGRESSION:
            counts = self.label.counts[train, label]
            self.target = _spark_predictors.of_ranks(self.tables[train], label, form, *counts)
        else:
            self.target = _spark_predictors.of_classes(self.tables[train], label, form)

    def _tell(self, name: str, form: Form | Wide, cells: Mapping[str, Any], why: str) -> None:
        if isinstance(form, Opaque):
            raise NotMeasured(f"values of type {form.type} are not tried as predictors")
        if self.target is None or name not in cells:
            raise NotMeasured(why)
        self.predictors[name] = self.target.predictor(cells[name], ordered=form.kind.ordered)
