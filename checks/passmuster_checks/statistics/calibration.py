"""How far probabilities are from the shares that come true: the expected calibration error with honest intervals.

The error is a mean of absolute values, so noise alone raises it: of a perfectly calibrated model it is never zero, and
a bootstrap, which adds its noise to that of the rows, puts its whole interval above the truth. The intervals here bound
the noise itself. With `v` the mean of what the rows of one bin add, `t` its true value and `h = v - t` (normal, its
covariance from the rows):

- `|v| - |t|` is at most `|h|`, and at least `h` times the sign of `t`; where `v` is so far from zero that this sign is
  sure, it is just that.
- For two models, in the bins of equal rank, the difference of the two moves by at most twice the distance of their `v`
  plus the distance of their `h`, which is next to nothing where the models are nearly one.

So the interval holds at least as often as its level says, wherever the truth lies; what this costs is width. The
directional derivative of the absolute value is what Fang and Santos (2019) resample; bounding it instead holds
uniformly. The quantiles of the bounds come from normal draws with a fixed seed, which is numerical integration: the
draws know nothing of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from passmuster.errors import NotMeasured, UsageError
from passmuster.measurement import Interval
from passmuster_checks.statistics.inference import Comparison, Estimated
from passmuster_checks.statistics.scored import Codes, Floats, Scored, Task
from passmuster_checks.statistics.shares import normal, wilson

#: Normal draws that a quantile is taken from.
DRAWS = 200_000

#: Draws that must lie beyond a quantile, or it is noise.
_DRAWS_BEYOND = 10

#: The part of the chance to miss that is spent on taking a bin's sign for sure.
_FOR_SIGNS = 0.1

#: Numbers drawn at once: bounds the memory.
_AT_ONCE = 2_000_000


class Brier(NamedTuple):
    """The Brier score and its parts (Murphy 1973): `score = reliability - resolution + uncertainty + within_bins`."""

    score: float
    reliability: float  #: distance of probabilities and shares; 0 is best
    resolution: float  #: how far the shares of the bins are apart; more is better
    uncertainty: float  #: of the labels themselves
    within_bins: float  #: what is left since the probabilities of a bin differ (Stephenson et al. 2008)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reliability:
    """The n rows of one model in bins of equally many, by their probability; equal probabilities in one bin.

    The edges are quantiles, as in scikit-learn's `calibration_curve(strategy="quantile")`. Ties can leave bins empty.
    """

    probability: Floats  #: shape (n,)
    true: Floats  #: shape (n,): 1 where it came true, else 0
    bin: Codes  #: shape (n,): from 0 to `bins` - 1
    rows: Codes  #: shape (bins,)
    offset: Floats  #: shape (bins,): sum over the bin's rows of probability - true, divided by n

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.bin)

    @property
    def error(self) -> float:
        """The expected calibration error: the rows' mean distance of probability and share of their bin."""
        return float(np.abs(self.offset).sum())

    def curve(self, level: float) -> list[list[float]]:
        """Return for each bin: mean probability, share that came true, rows, and Wilson's interval of the share."""
        there = self.rows > 0
        rows = self.rows[there]
        predicted, observed = self._means(there)
        low, high = wilson(observed, rows, level)
        table = np.column_stack([predicted, observed, rows, low, high])
        return [[float(f"{value:.6g}") for value in row] for row in table]

    def brier(self) -> Brier:
        """Return the Brier score in parts, on these bins."""
        there = self.rows > 0
        weight = self.rows[there] / self.n
        predicted, observed = self._means(there)
        base = float(self.true.mean())
        score = float(((self.probability - self.true) ** 2).mean())
        reliability = float((weight * (predicted - observed) ** 2).sum())
        resolution = float((weight * (observed - base) ** 2).sum())
        uncertainty = base * (1 - base)
        return Brier(score, reliability, resolution, uncertainty, score - reliability + resolution - uncertainty)

    def _means(self, there: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        rows = self.rows[there]
        predicted, observed = (
            np.bincount(self.bin, weights=values, minlength=len(self.rows))[there] / rows
            for values in (self.probability, self.true)
        )
        return predicted, observed


def reliability(scored: Scored, bins: int = 10) -> Reliability:
    """Return the rows in bins: of the positive class's probability; of three classes and more, of the likeliest one's.

    The latter is the *top-label* or *confidence* calibration of Guo et al. (2017).

    Args:
        scored: a classifier's answers on n rows.
        bins: at least 2.

    Raises:
        NotMeasured: no classifier, no probabilities, labels of one class only, or one probability for all rows.
        UsageError: fewer than two bins.
    """
    if bins < 2:
        raise UsageError(f"{bins} bins: at least 2 are needed")
    probability, true = _answers(scored)
    if probability.min() == probability.max():
        raise NotMeasured(
            f"the probability is {probability[0]:.6g} in every one of {scored.n:,} rows; that has no calibration. Does "
            "the model look at its features?"
        )
    edges = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1])
    codes = np.searchsorted(edges, probability)
    offset = np.bincount(codes, weights=probability - true, minlength=bins) / len(codes)
    return Reliability(
        probability=probability, true=true, bin=codes, rows=np.bincount(codes, minlength=bins), offset=offset
    )


