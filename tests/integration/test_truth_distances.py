"""The intervals of distances hold the truth: simulated samples of known populations, near zero and far from it.

Seeds are fixed and were never chosen again. An interval may miss on each side with half of its error: 2.5 % at 95 %,
whose binomial noise is 0.4 % in 1,500 draws. Most miss less, since they are conservative; `pytest -rP` shows how often.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from scipy import stats

from passmuster_checks.statistics.distance import (
    Binned,
    Counts,
    Distances,
    Quantiles,
    Sorted,
    of_binned,
    of_counts,
    of_numbers,
    of_quantiles,
)
from passmuster_checks.statistics.distance.cells import Cells, null_share, psi

DRAWS = 1_500

#: Where the truth is the value itself, rounding decides on which side it lies.
ROUNDING = 1e-9

Shares = np.ndarray


def missed(
    found: Iterable[tuple[Distances, dict[str, float]]], level: float = 0.95
) -> dict[str, tuple[int, float, float]]:
    """Return, by size, how many intervals there were, and the shares of them above and below the truth."""
    draws: Counter[str] = Counter()
    above: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for distances, truth in found:
        for name, value in truth.items():
            interval = distances.sizes[name].interval(level)
            if interval is not None:
                draws[name] += 1
                above[name] += interval.low > value + ROUNDING
                below[name] += interval.high < value - ROUNDING
    return {name: (n, above[name] / n, below[name] / n) for name, n in draws.items()}


def assert_held(shares: dict[str, tuple[int, float, float]], level: float = 0.95) -> None:
    """Each side may miss with half the error, and three times the noise of that share."""
    print(shares)
    tail = (1 - level) / 2
    for name, (draws, above, below) in shares.items():
        most = tail + 3 * math.sqrt(tail / draws)

        assert above <= most, (name, shares)
        assert below <= most, (name, shares)


# ── categories ─────────────────────────────────────────────────────────────────────────────────────────────────────


def equal(k: int) -> Shares:
    return np.full(k, 1 / k)


def skewed(k: int) -> Shares:
    """The i-th most frequent category is 1/i as frequent as the first."""
    return equal(k) / np.arange(1, k + 1) / (equal(k) / np.arange(1, k + 1)).sum()


def tilted(shares: Shares, by: float) -> Shares:
    """Return shares whose logarithms are off by `by`, up or down."""
    off = shares * np.exp(by * np.where(np.arange(len(shares)) % 2, 1, -1))
    return off / off.sum()


def fourfold(shares: Shares) -> Shares:
    """Return shares of which the rarest has grown fourfold."""
    grown = np.append(shares[:-1], 4 * shares[-1])
    return grown / grown.sum()


def truths(p: Shares, q: Shares, n: int, m: int) -> dict[str, float]:
    """Return every distance of two populations by its definition; Cramér's V is of samples of that size."""
    h, middle = (n * p + m * q) / (n + m), (p + q) / 2
    return {
        "total_variation": float(np.abs(p - q).sum() / 2),
        "psi": float(((q - p) * np.log(q / p)).sum()),
        "jensen_shannon": math.sqrt(
            max(0.0, float((stats.entropy(p, middle) + stats.entropy(q, middle)) / math.log(4)))
        ),
        "cramers_v": math.sqrt(n * m) / (n + m) * math.sqrt(float(((p - q) ** 2 / h).sum())),
        "share_ratio": float(np.maximum(p / q, q / p).max()),
    }


def of_categories(
    p: Shares, q: Shares, n: int, m: int, seed: int, draws: int = DRAWS
) -> Iterable[tuple[Distances, dict[str, float]]]:
    rng = np.random.default_rng(seed)
    truth = truths(p, q, n, m)
    for base, current in zip(rng.multinomial(n, p, size=draws), rng.multinomial(m, q, size=draws), strict=True):
        yield of_counts(Counts(values=base), Counts(values=current)), truth


