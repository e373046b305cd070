"""Pull requests through `gate.yml`, by a real workflow runner, with real git, DVC and MLflow."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from support.act import REF, SELF, Ran
from support.github_server import FakeGitHub
from support.small_project import CONFIG, REPOSITORY, SmallProject

pytestmark = pytest.mark.network
Run = Callable[..., Ran]
ALL = {"plan", "supply (alpha)", "reproduce (alpha)", "judge (alpha)", "passmuster"}


def slope(value: float) -> dict[str, str]:
    return {"alpha.json": f'{{"slope": {value}}}\n'}


def gate(
    run: Run, project: SmallProject, number: int, files: dict[str, str], *, repro: bool = True, head: str = REPOSITORY
) -> Ran:
    """Run `gate.yml` on a pull request that changes `files`."""
    clone = project.propose(number, files, repro=repro)
    pull = {"number": number, "head": {"repo": {"full_name": head}}}
    return run(clone, "passmuster", "pull_request", action="opened", pull_request=pull)


def report(
    run: Run, project: SmallProject, github: FakeGitHub, number: int, ran: Ran, *, head: str = REPOSITORY
) -> tuple[Ran, str, dict[str, Any]]:
    """Run `report.yml` on what the run of a pull request left; return what it posted: a comment and a check run."""
    there, refs = github.repositories[REPOSITORY], f"refs/pull/{number}"
    head_sha, merge_sha = (project.sha(project.remote, f"{refs}/{name}") for name in ("head", "merge"))
    there.open_pull(number, head_sha, project.sha(project.remote, "main"), merge_sha=merge_sha, head_repository=head)
    there.start_run(
        number,
        head_sha,
        path=".github/workflows/passmuster.yml",
        referenced=[(f"{SELF}/.github/workflows/gate.yml@{REF}", REF)],
        head_repository=head,
        conclusion="failure" if ran.code else "success",
    )
    if archive := ran.bundle("passmuster-records-alpha"):
        there.upload(number, "passmuster-records-alpha", archive.read_bytes())
    clone = project.clone(f"report-{number}")
    posted = run(clone, "passmuster-report", "workflow_run", workflow_run={"id": number, "event": "pull_request"})
    assert posted.jobs == {"report": "success"}, posted.log
    (comment,) = [one["body"] for one in there.comments.values() if one["number"] == number]
    (check,) = [one for one in there.checks.values() if one["head_sha"] == head_sha]
    return posted, comment, check


def record(ran: Ran, name: str) -> dict[str, Any]:
    """Return the body of a record in the artifact that the run left of `alpha`."""
    archive = ran.bundle("passmuster-records-alpha")
    assert archive is not None
    with zipfile.ZipFile(archive) as zipped, tarfile.open(fileobj=BytesIO(zipped.read("records-alpha.tar"))) as tar:
        member = tar.extractfile(name)
        assert member is not None
        return json.load(member)["body"]


def untouched(project: SmallProject) -> bool:
    """Whether nothing was promoted: the first champion alone stands in ledger and registry."""
    return project.tags() == ["alpha#champion#1", "alpha@v1.0.0"] and project.aliases("alpha") == {"champion": "1"}


def test_a_good_one_passes_in_every_job_and_promotes_nothing(
    run: Run, project: SmallProject, github: FakeGitHub
) -> None:
    ran = gate(run, project, 1, slope(1.95))

    assert ran.code == 0, ran.log
    assert ran.jobs == dict.fromkeys(ALL, "success")
    assert ran.outputs["verdict"] == "pass"
    assert json.loads(ran.outputs["digests"]).keys() == {"alpha"}
    assert record(ran, "gate.json")["decision"] == "promote"
    assert untouched(project)
    _, comment, check = report(run, project, github, 1, ran)
    assert check["conclusion"] == "success"
    assert "Claimed, not verified" in comment


def test_a_worse_one_fails_and_the_report_says_why(run: Run, project: SmallProject, github: FakeGitHub) -> None:
    ran = gate(run, project, 2, slope(1.7))

    assert ran.code != 0
    assert ran.jobs == {**dict.fromkeys(ALL, "success"), "judge (alpha)": "failure", "passmuster": "failure"}, ran.log
    assert ran.outputs["verdict"] == "fail"
    failed = {one["gate"] for one in record(ran, "gate.json")["judgements"] if one["outcome"] == "fail"}
    assert failed == {"champion"}
    _, comment, check = report(run, project, github, 2, ran)
    assert check["conclusion"] == "failure"
    assert "worse than the champion" in comment


def test_one_whose_training_crashes_fails_and_the_report_says_that_it_was_not_judged(
    run: Run, project: SmallProject, github: FakeGitHub
) -> None:
    ran = gate(run, project, 3, {"alpha.json": "{}\n"}, repro=False)

    assert ran.code != 0
    assert ran.jobs["reproduce (alpha)"] == ran.jobs["passmuster"] == "failure"
    assert ran.outputs["verdict"] == "fail", ran.log
    _, comment, check = report(run, project, github, 3, ran)
    assert check["conclusion"] == "failure"
    assert "not reproducible" in comment


def test_one_that_touches_no_model_succeeds_and_says_so(run: Run, project: SmallProject) -> None:
    ran = gate(run, project, 4, {"README.md": "# Credit\n"}, repro=False)

    assert ran.code == 0, ran.log
    assert ran.jobs == {"plan": "success", "passmuster": "success"}
    assert ran.outputs["verdict"] == "nothing-to-judge"


def test_one_that_loosens_its_own_limits_is_judged_by_the_base(run: Run, project: SmallProject) -> None:
    loose = {"model-configs/alpha.yaml": CONFIG.substitute(name="alpha", most=9, margin=9)}

    ran = gate(run, project, 5, slope(1.7) | loose)

    assert ran.jobs["judge (alpha)"] == ran.jobs["passmuster"] == "failure"
    assert ran.outputs["verdict"] == "fail", ran.log
    assert record(ran, "gate.json")["decision"] == "refuse"
    assert record(ran, "gate-head.json")["decision"] == "promote"


def test_a_forks_is_judged_without_secrets_and_without_the_champion(
    run: Run, project: SmallProject, github: FakeGitHub
) -> None:
    ran = gate(run, project, 6, slope(1.95), head="somebody/credit")

    assert ran.jobs == dict.fromkeys(ALL - {"supply (alpha)"}, "success"), ran.log
    assert ran.outputs["verdict"] == "pass"
    champion = [one for one in record(ran, "gate.json")["judgements"] if one["gate"] == "champion"]
    assert {one["outcome"] for one in champion} == {"skipped"}
    assert "no access from a fork" in champion[0]["reason"]
    _, comment, check = report(run, project, github, 6, ran, head="somebody/credit")
    assert check["conclusion"] == "success"
    assert "no access from a fork" in comment
