"""Gate `fairness`: groups of the protected columns, compared by what was decided of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passmuster import policy
from passmuster.config import DecisionGate, FairnessGate, Limit, Mode, ModelConfig, Task
from passmuster.measurement import Estimate, Failure, Measurement, NotApplicable
from passmuster_checks.fairness import Fairness
from support import candidate as made
from support.judging import inputs, judge, outcomes

RATIO, ODDS = "home::demographic_parity_ratio", "home::equalized_odds_difference"


def _config(*columns: str, **settings: Any) -> ModelConfig:
    return made.config(fairness=FairnessGate(columns=columns or ("home",), **settings))


def _measured(root: Path, candidate: made.Candidate, config: ModelConfig | None = None) -> list[Measurement]:
    config = config or _config()
    candidate.write(root)
    share = policy.from_config(config).false_alarms_of("fairness")
    return list(Fairness().measure(replace(inputs(root, config), false_alarms=share)))


def _outcomes(root: Path, candidate: made.Candidate, config: ModelConfig | None = None) -> dict[str, str]:
    found = _measured(root, candidate, config)
    return outcomes(judge(found, policy.from_config(config or _config())), "fairness")


def _decide(candidate: made.Candidate, home: str, share: float) -> None:
    """Decide some rows of one group "bad", whatever the model says."""
    random = np.random.default_rng(8)
    table = candidate.predictions["test"]
    for i, value in enumerate(candidate.test["home"]):
        if value == home and random.random() < share:
            table["prediction"][i] = "bad"


def test_groups_that_are_decided_alike_pass(tmp_path: Path) -> None:
    """Each limit is one measurement of the column; the details show every group with its intervals."""
    candidate = made.Candidate()
    ratio, odds = _measured(tmp_path, candidate)

    assert _outcomes(tmp_path, candidate) == {RATIO: "pass", ODDS: "pass"}
    assert isinstance(ratio, Estimate) and isinstance(odds, Estimate)
    groups = {row["group"]: row for row in ratio.details["groups"]}
    assert set(groups) == {"own", "rent"}
    taken = np.array(candidate.predictions["test"]["prediction"]) == "bad"
    own = np.array(candidate.test["home"]) == "own"
    assert groups["own"]["rows"] == own.sum()
    assert groups["own"]["selection_rate"][0] == pytest.approx(taken[own].mean(), rel=1e-5)
    bad = np.array(candidate.predictions["test"]["proba_bad"])
    true = np.array(candidate.test["status"]) == "bad"
    assert groups["own"]["calibration"][0] == pytest.approx((bad - true)[own].mean(), abs=1e-5)
    for name in ("selection_rate", "true_positive_rate", "false_positive_rate", "calibration"):
        value, low, high = groups["own"][name]
        assert low < value < high
    json.dumps(ratio.details, allow_nan=False)


def test_a_group_that_is_decided_otherwise_fails_by_every_measure(tmp_path: Path) -> None:
    """Also where the model as a whole is as good."""
    candidate = made.Candidate(test=made.rows(2_000))
    _decide(candidate, "rent", 0.8)
    limits = {
        "demographic_parity_ratio": Limit(min=0.8),
        "demographic_parity_difference": Limit(max=0.1),
        "equalized_odds_ratio": Limit(min=0.8),
        "equalized_odds_difference": Limit(max=0.2),
    }
    found = _outcomes(tmp_path, candidate, _config(limits=limits, mode=Mode.BLOCKING))

    assert found == {f"home::{name}": "fail" for name in limits}


def test_a_difference_that_the_rows_do_not_show_passes(tmp_path: Path) -> None:
    """The measured ratio is below four fifths, its simultaneous interval is not."""
    candidate = made.Candidate(test=made.rows(200))
    _decide(candidate, "rent", 0.6)
    ratio, _ = _measured(tmp_path, candidate)

    assert isinstance(ratio, Estimate) and ratio.value < 0.8
    assert _outcomes(tmp_path, candidate)[RATIO] == "pass"


def test_the_missing_are_a_group_and_small_groups_are_listed(tmp_path: Path) -> None:
    """Numbers are cut at their quartiles; every row is in one group."""
    candidate = made.Candidate()
    candidate.test["home"] = [None] * 100 + ["own"] * 400 + ["rent"] * 280 + ["ship"] * 20
    candidate.test["age"] = [None] * 60 + candidate.test["age"][60:]
    found = {m.name: m for m in _measured(tmp_path, candidate, _config("home", "age"))}

    assert len(found) == 4
    home, age = (found[f"{name}::demographic_parity_ratio"].details for name in ("home", "age"))
    assert [row["group"] for row in home["groups"]] == ["(missing)", "own", "rent"]
    assert home["too_small"] == {"ship": 20}
    assert age["count"] == 5 and sum(row["rows"] for row in age["groups"]) == 800
    assert "(missing)" in [row["group"] for row in age["groups"]]


def test_the_decisions_are_those_at_the_deployed_threshold(tmp_path: Path) -> None:
    """Not the model's own, where gate `decision` names a threshold."""
    candidate = made.Candidate()
    config = _config()
    config = made.with_gates(config, decision=DecisionGate(mode=Mode.OFF, threshold=0.9))
    ratio, _ = _measured(tmp_path, candidate, config)
    above = np.array(candidate.predictions["test"]["proba_bad"]) >= 0.9
    own = np.array(candidate.test["home"]) == "own"

    assert isinstance(ratio, Estimate)
    assert ratio.details["groups"][0]["selection_rate"][0] == pytest.approx(above[own].mean(), rel=1e-5)


