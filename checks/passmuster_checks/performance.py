"""Gate `performance`: the candidate's metrics on all test rows, each with its interval, for absolute limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from passmuster.errors import NotMeasured
from passmuster.gates import Champion, Inputs
from passmuster.measurement import Estimate, Failure, Measurement
from passmuster_checks import _curves, _data
from passmuster_checks._base import on_base
from passmuster_checks.statistics import Scored, estimate


class Performance:
    """Measures what the config has an absolute limit for."""

    name = "performance"
    needs = frozenset({"data", "predictions"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each metric with a limit; the first carries the curves for the report's plots."""
        scored = _data.candidate(inputs).scored
        found = [self._one(metric, scored, inputs) for metric in inputs.config.gates.performance.limits]
        found[0] = replace(found[0], details={**found[0].details, "curves": self._curves(inputs, scored)})
        return [*found, *on_base(self, inputs, inputs.config.gates.performance.limits)]

    def _one(self, metric: str, scored: Scored, inputs: Inputs) -> Measurement:
        try:
            found = estimate(metric, scored, inputs.config.policy.confidence)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=metric, reason=str(exc))
        return Estimate(
            gate=self.name,
            name=metric,
            value=found.value,
            n=found.n,
            interval=found.interval,
            standard_error=found.standard_error,
            details={"split": _data.TEST},
        )

    def _curves(self, inputs: Inputs, scored: Scored) -> dict[str, Any]:
        models = {"candidate": scored}
        if isinstance(inputs.champion, Champion):
            try:
                ours, theirs, _ = _data.pair(inputs)
                models = {"candidate": ours.scored, "champion": theirs.scored}
            except NotMeasured:
                pass  # gate `champion` says so; here a plot is left out
        return _curves.of(models)
