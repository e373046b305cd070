"""The statistics tell the truth: 10,000 simulated comparisons each, unless said otherwise, with a known right answer.

Seeds are fixed and were never chosen again. The binomial noise of a share of 10,000 draws is 0.22 % at 95 %. Every
interval is made by the same functions that the gates call. Of retrains of equal quality, 3 to 4 % end inconclusive at
the rows that are said to decide; `pytest -rP` shows all shares.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from passmuster.planning import rows_to_decide, simultaneous
from passmuster_checks.statistics import (
    METRICS,
    Scored,
    Task,
    compare,
    estimate,
    metrics_for,
)

DRAWS = 10_000

#: Share of what two models have in common: of the scores' and of the errors' variance.
COMMON = 0.9

#: Share of positive rows.
POSITIVE = 0.4

Pair = tuple[Scored, Scored]
Maker = Callable[[np.random.Generator, int], Pair]


def classifiers(rng: np.random.Generator, n: int, candidate: float, champion: float) -> Pair:
    """Return two models whose scores are normal in each class, `candidate` and `champion` standard deviations apart."""
    label = (rng.random(n) < POSITIVE).astype(np.int64)
    common = math.sqrt(COMMON) * rng.normal(size=n)
    return _classifier(rng, label, common, candidate), _classifier(rng, label, common, champion)


def _classifier(rng: np.random.Generator, label: np.ndarray, common: np.ndarray, apart: float) -> Scored:
    score = apart * (label - 0.5) + common + math.sqrt(1 - COMMON) * rng.normal(size=len(label))
    chance = special.expit(score)
    return Scored.classification(
        label=label,
        prediction=(score > 0).astype(np.int64),
        classes=(0, 1),
        positive=1,
        probabilities=np.column_stack([1 - chance, chance]),
    )


def classifier_truth(name: str, apart: float) -> float:
    """Return the metric's value on infinitely many rows."""
    if name == "roc_auc_score":
        return float(stats.norm.cdf(apart / math.sqrt(2)))
    if name == "accuracy_score":
        return float(stats.norm.cdf(apart / 2))
    assert name == "log_loss"
    # Both classes are mirror images, so they lose the same.
    return float(integrate.quad(lambda s: np.logaddexp(0, -s) * stats.norm.pdf(s, apart / 2), -12, 14)[0])


def regressions(rng: np.random.Generator, n: int, candidate: float, champion: float) -> Pair:
    """Return two models with normal errors of those standard deviations."""
    label = rng.normal(10, 3, size=n)
    common = math.sqrt(COMMON) * rng.normal(size=n)
    one, two = (
        Scored.regression(label=label, prediction=label + sd * (common + math.sqrt(1 - COMMON) * rng.normal(size=n)))
        for sd in (candidate, champion)
    )
    return one, two


def regression_truth(name: str, sd: float) -> float:
    """Return the metric's value on infinitely many rows."""
    return {
        "root_mean_squared_error": sd,
        "mean_squared_error": sd**2,
        "mean_absolute_error": sd * math.sqrt(2 / math.pi),
    }[name]


# ── intervals ──────────────────────────────────────────────────────────────────────────────────────────────────────


def coverage(
    make: Maker, truths: dict[str, tuple[float, float]], seed: int, draws: int = DRAWS, n: int = 500
) -> dict[str, float]:
    """Return how often the intervals of the value and of the difference hold the truth, at `n` rows."""
    rng = np.random.default_rng(seed)
    held: Counter[str] = Counter()
    for _ in range(draws):
        candidate, champion = make(rng, n)
        for name, (ours, theirs) in truths.items():
            single = estimate(name, candidate).interval
            paired = compare(name, candidate, champion).interval
            better = ours - theirs if METRICS[name].greater_is_better else theirs - ours
            held[name] += single.low <= ours <= single.high
            held[f"{name}, paired"] += paired.low <= better <= paired.high
    shares = {name: count / draws for name, count in held.items()}
    print(shares)
    return shares


def test_intervals_of_classifiers_cover_95_percent_at_500_rows() -> None:
    """Of a proportion, a mean loss and the AUC, and of their paired differences."""
    ours, theirs = 1.4, 1.2
    names = ("accuracy_score", "log_loss", "roc_auc_score")
    truths = {name: (classifier_truth(name, ours), classifier_truth(name, theirs)) for name in names}

    found = coverage(lambda rng, n: classifiers(rng, n, ours, theirs), truths, seed=20260)

    assert len(found) == 6
    assert all(0.94 <= share <= 0.96 for share in found.values()), found


def test_intervals_of_regressions_cover_95_percent_at_500_rows() -> None:
    """Of mean errors and the RMSE, and of their paired differences."""
    ours, theirs = 1.0, 1.1
    names = ("mean_absolute_error", "mean_squared_error", "root_mean_squared_error")
    truths = {name: (regression_truth(name, ours), regression_truth(name, theirs)) for name in names}

    found = coverage(lambda rng, n: regressions(rng, n, ours, theirs), truths, seed=20261)

    assert len(found) == 6
    assert all(0.94 <= share <= 0.96 for share in found.values()), found


def multiclass(rng: np.random.Generator, n: int, candidate: float, champion: float) -> Pair:
    """Return two models of three unequal classes; the numbers say how noisy their scores are."""
    label = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    common = 1.3 * np.eye(3)[label] + rng.normal(size=(n, 3))
    one, two = (_softmax(label, common + noise * rng.normal(size=(n, 3))) for noise in (candidate, champion))
    return one, two


