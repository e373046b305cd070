"""Small plots, as text and as inline SVG: pure functions of numbers, no plotting library.

Comparisons of different metrics share one axis: the difference in units of the distance from zero to the limit, so
that "no difference" and "the limit" stand at the same place in every row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from passmuster.measurement import Estimate
from passmuster.report._escape import clean
from passmuster.verdict import number

#: Half the width of the common axis, in units of the limit.
REACH = 3.0

#: How far the axis of an effect goes, in units of its limit.
_FAR = 2.0

_TEXT_HALF = 9  # characters on each side of zero

Curve = Sequence[tuple[float, float]]

#: Of points of a curve: x, and the ends of y's interval.
Whiskers = Sequence[tuple[float, float, float]]


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A comparison on the common axis; all numbers in units of the limit."""

    value: float
    low: float
    high: float
    limit: float | None  #: −1, or +1 where the candidate must be better; None where there is no limit but zero


def scaled(estimate: Estimate, bound: float | None) -> Scaled:
    """Return a comparison in units of its limit; where that is zero or not known, in thirds of its own reach."""
    low, high = (
        (estimate.interval.low, estimate.interval.high) if estimate.interval else (estimate.value, estimate.value)
    )
    unit = abs(bound) if bound else max(abs(low), abs(high), abs(estimate.value)) / REACH * 1.2 or 1.0
    limit = math.copysign(1.0, bound) if bound else None
    return Scaled(value=estimate.value / unit, low=low / unit, high=high / unit, limit=limit)


def text(estimate: Estimate, bound: float | None) -> str:
    """Return a comparison as 19 characters: ● value, ─ interval, │ (within it ┼) zero, ╎ limit, ◂ ▸ goes on outside."""
    s = scaled(estimate, bound)
    low, value, high = (_column(x) for x in (s.low, s.value, s.high))
    signs = [" "] * (2 * _TEXT_HALF + 1)
    for column in range(low, high + 1):
        signs[column] = "─"
    if s.limit is not None:
        signs[_column(s.limit)] = "╎"
    signs[_TEXT_HALF] = "┼" if signs[_TEXT_HALF] == "─" else "│"
    if s.low < -REACH:
        signs[0] = "◂"
    if s.high > REACH:
        signs[-1] = "▸"
    if abs(s.value) <= REACH:
        signs[value] = "●"
    return "".join(signs).replace(" ", "·")


def _column(x: float) -> int:
    return _TEXT_HALF + round(max(-REACH, min(REACH, x)) / REACH * _TEXT_HALF)


_WIDTH, _HEIGHT = 300.0, 40.0


def _x(x: float) -> float:
    return round(_WIDTH / 2 + max(-REACH, min(REACH, x)) / REACH * (_WIDTH / 2 - 8), 1)


def forest_row(estimate: Estimate, bound: float | None, css: str, said: str, *, bar: bool = False) -> Markup:
    """Return a comparison's interval as an SVG of 300 × 40 on the common axis; `said` is read out in its place."""
    s = scaled(estimate, bound)
    middle = _HEIGHT / 2
    low, high, value = _x(s.low), _x(s.high), _x(s.value)
    parts = [_harm(s.limit, 0, _HEIGHT), f'<line class="zero" x1="{_x(0)}" x2="{_x(0)}" y1="0" y2="{_HEIGHT}"/>']
    if bar:
        left, width = min(_x(0), value), round(abs(value - _x(0)), 1)
        parts.append(f'<rect class="bar {css}" x="{left}" y="{middle - 7}" width="{width}" height="14"/>')
    parts.append(f'<line class="whisker {css}" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>')
    parts += [_end(s.low, low, middle, css), _end(s.high, high, middle, css)]
    if abs(s.value) <= REACH:
        parts.append(_marker(value, middle, css))
    return svg(_WIDTH, _HEIGHT, "".join(parts), said, css="forest")


