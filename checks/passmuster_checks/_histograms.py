"""Two small histograms of one column, for people; made from profiles, so no row is read again."""

from __future__ import annotations

from typing import Any

import numpy as np

from passmuster_checks._text import shown
from passmuster_checks.engine import ColumnProfile

#: Bars of a column of numbers, and categories that have a bar of their own.
BARS, CATEGORIES = 20, 12

#: The share of the rows at either end that would stretch the axis, and is counted in the outermost bars.
_TAIL = 0.01


def of(base: ColumnProfile, current: ColumnProfile) -> dict[str, Any]:
    """Return `edges` (n + 1 numbers) or `categories` (n texts) with the rows of `base` and `current` in each of n bars.

    Rows without a value are counted in `missing`. Bars of numbers are read off the profiles' quantiles: nearly exact.
    """
    missing = [base.null + base.nan, current.null + current.nan]
    if base.quantiles and current.quantiles:
        return {**_of_numbers(base, current), "missing": missing}
    return {**_of_categories(base, current), "missing": missing}


def _of_numbers(base: ColumnProfile, current: ColumnProfile) -> dict[str, Any]:
    points = np.linspace(0, 1, len(base.quantiles))
    ends = [np.interp([_TAIL, 1 - _TAIL], points, profile.quantiles) for profile in (base, current)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    edges = np.linspace(low, high, BARS + 1) if high > low else np.array([low, high])
    return {"edges": edges.tolist(), "base": _rows(base, edges), "current": _rows(current, edges)}


def _rows(profile: ColumnProfile, edges: np.ndarray[Any, Any]) -> list[int]:
    values = np.asarray(profile.quantiles)
    inner = edges[1:-1]
    # Of equal quantiles the last one's probability counts: so many rows are not above the edge.
    below = np.searchsorted(values, inner, side="right") - 1
    after = np.minimum(below + 1, len(values) - 1)
    gap = values[after] - values[below]
    part = np.where(gap > 0, (inner - values[below]) / np.where(gap > 0, gap, 1), 0.0)
    share = np.clip(np.where(below < 0, 0.0, (below + part) / (len(values) - 1)), 0, 1)
    shares = np.diff(np.concatenate(([0.0], share, [1.0])))
    return [round(value) for value in (shares * (profile.there - profile.infinite)).tolist()]


def _of_categories(base: ColumnProfile, current: ColumnProfile) -> dict[str, Any]:
    counts = [{str(value): count for value, count in profile.top} for profile in (base, current)]
    all_rows = [max(base.there, 1), max(current.there, 1)]
    weight = {
        name: max(found.get(name, 0) / rows for found, rows in zip(counts, all_rows, strict=True))
        for name in dict.fromkeys((*counts[0], *counts[1]))
    }
    named = sorted(weight, key=lambda name: (-weight[name], name))[:CATEGORIES]
    bars = [[found.get(name, 0) for name in named] for found in counts]
    others = [profile.there - sum(bar) for profile, bar in zip((base, current), bars, strict=True)]
    if any(others):
        return {
            "categories": [*map(shown, named), "(all others)"],
            "base": [*bars[0], others[0]],
            "current": [*bars[1], others[1]],
        }
    return {"categories": [*map(shown, named)], "base": bars[0], "current": bars[1]}