def _softmax(label: np.ndarray, score: np.ndarray) -> Scored:
    table = special.softmax(score, axis=1)
    return Scored.classification(label=label, prediction=table.argmax(axis=1), classes=(0, 1, 2), probabilities=table)


@pytest.mark.parametrize(
    ("task", "make", "ours", "theirs"),
    [
        (Task.BINARY, classifiers, 1.4, 1.2),
        (Task.MULTICLASS, multiclass, 0.2, 0.4),
        (Task.REGRESSION, regressions, 1.0, 1.1),
    ],
)
def test_intervals_of_every_metric_with_a_closed_form_cover_95_percent(
    task: Task, make: Callable[..., Pair], ours: float, theirs: float
) -> None:
    """2,000 draws at 500 rows, so within three times their noise of 0.49 %; the truth is taken from a million rows."""
    many = make(np.random.default_rng(20265), 1_000_000, ours, theirs)
    names = set(metrics_for(task)) - {"median_absolute_error"}
    truths = {
        name: (METRICS[name].components(many[0]).value, METRICS[name].components(many[1]).value) for name in names
    }

    found = coverage(lambda rng, n: make(rng, n, ours, theirs), truths, seed=20266, draws=2_000)

    assert len(found) == 2 * len(names)
    assert all(0.935 <= share <= 0.965 for share in found.values()), found


def test_intervals_of_medians_by_bootstrap_cover_95_percent() -> None:
    """400 draws at 100 rows, whose noise is 1.1 %; pairs of medians are covered rather more often."""
    half = float(stats.norm.ppf(0.75))
    truths = {"median_absolute_error": (half, 1.1 * half)}

    found = coverage(lambda rng, n: regressions(rng, n, 1.0, 1.1), truths, seed=20267, draws=400, n=100)

    assert all(share >= 0.92 for share in found.values()), found


# ── the rows that decide ───────────────────────────────────────────────────────────────────────────────────────────

#: Rows of the first comparisons, which say how many would decide.
FIRST_ROWS = 400

#: First comparisons; each of them is followed by DRAWS / FIRST fresh ones.
FIRST = 100


def judged(make: Maker, name: str, margin: float, seed: int) -> dict[str, float]:
    """Return the shares of pass, fail and inconclusive at the rows that are said to decide, and those rows' median."""
    rng = np.random.default_rng(seed)
    rows = [
        rows_to_decide(compare(name, *make(rng, FIRST_ROWS)).standard_error, FIRST_ROWS, margin) for _ in range(FIRST)
    ]
    outcomes: Counter[str] = Counter()
    for draw in range(DRAWS):
        interval = compare(name, *make(rng, rows[draw % FIRST])).interval
        if interval.low > -margin:
            outcomes["pass"] += 1
        else:
            outcomes["fail" if interval.high < -margin else "inconclusive"] += 1
    shares = {outcome: outcomes[outcome] / DRAWS for outcome in ("pass", "fail", "inconclusive")}
    return shares | {"rows": float(np.median(rows))}


def weaker_classifier(name: str, champion: float, loss: float) -> float:
    """Return how far apart a model's classes are whose metric is worse than the champion's by `loss`."""
    best = classifier_truth(name, champion)
    return float(optimize.brentq(lambda apart: abs(classifier_truth(name, apart) - best) - loss, 0, champion))


#: Metric, margin, the maker of two models of given quality, the champion's quality, that of one worse by two margins.
DESIGNS = [
    pytest.param("roc_auc_score", 0.03, classifiers, 1.4, weaker_classifier("roc_auc_score", 1.4, 0.06), id="auc"),
    pytest.param("log_loss", 0.03, classifiers, 1.4, weaker_classifier("log_loss", 1.4, 0.06), id="log-loss"),
    pytest.param("root_mean_squared_error", 0.06, regressions, 1.0, 1.12, id="rmse"),
]


@pytest.mark.parametrize(("name", "margin", "make", "champion", "worse"), DESIGNS)
def test_a_retrain_of_equal_quality_passes_at_the_rows_that_decide(
    name: str,
    margin: float,
    make: Callable[..., Pair],
    champion: float,
    worse: float,
) -> None:
    shares = judged(lambda rng, n: make(rng, n, champion, champion), name, margin, seed=20262)
    print(name, shares)

    assert shares["pass"] >= 0.95, shares
    assert shares["fail"] < 0.02, shares
    assert shares["inconclusive"] <= 0.05, shares


@pytest.mark.parametrize(("name", "margin", "make", "champion", "worse"), DESIGNS)
def test_a_loss_of_twice_the_margin_never_passes_and_fails_at_the_rows_that_decide(
    name: str,
    margin: float,
    make: Callable[..., Pair],
    champion: float,
    worse: float,
) -> None:
    shares = judged(lambda rng, n: make(rng, n, worse, champion), name, margin, seed=20263)
    print(name, shares)

    assert shares["pass"] == 0, shares
    assert shares["fail"] >= 0.95, shares


def test_all_segments_together_keep_the_budget_of_false_alarms() -> None:
    """Five overlapping segments of about 100 rows, equal models, a budget of 2 %; noise of the share: 0.14 %."""
    rng = np.random.default_rng(20264)
    budget, segments = 0.02, 5
    level = simultaneous(budget, segments)
    alarms = 0
    for _ in range(DRAWS):
        candidate, champion = regressions(rng, 200, 1.0, 1.0)
        alarms += any(
            compare("mean_squared_error", candidate.take(rows), champion.take(rows), level).interval.high < 0
            for rows in rng.random((segments, 200)) < 0.5
        )

    assert alarms / DRAWS < budget + 0.005
    assert alarms > 0
