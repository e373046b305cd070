"""What the report's plots are drawn from: at most `POINTS` points for each curve and model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passmuster_checks.statistics import Scored, Task

#: Points of a curve: more can't be seen.
POINTS = 100

#: Bins of a reliability curve, each of as many rows.
BINS = 10


def of(models: Mapping[str, Scored]) -> dict[str, Any]:
    """Return the curves of all models by kind: `roc` and `reliability` of binary ones, `residuals` of regressions."""
    tasks = {scored.task for scored in models.values()}
    if tasks == {Task.BINARY}:
        return {
            "roc": {name: _roc(scored) for name, scored in models.items()},
            "reliability": {name: _reliability(scored) for name, scored in models.items()},
        }
    if tasks == {Task.REGRESSION}:
        return {"residuals": {name: _residuals(scored) for name, scored in models.items()}}
    return {}


def _positive(scored: Scored) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    assert scored.probabilities is not None and scored.positive is not None
    return scored.probabilities[:, scored.positive], scored.label == scored.positive


def _roc(scored: Scored) -> list[list[float]]:
    """Return points (false positive rate, true positive rate), from (0, 0) to (1, 1)."""
    score, there = _positive(scored)
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # ties move together
    hits = there[order].cumsum()[last]
    false = (last + 1 - hits) / max(int((~there).sum()), 1)
    true = hits / max(int(there.sum()), 1)
    points = np.column_stack([np.append(0.0, false), np.append(0.0, true)])
    return _listed(points[_spread_over(len(points))])


def _reliability(scored: Scored) -> list[list[float]]:
    """Return for each bin of as many rows: mean probability, share that was positive, rows."""
    score, there = _positive(scored)
    bins = np.array_split(np.argsort(score, kind="stable"), min(BINS, len(score)))
    return _listed(np.array([[score[rows].mean(), there[rows].mean(), len(rows)] for rows in bins]))


def _residuals(scored: Scored) -> list[list[float]]:
    """Return points (share of rows, residual at that quantile): prediction minus label, in the label's unit."""
    shares = np.linspace(0, 1, POINTS)
    return _listed(np.column_stack([shares, np.quantile(scored.prediction - scored.label, shares)]))


def _spread_over(length: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, length - 1, min(POINTS, length)).round().astype(np.int64))


def _listed(points: NDArray[np.float64]) -> list[list[float]]:
    return [[float(f"{value:.6g}") for value in point] for point in points]
