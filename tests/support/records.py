"""Plausible records of one model, judged by the real kernel; for tests of what reads records.

`scenario(folder, name)` writes reproduce, score and gate records as the steps would; `SCENARIOS` names what there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import NormalDist
from typing import Any

from passmuster import digest, record, verdict
from passmuster.config import Mode, Waiver
from passmuster.measurement import Assertion, Estimate, Failure, Interval, Measurement, NotApplicable, to_json
from passmuster.policy import PROFILED, DetectEffect, DetectHarm, GatePolicy, Holds, NoHarm, Policy, Within
from passmuster.record import Record

MODEL = "credit-default"
COMMIT = "3f2c9ab0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6"
TODAY = date(2026, 3, 2)

SCENARIOS = (
    "passing",
    "failing",
    "inconclusive",
    "error",
    "no-deepchecks",
    "first",
    "waived",
    "not-reproducible",
    "regression",
    "promoted",
)


def fingerprint(text: str) -> str:
    """Return a digest that stands for a thing named `text`."""
    return digest.of_bytes(text.encode())


def estimate(
    gate: str,
    name: str,
    value: float,
    error: float,
    n: int,
    *,
    level: float = 0.95,
    champion: float | None = None,
    less_is_better: bool = False,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Return a number with a normal interval; with `champion` a comparison, its gain being `value`."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    gain = -value if less_is_better else value
    return Estimate(
        gate=gate,
        name=name,
        value=value,
        n=n,
        interval=Interval(low=value - z * error, high=value + z * error, level=level, method="DeLong"),
        candidate=None if champion is None else round(champion + gain, 10),
        champion=champion,
        standard_error=error,
        details=details or {},
    )


def roc(power: float) -> list[list[float]]:
    """Return a ROC curve, the better the greater `power`."""
    return [[x / 40, (x / 40) ** (1 / power)] for x in range(41)]


def reliability(tilt: float, rows: int = 0) -> list[list[float]]:
    """Return a reliability curve, with the rows of each bin and an interval where `rows`; `tilt` 0 is perfect."""
    shares = [min(1.0, max(0.0, p / 10 + 0.05 + tilt * math.sin(p / 10 * 6))) for p in range(10)]
    if not rows:
        return [[p / 10 + 0.05, share] for p, share in enumerate(shares)]
    return [
        [p / 10 + 0.05, share, rows, max(share - 0.06, 0.0), min(share + 0.06, 1.0)] for p, share in enumerate(shares)
    ]


def residuals(spread: float) -> list[list[float]]:
    """Return quantiles of residuals."""
    return [[p / 50, spread * NormalDist().inv_cdf(p / 50)] for p in range(1, 50)]


def checks(gate: str, *names: str) -> list[Measurement]:
    """Return assertions that hold."""
    return [Assertion(gate=gate, name=name, holds=True, message=f"{name}: nothing found") for name in names]


def _gate(name: str, expected: Iterable[str], mode: Mode = Mode.BLOCKING, **rules: Any) -> GatePolicy:
    return GatePolicy(gate=name, mode=mode, expected=tuple(expected), **{"other": Holds(), **rules})


#: Checks that the policy names for gate `deepchecks`.
DEEPCHECKS = ("MixedNulls", "StringMismatch", "ConflictingLabels", "TrainTestPerformance")

#: Columns whose drift is measured → the effect that it is judged by, and how large it is.
DRIFT = {
    "Income": ("kolmogorov_smirnov", 0.052),
    "Age": ("kolmogorov_smirnov", 0.031),
    "Amount": ("kolmogorov_smirnov", 0.024),
    "Home": ("total_variation", 0.029),
    "Job": ("total_variation", 0.018),
}

_ERROR, _COMPARED = "expected_calibration_error", "champion::expected_calibration_error"
_PARITY, _ODDS = "demographic_parity_ratio", "equalized_odds_difference"


def policy(*, regression: bool = False, waivers: Sequence[Waiver] = ()) -> Policy:
    """Return a policy with the built-in gates."""
    limits: dict[str, Within] = (
        {"root_mean_squared_error": Within(max=2.2), "r2_score": Within(min=0.5)}
        if regression
        else {"roc_auc_score": Within(min=0.78), "brier_score_loss": Within(max=0.16)}
    )
    margins = (
        {"root_mean_squared_error": NoHarm(margin=0.05), "mean_absolute_error": NoHarm(margin=0.03)}
        if regression
        else {"roc_auc_score": NoHarm(margin=0.01), "brier_score_loss": NoHarm(margin=0.005)}
    )
    classifier = () if regression else _of_classifiers()
    return Policy(
        gates=(
            _gate("schema", ("columns", "types", "nulls", "categories", "signature")),
            _gate("profile", PROFILED, alarms=True),
            _gate("leakage", ("duplicates", "rows", "ids"), alarms=True),
            _drift(),
            _gate("deepchecks", DEEPCHECKS, Mode.ADVISORY),
            _gate("performance", limits, rules=limits, other=None),
            _gate("champion", margins, rules=margins, other=None),
            _gate(
                "slices",
                ("slices", "Job", "Home"),
                rules={"slices": Holds(), "reference": DetectHarm(limit=0.1)},
                other=DetectHarm(limit=0.02),
                alarms=True,
            ),
            *classifier,
            _gate("environment", ("lock", "python", "platform")),
            _gate("artifact", ("files", "size", "types")),
        ),
        confidence=0.95,
        false_alarms=0.005,
        waivers=tuple(waivers),
    )


def _drift() -> GatePolicy:
    limits = {"kolmogorov_smirnov": 0.15, "total_variation": 0.15, "null_share": 0.1, "share_ratio": 3.0}
    return _gate(
        "drift",
        tuple(f"train-test::{column}" for column in DRIFT),
        rules={name: DetectEffect(max=limit) for name, limit in limits.items()},
        modes={"champion-test": Mode.ADVISORY},
        alarms=True,
    )


def _of_classifiers() -> tuple[GatePolicy, ...]:
    calibration = {_ERROR: DetectEffect(max=0.1), _COMPARED: DetectHarm(limit=0.03)}
    fairness = {_PARITY: DetectEffect(min=0.8), _ODDS: DetectEffect(max=0.2)}
    decision = {"recall_score": Within(min=0.6), "champion::recall_score": NoHarm(margin=0.05)}
    return (
        _gate("calibration", calibration, rules=calibration, alarms=True),
        _gate("fairness", (f"Age::{_PARITY}", f"Age::{_ODDS}"), Mode.ADVISORY, rules=fairness, alarms=True),
        _gate("decision", decision, rules=decision),
    )


def measurements(*, regression: bool = False, first: bool = False) -> list[Measurement]:
    """Return what the gates measure of a candidate that passes."""
    found: list[Measurement] = [
        *checks("schema", "columns", "types", "nulls", "categories", "signature"),
        *checks("profile", *PROFILED),
        *checks("leakage", "duplicates", "rows", "ids"),
        *drift(),
        *checks("deepchecks", *DEEPCHECKS),
        *checks("environment", "lock", "python", "platform"),
        *checks("artifact", "files", "size", "types"),
    ]
    if regression:
        curves = {"residuals": {"candidate": residuals(1.9), "champion": residuals(2.0)}}
        found += [
            estimate("performance", "root_mean_squared_error", 1.91, 0.03, 1972, details={"curves": curves}),
            estimate("performance", "r2_score", 0.61, 0.012, 1972),
            estimate("champion", "root_mean_squared_error", 0.062, 0.013, 1972, champion=1.972, less_is_better=True),
            estimate("champion", "mean_absolute_error", 0.008, 0.009, 1972, champion=1.441, less_is_better=True),
        ]
    else:
        curves = {"roc": {"candidate": roc(5.4)}, "reliability": {"candidate": reliability(0.03)}}
        if not first:
            curves["roc"]["champion"] = roc(5.0)
            curves["reliability"]["champion"] = reliability(-0.05)
        found += [
            estimate("performance", "roc_auc_score", 0.8439, 0.0135, 891, details={"curves": curves}),
            estimate("performance", "brier_score_loss", 0.1369, 0.0051, 891),
            estimate("champion", "roc_auc_score", 0.0027, 0.0042, 891, champion=0.8412),
            estimate("champion", "brier_score_loss", 0.0003, 0.0012, 891, champion=0.1372, less_is_better=True),
            *calibration(),
            *fairness(),
            *decision(),
        ]
    if first:
        found = [m for m in found if m.gate != "champion" and not m.name.startswith("champion::")]
        compared = {"champion": "champion", "slices": "slices", "calibration": _COMPARED}
        compared["decision"] = "champion::recall_score"
        return found + [
            NotApplicable(gate=gate, name=name, reason=verdict.NO_CHAMPION, message="the ledger has no champion yet")
            for gate, name in compared.items()
        ]
    return found + slices(regression=regression)


#: The level of intervals that are one of many, wide enough for each gate's share of the budget.
SIMULTANEOUS = 0.999995


def drift(columns: Mapping[str, tuple[str, float]] | None = None, pair: str = "train-test") -> list[Measurement]:
    """Return effects of drift with their histograms, as gate `drift` leaves them."""
    return [
        estimate(
            "drift",
            f"{pair}::{column}::{effect}",
            value,
            0.005,
            4454,
            level=SIMULTANEOUS,
            details={"sizes": _sizes(effect, value), "absent": {}, "histogram": histogram(effect, value)},
        )
        for column, (effect, value) in (DRIFT if columns is None else columns).items()
    ]


def _sizes(effect: str, value: float) -> dict[str, Any]:
    judged = {"value": value, "low": value * 0.8, "high": value * 1.2}
    return {effect: judged, "psi": {"value": value / 2, "low": value / 3, "high": value}, "cramers_v": {"value": value}}


def histogram(effect: str, value: float) -> dict[str, Any]:
    """Return bars of two samples: of numbers for `kolmogorov_smirnov`, else of categories."""
    if effect != "kolmogorov_smirnov":
        moved = round(1000 * value)
        return {
            "categories": ["owner", "rent", "(all others)"],
            "base": [2000, 1000, 563],
            "current": [2000 - moved, 1000 + moved, 563],
            "missing": [0, 0],
        }
    bell = [round(500 * math.exp(-(((i - 8) / 4) ** 2))) for i in range(20)]
    moved = [round(120 * math.exp(-(((i - 8 - 40 * value) / 4) ** 2))) for i in range(20)]
    return {
        "edges": [18 + 2.5 * i for i in range(21)],
        "base": bell,
        "current": moved,
        "missing": [12, round(90 * value)],
    }


def calibration() -> list[Measurement]:
    """Return what gate `calibration` measures of a candidate that passes."""
    parts = {"score": 0.1369, "reliability": 0.0011, "resolution": 0.0602, "uncertainty": 0.1953, "within_bins": 0.0007}
    curves = {"candidate": reliability(0.03, 90), "champion": reliability(-0.05, 90)}
    about = {"split": "test", "probability_of": "bad"}
    own = {**about, "reliability": {"candidate": curves["candidate"]}, "brier": parts}
    both = {**about, "left_out": 0, "reliability": curves, "brier": {"candidate": parts, "champion": parts}}
    return [
        estimate("calibration", _ERROR, 0.031, 0.008, 891, level=SIMULTANEOUS, details=own),
        estimate(
            "calibration",
            _COMPARED,
            0.004,
            0.006,
            891,
            level=SIMULTANEOUS,
            champion=0.035,
            less_is_better=True,
            details=both,
        ),
    ]


def fairness(column: str = "Age") -> list[Measurement]:
    """Return how far two groups of a protected column are apart, with the rates of each."""
    groups = [
        {
            "group": name,
            "rows": rows,
            "selection_rate": [rate, rate - 0.04, rate + 0.04],
            "true_positive_rate": [0.7, 0.62, 0.77],
            "false_positive_rate": None if name == "(missing)" else [0.08, 0.05, 0.12],
            "calibration": [-0.01, -0.04, 0.03],
        }
        for name, rows, rate in (("19 to below 34", 431, 0.28), ("34 to 68", 403, 0.25), ("(missing)", 57, 0.26))
    ]
    details = {"groups": groups, "count": 3, "too_small": {"(other)": 12}, "too_small_count": 1}
    return [
        estimate("fairness", f"{column}::{_PARITY}", 0.89, 0.05, 891, level=SIMULTANEOUS, details=details),
        estimate("fairness", f"{column}::{_ODDS}", 0.06, 0.04, 891, level=SIMULTANEOUS, details=details),
    ]


def decision() -> list[Measurement]:
    """Return what is decided at a threshold of 0.4, of both models."""
    cells = {"true_positive": 168, "false_positive": 47, "false_negative": 83, "true_negative": 593}
    about = {"split": "test", "threshold": 0.4}
    both = {**about, "left_out": 0, "confusion": {"candidate": cells, "champion": {**cells, "true_positive": 160}}}
    return [
        estimate("decision", "recall_score", 0.669, 0.03, 251, details={**about, "confusion": cells}),
        estimate("decision", "champion::recall_score", 0.03, 0.02, 251, champion=0.639, details=both),
    ]


def slices(*, regression: bool = False) -> list[Measurement]:
    """Return what gate `slices` says: how many there are, and slices without harm."""
    sizes = {"Job=fixed": 560, "Job=freelance": 205, "Job=part-time": 181, "Home=owner": 422, "Home=rent": 196}
    metric = "root_mean_squared_error" if regression else "roc_auc_score"
    champion = 1.95 if regression else 0.82
    gains = (0.004, -0.006, 0.011, 0.001, -0.013)
    message = "5 slices of 2 columns compared with the champion by roc_auc_score, 2 smaller ones left out"
    details = {"metric": metric, "compared": 5, "left_out": 0, "too_small_count": 2}
    return [
        Assertion(gate="slices", name="slices", holds=True, message=message, details=details),
        *(
            slice_(name, gain, 0.0042 * math.sqrt(891 / n), n, champion=champion, metric=metric)
            for (name, n), gain in zip(sizes.items(), gains, strict=True)
        ),
        *(against_reference(name, -0.02) for name in ("Job=fixed", "Home=rent")),
    ]


def slice_(
    name: str, gain: float, error: float, n: int, *, champion: float = 0.82, metric: str = "roc_auc_score"
) -> Measurement:
    """Return the comparison of one slice with the champion, named `column=value`."""
    column, _, value = name.partition("=")
    return estimate(
        "slices",
        name,
        gain,
        error,
        n,
        level=SIMULTANEOUS,
        champion=champion,
        less_is_better=metric == "root_mean_squared_error",
        details={"metric": metric, "condition": f"\"{column}\" = '{value}'"},
    )


def against_reference(name: str, gain: float) -> Measurement:
    """Return the comparison of one slice with the same one of the reference rows."""
    column, _, value = name.partition("=")
    details = {
        "metric": "roc_auc_score",
        "condition": f"\"{column}\" = '{value}'",
        "reference": 0.86,
        "reference_rows": 700,
    }
    found = estimate("slices", f"reference::{name}", gain, 0.02, 300, level=SIMULTANEOUS, details=details)
    return replace(found, candidate=0.86 + gain)


def replaced(found: Iterable[Measurement], *others: Measurement) -> list[Measurement]:
    """Return `found` with `others` in place of those of the same gate and name."""
    names = {(m.gate, m.name) for m in others}
    return [*(m for m in found if (m.gate, m.name) not in names), *others]


def _failing(found: list[Measurement]) -> list[Measurement]:
    return replaced(
        found,
        slice_("Job=part-time", -0.094, 0.0155, 181, champion=0.799),
        estimate("champion", "brier_score_loss", 0.0003, 0.0035, 891, champion=0.1372, less_is_better=True),
        Assertion(
            gate="deepchecks",
            name="TrainTestPerformance",
            holds=False,
            message="Train-Test scores relative degradation is less than 0.1: 1 score failed: F1 0.61 against 0.72",
        ),
    )


def scenario_measurements(name: str) -> list[Measurement]:
    """Return what was measured in one of `SCENARIOS`."""
    found = measurements(regression=name == "regression", first=name == "first")
    match name:
        case "failing":
            return _failing(found)
        case "waived":
            return replaced(found, *(m for m in _failing(found) if m.name == "Job=part-time"))
        case "inconclusive":
            return replaced(found, estimate("champion", "roc_auc_score", -0.004, 0.0071, 891, champion=0.8412))
        case "error":
            reason = "ended after 120 s without an answer"
            return [m for m in found if m.gate != "schema"] + [Failure(gate="schema", name="schema", reason=reason)]
        case "no-deepchecks":
            reason = "Deepchecks could not be started: the package index did not answer"
            return [m for m in found if m.gate != "deepchecks"] + [
                Failure(gate="deepchecks", name=name, reason=reason) for name in DEEPCHECKS
            ]
    return found


def reproduce_record(model: str = MODEL, *, decision: str = "reproducible", version: str = "candidate") -> Record:
    """Return the record of a re-run."""
    same = decision == "reproducible"
    old = version == "champion"
    output = {
        "path": "models/credit-default/metrics.json",
        "compare": "metrics",
        "result": "identical" if same else "different",
        "reason": "" if same else "roc_auc is 0.8439, the commit says 0.8611 (tolerance 1e-09)",
        "expected": fingerprint("metrics"),
        "actual": fingerprint("metrics" if same else "others"),
        "details": {},
    }
    predictions = {**output, "path": "models/credit-default/test.csv", "compare": "predictions", "result": "identical"}
    return Record(
        schema="reproduce",
        version=1,
        inputs={"input": fingerprint("input" + version)},
        body={
            "model": model,
            "commit": COMMIT,
            "decision": decision,
            "outputs": [output, {**predictions, "reason": ""}],
            "model_digest": fingerprint(f"model {version}"),
            "data": {
                "train": {
                    "path": "data/train.parquet",
                    "digest": fingerprint("train" + version),
                    "rows": 3251 if old else 3563,
                },
                "test": {"path": "data/test.parquet", "digest": fingerprint("test"), "rows": 891},
            },
            "metrics": {"roc_auc": 0.8412 if old else 0.8439, "brier": 0.1372 if old else 0.1369},
            "params": {"train.max_depth": 4 if old else 5, "train.learning_rate": 0.05, "seed": 20 if old else 7},
            "environment": {
                "lock": fingerprint("lock"),
                "python": "3.11.7",
                "platform": "linux-x86_64",
                "cpu_count": 2,
            },
            "stages": ["prepare", "train", "evaluate"],
        },
        context={"seconds": 31.4},
    )


def score_record(reproduce: Record, *, first: bool = False) -> Record:
    """Return the record of the scores that follow from a re-run."""
    champion = {"state": "none"}
    if not first:
        champion = {"state": "scored", "version": "v6", "promotion": 6, "digest": fingerprint("model champion")}
    model = reproduce.body["model_digest"]
    return Record(
        schema="score",
        version=1,
        inputs={"reproduce": reproduce.digest, "model": model},
        body={
            "model": reproduce.body["model"],
            "candidate": {"digest": model},
            "champion": champion,
            "isolated": True,
        },
        context={"seconds": 6.2},
    )


def gate_record(
    score: Record,
    found: Sequence[Measurement],
    rules: Policy,
    *,
    first: bool = False,
    changes: Sequence[str] = (),
    off: Sequence[str] = ("behaviour",),
) -> Record:
    """Return the record of the verdict, judged by the kernel."""
    judged = verdict.judge(found, rules, compared=not first, today=TODAY)
    model = score.inputs["model"]
    champion = {key: score.body["champion"].get(key) for key in ("version", "promotion", "digest")}
    return Record(
        schema="gate",
        version=1,
        inputs={"score": score.digest, "policy": fingerprint("policy"), "model": model},
        body={
            **verdict.to_body(judged),
            "model": score.body["model"],
            "commit": COMMIT,
            "model_digest": model,
            "champion": None if first else champion,
            "policy": {
                "digest": fingerprint("policy"),
                "ref": "main",
                "commit": COMMIT[::-1],
                "changes": list(changes),
            },
            "judged_by": {"tests/behaviour/test_risk.py": fingerprint("test_risk")},
            "profile": {"path": "profile.json", "digest": fingerprint("profile")},
            "measurements": [to_json(m) for m in found],
            "judged_on": TODAY.isoformat(),
            "false_alarms": rules.false_alarms,
            "off": list(off),
        },
        context={"timings": {"deepchecks": 14.2, "champion": 0.4}},
    )


def write(folder: Path, found: Sequence[Measurement], rules: Policy | None = None, **options: Any) -> Path:
    """Write reproduce, score and gate records of `found` to `folder` (named as the model), and return it."""
    reproduce = reproduce_record(folder.name)
    score = score_record(reproduce, first=bool(options.get("first")))
    record.write(reproduce, folder / "reproduce.json")
    record.write(score, folder / "score.json")
    record.write(gate_record(score, found, rules or policy(), **options), folder / "gate.json")
    return folder


def scenario(root: Path, name: str) -> Path:
    """Write the records of one of `SCENARIOS` below `root`, and return the model's folder."""
    folder = root / MODEL
    if name == "not-reproducible":
        record.write(reproduce_record(decision="not reproducible"), folder / "reproduce.json")
        return folder
    waivers = []
    if name == "waived":
        waivers = [
            Waiver(
                gate="slices",
                name="Job=part-time",
                who="Head of Retail Credit Risk",
                reason="the segment is closed to new business",
                until=date(2026, 6, 30),
            )
        ]
    first = name == "first"
    changes = ["gates.slices.limit: 0.02 → 0.10"] if name == "failing" else []
    rules = policy(regression=name == "regression", waivers=waivers)
    write(folder, scenario_measurements(name), rules, first=first, changes=changes)
    if not first:
        record.write(reproduce_record(version="champion"), folder / "champion" / "reproduce.json")
    if name == "promoted":
        judged = record.read(folder / "gate.json", "gate")
        event = {"model": MODEL, "version": "v7", "promotion": 7, "who": "release", "time": "2026-03-02T09:14:05Z"}
        record.write(
            Record(schema="promote", version=1, inputs={"gate": judged.digest}, body=event), folder / "promote.json"
        )
    return folder
