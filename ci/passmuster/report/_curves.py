"""Curves and drift that gates leave in the details of their measurements; what is malformed is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from markupsafe import Markup

from passmuster.report import _plot, _rows
from passmuster.report._facts import ReportFacts
from passmuster.report._plot import Curve
from passmuster.verdict import number

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


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far one column (or the label, or the predictions) has moved."""

    name: str
    score: float
    method: str
    check: str
    css: str


def figures(facts: ReportFacts) -> list[Figure]:
    """Return the plots of both models that the records hold curves for."""
    found = _curves(facts)
    makers = {"roc": _roc, "reliability": _reliability, "residuals": _residuals}
    return [make(found[kind]) for kind, make in makers.items() if found.get(kind)]


def _curves(facts: ReportFacts) -> dict[str, dict[str, Curve]]:
    """Return kind → model → points, the first valid ones of gate `performance`."""
    found: dict[str, dict[str, Curve]] = {}
    for judgement in facts.judgements:
        if judgement.gate != "performance":
            continue
        kinds = _rows.mapping(_rows.mapping(judgement.measurement.details).get("curves"))
        for kind in ("roc", "reliability", "residuals"):
            for model in _MODELS:
                curve = _points(_rows.mapping(kinds.get(kind)).get(model), unit=kind != "residuals")
                if curve and model not in found.get(kind, {}):
                    found.setdefault(kind, {})[model] = curve
    return found


def _points(raw: Any, *, unit: bool) -> Curve:
    if not isinstance(raw, list) or not 2 <= len(raw) <= 10 * MOST_POINTS:
        return ()
    if not all(isinstance(p, list) and len(p) >= 2 and all(_is_number(x) for x in p[:2]) for p in raw):
        return ()
    curve = [(float(p[0]), float(p[1])) for p in raw[:: math.ceil(len(raw) / MOST_POINTS)]]
    if unit and not all(0 <= x <= 1 for p in curve for x in p):
        return ()
    return curve


def _is_number(x: Any) -> TypeGuard[float]:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) and abs(x) < 1e15


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


def _reliability(lines: dict[str, Curve]) -> Figure:
    svg = _plot.curves(
        lines,
        title="Reliability of the predicted probabilities of candidate and champion",
        x="predicted probability",
        y="observed share",
        unit=True,
        reference=((0, 0), (1, 1)),
        points=True,
        said=_said(lines, "where {:.2f} is predicted, {:.2f} is observed", 0.5),
    )
    caption = "On the dotted line, what is predicted is what happens."
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


def drift(facts: ReportFacts) -> list[Drift]:
    """Return the drift scores that Deepchecks' checks found, the greatest first."""
    found: list[Drift] = []
    for judgement in facts.judgements:
        if not judgement.name.endswith("Drift"):
            continue
        raw = _rows.mapping(_rows.mapping(judgement.measurement.details).get("value"))
        scores: Mapping[str, Any] = {"": raw} if "Drift score" in raw else raw
        for column, entry in scores.items():
            score = _rows.mapping(entry).get("Drift score")
            if _is_number(score) and score >= 0:
                method = str(_rows.mapping(entry).get("Method") or "")
                found.append(
                    Drift(
                        name=str(column) or judgement.name.removesuffix("Drift").lower(),
                        score=float(score),
                        method=method,
                        check=judgement.name,
                        css=judgement.outcome.value,
                    )
                )
    return sorted(found, key=lambda entry: (-entry.score, entry.name, entry.check))


def drift_bar(entry: Drift, greatest: float) -> Markup:
    """Return one drift score as a bar; all bars of a table share their scale."""
    return _plot.magnitude(entry.score / greatest if greatest else 0.0, "neutral", number(entry.score))
