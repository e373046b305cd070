"""The schema and the reference say what the reader does: both come from the same classes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from passmuster.config.__main__ import generated
from passmuster.config._model import ModelConfig
from passmuster.config._reader import fields_of

ROOT = Path(__file__).parents[2]
GOOD = sorted((ROOT / "tests" / "examples" / "good").glob("*.yaml"))
OURS = sorted((ROOT / "model-configs").glob("*.yaml"))


class _Yaml12(yaml.SafeLoader):
    """As editors read: only true and false are truth values, 1e-9 is a number, dates are texts."""


_Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":bool", ":timestamp", ":float"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
_Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def schema() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((ROOT / "docs" / "model-config.schema.json").read_text())
    return answer


@pytest.mark.parametrize("name", sorted(generated()))
def test_the_committed_file_is_the_generated_one(name: str) -> None:
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")

    assert committed == generated()[name], "run `python -m passmuster.config`"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", [*GOOD, *OURS], ids=lambda path: path.stem)
def test_a_good_config_fits_the_schema(path: Path) -> None:
    found = yaml.load(path.read_text(), _Yaml12)

    assert [error.message for error in Draft202012Validator(schema()).iter_errors(found)] == []


@pytest.mark.parametrize("name", ["unknown-keys", "missing-keys", "empty-lists", "not-a-choice", "out-of-bounds"])
def test_what_the_schema_can_say_it_says(name: str) -> None:
    found = yaml.load((ROOT / "tests" / "examples" / "bad" / f"{name}.yaml").read_text(), _Yaml12)

    assert list(Draft202012Validator(schema()).iter_errors(found))


@pytest.mark.parametrize("path", [*GOOD, *OURS], ids=lambda path: path.stem)
def test_a_config_names_the_schema_in_its_first_line(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")

    assert (path.parent / named).resolve() == ROOT / "docs" / "model-config.schema.json"


def test_every_key_stands_in_the_reference() -> None:
    page = generated()["configuration.md"]

    for key in fields_of(ModelConfig):
        assert f"| `{key}` |" in page
    assert "## `gates.deepchecks.checks.<name>`" in page
    assert "| `min-rows` | whole number, ≥ 2 | `50` |" in page
