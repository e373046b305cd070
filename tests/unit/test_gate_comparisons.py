"""Gates `performance`, `champion`, `segments`: joined by id, on the same rows, with intervals that the policy asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from passmuster import policy
from passmuster.config import ModelConfig, SegmentsGate
from passmuster.errors import NotMeasured
from passmuster.measurement import Estimate, Measurement, NotApplicable
from passmuster_checks import _data
from passmuster_checks.champion import Champion
from passmuster_checks.performance import Performance
from passmuster_checks.segments import Segments
from support import candidate as made
from support.judging import inputs, judged, outcomes


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


def test_segments_are_the_values_of_the_declared_columns(tmp_path: Path) -> None:
    """Each with its simultaneous interval; missing values are a segment, small ones are listed."""
    candidate = made.Candidate()
    candidate.test["home"] = [None] * 100 + ["own"] * 400 + ["rent"] * 280 + ["ship"] * 20
    found = {m.name: m for m in _measured(Segments(), tmp_path, candidate)}

    assert set(found) == {"home=own", "home=rent", "home=(missing)"}
    for m in found.values():
        assert isinstance(m, Estimate) and m.interval is not None and m.standard_error is not None
        assert m.interval.level == pytest.approx(1 - 2 * 0.005 / 3)
        assert m.details["too_small"] == {"ship": 20}
    assert [found[f"home={v}"].n for v in ("(missing)", "own", "rent")] == [100, 400, 280]  # type: ignore[union-attr]


def test_a_column_of_many_numbers_is_cut_at_its_quartiles(tmp_path: Path) -> None:
    """Four segments of about as many rows, named by their edges."""
    config = made.config(segments=SegmentsGate(columns=("age",), min_rows=30))
    found = _measured(Segments(), tmp_path, made.Candidate(), config)

    assert len(found) == 4
    assert all(m.name.startswith("age=") and " to " in m.name for m in found)
    assert sum(m.n for m in found if isinstance(m, Estimate)) == 800


def test_a_column_without_a_segment_large_enough_is_not_applicable(tmp_path: Path) -> None:
    """It can't pass; the policy may accept the reason."""
    config = made.config(segments=SegmentsGate(columns=("home",), min_rows=700))
    (found,) = _measured(Segments(), tmp_path, made.Candidate(), config)

    assert isinstance(found, NotApplicable)
    assert (found.name, found.reason) == ("home", "too-few-rows")


def test_a_segment_of_one_class_is_too_small(tmp_path: Path) -> None:
    """Nothing can be ranked within it."""
    candidate = made.Candidate()
    candidate.test["home"] = ["own" if status == "bad" else "rent" for status in candidate.test["status"]]
    (found,) = _measured(Segments(), tmp_path, candidate)

    assert isinstance(found, NotApplicable)


def test_values_of_segments_are_made_visible(tmp_path: Path) -> None:
    """Line breaks and marks of direction stand as escapes; long values are cut and still told apart."""
    candidate = made.Candidate()
    values = ["a\nb", "\u202eevil", "x" * 500 + "1", "x" * 500 + "2"]
    candidate.test["home"] = [values[i % 4] for i in range(800)]
    names = {m.name for m in _measured(Segments(), tmp_path, candidate)}

    assert len(names) == 4
    assert {"home=a\\nb", "home=\\u202eevil"} < names
    assert all(name.isprintable() and len(name) < 120 for name in names)


def test_without_declared_columns_all_rows_are_one_segment(tmp_path: Path) -> None:
    """So that the gate measures something, under the name that the policy expects."""
    config = made.config(segments=SegmentsGate(limit=0.1))
    config = type(config)(**{**vars(config), "data": type(config.data)(**{**vars(config.data), "categorical": ()})})
    made.Candidate().write(tmp_path)

    assert outcomes(judged(tmp_path, config), "segments") == {"roc_auc_score": "pass"}


def test_a_harmed_segment_fails_and_the_others_pass(tmp_path: Path) -> None:
    """The planted segment alone is named."""
    candidate = made.Candidate()
    table = candidate.predictions["test"]
    for i, home in enumerate(candidate.test["home"]):
        if home == "rent":
            table["proba_bad"][i] = 1 - table["proba_bad"][i]
            table["proba_good"][i] = 1 - table["proba_good"][i]
    candidate.write(tmp_path)

    assert outcomes(judged(tmp_path, made.config()), "segments") == {"home=own": "pass", "home=rent": "fail"}


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
