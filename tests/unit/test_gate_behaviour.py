"""Gate `behaviour`: each pytest test is one outcome, and a session that did not come to its end is never a pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from passmuster import environments, policy
from passmuster.config import BehaviourGate, Gates, Mode
from passmuster.errors import NotMeasured
from passmuster.measurement import Assertion, Failure, Measurement, NotApplicable
from passmuster_checks import behaviour
from passmuster_checks.behaviour import Behaviour
from support import candidate as made
from support.judging import inputs, judge

CONFIG = made.config(behaviour=BehaviourGate(mode=Mode.BLOCKING, tests=("checks",), timeout=60.0))
ALONE = replace(
    CONFIG,
    gates=Gates(
        **{name: replace(gate, mode=Mode.OFF) for name, gate in vars(CONFIG.gates).items() if hasattr(gate, "mode")}
        | {"behaviour": CONFIG.gates.behaviour}
    ),
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The model's environment is not needed where no test asks the model."""
    monkeypatch.setattr(behaviour.environments, "ensure", lambda lock: tmp_path / "python")


def _run(
    root: Path, champion: dict[str, object] | None = None, timeout: float = 60.0, **files: str
) -> list[Measurement]:
    made.Candidate(champion=champion or {}).write(root)
    for name, content in files.items():
        path = root / "checks" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    config = made.with_gates(CONFIG, behaviour=replace(CONFIG.gates.behaviour, timeout=timeout))
    workspace = root / "workspace"
    workspace.mkdir()
    return list(Behaviour().measure(replace(inputs(root, config), workspace=workspace)))


def _promotes(found: list[Measurement]) -> bool:
    return judge(found, policy.from_config(ALONE)).promotes


def test_tests_find_the_code_of_a_checkout_whose_path_has_a_space(tmp_path: Path) -> None:
    """As it often has on a laptop."""
    root = tmp_path / "my project's"
    root.mkdir()
    (root / "own_code.py").write_text("ANSWER = 42\n")
    found = _run(root, test_it="import own_code\ndef test_it():\n    assert own_code.ANSWER == 42\n")

    assert [(m.name, getattr(m, "holds", m)) for m in found] == [("tests::checks/test_it.py::test_it", True)]


def test_each_test_is_one_outcome_named_by_its_id(tmp_path: Path) -> None:
    """Passed, failed, skipped, expected to fail, broken in setup, broken in teardown, parametrised."""
    source = """
import pytest

def test_passes(test, train, predictions, candidate):
    assert len(test) == len(predictions) == len(candidate.predictions) == 800 and len(train) == 800

def test_fails():
    assert 1 == 2, "one is not two"

def test_skips():
    pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert False

@pytest.mark.xfail(reason="known")
def test_passes_unexpectedly():
    pass

@pytest.fixture
def broken():
    raise ValueError("no setup")

def test_needs_what_is_broken(broken):
    pass

@pytest.fixture
def leaves_a_mess():
    yield
    raise ValueError("no teardown")

def test_leaves_a_mess(leaves_a_mess):
    pass

@pytest.mark.parametrize("n", [1, 2])
def test_many(n):
    assert n == 1
"""
    found = {m.name.removeprefix("tests::checks/test_all.py::"): m for m in _run(tmp_path, test_all=source)}
    kinds = {name: type(m) for name, m in found.items()}

    assert kinds == {
        "test_passes": Assertion,
        "test_fails": Assertion,
        "test_skips": NotApplicable,
        "test_is_expected_to_fail": NotApplicable,
        "test_passes_unexpectedly": NotApplicable,
        "test_needs_what_is_broken": Failure,
        "test_leaves_a_mess": Failure,
        "test_many[1]": Assertion,
        "test_many[2]": Assertion,
    }
    assert {name for name, m in found.items() if isinstance(m, Assertion) and m.holds} == {
        "test_passes",
        "test_many[1]",
    }
    assert {m.reason for m in found.values() if isinstance(m, NotApplicable)} == {"test-skipped"}
    assert "one is not two" in found["test_fails"].message  # type: ignore[union-attr]
    assert not _promotes(list(found.values()))


