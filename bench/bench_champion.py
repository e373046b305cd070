"""Champion comparison of AUC on a million rows, against a bootstrap with scikit-learn in the same run.

Run it: `python bench/bench_champion.py [rows]`. A few bootstrap draws are timed and extrapolated to 1,000.
Goal: under 2 s, and 50 times faster.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy import special
from sklearn.metrics import roc_auc_score

from passmuster_checks.statistics import Comparison, Scored, compare

Answer = TypeVar("Answer")

ROWS = 1_000_000
REPEATS = 3
DRAWS_TIMED, DRAWS = 5, 1_000
GOAL_SECONDS, GOAL_RATIO = 2.0, 50.0


def main(rows: int) -> int:
    rng = np.random.default_rng(0)
    label = (rng.random(rows) < 0.2).astype(np.int64)
    common = label + rng.normal(size=rows)
    ours, theirs = (special.expit(common + 0.3 * rng.normal(size=rows)) for _ in range(2))

    def comparison() -> Comparison:
        return compare("roc_auc_score", scored(label, ours), scored(label, theirs))

    def bootstrap() -> list[float]:
        return [difference(label, ours, theirs, rng) for _ in range(DRAWS_TIMED)]

    cpu = time.process_time()
    found, seconds = timed(comparison, REPEATS)
    cpu = (time.process_time() - cpu) / REPEATS
    _, drawn = timed(bootstrap, 1)
    extrapolated = drawn / DRAWS_TIMED * DRAWS
    ratio = extrapolated / seconds
    print(f"{rows:,} rows: difference {found.difference:+.6f}, {found.interval.low:+.6f} to {found.interval.high:+.6f}")
    print(
        f"champion comparison of AUC, arrays in, interval out: {seconds:.2f} s (best of {REPEATS}), {cpu:.2f} s of CPU"
    )
    print(
        f"bootstrap with scikit-learn: {DRAWS_TIMED} draws {drawn:.2f} s; {DRAWS:,} extrapolated: {extrapolated:.0f} s"
    )
    print(f"{ratio:.0f} times faster")
    met = seconds < GOAL_SECONDS and ratio >= GOAL_RATIO
    print(f"goal (under {GOAL_SECONDS:g} s, {GOAL_RATIO:g} times faster): {'met' if met else 'not met'}")
    return 0


def scored(label: np.ndarray, chance: np.ndarray) -> Scored:
    return Scored.classification(
        label=label,
        prediction=(chance > 0.5).astype(np.int64),
        classes=(0, 1),
        positive=1,
        probabilities=np.column_stack([1 - chance, chance]),
    )


def difference(label: np.ndarray, ours: np.ndarray, theirs: np.ndarray, rng: np.random.Generator) -> float:
    rows = rng.integers(0, len(label), len(label))
    return float(roc_auc_score(label[rows], ours[rows]) - roc_auc_score(label[rows], theirs[rows]))


def timed(work: Callable[[], Answer], repeats: int) -> tuple[Answer, float]:
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        answer = work()
        best = min(best, time.perf_counter() - start)
    return answer, best


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
