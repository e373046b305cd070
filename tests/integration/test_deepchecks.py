"""Deepchecks itself, in its own environment: clean data holds, each planted defect is found by the check for it.

Its import takes 5 to 15 s, so that each scenario asks everything of one process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passmuster import curated
from passmuster.config import Task
from passmuster.measurement import Assertion, Failure, NotApplicable
from passmuster_checks.deepchecks import client

pytestmark = pytest.mark.network

Columns = dict[str, Any]
FEATURES = (*(f"x{i}" for i in range(7)), "colour", "size", "age")


def table(rows: int, first_id: int, seed: int, task: Task) -> tuple[Columns, Columns]:
    """Return 10 features with label, id and time, and an honest model's answers on them."""
    rng = np.random.default_rng(seed)
    data: Columns = {f"x{i}": rng.normal(size=rows) for i in range(7)}
    data["colour"] = rng.choice(["red", "green", "blue"], rows)
    data["size"] = rng.choice(["small", "large"], rows)
    data["age"] = rng.integers(18, 80, rows)
    signal = data["x0"] + 0.5 * data["x1"]
    ids = np.arange(first_id, first_id + rows)
    answers: Columns = {"row": ids}
    if task is Task.REGRESSION:
        data["target"] = signal + rng.normal(size=rows)
        answers["prediction"] = signal
    else:
        scores = np.stack([-signal, signal] if task is Task.BINARY else [-signal, signal, 0 * signal], axis=1)
        proba = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        drawn = (rng.random(rows)[:, None] > proba.cumsum(axis=1)).sum(axis=1)
        names = np.array([0, 1] if task is Task.BINARY else ["high", "low", "mid"])
        data["target"] = names[np.minimum(drawn, len(names) - 1)]
        answers["prediction"] = names[proba.argmax(axis=1)]
        answers |= {f"proba_{name}": proba[:, i] for i, name in enumerate(names)}
    answers["label"] = data["target"]
    data["row"] = ids
    data["when"] = np.datetime64("2024-01-01", "s") + ids.astype("timedelta64[h]")
    return data, answers


def one(name: str, conditions: Any = None, options: Any = None, timeout: float = 60.0) -> client.Asked:
    return client.Asked(name=name, conditions=conditions or {}, options=options or {}, timeout=timeout)


#: Checks of each of Deepchecks' suites, as a user would name them, with limits that clean data keep.
NAMED = (
    one("DataDuplicates", {"ratio_less_or_equal": {"max_ratio": 0.01}}),
    one("IsSingleValue", {"add_condition_not_single_value": {}}),
    one("IndexTrainTestLeakage", {"ratio_less_or_equal": {"max_ratio": 0.0}}),
    one("DateTrainTestLeakageDuplicates", {"leakage_ratio_less_or_equal": {"max_ratio": 0.0}}),
    one("DateTrainTestLeakageOverlap", {"leakage_ratio_less_or_equal": {"max_ratio": 0.0}}),
    one("TrainTestSamplesMix", {"duplicates_ratio_less_or_equal": {"max_ratio": 0.01}}),
    one("NewCategoryTrainTest", {"new_categories_less_or_equal": {"max_new": 0}}),
    one("NewLabelTrainTest", {"new_labels_number_less_or_equal": {"max_new": 0}}),
    one("FeatureDrift", {"drift_score_less_than": {}}),
    one("LabelDrift", {"drift_score_less_than": {}}),
    one("MultivariateDrift", {"overall_drift_value_less_than": {}}),
    one("TrainTestPerformance", {"train_test_relative_degradation_less_than": {"threshold": 0.1}}),
    one("PredictionDrift", {"drift_score_less_than": {}}),
    one("CalibrationScore", {"brier_score_less_or_equal": {"max_score": 0.25}}),
    one("RegressionSystematicError", {"systematic_error_ratio_to_rmse_less_than": {"max_ratio": 0.1}}),
    one("WeakSegmentsPerformance", {"segments_relative_performance_greater_than": {"max_ratio_change": 0.9}}),
)
NOT_FOR = {
    Task.BINARY: {"RegressionSystematicError"},
    Task.MULTICLASS: {"RegressionSystematicError"},
    Task.REGRESSION: {
        *("NewLabelTrainTest", "CalibrationScore", "DateTrainTestLeakageDuplicates", "DateTrainTestLeakageOverlap")
    },
}


