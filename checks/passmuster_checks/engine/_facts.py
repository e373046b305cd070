"""What is asked of the engine and what it answers: the same whether one machine or many did the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.gates import Champion, Inputs
from passmuster_checks._text import shown
from passmuster_checks.engine.profile import ColumnProfile, Kind

if TYPE_CHECKING:
    from passmuster_checks.statistics.distance import Distances

#: How the rows that the champion was made from are named, of which only a profile is left.
CHAMPION = "champion"

#: Two splits to compare: the base, and what is compared with it.
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure; equal requests are answered once in a process."""

    splits: tuple[tuple[str, Path], ...]  #: name → a Parquet or CSV file, or a folder of such files
    stored: tuple[tuple[str, Path], ...] = ()  #: name → a file by `Profile.write`; may be the base of a pair
    pairs: tuple[Pair, ...] = ()  #: splits to compare, the base first
    kinds: tuple[tuple[str, Kind], ...] = ()  #: columns that the config calls categories, whatever their type
    key: str | None = None  #: the column that names a row
    label: str | None = None
    time: str | None = None
    task: Task | None = None
    train: str = "train"  #: the split on which features are tried as predictors of the label

    @classmethod
    def of(cls, inputs: Inputs) -> Request:
        """Return the request that all gates share: every split; test against train, reference, and champion's time."""
        data, splits = inputs.config.data, tuple(inputs.data.items())
        champion = inputs.champion.profile if isinstance(inputs.champion, Champion) else None
        stored = ((CHAMPION, champion),) if champion else ()
        bases = (*(base for base in ("train", "reference") if base in inputs.data), *dict(stored))
        categories = dict.fromkeys(data.categorical)
        if inputs.config.task is not Task.REGRESSION:
            categories[data.label] = None
        return cls(
            splits=splits,
            stored=stored,
            pairs=tuple((base, "test") for base in bases if "test" in inputs.data),
            kinds=tuple((name, Kind.CATEGORY) for name in categories),
            key=data.id,
            label=data.label,
            time=data.time,
            task=inputs.config.task,
        )


class What(StrEnum):
    """What can fail to be measured."""

    FILE = "file"
    PROFILE = "profile"
    DISTANCES = "distances"
    ROWS = "rows"
    SHARED = "shared rows"
    PREDICTOR = "predictor"


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Something that could not be measured, and why."""

    what: What
    splits: tuple[str, ...]
    column: str | None = None  #: None: of the whole split, or pair
    reason: str


@dataclass(frozen=True, kw_only=True)
class RowFacts:
    """The rows of a split, by 64-bit hashes of their values; the id is in none of them."""

    rows: int
    distinct: int  #: different rows; `rows - distinct` are repetitions
    twins: int  #: rows that have at least one equal
    distinct_features: int  #: the same without label and time
    twins_features: int  #: the rate that a fresh sample may share with this split by chance
    ids: int | None = None  #: different ids, the missing ones not counted; None: there is no id column


@dataclass(frozen=True, kw_only=True)
class SharedRows:
    """How many rows of the second split are in the first."""

    rows: int  #: of the second split
    whole: int  #: equal in every column but the id
    features: int  #: equal in every column but id, label and time
    ids: int | None = None  #: rows whose id is in the first; None: there is no id column
    columns: int  #: columns by which rows were compared: those that all splits have
    left_out: tuple[str, ...] = ()  #: the others, id apart


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """How well one feature alone tells the label, on rows of the train split."""

    score: float  #: classes: the best AUC of one class against the rest, 0.5 to 1; regression: R² of the label's ranks
    metric: str  #: "roc_auc_score" or "r2_score"
    n: int  #: rows that it was measured on
    of: str | None = None  #: the class that it tells best; None: regression


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What was found. What is in none of the mappings is in `failures`."""

    request: Request
    columns: Mapping[str, tuple[str, ...]]  #: split → names as in its files, in their order
    profiles: Mapping[str, Mapping[str, ColumnProfile]]  #: split → column
    distances: Mapping[Pair, Mapping[str, Distances]] = field(default_factory=dict)  #: pair → column
    #: pair → column → the category that its `share_ratio` is of
    categories: Mapping[Pair, Mapping[str, str]] = field(default_factory=dict)
    rows: Mapping[str, RowFacts] = field(default_factory=dict)  #: by split
    shared: Mapping[Pair, SharedRows] = field(default_factory=dict)
    predictors: Mapping[str, Predictor] = field(default_factory=dict)  #: by feature
    failures: tuple[Failed, ...] = ()

    def profile(self, split: str, column: str) -> ColumnProfile:
        """Return the profile of a column.

        Raises:
            NotMeasured: there is none; the message says why. So do the methods below.
        """
        found = self.profiles.get(split, {}).get(column)
        return found if found is not None else self._raise(What.PROFILE, (split,), column)

    def distance(self, pair: Pair, column: str) -> Distances:
        """Return how far apart a column's two distributions are."""
        found = self.distances.get(pair, {}).get(column)
        return found if found is not None else self._raise(What.DISTANCES, pair, column)

    def row_facts(self, split: str) -> RowFacts:
        """Return how many rows repeat."""
        found = self.rows.get(split)
        return found if found is not None else self._raise(What.ROWS, (split,), None)

    def shared_rows(self, pair: Pair) -> SharedRows:
        """Return how many rows two splits share."""
        found = self.shared.get(pair)
        return found if found is not None else self._raise(What.SHARED, pair, None)

    def predictor(self, column: str) -> Predictor:
        """Return how well a feature alone tells the label."""
        found = self.predictors.get(column)
        return found if found is not None else self._raise(What.PREDICTOR, (self.request.train,), column)

    def _raise(self, what: What, splits: tuple[str, ...], column: str | None) -> NoReturn:
        where = " and ".join(splits) + ("" if column is None else f", column {shown(column)}")
        for failed in self.failures:
            if failed.what == what and failed.splits == splits and failed.column == column:
                raise NotMeasured(f"{where}: {failed.reason}")
        for failed in self.failures:  # what nothing else could be measured without
            if (
                failed.what in (What.FILE, What.PROFILE)
                and failed.splits[0] in splits
                and failed.column in (None, column)
            ):
                raise NotMeasured(f"{where}: {failed.reason}")
        raise NotMeasured(f"{where}: there is no such {'split or pair' if column is None else 'column'}")
