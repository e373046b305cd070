"""Gate `calibration`: probabilities that mean what they say, judged by what the rows can show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passmuster import policy
from passmuster.config import CalibrationGate, ModelConfig, Task
from passmuster.errors import NotMeasured
from passmuster.measurement import Estimate, Failure, Measurement, NotApplicable
from passmuster_checks.calibration import COMPARED, ERROR, Calibration
from support import candidate as made
from support.judging import inputs, judge, outcomes


def _measured(root: Path, candidate: made.Candidate, config: ModelConfig | None = None) -> list[Measurement]:
    config = config or made.config()
    candidate.write(root)
    share = policy.from_config(config).false_alarms_of("calibration")
    return list(Calibration().measure(replace(inputs(root, config), false_alarms=share)))


def _outcomes(root: Path, candidate: made.Candidate, config: ModelConfig | None = None, **said: Any) -> dict[str, str]:
    found = _measured(root, candidate, config)
    return outcomes(judge(found, policy.from_config(config or made.config()), **said), "calibration")


def _sharpen(table: dict[str, list[Any]], power: float) -> None:
    bad = np.array(table["proba_bad"])
    bad = bad**power / (bad**power + (1 - bad) ** power)
    table["proba_bad"], table["proba_good"] = bad.tolist(), (1 - bad).tolist()


def _large() -> made.Candidate:
    return made.Candidate(test=made.rows(4_000))


def test_calibrated_models_pass_and_the_report_gets_their_curves(tmp_path: Path) -> None:
    """The error by itself and against the champion; bins with Wilson's intervals; the parts of the Brier score."""
    candidate = _large()
    own, compared = _measured(tmp_path, candidate)

    assert _outcomes(tmp_path, candidate) == {ERROR: "pass", COMPARED: "pass"}
    assert isinstance(own, Estimate) and isinstance(compared, Estimate)
    assert own.interval is not None and compared.interval is not None
    assert own.interval.level == pytest.approx(compared.interval.level)
    assert own.details["probability_of"] == "bad"
    assert len(own.details["reliability"]["candidate"]) == 10
    assert set(compared.details["reliability"]) == set(compared.details["brier"]) == {"candidate", "champion"}
    assert all(low <= observed <= high for _, observed, _, low, high in own.details["reliability"]["candidate"])
    assert set(own.details["brier"]) == {"score", "reliability", "resolution", "uncertainty", "within_bins"}
    json.dumps([own.details, compared.details], allow_nan=False)


@pytest.mark.parametrize("power", [0.15, 8.0])
def test_probabilities_that_say_too_little_or_too_much_fail(power: float, tmp_path: Path) -> None:
    """By the limit and against the champion; a ranking metric would not see it."""
    candidate = _large()
    _sharpen(candidate.predictions["test"], power)
    limits = made.config(calibration=CalibrationGate(limit=0.02, worse=0.01))

    assert _outcomes(tmp_path, candidate, limits) == {ERROR: "fail", COMPARED: "fail"}


def test_what_few_rows_show_is_not_held_against_the_model(tmp_path: Path) -> None:
    """At 100 rows the measured error of an honest model is far above zero; the interval knows."""
    candidate = made.Candidate(test=made.rows(100))
    own, _ = _measured(tmp_path, candidate)

    assert isinstance(own, Estimate) and own.value > 0.02
    assert _outcomes(tmp_path, candidate, made.config(calibration=CalibrationGate(limit=0.02))) == {
        ERROR: "pass",
        COMPARED: "pass",
    }


def test_rows_that_the_champion_was_trained_on_are_left_out_of_the_comparison(tmp_path: Path) -> None:
    """Not of the candidate's own error."""
    candidate = made.Candidate()
    candidate.champion["leave_out"] = {"test": list(range(300))}
    own, compared = _measured(tmp_path, candidate)

    assert isinstance(own, Estimate) and isinstance(compared, Estimate)
    assert (own.n, compared.n, compared.details["left_out"]) == (800, 500, 300)


@pytest.mark.parametrize(("state", "kind"), [("none", NotApplicable), ("unreadable", Failure)])
def test_without_a_champion_the_own_error_is_measured(state: str, kind: type[Measurement], tmp_path: Path) -> None:
    """A first model has nothing to be compared with; a champion that could not be scored is an error."""
    candidate = made.Candidate(champion={"state": state, "message": "no such file"})
    own, compared = _measured(tmp_path, candidate)

    assert isinstance(own, Estimate) and isinstance(compared, kind)
    assert compared.name == COMPARED
    second = "skipped" if state == "none" else "error"
    assert _outcomes(tmp_path, candidate, compared=state != "none") == {ERROR: "pass", COMPARED: second}


def test_a_constant_probability_is_an_error(tmp_path: Path) -> None:
    """It is right on average and says nothing."""
    candidate = made.Candidate()
    table = candidate.predictions["test"]
    share = table["label"].count("bad") / 800
    table["proba_bad"], table["proba_good"] = [share] * 800, [1 - share] * 800
    own, compared = _measured(tmp_path, candidate)

    assert isinstance(own, Failure) and isinstance(compared, Failure)
    assert "800 rows" in own.reason


def test_answers_that_can_not_be_read_are_errors(tmp_path: Path) -> None:
    """Of the candidate and of the champion, each where it belongs."""
    candidate = made.Candidate()
    candidate.champion["predictions"]["test"]["proba_bad"][0] = float("nan")
    own, compared = _measured(tmp_path / "champion", candidate)

    assert isinstance(own, Estimate) and isinstance(compared, Failure)
    candidate = made.Candidate()
    candidate.predictions["test"]["proba_bad"][0] = float("nan")
    assert _outcomes(tmp_path / "candidate", candidate) == {ERROR: "error", COMPARED: "error"}


def test_labels_of_one_class_are_an_error(tmp_path: Path) -> None:
    """They say nothing about a classifier."""
    candidate = made.Candidate()
    candidate.test["status"] = candidate.predictions["test"]["label"] = ["bad"] * 800
    candidate.champion["predictions"]["test"]["label"] = ["bad"] * 800

    assert _outcomes(tmp_path, candidate) == {ERROR: "error", COMPARED: "error"}


def test_a_regression_has_no_calibration(tmp_path: Path) -> None:
    """The gate does not apply, and says why."""
    made.Candidate().write(tmp_path)
    given = replace(inputs(tmp_path, made.config()), config=replace(made.config(), task=Task.REGRESSION))
    (found,) = Calibration().measure(given)

    assert isinstance(found, NotApplicable) and found.reason == "wrong-task"


def test_a_budget_too_small_for_the_method_is_an_error(tmp_path: Path) -> None:
    """It says what to change; it does not answer with a weaker interval."""
    made.Candidate().write(tmp_path)
    found = Calibration().measure(replace(inputs(tmp_path, made.config()), false_alarms=1e-9))

    assert all(isinstance(m, Failure) and "policy.false-alarms" in m.reason for m in found)
    assert NotMeasured.__name__ not in str(found)
