"""The scoring program: which answers are answers. The model is faked; the program's own process is tested elsewhere."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from pyarrow import parquet

from passmuster_serving.score import Model, Refusal, Request, score

ROWS = 7
Predict = Callable[[pd.DataFrame], Any]


class Classifier:
    """In scikit-learn's manner."""

    def __init__(self, probabilities: Predict, classes: list[Any], predict: Predict | None = None) -> None:
        self.classes_ = np.array(classes)
        self.predict_proba = probabilities
        self.predict = predict or (lambda frame: self.classes_[np.argmax(probabilities(frame), axis=1)])


class Pyfunc:
    def __init__(self, predict: Predict, raw: object = None, inputs: list[ColSpec] | None = None) -> None:
        signature = ModelSignature(inputs=Schema(inputs)) if inputs else None
        self.predict, self._raw = predict, raw
        self.metadata = SimpleNamespace(get_input_schema=lambda: signature.inputs if signature else None)

    def get_raw_model(self) -> object:
        if self._raw is None:
            raise NotImplementedError
        return self._raw


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Model]:
    def loaded(fake: Pyfunc, task: str = "binary") -> Model:
        monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda _: fake)
        return Model(tmp_path, task)

    return loaded


@pytest.fixture
def ask(load: Callable[..., Model], tmp_path: Path) -> Callable[..., pa.Table]:
    def asked(fake: Pyfunc, table: pa.Table, task: str = "binary", **changes: Any) -> pa.Table:
        parquet.write_table(table, tmp_path / "data.parquet")
        said = {"model": tmp_path, "task": task, "id": "id", "label": "y", "files": (), **changes}
        score(Request(**said), load(fake, task), tmp_path / "data.parquet", tmp_path / "out.parquet")
        return parquet.read_table(tmp_path / "out.parquet")

    return asked


def data(**columns: Any) -> pa.Table:
    given = {"id": list(range(ROWS)), "x": [i / ROWS for i in range(ROWS)], "y": ["bad", *["good"] * (ROWS - 1)]}
    return pa.table({**given, **columns})


def halves(frame: pd.DataFrame) -> Any:
    return np.column_stack([frame["x"], 1 - frame["x"]])


def honest(**changes: Any) -> Pyfunc:
    return Pyfunc(lambda frame: frame["x"], Classifier(halves, ["bad", "good"]), **changes)


