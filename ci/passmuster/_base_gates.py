"""What the gates are asked of the base's test rows, and what it means where nobody can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from passmuster.gates import Champion, Inputs
from passmuster.measurement import Failure, Measurement
from passmuster.policy import PART, GatePolicy, Policy

#: What `score` leaves for them: the rows, the answers, and the ids that the champion was trained on.
FILES = ("data", "candidate", "champion", "leave_out")

#: What stands before the names of what is measured on them.
BASE = f"base{PART}"

#: The gates that are asked, those first that need no champion.
ALONE, AGAINST_CHAMPION = "performance", "champion"

_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class BaseRows:
    """The test rows of the commit that rules, where they are not the candidate's, or are not known."""

    commit: str
    files: Mapping[str, Path] = field(default_factory=dict)  #: of `FILES`; those that there are
    message: str = ""  #: why they are not known; then nothing is measured on them, which is an error

    def asked_of(self, policy: Policy, *, compared: bool) -> Policy:
        """Return the policy that expects an answer on these rows too, from each gate that gives one on its own."""
        asked = (ALONE, AGAINST_CHAMPION) if compared else (ALONE,)
        return replace(policy, gates=tuple(_more(gate) if gate.gate in asked else gate for gate in policy.gates))

    def beside(self, inputs: Inputs) -> Inputs:
        """Return what gates may look at, with these rows."""
        if self.message:
            return inputs
        champion = inputs.champion
        if isinstance(champion, Champion):
            left_out = {_SPLIT: self.files["leave_out"]} if "leave_out" in self.files else {}
            champion = replace(champion, predictions={_SPLIT: self.files["champion"]}, leave_out=left_out)
        base = replace(
            inputs, data={_SPLIT: self.files["data"]}, predictions={_SPLIT: self.files["candidate"]}, champion=champion
        )
        return replace(inputs, base=base)

    def failures(self, policy: Policy, found: Sequence[Measurement]) -> list[Measurement]:
        """Return an error for each answer that can't be given."""
        silent = {m.gate for m in found if m.name == m.gate}  # the gate as a whole did not measure, and says so
        return [
            Failure(gate=gate.gate, name=name, reason=self.message)
            for gate in policy.gates
            if self.message and gate.gate not in silent
            for name in gate.expected
            if name.startswith(BASE)
        ]


def _more(gate: GatePolicy) -> GatePolicy:
    return replace(gate, expected=(*gate.expected, *(f"{BASE}{name}" for name in gate.expected)))
