"""Three shapes of data, with labels and two models' answers simulated by a known function: no training is needed.

Candidate and champion are equally good and equally well calibrated: both see the true score through noise of their
own. So whatever a gate says against a clean case is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from corpus.cases import REFERENCE, SPLITS, TEST, TRAIN, Case, Table

#: What each model's score is off the true one, in units of the score (logits; sales).
NOISE = 0.2

Truth = NDArray[np.float64]
Maker = Callable[..., Case]


def pick(rng: np.random.Generator, n: int, shares: Mapping[str, float]) -> NDArray[Any]:
    """Return categories drawn by their shares."""
    words, weights = np.array(list(shares)), np.array(list(shares.values()))
    return words[np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(n), side="right")]


def with_missing(rng: np.random.Generator, values: NDArray[Any], share: float) -> NDArray[Any]:
    """Return the values with that share of them missing."""
    missing = rng.random(len(values)) < share
    if values.dtype.kind in "OU":
        return np.where(missing, None, values.astype(object))
    return np.where(missing, np.nan, values)


def effects(values: NDArray[Any], of: Mapping[str, float]) -> Truth:
    """Return each category's part of the score."""
    words, codes = np.unique(values, return_inverse=True)
    found: Truth = np.array([of.get(str(word), 0.0) for word in words])[codes]
    return found


HOMES = {"own": 0.45, "rent": 0.35, "parents": 0.15, "other": 0.05}
JOBS = {"fixed": 0.53, "partime": 0.2, "freelance": 0.15, "temporary": 0.12}
PURPOSES = {"car": 0.3, "house": 0.25, "phone": 0.18, "school": 0.14, "travel": 0.1, "boat": 0.03}
REGIONS = {f"region {k}": 1.0 for k in range(6)}


def credit(rows: int, seed: int) -> Case:
    """Loans: skewed amounts, whole numbers, categories with rare ones, missing values; is a loan not paid back?"""
    rng = np.random.default_rng([1, rows, seed])
    made = {split: _loans(rng, rows, number) for number, split in enumerate(SPLITS)}
    truth = {split: score for split, (_, score) in made.items()}
    return Case(
        task="binary",
        label="status",
        id="loan",
        classes=("good", "bad"),
        columns={
            "loan": {"type": "integer"},
            "age": {"type": "integer"},
            "income": {"type": "number", "nullable": True},
            "amount": {"type": "number"},
            "debt": {"type": "number", "min": 0, "max": 1},
            "months": {"type": "integer"},
            "late": {"type": "integer"},
            "savings": {"type": "number", "nullable": True},
            "home": {"type": "string"},
            "job": {"type": "string", "nullable": True},
            "purpose": {"type": "string"},
            "region": {"type": "string"},
            "gender": {"type": "string"},
            "phone": {"type": "boolean"},
            "status": {"type": "string", "categories": ["good", "bad"]},
        },
        facts={
            "categorical": ["home", "job", "purpose", "region", "gender"],
            "protected": ["gender"],
        },
        gates={
            "performance": {"limits": {"roc_auc_score": {"min": 0.6}}},
            "champion": {"rules": {"roc_auc_score": {"margin": 0.1}}},
        },
        data={split: table for split, (table, _) in made.items()},
        candidate={split: special.expit(_seen(rng, score)) for split, score in truth.items()},
        champion=special.expit(_seen(rng, truth[TEST])),
    )


