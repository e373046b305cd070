"""What a gate says of a comparison where nothing can be compared, though it can measure the candidate alone."""

from __future__ import annotations

from passmuster.gates import NoChampion
from passmuster.measurement import Failure, Measurement, NotApplicable
from passmuster.verdict import NOT_COMPARED


def uncompared(gate: str, name: str, champion: NoChampion) -> Measurement:
    """Return that the comparison does not apply (a first model, a fork), or that the champion could not be scored."""
    if champion.reason in NOT_COMPARED:
        return NotApplicable(gate=gate, name=name, reason=champion.reason, message=champion.message)
    return Failure(gate=gate, name=name, reason=champion.message)