def checks_for(task: Task) -> tuple[client.Asked, ...]:
    """The curated checks of the task, and those of `NAMED` that apply."""
    listed = (one(n, c.conditions, c.options, c.timeout) for n, c in curated.checks(task).items())
    return (*listed, *(asked for asked in NAMED if asked.name not in NOT_FOR[task]))


@dataclasses.dataclass
class Scenario:
    """Two tables and the answers on them, before they are written."""

    task: Task
    train: Columns
    test: Columns
    train_answers: Columns
    test_answers: Columns
    checks: tuple[client.Asked, ...]
    time: str | None = "when"
    limit: float = 400.0

    @classmethod
    def clean(cls, task: Task) -> Scenario:
        train, train_answers = table(2000, 0, 1, task)
        test, test_answers = table(2000, 2000, 2, task)
        return cls(task, train, test, train_answers, test_answers, checks_for(task))

    def answers(self, folder: Path) -> dict[str, client.Answer]:
        """Run all checks in one process; by name."""
        folder.mkdir()
        files = {name: getattr(self, name) for name in ("train", "test", "train_answers", "test_answers")}
        for name, columns in files.items():
            pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        names = [name.removeprefix("proba_") for name in self.test_answers if name.startswith("proba_")]
        request = client.Request(
            task=self.task,
            label="target",
            id="row",
            time=self.time,
            categorical=("colour", "size"),
            features=tuple(name for name in self.train if name not in ("target", "row", "when")),
            train=folder / "train.parquet",
            test=folder / "test.parquet",
            predictions={s: folder / f"{s}_answers.parquet" for s in ("train", "test")},
            classes=tuple(names),
            checks=self.checks,
            limit=self.limit,
        )
        with client.start(request, folder=folder / "run") as running:
            found = running.answers()
        assert [a.name for a in found] == [a.name for a in request.checks]
        return {answer.name: answer for answer in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deepchecks")


@pytest.fixture(scope="module")
def binary(folder: Path) -> dict[str, client.Answer]:
    scenario = Scenario.clean(Task.BINARY)
    scenario.checks += (
        one("MixedNull", {"different_nulls_less_equal_to": {}}),
        one("StringLengthOutOfBounds", {"ratio_of_outliers_less_or_equa": {}}),
        one("ClassImbalance", {"class_ratio_less_than": {"class_imbalance_ratio": 0.1}}),
        one("IdentifierLabelCorrelation", {"pps_less_than": {}}, {"ppscore_param": {}}),
        one("ColumnsInfo"),
        one("OutlierSampleDetection", {"outlier_ratio_less_or_equal": {}}, {"n_samples": -3}),
        one("FeatureFeatureCorrelation", {"max_number_of_pairs_above_threshold": {}}, timeout=0.005),
        one("DatasetsSizeComparison", {"test_train_size_ratio_greater_than": {"ratio": "0.2"}}),
        one("PercentOfNulls", {"percent_of_nulls_not_greater_than": {}}, {"n_samples": 500}),
        one("RegressionSystematicError", {"systematic_error_ratio_to_rmse_less_than": {}}),
        one("ModelInferenceTime", {"inference_time_less_than": {}}),
    )
    return scenario.answers(folder / "binary")


@pytest.fixture(scope="module")
def regression(folder: Path) -> dict[str, client.Answer]:
    scenario = Scenario.clean(Task.REGRESSION)
    scenario.time = None
    scenario.checks += (
        one("DateTrainTestLeakageOverlap", {"leakage_ratio_less_or_equal": {}}),
        one("SingleDatasetPerformance", {"greater_than": {"threshold": 0.2}}, {"scorers": ["r2"]}),
        one("SimpleModelComparison", {"gain_greater_than": {}}, {"scorers": ["r1"]}),
    )
    return scenario.answers(folder / "regression")


@pytest.fixture(scope="module")
def defective(folder: Path) -> dict[str, client.Answer]:
    scenario = Scenario.clean(Task.BINARY)
    train, test = scenario.train, scenario.test
    test["x2"] = test["x2"] + 2.0
    for name in (*FEATURES, "target", "when"):
        test[name] = test[name].copy()
        test[name][:100] = train[name][:100]  # test rows that are training rows
        train[name][500:600] = train[name][:100]  # rows that are there twice
    scenario.test_answers["label"] = test["target"]
    scenario.train_answers["label"] = train["target"]
    scenario.train_answers["prediction"] = train["target"]  # an overfitted model
    for columns in (train, test):
        columns["leak"] = columns["target"] + 0.001 * columns["x0"]
        columns["constant"] = np.full(2000, 7.0)
        columns["mixed"] = np.where(np.arange(2000) % 400 == 0, "12", "text")
        columns["void"] = pa.nulls(2000, pa.float64())
    test["colour"] = np.where(np.arange(2000) == 1500, "ultraviolet", test["colour"])
    test["row"] = test["row"].copy()
    test["row"][7] = 7
    scenario.test_answers["row"] = test["row"]
    return scenario.answers(folder / "defective")


def test_clean_data_hold_every_check(binary: dict[str, client.Answer]) -> None:
    facts = {asked.name: client.measurement(binary[asked.name]) for asked in checks_for(Task.BINARY)}

    assert len(facts) == 21
    assert {name: fact for name, fact in facts.items() if not (isinstance(fact, Assertion) and fact.holds)} == {}


def test_every_check_of_a_regression_runs_on_its_predictions(regression: dict[str, client.Answer]) -> None:
    names = {asked.name for asked in checks_for(Task.REGRESSION)}

    assert {name: regression[name] for name in names if regression[name].status != "ran"} == {}
    assert {"TrainTestPerformance", "WeakSegmentsPerformance", "RegressionSystematicError"} < names


def test_metrics_of_a_regression_are_those_of_its_predictions(regression: dict[str, client.Answer]) -> None:
    scenario = Scenario.clean(Task.REGRESSION)
    error = scenario.test["target"] - scenario.test_answers["prediction"]
    rows = regression["TrainTestPerformance"].value
    shown = {(row["Dataset"], row["Metric"]): row["Value"] for row in rows}

    assert shown["Test", "Neg RMSE"] == pytest.approx(-np.sqrt((error**2).mean()), rel=1e-12)
    assert shown["Test", "Neg MAE"] == pytest.approx(-np.abs(error).mean(), rel=1e-12)
    assert shown["Test", "R2"] == pytest.approx(1 - (error**2).sum() / (scenario.test["target"].var() * 2000))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DataDuplicates", "duplicate"),
        ("MixedDataTypes", "mixed"),
        ("FeatureLabelCorrelation", "leak"),
        ("IndexTrainTestLeakage", "leak"),
        ("TrainTestSamplesMix", "5%"),
        ("NewCategoryTrainTest", "colour"),
        ("MultivariateDrift", "drift"),
        ("TrainTestPerformance", "degradation"),
    ],
)
def test_a_planted_defect_is_found_by_the_check_for_it(
    defective: dict[str, client.Answer], name: str, said: str
) -> None:
    fact = client.measurement(defective[name])

    assert isinstance(fact, Assertion), fact
    assert not fact.holds
    assert said in fact.message


