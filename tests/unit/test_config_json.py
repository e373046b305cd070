"""A config as JSON: the same config gives the same text, another one differs in lines that people understand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from passmuster import digest
from passmuster.config import Comparison, ModelConfig, Registry, differences, policy_json, to_json
from passmuster.config._load import read_all

GOOD = sorted((Path(__file__).parents[1] / "examples" / "good").glob("*.yaml"))


def config_of(name: str, text: str) -> ModelConfig:
    (reading,) = read_all({f"model-configs/{name}.yaml": text.encode()})
    assert reading.complaints == []
    assert reading.config is not None
    return reading.config


def example(name: str) -> ModelConfig:
    (path,) = (path for path in GOOD if path.stem == name)
    return config_of(name, path.read_text())


@pytest.mark.parametrize("name", [path.stem for path in GOOD])
def test_a_config_written_as_yaml_reads_back_as_the_same_config(name: str) -> None:
    config = example(name)

    written = yaml.safe_dump(to_json(config), default_flow_style=False)

    assert config_of(name, written) == config


def test_it_is_json_and_its_digest_depends_on_no_order() -> None:
    answer = to_json(example("everything"))

    assert json.loads(json.dumps(answer)) == answer
    assert digest.of_json(answer) == digest.of_json(dict(reversed(answer.items())))


def test_the_same_config_does_not_differ() -> None:
    assert differences(example("everything"), example("everything")) == []


def test_a_changed_limit_is_one_line_with_as_many_digits_on_both_sides() -> None:
    before = example("everything")
    rules = {**before.gates.champion.rules, "roc_auc_score": Comparison(margin=0.1)}
    after = replace(before, gates=replace(before.gates, champion=replace(before.gates.champion, rules=rules)))

    assert differences(before, after) == ["gates.champion.rules.roc_auc_score.margin: 0.02 → 0.10"]


def test_what_is_added_or_removed_is_said_so() -> None:
    before = example("everything")
    rules = {"log_loss": Comparison(margin=0.5)}
    after = replace(before, gates=replace(before.gates, champion=replace(before.gates.champion, rules=rules)))

    assert differences(before, after) == [
        "gates.champion.rules.log_loss.better-by: 0.0 → (not set)",
        "gates.champion.rules.log_loss.margin: (not set) → 0.5",
        'gates.champion.rules.roc_auc_score: {"margin": 0.02} → (not set)',
    ]


def test_one_and_true_are_not_the_same() -> None:
    assert differences({"a": 1}, {"a": True}) == ["a: 1 → true"]


def test_a_hostile_text_can_not_break_the_line() -> None:
    (line,) = differences({"a\nb": "x\ny"}, {"a\nb": "\x1b[31m"})

    assert line.isprintable()


def test_the_policy_is_the_gates_the_data_and_the_registry_and_not_the_owner() -> None:
    before = example("everything")
    owner = replace(before, owner="someone@example.com", description="else")
    registry = replace(before, registry=Registry(name="other"))

    assert policy_json(owner) == policy_json(before)
    assert policy_json(registry) != policy_json(before)
    assert policy_json(before)["gates"]["champion"]["rules"]["roc_auc_score"] == {"margin": 0.02}
    assert "models/everything/out/model" in policy_json(before)["outputs"]
