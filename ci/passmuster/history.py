"""History: who was champion when, and by whose decision, as the ledger tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster import events
from passmuster._table import table
from passmuster.errors import UsageError
from passmuster.events import Promotion, RolledBack
from passmuster.ledger import Ledger

if TYPE_CHECKING:
    from passmuster.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Told:
    """The events that were asked for."""

    model: str
    promotions: tuple[Promotion, ...]  #: oldest first; with `at`, the one that held then, or none
    at: datetime | None
    offline: bool  #: the ledger's remote was not asked, so later events may be missing


def history(root: Path, config: ModelConfig, *, at: datetime | None = None, offline: bool = False) -> Told:
    """Return every promotion and rollback of a model, or who was champion at a time.

    Args:
        root: the checkout.
        config: the model's, for its ledger.
        at: a time with its zone; None: all events.
        offline: read the tags that this clone has, without asking the ledger's remote.

    Raises:
        UsageError: `at` has no time zone.
        Refused: the ledger is not intact.
        Unavailable: its remote did not answer.
    """
    if at is not None and at.tzinfo is None:
        raise UsageError(f"{at.isoformat()} has no time zone; add Z for UTC, or an offset such as +02:00")
    found = Ledger.of(root, config).read(offline=offline)
    held = found.at(at) if at is not None else None
    promotions = found.promotions if at is None else (held,) if held else ()
    return Told(model=config.name, promotions=promotions, at=at, offline=offline)


def to_json(told: Told) -> dict[str, Any]:
    """Return the events as JSON types."""
    return {
        "model": told.model,
        "at": told.at.astimezone(UTC).isoformat() if told.at else None,
        "offline": told.offline,
        "events": [events.to_json(event) for event in told.promotions],
    }


def to_text(told: Told) -> str:
    """Return the events as a table, the newest first."""
    if not told.promotions:
        when = f" at {told.at.isoformat()}" if told.at else ""
        return f"{told.model}: no champion{when}"
    rows = [
        (str(p.promotion), p.time, p.version, p.commit[:10], p.model_digest[7:19], p.who, _what(p))
        for p in reversed(told.promotions)
    ]
    title = f"{told.model}: champions" + (" (as this clone knows them)" if told.offline else "")
    return table(title, ("#", "time (UTC)", "version", "commit", "model", "who", "what"), rows)


def _what(event: Promotion) -> str:
    if isinstance(event, RolledBack):
        return f"rolled back from {event.replaced}: {event.reason}"
    return "promoted" if event.promotion > 1 else "promoted as the first"
