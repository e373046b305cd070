"""One answer for a whole run: success only where everything that was planned is here, whole, and passes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from passmuster.conclude import Concluded, conclude
from passmuster.errors import ExitCode, UsageError
from passmuster.progress import Silent
from passmuster.report._words import Status
from support.promotion import Project, alter, clones, git
from support.pull_requests import PullRequest, forget, promoted, pull_request

__all__ = ["clones"]

Change = Callable[[PullRequest], object]


def concluded(pr: PullRequest) -> Concluded:
    return conclude(
        pr.root,
        plan=pr.plan(),
        needs=pr.results(),
        bundles=pr.bundles,
        commit=pr.merge,
        base=f"{pr.merge}^1",
        progress=Silent(),
    )


@pytest.fixture
def pr(clones: Project) -> PullRequest:
    """A pull request whose model passes against a champion; its records are packed."""
    clones.commit("one")
    champion = promoted(clones)
    found = pull_request(clones)
    found.judge(champion=champion)
    found.pack()
    return found


def test_a_model_that_passes_is_a_success_that_names_the_digest_of_its_verdict(pr: PullRequest) -> None:
    found = concluded(pr)

    gate = json.loads((pr.root / ".passmuster" / "credit" / "gate.json").read_text())
    assert (found.verdict, found.code, found.said) == ("pass", ExitCode.OK, ())
    assert found.digests == {"credit": gate["digest"]}
    assert [(m.model, m.status) for m in found.posting.models] == [("credit", Status.PASSES)]
    assert found.posting.claimed and not found.posting.problems


def test_a_change_that_touches_no_model_is_a_success_that_says_so(clones: Project) -> None:
    """Its jobs are skipped, which alone would say nothing."""
    clones.commit("one")
    found = pull_request(clones)
    found.planned = {"models": [], "matrix": {"include": []}}
    found.needs |= dict.fromkeys(("supply", "reproduce", "judge"), "skipped")

    answer = concluded(found)

    assert (answer.verdict, answer.code) == ("nothing-to-judge", ExitCode.OK)
    assert "nothing to judge" in answer.said[0]


def needs(**results: str) -> Change:
    return lambda pr: pr.needs.update(results)


def planned(**facts: object) -> Change:
    return lambda pr: pr.planned.update(facts)


def again(pr: PullRequest) -> None:
    shutil.copy(pr.bundles / "records-credit.tar", pr.bundles / "records-other.tar")


def empty(pr: PullRequest) -> None:
    shutil.rmtree(pr.bundles)


def stranger(pr: PullRequest) -> None:
    folder = pr.root / ".passmuster"
    shutil.copytree(folder / "credit", folder / "fraud")
    for step in ("reproduce", "score", "gate"):
        alter(folder / "fraud" / f"{step}.json", step, lambda body: body.update(model="fraud"))
    pr.pack("fraud")


def other_commit(pr: PullRequest) -> None:
    pr.forge("reproduce", lambda body: body.update(commit=pr.head))
    pr.forge("gate", lambda body: body.update(commit=pr.head))
    pr.pack()


def other_policy(pr: PullRequest) -> None:
    pr.forge("gate", lambda body: body["policy"].update(commit=pr.head))
    pr.pack()


def no_longer_whole(pr: PullRequest) -> None:
    alter(pr.root / ".passmuster" / "credit" / "score.json", "score", lambda body: body.update(isolated=False))
    pr.pack()


def without_verdict(pr: PullRequest) -> None:
    (pr.root / ".passmuster" / "credit" / "gate.json").unlink()
    pr.pack()


def new_champion(pr: PullRequest) -> None:
    promoted(pr.project)


NOT_A_SUCCESS: dict[str, tuple[Change, ExitCode, str]] = {
    "the plan failed": (needs(plan="failure"), ExitCode.NOT_MEASURED, "job plan ended as 'failure'"),
    "a matrix was skipped": (needs(judge="skipped"), ExitCode.NOT_MEASURED, "job judge ended as 'skipped'"),
    "the run was cancelled": (needs(reproduce="cancelled"), ExitCode.NOT_MEASURED, "'cancelled'"),
    "a job failed after a pass": (needs(judge="failure"), ExitCode.NOT_MEASURED, "though every verdict passes"),
    "the secrets' job failed": (needs(supply="failure"), ExitCode.NOT_MEASURED, "job supply ended"),
    "a job is not in the workflow": (lambda pr: pr.needs.pop("judge"), ExitCode.NOT_MEASURED, "'missing'"),
    "a job has a result that nobody knows": (needs(judge="neutral"), ExitCode.NOT_MEASURED, "'neutral'"),
    "no records are here": (empty, ExitCode.NOT_MEASURED, "no records"),
    "one of three models is missing": (
        planned(models=["credit", "x"], matrix={"include": [{"model": "credit"}, {"model": "x"}]}),
        ExitCode.REFUSED,
        "base does not know it",
    ),
    "a model is there twice": (again, ExitCode.REFUSED, "more than one bundle"),
    "records of a model that was not planned": (stranger, ExitCode.REFUSED, "does not name"),
    "records of another commit": (other_commit, ExitCode.REFUSED, "is of commit"),
    "records by another policy": (other_policy, ExitCode.REFUSED, "not by that of"),
    "a broken chain": (no_longer_whole, ExitCode.REFUSED, "other scores"),
    "no verdict": (without_verdict, ExitCode.REFUSED, ""),
    "another champion by now": (new_champion, ExitCode.RACE_LOST, "the champion is v2 now"),
    "the plan is of another commit": (planned(head="a" * 40), ExitCode.NOT_MEASURED, "the plan is of commit"),
    "the base has moved": (planned(base="a" * 40), ExitCode.NOT_MEASURED, "the base has moved"),
    "a plan without a matrix": (planned(matrix={"include": []}), ExitCode.NOT_MEASURED, "plan is none"),
    "a plan that names a model twice": (
        planned(models=["credit"] * 2, matrix={"include": [{"model": "credit"}] * 2}),
        ExitCode.NOT_MEASURED,
        "plan is none",
    ),
    "a plan with a path for a model": (
        planned(models=["../x"], matrix={"include": [{"model": "../x"}]}),
        ExitCode.NOT_MEASURED,
        "plan is none",
    ),
    "nothing planned, but a job failed": (
        lambda pr: (empty(pr), planned(models=[], matrix={"include": []})(pr), needs(judge="failure")(pr)),
        ExitCode.NOT_MEASURED,
        "job judge ended as 'failure'",
    ),
    "another model takes over the name in the registry": (
        planned(removed={"old": "credit"}),
        ExitCode.REFUSED,
        "takes over",
    ),
}


@pytest.mark.parametrize(("change", "code", "said"), NOT_A_SUCCESS.values(), ids=NOT_A_SUCCESS.keys())
def test_what_is_missing_partial_or_forged_is_no_success(
    pr: PullRequest, change: Change, code: ExitCode, said: str
) -> None:
    change(pr)

    found = concluded(pr)

    assert (found.verdict, found.code) == ("error", code)
    told = [*found.said, *(text for model in found.posting.models for text in model.problems)]
    assert said in "\n".join(told)


@pytest.mark.parametrize(
    ("changes", "verdict", "code"),
    [({"value": 0.5}, "fail", 11), ({"difference": -0.02}, "inconclusive", 12)],
    ids=["a gate fails", "the rows can't decide"],
)
def test_a_verdict_that_is_no_pass_is_told_as_what_it_is(
    clones: Project, changes: dict[str, float], verdict: str, code: int
) -> None:
    """The job that judged failed by it, which is no trouble of its own."""
    clones.commit("one")
    champion = promoted(clones)
    found = pull_request(clones)
    found.judge(champion=champion, **changes)
    found.pack()
    found.needs["judge"] = "failure"

    answer = concluded(found)

    assert (answer.verdict, answer.code, answer.said) == (verdict, code, ())


def test_a_re_run_that_differs_is_told_though_nothing_was_judged(pr: PullRequest) -> None:
    for step in ("score", "gate"):
        (pr.root / ".passmuster" / "credit" / f"{step}.json").unlink()
    alter(
        pr.root / ".passmuster" / "credit" / "reproduce.json",
        "reproduce",
        lambda body: body.update(decision="not reproducible"),
    )
    pr.pack()
    pr.needs |= {"reproduce": "failure", "judge": "failure"}

    found = concluded(pr)

    assert (found.verdict, found.code) == ("fail", ExitCode.NOT_REPRODUCIBLE)


@pytest.mark.parametrize("fork", [True, False])
def test_a_champion_is_out_of_reach_only_where_the_job_with_secrets_was_left_out(pr: PullRequest, fork: bool) -> None:
    folder = pr.judge(champion=None)
    alter(folder / "score.json", "score", lambda body: body.update(champion={"state": "no-access"}))

    def excused(body: dict[str, object]) -> None:
        text = json.dumps(body).replace("no-champion", "no access from a fork")
        body.update(json.loads(text))

    pr.forge("gate", excused)
    pr.pack()
    if fork:
        pr.needs["supply"] = "skipped"

    found = concluded(pr)

    assert (found.verdict, found.code) == (("pass", 0) if fork else ("error", 14))


def test_a_model_that_is_gone_is_told(pr: PullRequest) -> None:
    pr.planned["removed"] = {"old": None}

    found = concluded(pr)

    assert found.verdict == "pass"
    assert "old is gone" in "\n".join(found.said)


def test_a_model_that_the_base_does_not_know_needs_a_person(clones: Project) -> None:
    """A renamed model among them: under a new name it would be judged without its champion."""
    clones.commit("one")
    promoted(clones)

    def rename(root: Path) -> None:
        (root / "model-configs" / "credit.yaml").unlink()

    found = pull_request(clones, rename, name="renamed")
    git(clones.root, "checkout", "-q", found.merge)
    answer = concluded(found)

    assert answer.verdict == "error"
    assert answer.posting.unknown == ("renamed",)
    assert any("takes over the name in the registry of credit" in text for text in answer.said)


def test_a_shallow_clone_says_what_is_missing(pr: PullRequest) -> None:
    shallow = pr.project.folder / "shallow"
    git(pr.project.folder, "clone", "-q", "--depth", "1", pr.project.remote.as_uri(), str(shallow))

    with pytest.raises(UsageError, match="unshallow"):
        conclude(
            shallow,
            plan=pr.plan(),
            needs=pr.results(),
            bundles=pr.bundles,
            commit=pr.merge,
            base=pr.base,
            progress=Silent(),
        )


def test_what_nobody_could_have_written_is_refused(pr: PullRequest) -> None:
    """Neither plan nor results are trusted to be what they should be."""
    for text in ("", "[]", "{", "null", '{"plan": 1}', "[" * 100_000, '{"a": 1, "a": 2}', '{"a": NaN}'):
        for fields in ({"plan": text}, {"needs": text}):
            given = {"plan": pr.plan(), "needs": pr.results(), **fields}
            found = conclude(pr.root, bundles=pr.bundles, commit=pr.merge, base=pr.base, progress=Silent(), **given)

            assert (found.verdict, found.code) == ("error", ExitCode.NOT_MEASURED)


def test_records_do_not_outlive_their_bundle(pr: PullRequest) -> None:
    """What stands in the folder of the checkout counts for nothing: only bundles do."""
    shutil.rmtree(pr.bundles)

    assert concluded(pr).verdict == "error"
    forget(pr.project)
