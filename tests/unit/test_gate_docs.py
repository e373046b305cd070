"""`docs/gates.md` keeps in step with the gates, their checks, reasons and defaults."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from passmuster import curated, policy
from passmuster.config import (
    ArtifactGate,
    DriftGate,
    Gates,
    LeakageGate,
    Mode,
    PolicySettings,
    ProfileGate,
    SlicesGate,
    Task,
)
from passmuster.verdict import Outcome
from support import candidate as made

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^### `([\w-]+)`$", TEXT, flags=re.MULTILINE)[1:])] * 2, strict=True))


def _built_in() -> set[str]:
    return {item.name.replace("_", "-") for item in fields(Gates)} - {"user"}


def test_every_gate_has_a_section_and_every_section_a_gate() -> None:
    """No gate without words, no words without a gate."""
    assert set(SECTIONS) == _built_in()


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_each_section_follows_the_template(name: str) -> None:
    """Detects, why, rule and defaults, remedy: in that order, each once."""
    found = re.findall(r"^\*\*([A-Za-z ]+)\*\*", SECTIONS[name].split("\n## ")[0], flags=re.MULTILINE)

    assert found == ["Detects", "Why", "Rule and defaults", "Remedy"]


def test_every_curated_check_is_named() -> None:
    """Of all tasks; and no other check is."""
    checks = {name for task in Task for name in curated.checks(task)}
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", SECTIONS["deepchecks"]))

    assert named == checks


def test_every_expected_name_of_a_contract_is_described() -> None:
    """The parts of gates that answer yes or no."""
    config = made.with_gates(made.config(), leakage=LeakageGate(unavailable=("age",)))
    config = replace(config, data=replace(config.data, time="age"))
    stated = {one.gate: one for one in policy.from_config(config).gates}
    for gate in ("schema", "profile", "leakage", "artifact", "environment"):
        for name in stated[gate].expected:
            assert f"`{name}`" in SECTIONS[gate]


def test_every_gate_that_may_raise_a_false_alarm_is_named() -> None:
    config = made.config()
    config = replace(config, data=replace(config.data, protected=("home",), reference="train.parquet"))
    alarming = [one.gate for one in policy.from_config(config).gates if one.alarms]

    assert f"share ({', '.join(f'`{gate}`' for gate in alarming)}" in " ".join(TEXT.split())


def test_every_outcome_and_mode_is_described() -> None:
    """Those of the kernel, by name."""
    for word in (*Outcome, *Mode):
        assert f"`{word}`" in TEXT


def test_every_reason_that_a_gate_gives_is_named() -> None:
    """So that a policy can accept it."""
    sources = [*(ROOT / "checks" / "passmuster_checks").rglob("*.py"), ROOT / "ci" / "passmuster" / "verdict.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    reasons = set(re.findall(r'reason="([a-z]+(?:-[a-z]+)+)"', code)) | {"no-champion", "test-skipped", "no-index"}

    assert {"too-few-rows", "tensor-signature"} <= reasons
    for reason in reasons:
        assert f"`{reason}`" in TEXT


def test_the_defaults_are_those_of_the_code() -> None:
    """Numbers that the text repeats."""
    settings, segments, profile, leakage = PolicySettings(), SlicesGate(), ProfileGate(), LeakageGate()

    assert f"`policy.confidence` ({settings.confidence})" in TEXT
    assert f"`policy.false-alarms` ({settings.false_alarms})" in TEXT
    assert f"`limit` {segments.limit}. `min-rows` {segments.min_rows}" in SECTIONS["slices"]
    for name in ("null_rise", "sentinel", "outside"):
        assert f"`{name.replace('_', '-')}` {getattr(profile, name)}" in SECTIONS["profile"]
    for name in ("limit", "duplicates", "predictor"):
        assert f"`{name}` {getattr(leakage, name)}" in SECTIONS["leakage"]
    for name, limit in DriftGate().limits.items():
        assert f"`{name}` {limit:g}" in SECTIONS["drift"]
    assert f"`max-size` {ArtifactGate().max_size:,} bytes" in SECTIONS["artifact"]