def _loans(rng: np.random.Generator, n: int, number: int) -> tuple[Table, Truth]:
    age = np.rint(np.clip(rng.normal(42, 13, n), 18, 80)).astype(np.int64)
    income, debt = rng.normal(size=n), rng.beta(2, 5, n)
    late, home, job = rng.poisson(0.4, n), pick(rng, n, HOMES), pick(rng, n, JOBS)
    purpose = pick(rng, n, PURPOSES)
    score = -1.5 - 0.8 * income + 4.5 * (debt - 2 / 7) + 0.7 * late - 0.02 * (age - 42)
    score = score + effects(home, {"rent": 0.4, "parents": 0.2}) + effects(job, {"partime": 0.6, "temporary": 0.8})
    bad = rng.random(n) < special.expit(score)
    table: Table = {
        "loan": np.arange(n) + number * 1_000_000,
        "age": age,
        "income": with_missing(rng, np.round(1500 * np.exp(0.5 * income), 2), 0.02),
        "amount": np.round(np.exp(rng.normal(8.2, 0.8, n)), 2),
        "debt": debt,
        "months": np.floor(rng.exponential(60, n)).astype(np.int64),
        "late": late.astype(np.int64),
        "savings": with_missing(rng, np.round(rng.gamma(0.7, 4000, n)), 0.05),
        "home": home,
        "job": with_missing(rng, job, 0.03),
        "purpose": purpose,
        "region": pick(rng, n, REGIONS),
        "gender": pick(rng, n, {"f": 0.45, "m": 0.55}),
        "phone": rng.random(n) < 0.4,
        "status": np.where(bad, "bad", "good"),
    }
    return table, score


STORES = {f"store {k:02}": 1.0 for k in range(12)}
DAYS = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), 1.0)


def sales(rows: int, seed: int) -> Case:
    """Sales by day and store: a time column, heavy tails, many zeros; how many are sold?"""
    rng = np.random.default_rng([2, rows, seed])
    starts = {TRAIN: "2025-01-01", REFERENCE: "2025-09-01", TEST: "2026-02-01"}
    made = {split: _days(rng, rows, number, starts[split]) for number, split in enumerate(SPLITS)}
    truth = {split: score for split, (_, score) in made.items()}
    return Case(
        task="regression",
        label="sold",
        id="entry",
        classes=(),
        columns={
            "entry": {"type": "string"},
            "day": {"type": "datetime"},
            "store": {"type": "string"},
            "weekday": {"type": "string"},
            "price": {"type": "number"},
            "visits": {"type": "integer"},
            "returned": {"type": "number"},
            "margin": {"type": "number"},
            "stock": {"type": "integer"},
            "degrees": {"type": "number", "nullable": True},
            "distance": {"type": "number", "nullable": True},
            "promoted": {"type": "boolean"},
            "sold": {"type": "number"},
        },
        facts={"categorical": ["store", "weekday"], "time": "day"},
        gates={
            "performance": {"limits": {"mean_absolute_error": {"max": 10.0}}},
            "champion": {"rules": {"mean_absolute_error": {"margin": 1.0}}},
        },
        data={split: table for split, (table, _) in made.items()},
        candidate={split: _seen(rng, score) for split, score in truth.items()},
        champion=_seen(rng, truth[TEST]),
    )


def _days(rng: np.random.Generator, n: int, number: int, start: str) -> tuple[Table, Truth]:
    seconds = np.sort(rng.integers(0, 120 * 86_400, n))
    store, weekday, promoted = pick(rng, n, STORES), pick(rng, n, DAYS), rng.random(n) < 0.25
    visits = np.where(rng.random(n) < 0.45, 0, rng.negative_binomial(2, 0.02, n))
    price = np.round(5 * np.exp(0.6 * rng.standard_t(4, n)).clip(0.05, 2000), 2)
    weekend = np.isin(weekday, ("sat", "sun"))
    score = 1 + 2 * np.log1p(visits) + 3 * promoted + 2 * weekend - np.log(price)
    score = score + effects(store, {f"store {k:02}": 0.3 * (k - 6) for k in range(12)})
    table: Table = {
        "entry": np.char.add(f"e{number}-", np.arange(n).astype(str)),
        "day": np.datetime64(start, "us") + seconds.astype("timedelta64[s]"),
        "store": store,
        "weekday": weekday,
        "price": price,
        "visits": visits.astype(np.int64),
        "returned": np.where(rng.random(n) < 0.85, 0.0, np.round(rng.exponential(20, n), 1)),
        "margin": np.round(rng.standard_t(2.5, n), 3),
        "stock": rng.integers(0, 500, n),
        "degrees": with_missing(rng, np.round(rng.normal(12, 8, n), 1), 0.03),
        "distance": with_missing(rng, np.round(rng.exponential(12, n), 1), 0.06),
        "promoted": promoted,
        "sold": np.maximum(0.0, np.round(score + 1.5 * rng.standard_t(4, n), 1)),
    }
    return table, np.maximum(0.0, score)


