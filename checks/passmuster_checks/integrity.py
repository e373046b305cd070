"""Gate `integrity`: what Deepchecks finds in train and test by themselves: duplicates, contradictions, leaks."""

from __future__ import annotations

from passmuster_checks._deepchecks_gate import DeepchecksGate


class Integrity(DeepchecksGate):
    """Deepchecks' data integrity checks on train and test."""

    name = "integrity"
