"""Distances are scipy's and their definitions', exact with ties, nulls and infinities, and never silently missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.stats.contingency import association

from passmuster.errors import NotMeasured, UsageError
from passmuster_checks.statistics.distance import (
    Binned,
    Counts,
    Distances,
    Quantiles,
    Sorted,
    numbers,
    of_binned,
    of_counts,
    of_numbers,
    of_quantiles,
)

EXACT = 1e-9

OF_NUMBERS = {"kolmogorov_smirnov", "wasserstein", "psi", "jensen_shannon", "null_share"}
OF_CATEGORIES = {"total_variation", "cramers_v", "share_ratio", "psi", "jensen_shannon", "null_share"}


def column(*values: float, null: int = 0) -> Sorted:
    return Sorted(values=np.sort(np.array(values, dtype=np.float64)), null=null)


def counts(*values: int, null: int = 0) -> Counts:
    return Counts(values=np.array(values, dtype=np.int64), null=null)


def value(found: Distances, name: str) -> float:
    return found.sizes[name].value


def drawn(seed: int, n: int, m: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n).round(decimals), rng.normal(0.2, 1.3, size=m).round(decimals)
    return np.sort(x), np.sort(y)


# ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("decimals", [0, 1, 12])
@pytest.mark.parametrize(("n", "m"), [(500, 300), (300, 500), (2, 900), (100_000, 40_000)])
def test_largest_difference_and_area_of_numbers_are_scipys(n: int, m: int, decimals: int) -> None:
    """Ties, blocks of many rows, and either sample the larger."""
    x, y = drawn(1, n, m, decimals)

    found = of_numbers(Sorted(values=x), Sorted(values=y))

    assert value(found, "kolmogorov_smirnov") == pytest.approx(
        stats.ks_2samp(x, y, method="asymp").statistic, abs=EXACT
    )
    if x[0] != x[-1]:
        expected = stats.wasserstein_distance(x, y) / x.std()
        assert value(found, "wasserstein") == pytest.approx(expected, rel=EXACT)


@given(
    x=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    y=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    block=st.integers(1, 9),
)
@settings(max_examples=200, deadline=None)
def test_a_merge_in_blocks_of_any_size_is_the_definition_at_every_value(x: list[int], y: list[int], block: int) -> None:
    ours, theirs = np.sort(np.array(x, dtype=float)), np.sort(np.array(y, dtype=float))
    apart = [abs((ours <= at).mean() - (theirs <= at).mean()) for at in range(-3, 4)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "BLOCK", block)
        largest, (p, q), area = numbers.merged(ours, theirs)

    assert largest == pytest.approx(max(apart), abs=EXACT)
    assert abs(p - q) == pytest.approx(largest, abs=EXACT)
    assert any(((ours <= at).mean(), (theirs <= at).mean()) == pytest.approx((p, q)) for at in range(-4, 4))
    assert area == pytest.approx(sum(apart), abs=EXACT)


@pytest.mark.parametrize("null", [(0, 0), (40, 7)])
def test_distances_of_categories_are_scipys_and_their_definitions(null: tuple[int, int]) -> None:
    base, current = [420, 330, 220, 140, 75, 15, 0], [250, 260, 150, 130, 50, 60, 0]
    x, y = np.array([*base, null[0]]), np.array([*current, null[1]])
    p, q = x[x > 0] / x.sum(), y[y > 0] / y.sum()

    found = of_counts(counts(*base, null=null[0]), counts(*current, null=null[1]))

    assert set(found.sizes) == OF_CATEGORIES
    assert not found.absent
    assert value(found, "jensen_shannon") == pytest.approx(jensenshannon(p, q, base=2), abs=EXACT)
    assert value(found, "cramers_v") == pytest.approx(association(np.stack([x, y])[:, x > 0], "cramer"), abs=EXACT)
    assert value(found, "total_variation") == pytest.approx(np.abs(p - q).sum() / 2, abs=EXACT)
    assert value(found, "psi") == pytest.approx(
        sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True)), abs=EXACT
    )
    assert value(found, "share_ratio") == pytest.approx(q[5] / p[5], abs=EXACT)
    assert found.sizes["share_ratio"].category == 5
    assert value(found, "null_share") == pytest.approx(abs(null[1] / y.sum() - null[0] / x.sum()), abs=EXACT)


def test_bins_of_numbers_are_the_bases_deciles_and_null() -> None:
    """A hundred whole numbers: ten in each decile, of which the current sample misses one and has another twice."""
    x, y = np.arange(100.0), np.concatenate((np.repeat(np.arange(10.0), 2), np.arange(20.0, 100.0)))

    found = of_numbers(Sorted(values=x, null=5), Sorted(values=y, null=10))

    p, q = np.array([10.0] * 10 + [5]) / 105, np.array([20, 0.5, *[10.0] * 8, 10]) / 110
    assert value(found, "psi") == pytest.approx(float(((q - p) * np.log(q / p)).sum()), abs=EXACT)
    assert value(found, "jensen_shannon") == pytest.approx(
        jensenshannon([10] * 10 + [5], [20, 0, *[10] * 8, 10], base=2), abs=EXACT
    )


def test_what_peers_give_for_the_same_rows() -> None:
    """Seen with Deepchecks 0.19.1 and Evidently 0.7.23, unsampled; where they differ, docs/statistics.md says how."""
    i, j = np.arange(1200), np.arange(900)
    x, y = np.sort(np.sqrt(i) % 7 + 0.001 * i), np.sort(np.sqrt(j * 1.3) % 7 + 0.002 * j)
    base, current = [420, 330, 220, 140, 75, 15], [250, 260, 150, 130, 50, 60]

    of_rows = of_numbers(Sorted(values=x), Sorted(values=y))
    found = of_counts(counts(*base), counts(*current))
    v, rows = value(found, "cramers_v"), sum(base + current)

    assert value(of_rows, "kolmogorov_smirnov") == pytest.approx(0.040277777777777746, abs=EXACT)  # Deepchecks
    assert value(of_rows, "wasserstein") == pytest.approx(0.11714867982069661, abs=EXACT)  # Evidently
    scale = x.std() / (max(x[-1], y[-1]) - min(x[0], y[0]))
    assert value(of_rows, "wasserstein") * scale == pytest.approx(0.02944913815718754, abs=EXACT)  # Deepchecks
    assert value(found, "psi") == pytest.approx(0.11638850032132514, abs=EXACT)  # both
    assert value(found, "jensen_shannon") * math.sqrt(math.log(2)) == pytest.approx(0.11567404293598953, abs=EXACT)
    assert value(found, "total_variation") == pytest.approx(0.09583333333333328, abs=EXACT)  # Evidently
    corrected = math.sqrt((v**2 - 5 / (rows - 1)) / (1 - 1 / (rows - 1)))
    assert corrected == pytest.approx(0.15483719355364653, abs=EXACT)  # Deepchecks


def test_equal_samples_are_no_distance_apart_and_their_intervals_begin_there() -> None:
    rows = column(*range(300), null=20)
    found = [of_numbers(rows, rows), of_counts(counts(50, 60, 70), counts(50, 60, 70))]

    for name, size in ((name, size) for some in found for name, size in some.sizes.items()):
        none = 1.0 if name == "share_ratio" else 0.0
        interval = size.interval(0.999)
        assert size.value == none, name
        if interval is not None:
            assert interval.low == none < interval.high, name


def test_a_rare_category_that_grows_fourfold_shows() -> None:
    """It is one row in two hundred; all else is as it was, and no other size sees much."""
    others = [20_000] * 10

    found = of_counts(counts(*others, 1_000), counts(*others, 4_000))

    assert found.sizes["share_ratio"].category == 10
    interval = found.sizes["share_ratio"].interval(0.99999)
    assert interval is not None
    assert interval.low > 3
    assert value(found, "total_variation") < 0.02


def test_three_rows_that_become_ten_are_no_proof() -> None:
    found = of_counts(counts(500, 500, 3), counts(500, 500, 10)).sizes["share_ratio"]
    interval = found.interval()

    assert interval is not None
    assert interval.low == 1
    assert interval.high > 10 / 3


def test_a_category_that_is_gone_is_a_ratio_too() -> None:
    found = of_counts(counts(900, 100), counts(1_000, 0)).sizes["share_ratio"]
    interval = found.interval(0.999)

    assert (found.category, found.value) == (1, pytest.approx(201))
    assert interval is not None
    assert interval.low > 10
    assert interval.high == 1e6


def test_a_category_that_shrinks_fourfold_shows_among_larger_ones() -> None:
    found = of_counts(counts(3_990, 4_000, 20_000), counts(4_000, 1_000, 20_000)).sizes["share_ratio"]

    assert found.category == 1
    assert found.value == pytest.approx(4 * 25_000 / 27_990)


@pytest.mark.parametrize(("base", "current"), [((50, 50, 0), (40, 40, 20)), ((40, 40, 20), (50, 50, 0))])
def test_a_cell_that_is_empty_on_one_side_counts_as_half_a_row_there(
    base: tuple[int, ...], current: tuple[int, ...]
) -> None:
    expected = 2 * (0.5 - 0.4) * math.log(0.5 / 0.4) + (0.2 - 0.005) * math.log(0.2 / 0.005)

    assert value(of_counts(counts(*base), counts(*current)), "psi") == pytest.approx(expected, abs=EXACT)


def test_a_row_below_a_constant_base_does_not_hide_in_its_bin() -> None:
    found = of_numbers(column(*[5.0] * 100), column(*[5.0] * 50, *[-999.0] * 50))

    assert value(found, "kolmogorov_smirnov") == 0.5
    assert value(found, "psi") > 1
    assert "constant" in found.absent["wasserstein"]


# ── what can't be measured ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("base", "current", "absent"),
    [
        (column(1, 2, math.inf), column(1, 2, 3), {"wasserstein"}),
        (column(1, 2, 3), column(-math.inf, 2, 3), {"wasserstein"}),
        (column(-1.5e308, 1.5e308), column(1, 2), {"wasserstein"}),
        (column(null=9), column(1, 2, null=3), {"kolmogorov_smirnov", "wasserstein"}),
        (column(1, 2), column(null=9), {"kolmogorov_smirnov", "wasserstein"}),
        (column(null=4), column(null=9), {"kolmogorov_smirnov", "wasserstein"}),
        (column(1), column(1), set()),
    ],
)
def test_each_size_has_a_finite_value_or_a_reason(base: Sorted, current: Sorted, absent: set[str]) -> None:
    found = of_numbers(base, current)

    assert set(found.absent) == absent
    assert all(found.absent.values())
    assert set(found.sizes) == OF_NUMBERS - absent
    for size in found.sizes.values():
        interval = size.interval(0.99999)
        assert math.isfinite(size.value)
        assert (interval is None) == bool(size.no_interval)


def test_infinities_are_ordinary_values_in_order() -> None:
    found = of_numbers(column(1, 2, 3, math.inf), column(-math.inf, 2, 3, math.inf))

    assert value(found, "kolmogorov_smirnov") == 0.25


@pytest.mark.parametrize(
    "compare",
    [
        lambda: of_numbers(column(), column(1)),
        lambda: of_numbers(column(1), column()),
        lambda: of_counts(counts(0, 0), counts(1, 0)),
        lambda: of_quantiles(Quantiles(values=np.arange(11.0), rows=50), column()),
        lambda: of_binned(binned(np.arange(3.0), column()), binned(np.arange(3.0), column(1))),
    ],
)
def test_no_rows_are_refused(compare: Callable[[], Any]) -> None:
    with pytest.raises(NotMeasured, match="no rows"):
        compare()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Sorted(values=np.array([2.0, 1.0])),
        lambda: Sorted(values=np.array([1.0, math.nan])),
        lambda: Sorted(values=np.array([math.nan])),
        lambda: Sorted(values=np.array([1, 2])),
        lambda: Sorted(values=np.array([1.0]), null=-1),
        lambda: counts(3, -1),
        lambda: Counts(values=np.array([0.5])),
        lambda: of_counts(counts(1, 2), counts(1)),
        lambda: Binned(edges=np.array([0.0, 1.0, 1.0]), counts=np.array([1, 2])),
        lambda: Binned(edges=np.array([0.0, 1.0]), counts=np.array([1, 2])),
        lambda: of_binned(binned(np.arange(3.0), column(1)), binned(np.arange(4.0), column(1))),
        lambda: Quantiles(values=np.arange(5.0), rows=50),
        lambda: Quantiles(values=np.arange(11.0), rows=50, null=50),
        lambda: of_counts(counts(1, 2), counts(3, 4)).sizes["total_variation"].interval(1.0),
    ],
)
def test_what_is_not_a_sample_is_refused(wrong: Callable[[], Any]) -> None:
    with pytest.raises(UsageError):
        wrong()


def test_cells_of_few_rows_have_no_interval_where_none_would_hold() -> None:
    found = of_counts(counts(500, 500, 15), counts(500, 500, 15))

    assert {name for name, size in found.sizes.items() if size.interval() is None} == {
        "psi",
        "jensen_shannon",
        "cramers_v",
    }
    assert "20 rows" in found.sizes["psi"].no_interval


# ── from less than the rows ────────────────────────────────────────────────────────────────────────────────────────


def binned(edges: np.ndarray, rows: Sorted) -> Binned:
    values = rows.values
    inner = np.searchsorted(values, edges[1:-1], "right")
    spread = float(values.std()) if len(values) else None
    return Binned(
        edges=edges, counts=np.diff(inner, prepend=0, append=len(values)), null=rows.null, standard_deviation=spread
    )


@pytest.mark.parametrize("decimals", [0, 1, 12])
@pytest.mark.parametrize("seed", range(5))
def test_bins_and_quantiles_bound_the_distances_of_the_rows(seed: int, decimals: int) -> None:
    """What is hidden is at most the stated resolution, ties or not."""
    x, y = drawn(seed, 3_000, 2_000, decimals)
    base, current = Sorted(values=x, null=30), Sorted(values=y, null=90)
    edges = np.linspace(min(x[0], y[0]), max(x[-1], y[-1]), 80)
    profile = Quantiles(values=np.quantile(x, np.linspace(0, 1, 201)), rows=3_030, null=30, standard_deviation=x.std())

    exact = of_numbers(base, current)
    for found in (of_binned(binned(edges, base), binned(edges, current)), of_quantiles(profile, current)):
        supremum, area = found.sizes["kolmogorov_smirnov"], found.sizes["wasserstein"]

        assert set(found.sizes) == OF_NUMBERS
        assert -EXACT <= value(exact, "kolmogorov_smirnov") - supremum.value <= supremum.resolution + EXACT
        assert abs(value(exact, "wasserstein") - area.value) <= area.resolution + EXACT
        assert value(found, "null_share") == value(exact, "null_share")


@pytest.mark.parametrize("kept", ["bins", "quantiles"])
def test_the_finer_a_sample_is_kept_the_nearer_are_its_distances(kept: str) -> None:
    x, y = drawn(7, 50_000, 40_000, 12)
    base, current = Sorted(values=x), Sorted(values=y)
    edges = np.linspace(min(x[0], y[0]), max(x[-1], y[-1]), 4_000)
    profile = Quantiles(values=np.quantile(x, np.linspace(0, 1, 201)), rows=50_000, standard_deviation=x.std())

    exact = of_numbers(base, current)
    found = of_binned(binned(edges, base), binned(edges, current)) if kept == "bins" else of_quantiles(profile, current)

    for name in OF_NUMBERS:
        assert value(found, name) == pytest.approx(value(exact, name), abs=0.01), name
