"""The story that the README tells: the whole path with real parts, played as a newcomer would, then once more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.network, pytest.mark.timeout(1800)]


def play(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "demo" / "play.py")],
        env={**os.environ, "PASSMUSTER_DEMO": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


class Played:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clone = folder / "clone"
        self.tags_of_project = git(ROOT, "for-each-ref")
        self.first = play(folder)
        self.after_first = self.state()
        self.second = play(folder)

    def state(self) -> dict[str, float]:
        return {str(path): path.stat().st_mtime for path in self.clone.glob(".passmuster/*/reproduce.json")}


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def passmuster(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "passmuster", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    yield Played(tmp_path_factory.mktemp("demo") / "demo")


def test_the_story_is_played_to_its_end(played: Played) -> None:
    assert played.first.returncode == 0, played.first.stdout + played.first.stderr
    assert sorted(path.name for path in (played.folder / "reports").iterdir()) == [
        f"act-{n}.html" for n in (1, 2, 3, 4)
    ]


def test_the_ledger_has_each_promotion_and_rollback_and_nothing_of_the_bad_one(played: Played) -> None:
    tags = set(git(played.folder / "remote.git", "tag").split())

    assert tags == {
        *(f"credit-default@v{n}.0.0" for n in (1, 2)),
        *(f"credit-default#champion#{k}" for k in (1, 2, 3, 4)),
        "loan-pricing@v1.0.0",
        "loan-pricing#champion#1",
    }


def test_the_users_own_repository_is_not_touched(played: Played) -> None:
    assert git(ROOT, "for-each-ref") == played.tags_of_project


def test_played_again_nothing_is_trained_and_it_ends_with_0(played: Played) -> None:
    assert played.second.returncode == 0, played.second.stdout + played.second.stderr
    assert len(re.findall(r"already is the champion", played.second.stdout)) == 2
    assert "running stage" not in played.second.stderr
    assert played.state() == played.after_first


def test_status_audit_and_gto_agree_on_the_champions(played: Played) -> None:
    status = passmuster(played.clone, "status", "--format", "json")
    audit = passmuster(played.clone, "audit")
    gto = subprocess.run(
        [str(Path(sys.executable).with_name("gto")), "show", "--json"],
        cwd=played.clone,
        capture_output=True,
        text=True,
        check=True,
    )

    assert status.returncode == 0, status.stderr
    assert audit.returncode == 0, audit.stdout + audit.stderr
    shown = {name: entry["stage"]["champion"] for name, entry in json.loads(gto.stdout).items()}
    assert shown == {"credit-default": "v2.0.0", "loan-pricing": "v1.0.0"}


def test_the_plan_names_the_model_that_the_bad_idea_touches(played: Played) -> None:
    planned = json.loads(
        passmuster(played.clone, "plan", "--base", "main", "--head", "bad-idea", "--format", "json").stdout
    )

    assert planned["models"] == ["credit-default"]
    assert planned["matrix"] == {"include": [{"model": "credit-default"}]}


def test_the_readme_shows_what_is_printed(played: Played) -> None:
    """Line by line, but for the time of the promotion."""
    blocks = re.findall(r"```\n\$ passmuster run .*?\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shown = [line for block in blocks for line in block.splitlines() if "promoted as" not in line]
    printed = {line.rstrip() for line in played.first.stdout.splitlines()}

    assert len(blocks) == 2
    assert [line for line in shown if line not in printed] == []


def test_the_report_of_the_bad_one_says_why(played: Played) -> None:
    text = (played.folder / "reports" / "act-3.html").read_text()

    assert "does not pass muster" in text
    assert "Home=owner" in text
    assert "<script" not in text
    assert len(text) < 2_000_000
