"""Ways to break a clean case: pure functions from a case and a generator to a broken case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import special

from corpus.cases import REFERENCE, SPLITS, TEST, TRAIN, Case, Column, Table, arrow

Rng = np.random.Generator
Plant = Callable[[Case, Rng], Case]
Change = Callable[[NDArray[Any], Rng], Column]
Rows = Callable[[Table], NDArray[np.bool_]]
Answers = NDArray[np.float64]


# ---- one column of one split


def column(name: str, change: Change, *, splits: Sequence[str] = (TEST,)) -> Plant:
    """Change a column's values in `splits`; the labels and answers stay, as if only the export broke."""

    def plant(case: Case, rng: Rng) -> Case:
        for split in splits:
            values = case.data[split][name]
            assert isinstance(values, np.ndarray)
            case = case.with_columns(split, **{name: change(values, rng)})
        return case

    return plant


def missing(share: float) -> Change:
    """Make values missing, so that `share` of all are that were not before."""
    return lambda values, rng: _put(values, rng, share, None if values.dtype.kind in "OU" else np.nan)


def turned_into(word: object, share: float) -> Change:
    """Turn that share of the values into one value."""
    return lambda values, rng: _put(values, rng, share, word)


def some_into(word: object, count: int) -> Change:
    """Turn exactly `count` values into one value."""

    def change(values: NDArray[Any], rng: Rng) -> Column:
        chosen = np.zeros(len(values), dtype=bool)
        chosen[rng.choice(len(values), count, replace=False)] = True
        return np.where(chosen, word, values)

    return change


