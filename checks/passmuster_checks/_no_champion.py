"""What a gate says of a comparison where nothing can be compared, though it can measure the candidate alone."""

from __future__ import annotations

from passmuster.gates import NoChampion
from passmuster.measurement import Failure, Measurement, NotApplicable
from passmuster.verdict import NO_CHAMPION


def uncompared(gate: str, name: str, champion: NoChampion) -> Measurement:
    """Return that the comparison does not apply to a first model, or that the champion could not be scored."""
    if champion.reason == NO_CHAMPION:
        return NotApplicable(gate=gate, name=name, reason=NO_CHAMPION, message=champion.message)
    return Failure(gate=gate, name=name, reason=champion.message)