class TestAClassifier:
    def test_writes_id_label_prediction_and_a_probability_for_each_class_in_the_datas_order(self, ask: Any) -> None:
        order = [3, 1, 2, 0, 6, 5, 4]

        found = ask(honest(), data(id=order))

        assert found.column_names == ["id", "label", "prediction", "proba_bad", "proba_good"]
        assert found["id"].to_pylist() == order
        assert found["label"].to_pylist()[:2] == ["bad", "good"]
        assert found["proba_bad"].to_pylist() == data()["x"].to_pylist()
        assert found["prediction"].to_pylist() == ["good"] * 4 + ["bad"] * 3

    def test_gives_the_same_answers_whatever_the_size_of_a_batch(self, ask: Any) -> None:
        whole = ask(honest(), data())

        assert ask(honest(), data(), batch_rows=2).equals(whole)

    def test_keeps_its_own_predictions_where_they_are_not_the_most_probable_class(self, ask: Any) -> None:
        raw = Classifier(halves, ["bad", "good"], lambda frame: np.array(["bad"] * len(frame)))

        assert set(ask(Pyfunc(halves, raw), data())["prediction"].to_pylist()) == {"bad"}

    @pytest.mark.parametrize("classes", [[0, 1], [False, True]])
    def test_may_have_classes_that_are_not_text(self, ask: Any, classes: list[Any]) -> None:
        labels = [classes[0], *[classes[1]] * (ROWS - 1)]

        found = ask(Pyfunc(halves, Classifier(halves, classes)), data(y=labels))

        assert found.column_names[-1] == f"proba_{classes[1]}"
        assert found["label"].to_pylist() == labels

    def test_may_be_a_pyfunc_that_returns_a_dataframe(self, ask: Any) -> None:
        def predict(frame: pd.DataFrame) -> pd.DataFrame:
            p = frame["x"]
            return pd.DataFrame({"prediction": "good", "proba_bad": p, "proba_good": 1 - p})

        assert ask(Pyfunc(predict), data()).column_names[2:] == ["prediction", "proba_bad", "proba_good"]

    @pytest.mark.parametrize(
        "probabilities",
        [
            pytest.param(lambda frame: halves(frame)[:-1], id="a row too few"),
            pytest.param(lambda frame: np.vstack([halves(frame), [0.5, 0.5]]), id="a row too many"),
            pytest.param(lambda frame: halves(frame)[:, :1], id="a class too few"),
            pytest.param(lambda frame: halves(frame) * np.nan, id="NaN"),
            pytest.param(lambda frame: halves(frame) + np.array([np.inf, 0]), id="infinity"),
            pytest.param(lambda frame: halves(frame) + np.array([0.5, -0.5]), id="outside 0 to 1"),
            pytest.param(lambda frame: halves(frame) * 0.9, id="a sum that is not 1"),
            pytest.param(lambda frame: halves(frame).astype(str), id="text"),
        ],
    )
    def test_whose_probabilities_are_none_is_refused(self, ask: Any, tmp_path: Path, probabilities: Predict) -> None:
        raw = Classifier(probabilities, ["bad", "good"], lambda frame: np.array(["bad"] * len(frame)))

        with pytest.raises(Refusal) as refused:
            ask(Pyfunc(halves, raw), data())

        assert refused.value.code == "answers"
        assert not (tmp_path / "out.parquet").exists()

    @pytest.mark.parametrize(
        "predict",
        [
            pytest.param(lambda frame: frame["x"], id="numbers alone"),
            pytest.param(lambda frame: pd.DataFrame({"prediction": ["good"] * len(frame)}), id="no probabilities"),
            pytest.param(lambda frame: pd.DataFrame({"proba_bad": frame["x"]}), id="no prediction"),
            pytest.param(lambda frame: None, id="nothing"),
        ],
    )
    def test_that_gives_no_probabilities_is_refused_with_what_to_do(self, ask: Any, predict: Predict) -> None:
        with pytest.raises(Refusal, match=r"wrap it in a pyfunc"):
            ask(Pyfunc(predict), data())

    @pytest.mark.parametrize(
        "raw",
        [
            Classifier(halves, ["bad", "good"], lambda frame: np.array(["ugly"] * len(frame))),
            Classifier(halves, ["bad", "good"], lambda frame: np.array(["bad"])),
        ],
    )
    def test_whose_predictions_do_not_fit_is_refused(self, ask: Any, raw: Classifier) -> None:
        with pytest.raises(Refusal) as refused:
            ask(Pyfunc(halves, raw), data())

        assert refused.value.code == "answers"

    def test_of_other_classes_than_the_labels_is_refused(self, ask: Any) -> None:
        with pytest.raises(Refusal, match=r"'ugly', which is not one of the model's classes"):
            ask(honest(), data(y=["ugly"] * ROWS))

    @pytest.mark.parametrize("classes", [["one"], ["a", "b", "c"], [1, "1"]])
    def test_whose_classes_do_not_fit_the_task_is_refused(self, load: Any, classes: list[Any]) -> None:
        raw = Classifier(halves, classes)
        raw.classes_ = np.array(classes, dtype=object)

        with pytest.raises(Refusal, match=r"do not fit the task"):
            load(Pyfunc(halves, raw))


class TestARegression:
    def test_writes_one_number_for_each_row(self, ask: Any) -> None:
        found = ask(Pyfunc(lambda frame: frame["x"] * 2), data(y=[0.5] * ROWS), "regression")

        assert found.column_names == ["id", "label", "prediction"]
        assert found["prediction"].to_pylist() == [2 * x for x in data()["x"].to_pylist()]

    @pytest.mark.parametrize(
        "predict",
        [
            pytest.param(lambda frame: frame["x"][:-1], id="a row too few"),
            pytest.param(lambda frame: frame["x"] * np.nan, id="NaN"),
            pytest.param(lambda frame: frame["x"] / 0, id="infinity"),
            pytest.param(lambda frame: np.column_stack([frame["x"]] * 2), id="two columns"),
            pytest.param(lambda frame: ["1.0"] * len(frame), id="text"),
            pytest.param(lambda frame: None, id="nothing"),
        ],
    )
    def test_whose_answers_are_none_is_refused(self, ask: Any, predict: Predict) -> None:
        with pytest.raises(Refusal) as refused, np.errstate(all="ignore"):
            ask(Pyfunc(predict), data(y=[0.5] * ROWS), "regression")

        assert refused.value.code == "answers"


