"""Slices of the rows of one comparison: which have rows enough, which columns tell most, and their pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from passmuster_checks import _data
from passmuster_checks._cut import Codes, Cut, renumbered
from passmuster_checks.statistics import Scored
from passmuster_checks.statistics.groups import Answers, Differences, Pairs, classes_needed, unpaired
from passmuster_checks.statistics.ranking import OF_EACH_CLASS


@dataclass(frozen=True, kw_only=True, eq=False)
class Champions:
    """The champion, on the same rows of the test split."""

    title: ClassVar[str] = "the champion"
    prefix: ClassVar[str] = ""  #: of the names of slices
    metric: str
    limit: float  #: the loss that the policy allows
    min_rows: int
    scored: Scored  #: the candidate's answers on the rows that are compared
    rows: NDArray[np.int64]  #: their positions in the test split
    left_out: int | None  #: how many the champion was trained on; None where that is not known
    pairs: Pairs

    def codes(self, cut: Cut) -> Mapping[str, Codes]:
        """Return the slices of the rows that the champion was not trained on."""
        codes = cut.codes[_data.TEST]
        return {_data.TEST: codes if len(self.rows) == len(codes) else codes[self.rows]}

    def enough(self, codes: Mapping[str, Codes], k: int) -> NDArray[np.bool_]:
        """Return which slices have `min_rows`, and of each class that the metric is of, `OF_EACH_CLASS`."""
        return _enough(codes[_data.TEST], k, self.scored, self.metric, self.min_rows)

    def compare(self, codes: Mapping[str, Codes], k: int, level: float) -> Differences:
        """Return the paired differences."""
        return self.pairs.compare(codes[_data.TEST], k, level)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """The candidate itself, on the same slice of the reference split."""

    title: ClassVar[str] = "the reference"
    prefix: ClassVar[str] = "reference::"
    metric: str
    limit: float
    min_rows: int
    scored: Mapping[str, Scored]  #: by split
    answers: Mapping[str, Answers]

    def codes(self, cut: Cut) -> Mapping[str, Codes]:
        """Return the slices of all rows of both splits."""
        return {split: cut.codes[split] for split in self.scored}

    def enough(self, codes: Mapping[str, Codes], k: int) -> NDArray[np.bool_]:
        """Return which slices have the rows in both splits."""
        each = [_enough(codes[split], k, scored, self.metric, self.min_rows) for split, scored in self.scored.items()]
        return np.asarray(np.logical_and.reduce(each))

    def compare(self, codes: Mapping[str, Codes], k: int, level: float) -> Differences:
        """Return the differences of test and reference."""
        here, there = (answers.estimate(codes[split], k, level) for split, answers in self.answers.items())
        return unpaired(self.metric, here, there)


#: What the candidate is compared with.
Against = Champions | Reference


def _enough(codes: Codes, k: int, scored: Scored, metric: str, min_rows: int) -> NDArray[np.bool_]:
    needed = classes_needed(metric, scored)
    if not needed:
        return np.bincount(codes, minlength=k + 1)[:k] >= min_rows
    classes = len(scored.classes)
    cells = np.multiply(codes, classes, dtype=np.int64)
    cells += scored.label
    counts = np.bincount(cells, minlength=(k + 1) * classes).reshape(-1, classes)[:k]
    found: NDArray[np.bool_] = (counts.sum(axis=1) >= min_rows) & (counts[:, needed] >= OF_EACH_CLASS).all(axis=1)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Sliced:
    """k slices, of a column or of two, that have rows enough to be compared."""

    columns: tuple[str, ...]
    codes: Mapping[str, Codes]  #: split → the slice of each row, counted from 0; k where it is in none
    ids: NDArray[np.int64]  #: shape (k,): their numbers in `of`; of pairs in its product
    of: Cut | tuple[Sliced, Sliced]
    small: int  #: slices with fewer rows

    @property
    def k(self) -> int:
        """The number of slices."""
        return len(self.ids)

    def name(self, slice_: int) -> str:
        """Return what a slice is called."""
        if isinstance(self.of, Cut):
            return self.of.names[int(self.ids[slice_])]
        one, other = self._parents(slice_, self.of)
        return f"{self.of[0].name(one)} & {self.of[1].name(other)}"

    def condition(self, slice_: int) -> str:
        """Return a slice's condition in SQL."""
        if isinstance(self.of, Cut):
            return self.of.conditions[int(self.ids[slice_])]
        one, other = self._parents(slice_, self.of)
        return f"{self.of[0].condition(one)} AND {self.of[1].condition(other)}"

    def _parents(self, slice_: int, of: tuple[Sliced, Sliced]) -> tuple[int, int]:
        one, other = divmod(int(self.ids[slice_]), of[1].k + 1)
        return one, other


def single(against: Against, column: str, cut: Cut) -> Sliced:
    """Return the slices of one column that can be compared."""
    codes, k = against.codes(cut), len(cut.names)
    kept = np.flatnonzero(against.enough(codes, k))
    return Sliced(
        columns=(column,),
        codes={split: renumbered(each, kept, k + 1) for split, each in codes.items()},
        ids=kept,
        of=cut,
        small=cut.small + k - len(kept),
    )


def crossed(against: Against, one: Sliced, other: Sliced) -> Sliced:
    """Return the slices of two columns' values together that can be compared."""
    width = other.k + 1
    products = {
        split: np.where(
            (each < one.k) & (other.codes[split] < other.k), each.astype(np.int64) * width + other.codes[split], -1
        )
        for split, each in one.codes.items()
    }
    ids = np.unique(np.concatenate([np.unique(each) for each in products.values()]))
    ids = ids[ids >= 0]
    codes = {split: np.where(each < 0, len(ids), np.searchsorted(ids, each)) for split, each in products.items()}
    kept = np.flatnonzero(against.enough(codes, len(ids)))
    return Sliced(
        columns=one.columns + other.columns,
        codes={split: renumbered(each, kept, len(ids) + 1) for split, each in codes.items()},
        ids=ids[kept],
        of=(one, other),
        small=len(ids) - len(kept),
    )


def most_pairs(parts: Iterable[Sliced], rows: int, min_rows: int) -> int:
    """Return how many slices the pairs of all columns can have at most.

    Which pairs are looked at is chosen after looking at the rows, so all that could be chosen count for the level.
    """
    sizes = [part.k for part in parts if part.k > 1]
    return sum(min(one * other, rows // min_rows) for one, other in combinations(sizes, 2))


def most_telling(parts: Sequence[tuple[Sliced, Differences]], count: int) -> list[Sliced]:
    """Return the columns whose slices' differences vary most beyond chance, by Cochran's Q (1954), standardised."""
    scores = [(_heterogeneity(found), -place) for place, (part, found) in enumerate(parts) if part.k > 1]
    return [parts[-place][0] for score, place in sorted(scores, reverse=True)[:count] if np.isfinite(score)]


def _heterogeneity(found: Differences) -> float:
    known = np.nan_to_num(found.error) > 0
    k = int(np.count_nonzero(known))
    if k < 2:
        return -np.inf
    weights, difference = found.error[known] ** -2, found.difference[known]
    mean = (weights * difference).sum() / weights.sum()
    return float(((weights * (difference - mean) ** 2).sum() - (k - 1)) / np.sqrt(2 * (k - 1)))
