"""Gate `champion`: candidate against champion, in pairs on the same test rows."""

from __future__ import annotations

from collections.abc import Sequence

from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Estimate, Failure, Measurement
from passmuster_checks import _data
from passmuster_checks.statistics import compare


class Champion:
    """Measures how much better the candidate is, metric by metric, with the interval of the paired difference."""

    name = "champion"
    needs = frozenset({"data", "predictions", "champion"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each metric that the config has a rule for; its value is signed: more is better."""
        ours, theirs, left_out = _data.pair(inputs)
        details: dict[str, object] = {"left_out": left_out, "split": _data.TEST}
        return [self._one(metric, ours, theirs, inputs, details) for metric in inputs.config.gates.champion.rules]

    def _one(
        self, metric: str, ours: _data.Answers, theirs: _data.Answers, inputs: Inputs, details: dict[str, object]
    ) -> Measurement:
        try:
            found = compare(metric, ours.scored, theirs.scored, inputs.config.policy.confidence)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=metric, reason=str(exc), details=details)
        return Estimate(
            gate=self.name,
            name=metric,
            value=found.difference,
            n=found.n,
            interval=found.interval,
            candidate=found.candidate,
            champion=found.champion,
            standard_error=found.standard_error,
            details=details,
        )
