"""Gate `decision`: what is decided at the threshold that is deployed, and what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import recall_score

from passmuster import policy
from passmuster.config import Comparison, Costs, DecisionGate, Limit, ModelConfig, Task
from passmuster.measurement import Estimate, Failure, Measurement, NotApplicable
from passmuster_checks.decision import Decision
from support import candidate as made
from support.judging import inputs, judge, outcomes

NAMES = ("recall_score", "precision_score", "false_positive_rate", "selection_rate", "cost")


def _config(**settings: Any) -> ModelConfig:
    return made.config(decision=DecisionGate(**settings))


def _measured(root: Path, candidate: made.Candidate, config: ModelConfig) -> list[Measurement]:
    candidate.write(root)
    return list(Decision().measure(inputs(root, config)))


def _outcomes(root: Path, candidate: made.Candidate, config: ModelConfig, **said: Any) -> dict[str, str]:
    found = _measured(root, candidate, config)
    return outcomes(judge(found, policy.from_config(config), **said), "decision")


def test_limits_and_rules_are_measured_under_their_names(tmp_path: Path) -> None:
    """The candidate by itself and against the champion, with the counts that they follow from."""
    limits = {name: Limit(max=50.0) for name in NAMES}
    rules = {name: Comparison(margin=1.0) for name in NAMES}
    config = _config(limits=limits, rules=rules, costs=Costs(false_positive=1, false_negative=5))
    candidate = made.Candidate()
    found = _measured(tmp_path, candidate, config)

    assert [m.name for m in found] == [*NAMES, *(f"champion::{name}" for name in NAMES)]
    for m in found:
        assert isinstance(m, Estimate) and m.interval is not None
        assert m.interval.level == config.policy.confidence
        json.dumps(m.details, allow_nan=False)
    assert sum(found[0].details["confusion"].values()) == 800
    assert set(_outcomes(tmp_path, candidate, config).values()) == {"pass"}


@pytest.mark.parametrize("threshold", [None, 0.2, 0.8])
def test_the_threshold_decides(threshold: float | None, tmp_path: Path) -> None:
    """From it on a row counts as positive; without one, both models as they predict."""
    config = _config(threshold=threshold, limits={"recall_score": Limit(min=0.1)}, rules={"recall_score": _margin()})
    candidate = made.Candidate()
    table = candidate.predictions["test"]
    table["prediction"] = [value if i % 7 else "good" for i, value in enumerate(table["prediction"])]
    table["proba_bad"][0], table["proba_good"][0] = 0.2, 0.8
    own, compared = _measured(tmp_path, candidate, config)

    assert isinstance(own, Estimate) and isinstance(compared, Estimate)
    assert own.value == pytest.approx(_recall(table, threshold))
    assert compared.champion == pytest.approx(_recall(candidate.champion["predictions"]["test"], threshold))
    assert own.details["threshold"] == (threshold or "as the model predicts")


def _margin() -> Comparison:
    return Comparison(margin=0.05)


def _recall(table: dict[str, Any], threshold: float | None) -> float:
    own = np.array(table["prediction"]) == "bad"
    taken = own if threshold is None else np.array(table["proba_bad"]) >= threshold
    return float(recall_score(np.array(table["label"]) == "bad", taken))


def test_a_candidate_that_misses_more_fails(tmp_path: Path) -> None:
    """By its limit, against the champion, and by its cost, though its ranking is the same."""
    candidate = made.Candidate(test=made.rows(3_000))
    table = candidate.predictions["test"]
    bad = np.array(table["proba_bad"])
    table["prediction"] = np.where(bad > 0.95, "bad", "good").tolist()
    config = _config(
        limits={"recall_score": Limit(min=0.8), "cost": Limit(max=1.0)},
        rules={"recall_score": _margin(), "cost": Comparison(margin=0.1)},
        costs=Costs(false_positive=1, false_negative=10),
    )

    assert set(_outcomes(tmp_path, candidate, config).values()) == {"fail"}


@pytest.mark.parametrize(
    ("state", "kind", "outcome"), [("none", NotApplicable, "skipped"), ("unreadable", Failure, "error")]
)
def test_without_a_champion_only_the_limits_are_measured(
    state: str, kind: type[Measurement], outcome: str, tmp_path: Path
) -> None:
    """A first model is not compared; a champion that could not be scored is an error."""
    config = _config(limits={"recall_score": Limit(min=0.5)}, rules={"recall_score": _margin()})
    candidate = made.Candidate(champion={"state": state, "message": "no such file"})
    own, compared = _measured(tmp_path, candidate, config)

    assert isinstance(own, Estimate) and isinstance(compared, kind)
    assert _outcomes(tmp_path, candidate, config, compared=state != "none") == {
        "recall_score": "pass",
        "champion::recall_score": outcome,
    }


def test_what_is_undefined_at_the_threshold_is_an_error(tmp_path: Path) -> None:
    """No row reaches it, so there is no precision; a recall there is."""
    limits = {"precision_score": Limit(min=0.1), "recall_score": Limit(max=1.0)}
    rules = {"precision_score": _margin()}
    candidate = made.Candidate()
    config = _config(threshold=1.0, limits=limits, rules=rules)

    assert _outcomes(tmp_path, candidate, config) == {
        "precision_score": "error",
        "champion::precision_score": "error",
        "recall_score": "pass",
    }


def test_other_tasks_do_not_apply(tmp_path: Path) -> None:
    """A threshold decides between two classes."""
    made.Candidate().write(tmp_path)
    given = inputs(tmp_path, made.config())
    (found,) = Decision().measure(replace(given, config=replace(given.config, task=Task.REGRESSION)))

    assert isinstance(found, NotApplicable) and found.reason == "wrong-task"
