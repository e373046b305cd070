"""Gate `decision`: what is decided at the deployed threshold, by itself and against the champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.gates import Champion, Inputs
from passmuster.measurement import Estimate, Failure, Measurement, NotApplicable
from passmuster_checks import _data
from passmuster_checks._no_champion import uncompared
from passmuster_checks.statistics import Scored
from passmuster_checks.statistics.decisions import Prices, compare_decision, estimate_decision


class Decision:
    """Measures what the config has an absolute limit or a rule against the champion for."""

    name = "decision"
    needs = frozenset({"data", "predictions"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return an `Estimate` for each limit (`recall_score`) and each rule (`champion::recall_score`)."""
        if inputs.config.task is not Task.BINARY:
            message = "a threshold decides between two classes"
            return [NotApplicable(gate=self.name, name=self.name, reason="wrong-task", message=message)]
        settings = inputs.config.gates.decision
        own = [self._own(name, inputs) for name in settings.limits]
        return [*own, *(self._compared(name, inputs) for name in settings.rules)]

    def _own(self, name: str, inputs: Inputs) -> Measurement:
        try:
            scored = decided(_data.candidate(inputs).scored, inputs.config.gates.decision.threshold)
            found = estimate_decision(name, scored, _prices(inputs), inputs.config.policy.confidence)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=name, reason=str(exc))
        return Estimate(
            gate=self.name,
            name=name,
            value=found.value,
            n=found.n,
            interval=found.interval,
            standard_error=found.standard_error,
            details={**_about(inputs), "confusion": _confusion(scored)},
        )

    def _compared(self, metric: str, inputs: Inputs) -> Measurement:
        name = f"champion::{metric}"
        if not isinstance(inputs.champion, Champion):
            return uncompared(self.name, name, inputs.champion)
        threshold = inputs.config.gates.decision.threshold
        try:
            ours, theirs, left_out = _data.pair(inputs)
            candidate, champion = decided(ours.scored, threshold), decided(theirs.scored, threshold)
            found = compare_decision(metric, candidate, champion, _prices(inputs), inputs.config.policy.confidence)
        except NotMeasured as exc:
            return Failure(gate=self.name, name=name, reason=str(exc))
        confusion = {"candidate": _confusion(candidate), "champion": _confusion(champion)}
        return Estimate(
            gate=self.name,
            name=name,
            value=found.difference,
            n=found.n,
            interval=found.interval,
            candidate=found.candidate,
            champion=found.champion,
            standard_error=found.standard_error,
            details={**_about(inputs), "left_out": left_out, "confusion": confusion},
        )


def decided(scored: Scored, threshold: float | None) -> Scored:
    """Return the answers as they are decided: positive from `threshold` on; None: as the model predicts.

    Raises:
        NotMeasured: there are no probabilities to hold against a threshold.
    """
    if threshold is None:
        return scored
    if scored.probabilities is None or scored.positive is None:
        raise NotMeasured("a threshold needs the positive class's probability, and the model gives none")
    positive = scored.probabilities[:, scored.positive] >= threshold
    return replace(scored, prediction=np.where(positive, scored.positive, 1 - scored.positive))


def _prices(inputs: Inputs) -> Prices:
    costs = inputs.config.gates.decision.costs
    return Prices(false_positive=costs.false_positive, false_negative=costs.false_negative)


def _about(inputs: Inputs) -> dict[str, Any]:
    threshold = inputs.config.gates.decision.threshold
    return {"split": _data.TEST, "threshold": "as the model predicts" if threshold is None else threshold}


def _confusion(scored: Scored) -> dict[str, int]:
    true, taken = scored.label == scored.positive, scored.prediction == scored.positive
    return {
        "true_positive": int((true & taken).sum()),
        "false_positive": int((~true & taken).sum()),
        "false_negative": int((true & ~taken).sum()),
        "true_negative": int((~true & ~taken).sum()),
    }
