"""Gate `environment`: lock, Python and platform against the policy and the champion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from passmuster import digest
from passmuster.config import EnvironmentGate
from passmuster.measurement import Assertion, Failure, Measurement
from passmuster_checks.environment import Environment
from support import candidate as made
from support.judging import inputs

OTHER = digest.of_bytes(b"another lock")


def _measured(root: Path, candidate: made.Candidate, **settings: Any) -> dict[str, Measurement]:
    candidate.write(root)
    config = made.config(environment=EnvironmentGate(**settings))
    return {m.name: m for m in Environment().measure(inputs(root, config))}


def _broken(found: dict[str, Measurement]) -> set[str]:
    return {name for name, m in found.items() if not (isinstance(m, Assertion) and m.holds)}


def test_without_demands_the_facts_are_shown(tmp_path: Path) -> None:
    """Three facts, all hold."""
    found = _measured(tmp_path, made.Candidate())

    assert set(found) == {"lock", "python", "platform"}
    assert not _broken(found)


@pytest.mark.parametrize(
    ("settings", "broken"),
    [
        ({"python": ("3.11",)}, set()),
        ({"python": ("3.1",)}, {"python"}),
        ({"python": ("3.12", "3.13")}, {"python"}),
        ({"platform": ("linux-x86_64",)}, set()),
        ({"platform": ("linux-aarch64",)}, {"platform"}),
    ],
)
def test_the_policy_names_what_is_allowed(settings: dict[str, Any], broken: set[str], tmp_path: Path) -> None:
    """`3.11` means any 3.11, and `3.1` is another version."""
    assert _broken(_measured(tmp_path, made.Candidate(), **settings)) == broken


def test_a_lock_inside_the_model_that_is_another_one_does_not_hold(tmp_path: Path) -> None:
    """The model must be served in what it was made in."""
    candidate = made.Candidate()
    candidate.model["passmuster.lock"] = b"# another\n"

    assert _broken(_measured(tmp_path, candidate)) == {"lock"}


def test_a_difference_from_the_champion_counts_where_the_policy_says_so(tmp_path: Path) -> None:
    """Else it is shown."""
    candidate = made.Candidate()
    candidate.champion["environment"] = {**made.ENVIRONMENT, "lock": OTHER}
    shown = _measured(tmp_path / "a", candidate)
    asked = _measured(tmp_path / "b", candidate, same_as_champion=("lock",))

    assert not _broken(shown)
    assert OTHER in shown["lock"].message  # type: ignore[union-attr]
    assert _broken(asked) == {"lock"}


@pytest.mark.parametrize("state", ["unreadable", "scored"])
def test_what_is_not_known_is_a_failure(state: str, tmp_path: Path) -> None:
    """A fact that the re-run did not record, or that the champion lacks where it must be the same."""
    candidate = made.Candidate()
    candidate.environment["platform"] = None
    if state == "unreadable":
        candidate.champion = {"state": state, "version": "v3", "digest": OTHER, "message": "gone"}
    else:
        candidate.champion["environment"] = {}
    found = _measured(tmp_path, candidate, same_as_champion=("python",))

    assert isinstance(found["platform"], Failure)
    assert isinstance(found["python"], Failure)
