"""Plausible records of one model, judged by the real kernel; for tests of what reads records.

`scenario(folder, name)` writes reproduce, score and gate records as the steps would; `SCENARIOS` names what there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import NormalDist
from typing import Any

from passmuster import digest, record, verdict
from passmuster.config import Mode, Waiver
from passmuster.measurement import Assertion, Estimate, Failure, Interval, Measurement, NotApplicable, to_json
from passmuster.policy import DetectHarm, GatePolicy, Holds, NoHarm, Policy, Within
from passmuster.record import Record

MODEL = "credit-default"
COMMIT = "3f2c9ab0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6"
TODAY = date(2026, 3, 2)

SCENARIOS = (
    "passing",
    "failing",
    "inconclusive",
    "error",
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


def reliability(tilt: float) -> list[list[float]]:
    """Return a reliability curve; `tilt` 0 is perfect."""
    return [[p / 10 + 0.05, min(1.0, max(0.0, p / 10 + 0.05 + tilt * math.sin(p / 10 * 6)))] for p in range(10)]


def residuals(spread: float) -> list[list[float]]:
    """Return quantiles of residuals."""
    return [[p / 50, spread * NormalDist().inv_cdf(p / 50)] for p in range(1, 50)]


def checks(gate: str, *names: str) -> list[Measurement]:
    """Return assertions that hold."""
    return [Assertion(gate=gate, name=name, holds=True, message=f"{name}: nothing found") for name in names]


def _gate(name: str, expected: Iterable[str], mode: Mode = Mode.BLOCKING, **rules: Any) -> GatePolicy:
    return GatePolicy(gate=name, mode=mode, expected=tuple(expected), **(rules or {"other": Holds()}))


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
    return Policy(
        gates=(
            _gate("schema", ("columns", "types", "nulls", "categories", "signature")),
            _gate("integrity", ("MixedNulls", "DataDuplicates", "ConflictingLabels", "IsSingleValue")),
            _gate("train-test", ("TrainTestSamplesMix", "NewCategoryTrainTest", "FeatureDrift", "LabelDrift")),
            _gate("evaluation", ("TrainTestPerformance", "PredictionDrift"), Mode.ADVISORY),
            _gate("performance", limits, rules=limits),
            _gate("champion", margins, rules=margins),
            _gate("segments", ("Job", "Home"), other=DetectHarm(limit=0.02)),
            _gate("environment", ("lock", "python", "platform")),
            _gate("artifact", ("files", "size", "types")),
        ),
        confidence=0.95,
        false_alarms=0.005,
        waivers=tuple(waivers),
    )


def measurements(*, regression: bool = False, first: bool = False) -> list[Measurement]:
    """Return what the gates measure of a candidate that passes."""
    drift = {
        "value": {
            column: {"Drift score": score, "Method": "Kolmogorov-Smirnov" if column != "Home" else "Cramer's V"}
            for column, score in {"Income": 0.061, "Age": 0.043, "Amount": 0.021, "Home": 0.017, "Price": 0.008}.items()
        }
    }
    found: list[Measurement] = [
        *checks("schema", "columns", "types", "nulls", "categories", "signature"),
        *checks("integrity", "MixedNulls", "DataDuplicates", "ConflictingLabels", "IsSingleValue"),
        *checks("train-test", "TrainTestSamplesMix", "NewCategoryTrainTest"),
        Assertion(
            gate="train-test",
            name="FeatureDrift",
            holds=True,
            message="drift score < 0.2: Passed for 12 columns out of 12 columns.",
            details=drift,
        ),
        Assertion(
            gate="train-test",
            name="LabelDrift",
            holds=True,
            message="drift score < 0.15: Label's drift score Cramer's V is 0.012",
            details={"value": {"Drift score": 0.012, "Method": "Cramer's V"}},
        ),
        *checks("evaluation", "TrainTestPerformance", "PredictionDrift"),
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
        ]
    if first:
        found = [m for m in found if m.gate != "champion"]
        return found + [
            NotApplicable(gate=gate, name=gate, reason=verdict.NO_CHAMPION, message="the ledger has no champion yet")
            for gate in ("champion", "segments")
        ]
    return found + segments(regression=regression)


def segments(*, regression: bool = False) -> list[Measurement]:
    """Return comparisons by segment without harm."""
    sizes = {"Job=fixed": 560, "Job=freelance": 205, "Job=part-time": 181, "Home=owner": 422, "Home=rent": 196}
    level = 1 - 2 * 0.005 / len(sizes)
    metric = "root_mean_squared_error" if regression else "roc_auc_score"
    champion = 1.95 if regression else 0.82
    gains = (0.004, -0.006, 0.011, 0.001, -0.013)
    return [
        estimate(
            "segments",
            name,
            gain,
            0.0042 * math.sqrt(891 / n),
            n,
            level=level,
            champion=champion,
            less_is_better=regression,
            details={"metric": metric},
        )
        for (name, n), gain in zip(sizes.items(), gains, strict=True)
    ]


def replaced(found: Iterable[Measurement], *others: Measurement) -> list[Measurement]:
    """Return `found` with `others` in place of those of the same gate and name."""
    names = {(m.gate, m.name) for m in others}
    return [*(m for m in found if (m.gate, m.name) not in names), *others]


def _failing(found: list[Measurement]) -> list[Measurement]:
    level = 1 - 2 * 0.005 / 5
    roc_auc = {"metric": "roc_auc_score"}
    return replaced(
        found,
        estimate("segments", "Job=part-time", -0.094, 0.0188, 181, level=level, champion=0.799, details=roc_auc),
        estimate("champion", "brier_score_loss", 0.0003, 0.0035, 891, champion=0.1372, less_is_better=True),
        Assertion(
            gate="evaluation",
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
            return [m for m in found if m.gate != "integrity"] + [
                Failure(gate="integrity", name="integrity", reason=reason)
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
            "measurements": [to_json(m) for m in found],
            "judged_on": TODAY.isoformat(),
            "false_alarms": rules.false_alarms,
            "off": list(off),
        },
        context={"timings": {"integrity": 14.2, "champion": 0.4}},
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
                gate="segments",
                name="Job=part-time",
                who="Head of Retail Credit Risk",
                reason="the segment is closed to new business",
                until=date(2026, 6, 30),
            )
        ]
    first = name == "first"
    changes = ["gates.segments.limit: 0.02 → 0.10"] if name == "failing" else []
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
