"""What the runs of the workflows share: the framework as `setup` installs it, and the models' environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passmuster.environments import ensure
from support import act
from support.github_server import FakeGitHub, serving
from support.small_project import PROJECT, SmallProject


@pytest.fixture(scope="module")
def framework(tmp_path_factory: pytest.TempPathFactory) -> act.Framework:
    """The framework, installed once; the environments of models that the runs make are shared too."""
    return act.Framework.install(tmp_path_factory.mktemp("framework") / "it")


@pytest.fixture(scope="module")
def project(framework: act.Framework, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A repository whose model `alpha` has a champion, and `beta` none."""
    python = ensure(PROJECT / "models/credit-default/requirements.txt")
    made = SmallProject(tmp_path_factory.mktemp("project"), [python.parent, framework.programs])
    made.run("passmuster", "run", "alpha", "--first", at=made.main, PASSMUSTER_CACHE=str(framework.cache))
    return made


@pytest.fixture(scope="module")
def address(github: FakeGitHub) -> Iterator[str]:
    """Where GitHub is."""
    with serving(github) as url:
        yield url


@pytest.fixture(scope="module")
def github(project: SmallProject) -> FakeGitHub:
    """GitHub; what is asked and answered is held to its own description."""
    made = FakeGitHub()
    made.repository(project.name, project.remote)
    return made


@pytest.fixture(scope="module")
def run(
    framework: act.Framework, project: SmallProject, address: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., act.Ran]:
    """Return a function that runs a workflow of a clone for an event."""

    def ran(clone: Path, workflow: str, event: str, **payload: object) -> act.Ran:
        repository = {"full_name": project.name, "default_branch": "main"}
        variables = {name: os.environ[name] for name in os.environ if name.startswith("UV_")}
        variables["GITHUB_API_URL"] = address
        return act.run(
            framework,
            clone,
            f"{workflow}.yml",
            event,
            {"repository": repository, **payload},
            home=project.home,
            scratch=tmp_path_factory.mktemp(workflow) / "run",
            variables=variables,
            repository_variables={"MLFLOW_TRACKING_URI": project.mlflow},
            secrets={"GITHUB_TOKEN": "token"},
        )

    return ran
