"""Comparisons within many groups of rows at once: for each group what `compare` and `estimate` say of its rows alone.

Means of losses, the root mean squared error, accuracy and ROC AUC are computed in a few passes over all rows; of other
metrics each group is handed to `compare` or `estimate` by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

from passmuster.errors import NotMeasured
from passmuster_checks.statistics import inference, shares
from passmuster_checks.statistics._by_group import (
    MEANS,
    RANKINGS,
    Cells,
    Codes,
    Found,
    kernel,
    ranked,
    spreads,
    student,
)
from passmuster_checks.statistics.inference import FEW
from passmuster_checks.statistics.metrics import Metric, metric
from passmuster_checks.statistics.scored import Floats, Scored, Task

#: Metrics that ask for rows of the positive class alone.
_OF_POSITIVES = {"precision_score", "recall_score", "f1_score", "average_precision_score"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Values:
    """One model's metric in each of k groups; arrays of shape (k,), NaN where a group has a reason."""

    n: NDArray[np.int64]
    value: Floats
    low: Floats
    high: Floats
    error: Floats  #: standard errors
    method: str
    reasons: Mapping[int, str] = field(default_factory=dict)  #: group → why it could not be measured


@dataclass(frozen=True, kw_only=True, eq=False)
class Differences:
    """Two values of a metric in each of k groups; arrays of shape (k,), NaN where a group has a reason."""

    n: NDArray[np.int64]
    n_other: NDArray[np.int64]  #: rows of `other`; the same where those are the same rows
    candidate: Floats  #: the metric's own direction
    other: Floats  #: the champion's value, or the candidate's on other rows
    difference: Floats  #: signed so that more is better
    low: Floats
    high: Floats
    error: Floats  #: standard errors of `difference`
    method: Sequence[str]
    reasons: Mapping[int, str] = field(default_factory=dict)  #: group → why it could not be measured
    undefined: frozenset[int] = frozenset()  #: groups, NaN too, in which the champion has no value to compare with


def classes_needed(name: str, scored: Scored) -> tuple[int, ...]:
    """Return the classes of which a group needs at least two rows for the metric to be defined: codes of `scored`."""
    if scored.task is Task.REGRESSION or name in MEANS:
        return ()
    if name in _OF_POSITIVES and scored.positive is not None:
        return (scored.positive,)
    return tuple(range(len(scored.classes)))


# ── two models on the same rows ────────────────────────────────────────────────────────────────────────────────────