def forest_axis() -> Markup:
    """Return the axis below a table of comparisons."""
    parts = [f'<line class="axis" x1="{_x(-REACH)}" x2="{_x(REACH)}" y1="1" y2="1"/>']
    ends = range(-int(REACH), int(REACH) + 1)
    parts += [f'<line class="axis" x1="{_x(at)}" x2="{_x(at)}" y1="1" y2="5"/>' for at in ends]
    parts.append(f'<text x="{_x(-1) + 4}" y="18" text-anchor="end">limit</text>')
    parts.append(f'<text x="{_x(0) - 4}" y="18" text-anchor="start">no difference</text>')
    parts.append(f'<text x="{_x(-REACH)}" y="18" text-anchor="start">← worse</text>')
    parts.append(f'<text x="{_x(REACH)}" y="18" text-anchor="end">better →</text>')
    said = "Axis: from worse, on the left, over the limit and no difference to better, on the right"
    return svg(_WIDTH, 22, "".join(parts), said, css="forest")


def _harm(limit: float | None, top: float, height: float) -> str:
    if limit is None:
        return ""
    left, right = _x(-REACH), _x(limit)
    return (
        f'<rect class="harm" x="{left}" y="{top}" width="{round(right - left, 1)}" height="{height}"/>'
        f'<line class="limit" x1="{right}" x2="{right}" y1="{top}" y2="{top + height}"/>'
    )


def _end(wanted: float, at: float, y: float, css: str) -> str:
    """The end of an interval: a cap, or an arrow where it goes on beyond the axis."""
    if abs(wanted) <= REACH:
        return f'<line class="whisker {css}" x1="{at}" x2="{at}" y1="{y - 4}" y2="{y + 4}"/>'
    tip = at + math.copysign(6, wanted)
    return f'<path class="arrow {css}" d="M{at} {y - 5}L{tip} {y}L{at} {y + 5}Z"/>'


def _marker(x: float, y: float, css: str) -> str:
    """The value: a shape for each outcome, so that it can be told without colour."""
    if css == "fail":
        return f'<path class="cross" d="M{x - 5} {y - 5}L{x + 5} {y + 5}M{x - 5} {y + 5}L{x + 5} {y - 5}"/>'
    if css == "pass":
        return f'<circle class="dot {css}" cx="{x}" cy="{y}" r="5"/>'
    return f'<rect class="dot {css}" x="{x - 4.5}" y="{y - 4.5}" width="9" height="9"/>'


_SIDE, _LEFT, _BOTTOM = 300.0, 46.0, 40.0


def curves(
    lines: dict[str, Curve],
    *,
    title: str,
    x: str,
    y: str,
    unit: bool,
    reference: Curve = (),
    points: bool = False,
    whiskers: Mapping[str, Whiskers] | None = None,
    said: str = "",
) -> Markup:
    """Return one plot of named curves ("candidate" solid, "champion" dashed).

    Args:
        lines: name → points (x, y), finite.
        title: of the plot, for those who hear it.
        x: what the horizontal axis shows.
        y: what the vertical axis shows.
        unit: whether both axes go from 0 to 1; else each covers the points.
        reference: a thin line to compare with, e.g. the diagonal.
        points: whether the points themselves are marked.
        whiskers: name → intervals of points; the champion's stand a little to the left, so that both can be seen.
        said: a description for those who hear it.
    """
    every = [point for line in lines.values() for point in line]
    x_low, x_high = (0.0, 1.0) if unit or all(0 <= p[0] <= 1 for p in every) else _range(p[0] for p in every)
    y_low, y_high = (0.0, 1.0) if unit else _range([*(p[1] for p in every), *(p[1] for p in reference)])

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return (
            round(_LEFT + (point[0] - x_low) / (x_high - x_low) * _SIDE, 1),
            round(8 + _SIDE - (point[1] - y_low) / (y_high - y_low) * _SIDE, 1),
        )

    parts = [_frame(x_low, x_high, y_low, y_high, x, y)]
    if reference:
        parts.append(f'<polyline class="reference" points="{_points(map(at, reference))}"/>')
    for name, ends in (whiskers or {}).items():
        aside = -2 if name == "champion" else 2
        for left, low, high in ends:
            (px, bottom), (_, top) = at((left, low)), at((left, high))
            parts.append(
                f'<line class="between {name}" x1="{px + aside:g}" x2="{px + aside:g}" y1="{bottom}" y2="{top}"/>'
            )
    for name, line in sorted(lines.items(), reverse=True):  # the candidate is drawn last, above the champion
        parts.append(f'<polyline class="curve {name}" points="{_points(map(at, line))}"/>')
        if points:
            parts += [f'<circle class="point {name}" cx="{px}" cy="{py}" r="3"/>' for px, py in map(at, line)]
    return svg(_LEFT + _SIDE + 12, _SIDE + 8 + _BOTTOM, "".join(parts), title, said, css="curves")


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{px:g},{py:g}" for px, py in points)


