"""Gate `environment`: lock, Python and platform of the re-run, against the policy and the champion."""

from __future__ import annotations

from collections.abc import Sequence

from passmuster import digest
from passmuster.gates import Champion, Inputs
from passmuster.measurement import Assertion, Failure, Measurement
from passmuster.verdict import NO_CHAMPION
from passmuster_checks._no_champion import uncompared

FACTS = ("lock", "python", "platform")

#: The lock as it travels inside the model directory.
LOCK = "passmuster.lock"


class Environment:
    """Holds the environment in which the candidate was made to what the policy allows."""

    name = "environment"
    needs = frozenset({"model"})

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return one `Assertion` for each of lock, python and platform."""
        return [self._fact(fact, inputs) for fact in FACTS]

    def _fact(self, fact: str, inputs: Inputs) -> Measurement:
        settings = inputs.config.gates.environment
        ours = inputs.environment.get(fact)
        if not isinstance(ours, str) or not ours:
            return Failure(gate=self.name, name=fact, reason=f"the re-run did not record its {fact}")
        if trouble := _against_policy(fact, ours, inputs):
            return Assertion(gate=self.name, name=fact, holds=False, message=trouble)
        must_be_equal = fact in settings.same_as_champion
        if not isinstance(inputs.champion, Champion):
            if must_be_equal and inputs.champion.reason != NO_CHAMPION:
                return uncompared(self.name, fact, inputs.champion)
            return Assertion(
                gate=self.name, name=fact, holds=True, message=f"{ours}; there is no champion to compare with"
            )
        theirs = inputs.champion.environment.get(fact)
        if must_be_equal and not isinstance(theirs, str):
            return Failure(gate=self.name, name=fact, reason=f"the champion's {fact} is not known")
        same = theirs == ours
        return Assertion(
            gate=self.name,
            name=fact,
            holds=same or not must_be_equal,
            message=f"{ours}, as the champion's" if same else f"{ours}; the champion's is {theirs or 'not known'}",
            details={"candidate": ours, "champion": theirs if isinstance(theirs, str) else None},
        )


def _against_policy(fact: str, value: str, inputs: Inputs) -> str:
    """Return what the policy has against `value`, or nothing."""
    settings = inputs.config.gates.environment
    if fact == "lock":
        lock = inputs.model / LOCK
        if lock.is_symlink() or not lock.is_file():
            return f"the model directory holds no {LOCK}, so it can't be served in the environment that it was made in"
        inside = digest.of_file(lock)
        return "" if inside == value else f"{LOCK} in the model directory is {inside}, the re-run's lock is {value}"
    if fact == "python":
        return (
            ""
            if not settings.python or any(_is_of(value, one) for one in settings.python)
            else _not_one(value, settings.python)
        )
    return "" if not settings.platform or value in settings.platform else _not_one(value, settings.platform)


def _is_of(version: str, prefix: str) -> bool:
    parts = prefix.split(".")
    return version.split(".")[: len(parts)] == parts


def _not_one(value: str, allowed: Sequence[str]) -> str:
    return f"{value} is not one of {', '.join(allowed)}"
