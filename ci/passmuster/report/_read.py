"""Records read tolerantly, where nothing is decided by what they hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard


def mapping(raw: Any) -> Mapping[str, Any]:
    """Return `raw` where it is a mapping, else an empty one: records are read tolerantly where nothing is decided."""
    return raw if isinstance(raw, Mapping) else {}


def is_number(raw: Any) -> TypeGuard[float]:
    """Whether `raw` is a finite number that can be drawn."""
    return isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw) and abs(raw) < 1e15