class TestTheColumns:
    def test_come_as_the_signature_says_and_nothing_else_does(self, ask: Any) -> None:
        seen: list[pd.DataFrame] = []
        inputs = [ColSpec("double", "x"), ColSpec("string", "word"), ColSpec("double", "n")]
        table = data(word=["a", None] + ["b"] * 5, n=[1] * ROWS, extra=[0] * ROWS)

        ask(
            Pyfunc(lambda f: seen.append(f) or f["x"], inputs=inputs),
            table.set_column(2, "y", [[0.0] * ROWS]),
            "regression",
        )

        assert list(seen[0].columns) == ["x", "word", "n"]
        assert seen[0]["n"].dtype == np.float64

    def test_have_the_same_types_in_every_batch_also_where_values_are_missing(self, ask: Any) -> None:
        seen: list[Any] = []
        table = data(n=[None, *range(1, ROWS)], y=[0.5] * ROWS)

        ask(Pyfunc(lambda f: seen.append(f["n"].dtype) or f["x"]), table, "regression", batch_rows=3)

        assert seen == [np.float64] * 3

    def test_without_a_signature_are_those_that_scikit_learn_saw(self, ask: Any) -> None:
        fake = honest()
        fake._raw.feature_names_in_ = np.array(["x"])  # type: ignore[attr-defined]

        assert ask(fake, data(extra=[0] * ROWS)).num_rows == ROWS

    def test_never_hold_the_label(self, ask: Any) -> None:
        seen: list[str] = []

        ask(Pyfunc(lambda f: seen.extend(f.columns) or f["x"]), data(y=[0.5] * ROWS), "regression")

        assert seen == ["x"]

    @pytest.mark.parametrize(
        ("kind", "column"),
        [
            pytest.param("double", {}, id="missing"),
            pytest.param("double", {"z": ["a"] * ROWS}, id="text for a number"),
            pytest.param("long", {"z": [0.5] * ROWS}, id="fractions for a whole number"),
            pytest.param("long", {"z": [None, *[1] * (ROWS - 1)]}, id="a gap in whole numbers"),
        ],
    )
    def test_that_the_model_cannot_take_are_told_apart_from_a_crash(self, ask: Any, kind: str, column: Any) -> None:
        fake = honest(inputs=[ColSpec("double", "x"), ColSpec(kind, "z")])

        with pytest.raises(Refusal) as refused:
            ask(fake, data(**column))

        assert refused.value.code == "columns"

    def test_that_are_optional_may_be_missing(self, ask: Any) -> None:
        fake = honest(inputs=[ColSpec("double", "x"), ColSpec("double", "z", required=False)])

        assert ask(fake, data()).num_rows == ROWS


class TestTheData:
    @pytest.mark.parametrize(
        "table",
        [
            pytest.param(data().slice(0, 0), id="no rows"),
            pytest.param(data().drop_columns(["id"]), id="no id"),
            pytest.param(data().drop_columns(["y"]), id="no label"),
            pytest.param(data(y=[None, *["good"] * (ROWS - 1)]), id="a label missing"),
        ],
    )
    def test_that_cannot_be_scored_is_refused(self, ask: Any, table: pa.Table) -> None:
        with pytest.raises(Refusal) as refused:
            ask(honest(), table)

        assert refused.value.code == "data"

    def test_may_have_no_label_where_none_is_asked_for(self, ask: Any) -> None:
        found = ask(honest(), data().drop_columns(["y"]), label=None)

        assert found.column_names == ["id", "prediction", "proba_bad", "proba_good"]

    def test_is_never_in_memory_as_a_whole(self, ask: Any, tmp_path: Path) -> None:
        rows = 1_000_000
        before = pa.total_allocated_bytes()
        peaks: list[int] = []
        fake = Pyfunc(lambda frame: peaks.append(pa.total_allocated_bytes() - before) or frame["x"])
        parquet.write_table(
            pa.table({"id": np.arange(rows), "x": np.linspace(0, 1, rows), "y": np.zeros(rows)}),
            tmp_path / "large.parquet",
            row_group_size=50_000,
        )
        request = Request(model=tmp_path, task="regression", id="id", label="y", files=(), batch_rows=10_000)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mlflow.pyfunc, "load_model", lambda _: fake)
            model = Model(tmp_path, "regression")
        tracemalloc.start()

        done = score(request, model, tmp_path / "large.parquet", tmp_path / "out.parquet")

        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert done == rows
        assert max(peaks) < 8_000_000
        assert peak < 8_000_000


class TestTheRequest:
    @pytest.mark.parametrize(
        "changes",
        [
            {"task": "clustering"},
            {"files": []},
            {"batch_rows": 0},
            {"id": "prediction"},
            {"id": "proba_bad"},
            {"files": [{"data": "x"}]},
        ],
    )
    def test_that_is_none_ends_the_program_with_words(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        said = {
            "model": "m",
            "task": "binary",
            "id": "id",
            "label": "y",
            "files": [{"data": "d", "out": "o"}],
            **changes,
        }
        (tmp_path / "request.json").write_text(json.dumps(said))

        with pytest.raises(SystemExit, match=r"request"):
            Request.read(tmp_path / "request.json")
