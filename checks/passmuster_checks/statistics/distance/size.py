"""Sizes of effects: what a distance is, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from scipy import special

from passmuster.errors import NotMeasured, UsageError
from passmuster.measurement import Interval
from passmuster.planning import POWER
from passmuster_checks.statistics.distance.intervals import Method


@dataclass(frozen=True, kw_only=True)
class Size:
    """One size of an effect; 0 where both distributions are equal (1 for `share_ratio`).

    Raises:
        NotMeasured: the value is not a finite number.
    """

    name: str
    value: float  #: of the samples
    n_base: int  #: rows that it was measured on
    n_current: int
    standard_error: float | None = None  #: by the delta method, where it is meaningful; no help near the value's edge
    resolution: float = 0.0  #: how far off the value of the rows themselves may be, where only bins of them are known
    category: int | None = None  #: of `share_ratio`: whose ratio it is; as many as there are categories: null's
    method: Method | None = field(default=None, repr=False)
    no_interval: str = ""  #: for people: why there is none

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise NotMeasured(
                f"{self.name}: its value is {self.value!r}; are there numbers too large to be subtracted?"
            )

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return an interval of the populations' distance, at a level that was shown to hold; None where there is none.

        Raises:
            UsageError: `level` outside (0, 1).
        """
        if not 0 < level < 1:
            raise UsageError(f"a level of {level!r} is not between 0 and 1; 0.95 is usual")
        if self.method is None:
            return None
        low, high = self.method.ends(self.value, (1 - level) / 2)
        return Interval(low=low, high=high, level=level, method=self.method.name)

    def smallest_detectable(self, limit: float, level: float) -> float | None:
        """Return the true distance whose interval would lie wholly above `limit` with a chance of about 95 %.

        The lower end is further from the value than a normal quantile of standard errors, which is why
        `passmuster.planning.smallest_detectable` promises too much here.
        """
        interval = self.interval(level)
        if interval is None or self.standard_error is None:
            return None
        return limit + self.value - interval.low + float(special.ndtri(POWER)) * self.standard_error


@dataclass(frozen=True, kw_only=True)
class Distances:
    """All sizes of one column, and why others have no value: nothing is silently left out."""

    sizes: Mapping[str, Size]
    absent: Mapping[str, str] = field(default_factory=dict)  #: the size's name → why it could not be measured
