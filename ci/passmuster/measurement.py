"""What a gate measured: facts without a judgement.

A gate answers with a list of these; `passmuster.verdict` judges them by the policy's rules. There is no "passed" in an
`Estimate`, and no way to leave a number out: what has no value is a `Failure` or `NotApplicable`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from passmuster.errors import Refused


def _finite(owner: str, **numbers: object) -> None:
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise ValueError(f"{owner}: {name} is {number!r}, not a finite number")


def _named(measurement: Measurement, *texts: object) -> str:
    """Check what all measurements share, which JSON from elsewhere may get wrong; return the name for messages."""
    for text in (measurement.gate, measurement.name, *texts):
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is not a text")
    if not isinstance(measurement.details, Mapping):
        raise ValueError(f"details are {measurement.details!r}, not a mapping")
    return f"{measurement.gate}/{measurement.name}"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval; `low <= high`, both finite."""

    low: float
    high: float
    level: float  #: nominal coverage, in (0, 1)
    method: str  #: e.g. "DeLong", "Wilson", "delta method", "bootstrap"

    def __post_init__(self) -> None:
        _finite("interval", low=self.low, high=self.high, level=self.level)
        if self.low > self.high or not 0 < self.level < 1:
            raise ValueError(f"not an interval: {self.low} to {self.high} at level {self.level}")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number, with its interval where it comes from a sample.

    A comparison carries both sides; then `value` is the difference *signed so that more is better*, whatever the
    metric's own direction, and `interval` is that of the difference.
    """

    kind: ClassVar[str] = "estimate"
    gate: str
    name: str  #: unique within the gate, e.g. "roc_auc_score" or "Job=partime"
    value: float
    n: int  #: rows that the value was computed from
    interval: Interval | None = None  #: None: the value is exact (a count), or no interval with shown coverage exists
    candidate: float | None = None  #: comparisons: the candidate's own value, in the metric's own direction
    champion: float | None = None  #: comparisons: the champion's own value
    standard_error: float | None = None  #: of `value` at `n` rows; gives the rows that would decide
    details: Mapping[str, Any] = field(default_factory=dict)  #: for people and plots; JSON types only

    def __post_init__(self) -> None:
        owner = _named(self)
        optional = {"candidate": self.candidate, "champion": self.champion, "standard_error": self.standard_error}
        _finite(owner, value=self.value, **{name: value for name, value in optional.items() if value is not None})
        if type(self.n) is not int or self.n < 1:
            raise ValueError(f"{owner}: measured on {self.n!r} rows")
        if not (self.interval is None or isinstance(self.interval, Interval)):
            raise ValueError(f"{owner}: interval is {self.interval!r}")


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """A yes or no that needs no limit: a contract that holds or not, a test, a condition of Deepchecks."""

    kind: ClassVar[str] = "assertion"
    gate: str
    name: str
    holds: bool
    message: str  #: what was found, for people
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = _named(self, self.message)
        if not isinstance(self.holds, bool):
            raise ValueError(f"{owner}: holds is {self.holds!r}, not a bool")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """It could not be measured; never reads as a pass."""

    kind: ClassVar[str] = "failure"
    gate: str
    name: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _named(self, self.reason)


@dataclass(frozen=True, kw_only=True)
class NotApplicable:
    """It does not apply; becomes `skipped` only where the policy accepts `reason`, else an error."""

    kind: ClassVar[str] = "not-applicable"
    gate: str
    name: str
    reason: str  #: a short code that the policy can name, e.g. "no-champion", "no-time-column"
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _named(self, self.reason, self.message)


Measurement = Estimate | Assertion | Failure | NotApplicable

_KINDS: dict[str, type[Estimate | Assertion | Failure | NotApplicable]] = {
    cls.kind: cls for cls in (Estimate, Assertion, Failure, NotApplicable)
}


def to_json(measurement: Measurement) -> dict[str, Any]:
    """Return the measurement as JSON types; `from_json(to_json(m)) == m`."""
    answer: dict[str, Any] = {"kind": measurement.kind}
    for item in fields(measurement):
        value = getattr(measurement, item.name)
        if isinstance(value, Interval):
            value = {f.name: getattr(value, f.name) for f in fields(value)}
        elif isinstance(value, Mapping):
            value = dict(value)
        answer[item.name] = value
    return answer


def from_json(answer: Mapping[str, Any]) -> Measurement:
    """Return the measurement that `answer` holds.

    Raises:
        Refused: it is not a measurement: unknown kind, a missing or unknown field, a number that is not finite.
    """
    values = dict(answer)
    cls = _KINDS.get(str(values.pop("kind", None)))
    if cls is None:
        raise Refused(f"not a measurement: kind {answer.get('kind')!r}")
    try:
        if isinstance(values.get("interval"), Mapping):
            values["interval"] = Interval(**values["interval"])
        return cls(**values)
    except (TypeError, ValueError) as exc:
        raise Refused(f"not a measurement: {exc}") from exc
