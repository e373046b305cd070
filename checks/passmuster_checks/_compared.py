"""One comparison of candidate and champion as a measurement: an estimate, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passmuster.errors import NotMeasured
from passmuster.measurement import Estimate, Failure, Measurement
from passmuster_checks.statistics import Scored, compare


def compared(
    gate: str, name: str, metric: str, ours: Scored, theirs: Scored, *, level: float, details: Mapping[str, Any]
) -> Measurement:
    """Return the paired difference of `metric` on the same rows, with its interval at `level`."""
    try:
        found = compare(metric, ours, theirs, level)
    except NotMeasured as exc:
        return Failure(gate=gate, name=name, reason=str(exc), details=details)
    return Estimate(
        gate=gate,
        name=name,
        value=found.difference,
        n=found.n,
        interval=found.interval,
        candidate=found.candidate,
        champion=found.champion,
        standard_error=found.standard_error,
        details=details,
    )
