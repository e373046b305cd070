"""A record is whole and unaltered, or it is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passmuster import digest, record
from passmuster.errors import Refused

DIGEST = digest.of_bytes(b"x")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def make(body: dict[str, Any] | None = None, **context: Any) -> record.Record:
    return record.Record(
        schema="gate", version=1, inputs={"score": DIGEST}, body=body or {"decision": "refuse"}, context=context
    )


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, body: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("record") / "gate.json"
    written = make(body or {"a": 1}, seconds=1.5)

    assert record.read(record.write(written, path), "gate") == written


def test_the_context_is_not_covered_by_the_digest() -> None:
    """Two runs of the same judgement at different times have the same digest."""
    assert make(seconds=1).digest == make(seconds=2).digest


@pytest.mark.parametrize(
    "alter",
    [
        lambda raw: raw["body"].update(decision="promote"),
        lambda raw: raw["inputs"].update(score=digest.of_bytes(b"y")),
        lambda raw: raw["inputs"].clear(),
        lambda raw: raw.update(version=2),
        lambda raw: raw.update(schema="passmuster/score"),
        lambda raw: raw.update(digest=DIGEST),
        lambda raw: raw.update(extra=1),
        lambda raw: raw.pop("context"),
        lambda raw: raw.update(body=[]),
        lambda raw: raw.update(version=True),
        lambda raw: raw["inputs"].update(score="not a digest"),
    ],
)
def test_an_altered_record_is_refused(tmp_path: Path, alter: Any) -> None:
    path = record.write(make(), tmp_path / "gate.json")
    raw = json.loads(path.read_text())
    alter(raw)
    path.write_text(json.dumps(raw))

    with pytest.raises(Refused):
        record.read(path, "gate")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"a": NaN}', '{"body": {}, "body": {}}', "[" * 100_000, "\x00"],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.json"
    path.write_text(text)

    with pytest.raises(Refused):
        record.read(path, "gate")


def test_half_a_character_is_refused() -> None:
    raw = {
        "schema": "passmuster/gate",
        "version": 1,
        "inputs": {},
        "body": {"a": "\ud800"},
        "digest": "",
        "context": {},
    }
    text = json.dumps(raw)

    with pytest.raises(Refused, match="surrogate"):
        record.parse(text, "gate")


def test_every_truncation_of_a_record_is_refused(tmp_path: Path) -> None:
    text = record.write(make(), tmp_path / "gate.json").read_text().rstrip()

    for length in range(len(text)):
        with pytest.raises(Refused):
            record.parse(text[:length], "gate")


def test_a_missing_record_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="passmuster gate"):
        record.read(tmp_path / "gate.json", "gate")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    path.write_bytes(b"\xff\xfe{}")

    with pytest.raises(Refused):
        record.read(path, "gate")


def test_a_record_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record.write(make(), tmp_path / "gate.json")
    monkeypatch.setattr(record, "SIZE_LIMIT", 10)

    with pytest.raises(Refused, match="larger"):
        record.read(path, "gate")


def test_not_a_number_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        record.write(make({"value": float("nan")}), tmp_path / "gate.json")

    assert not list(tmp_path.iterdir())


def test_a_step_that_begins_takes_later_verdicts_away(tmp_path: Path) -> None:
    for step in record.STEPS:
        (tmp_path / f"{step}.json").touch()
    record.begin(tmp_path, "score")

    assert [path.name for path in tmp_path.iterdir()] == ["reproduce.json"]


def test_a_record_nested_too_deep_for_a_digest_is_refused_at_every_depth() -> None:
    """Python can read a little deeper than it can write."""
    for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 50):
        text = (
            '{"schema": "passmuster/gate", "version": 1, "inputs": {}, "body": {"x": '
            + "[" * depth
            + "]" * depth
            + '}, "digest": "", "context": {}}'
        )
        with pytest.raises(Refused):
            record.parse(text, "gate")


def test_a_number_that_no_json_holds_is_refused() -> None:
    text = (
        '{"schema": "passmuster/gate", "version": 1, "inputs": {}, "body": {"x": 1e999}, "digest": "", "context": {}}'
    )

    with pytest.raises(Refused):
        record.parse(text, "gate")
