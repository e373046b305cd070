"""What a check found: whether it is whole, and as much of it as a person would read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from ._trouble import Trouble, names

#: Characters of a check's value that an answer carries.
VALUE_SIZE = 8_000


def refuse_unmeasured(name: str, where: str, value: Any) -> None:
    """Raise `Trouble` where the value has a hole that Deepchecks' conditions would let through."""
    place = f"{where}: " if where else ""
    if name == "IsSingleValue" and (empty := [column for column, distinct in value.items() if distinct == 0]):
        raise Trouble("not-a-number", f"{place}nothing but missing values in {names(empty)}")
    if holes := sorted(set(_holes(value, ""))):
        raise Trouble("not-a-number", f"{place}no value for {names(hole or 'the result' for hole in holes)}")


def _holes(value: Any, path: str) -> Iterator[str]:
    import numpy as np
    import pandas as pd

    if isinstance(value, (pd.DataFrame, pd.Series)):
        value = value.to_dict()
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "Drift score" and inner is None:  # too few values that are not missing
                yield path
            elif key != "feature_importance":  # of Deepchecks' own; there is no model to have it from
                yield from _holes(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        if np.isnan(value).any():
            yield path
    elif isinstance(value, (list, tuple, np.ndarray)):
        for inner in value:
            yield from _holes(inner, path)
    elif isinstance(value, (float, np.floating)) and math.isnan(value):
        yield path


def shortened(value: Any) -> Any:
    """Return `value` as JSON types, cut to what a person would read; `None` where even that is too long."""
    short = _plain(value, 4)
    return short if len(json.dumps(short)) <= VALUE_SIZE else None


def _plain(value: Any, depth: int) -> Any:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        value = value.head(20).astype(object).reset_index(allow_duplicates=True).to_dict("records")
    elif isinstance(value, pd.Series):
        value = value.to_dict()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {str(k)[:100]: _plain(v, depth - 1) for k, v in list(value.items())[:100]}
    if isinstance(value, (list, tuple, set)):
        return [_plain(inner, depth - 1) for inner in list(value)[:20]]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, (bool, int)) else str(value)[:200]
