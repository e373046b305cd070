"""The words, signs and numbers that people read, the same in every format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from passmuster.measurement import Estimate
from passmuster.verdict import Outcome, number


class Status(StrEnum):
    """What a report says of a candidate, in the words that it uses."""

    PASSES = "passes"
    FAILS = "does not pass"
    UNDECIDED = "can't be decided"
    NOT_JUDGED = "could not be judged"
    NOT_REPRODUCIBLE = "is not reproducible"
    IN_PART = "was measured in part, which decides nothing"
    INFORMATIVE = "was judged for information, which decides nothing"


@dataclass(frozen=True, kw_only=True)
class Sign:
    """How an outcome is shown; colour never carries it alone."""

    symbol: str  #: for HTML and terminals
    emoji: str  #: for Markdown
    word: str
    css: str  #: class in the style sheet


SIGNS: Mapping[Outcome, Sign] = {
    Outcome.PASS: Sign(symbol="✔", emoji="✅", word="pass", css="pass"),
    Outcome.FAIL: Sign(symbol="✘", emoji="❌", word="fail", css="fail"),
    Outcome.INCONCLUSIVE: Sign(symbol="?", emoji="❓", word="inconclusive", css="inconclusive"),
    Outcome.ERROR: Sign(symbol="!", emoji="❗", word="error", css="error"),
    Outcome.SKIPPED: Sign(symbol="–", emoji="➖", word="skipped", css="skipped"),
    Outcome.WAIVED: Sign(symbol="✎", emoji="✍️", word="waived", css="waived"),
}

STATUS_SIGNS: Mapping[Status, Sign] = {
    Status.PASSES: SIGNS[Outcome.PASS],
    Status.FAILS: SIGNS[Outcome.FAIL],
    Status.UNDECIDED: SIGNS[Outcome.INCONCLUSIVE],
    Status.NOT_JUDGED: SIGNS[Outcome.ERROR],
    Status.NOT_REPRODUCIBLE: SIGNS[Outcome.FAIL],
    Status.IN_PART: SIGNS[Outcome.SKIPPED],
    Status.INFORMATIVE: SIGNS[Outcome.SKIPPED],
}

FIRST_MODEL = "first model: nothing was compared"
NO_ACCESS = "from a fork: not compared with the champion, main will judge that"

_METRICS = {
    "roc_auc_score": "ROC AUC",
    "roc_auc_score_ovr": "ROC AUC, one against rest",
    "average_precision_score": "average precision",
    "brier_score_loss": "Brier score",
    "f1_score": "F1",
    "f1_score_macro": "F1, macro",
    "matthews_corrcoef": "Matthews correlation",
    "precision_score_macro": "precision, macro",
    "recall_score_macro": "recall, macro",
    "root_mean_squared_error": "RMSE",
    "mean_squared_error": "mean squared error",
    "mean_absolute_error": "mean absolute error",
    "median_absolute_error": "median absolute error",
    "r2_score": "R²",
    "mean_pinball_loss": "pinball loss",
    "expected_calibration_error": "calibration error (ECE)",
    "kolmogorov_smirnov": "KS",
    "wasserstein": "Wasserstein",
    "psi": "PSI",
    "jensen_shannon": "Jensen–Shannon",
    "total_variation": "total variation",
    "cramers_v": "Cramér's V",
    "share_ratio": "ratio of shares",
    "null_share": "missing values",
    "domain_auc": "AUC of telling them apart",
    "demographic_parity_difference": "demographic parity difference",
    "demographic_parity_ratio": "demographic parity ratio",
    "equalized_odds_difference": "equalized odds difference",
    "equalized_odds_ratio": "equalized odds ratio",
    "false_positive_rate": "false positive rate",
    "selection_rate": "selection rate",
    "cost": "cost per row",
}


def metric(name: str) -> str:
    """Return a metric's name as people write it; of an unknown one, its own name."""
    if name in _METRICS:
        return _METRICS[name]
    return name.removesuffix("_score").replace("_", " ") if name.endswith("_score") else name


def signed(value: float) -> str:
    """Return a number with its sign: four significant digits, zero without one."""
    return number(value) if value <= 0 else f"+{number(value)}"


def percent(level: float) -> str:
    """Return a level of confidence as people write it, e.g. "95 %"; two digits of what it leaves out, never "100 %"."""
    places = max(0, 1 - math.floor(math.log10((1 - level) * 100)))
    text = f"{level * 100:.{places}f}"
    return f"{text.rstrip('0').rstrip('.') if places else text} %"


def rounded(estimate: Estimate, value: float, *, sign: bool = False) -> str:
    """Return a number of an estimate to a hundredth of its interval's width; without an interval as by `number`."""
    width = estimate.interval.high - estimate.interval.low if estimate.interval else 0.0
    if width <= 0:
        return signed(value) if sign else number(value)
    places = 2 - math.floor(math.log10(width))
    if places > 8 or places < 0:
        return signed(value) if sign else number(value)
    text = f"{value:{'+' if sign else ''},.{places}f}"
    return text.replace("-", "−")


def interval(estimate: Estimate, *, sign: bool) -> str:
    """Return an estimate's interval as "low … high", or "" where it has none."""
    if estimate.interval is None:
        return ""
    low, high = (rounded(estimate, end, sign=sign) for end in (estimate.interval.low, estimate.interval.high))
    return f"{low} … {high}"


def first_upper(text: str) -> str:
    """Return `text` with its first letter as a capital, the others as they are."""
    return text[:1].upper() + text[1:]


def plural(count: int, noun: str) -> str:
    """Return `count` with its noun, e.g. "1 gate", "12 gates"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def counts(summary: Mapping[str, int]) -> str:
    """Return outcomes as counted by `verdict.summary`, e.g. "1 fail, 17 pass"."""
    return ", ".join(f"{count:,} {word}" for word, count in summary.items()) or "no outcome"


def value(raw: Any) -> str:
    """Return a value of a record as people read it."""
    if raw is None:
        return "—"
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        return str(raw)
    return f"{raw:,}" if isinstance(raw, int) else f"{raw:.6g}".replace("-", "−")


def short_digest(raw: Any) -> str:
    """Return the start of a digest or commit, enough to recognise it."""
    text = str(raw or "—")
    return f"{text[:19]}…" if text.startswith("sha256:") else text[:10]
