"""Intervals of calibration, of groups and of decisions hold the truth at least as often as they say.

Seeds are fixed and were never chosen again. The calibration error is biased near zero, so it is tried there above all.
Its intervals bound the noise whatever the truth is: at least 94 % of them must hold it, and where the truth is zero
not many more do. They are made as the gate makes them, but for fewer draws (`DRAWS`), which is what takes the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from passmuster_checks.statistics import Scored, calibration
from passmuster_checks.statistics.calibration import Reliability, compare_error, estimate_error, reliability
from passmuster_checks.statistics.decisions import Prices, compare_decision, estimate_decision
from passmuster_checks.statistics.rates import Rates, largest_difference, smallest_ratio

#: Rows that the truth is taken from.
MANY = 1_000_000

Curve = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "DRAWS", 5_000)


def _found(probability: Any, label: Any) -> Reliability:
    return reliability(
        Scored.classification(
            label=label,
            prediction=label,
            classes=(0, 1),
            positive=1,
            probabilities=np.column_stack([1 - probability, probability]),
        )
    )


def _population_error(probability: Any, chance: Any) -> float:
    """Return the error in the same bins where the chances themselves are known."""
    edges = np.quantile(probability, np.linspace(0, 1, 11)[1:-1])
    bins = np.searchsorted(edges, probability)
    return float(np.abs(np.bincount(bins, weights=probability - chance)).sum() / len(chance))


# ── the error of one model ─────────────────────────────────────────────────────────────────────────────────────────


def _usual(random: np.random.Generator, n: int) -> Any:
    return random.beta(2, 3, n)


def _rare(random: np.random.Generator, n: int) -> Any:
    return random.beta(0.5, 20, n)


def _tied(random: np.random.Generator, n: int) -> Any:
    return random.choice([0.1, 0.2, 0.25, 0.5, 0.9], n, p=[0.5, 0.2, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("n", [200, 2_000])
@pytest.mark.parametrize(
    ("draw", "chance"),
    [
        pytest.param(_usual, lambda p: p, id="calibrated"),
        pytest.param(_usual, lambda p: special.expit(0.85 * special.logit(p)), id="nearly"),
        pytest.param(_usual, lambda p: special.expit(0.4 * special.logit(p) - 0.3), id="overconfident"),
        pytest.param(_usual, lambda p: np.where(p > 0.62, p - 0.25, p), id="wrong-in-one-bin"),
        pytest.param(_tied, lambda p: p, id="calibrated-ties"),
        pytest.param(_rare, lambda p: np.minimum(3 * p, 1), id="rare"),
    ],
)
def test_intervals_of_the_calibration_error_hold_the_truth(draw: Any, chance: Curve, n: int) -> None:
    """300 draws each, whose noise is 1.3 %."""
    random = np.random.default_rng(20270)
    many = draw(random, MANY)
    truth = _population_error(many, chance(many))
    held = 0
    for _ in range(300):
        probability = draw(random, n)
        interval = estimate_error(_found(probability, random.random(n) < chance(probability))).interval
        held += interval.low <= truth + 1e-12 and truth <= interval.high
    print(truth, held / 300)

    assert held / 300 >= 0.94


# ── pairs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pair(random: np.random.Generator, n: int, ours: Curve, theirs: Curve, noise: float) -> tuple[Any, Any, Any]:
    score = random.normal(-0.4, 1, n)
    return *(special.expit(curve(score) + noise * random.normal(size=n)) for curve in (ours, theirs)), special.expit(
        score
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "noise"),
    [
        pytest.param(lambda s: s, lambda s: s, 0.01, id="nearly-one"),
        pytest.param(lambda s: s, lambda s: s, 0.2, id="both-right"),
        pytest.param(lambda s: 2 * s, lambda s: 2 * s, 0.2, id="both-wrong"),
        pytest.param(lambda s: 1.11 * s, lambda s: 0.9 * s, 0.05, id="wrong-in-two-ways"),
        pytest.param(lambda s: 1.8 * s, lambda s: s, 0.0, id="worse"),
    ],
)
def test_intervals_of_the_difference_hold_the_truth(ours: Curve, theirs: Curve, noise: float) -> None:
    """200 draws each at 500 rows; a bound, so more often than it must."""
    random = np.random.default_rng(20271)
    one, other, chance = _pair(random, MANY, ours, theirs, noise)
    truth = _population_error(other, chance) - _population_error(one, chance)
    held = 0
    for _ in range(200):
        one, other, chance = _pair(random, 500, ours, theirs, noise)
        label = random.random(500) < chance
        interval = compare_error(_found(one, label), _found(other, label)).interval
        held += interval.low <= truth <= interval.high
    print(truth, held / 200)

    assert held / 200 >= 0.94


def test_a_worse_calibration_is_found() -> None:
    """At 3,000 rows, in 95 of 100 draws: probabilities pushed outwards, an error of 0.09 against none."""
    random = np.random.default_rng(20272)
    found = 0
    for _ in range(100):
        one, other, chance = _pair(random, 3_000, lambda s: 1.8 * s, lambda s: s, 0.0)
        label = random.random(3_000) < chance
        found += compare_error(_found(one, label), _found(other, label)).interval.high < 0

    assert found >= 95


# ── groups ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("level", [0.95, 0.999, 0.99999])
@pytest.mark.parametrize(
    ("one", "other"),
    [((60, 0.3), (60, 0.3)), ((50, 0.02), (200, 0.02)), ((50, 0.16), (120, 0.2)), ((60, 0.9), (60, 1))],
)
def test_false_alarms_of_two_groups_are_within_the_level(
    one: tuple[int, float], other: tuple[int, float], level: float
) -> None:
    """Not simulated but summed over all counts, so that it shows at any level: each side keeps its half."""
    counts = [
        [(k, float(stats.binom.pmf(k, n, p))) for k in range(n + 1) if stats.binom.pmf(k, n, p) > 1e-9]
        for n, p in (one, other)
    ]
    trials, shares = np.array([one[0], other[0]], dtype=float), (one[1], other[1])
    difference, ratio = abs(shares[0] - shares[1]), min(shares) / max(shares)
    missed: Counter[str] = Counter()
    for (a, weight), (b, other_weight) in ((x, y) for x in counts[0] for y in counts[1]):
        chance = weight * other_weight
        rates = [Rates(np.array([a, b], dtype=float), trials)]
        missed["difference"] += chance * (largest_difference(rates, level).interval.low > difference + 1e-12)  # type: ignore[assignment]
        if a + b:
            missed["ratio"] += chance * (smallest_ratio(rates, level).interval.high < ratio - 1e-12)  # type: ignore[assignment]
    print(level, dict(missed))

    assert all(missed[name] <= (1 - level) / 2 + 1e-9 for name in ("difference", "ratio"))


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param([[0.2] * 8], id="equal"),
        pytest.param([[0.2] * 7 + [0.4]], id="one-apart"),
        pytest.param([[0.7, 0.5, 0.6, 0.6], [0.1, 0.2, 0.1, 0.15]], id="two-rates"),
    ],
)
def test_intervals_over_many_groups_hold_the_truth(shares: list[list[float]]) -> None:
    """1,000 draws, whose noise is 0.7 %; the extremes are chosen among all pairs after looking."""
    random = np.random.default_rng(20273)
    difference = max(max(each) - min(each) for each in shares)
    ratio = min(min(each) / max(each) for each in shares)
    held: Counter[str] = Counter()
    for _ in range(1_000):
        families = [Rates(random.binomial(150, each).astype(float), np.full(len(each), 150.0)) for each in shares]
        interval = largest_difference(families).interval
        held["difference"] += interval.low <= difference + 1e-12 and difference - 1e-12 <= interval.high
        interval = smallest_ratio(families).interval
        held["ratio"] += interval.low <= ratio + 1e-12 and ratio - 1e-12 <= interval.high
    print(held)

    assert all(count >= 940 for count in held.values()) and len(held) == 2


# ── decisions ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("positive", "n", "dear"), [(0.4, 500, 5.0), (0.05, 500, 100.0), (0.03, 400, 100.0), (0.3, 2_000, 1.0)]
)
def test_intervals_of_decisions_hold_the_truth(positive: float, n: int, dear: float) -> None:
    """1,000 draws, whose noise is 0.7 %: dear and rare mistakes, alone and in pairs of models that mostly agree."""
    prices = Prices(false_positive=1.0, false_negative=dear)
    wrong_of = np.array([[0.15, 0.1], [0.12, 0.12]])  # candidate, champion: of negatives, of positives
    truths = {
        "selection_rate": positive * (1 - wrong_of[:, 1]) + (1 - positive) * wrong_of[:, 0],
        "false_positive_rate": wrong_of[:, 0],
        "cost": (1 - positive) * wrong_of[:, 0] + dear * positive * wrong_of[:, 1],
    }
    random = np.random.default_rng(20274)
    held: Counter[str] = Counter()
    for _ in range(1_000):
        label = (random.random(n) < positive).astype(int)
        luck = special.ndtr(np.sqrt(0.8) * random.normal(size=n) + np.sqrt(0.2) * random.normal(size=(2, n)))
        candidate, champion = (_decided(label, mine < rates[label]) for mine, rates in zip(luck, wrong_of, strict=True))
        for name, (ours, theirs) in truths.items():
            single = estimate_decision(name, candidate, prices).interval
            paired = compare_decision(name, candidate, champion, prices).interval
            held[name] += single.low <= ours <= single.high
            held[f"{name}, paired"] += paired.low <= theirs - ours <= paired.high
    print(held)

    assert len(held) == 6
    assert all(count >= 935 for count in held.values()), held


def _decided(label: Any, wrong: Any) -> Scored:
    return Scored.classification(label=label, prediction=np.where(wrong, 1 - label, label), classes=(0, 1), positive=1)
