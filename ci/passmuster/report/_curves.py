"""Curves that gates leave in the details of their measurements; what is malformed is left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from passmuster.report import _plot, _read
from passmuster.report._escape import clean
from passmuster.report._facts import ReportFacts
from passmuster.report._plot import Curve, Whiskers

#: Most points of a curve that are drawn.
MOST_POINTS = 200

_MODELS = ("candidate", "champion")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One plot with what stands below it."""

    svg: Markup
    title: str
    caption: str
    models: tuple[str, ...]


def figures(facts: ReportFacts) -> list[Figure]:
    """Return the plots of both models that the records hold curves for."""
    found = _curves(facts)
    measured = _calibration(facts)
    makers = {"roc": _roc, "reliability": _reliability, "residuals": _residuals}
    drawn = {kind: make(found[kind]) for kind, make in makers.items() if found.get(kind)}
    if measured:
        drawn["reliability"] = measured  # its bins are those that the gate judges by, and have intervals
    return [drawn[kind] for kind in makers if kind in drawn]


def _curves(facts: ReportFacts) -> dict[str, dict[str, Curve]]:
    """Return kind → model → points, the first valid ones of gate `performance`."""
    found: dict[str, dict[str, Curve]] = {}
    for judgement in facts.judgements:
        if judgement.gate != "performance":
            continue
        kinds = _read.mapping(_read.mapping(judgement.measurement.details).get("curves"))
        for kind in ("roc", "reliability", "residuals"):
            for model in _MODELS:
                curve = _points(_read.mapping(kinds.get(kind)).get(model), unit=kind != "residuals")
                if curve and model not in found.get(kind, {}):
                    found.setdefault(kind, {})[model] = curve
    return found


def _calibration(facts: ReportFacts) -> Figure | None:
    """Return the reliability curves of gate `calibration`: of both models where it compared them."""
    best: Figure | None = None
    for judgement in facts.judgements:
        details = _read.mapping(judgement.measurement.details)
        if judgement.gate != "calibration":
            continue
        raw = _read.mapping(details.get("reliability"))
        lines = {model: curve for model in _MODELS if (curve := _points(raw.get(model), unit=True))}
        if lines and (best is None or len(lines) > len(best.models)):
            of = details.get("probability_of")
            ends = {model: _whiskers(raw[model]) for model in lines}
            best = _reliability(lines, ends, f" of {clean(of, 40)}" if isinstance(of, str) else "")
    return best


def _whiskers(raw: list[Any]) -> Whiskers:
    """Return (x, low, high) of points that have an interval: mean predicted, observed, rows, low, high."""
    return [
        (float(point[0]), float(point[3]), float(point[4]))
        for point in raw[:MOST_POINTS]
        if len(point) == 5 and all(_read.is_number(x) for x in point) and 0 <= point[3] <= point[4] <= 1
    ]


def _points(raw: Any, *, unit: bool) -> Curve:
    if not isinstance(raw, list) or not 2 <= len(raw) <= 10 * MOST_POINTS:
        return ()
    if not all(isinstance(p, list) and len(p) >= 2 and all(_read.is_number(x) for x in p[:2]) for p in raw):
        return ()
    curve = [(float(p[0]), float(p[1])) for p in raw[:: math.ceil(len(raw) / MOST_POINTS)]]
    if unit and not all(0 <= x <= 1 for p in curve for x in p):
        return ()
    return curve


def _roc(lines: dict[str, Curve]) -> Figure:
    svg = _plot.curves(
        lines,
        title="ROC curves of candidate and champion on the test rows",
        x="false positive rate",
        y="true positive rate",
        unit=True,
        reference=((0, 0), (1, 1)),
        said=_said(lines, "at a false positive rate of {:.2f} the true positive rate is {:.2f}", 0.2),
    )
    caption = "The nearer to the upper left corner, the better the ranking. Dotted: chance."
    return Figure(svg=svg, title="ROC", caption=caption, models=tuple(lines))


def _reliability(lines: dict[str, Curve], ends: dict[str, Whiskers] | None = None, of: str = "") -> Figure:
    svg = _plot.curves(
        lines,
        title="Reliability of the predicted probabilities of candidate and champion",
        x=f"predicted probability{of}",
        y="observed share",
        unit=True,
        reference=((0, 0), (1, 1)),
        points=True,
        whiskers=ends or {},
        said=_said(lines, "where {:.2f} is predicted, {:.2f} is observed", 0.5),
    )
    caption = "On the dotted line, what is predicted is what happens."
    caption += " Upright lines: the interval of the share, bin by bin." if ends else ""
    return Figure(svg=svg, title="Reliability", caption=caption, models=tuple(lines))


def _residuals(lines: dict[str, Curve]) -> Figure:
    every = [point for line in lines.values() for point in line]
    ends = (min(p[0] for p in every), 0.0), (max(p[0] for p in every), 0.0)
    svg = _plot.curves(
        lines,
        title="Quantiles of the residuals of candidate and champion",
        x="share of the test rows",
        y="residual",
        unit=False,
        reference=ends,
        said=_said(lines, "at {:.2f} of the rows the residual is {:.3g}", 0.5),
    )
    caption = "Quantiles of the residuals: the flatter and the nearer to zero, the better."
    return Figure(svg=svg, title="Residuals", caption=caption, models=tuple(lines))


def _said(lines: dict[str, Curve], sentence: str, x: float) -> str:
    parts = []
    for model, line in lines.items():
        point = min(line, key=lambda p: abs(p[0] - x))
        parts.append(f"{model}: {sentence.format(*point)}")
    return "; ".join(parts)