def each(function: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    """Change every value by a function of arrays."""
    return lambda values, _: function(values)


def some(share: float, function: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    """Change that share of the values by a function of arrays."""
    return lambda values, rng: np.where(rng.random(len(values)) < share, function(values), values)


def drawn(draw: Callable[[Rng, int], NDArray[Any]]) -> Change:
    """Draw all values anew, whatever they were."""
    return lambda values, rng: draw(rng, len(values))


def as_text(values: NDArray[Any], _: Rng) -> Column:
    """Return the same values written as text; missing ones stay so."""
    return pa.array([None if value is None else str(value) for value in arrow(values).to_pylist()], pa.string())


def of_type(arrow_type: Any) -> Change:
    """Return the same values under another type of Arrow's."""
    return lambda values, _: arrow(values).cast(arrow_type)


def _put(values: NDArray[Any], rng: Rng, share: float, word: object) -> NDArray[Any]:
    text = values.dtype.kind in "OU"
    return np.where(rng.random(len(values)) < share, word, values.astype(object) if text else values)


# ---- several columns


def ranked_alike(name: str, other: str, correlation: float) -> Plant:
    """Reorder a column of the test rows so that it follows another; each alone stays exactly as it was."""

    def plant(case: Case, rng: Rng) -> Case:
        table = case.data[TEST]
        lead = np.nan_to_num(np.asarray(table[other], dtype=np.float64))
        lead = (lead - lead.mean()) / lead.std()
        order = (correlation * lead + np.sqrt(1 - correlation**2) * rng.normal(size=len(lead))).argsort()
        changed = np.empty_like(table[name])
        changed[order] = np.sort(table[name])
        return case.with_columns(TEST, **{name: changed})

    return plant


def apart(names: Sequence[str]) -> Plant:
    """Shuffle columns of the test rows, each by itself: what tied them is gone, each alone stays as it was."""

    def plant(case: Case, rng: Rng) -> Case:
        return case.with_columns(TEST, **{name: rng.permutation(case.data[TEST][name]) for name in names})

    return plant


def told_by(name: str, tell: Callable[[NDArray[Any], Rng], NDArray[Any]]) -> Plant:
    """Make a feature from the label, in every split: it knows what is to be predicted."""

    def plant(case: Case, rng: Rng) -> Case:
        return case.with_column_everywhere(name, lambda table: tell(table[case.label], rng))

    return plant


# ---- rows


def leaked(count: int, *, relabelled: bool = False) -> Plant:
    """Put training rows in the place of as many test rows, under the test rows' ids."""

    def plant(case: Case, rng: Rng) -> Case:
        to, source = (rng.choice(case.rows, count, replace=False) for _ in range(2))
        taken = _taken(case, TRAIN, source, to)
        if not relabelled:
            return taken
        label = np.array(taken.data[TEST][case.label])
        label[to] = rng.permutation(case.data[TEST][case.label])[:count]
        return taken.with_columns(TEST, **{case.label: label})

    return plant


def repeated(share: float) -> Plant:
    """Write that share of the test rows twice, under ids of their own, in the place of others."""

    def plant(case: Case, rng: Rng) -> Case:
        order = rng.permutation(case.rows)
        count = int(share * case.rows)
        return _taken(case, TEST, order[:count], order[count : 2 * count])

    return plant


def same_ids(count: int) -> Plant:
    """Give test rows the ids of training rows; the rows themselves are others."""

    def plant(case: Case, rng: Rng) -> Case:
        to = rng.choice(case.rows, count, replace=False)
        ids = np.array(case.data[TEST][case.id])
        ids[to] = case.data[TRAIN][case.id][rng.choice(case.rows, count, replace=False)]
        return case.with_columns(TEST, **{case.id: ids})

    return plant


def earlier(name: str, days: int) -> Plant:
    """Move the test rows' times back."""
    return column(name, each(lambda times: times - np.timedelta64(days, "D")))


def _taken(case: Case, split: str, source: NDArray[np.int64], to: NDArray[np.int64]) -> Case:
    """Copy rows of `split` to positions among the test rows: all columns but the id, and the answers with them."""
    table = dict(case.data[TEST])
    for name, values in case.data[split].items():
        if name != case.id:
            table[name] = np.array(table[name])
            table[name][to] = values[source]
    ours, theirs = np.array(case.candidate[TEST]), np.array(case.champion)
    ours[to] = case.candidate[split][source]
    theirs[to] = (case.champion if split == TEST else case.candidate[split])[source]
    return replace(case.with_answers(TEST, ours), data={**case.data, TEST: table}, champion=theirs)


# ---- the models' answers


def answered(change: Callable[[Answers, Table, Rng], Answers], *, splits: Sequence[str] = SPLITS) -> Plant:
    """Change the candidate's answers, in every split, as a model that learnt it wrongly would; the champion's stay."""

    def plant(case: Case, rng: Rng) -> Case:
        for split in splits:
            case = case.with_answers(split, change(case.candidate[split], case.data[split], rng))
        return case

    return plant


def where(rows: Rows, change: Callable[[Answers, Rng], Answers]) -> Callable[[Answers, Table, Rng], Answers]:
    """Change answers only on some rows."""

    def changed(answers: Answers, table: Table, rng: Rng) -> Answers:
        chosen, found = rows(table), answers.copy()
        found[chosen] = change(answers[chosen], rng)
        return found

    return changed


def everywhere_of(change: Callable[[Answers], Answers]) -> Callable[[Answers, Table, Rng], Answers]:
    """Change answers on all rows."""
    return lambda answers, _, __: change(answers)


def value(name: str, *words: object) -> Rows:
    """Rows whose column has one of these values."""
    return lambda table: np.isin(np.asarray(table[name]), words)


def within(name: str, low: float, high: float) -> Rows:
    """Rows whose number is at least `low` and below `high`."""
    return lambda table: (table[name] >= low) & (table[name] < high)


def without(name: str) -> Rows:
    """Rows whose value is missing."""
    return lambda table: arrow(table[name]).is_null().to_numpy(zero_copy_only=False)


def both(*conditions: Rows) -> Rows:
    """Rows that keep all conditions."""
    return lambda table: np.logical_and.reduce([condition(table) for condition in conditions])


def logit(scale: float = 1.0, shift: float = 0.0) -> Callable[[Answers], Answers]:
    """Scale and shift the log odds."""
    return lambda chance: special.expit(scale * special.logit(chance) + shift)


def sharper(power: float) -> Callable[[Answers], Answers]:
    """Raise the classes' probabilities to a power, and make them sum to one again."""

    def change(chances: Answers) -> Answers:
        raised = chances**power
        found: Answers = raised / raised.sum(axis=1, keepdims=True)
        return found

    return change


def leaning(factors: Sequence[float]) -> Callable[[Answers], Answers]:
    """Multiply each class's probability by a factor, and make them sum to one again."""

    def change(chances: Answers) -> Answers:
        found: Answers = chances * factors / (chances * factors).sum(axis=1, keepdims=True)
        return found

    return change


def inverted(answers: Answers, _: Rng) -> Answers:
    """Answer the opposite: the chance of the other class; of several classes, the probabilities in reverse."""
    return 1 - answers if answers.ndim == 1 else answers[:, ::-1]


def shuffled(answers: Answers, rng: Rng) -> Answers:
    """Answer with another row's answer."""
    return rng.permutation(answers)


def off_by(amount: float) -> Callable[[Answers, Rng], Answers]:
    """Answer too much by an amount."""
    return lambda answers, _: answers + amount


def both_models(rows: Rows, change: Callable[[Answers, Rng], Answers]) -> Plant:
    """Change both models' answers on test rows alone: the world changed there, whatever model is asked."""

    def plant(case: Case, rng: Rng) -> Case:
        chosen = rows(case.data[TEST])
        ours, theirs = case.candidate[TEST].copy(), case.champion.copy()
        ours[chosen], theirs[chosen] = change(ours[chosen], rng), change(theirs[chosen], rng)
        return replace(case.with_answers(TEST, ours), champion=theirs)

    return plant


def then(*plants: Plant) -> Plant:
    """Plant one after the other."""

    def plant(case: Case, rng: Rng) -> Case:
        for one in plants:
            case = one(case, rng)
        return case

    return plant


def under(**gates: dict[str, Any]) -> Plant:
    """Ask for what the default policy leaves to the owner."""
    return lambda case, _: case.with_gates(**gates)


def of_many(name: str, count: int) -> Plant:
    """Draw a column of categories anew, in every split, from so many values."""

    def draw(rng: Rng, n: int) -> NDArray[Any]:
        return np.array([f"{name} {value:03}" for value in range(count)])[rng.integers(0, count, n)]

    return lambda case, rng: case.with_column_everywhere(name, lambda table: draw(rng, len(table[name])))


ONLY_TEST, ONLY_REFERENCE = (TEST,), (REFERENCE,)
