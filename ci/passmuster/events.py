"""The ledger's events: what happened to a model in production, named in the past tense.

An event is one JSON text, the message of one annotated tag. It is hostile until parsed: whoever can push a tag can
write one, so its size, keys, types and characters are checked before anything is believed or shown.

Law, tested: `parse(text(event)) == event`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from passmuster import digest
from passmuster.errors import Refused

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

#: Bytes of one event; the largest honest one has a few kilobytes.
SIZE_LIMIT = 64 * 1024

#: What an event holds of the targets: how many, characters of one, and of all.
_TARGETS, _TARGET, _ALL_TARGETS = 200, 500, 60_000

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Where MLflow keeps a version, and what was registered there."""

    name: str  #: the registered model's name
    mlflow_version: str  #: MLflow's own number
    run_id: str  #: the MLflow run that holds records, report and model directory
    uri: str  #: the tracking server, without credentials


@dataclass(frozen=True, kw_only=True)
class Event:
    """What all events say."""

    kind: ClassVar[str]
    nonce: str  #: 32 hex digits; makes two events of the same second and content different
    time: str  #: UTC, ISO 8601, whole seconds; in the ledger's order also the order of time
    who: str  #: the GitHub actor, else git's identity
    model: str  #: the model's name in `model-configs/`
    version: str  #: the ledger's own number of the version, e.g. "v3"
    commit: str  #: 40 hex digits
    model_digest: str  #: of the MLflow model directory
    evidence: Mapping[str, str]  #: "input", "reproduce", "score", "gate" → digest
    registry: Registration
    targets: tuple[str, ...]  #: the DVC targets that make the model, as `named` gives them
    environment: Mapping[str, Any] = field(default_factory=dict)  #: of the re-run: lock, python, platform
    previous: str | None  #: digest of the event before of the same sort; None: this is the first

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", named(self.targets))

    @property
    def tag(self) -> str:
        """The name of the tag that holds this event."""
        raise NotImplementedError

    @property
    def sentence(self) -> str:
        """What people are told."""
        raise NotImplementedError

    @property
    def digest(self) -> str:
        """The digest of the event; the next event names it."""
        return digest.of_json(to_json(self))

    @property
    def when(self) -> datetime:
        """The event's time."""
        return datetime.strptime(self.time, _TIME).replace(tzinfo=UTC)

    @property
    def number(self) -> int:
        """The number N of version vN."""
        return int(self.version.removeprefix("v"))

    @property
    def input(self) -> str:
        """The digest of all that the candidate follows from: code, data, parameters, lock, config."""
        return self.evidence["input"]

    @property
    def mlflow_version(self) -> str:
        """MLflow's own number of the version."""
        return self.registry.mlflow_version


@dataclass(frozen=True, kw_only=True)
class Registered(Event):
    """A version came to be: tag `<model>@v<N>.0.0`."""

    kind: ClassVar[str] = "Registered"

    @property
    def tag(self) -> str:
        """The name of the tag that holds this event."""
        return f"{self.model}@{self.version}.0.0"

    @property
    def sentence(self) -> str:
        """What people are told."""
        return f"{self.who} registered {self.model} {self.version} (commit {self.commit[:10]})"


@dataclass(frozen=True, kw_only=True)
class Promotion(Event):
    """A version became champion: tag `<model>#champion#<k>`."""

    promotion: int  #: k, counted from 1 over promotions and rollbacks

    @property
    def tag(self) -> str:
        """The name of the tag that holds this event."""
        return f"{self.model}#champion#{self.promotion}"


@dataclass(frozen=True, kw_only=True)
class Promoted(Promotion):
    """A new version became champion."""

    kind: ClassVar[str] = "Promoted"
    first: bool  #: there was no champion to compare with

    @property
    def sentence(self) -> str:
        """What people are told."""
        how = "the first champion; nothing was compared" if self.first else f"promotion {self.promotion}"
        return f"{self.who} promoted {self.model} {self.version} ({how})"


@dataclass(frozen=True, kw_only=True)
class RolledBack(Promotion):
    """An earlier champion became champion again."""

    kind: ClassVar[str] = "RolledBack"
    replaced: str  #: the version that was champion before
    reason: str

    @property
    def sentence(self) -> str:
        """What people are told."""
        return f"{self.who} rolled {self.model} back from {self.replaced} to {self.version}: {self.reason}"


_KINDS: Mapping[str, type[Event]] = {cls.kind: cls for cls in (Registered, Promoted, RolledBack)}


