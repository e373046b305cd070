"""A config is read as facts, or every complaint about it is made at once, each with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from passmuster.config import ConfigError, Mode, ServingMode, Task, load
from passmuster.config._load import read_all
from passmuster.config._reader import Reading, read

EXAMPLES = Path(__file__).parents[1] / "examples"
GOOD = sorted((EXAMPLES / "good").glob("*.yaml"))
BAD = sorted((EXAMPLES / "bad").glob("*.yaml"))
SMALLEST = (EXAMPLES / "good" / "smallest.yaml").read_text()


def reading_of(text: str | bytes, name: str = "smallest") -> Reading:
    content = text if isinstance(text, bytes) else text.encode()
    return read_all({f"model-configs/{name}.yaml": content})[0]


def messages(text: str | bytes) -> list[str]:
    return [complaint.message for complaint in reading_of(text).complaints]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_config_is_read_without_complaint(path: Path) -> None:
    reading = reading_of(path.read_text(), path.stem)

    assert reading.complaints == []
    assert reading.config is not None
    assert reading.config.name == path.stem


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_config_gets_exactly_the_complaints_written_on_its_top(path: Path) -> None:
    text = path.read_text()
    expected = re.findall(r"^# (\d+:\d+: .*)$", text, re.MULTILINE)

    found = [f"{c.line}:{c.column}: {c.message}" for c in sorted(reading_of(text, path.stem).complaints)]

    assert expected
    assert found == expected


def test_there_are_examples() -> None:
    """An empty folder of examples would pass every test above."""
    assert len(GOOD) >= 2
    assert len(BAD) >= 30


def test_all_complaints_about_all_files_come_at_once_each_with_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "model-configs"
    folder.mkdir()
    for name in ("unknown-keys", "bad-dates"):
        folder.joinpath(f"{name}.yaml").write_text((EXAMPLES / "bad" / f"{name}.yaml").read_text())

    with pytest.raises(ConfigError) as caught:
        load(tmp_path)

    head, *lines = str(caught.value).splitlines()
    assert head == "6 complaints about the configuration:"
    assert len(lines) == 6
    assert all(re.match(r"model-configs/[\w-]+\.yaml:\d+:\d+: ", line) for line in lines)


def test_values_are_what_the_file_says(tmp_path: Path) -> None:
    config = reading_of((EXAMPLES / "good" / "everything.yaml").read_text(), "everything").config

    assert config is not None
    assert config.task is Task.BINARY
    assert config.serving.mode is ServingMode.BOTH
    assert config.gates.fairness.mode is Mode.OFF
    assert config.gates.slices.min_rows == 50
    assert config.gates.champion.rules["log_loss"].better_by == 0.0
    assert config.gates.environment.same_as_champion == ("lock", "python", "platform")
    assert config.policy.waivers[0].until.isoformat() == "2027-01-31"


def test_words_that_yaml_1_1_takes_for_truth_values_stay_texts() -> None:
    config = reading_of((EXAMPLES / "good" / "everything.yaml").read_text(), "everything").config

    assert config is not None
    assert config.data.positive == "no"
    assert config.data.columns["repaid"].categories == ("yes", "no")
    assert config.data.columns["home"].categories == ("owner", "rent", "null", "1", "true")
    checks = config.gates.deepchecks.checks
    assert checks is not None
    assert checks["MixedNulls"].options["null_string_list"] == [None, "null", None]
    assert checks["MixedNulls"].options["deep"] == {"a": [1.5, "off"]}


def test_defaults_are_filled_in() -> None:
    config = reading_of(SMALLEST).config

    assert config is not None
    assert config.policy.confidence == 0.95
    assert config.gates.schema.mode is Mode.BLOCKING
    assert config.gates.behaviour.mode is Mode.OFF
    assert config.gates.deepchecks.mode is Mode.ADVISORY


def test_a_bomb_of_aliases_is_refused_without_being_expanded() -> None:
    bomb = "a: &a [x]\n" + "".join(f"b{n}: &b{n} [{', '.join(['*a'] * 9)}]\n" for n in range(40))

    assert any("alias" in message for message in messages(bomb))


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000], ids=["lists", "mappings", "items"])
def test_endless_nesting_is_refused(text: str) -> None:
    assert messages(text) == ["nested deeper than 24 levels"]


def test_a_file_that_is_far_too_large_is_not_parsed() -> None:
    assert "1000000 at most" in messages("x: " + "a" * 2_000_000)[0]


def test_bytes_that_are_no_text_are_a_complaint_at_their_line() -> None:
    complaint = reading_of(b"name: a\nowner: \xff\n").complaints[0]

    assert (complaint.line, complaint.message) == (2, "not UTF-8: byte 0xff")


def test_control_characters_are_a_complaint() -> None:
    assert messages("name: a\nowner: \x01\n") == ["the character #x0001 is not allowed in YAML"]


def test_text_of_a_hostile_file_is_escaped_in_complaints() -> None:
    found = messages('"a\\n::error::\\e[31mred": 1\n')

    assert not any("\n" in message or "\x1b" in message for message in found)
    assert any("unknown key" in message for message in found)


def test_a_hostile_name_of_a_file_is_escaped_in_complaints() -> None:
    complaint = read(b"", "model-configs/a\nb.yaml").complaints[0]

    assert "\n" not in str(complaint)


def test_complaints_end_where_nobody_would_read_on() -> None:
    found = messages("".join(f"key{number}: 1\n" for number in range(5_000)))

    assert len(found) == 101
    assert found[-1] == "more than 100 complaints; the others are not shown"


def test_a_broken_part_does_not_hide_what_is_wrong_elsewhere() -> None:
    text = SMALLEST.replace("task: regression", "task: regresion").replace("id: row", "id: rowx")

    assert len(messages(text)) == 2


def test_a_key_in_quotes_or_with_underscores_is_not_another_way_to_write_it() -> None:
    text = SMALLEST.replace("registry:", "policy: {false_alarms: 0.01}\nregistry:")

    assert messages(text) == ["unknown key 'false_alarms'; perhaps you meant 'false-alarms'?"]


def test_the_byte_order_mark_of_some_editors_is_no_part_of_the_first_key() -> None:
    assert messages(b"\xef\xbb\xbf" + SMALLEST.encode()) == []
