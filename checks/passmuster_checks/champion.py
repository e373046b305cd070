"""Gate `champion`: candidate against champion, in pairs on the same test rows."""

from __future__ import annotations

from collections.abc import Sequence

from passmuster.gates import Inputs
from passmuster.measurement import Measurement
from passmuster_checks import _data
from passmuster_checks._compared import compared


class Champion:
    """Measures how much better the candidate is, metric by metric, with the interval of the paired difference."""

    name = "champion"
    needs = frozenset({"data", "predictions", "champion"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each metric that the config has a rule for; its value is signed: more is better."""
        ours, theirs, left_out = _data.pair(inputs)
        details: dict[str, object] = {"left_out": left_out, "split": _data.TEST}
        level = inputs.config.policy.confidence
        return [
            compared(self.name, metric, metric, ours.scored, theirs.scored, level=level, details=details)
            for metric in inputs.config.gates.champion.rules
        ]
