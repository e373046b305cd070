"""`passmuster report post` as a workflow calls it: from a run to one comment and a check run, by HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from passmuster.posting import CHECK
from support.api import CALLER, PINNED, REPOSITORY
from support.github_server import FakeGitHub, Repository, serving
from support.promotion import Project, alter, clones, git
from support.pull_requests import PullRequest, promoted, pull_request

__all__ = ["clones"]

pytestmark = pytest.mark.network

WORKFLOW = f"tools/muster/.github/workflows/gate.yml@{PINNED}"


@pytest.fixture
def pr(clones: Project) -> PullRequest:
    (clones.root / ".github" / "workflows").mkdir(parents=True)
    (clones.root / CALLER).write_text(f"on: pull_request\njobs:\n  gate:\n    uses: {WORKFLOW}\n")
    clones.commit("one")
    champion = promoted(clones)
    found = pull_request(clones)
    found.judge(champion=champion)
    return found


def posted(
    pr: PullRequest, *options: str, change: Callable[[Repository], object] = lambda _: None
) -> tuple[str, Repository]:
    """Let GitHub have a run of the pull request, post it from a clone of main, and return what was said."""
    clone = pr.project.clone(f"main-{len(list(pr.project.folder.iterdir()))}")
    git(clone, "checkout", "-q", "main")
    fake = FakeGitHub()
    there = fake.repository(REPOSITORY, pr.project.remote)
    there.open_pull(1, pr.head, pr.base, head_branch="feature", merge_sha=pr.merge)
    there.start_run(77, pr.head, head_branch="feature", path=CALLER, referenced=[(WORKFLOW, PINNED)])
    there.upload(77, "passmuster-records-credit", {"records-credit.tar": pr.pack().read_bytes()})
    change(there)
    with serving(fake) as address:
        variables = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": "token", "GITHUB_API_URL": address}
        done = subprocess.run(
            [sys.executable, "-m", "passmuster", "report", "post", *(options or ("--run", "77"))],
            cwd=clone,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr, there


def test_a_run_becomes_one_comment_and_a_check_run(pr: PullRequest) -> None:
    said, there = posted(pr)

    (comment,) = there.comments.values()
    (check,) = there.checks.values()
    assert "passes muster" in comment["body"] and "Claimed, not verified" in comment["body"]
    assert (check["name"], check["conclusion"], check["head_sha"]) == (CHECK, "success", pr.head)
    assert "#1: comment" in said


def test_a_forged_run_is_told_as_one(pr: PullRequest) -> None:
    folder = pr.root / ".passmuster" / "credit"
    alter(folder / "gate.json", "gate", lambda body: body["judgements"][0].update(reason="all is well"))

    _, there = posted(pr)

    (comment,) = there.comments.values()
    (check,) = there.checks.values()
    assert "judging its measurements again gives another verdict" in comment["body"]
    assert check["conclusion"] == "failure"


def test_a_dry_run_prints_and_posts_nothing(pr: PullRequest) -> None:
    said, there = posted(pr, "--run", "77", "--dry-run")

    assert "passes muster" in said
    assert not there.comments and not there.checks


def test_a_closed_pull_request_gets_nothing(pr: PullRequest, tmp_path: Path) -> None:
    said, there = posted(pr, change=lambda there: there.pulls[1].update(state="closed"))

    assert "nothing is posted" in said
    assert not there.comments and not there.checks