@pytest.mark.parametrize("name", ["IsSingleValue", "FeatureDrift"])
def test_an_all_null_column_is_an_error_where_deepchecks_passes_it(
    defective: dict[str, client.Answer], name: str
) -> None:
    fact = client.measurement(defective[name])

    assert isinstance(fact, Failure)
    assert fact.reason.startswith("not-a-number: ")
    assert "void" in fact.reason


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("MixedNull", "unknown-check", "perhaps 'MixedNulls' is meant"),
        ("StringLengthOutOfBounds", "unknown-condition", "perhaps 'ratio_of_outliers_less_or_equal' is meant"),
        ("ClassImbalance", "unknown-option", "perhaps 'class_imbalance_ratio_th' is meant"),
        ("IdentifierLabelCorrelation", "unknown-option", "perhaps 'ppscore_params' is meant"),
        ("ColumnsInfo", "no-condition", "nothing could fail"),
        ("OutlierSampleDetection", "crash", "ValueError"),
        ("FeatureFeatureCorrelation", "timeout", "0.005 s"),
        ("DatasetsSizeComparison", "condition-crashed", ""),
    ],
)
def test_what_did_not_run_is_an_error_with_its_reason(
    binary: dict[str, client.Answer], name: str, reason: str, said: str
) -> None:
    fact = client.measurement(binary[name])

    assert isinstance(fact, Failure)
    assert fact.reason.startswith(f"{reason}: ")
    assert said in fact.reason