class Pairs:
    """Candidate and champion on the same rows, made ready to be compared by any grouping of them.

    Args:
        name: scikit-learn's name of the metric.
        candidate: its answers on n rows.
        champion: its answers on the same rows in the same order.

    Raises:
        NotMeasured: the labels are not identical, or the metric is not one of such answers.
        UsageError: unknown metric.
    """

    def __init__(self, name: str, candidate: Scored, champion: Scored) -> None:
        self._metric = metric(name)
        inference._check_pairs(candidate, champion)
        _check(self._metric, candidate)
        _check(self._metric, champion)
        self._candidate, self._champion = candidate, champion
        self._order = order = ranked(self._metric, candidate)
        self._kernels = kernel(self._metric, candidate, order), kernel(self._metric, champion, order)
        apart = _apart(candidate, champion)
        self._apart = apart if order is None else apart[order]

    def compare(self, codes: Codes, k: int, level: float) -> Differences:
        """Return for each group what `compare` says of its rows.

        Args:
            codes: shape (n,); each of the k groups has rows.
            k: the number of groups, at least 1.
            level: nominal coverage of each interval, in (0, 1).

        Raises:
            UsageError: `codes` is not as it must be, or `level` is outside (0, 1).
        """
        shares.check_level(level)
        cells = Cells.of(codes if self._order is None else codes.take(self._order), k)
        ours, theirs = self._kernels
        if ours is None or theirs is None:
            return self._one_by_one(cells, level)
        return self._by_rules(cells, ours.of(cells), theirs.of(cells), level, ours.method)

    def _by_rules(self, cells: Cells, ours: Found, theirs: Found, level: float, method: str) -> Differences:
        """Apply the rules of `inference` to all groups."""
        identical, agree = self._closeness(cells)
        difference = np.where(identical, 0.0, self._metric.sign * (ours.value - theirs.value) + 0.0)
        error, freedom = spreads(
            np.where(cells.each(identical), 0.0, ours.influence - theirs.influence), cells, difference
        )
        width = self._metric.bounds[1] - self._metric.bounds[0]
        settled = identical | (agree & ((error > 0) | (difference == 0)))
        unseen = np.zeros(cells.k)
        if self._metric.bounded:
            unseen = np.where(~settled & (freedom < FEW), np.sqrt(2) * width / (ours.support + 2), 0.0)
        reasons = {
            group: f"{self._metric.name}: the models answer differently, but the difference is {difference[group]:.6g} "
            f"in every one of {cells.sizes[group]:,} rows; without a spread there is no interval"
            for group in np.flatnonzero(~settled & (error == 0) & (unseen == 0)).tolist()
        } | _too_few(self._metric.name, cells, ours.support)
        total = np.hypot(error, unseen)
        half = total * np.where((unseen > 0) | (error == 0), shares.normal(level), student(level, freedom))
        words = np.array([f"{method}, paired", f"{method}, paired, few rows differ", "identical answers"])
        return Differences(
            n=cells.sizes,
            n_other=cells.sizes,
            candidate=_without(reasons, ours.value),
            other=_without(reasons, np.where(identical, ours.value, theirs.value)),
            difference=_without(reasons, difference),
            low=_without(reasons, np.maximum(difference - half, -width)),
            high=_without(reasons, np.minimum(difference + half, width)),
            error=_without(reasons, total),
            method=words[np.where(identical, 2, unseen > 0)].tolist(),
            reasons=reasons,
        )

    def _closeness(self, cells: Cells) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return in which groups the answers are identical, and in which they agree up to rounding."""
        if self._candidate.task is Task.REGRESSION:
            there = self._champion.prediction[cells.order]
            apart = cells.largest(np.abs(self._candidate.prediction[cells.order] - there))
            return apart == 0, apart <= inference._ROUNDING * cells.largest(np.abs(there))
        most = cells.largest(self._apart.take(cells.order))
        return most == 0, most <= 1

    def _one_by_one(self, cells: Cells, level: float) -> Differences:
        found, method = np.full((6, cells.k), np.nan), [""] * cells.k
        reasons, undefined = {}, set()
        for group in range(cells.k):
            rows = cells.rows(group)
            ours, theirs = self._candidate.take(rows), self._champion.take(rows)
            try:
                one = inference.compare(self._metric.name, ours, theirs, level)
            except NotMeasured as exc:
                if self._is_defined(theirs):
                    reasons[group] = str(exc)
                else:
                    undefined.add(group)
                continue
            method[group] = one.interval.method
            found[:3, group] = one.candidate, one.champion, one.difference
            found[3:, group] = one.interval.low, one.interval.high, one.standard_error
        candidate, other, difference, low, high, error = found
        return Differences(
            n=cells.sizes,
            n_other=cells.sizes,
            candidate=candidate,
            other=other,
            difference=difference,
            low=low,
            high=high,
            error=error,
            method=method,
            reasons=reasons,
            undefined=frozenset(undefined),
        )

    def _is_defined(self, scored: Scored) -> bool:
        try:
            self._metric.components(scored)
        except NotMeasured:
            return False
        return True


def _apart(candidate: Scored, champion: Scored) -> NDArray[np.uint8]:
    """Return for each row of classifiers: 0 identical answers, 1 equal up to rounding, 2 others."""
    other = candidate.prediction != champion.prediction
    if candidate.probabilities is None or champion.probabilities is None:
        one_alone = candidate.probabilities is not champion.probabilities
        return np.where(other | one_alone, 2, 0).astype(np.uint8)
    distance = np.zeros(candidate.n)
    for ours, theirs in zip(candidate.probabilities.T, champion.probabilities.T, strict=True):
        np.maximum(distance, np.abs(ours - theirs), out=distance)
    return np.where(other | (distance > inference._ROUNDING), 2, distance > 0).astype(np.uint8)


# ── one model ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Answers:
    """One model's answers, made ready to be measured by any grouping of the rows.

    Args:
        name: scikit-learn's name of the metric.
        scored: the answers on n rows.

    Raises:
        NotMeasured: the metric is not one of such answers.
        UsageError: unknown metric.
    """

    def __init__(self, name: str, scored: Scored) -> None:
        self._metric = metric(name)
        _check(self._metric, scored)
        self._scored = scored
        self._order = ranked(self._metric, scored)
        self._kernel = kernel(self._metric, scored, self._order)

    def estimate(self, codes: Codes, k: int, level: float) -> Values:
        """Return for each group what `estimate` says of its rows; arguments and errors as of `Pairs.compare`."""
        shares.check_level(level)
        cells = Cells.of(codes if self._order is None else codes.take(self._order), k)
        if self._kernel is None:
            return self._one_by_one(cells, level)
        found = self._kernel.of(cells)
        value = found.value
        error, freedom = spreads(found.influence, cells, value)
        if self._metric.name == "accuracy_score":
            low, high = shares.wilson(value, cells.sizes, level)
            error = (high - low) / (2 * shares.normal(level))
            return Values(n=cells.sizes, value=value, low=low, high=high, error=error, method="Wilson")
        if self._metric.bounded:
            return self._bounded(cells, found, error, freedom, level)
        reasons = {
            group: f"{self._metric.name}: {value[group]:.6g} in every one of {cells.sizes[group]:,} rows; without a "
            "spread there is no interval"
            for group in np.flatnonzero(error == 0).tolist()
        }
        half = error * student(level, freedom)
        return Values(
            n=cells.sizes,
            value=_without(reasons, value),
            low=_without(reasons, np.maximum(value - half, self._metric.bounds[0])),
            high=_without(reasons, np.minimum(value + half, self._metric.bounds[1])),
            error=_without(reasons, error),
            method=self._kernel.method,
            reasons=reasons,
        )

    def _bounded(self, cells: Cells, found: Found, error: Floats, freedom: Floats, level: float) -> Values:
        """Return intervals of shares on the logit scale; Wilson's where few rows carry the error, as in `inference`."""
        share, reasons = found.value, _too_few(self._metric.name, cells, found.support)
        smooth = (freedom >= FEW) & (share > 0) & (share < 1)
        inner, quantile = np.where(smooth, share, 0.5), student(level, freedom)
        half, centre = quantile * error / (inner * (1 - inner)), special.logit(inner)
        low, high = shares.wilson(share, np.maximum(found.support, 1), level)
        low = np.minimum(low, np.maximum(share - quantile * error, 0))
        high = np.maximum(high, np.minimum(share + quantile * error, 1))
        error = np.where(smooth, error, np.maximum(error, (high - low) / (2 * shares.normal(level))))
        low = np.where(smooth, special.expit(centre - half), low)
        high = np.where(smooth, special.expit(centre + half), high)
        return Values(
            n=cells.sizes,
            value=_without(reasons, share),
            low=_without(reasons, np.minimum(low, share)),
            high=_without(reasons, np.maximum(high, share)),
            error=_without(reasons, error),
            method="DeLong, logit scale",
            reasons=reasons,
        )

    def _one_by_one(self, cells: Cells, level: float) -> Values:
        found, reasons = np.full((4, cells.k), np.nan), {}
        for group in range(cells.k):
            try:
                one = inference.estimate(self._metric.name, self._scored.take(cells.rows(group)), level)
            except NotMeasured as exc:
                reasons[group] = str(exc)
                continue
            found[:, group] = one.value, one.interval.low, one.interval.high, one.standard_error
        value, low, high, error = found
        method = self._metric.name
        return Values(n=cells.sizes, value=value, low=low, high=high, error=error, method=method, reasons=reasons)


