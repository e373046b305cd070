"""Gates `performance` and `champion`: joined by id, on the same rows, with intervals that the policy asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from passmuster import policy
from passmuster.config import ModelConfig
from passmuster.errors import NotMeasured
from passmuster.measurement import Estimate, Measurement
from passmuster_checks import _data
from passmuster_checks.champion import Champion
from passmuster_checks.performance import Performance
from support import candidate as made
from support.judging import inputs


def _measured(gate: Any, root: Path, candidate: made.Candidate, config: ModelConfig | None = None) -> list[Measurement]:
    config = config or made.config()
    candidate.write(root)
    given = inputs(root, config)
    share = policy.from_config(config).false_alarms_of(gate.name)
    return list(gate.measure(type(given)(**{**vars(given), "false_alarms": share})))


def _auc(answers: dict[str, list[Any]]) -> float:
    return float(roc_auc_score(np.array(answers["label"]) == "bad", answers["proba_bad"]))


def test_performance_is_that_of_the_test_rows(tmp_path: Path) -> None:
    """scikit-learn's value, an interval around it, and curves of both models for the report."""
    candidate = made.Candidate()
    (found,) = _measured(Performance(), tmp_path, candidate)

    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(_auc(candidate.predictions["test"]))
    assert found.interval is not None and found.interval.low < found.value < found.interval.high
    assert found.interval.level == 0.95
    curves = found.details["curves"]
    assert set(curves) == {"roc", "reliability"}
    for kind in curves.values():
        assert set(kind) == {"candidate", "champion"}
        assert all(len(points) <= 100 for points in kind.values())
    assert curves["roc"]["candidate"][0] == [0, 0] and curves["roc"]["candidate"][-1] == [1, 1]
    json.dumps(found.details, allow_nan=False)


@pytest.mark.parametrize(("rare", "kind"), [(4, "failure"), (5, "estimate")])
def test_rankings_are_not_compared_on_a_handful_of_one_class(rare: int, kind: str, tmp_path: Path) -> None:
    """Their intervals would be too narrow, and would let a worse candidate pass."""
    candidate = made.Candidate()
    labels = ["bad"] * rare + ["good"] * (800 - rare)
    candidate.test["status"] = labels
    for answers in (candidate.predictions["test"], candidate.champion["predictions"]["test"]):
        answers["label"] = labels
    (found,) = _measured(Champion(), tmp_path, candidate)

    assert found.kind == kind


def test_the_champion_is_joined_by_id_not_by_position(tmp_path: Path) -> None:
    """Reordered predictions are the same predictions."""
    candidate = made.Candidate()
    straight = _measured(Champion(), tmp_path, candidate)
    order = np.random.default_rng(3).permutation(800)
    table = candidate.champion["predictions"]["test"]
    candidate.champion["predictions"]["test"] = {name: [column[i] for i in order] for name, column in table.items()}

    assert _measured(Champion(), tmp_path, candidate) == straight


def test_a_comparison_is_the_paired_difference(tmp_path: Path) -> None:
    """Signed so that more is better, with both sides' values."""
    candidate = made.Candidate()
    (found,) = _measured(Champion(), tmp_path, candidate)
    ours, theirs = _auc(candidate.predictions["test"]), _auc(candidate.champion["predictions"]["test"])

    assert isinstance(found, Estimate)
    assert (found.candidate, found.champion) == (pytest.approx(ours), pytest.approx(theirs))
    assert found.value == pytest.approx(ours - theirs)


def test_rows_that_the_champion_was_trained_on_are_left_out_and_counted(tmp_path: Path) -> None:
    """Of the comparison, not of the candidate's own performance."""
    candidate = made.Candidate()
    candidate.champion["leave_out"] = {"test": list(range(300))}
    (found,) = _measured(Champion(), tmp_path, candidate)
    kept = {name: column[300:] for name, column in candidate.predictions["test"].items()}

    assert isinstance(found, Estimate)
    assert found.n == 500 and found.details["left_out"] == 300
    assert found.candidate == pytest.approx(_auc(kept))
    (own,) = _measured(Performance(), tmp_path, candidate)
    assert isinstance(own, Estimate) and own.n == 800


def _answers(candidate: made.Candidate) -> dict[str, list[Any]]:
    return candidate.predictions["test"]


@pytest.mark.parametrize(
    ("break_it", "word"),
    [
        (lambda t: t["loan_id"].__setitem__(1, 0), "more than once"),
        (lambda t: t["loan_id"].__setitem__(1, 5000), "have no answer"),
        (lambda t: [column.pop() for column in t.values()], "799 rows, but the data has 800"),
        (lambda t: t["label"].reverse(), "labels are not those"),
        (lambda t: t["proba_bad"].__setitem__(0, float("nan")), "NaN"),
        (lambda t: t["proba_bad"].__setitem__(0, None), "NaN"),
        (lambda t: t["proba_bad"].__setitem__(0, 1.5), "outside"),
        (lambda t: t["proba_bad"].__setitem__(0, 0.5) or t["proba_good"].__setitem__(0, 0.2), "sum to 1"),
        (lambda t: t["prediction"].__setitem__(0, "ugly"), "not a class"),
        (lambda t: t.pop("prediction"), "0 columns 'prediction'"),
        (lambda t: t.pop("proba_good"), "1 classes"),
        (lambda t: t.__setitem__("loan_id", [str(i) for i in t["loan_id"]]), "can't be matched"),
        (lambda t: t.__setitem__("proba_bad", [str(i) for i in t["proba_bad"]]), "numbers are needed"),
        (lambda t: [column.clear() for column in t.values()], "no rows"),
    ],
)
def test_answers_that_are_not_those_of_the_rows_are_not_measured(break_it: Any, word: str, tmp_path: Path) -> None:
    """Duplicates, other rows, other labels, no numbers: of the candidate and of the champion alike."""
    candidate = made.Candidate()
    break_it(candidate.champion["predictions"]["test"])
    with pytest.raises(NotMeasured, match=word):
        _measured(Champion(), tmp_path / "champion", candidate)
    candidate = made.Candidate()
    break_it(_answers(candidate))

    with pytest.raises(NotMeasured, match=word):
        _measured(Performance(), tmp_path / "candidate", candidate)


def test_a_champion_trained_on_every_row_leaves_nothing_to_compare(tmp_path: Path) -> None:
    """And that is no comparison."""
    candidate = made.Candidate()
    candidate.champion["leave_out"] = {"test": list(range(800))}

    with pytest.raises(NotMeasured, match="none is left"):
        _measured(Champion(), tmp_path, candidate)


def test_whole_numbers_and_booleans_are_classes_as_python_writes_them() -> None:
    """`proba_1`, `proba_True`: the scoring program names columns so."""
    import pyarrow as pa

    assert _data.texts(pa.array([1, None, 2])).tolist() == ["1", None, "2"]
    assert _data.texts(pa.array([True, False])).tolist() == ["True", "False"]