def test_the_time_limit_of_the_gate_holds_for_all_checks_together(folder: Path) -> None:
    """Deepchecks' start counts; each check says why it has no answer."""
    scenario = Scenario.clean(Task.BINARY)
    scenario.checks = (one("IsSingleValue", {"not_single_value": {}}), one("WeakSegmentsPerformance", {"x": {}}))
    scenario.limit = 0.01
    facts = [client.measurement(answer) for answer in scenario.answers(folder / "late").values()]

    assert len(facts) == 2
    assert all(isinstance(fact, Failure) and fact.reason.startswith("timeout: ") for fact in facts)


def test_a_check_says_how_many_rows_it_saw(binary: dict[str, client.Answer]) -> None:
    assert (binary["PercentOfNulls"].rows, binary["PercentOfNulls"].sampled) == ({"train": 500, "test": 500}, True)
    assert (binary["FeatureDrift"].rows, binary["FeatureDrift"].sampled) == ({"train": 2000, "test": 2000}, False)
    assert binary["WeakSegmentsPerformance"].rows == {"test": 2000}


def test_a_condition_may_be_named_with_its_prefix(binary: dict[str, client.Answer]) -> None:
    assert [found.category for found in binary["IsSingleValue"].conditions] == ["PASS", "PASS"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("RegressionSystematicError", "wrong-task"), ("ModelInferenceTime", "not-on-predictions")],
)
def test_a_check_that_does_not_apply_says_why(binary: dict[str, client.Answer], name: str, reason: str) -> None:
    fact = client.measurement(binary[name])

    assert isinstance(fact, NotApplicable)
    assert fact.reason == reason


def test_a_check_of_dates_does_not_apply_without_a_time_column(regression: dict[str, client.Answer]) -> None:
    fact = client.measurement(regression["DateTrainTestLeakageOverlap"])

    assert isinstance(fact, NotApplicable)
    assert fact.reason == "no-datetime"


def test_scorers_of_a_regression_are_chosen_by_name(regression: dict[str, client.Answer]) -> None:
    chosen = client.measurement(regression["SingleDatasetPerformance"])
    wrong = client.measurement(regression["SimpleModelComparison"])

    assert isinstance(chosen, Assertion)
    assert chosen.holds
    assert isinstance(wrong, Failure)
    assert "r1 is unknown" in wrong.reason


def test_every_check_of_three_classes_runs(folder: Path) -> None:
    found = Scenario.clean(Task.MULTICLASS).answers(folder / "multiclass")

    assert {name: answer for name, answer in found.items() if answer.status != "ran"} == {}


def _missing_labels(scenario: Scenario) -> None:
    scenario.test["target"] = pa.nulls(2000, pa.int64())


def _one_class(scenario: Scenario) -> None:
    scenario.test["target"] = np.zeros(2000, dtype=int)


def _lost_column(scenario: Scenario) -> None:
    del scenario.test["x3"]


def _no_rows(scenario: Scenario) -> None:
    scenario.test = {name: column[:0] for name, column in scenario.test.items()}


@pytest.mark.parametrize("spoil", [_missing_labels, _one_class, _lost_column, _no_rows])
def test_data_that_cannot_be_judged_are_an_error_of_every_check(
    folder: Path, spoil: Callable[[Scenario], None]
) -> None:
    scenario = Scenario.clean(Task.BINARY)
    spoil(scenario)
    facts = [client.measurement(answer) for answer in scenario.answers(folder / spoil.__name__).values()]

    assert len(facts) == 21
    assert all(isinstance(fact, Failure) and fact.reason.startswith("bad-data: test: ") for fact in facts)


def test_missing_probabilities_are_an_error_of_what_looks_at_predictions_alone(folder: Path) -> None:
    cheap = {"IsSingleValue", "CalibrationScore", "TrainTestPerformance"}
    scenario = Scenario.clean(Task.BINARY)
    scenario.checks = tuple(asked for asked in NAMED if asked.name in cheap)
    scenario.test_answers["proba_1"][5] = np.nan
    facts = {name: client.measurement(answer) for name, answer in scenario.answers(folder / "nan").items()}

    assert isinstance(facts.pop("IsSingleValue"), Assertion)
    assert len(facts) == 2
    assert all(isinstance(f, Failure) and f.reason.startswith("bad-predictions: test: ") for f in facts.values())