def _one_group(candidate: made.Candidate) -> None:
    candidate.test["home"] = ["own"] * 800


def _all_alike(candidate: made.Candidate) -> None:
    candidate.predictions["test"]["prediction"] = ["bad"] * 800


def _without_positives(candidate: made.Candidate) -> None:
    good = np.array(candidate.test["status"]) == "good"
    candidate.test["home"] = np.where(good & (np.arange(800) % 2 == 0), "own", "rent").tolist()


def _lists(candidate: made.Candidate) -> None:
    candidate.test["home"] = [["own"]] * 800


def _infinite(candidate: made.Candidate) -> None:
    candidate.test["home"] = [float(i) for i in range(799)] + [float("inf")]


@pytest.mark.parametrize(
    ("break_it", "names", "word"),
    [
        (_one_group, {RATIO, ODDS}, "1 of 1 groups"),
        (_all_alike, {RATIO, ODDS}, "800 rows are decided the same"),
        (_without_positives, {ODDS}, "groups own have no positive row"),
        (_lists, {RATIO, ODDS}, "are no groups"),
        (_infinite, {RATIO, ODDS}, "infinite"),
        (lambda candidate: candidate.test.pop("home"), {RATIO, ODDS}, "0 columns 'home'"),
    ],
)
def test_groups_that_can_not_be_compared_are_errors(break_it: Any, names: set[str], word: str, tmp_path: Path) -> None:
    """With a reason, under the name that the policy expects."""
    candidate = made.Candidate()
    break_it(candidate)
    found = _measured(tmp_path, candidate)
    failures = {m.name: m.reason for m in found if isinstance(m, Failure)}

    assert set(failures) == names
    assert all(word in reason for reason in failures.values()), failures


def test_other_tasks_and_no_columns_do_not_apply(tmp_path: Path) -> None:
    """The reason is one that a policy can name."""
    made.Candidate().write(tmp_path)
    given = inputs(tmp_path, made.config())
    (nothing,) = Fairness().measure(given)
    (task,) = Fairness().measure(replace(given, config=replace(_config(), task=Task.MULTICLASS)))

    assert isinstance(nothing, NotApplicable) and nothing.reason == "no-protected-columns"
    assert isinstance(task, NotApplicable) and task.reason == "wrong-task"
