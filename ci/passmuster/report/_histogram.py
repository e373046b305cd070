"""Two small histograms of one column, one above the other; what is malformed is not drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from passmuster.report import _plot
from passmuster.verdict import number

#: Most bars of a histogram.
MOST_BARS = 60

_WIDTH, _HEIGHT, _GAP = 170, 26, 4
_MISSING = 12  # width of the bar of missing values


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Two samples in the same bars; all numbers are shares of their sample's rows."""

    edges: tuple[float, ...]  #: one more than bars; () of categories
    categories: tuple[str, ...]  #: one for each bar; () of numbers
    base: tuple[float, ...]
    current: tuple[float, ...]
    missing: tuple[float, float]  #: rows without a value


def histogram(raw: Any) -> Histogram | None:
    """Return what a gate left in `details["histogram"]`, or None where that is malformed or holds no row."""
    if not isinstance(raw, Mapping):
        return None
    base, current = _rows(raw.get("base")), _rows(raw.get("current"))
    missing = _rows(raw.get("missing", [0, 0]))
    edges, categories = raw.get("edges", ()), raw.get("categories", ())
    if not base or not current or len(base) != len(current) or len(missing or ()) != 2:
        return None
    named = isinstance(categories, (list, tuple)) and len(categories) == len(base)
    named = named and all(isinstance(name, str) for name in categories)
    cut = isinstance(edges, (list, tuple)) and len(edges) == len(base) + 1
    cut = cut and all(_is_number(edge) for edge in edges) and list(edges) == sorted(edges)
    if not (named or cut) or missing is None:
        return None
    totals = [sum(rows) + none for rows, none in zip((base, current), missing, strict=True)]
    if not all(totals):
        return None
    return Histogram(
        edges=tuple(edges) if cut else (),
        categories=() if cut else tuple(categories),
        base=tuple(rows / totals[0] for rows in base),
        current=tuple(rows / totals[1] for rows in current),
        missing=(missing[0] / totals[0], missing[1] / totals[1]),
    )


def _rows(raw: Any) -> list[float] | None:
    if not isinstance(raw, list) or not 0 < len(raw) <= MOST_BARS:
        return None
    return [float(x) for x in raw] if all(_is_number(x) and x >= 0 for x in raw) else None


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) and abs(x) < 1e300


def draw(found: Histogram, title: str, names: tuple[str, str]) -> Markup:
    """Return both as one SVG of 170 × 56, base above current on one axis; `names` are what they are called."""
    highest = max(*found.base, *found.current, *found.missing)
    parts = []
    for place, side in enumerate(("base", "current")):
        bottom = (_HEIGHT + _GAP) * place + _HEIGHT
        shares, missing = (found.base, found.current)[place], found.missing[place]
        parts.append(f'<path class="{side}" d="{_bars(shares, highest, bottom, gaps=bool(found.categories))}"/>')
        if any(found.missing):
            left = _WIDTH - _MISSING
            parts.append(f'<path class="none" d="{_bar(left, _MISSING, missing / highest, bottom)}"/>')
        parts.append(f'<path class="ground" d="M0 {bottom}.5h{_WIDTH}"/>')
    return _plot.svg(_WIDTH, 2 * _HEIGHT + _GAP + 1, "".join(parts), title, described(found, names), css="pair")


def _bars(shares: Sequence[float], highest: float, bottom: int, *, gaps: bool) -> str:
    wide = (_WIDTH - 2 * _MISSING) / len(shares)
    gap = min(2.0, wide / 4) if gaps else 0.0
    return "".join(_bar(i * wide, wide - gap, share / highest, bottom) for i, share in enumerate(shares) if share > 0)


def _bar(left: float, width: float, share: float, bottom: int) -> str:
    tall = max(share * _HEIGHT, 0.6) if share > 0 else 0.0  # a few rows are not none
    return f"M{left:.4g} {bottom}v-{tall:.3g}h{width:.4g}v{tall:.3g}z" if tall else ""


def described(found: Histogram, names: tuple[str, str]) -> str:
    """Return the histograms in a sentence, for those who don't see them."""
    base, current = names
    if found.edges:
        middles = (_middle(found.edges, shares) for shares in (found.base, found.current))
        between = f"between {_edge(found.edges[0])} and {_edge(found.edges[-1])}"
        said = f"{base} around the middle of {next(middles)}, {current} of {next(middles)}"
        parts = [f"{between}: {said}"]
    else:
        parts = [f"{name}: {base} {_percent(a)}, {current} {_percent(b)}" for name, a, b in moved(found)[:3]]
    if any(found.missing):
        parts.append(f"missing: {base} {_percent(found.missing[0])}, {current} {_percent(found.missing[1])}")
    return "; ".join(parts)


def caption(found: Histogram) -> str:
    """Return what stands below the histograms: the range of numbers, or the category that moved most."""
    if found.edges:
        text = f"{_edge(found.edges[0])} … {_edge(found.edges[-1])}"
    else:
        name, base, current = moved(found)[0]
        text = f"{name} {_percent(base)} → {_percent(current)}"
    if max(found.missing) >= 0.0005:
        text += f" · missing {_percent(found.missing[0])} → {_percent(found.missing[1])}"
    return text


def moved(found: Histogram) -> list[tuple[str, float, float]]:
    """Return each category with its share in base and current, those that moved most first."""
    rows = list(zip(found.categories, found.base, found.current, strict=True))
    return sorted(rows, key=lambda row: (-abs(row[2] - row[1]), row[0]))


def _middle(edges: Sequence[float], shares: Sequence[float]) -> str:
    """Return the middle of the bar that holds the median."""
    half, seen = sum(shares) / 2, 0.0
    for i, share in enumerate(shares):
        seen += share
        if seen >= half:
            return _edge((edges[i] + edges[i + 1]) / 2)
    return _edge(edges[-1])


def _edge(value: float) -> str:
    return f"{value:,.0f}".replace("-", "−") if 1e4 <= abs(value) < 1e9 else number(value)


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"
