"""Gate `calibration`: whether probabilities are the shares that come true, and no worse than the champion's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.gates import Champion, Inputs
from passmuster.measurement import Estimate, Failure, Measurement, NotApplicable
from passmuster.planning import simultaneous
from passmuster_checks import _data
from passmuster_checks._no_champion import uncompared
from passmuster_checks.statistics.calibration import Reliability, compare_error, estimate_error, reliability

ERROR = "expected_calibration_error"
COMPARED = f"champion::{ERROR}"


class Calibration:
    """Measures the expected calibration error on all test rows, and its difference from the champion's."""

    name = "calibration"
    needs = frozenset({"data", "predictions"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return two `Estimate`s: the error, more is worse; the champion's minus the candidate's, more is better."""
        if inputs.config.task is Task.REGRESSION:
            return [NotApplicable(gate=self.name, name=self.name, reason="wrong-task", message="there are no classes")]
        compares = isinstance(inputs.champion, Champion)
        level = simultaneous(inputs.false_alarms, 1 + compares)
        return [self._own(inputs, level), self._compared(inputs, level)]

    def _own(self, inputs: Inputs, level: float) -> Measurement:
        try:
            found = reliability(_data.candidate(inputs).scored, inputs.config.gates.calibration.bins)
            measured = estimate_error(found, level)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=ERROR, reason=str(exc))
        return Estimate(
            gate=self.name,
            name=ERROR,
            value=measured.value,
            n=measured.n,
            interval=measured.interval,
            standard_error=measured.standard_error,
            details={**_about(inputs), "reliability": {"candidate": _curve(found, inputs)}, "brier": _parts(found)},
        )

    def _compared(self, inputs: Inputs, level: float) -> Measurement:
        if not isinstance(inputs.champion, Champion):
            return uncompared(self.name, COMPARED, inputs.champion)
        try:
            ours, theirs, left_out = _data.pair(inputs)
            bins = inputs.config.gates.calibration.bins
            found = {"candidate": reliability(ours.scored, bins), "champion": reliability(theirs.scored, bins)}
            measured = compare_error(found["candidate"], found["champion"], level)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=COMPARED, reason=str(exc))
        return Estimate(
            gate=self.name,
            name=COMPARED,
            value=measured.difference,
            n=measured.n,
            interval=measured.interval,
            candidate=measured.candidate,
            champion=measured.champion,
            standard_error=measured.standard_error,
            details={
                **_about(inputs),
                "left_out": left_out,
                "reliability": {model: _curve(each, inputs) for model, each in found.items()},
                "brier": {model: _parts(each) for model, each in found.items()},
            },
        )


def _about(inputs: Inputs) -> dict[str, Any]:
    positive = inputs.config.data.positive
    return {"split": _data.TEST, "probability_of": "the likeliest class" if positive is None else positive}


def _curve(found: Reliability, inputs: Inputs) -> list[list[float]]:
    return found.curve(inputs.config.policy.confidence)


def _parts(found: Reliability) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in found.brier()._asdict().items()}