#: Shares of the base and of the other, rows of both, and how many of five sizes have an interval.
POPULATIONS = {
    "two equal": (equal(2), equal(2), 300, 300, 5),
    "two, one of them rare": (np.array([0.97, 0.03]), fourfold(np.array([0.97, 0.03])), 3_000, 1_000, 5),
    "few, the same": (equal(10), equal(10), 300, 3_000, 5),
    "few, nearly the same": (skewed(10), tilted(skewed(10), 0.05), 2_000, 2_000, 5),
    "few, far apart": (skewed(5), tilted(skewed(5), 0.8), 3_000, 600, 5),
    "a rare one grows fourfold": (skewed(10), fourfold(skewed(10)), 100_000, 1_000, 5),
    "many rows": (skewed(50), tilted(skewed(50), 0.02), 100_000, 100_000, 5),
    "500, the same": (equal(500), equal(500), 300, 300, 2),
    "500 rare ones, nearly the same": (skewed(500), tilted(skewed(500), 0.1), 1_000, 20_000, 2),
}


@pytest.mark.parametrize("case", POPULATIONS)
def test_intervals_of_categories_miss_the_truth_no_more_often_than_they_say(case: str) -> None:
    p, q, n, m, judged = POPULATIONS[case]
    draws = DRAWS if len(p) < 500 else DRAWS // 4

    shares = missed(of_categories(p, q, n, m, seed=20270, draws=draws))

    assert len(shares) == judged
    assert_held(shares)


def test_the_interval_of_psi_holds_in_the_tails_of_many_small_cells() -> None:
    """At 99 %, with 22 rows in a cell of the smaller sample, whose counts are skewed: 15,000 draws."""
    p, n, m = equal(45), 1_000, 200_000
    rng = np.random.default_rng(20271)
    draws = zip(rng.multinomial(n, p, size=15_000), rng.multinomial(m, p, size=15_000), strict=True)

    found = (Distances(sizes={"psi": psi(Cells.of(base, current))}) for base, current in draws)

    assert_held(missed(((one, {"psi": 0.0}) for one in found), level=0.99), level=0.99)


@pytest.mark.parametrize("level", [0.95, 0.99999])
@pytest.mark.parametrize(("p", "q"), [(0.0, 0.01), (0.01, 0.01), (0.01, 0.04), (0.3, 0.3), (0.5, 0.4), (0.6, 0.0)])
def test_the_interval_of_a_difference_of_null_shares_holds_by_counting_all_outcomes(
    p: float, q: float, level: float
) -> None:
    """No draws: the chance of every pair of counts at 120 and 200 rows, less 1e-9 of the rarest on each side."""
    n, m, truth = 120, 200, abs(p - q)
    above = below = 0.0
    for x, y in itertools.product(plausible(n, p), plausible(m, q)):
        chance = float(stats.binom.pmf(x, n, p) * stats.binom.pmf(y, m, q))
        interval = null_share((x, y), (n, m)).interval(level)
        assert interval is not None
        above += chance * (interval.low > truth + ROUNDING)
        below += chance * (interval.high < truth - ROUNDING)
    print(above, below)

    assert above <= (1 - level) / 2
    assert below <= (1 - level) / 2


def plausible(rows: int, share: float) -> range:
    low, high = stats.binom.ppf([1e-9, 1 - 1e-9], rows, share)
    return range(int(max(0, low)), int(high) + 1)


# ── numbers ────────────────────────────────────────────────────────────────────────────────────────────────────────

Draw = Callable[[np.random.Generator, int], np.ndarray]

NORMAL: Draw = lambda rng, n: rng.normal(size=n)  # noqa: E731 a table of one-line draws reads best
SHIFTED: Draw = lambda rng, n: rng.normal(0.1, 1, size=n)  # noqa: E731
COUNTED: Draw = lambda rng, n: rng.poisson(2.0, size=n).astype(np.float64)  # noqa: E731
MORE: Draw = lambda rng, n: rng.poisson(2.5, size=n).astype(np.float64)  # noqa: E731
MOVED: Draw = lambda rng, n: rng.uniform(0.15, 1.15, size=n)  # noqa: E731
UNIFORM: Draw = lambda rng, n: rng.uniform(size=n)  # noqa: E731

COUNTS_APART = float(np.abs(stats.poisson.cdf(np.arange(30), 2.0) - stats.poisson.cdf(np.arange(30), 2.5)).max())

