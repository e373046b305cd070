"""The project's workflows, actions and scripts, held to the linters and to their schemas: no finding."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from support.small_project import PROJECT

GITHUB = PROJECT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
PROGRAMS = Path(sys.executable).parent
#: Jobs that run what a pull request, or the model's own code, brings.
UNTRUSTED = {("gate.yml", "reproduce"), ("promote-model.yml", "reproduce")}
SECRETS = ("secrets.", "actions/credentials", "id-token")


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a linter; the others of them are on its PATH."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    program = [str(PROGRAMS / command[0]), *command[1:]]
    return subprocess.run(
        program, cwd=PROJECT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


def jobs(path: Path) -> dict[str, dict[str, object]]:
    return yaml.safe_load(path.read_text())["jobs"]


@pytest.mark.parametrize(
    "command",
    [
        ("zizmor", "--offline", "--persona", "auditor", "--no-progress", str(GITHUB)),
        ("actionlint", *map(str, WORKFLOWS)),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS)),
        ("check-jsonschema", "--builtin-schema", "vendor.github-actions", *map(str, ACTIONS)),
        ("check-jsonschema", "--builtin-schema", "vendor.dependabot", str(GITHUB / "dependabot.yml")),
    ],
    ids=["zizmor", "actionlint", "workflow schema", "action schema", "dependabot schema"],
)
def test_a_linter_finds_nothing(command: tuple[str, ...]) -> None:
    done = tool(*command)

    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck_finds_nothing_in_any_script() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    scripts = [path for path in listed.stdout.splitlines() if path.endswith(".sh") or path == ".ci/run"]

    done = tool("shellcheck", "--enable=check-extra-masked-returns,quote-safe-variables", *scripts)

    assert len(scripts) >= 4
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.relative_to(GITHUB).as_posix())
def test_no_expression_stands_in_a_script(path: Path) -> None:
    """Passed through `env:`, a text can't become a part of the script; in a composite action no linter looks."""
    document = yaml.safe_load(path.read_text())
    places = document["jobs"].values() if "jobs" in document else [document["runs"]]

    scripts = [step["run"] for place in places for step in place.get("steps", []) if "run" in step]

    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_has_no_permission_unless_it_says_why(path: Path) -> None:
    text = path.read_text()

    granted = re.findall(r"^      [a-z-]+: (?:read|write)\b.*$", text, re.MULTILINE)

    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert all("permissions" in job for job in jobs(path).values())
    assert all(" # " in line for line in granted)


@pytest.mark.parametrize(("workflow", "name"), sorted(UNTRUSTED))
def test_a_job_that_runs_a_models_code_has_no_secret_and_can_write_nothing(workflow: str, name: str) -> None:
    job = jobs(GITHUB / "workflows" / workflow)[name]

    assert job["permissions"] == {"contents": "read"}
    assert not [word for word in SECRETS if word in yaml.safe_dump(job)]
    assert "environment" not in job


def test_a_cache_is_written_by_main_alone_and_read_by_pull_requests_alone() -> None:
    gate, model = (
        yaml.safe_load((GITHUB / "workflows" / name).read_text()) for name in ("gate.yml", "promote-model.yml")
    )

    read = {name: job.get("cache-mode", gate["cache-mode"]) for name, job in gate["jobs"].items()}
    written = {name: job["cache-mode"] for name, job in model["jobs"].items()}

    assert {name for name, mode in read.items() if mode != "none"} == {"reproduce"}
    assert read["reproduce"] == "read"
    assert {name for name, mode in written.items() if mode != "none"} == {"reproduce"}
    assert written["reproduce"] == "write-only"


def test_only_the_jobs_that_move_a_champion_may_write_the_ledger() -> None:
    writers = {
        (path.name, name)
        for path in WORKFLOWS
        for name, job in jobs(path).items()
        if "steps" in job and isinstance(grants := job["permissions"], dict) and grants.get("contents") == "write"
    }

    assert writers == {("promote-model.yml", "promote"), ("rollback.yml", "rollback")}


def test_the_lock_that_the_workflows_install_has_every_dependency() -> None:
    asked = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    lock = (PROJECT / "requirements/runtime.txt").read_text()

    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))

    assert {re.split(r"[^A-Za-z0-9-]", one)[0] for one in asked} | {"hatchling"} <= locked, "run `make locks`"


def test_a_credential_that_is_empty_sets_nothing_and_none_can_set_another(tmp_path: Path) -> None:
    script = GITHUB / "actions/credentials/pass_on.sh"
    names = re.findall(r"\b[A-Z]+_[A-Z_]+\b", script.read_text().partition("names=(")[2].partition(")")[0])
    given = dict.fromkeys(names, "") | {"MLFLOW_TRACKING_TOKEN": "a\nPATH=/evil\nEOF\nPATH=/evil"}

    subprocess.run(["bash", str(script)], env={**os.environ, **given, "GITHUB_ENV": str(tmp_path / "env")}, check=True)

    first, *value, last = (tmp_path / "env").read_text().splitlines()
    assert first == f"MLFLOW_TRACKING_TOKEN<<{last}"
    assert value == given["MLFLOW_TRACKING_TOKEN"].splitlines()
    assert last not in value


def test_the_name_of_the_job_to_require_stays() -> None:
    job = jobs(GITHUB / "workflows/gate.yml")["passmuster"]

    assert job["name"] == "passmuster"
    assert job["if"] == "${{ always() }}"
    assert set(job["needs"]) == {"plan", "supply", "reproduce", "judge"}


def test_models_queue_for_all_steps_and_nobody_is_dropped() -> None:
    """Two merges: the second is judged against the champion that the first one made."""
    queues = [jobs(GITHUB / "workflows/promote.yml")["model"], jobs(GITHUB / "workflows/rollback.yml")["rollback"]]

    groups = [re.sub(r"(matrix|inputs)\.", "", str(job["concurrency"])) for job in queues]

    assert groups[0] == groups[1]
    assert "'queue': 'max'" in groups[0]