def now(after: Event | None = None) -> str:
    """Return the time for a new event: the present second, but later than that of the event `after`.

    Readers order events by time (`gto` does), so two of the same second, or a clock that lags, must not swap them.
    """
    present = int(datetime.now(UTC).timestamp())
    if after is not None:
        present = max(present, int(after.when.timestamp()) + 1)
    return datetime.fromtimestamp(present, UTC).strftime(_TIME)


def named(targets: Sequence[str]) -> tuple[str, ...]:
    """Return `targets` as an event names them: as they are, where they fit into one.

    Else a long one by its beginning and its digest, and those beyond the largest number by one digest of them all.
    Law, tested: `named(named(targets)) == named(targets)`.
    """
    fit = len(targets) <= _TARGETS and all(len(one) <= _TARGET for one in targets)
    if fit and sum(map(len, targets)) <= _ALL_TARGETS:
        return tuple(targets)
    short = [one if len(one) <= 150 else f"{one[:70]}… {digest.of_json(one)}" for one in targets]
    if len(short) > _TARGETS:
        rest = short[_TARGETS - 1 :]
        short[_TARGETS - 1 :] = [f"and {len(rest)} more: {digest.of_json(rest)}"]
    return tuple(short)


def to_json(event: Event) -> dict[str, Any]:
    """Return the event as JSON types."""
    from dataclasses import asdict

    values = asdict(event)
    return {"event": event.kind, "format": 1, **values, "targets": list(event.targets)}


def text(event: Event) -> str:
    """Return the one text of an event: canonical JSON on one line."""
    return digest.canonical(to_json(event)).decode()


def parse(content: str) -> Event:
    """Return the event that a tag's message holds.

    Raises:
        Refused: it is too large, not JSON, or not an event of a known kind and format.
    """
    if len(content) > SIZE_LIMIT:
        raise Refused(f"an event of more than {SIZE_LIMIT} characters")
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"not an event: {exc}") from exc
    cls = _KINDS.get(str(raw.get("event"))) if isinstance(raw, dict) else None
    if cls is None:
        raise Refused("not an event of a kind that this version of passmuster knows")
    for error in _validator(cls.kind).iter_errors(raw):
        raise Refused(f"not an event: {'.'.join(map(str, error.path)) or cls.kind}: {error.message[:200]}")
    values = {key: value for key, value in raw.items() if key not in ("event", "format")}
    values["registry"] = Registration(**values["registry"])
    values["targets"] = tuple(values["targets"])
    event = cls(**values)
    try:
        event.when  # noqa: B018  a date such as February 30 has the right form and is none
    except ValueError as exc:
        raise Refused(f"not an event: {exc}") from exc
    return event


@cache
def _validator(kind: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_schema(kind))


#: Control characters, line separators and marks that turn the direction of text could fake lines on a terminal.
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*$"


def _line(limit: int, pattern: str = _PLAIN) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": limit, "pattern": pattern}


_DIGEST = _line(71, r"^sha256:[0-9a-f]{64}\Z")
_VERSION = _line(10, r"^v[1-9][0-9]{0,8}\Z")
_OWN: Mapping[str, Mapping[str, Any]] = {
    "Registered": {},
    "Promoted": {"promotion": {"type": "integer", "minimum": 1}, "first": {"type": "boolean"}},
    "RolledBack": {
        "promotion": {"type": "integer", "minimum": 2},
        "replaced": _VERSION,
        "reason": _line(1000),
    },
}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(kind: str) -> dict[str, Any]:
    return _object(
        {
            "event": {"const": kind},
            "format": {"const": 1},
            "nonce": _line(32, r"^[0-9a-f]{32}\Z"),
            "time": _line(20, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z"),
            "who": _line(200),
            "model": _line(230),
            "version": _VERSION,
            "commit": _line(40, r"^[0-9a-f]{40}\Z"),
            "model_digest": _DIGEST,
            "evidence": _object(dict.fromkeys(("input", "reproduce", "score", "gate"), _DIGEST)),
            "registry": _object(
                {
                    "name": _line(250),
                    "mlflow_version": _line(20, r"^[1-9][0-9]*\Z"),
                    "run_id": _line(100, r"^[0-9A-Za-z_-]+\Z"),
                    "uri": _line(1000),
                }
            ),
            "targets": {"type": "array", "items": _line(_TARGET), "minItems": 1, "maxItems": _TARGETS},
            "environment": {
                "type": "object",
                "maxProperties": 20,
                "propertyNames": _line(50),
                "additionalProperties": {"anyOf": [_line(200), {"type": ["integer", "null"]}]},
            },
            "previous": {"anyOf": [_DIGEST, {"type": "null"}]},
            **_OWN[kind],
        }
    )