#: How the base and the other are drawn, the true Kolmogorov-Smirnov distance, rows of both, draws.
SAMPLES = {
    "the same": (NORMAL, NORMAL, 0.0, 300, 300, DRAWS),
    "the same, one sample larger": (UNIFORM, UNIFORM, 0.0, 5_000, 300, DRAWS),
    "the same, with ties": (COUNTED, COUNTED, 0.0, 500, 500, DRAWS),
    "a small shift": (NORMAL, SHIFTED, 2 * float(stats.norm.cdf(0.05)) - 1, 1_000, 1_000, DRAWS),
    "many rows": (NORMAL, SHIFTED, 2 * float(stats.norm.cdf(0.05)) - 1, 100_000, 2_000, 200),
    "more, with ties": (COUNTED, MORE, COUNTS_APART, 1_000, 300, DRAWS),
    "the distance is attained nearly everywhere": (UNIFORM, MOVED, 0.15, 500, 500, DRAWS),
}


def samples(
    base: Draw, current: Draw, n: int, m: int, draws: int, seed: int
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.sort(base(rng, n)), np.sort(current(rng, m))


@pytest.mark.parametrize("case", SAMPLES)
def test_intervals_of_the_largest_difference_of_numbers_hold_however_they_are_kept(case: str) -> None:
    """Of all rows; of 40 bins; and of a reference profile's 201 quantiles."""
    base, current, truth, n, m, draws = SAMPLES[case]
    edges = np.concatenate(([-np.inf], np.linspace(-3, 8, 39), [np.inf]))
    found: dict[str, list[Distances]] = {"rows": [], "bins": [], "quantiles": []}
    for x, y in samples(base, current, n, m, draws, seed=20272):
        found["rows"].append(of_numbers(Sorted(values=x), Sorted(values=y)))
        if len(found["bins"]) < DRAWS // 4:
            binned = (Binned(edges=edges, counts=np.histogram(part, edges)[0]) for part in (x, y))
            kept = Quantiles(values=np.quantile(x, np.linspace(0, 1, 201)), rows=n)
            found["bins"].append(of_binned(*binned))
            found["quantiles"].append(of_quantiles(kept, Sorted(values=y)))
    shares = {kept: missed((one, {"kolmogorov_smirnov": truth}) for one in some) for kept, some in found.items()}

    assert [some["kolmogorov_smirnov"][0] for some in shares.values()] == [draws, *[min(draws, DRAWS // 4)] * 2]
    for some in shares.values():
        assert_held(some)


@pytest.mark.parametrize(
    ("power", "n", "m"), [(1.0, 300, 300), (1.0, 300, 5_000), (1.1, 2_000, 1_000), (2.0, 1_000, 1_000)]
)
def test_intervals_of_binned_divergences_hold_for_the_bins_that_the_sample_cut(power: float, n: int, m: int) -> None:
    """The base is uniform, and the other's distribution function is its power; shares in any bin are known."""
    shares = missed(of_deciles(power, n, m, seed=20273))

    assert min(draws for draws, *_ in shares.values()) > DRAWS / 2
    assert_held(shares)


def of_deciles(power: float, n: int, m: int, seed: int) -> Iterable[tuple[Distances, dict[str, float]]]:
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        x, y = np.sort(rng.random(n)), np.sort(rng.random(m) ** (1 / power))
        cuts = np.concatenate(([0], x[-(-n * np.arange(1, 10) // 10) - 1], [1]))
        true = truths(np.diff(cuts), np.diff(cuts**power), n, m)
        yield of_numbers(Sorted(values=x), Sorted(values=y)), {name: true[name] for name in ("psi", "jensen_shannon")}


def test_the_smallest_detectable_distance_is_found_19_times_of_20() -> None:
    """A shift of that size is drawn, and its interval lies above the limit."""
    n, limit, level = 2_000, 0.05, 0.999
    x, y = next(iter(samples(NORMAL, SHIFTED, n, n, 1, seed=20274)))
    size = of_numbers(Sorted(values=x), Sorted(values=y)).sizes["kolmogorov_smirnov"]
    detectable = size.smallest_detectable(limit, level)
    assert detectable is not None
    shift = 2 * float(stats.norm.ppf((1 + detectable) / 2))
    moved: Draw = lambda rng, n: rng.normal(shift, 1, size=n)  # noqa: E731

    found = [
        of_numbers(Sorted(values=x), Sorted(values=y)).sizes["kolmogorov_smirnov"].interval(level)
        for x, y in samples(NORMAL, moved, n, n, 1_000, seed=20275)
    ]

    share = sum(interval is not None and interval.low > limit for interval in found) / len(found)
    assert 0.93 <= share <= 1, share
