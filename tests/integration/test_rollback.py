"""Rollback, history and status: one more event, never one less; and GTO reads the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from passmuster import events, history, status
from passmuster.errors import ExitCode, RaceLost, Refused, Unavailable, UsageError
from passmuster.events import RolledBack
from passmuster.ledger import Ledger
from passmuster.progress import Silent
from passmuster.rollback import rollback
from passmuster.swap import Result
from support.promotion import Project, clones, git, project

__all__ = ["clones", "project"]


def roll(project: Project, root: Path | None = None, **options: Any) -> Result:
    return rollback(root or project.root, project.config, **{"reason": "it drifts", "progress": Silent(), **options})


def three_champions(project: Project) -> list[str]:
    return [project.champion(text, first=text == "one") for text in ("one", "two", "three")]


def test_rollback_makes_the_champion_before_champion_again(project: Project) -> None:
    commits = three_champions(project)

    result = roll(project)

    event = project.ledger.champion
    assert isinstance(event, RolledBack) and event == result.event
    assert (event.version, event.promotion, event.replaced, event.commit) == ("v2", 4, "v3", commits[1])
    assert git(project.root, "rev-parse", "credit#champion#4^{commit}") == commits[1]
    assert project.registry.aliases("credit-risk") == {"champion": "2", "previous": "3"}
    assert "rolled credit back from v3 to v2: it drifts" in result.said
    project.consistent()


def test_rollback_to_a_named_version(project: Project) -> None:
    three_champions(project)

    roll(project, to="v1")

    assert project.registry.aliases("credit-risk") == {"champion": "1", "previous": "3"}
    project.consistent()


def test_a_candidate_is_promoted_after_a_rollback(project: Project) -> None:
    three_champions(project)
    roll(project)
    project.champion("four")

    champion = project.ledger.champion
    assert champion is not None and (champion.version, champion.promotion) == ("v4", 5)
    project.consistent()


def test_a_rollback_from_a_clone_that_never_promoted(project: Project) -> None:
    three_champions(project)

    roll(project, project.clone("other", "--depth", "1", "--no-tags"))

    project.consistent()


def test_rollback_to_the_champion_changes_nothing_and_says_so(project: Project) -> None:
    three_champions(project)

    result = roll(project, to="v3")

    assert result.state == "already" and len(project.ledger.read().promotions) == 3


def test_a_dry_run_says_what_it_would_write_and_writes_nothing(project: Project) -> None:
    three_champions(project)

    result = roll(project, dry_run=True)

    assert result.state == "dry run" and "credit#champion#4" in str(result)
    assert len(project.ledger.read().promotions) == 3
    project.consistent()


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "\x1b[2J", "a" * 1001])
def test_a_rollback_needs_a_reason_of_one_line(project: Project, reason: str) -> None:
    project.commit("one")

    with pytest.raises(UsageError, match="reason"):
        roll(project, reason=reason)


def test_a_version_that_does_not_exist_is_a_usage_error(project: Project) -> None:
    project.champion("one", first=True)

    with pytest.raises(UsageError, match="v9"):
        roll(project, to="v9")


def test_there_is_nothing_before_the_first_champion(project: Project) -> None:
    project.commit("none")
    with pytest.raises(Refused, match="no champion"):
        roll(project)

    project.champion("one", first=True)
    with pytest.raises(Refused, match="only champion"):
        roll(project)


def test_a_version_whose_model_was_altered_is_refused(project: Project) -> None:
    three_champions(project)
    _, path, _ = sorted((project.folder / "mlartifacts").rglob("weights.bin"), key=os.path.getmtime)
    path.write_bytes(b"altered")

    with pytest.raises(Refused, match="altered"):
        roll(project)
    assert len(project.ledger.read().promotions) == 3
    roll(project, to="v1")
    project.consistent()


def test_a_version_whose_records_are_gone_is_refused(project: Project) -> None:
    three_champions(project)
    _, path, _ = sorted((project.folder / "mlartifacts").rglob("gate.json"), key=os.path.getmtime)
    path.unlink()

    with pytest.raises(Refused, match="missing"):
        roll(project)


def test_a_version_deleted_in_mlflow_is_refused(project: Project) -> None:
    three_champions(project)
    project.registry.client.delete_model_version("credit-risk", "2")

    with pytest.raises(Refused, match="v2"):
        roll(project)


def test_a_rollback_that_meets_a_promotion_has_lost(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    three_champions(project)
    other = project.clone("other")
    commit = project.commit("four")
    git(other, "pull", "-q")
    append = Ledger.append

    def late(self: Ledger, *new: events.Event) -> None:
        monkeypatch.setattr(Ledger, "append", append)
        project.judge(other, commit=commit)
        project.promote(other)
        append(self, *new)

    monkeypatch.setattr(Ledger, "append", late)
    with pytest.raises(RaceLost):
        roll(project)

    assert [p.version for p in project.ledger.read().promotions] == ["v1", "v2", "v3", "v4"]
    project.consistent()


def test_history_tells_all_events_and_who_was_champion_at_a_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    three_champions(project)
    roll(project)
    told = history.history(project.root, project.config)
    second = told.promotions[1]
    held = history.history(project.root, project.config, at=second.when)
    early = history.history(project.root, project.config, at=second.when - timedelta(days=1))

    assert [p.version for p in told.promotions] == ["v1", "v2", "v3", "v2"]
    assert held.promotions == (second,)
    assert early.promotions == ()
    assert "no champion at" in history.to_text(early)
    assert "rolled back from v3: it drifts" in " ".join(history.to_text(told).split())
    assert json.loads(json.dumps(history.to_json(told)))["events"][3]["event"] == "RolledBack"


def test_history_works_offline_and_says_so(project: Project) -> None:
    three_champions(project)
    project.remote.rename(project.folder / "gone.git")

    told = history.history(project.root, project.config, offline=True)
    with pytest.raises(Unavailable):
        history.history(project.root, project.config)

    assert len(told.promotions) == 3 and "as this clone knows them" in history.to_text(told)


def test_a_time_without_a_zone_is_a_usage_error(project: Project) -> None:
    project.commit("one")

    with pytest.raises(UsageError, match="zone"):
        history.history(project.root, project.config, at=datetime(2026, 1, 1))


def test_status_tells_champion_and_agreement(project: Project) -> None:
    project.champion("one", first=True)
    (standing,) = status.status(project.root, [project.config])

    assert standing.agreement == "agree" and standing.champion == project.ledger.champion
    assert status.code((standing,)) is ExitCode.OK
    assert "v1" in status.to_text((standing,))
    assert status.to_json((standing,))["models"][0]["champion"]["version"] == "v1"


def test_status_tells_an_alias_that_was_moved_by_hand(project: Project) -> None:
    three_champions(project)
    project.registry.set_alias("credit-risk", "champion", "1")
    (standing,) = status.status(project.root, [project.config])

    assert standing.code is ExitCode.REFUSED
    assert "alias champion is at MLflow version 1, the ledger says MLflow version 3" in standing.agreement
    assert status.to_text((standing,)).endswith(standing.problem)


def test_status_of_an_unreachable_ledger_is_not_no_champion(project: Project) -> None:
    project.champion("one", first=True)
    project.remote.rename(project.folder / "gone.git")
    (standing,) = status.status(project.root, [project.config])

    assert standing.code is ExitCode.UNAVAILABLE
    assert "no champion" not in status.to_text((standing,)) and "?" in status.to_text((standing,))


def test_status_of_a_model_without_champion_says_so(project: Project) -> None:
    project.commit("one")
    (standing,) = status.status(project.root, [project.config])

    assert (standing.code, standing.agreement) == (ExitCode.OK, "no champion yet")


def gto(project: Project, *arguments: str) -> Any:
    program = Path(sys.executable).with_name("gto")
    done = subprocess.run(
        [program, *arguments, "--json", "-r", project.root], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_gto_agrees_with_status_and_history(project: Project) -> None:
    three_champions(project)
    roll(project, to="v1")
    (standing,) = status.status(project.root, [project.config])
    told = history.history(project.root, project.config)

    shown = gto(project, "show")["credit"]
    listed = [item for item in gto(project, "history") if item["stage"] == "champion"]

    assert standing.champion is not None
    assert shown["version"] == "v3.0.0"
    assert shown["stage"]["champion"] in (f"{standing.champion.version}.0.0", [f"{standing.champion.version}.0.0"])
    assert [item["version"] for item in reversed(listed)] == [f"{p.version}.0.0" for p in told.promotions]
    assert [item["ref"] for item in reversed(listed)] == [p.tag for p in told.promotions]
    times = [datetime.fromisoformat(str(item["timestamp"])).replace(tzinfo=UTC) for item in reversed(listed)]
    assert times == [p.when for p in told.promotions]
