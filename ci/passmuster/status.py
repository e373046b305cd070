"""Status: every model's champion, since when and by whom, and whether ledger and MLflow agree about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster._table import table
from passmuster.errors import ExitCode, PassmusterError, combine
from passmuster.events import Promotion
from passmuster.ledger import Ledger
from passmuster.registry import Registry
from passmuster.swap import disagreement

if TYPE_CHECKING:
    from passmuster.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where one model stands."""

    model: str
    champion: Promotion | None  #: None: there is none, or, with a `code` that is not OK, it is not known
    problem: str  #: why it is not known, or how MLflow differs; empty: all agrees
    code: ExitCode  #: OK; REFUSED where ledger and MLflow disagree; that of the error where it is not known

    @property
    def agreement(self) -> str:
        """What people are told of ledger and MLflow."""
        if self.code is ExitCode.OK:
            return "agree" if self.champion else "no champion yet"
        return self.problem


def status(root: Path, configs: Iterable[ModelConfig]) -> tuple[Standing, ...]:
    """Return where each model stands; one model's trouble does not hide another's."""
    registry = Registry.of(root)
    return tuple(_standing(root, config, registry) for config in configs)


def code(standings: Sequence[Standing]) -> ExitCode:
    """Return the exit code of all: `OK` only where every ledger was read and MLflow agrees with it."""
    return combine(standing.code for standing in standings)


def _standing(root: Path, config: ModelConfig, registry: Registry) -> Standing:
    champion = None
    try:
        history = Ledger.of(root, config).read()
        champion = history.champion
        name = champion.registry.name if champion else config.registry.name
        problem = disagreement(history, registry.aliases(name))
    except PassmusterError as exc:
        return Standing(model=config.name, champion=champion, problem=str(exc), code=exc.code)
    found = ExitCode.REFUSED if problem else ExitCode.OK
    return Standing(model=config.name, champion=champion, problem=problem, code=found)


def to_json(standings: Sequence[Standing]) -> dict[str, Any]:
    """Return the standings as JSON types."""
    return {"models": [_to_json(standing) for standing in standings]}


def _to_json(standing: Standing) -> dict[str, Any]:
    champion = standing.champion
    return {
        "model": standing.model,
        "champion": None
        if champion is None
        else {
            "version": champion.version,
            "promotion": champion.promotion,
            "since": champion.time,
            "by": champion.who,
            "commit": champion.commit,
            "model_digest": champion.model_digest,
            "mlflow_version": champion.mlflow_version,
        },
        "agrees": standing.code is ExitCode.OK,
        "problem": standing.problem,
    }


def to_text(standings: Sequence[Standing]) -> str:
    """Return the standings as a table; what is wrong, which may be long, stands below it."""
    rows = [
        (s.model, c.version, c.time, c.who, c.commit[:10], _short(s))
        if (c := s.champion)
        else (s.model, "–" if s.code is ExitCode.OK else "?", "", "", "", _short(s))
        for s in standings
    ]
    shown = table("champions", ("model", "champion", "since (UTC)", "by", "commit", "ledger and MLflow"), rows)
    return "\n".join([shown, *(f"\n{s.model}: {s.problem}" for s in standings if s.problem)])


def _short(standing: Standing) -> str:
    return "see below" if standing.problem else standing.agreement
