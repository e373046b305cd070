"""The bootstrap, for what has no closed form; the same rows give the same draws, in whatever order they come."""

from __future__ import annotations

import hashlib

import numpy as np

from passmuster.errors import NotMeasured
from passmuster_checks.statistics.scored import Floats

#: From this many rows on a bootstrap is refused: it would take longer than it is worth.
TOO_MANY_ROWS = 50_000

#: Of fewer rows even the widest of their values are no interval.
TOO_FEW_ROWS = 10

DRAWS = 2_000

#: Draws that must lie beyond each end of an interval, or its ends are noise.
_DRAWS_BEYOND = 10

#: Numbers drawn at once: bounds the memory.
_AT_ONCE = 2_000_000


def resampled_medians(content: Floats, losses: Floats, level: float) -> Floats:
    """Return the medians of `losses` in each of the draws of rows with replacement.

    Args:
        content: shape (c, n), all that identifies a row: the seed is its hash, after sorting.
        losses: shape (m, n), columns of which the same rows are drawn.
        level: of the interval that is to be read from the draws.

    Returns:
        Shape (m, DRAWS).

    Raises:
        NotMeasured: too many or too few rows for a bootstrap, or too high a level for its draws.
    """
    n = losses.shape[1]
    if n < TOO_FEW_ROWS:
        raise NotMeasured(f"{n} rows, and no closed form: a bootstrap needs at least {TOO_FEW_ROWS}")
    if n >= TOO_MANY_ROWS:
        raise NotMeasured(
            f"{n:,} rows, and no closed form: a bootstrap serves below {TOO_MANY_ROWS:,}; use another metric, e.g. "
            "mean_absolute_error"
        )
    if DRAWS * (1 - level) / 2 < _DRAWS_BEYOND:
        raise NotMeasured(
            f"{DRAWS:,} bootstrap draws can't give an interval at level {level:.6g}; use another metric, e.g. "
            "mean_absolute_error"
        )
    order = np.lexsort(content)
    seed = hashlib.sha256(np.ascontiguousarray(content[:, order]).astype("<f8").tobytes()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(seed)))
    losses = losses[:, order]
    chunk = max(1, _AT_ONCE // n)
    parts = []
    for start in range(0, DRAWS, chunk):
        rows = generator.integers(0, n, size=(min(chunk, DRAWS - start), n))
        parts.append([np.median(column[rows], axis=1) for column in losses])
    return np.concatenate(parts, axis=1)


def percentile_interval(draws: Floats, value: float, level: float) -> tuple[float, float]:
    """Return the percentile interval of `draws` (Efron 1979), widened to hold `value` itself.

    Raises:
        NotMeasured: the draws hardly differ, as where most rows are equal; that is no certainty.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    if low == high:
        raise NotMeasured(
            f"the median is {value:.6g} in nearly every bootstrap draw; without a spread there is no interval. Use "
            "another metric, e.g. mean_absolute_error"
        )
    return min(float(low), value), max(float(high), value)
