"""Tells GitHub of a promotion as a deployment to an environment; the ledger decides, this only shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from passmuster.errors import PassmusterError, Unavailable
from passmuster.progress import Progress
from passmuster.swap import Result


class Deployments(Protocol):
    """What is asked of GitHub."""

    def create_deployment(
        self, sha: str, environment: str, *, task: str, payload: Mapping[str, Any], description: str = ""
    ) -> int:
        """Say that a commit is deployed to an environment, and return the deployment's id."""

    def set_deployment_status(self, deployment_id: int, state: str, *, description: str = "") -> None:
        """Say how a deployment goes."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One promotion, as GitHub shows it."""

    github: Deployments
    environment: str
    model: str
    commit: str
    progress: Progress

    def of(self, promote: Callable[[], Result]) -> Result:
        """Promote, and let GitHub know before and after.

        What GitHub does not take neither keeps anybody from promoting nor undoes it.

        Raises:
            Unavailable: it was promoted, and GitHub could not be told; the same call tells it.
            PassmusterError: as `promote` raises it.
        """
        ident = self._begun()
        try:
            result = promote()
        except PassmusterError as exc:
            said = str(exc)
            if ident is not None:
                self._quietly(lambda: self._says(ident, "failure", said))
            raise
        try:
            self._says(self._created() if ident is None else ident, "success", result.said)
        except PassmusterError as exc:
            raise Unavailable(
                f"{result}\nthis stands; but GitHub could not be told of the deployment to {self.environment!r} "
                f"({exc}); run the same again"
            ) from exc
        return result

    def _begun(self) -> int | None:
        def begin() -> int:
            ident = self._created()
            self._says(ident, "in_progress", "")
            return ident

        return self._quietly(begin)

    def _created(self) -> int:
        return self.github.create_deployment(
            self.commit,
            self.environment,
            task=f"promote:{self.model}",
            payload={"model": self.model},
            description=f"{self.model} becomes champion",
        )

    def _says(self, ident: int, state: str, said: str) -> None:
        self.github.set_deployment_status(ident, state, description=" ".join(said.split())[:140])

    def _quietly(self, tell: Callable[[], int | None]) -> int | None:
        try:
            return tell()
        except PassmusterError as exc:
            self.progress.step(f"GitHub was not told of the deployment to {self.environment!r}: {exc}")
            return None
