"""Gate `schema`: data that keeps its contract holds, and each way to break it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from passmuster.measurement import Assertion, Measurement, NotApplicable
from passmuster_checks.schema import Schema
from support import candidate as made
from support.judging import inputs


def _measured(root: Path, candidate: made.Candidate) -> dict[str, Measurement]:
    candidate.write(root)
    return {m.name: m for m in Schema().measure(inputs(root, made.config()))}


def _broken(found: dict[str, Measurement]) -> set[str]:
    return {name for name, m in found.items() if not (isinstance(m, Assertion) and m.holds)}


def test_data_as_the_config_says_holds_in_every_part(tmp_path: Path) -> None:
    """Five parts, all hold, no other."""
    found = _measured(tmp_path, made.Candidate())

    assert set(found) == {"columns", "types", "nulls", "categories", "signature"}
    assert not _broken(found)


def _column(name: str, value: Any, rows: slice = slice(None)) -> Any:
    def change(candidate: made.Candidate) -> None:
        column = candidate.test[name]
        column[rows] = [value(v) for v in column[rows]]

    return change


def _drop(candidate: made.Candidate) -> None:
    del candidate.train["income"]


def _add(candidate: made.Candidate) -> None:
    candidate.test["status_copy"] = candidate.test["status"]


def _typed(name: str, kind: pa.DataType) -> Any:
    def change(candidate: made.Candidate) -> None:
        table = pa.table(candidate.test)
        place = table.column_names.index(name)
        candidate.test = table.set_column(place, name, table[name].cast(kind))  # type: ignore[assignment]

    return change


@pytest.mark.parametrize(
    ("change", "part", "word"),
    [
        pytest.param(_drop, "columns", "train: column income is missing", id="missing column"),
        pytest.param(_add, "columns", "status_copy is not in the config", id="extra column"),
        pytest.param(_column("income", str), "types", "test.income is string, not number", id="numbers as text"),
        pytest.param(_column("loan_id", float), "types", "loan_id is double, not integer", id="integers as floats"),
        pytest.param(_column("age", lambda v: v + 0.5), "types", "age is double", id="halves in an integer column"),
        pytest.param(_column("income", lambda v: float("inf"), slice(3)), "types", "3 infinite", id="infinity"),
        pytest.param(_column("income", lambda v: None, slice(2)), "nulls", "missing in 2 of 800", id="null"),
        pytest.param(_column("income", lambda v: float("nan"), slice(2)), "nulls", "missing in 2", id="NaN"),
        pytest.param(_column("home", lambda v: None), "nulls", "test.home has no value at all", id="all null"),
        pytest.param(_column("home", lambda v: "ship", slice(4)), "categories", "4 rows are not", id="new category"),
    ],
)
def test_a_broken_contract_is_named(change: Any, part: str, word: str, tmp_path: Path) -> None:
    """The part that is broken does not hold, and its message says where and how."""
    candidate = made.Candidate()
    change(candidate)
    found = _measured(tmp_path, candidate)

    assert part in _broken(found)
    assert word in found[part].message  # type: ignore[union-attr]


def test_a_nullable_integer_column_may_arrive_as_floats(tmp_path: Path) -> None:
    """pandas keeps it so; whole numbers with gaps are integers."""
    candidate = made.Candidate()
    candidate.test["age"] = [None if i < 3 else float(v) for i, v in enumerate(candidate.test["age"])]
    found = _measured(tmp_path, candidate)

    assert not _broken(found)
    assert found["nulls"].details["shares"] == {"test.age": 0.00375}


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_is_text_however_it_is_encoded(kind: pa.DataType, tmp_path: Path) -> None:
    """Dictionaries and large strings are strings."""
    candidate = made.Candidate()
    _typed("home", kind)(candidate)

    assert not _broken(_measured(tmp_path, candidate))


def _signature(**inputs: Any) -> bytes:
    said = {**made.MLMODEL, **inputs}
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        pytest.param([{"name": "status", "type": "string"}], "asks for the label", id="label"),
        pytest.param([{"name": "wealth", "type": "double"}], "not in the config", id="unknown column"),
        pytest.param([{"name": "income", "type": "string"}], "as string", id="other type"),
        pytest.param([], "names no input", id="nothing"),
    ],
)
def test_a_signature_that_does_not_fit_the_config_is_named(
    columns: list[dict[str, str]], word: str, tmp_path: Path
) -> None:
    """Label, unknown columns and other types in the model's inputs."""
    candidate = made.Candidate()
    candidate.model["MLmodel"] = _signature(signature={"inputs": json.dumps(columns)})
    found = _measured(tmp_path, candidate)

    assert _broken(found) == {"signature"}
    assert word in found["signature"].message  # type: ignore[union-attr]


@pytest.mark.parametrize("content", [b"{", b"[]", b"!!python/object/apply:os.getcwd []", _signature(signature={})])
def test_an_unreadable_model_file_is_no_pass(content: bytes, tmp_path: Path) -> None:
    """A broken MLmodel, one that is no mapping, one with tags, one with half a signature."""
    candidate = made.Candidate()
    candidate.model["MLmodel"] = content

    assert _broken(_measured(tmp_path, candidate)) == {"signature"}


def test_a_model_without_a_signature_does_not_hold(tmp_path: Path) -> None:
    """And the message says how to save one."""
    candidate = made.Candidate()
    candidate.model["MLmodel"] = _signature(signature=None)
    found = _measured(tmp_path, candidate)

    assert _broken(found) == {"signature"}
    assert "infer_signature" in found["signature"].message  # type: ignore[union-attr]


def test_a_tensor_signature_is_not_applicable(tmp_path: Path) -> None:
    """It names no columns; the policy may accept that reason."""
    candidate = made.Candidate()
    tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]
    candidate.model["MLmodel"] = _signature(signature={"inputs": json.dumps(tensor)})
    found = _measured(tmp_path, candidate)["signature"]

    assert isinstance(found, NotApplicable)
    assert found.reason == "tensor-signature"
