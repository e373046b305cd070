"""Asks a gate of the test rows of the commit that rules too, where the candidate brings others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from passmuster.errors import NotMeasured
from passmuster.gates import Gate, Inputs
from passmuster.measurement import Failure, Measurement

#: The part of a name before the metric's; rules are found by its last part.
BASE = "base"


def on_base(gate: Gate, inputs: Inputs, names: Iterable[str]) -> list[Measurement]:
    """Return what `gate` measures on the base's rows, under names of their own; nothing where the rows are the same.

    What can't be measured there takes nothing from what was measured on the candidate's rows.
    """
    if inputs.base is None:
        return []
    try:
        found = list(gate.measure(inputs.base))
    except NotMeasured as exc:
        found = [Failure(gate=gate.name, name=name, reason=str(exc)) for name in names]
    return [replace(one, name=f"{BASE}::{one.name}", details=_told(one)) for one in found]


def _told(one: Measurement) -> dict[str, object]:
    """Return the details, without the curves: the report plots those of the candidate's rows."""
    return {key: value for key, value in one.details.items() if key != "curves"} | {"split": BASE}