def test_tests_that_all_pass_promote(tmp_path: Path) -> None:
    """And the expected name `tests` is met by them."""
    found = _run(tmp_path, test_a="def test_one(): pass", test_b="class TestB:\n    def test_two(self): pass")

    assert [m.name for m in found] == ["tests::checks/test_a.py::test_one", "tests::checks/test_b.py::TestB::test_two"]
    assert _promotes(found)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        pytest.param("", "no test was collected", id="none collected"),
        pytest.param("import no_such_module\ndef test_a(): pass", "no_such_module", id="not collectable"),
        pytest.param("import os\ndef test_a(): os._exit(0)\ndef test_b(): pass", "did not come to its end", id="exit"),
        pytest.param("import pytest\ndef test_a(): pytest.exit('enough', 0)", "", id="pytest.exit"),
        pytest.param("import sys\nsys.exit(0)", "", id="exit at import"),
        pytest.param(
            "import os, atexit\natexit.register(os._exit, 0)\ndef test_a(): assert False", "", id="another code"
        ),
        pytest.param("import os\ndef test_a(): os.kill(os.getpid(), 9)", "exit code -9", id="killed"),
        pytest.param(
            "from passmuster_checks.pytest_plugin import Reporter\n"
            "def test_a(): Reporter._tell = lambda self, **facts: None\ndef test_b(): assert False",
            "did not come to its end",
            id="reporter silenced",
        ),
        pytest.param(
            "def test_a(request):\n    request.config.pluginmanager.unregister(name='passmuster-reporter')\n"
            "def test_b(): pass",
            "did not come to its end",
            id="reporter removed",
        ),
    ],
)
def test_a_session_without_a_whole_result_is_an_error(source: str, word: str, tmp_path: Path) -> None:
    """Whatever pytest's own exit code says."""
    found = _run(tmp_path, test_a=source)

    assert any(isinstance(m, Failure) for m in found), found
    assert word in " ".join(getattr(m, "reason", "") for m in found)
    assert not _promotes(found)


def test_deselected_tests_are_an_error(tmp_path: Path) -> None:
    """A conftest can't leave tests out silently."""
    conftest = (
        "def pytest_collection_modifyitems(config, items):\n"
        "    config.hook.pytest_deselected(items=items[1:])\n    del items[1:]\n"
    )
    found = _run(tmp_path, conftest=conftest, test_a="def test_a(): pass\ndef test_b(): pass")

    assert not _promotes(found)
    assert "deselected" in found[0].reason  # type: ignore[union-attr]


def test_tests_that_hang_are_ended(tmp_path: Path) -> None:
    """What had ended before is kept; the rest are errors."""
    source = "import time\ndef test_a(): pass\ndef test_b(): time.sleep(600)"
    found = _run(tmp_path, timeout=10.0, test_a=source)
    kinds = {m.name: type(m) for m in found}

    assert kinds["tests"] is Failure
    assert kinds["tests::checks/test_a.py::test_b"] is Failure
    assert not _promotes(found)


def test_settings_of_the_users_project_leave_no_test_out(tmp_path: Path) -> None:
    """Options in a pytest.ini are for the user's own runs."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -k test_b --maxfail=1\n")
    found = _run(tmp_path, test_a="def test_a(): assert False\ndef test_b(): pass")

    assert len(found) == 2
    assert not _promotes(found)


def test_a_test_that_asks_for_the_champion_says_when_there_is_none(tmp_path: Path) -> None:
    """So that a first model is not refused for it, and a later one is."""
    found = _run(tmp_path, champion={"state": "none"}, test_a="def test_a(champion): pass\ndef test_b(): pass")
    reasons = [m.reason for m in found if isinstance(m, NotApplicable)]

    assert reasons == ["no-champion"]


def test_tests_see_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is scrubbed, and the working folder is not the user's."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    source = "import os\ndef test_a(): assert 'AWS_SECRET_ACCESS_KEY' not in os.environ\n"
    source += "def test_b(): assert not os.listdir('.')\n"

    assert _promotes(_run(tmp_path, test_a=source))


def test_tests_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    """A path of the config that the commit lacks."""
    with pytest.raises(NotMeasured, match="checks is not there"):
        _run(tmp_path)


def test_an_environment_that_is_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""

    def missing(lock: Path) -> Path:
        raise environments.Unavailable("no index")

    monkeypatch.setattr(behaviour.environments, "ensure", missing)
    with pytest.raises(NotMeasured, match="passmuster score"):
        _run(tmp_path, test_a="def test_a(): pass")
