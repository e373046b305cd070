"""The statistics of comparison: metrics with their uncertainty, in closed form, on pairs of rows. A stable promise.

It measures and never judges; `passmuster.verdict` does that.
"""

from __future__ import annotations

from passmuster_checks.statistics.inference import Comparison, Estimated, compare, estimate
from passmuster_checks.statistics.metrics import METRICS, Metric, metric, metrics_for
from passmuster_checks.statistics.scored import Scored, Task

__all__ = [
    "METRICS",
    "Comparison",
    "Estimated",
    "Metric",
    "Scored",
    "Task",
    "compare",
    "estimate",
    "metric",
    "metrics_for",
]