def _range(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low) * 0.05 or max(abs(high) * 0.05, 1e-9)
    return low - room, high + room


def _frame(x_low: float, x_high: float, y_low: float, y_high: float, x: str, y: str) -> str:
    bottom = 8 + _SIDE
    parts = [f'<rect class="frame" x="{_LEFT}" y="8" width="{_SIDE}" height="{_SIDE}"/>']
    for i in range(5):
        px, py = _LEFT + _SIDE * i / 4, bottom - _SIDE * i / 4
        parts.append(f'<line class="grid" x1="{px}" x2="{px}" y1="8" y2="{bottom}"/>')
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _SIDE}" y1="{py}" y2="{py}"/>')
        x_tick, y_tick = _tick(x_low, x_high, i / 4), _tick(y_low, y_high, i / 4)
        anchor = ("start", "middle", "middle", "middle", "end")[i]
        parts.append(f'<text x="{px}" y="{bottom + 15}" text-anchor="{anchor}">{x_tick}</text>')
        parts.append(f'<text x="{_LEFT - 5}" y="{py + 4}" text-anchor="end">{y_tick}</text>')
    middle = 8 + _SIDE / 2
    parts.append(f'<text x="{_LEFT + _SIDE / 2}" y="{bottom + 33}" text-anchor="middle">{escape(x)}</text>')
    parts.append(
        f'<text x="11" y="{middle}" text-anchor="middle" transform="rotate(-90 11 {middle})">{escape(y)}</text>'
    )
    return "".join(parts)


def _tick(low: float, high: float, share: float) -> str:
    """The number at `share` of an axis, as exact as the axis is long."""
    places = max(0, 2 - math.floor(math.log10(high - low)))
    if places > 8 or high - low > 1e6:
        return number(low + (high - low) * share)
    return number(round(low + (high - low) * share, places) + 0.0)


def rate(value: float, low: float, high: float, said: str) -> Markup:
    """Return a rate with its interval on an axis from 0 to 1, as an SVG of 100 × 14."""
    left, right, at = (round(4 + max(0.0, min(1.0, x)) * 92, 1) for x in (low, high, value))
    parts = (
        '<rect class="track" x="4" width="92" height="14"/>',
        f'<line class="whisker" x1="{left}" x2="{right}" y1="7" y2="7"/>',
        f'<circle class="dot" cx="{at}" cy="7" r="3.5"/>',
    )
    return svg(100, 14, "".join(parts), said, css="rate")


def effect(near: float, value: float, far: float, css: str, said: str) -> Markup:
    """Return an effect's interval, from `near` to `far`, as an SVG of 200 × 26; 0 is no effect, 1 the limit."""
    left, right, at, limit = (round(4 + max(0.0, min(_FAR, x)) / _FAR * 192, 1) for x in (near, far, value, 1.0))
    parts = [
        f'<rect class="harm" x="{limit}" y="0" width="{196 - limit:g}" height="26"/>',
        '<line class="zero" x1="4" x2="4" y1="0" y2="26"/>',
        f'<line class="limit" x1="{limit}" x2="{limit}" y1="0" y2="26"/>',
        f'<line class="whisker {css}" x1="{left}" x2="{right}" y1="13" y2="13"/>',
    ]
    if far > _FAR:
        parts.append(f'<path class="arrow {css}" d="M192 8L199 13L192 18Z"/>')
    if value <= _FAR:
        parts.append(_marker(at, 13, css))
    return svg(200, 26, "".join(parts), said, css="effect")


def svg(width: float, height: float, content: str, title: str, said: str = "", *, css: str) -> Markup:
    """Return a whole SVG; `content` is made from numbers and escaped texts alone."""
    description = f"<desc>{escape(clean(said, 400))}</desc>" if said else ""
    return Markup(  # noqa: S704  built from numbers; every text is escaped
        f'<svg class="{css}" role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">'
        f"<title>{escape(clean(title, 300))}</title>{description}{content}</svg>"
    )
