"""An engine that can't work here is refused before anything is measured; those that can reach the gates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from passmuster import engines, gate, policy
from passmuster._gate_worker import Asked
from passmuster.errors import ExitCode, UsageError
from support import tables


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_what_is_installed_is_taken(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/java")

    assert engines.check(engine) is None


@pytest.mark.parametrize("missing", ["PySpark is not installed", "no `java` on the PATH", "no engine 'abacus'"])
def test_what_is_missing_is_a_wrong_call_that_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if "PySpark" in missing:
        monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=missing) as caught:
        engines.check("abacus" if "abacus" in missing else "spark")

    assert caught.value.code == ExitCode.USAGE
    assert "abacus" in missing or "passmuster[spark]" in str(caught.value)


@pytest.mark.parametrize(("engine", "open_ones"), [("local", set()), ("spark", {"profile", "leakage", "drift"})])
def test_only_gates_that_ask_spark_have_the_network(engine: str, open_ones: set[str], tmp_path: Path) -> None:
    given = tables.given(tmp_path, tables.splits())
    inputs = replace(given, engine=engine)
    stated = policy.from_config(inputs.config)
    names = [one.gate for one in stated.gates if one.gate != "deepchecks"]
    asked = {name: Asked(name=name, source="m:C", is_file=False, inputs=inputs) for name in names}
    groups = gate._groups(stated, asked)
    free = {one.name for group in groups for one in group.asked if not group.isolated}

    assert free == open_ones
    assert sorted(one.name for group in groups for one in group.asked) == sorted(names)
