"""Gate `evaluation`: what Deepchecks finds in the predictions: train against test, drift, calibration, segments."""

from __future__ import annotations

from passmuster_checks._deepchecks_gate import DeepchecksGate


class Evaluation(DeepchecksGate):
    """Deepchecks' model evaluation on precomputed predictions."""

    name = "evaluation"
