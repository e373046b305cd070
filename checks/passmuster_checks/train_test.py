"""Gate `train-test`: what Deepchecks finds in train against test: leakage, new categories and labels, drift."""

from __future__ import annotations

from passmuster_checks._deepchecks_gate import DeepchecksGate


class TrainTest(DeepchecksGate):
    """Deepchecks' comparison of train and test."""

    name = "train-test"
