"""Gate `champion`: candidate against champion, in pairs on the same test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Estimate, Failure, Measurement
from passmuster_checks import _data
from passmuster_checks._base import on_base
from passmuster_checks.statistics import Scored, compare
from passmuster_checks.statistics.ranking import OF_EACH_CLASS

#: Metrics of a ranking, which rest on the rarest class.
_RANKINGS = ("roc_auc_score", "roc_auc_score_ovr", "average_precision_score")


class Champion:
    """Measures how much better the candidate is, metric by metric, with the interval of the paired difference."""

    name = "champion"
    needs = frozenset({"data", "predictions", "champion"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each metric that the config has a rule for; its value is signed: more is better."""
        ours, theirs, left_out = _data.pair(inputs)
        details: dict[str, object] = {"left_out": left_out, "split": _data.TEST}
        level = inputs.config.policy.confidence
        found = [
            self._one(metric, ours.scored, theirs.scored, level, details)
            for metric in inputs.config.gates.champion.rules
        ]
        return [*found, *on_base(self, inputs, inputs.config.gates.champion.rules)]

    def _one(self, metric: str, ours: Scored, theirs: Scored, level: float, details: Mapping[str, Any]) -> Measurement:
        try:
            _check_rows(metric, ours)
            found = compare(metric, ours, theirs, level)
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


def _check_rows(metric: str, scored: Scored) -> None:
    if metric not in _RANKINGS:
        return
    rarest = int(np.bincount(scored.label, minlength=len(scored.classes)).min())
    if rarest < OF_EACH_CLASS:
        raise NotMeasured(f"{rarest} rows of the rarest class; to compare rankings, {OF_EACH_CLASS} are needed")
