"""What the three gates of Deepchecks share: one run of its process, asked once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster.measurement import Measurement
from passmuster_checks.deepchecks import client

#: model digest → what Deepchecks said of that candidate; gates in one process share it.
_ANSWERS: dict[str, list[client.Answer]] = {}


class DeepchecksGate:
    """A gate whose measurements are Deepchecks' checks, run in its own process and environment."""

    name: str
    needs: ClassVar[frozenset[str]] = frozenset({"data", "predictions"})

    def prepare(self, inputs: Inputs) -> None:  # noqa: ARG002  the protocol's
        """Make Deepchecks' environment, which may take minutes the first time."""
        client.environment()

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return one measurement for each check that the policy names for this gate."""
        if inputs.digest not in _ANSWERS:
            _ANSWERS[inputs.digest] = _ask(inputs, inputs.workspace)
        found = [client.measurement(answer) for answer in _ANSWERS[inputs.digest] if answer.gate == self.name]
        if not found:
            raise NotMeasured(f"Deepchecks was asked for no check of gate {self.name!r}")
        return found


def _ask(inputs: Inputs, folder: Path) -> list[client.Answer]:
    with client.start(client.request_for(inputs), folder=folder) as running:
        return running.answers()
