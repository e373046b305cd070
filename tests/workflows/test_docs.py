"""The page about the workflows says what they say."""

from __future__ import annotations

import re

import yaml

from support import act, workflow_tables
from support.small_project import PROJECT

TEXT = workflow_tables.PAGE.read_text()
WORKFLOWS = PROJECT / ".github/workflows"


def test_the_tables_are_in_step_with_the_workflows() -> None:
    assert workflow_tables.page(TEXT) == TEXT, "run `make docs`"


def test_every_workflow_that_can_be_called_has_its_tables() -> None:
    callable_ = {path.name for path in WORKFLOWS.glob("*.yml") if "workflow_call:" in path.read_text()}

    assert set(re.findall(r"<!-- ([\w-]+\.yml) -->", TEXT)) == callable_


def test_what_act_does_not_know_is_listed() -> None:
    """All that a run of act changes in a workflow is a line with one of the words on the page."""
    listed = re.search(r"act knows neither (.+?);", TEXT, re.DOTALL)
    assert listed is not None
    words = re.findall(r"`([^`]+)`", listed[1])

    for path in WORKFLOWS.glob("*.yml"):
        here, there = path.read_text().splitlines(), act.edition(path.read_text()).splitlines()
        changed = [line for line in here if line not in there]
        assert all(any(word in line for word in words) for line in changed), path.name


def test_the_callers_on_the_page_are_workflows_that_the_called_ones_take() -> None:
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
    callers = [job for example in examples for job in example.get("jobs", {}).values() if "uses" in job]

    assert callers
    for job in callers:
        name = re.search(r"workflows/([\w-]+\.yml)@", job["uses"])
        assert name is not None
        call = yaml.safe_load((WORKFLOWS / name[1]).read_text())[True]["workflow_call"]
        assert set(job.get("with", {})) <= set(call["inputs"])
        assert set(job.get("secrets", {})) <= set(call.get("secrets", {}))
