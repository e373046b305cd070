"""Many promoters at once, each in a clone and a process of its own: exactly one wins, the others are told."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from passmuster import events
from passmuster.errors import ExitCode
from passmuster.ledger import Ledger
from support.promotion import MODEL, Project, clones, in_processes, project

__all__ = ["clones", "project"]


def racers(project: Project, count: int, texts: list[str]) -> list[Path]:
    """Clones that have judged a candidate each, all against the same champion."""
    commits = [project.commit(text) for text in texts]
    found = [project.clone(f"{texts[0]} {number}".replace(" ", "-")) for number in range(count)]
    for number, root in enumerate(found):
        project.judge(root, commit=commits[number % len(commits)])
    return found


def race(project: Project, roots: list[Path], *, first: bool) -> Counter[int]:
    """Let all promote, held together right before the push; return how often each exit code came."""
    append = Ledger.append

    def work(number: int, wait: Callable[[], object]) -> None:
        def together(self: Ledger, *new: events.Event) -> None:
            wait()
            append(self, *new)

        Ledger.append = together  # type: ignore[method-assign]
        project.promote(roots[number], first=first)

    return Counter(in_processes(work, len(roots)))


def test_of_eight_promoters_one_wins_and_seven_have_lost(project: Project) -> None:
    for before, (text, first) in enumerate((("first", True), ("then", False))):
        roots = racers(project, 8, [f"{text} {number}" for number in range(8)])

        codes = race(project, roots, first=first)

        history = project.ledger.read()
        assert codes == {ExitCode.OK: 1, ExitCode.RACE_LOST: 7}
        assert len(history.promotions) == len(history.versions) == before + 1
        versions = project.registry.versions("credit-risk")
        assert len(versions) == 8 * (before + 1)
        assert sum(not version.lost for version in versions) == before + 1
        project.consistent()
        assert not [root for root in roots if (root / ".passmuster" / MODEL / "intent.json").exists()]


def test_two_promoters_of_the_same_in_the_same_second_do_not_both_win(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tags equal to the last byte would be one object, and pushing what is there already succeeds."""
    monkeypatch.setattr(events, "now", lambda after=None: "2026-11-23T12:00:00Z")
    roots = racers(project, 2, ["the same"])
    for part in ("model", "reproduce.json", "score.json", "gate.json"):
        here, there = (root / ".passmuster" / MODEL / part for root in roots)
        (shutil.rmtree if there.is_dir() else Path.unlink)(there)
        (shutil.copytree if here.is_dir() else shutil.copy)(here, there)

    codes = race(project, roots, first=True)

    assert codes == {ExitCode.OK: 1, ExitCode.RACE_LOST: 1}
    assert len(project.ledger.read().promotions) == 1
    project.consistent()


def test_the_aliases_come_to_rest_where_the_ledger_is_when_a_slow_promoter_sets_them_late(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a promoter's push and its alias, another one promotes and sets the alias first."""
    from passmuster.registry import Registry

    project.commit("one")
    project.judge()
    two = project.commit("two")
    other = project.clone("other")
    set_alias = Registry.set_alias
    raced = False

    def late(self: Registry, name: str, alias: str, number: str) -> None:
        nonlocal raced
        if not raced:
            raced = True
            project.judge(other, commit=two)
            project.promote(other)
        set_alias(self, name, alias, number)

    monkeypatch.setattr(Registry, "set_alias", late)
    project.promote(first=True)

    assert [p.version for p in project.ledger.read().promotions] == ["v1", "v2"]
    project.consistent()