def unpaired(name: str, here: Values, there: Values) -> Differences:
    """Return how much better the metric is `here` than `there`, on other rows, group by group.

    The interval is made of both sides' own by square-and-add (Newcombe 1998; Zou and Donner 2008), so it keeps what
    those allow for few rows.

    Args:
        name: scikit-learn's name of the metric.
        here: k groups.
        there: the same groups among other rows, with intervals of the same level.
    """
    chosen = metric(name)
    down = np.hypot(here.value - here.low, there.high - there.value)
    up = np.hypot(here.high - here.value, there.value - there.low)
    loss, gain = (down, up) if chosen.greater_is_better else (up, down)
    difference = chosen.sign * (here.value - there.value) + 0.0
    width = chosen.bounds[1] - chosen.bounds[0]
    return Differences(
        n=here.n,
        n_other=there.n,
        candidate=here.value,
        other=there.value,
        difference=difference,
        low=np.maximum(difference - loss, -width),
        high=np.minimum(difference + gain, width),
        error=np.hypot(here.error, there.error),
        method=[f"{here.method}, square-and-add"] * len(here.n),
        reasons={**{group: f"in the reference: {said}" for group, said in there.reasons.items()}, **here.reasons},
    )


# ── what both need ─────────────────────────────────────────────────────────────────────────────────────────────────


def _check(chosen: Metric, scored: Scored) -> None:
    if scored.task not in chosen.tasks:
        raise NotMeasured(f"{chosen.name} is not a metric of a {scored.task} model; see the list of metrics by task")
    if chosen.needs == "probabilities" and scored.probabilities is None:
        raise NotMeasured(f"{chosen.name} needs probabilities, and the model gives none")


def _too_few(name: str, cells: Cells, rests_on: Floats) -> dict[int, str]:
    """Return which groups a ranking is undefined in, and why."""
    if name not in RANKINGS:
        return {}
    return {
        group: f"{rests_on[group]:g} of {cells.sizes[group]:,} rows are of one class; a ranking needs at least two"
        for group in np.flatnonzero(rests_on < 2).tolist()
    }


def _without(reasons: Mapping[int, str], values: Floats) -> Floats:
    """Return `values` with NaN in groups that have a reason."""
    found: Floats = np.array(values, dtype=np.float64)
    found[list(reasons)] = np.nan
    return found