STATES = ("fine", "worn", "leaking", "broken")
#: Distinct values of the categories of the wide shape, and of the narrow one that the clean resamples use.
WIDE: Sequence[int] = (3, 5, 8, 12, 20, 500)
NARROW: Sequence[int] = (5, 500)


def machines(rows: int, seed: int, *, sensors: int = 40, kinds: Sequence[int] = WIDE) -> Case:
    """Machines: a wide table, a category of 500 values, booleans, times; what state is a machine in?

    Args:
        rows: of each split.
        seed: of all that is drawn.
        sensors: columns of numbers, at least 4; the default makes 60 columns in all.
        kinds: distinct values of each column of categories.
    """
    rng = np.random.default_rng([3, rows, seed, sensors])
    others = max(1, sensors // 8)
    made = {split: _machines(rng, rows, number, sensors, kinds, others) for number, split in enumerate(SPLITS)}
    truth = {split: score for split, (_, score) in made.items()}
    types = {"s": "number", "k": "string", "f": "boolean", "t": "datetime", "c": "integer"}
    features = [name for name in made[TRAIN][0] if name not in ("machine", "state")]
    return Case(
        task="multiclass",
        label="state",
        id="machine",
        classes=STATES,
        columns={
            "machine": {"type": "integer"},
            **{name: {"type": types[name[0]]} for name in features},
            "state": {"type": "string", "categories": list(STATES)},
        },
        facts={"categorical": [f"k{number}" for number in kinds]},
        gates={
            "performance": {"limits": {"accuracy_score": {"min": 0.4}}},
            "champion": {"rules": {"accuracy_score": {"margin": 0.1}}},
        },
        data={split: table for split, (table, _) in made.items()},
        candidate={split: _chances(rng, score) for split, score in truth.items()},
        champion=_chances(rng, truth[TEST]),
    )


def _machines(
    rng: np.random.Generator, n: int, number: int, sensors: int, kinds: Sequence[int], others: int
) -> tuple[Table, Truth]:
    shared = rng.normal(size=n)
    values = {f"s{k}": 0.6 * shared + 0.8 * rng.normal(size=n) for k in range(sensors)}
    codes = {f"k{many}": rng.integers(0, many, n) for many in kinds}
    counts = {f"c{k}": rng.poisson(3 + k, n).astype(np.int64) for k in range(others)}
    flags = {f"f{k}": rng.random(n) < 0.3 for k in range(others)}
    times = {f"t{k}": _instants(rng, n) for k in range(max(1, others - 2))}
    score = np.column_stack(
        [
            1.5 + 0 * shared,
            1.2 * values["s0"] - 0.8 * values["s1"],
            1.2 * values["s2"] + 0.5 * (codes["k5"] == 0) - 0.3,
            1.2 * values["s3"] - 0.7 + 0.8 * flags["f0"],
        ]
    )
    state = (score + rng.gumbel(size=score.shape)).argmax(axis=1)  # a draw from the softmax of the score
    table: Table = {
        "machine": np.arange(n) + number * 10_000_000,
        **values,
        **{name: _code(name, drawn) for name, drawn in codes.items()},
        **counts,
        **flags,
        **times,
        "state": np.array(STATES)[state],
    }
    return table, score


def _code(name: str, drawn: NDArray[np.int64]) -> NDArray[Any]:
    return np.array([f"{name}-{value:03}" for value in range(int(name[1:]))])[drawn]


def _instants(rng: np.random.Generator, n: int) -> NDArray[Any]:
    return np.datetime64("2022-01-01", "us") + rng.integers(0, 3 * 365 * 86_400, n).astype("timedelta64[s]")


def _seen(rng: np.random.Generator, score: Truth) -> Truth:
    return score + NOISE * rng.normal(size=score.shape)


def _chances(rng: np.random.Generator, score: Truth) -> Truth:
    found: Truth = special.softmax(_seen(rng, score), axis=1)
    return found


SHAPES: Mapping[str, Maker] = {"credit": credit, "sales": sales, "machines": machines}
