"""Gate `deepchecks`: the checks of Deepchecks that the policy names, run in a process and environment of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from passmuster.gates import Inputs
from passmuster.measurement import Measurement
from passmuster_checks.deepchecks import client


class Deepchecks:
    """One measurement for each check."""

    name = "deepchecks"
    needs: ClassVar[frozenset[str]] = frozenset({"data", "predictions"})

    def prepare(self, inputs: Inputs) -> None:  # noqa: ARG002  the protocol's
        """Make Deepchecks' environment, which may take minutes the first time."""
        client.environment()

    def measure(self, inputs: Inputs) -> Sequence[Measurement]:
        """Return what each check found, or why it could not be run."""
        with client.start(client.request_for(inputs), folder=inputs.workspace) as running:
            return [client.measurement(answer) for answer in running.answers()]