def estimate_error(found: Reliability, level: float = 0.95) -> Estimated:
    """Return the expected calibration error with an interval that holds the population's at least as often as `level`.

    Raises:
        NotMeasured: too high a level for the draws.
        UsageError: `level` outside (0, 1).
    """
    covariance = _covariance([found], level)
    above = _bound(found, covariance, level)
    # The true signs are unknown but fixed, so the sum of `h` under them is normal with this variance, whichever.
    below = normal(level) * math.sqrt(np.trace(covariance))
    low, high = max(found.error - above, 0.0), min(found.error + below, 1.0)
    interval = Interval(low=low, high=high, level=level, method="bound of the noise")
    return Estimated(found.error, interval, above / normal(level), found.n)


def compare_error(candidate: Reliability, champion: Reliability, level: float = 0.95) -> Comparison:
    """Return how much smaller the candidate's error is than the champion's on the same rows: more is better.

    Raises:
        NotMeasured: the rows are not the same, or too high a level for the draws.
        UsageError: `level` outside (0, 1).
    """
    if candidate.n != champion.n or len(candidate.rows) != len(champion.rows):
        raise NotMeasured(f"{candidate.n:,} and {champion.n:,} rows; score both on the same rows, and in as many bins")
    quantile = normal(level)  # refuses a level that is none, too
    difference = champion.error - candidate.error + 0.0
    if _one_answer(candidate, champion):
        low, high, error, method = 0.0, 0.0, 0.0, "identical answers"
    else:
        above, below = _paired_bounds(champion, candidate, level)
        low, high, method = difference - above, difference + below, "bound of the noise, paired"
        error = max(above, below) / quantile
    return Comparison(
        candidate=candidate.error,
        champion=champion.error,
        difference=difference,
        interval=Interval(low=max(low, -1.0), high=min(high, 1.0), level=level, method=method),
        standard_error=error,
        n=candidate.n,
    )


def _answers(scored: Scored) -> tuple[Floats, Floats]:
    if scored.task is Task.REGRESSION:
        raise NotMeasured("calibration is that of probabilities, and a regression has none")
    if scored.probabilities is None:
        raise NotMeasured("calibration needs probabilities, and the model gives none")
    if (scored.label == scored.label[0]).all():
        raise NotMeasured(f"all {scored.n:,} labels are of one class, which says nothing about probabilities")
    if scored.positive is not None:
        return scored.probabilities[:, scored.positive], (scored.label == scored.positive).astype(np.float64)
    likeliest = scored.probabilities.argmax(axis=1)
    return scored.probabilities.max(axis=1), (likeliest == scored.label).astype(np.float64)


def _one_answer(candidate: Reliability, champion: Reliability) -> bool:
    """Whether the same is said and came true in every row; of the likeliest class, it may not be the same class."""
    return np.array_equal(candidate.probability, champion.probability) and np.array_equal(candidate.true, champion.true)


