"""Merges through `promote.yml` and a way back through `rollback.yml`, by a real workflow runner.

The tests of this file tell one story, in their order: each goes on where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.act import Ran
from support.github_server import FakeGitHub
from support.small_project import REPOSITORY, SmallProject

pytestmark = pytest.mark.network
Run = Callable[..., Ran]
STEPS = ("supply", "reproduce", "judge", "promote")
PROMOTED = dict.fromkeys(("plan", *STEPS), "success")


def slope(value: float) -> dict[str, str]:
    return {"alpha.json": f'{{"slope": {value}}}\n'}


def promotions(project: SmallProject, model: str = "alpha") -> int:
    return sum(tag.startswith(f"{model}#champion#") for tag in project.tags())


def deployed(github: FakeGitHub) -> list[str]:
    """Return the last state of each deployment, oldest first."""
    there = github.repositories[REPOSITORY]
    return [there.statuses[ident][0]["state"] for ident in there.deployments]


def test_a_person_names_the_model_that_may_become_its_first_champion(
    run: Run, project: SmallProject, github: FakeGitHub
) -> None:
    ran = run(project.clone("first"), "passmuster-main", "workflow_dispatch", inputs={"first": "beta"})

    assert ran.jobs == PROMOTED, ran.log
    assert '"models": [  "beta" ]' in ran.outputs["plan"]
    assert {"beta#champion#1", "beta@v1.0.0"} < set(project.tags())
    assert project.aliases("beta") == {"champion": "1"}
    assert deployed(github) == ["success"]


def test_a_merge_promotes_the_model_that_it_touches(run: Run, project: SmallProject, github: FakeGitHub) -> None:
    clone = project.merge("better", slope(1.95))

    ran = run(clone, "passmuster-main", "push", ref="refs/heads/main")

    assert ran.jobs == PROMOTED, ran.log
    assert promotions(project) == 2
    assert project.sha(project.remote, "alpha@v2.0.0^{commit}") == project.sha(clone)
    assert project.aliases("alpha") == {"champion": "2", "previous": "1"}
    assert deployed(github) == ["success", "success"]


def test_two_merges_at_once_leave_one_champion_that_ledger_and_registry_agree_on(
    run: Run, project: SmallProject
) -> None:
    clones = [project.merge("earlier", slope(1.97)), project.merge("later", slope(1.98))]

    with ThreadPoolExecutor(2) as both:
        ran = list(both.map(lambda clone: run(clone, "passmuster-main", "push", ref="refs/heads/main"), clones))

    won = [clone for clone, one in zip(clones, ran, strict=True) if one.code == 0]
    assert won, "\n".join(one.log for one in ran)
    assert promotions(project) == 2 + len(won)
    for lost in (one for one in ran if one.code):
        assert lost.jobs == {**PROMOTED, "promote": "failure"}, lost.log
        assert "exit status 15" in lost.log, lost.log
    champion = project.sha(project.remote, f"alpha#champion#{promotions(project)}^{{commit}}")
    assert champion in {project.sha(clone) for clone in won}
    assert "agree" in project.run("passmuster", "status", "alpha", at=project.clone("after"))


def test_a_merge_of_a_worse_model_moves_nothing(run: Run, project: SmallProject) -> None:
    before = project.tags(), project.aliases("alpha")

    ran = run(project.merge("worse", slope(1.7)), "passmuster-main", "push", ref="refs/heads/main")

    assert ran.jobs == {"plan": "success", "supply": "success", "reproduce": "success", "judge": "failure"}, ran.log
    assert (project.tags(), project.aliases("alpha")) == before


def test_a_rollback_brings_the_champion_before_back(run: Run, project: SmallProject) -> None:
    number, aliases = promotions(project), project.aliases("alpha")

    ran = run(
        project.clone("back"),
        "passmuster-rollback",
        "workflow_dispatch",
        inputs={"model": "alpha", "version": "", "reason": "complaints from the branches"},
    )

    assert ran.jobs == {"rollback": "success"}, ran.log
    assert promotions(project) == number + 1
    assert project.aliases("alpha")["champion"] == aliases["previous"]
    told = project.run(
        "git", "tag", "--list", "--format=%(contents)", f"alpha#champion#{number + 1}", at=project.remote
    )
    assert "complaints from the branches" in told