# ── the noise ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _covariance(models: list[Reliability], level: float) -> Floats:
    """Return the covariance of the models' offsets, bins of one after bins of the other.

    As many rows as an unseen event may have at this level (the rule of three, in Wilson's form: z²) are added to what
    the rows show, each wrong by 1 for all models alike, wherever rows are: where nothing went wrong yet, something may.
    """
    unseen = normal(level) ** 2
    n = models[0].n
    squares = np.block([[_products(one, other, unseen) for other in models] for one in models]) / n
    offsets = np.concatenate([model.offset for model in models])
    covariance: Floats = (squares - np.outer(offsets, offsets)) / n
    return covariance


def _products(one: Reliability, other: Reliability, unseen: float) -> Floats:
    bins = len(one.rows)
    cell = one.bin * bins + other.bin
    products = (one.probability - one.true) * (other.probability - other.true)
    seen = np.bincount(cell, weights=products, minlength=bins * bins)
    there = np.bincount(cell, minlength=bins * bins) / one.n
    return (seen + unseen * there).reshape(bins, bins)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Signs:
    """Whether the bins of a model are above or below zero; arrays of shape (k,)."""

    sign: Floats  #: 1 or -1, as measured
    sure: NDArray[np.bool_]  #: whether it is the truth's, but for a part of the chance to miss

    @classmethod
    def of(cls, offset: Floats, covariance: Floats, level: float) -> Self:
        chance = (1 - level) / 2 * _FOR_SIGNS / (2 * len(offset))  # of one model or two
        sure = np.abs(offset) > -special.ndtri(chance) * np.sqrt(np.diag(covariance))
        return cls(sign=np.where(offset < 0, -1.0, 1.0), sure=sure)

    def most(self, noise: Floats) -> Floats:
        """Return by how much each distance from zero is measured too large at most, of `noise` of shape (draws, k)."""
        return np.where(self.sure, noise * self.sign, np.abs(noise))


def _draws(covariance: Floats) -> Iterator[Floats]:
    """Yield normal draws of that covariance, `DRAWS` in all; each of shape (draws, k)."""
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))).T
    generator = np.random.Generator(np.random.PCG64(0))
    chunk = max(1, _AT_ONCE // len(values))
    for start in range(0, DRAWS, chunk):
        yield generator.standard_normal((min(chunk, DRAWS - start), len(values))) @ root


def _bound(found: Reliability, covariance: Floats, level: float) -> float:
    """Return how far the error may be above the truth."""
    signs = _Signs.of(found.offset, covariance, level)
    return _quantile([signs.most(noise).sum(axis=1) for noise in _draws(covariance)], level)


def _paired_bounds(one: Reliability, other: Reliability, level: float) -> tuple[float, float]:
    """Return how far the difference of the errors, `one` minus `other`, may be above and below the truth."""
    bins = len(one.rows)
    covariance = _covariance([one, other], level)
    first = _Signs.of(one.offset, covariance[:bins, :bins], level)
    second = _Signs.of(other.offset, covariance[bins:, bins:], level)
    # An unknown sign of what is taken away: where the other's is sure too it is taken for the opposite, which spreads
    # more; else it does not matter, since a bin's noise is as likely as its mirror image.
    of_first = np.where(first.sure, first.sign, -second.sign)
    of_second = np.where(second.sure, second.sign, -first.sign)
    apart = 2 * np.abs(one.offset - other.offset)
    above, below = [], []
    for noise in _draws(covariance):
        h, g = noise[:, :bins], noise[:, bins:]
        most = apart + np.abs(h - g)
        above.append(np.minimum(first.most(h) - of_second * g, most).sum(axis=1))
        below.append(np.minimum(second.most(g) - of_first * h, most).sum(axis=1))
    return _quantile(above, level), _quantile(below, level)


def _quantile(draws: list[Floats], level: float) -> float:
    beyond = (1 - level) / 2 * (1 - _FOR_SIGNS)
    if DRAWS * beyond < _DRAWS_BEYOND:
        raise NotMeasured(
            f"{DRAWS:,} draws can't give an interval at level {level:.6g}; give `policy.false-alarms` a larger budget"
        )
    # Never negative: a bin whose sign is sure may move both ways.
    return max(float(np.quantile(np.concatenate(draws), 1 - beyond, method="higher")), 0.0)
