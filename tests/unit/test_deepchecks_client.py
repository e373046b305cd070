"""The client believes nothing of Deepchecks' runner but one whole answer to each question; a script plays it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passmuster import curated
from passmuster.config import (
    ChampionGate,
    Check,
    ChecksGate,
    Column,
    ColumnType,
    Data,
    Gates,
    Mode,
    ModelConfig,
    PerformanceGate,
    Pipeline,
    Registry,
    Task,
)
from passmuster.errors import Unavailable, UsageError
from passmuster.gates import Inputs, NoChampion
from passmuster.measurement import Assertion, Failure, NotApplicable
from passmuster_checks.deepchecks import client
from passmuster_checks.deepchecks.client import Answer, Asked, Condition, Request, measurement
from passmuster_checks.deepchecks.runner._tables import Predictions, read_predictions
from passmuster_checks.deepchecks.runner._trouble import Trouble

CONDITIONS = {"not_single_value": {}}
NAMES = ("First", "Second", "Third")

Play = Callable[..., list[Answer]]


def request(*, limit: float = 60.0) -> Request:
    asked = (Asked(name=name, conditions=CONDITIONS, timeout=30.0) for name in NAMES)
    return Request(
        task=Task.BINARY,
        label="target",
        id="row",
        time=None,
        categorical=(),
        features=("x",),
        train=Path("train.parquet"),
        test=Path("test.parquet"),
        predictions={},
        classes=("0", "1"),
        checks=tuple(asked),
        limit=limit,
    )


PRELUDE = """
import json, os, sys, time
asked, out = json.load(open(sys.argv[1])), open(sys.argv[2], "a")
def begin(name):
    print(json.dumps({"started": name}), file=out, flush=True)
def say(name, **changed):
    line = {"name": name, "status": "ran", "reason": "", "message": "", "value": 1,
            "conditions": [{"name": "c", "category": "PASS", "details": "fine"}],
            "rows": {"test": 5}, "sampled": False, "seconds": 0.1}
    print(json.dumps({**line, **changed}), file=out, flush=True)
"""


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return what the client makes of a runner that is this script."""
    runner = tmp_path / "runner.py"
    monkeypatch.setattr(client, "RUNNER", runner)

    def played(script: str, asked: Request | None = None) -> list[Answer]:
        runner.write_text(PRELUDE + textwrap.dedent(script), encoding="utf-8")
        with client.start(asked or request(), folder=tmp_path / "run", python=lambda: Path(sys.executable)) as running:
            return running.answers()

    return played


def reasons(answers: list[Answer]) -> list[str]:
    assert [answer.name for answer in answers] == list(NAMES)
    assert not any(isinstance(fact := measurement(a), Assertion) and fact.holds for a in answers if a.status != "ran")
    return [answer.reason if answer.status == "error" else answer.status for answer in answers]


def test_whole_answers_are_believed(play: Play) -> None:
    answers = play("[say(check['name']) for check in asked['checks']]")

    assert reasons(answers) == ["ran"] * 3
    assert all(measurement(answer).holds for answer in answers)  # type: ignore[union-attr]


def test_a_runner_that_crashes_leaves_what_it_had_and_errors_for_the_rest(play: Play) -> None:
    answers = play("say('First'); begin('Second'); raise SystemExit('out of luck')")

    assert reasons(answers) == ["ran", "killed", "not-run"]
    assert "out of luck" in answers[1].message
    assert "with code 1" in answers[2].message


def test_a_runner_that_hangs_is_ended_and_its_check_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, begun = tmp_path / "runner.py", tmp_path / "run/begun"
    runner.write_text(
        PRELUDE + f"say('First'); begin('Second'); open({str(begun)!r}, 'w'); time.sleep(600)", encoding="utf-8"
    )
    monkeypatch.setattr(client, "RUNNER", runner)
    with client.start(request(limit=0.1), folder=tmp_path / "run", python=lambda: Path(sys.executable)) as running:
        while not begun.exists():
            time.sleep(0.02)
        monkeypatch.setattr(client, "GRACE", 0.0)
        answers = running.answers()

    assert reasons(answers) == ["ran", "killed", "not-run"]
    assert "did not end within 0.1 s, the gate's time limit" in answers[1].message


def test_leaving_the_block_ends_the_runner_and_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their numbers may be those of a world of their own, so what tells is that neither goes on writing."""
    runner, beats = tmp_path / "runner.py", tmp_path / "run/beats"
    beats.mkdir(parents=True)
    runner.write_text(
        f"import os, time\nname = os.path.join({str(beats)!r}, str(bool(os.fork())))\n"
        "while True:\n    open(name, 'a').write('x')\n    time.sleep(0.01)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(client, "RUNNER", runner)
    with client.start(request(), folder=tmp_path / "run", python=lambda: Path(sys.executable)):
        while len(list(beats.iterdir())) < 2:
            time.sleep(0.02)
    written = [path.stat().st_size for path in sorted(beats.iterdir())]
    time.sleep(1)

    assert [path.stat().st_size for path in sorted(beats.iterdir())] == written


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("say('First'); out.write('{\"name\": \"Sec')", ["ran", "not-run", "not-run"]),
        ("say('First'); say('First'); say('Second'); say('Third')", ["answered-twice", "ran", "ran"]),
        ("say('First'); say('First', status='error')", ["answered-twice", "not-run", "not-run"]),
        ("say('Fourth'); say('First', gate='schema')", ["bad-answer", "not-run", "not-run"]),
        ("say('First', conditions=[])", ["no-condition", "not-run", "not-run"]),
        ("say('First', status='passed')", ["bad-answer", "not-run", "not-run"]),
        ("say('First', passed=True)", ["bad-answer", "not-run", "not-run"]),
        ("say('First', rows={'test': 0})", ["bad-answer", "not-run", "not-run"]),
        ("say('First', sampled='no')", ["bad-answer", "not-run", "not-run"]),
        ("say('First', value=float('nan'))", ["not-run"] * 3),
        (
            "say('First', conditions=[{'name': 'c', 'category': 'pass', 'details': ''}])",
            ["bad-answer", "not-run", "not-run"],
        ),
        ("out.write('[]\\n7\\nnull\\n{}\\n' + '\\x00' * 9)", ["not-run"] * 3),
        ('out.write(\'{"started": [1]}\\n{"started": 1}\\n\')', ["not-run"] * 3),
        ("", ["not-run"] * 3),
    ],
)
def test_what_is_not_one_whole_answer_is_an_error(play: Play, script: str, expected: list[str]) -> None:
    assert reasons(play(script)) == expected


def test_a_condition_left_out_is_an_error(play: Play) -> None:
    asked = request()
    more = dataclasses.replace(asked.checks[0], conditions={"a": {}, "b": {}})
    answers = play("[say(n) for n in ('First', 'Second', 'Third')]", dataclasses.replace(asked, checks=(more,)))

    assert [answer.reason for answer in answers] == ["no-condition"]
    assert "1 conditions were judged, 2 are asked for" in answers[0].message


def test_answers_of_an_earlier_run_do_not_count(play: Play, tmp_path: Path) -> None:
    play("[say(check['name']) for check in asked['checks']]")

    assert reasons(play("")) == ["not-run"] * 3


def test_the_runner_sees_no_secret_and_telemetry_is_off(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    answers = play("say('First', message=json.dumps(dict(os.environ)))")
    seen = json.loads(answers[0].message)

    assert "hunter2" not in seen.values()
    assert seen["DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY"] == "1"
    assert seen["HOME"] != os.environ.get("HOME")
    assert not Path(seen["HOME"]).exists()


def test_without_an_environment_every_check_says_why(tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise Unavailable("the package index did not answer")

    with client.start(request(), folder=tmp_path, python=nowhere) as running:
        facts = [measurement(answer) for answer in running.answers()]

    assert len(facts) == 3
    assert all(isinstance(fact, Failure) and "the package index did not answer" in fact.reason for fact in facts)


def test_without_an_interpreter_every_check_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.environments, "without_network", lambda command, _: command)
    with client.start(request(), folder=tmp_path, python=lambda: tmp_path / "python") as running:
        facts = [measurement(answer) for answer in running.answers()]

    assert len(facts) == 3
    assert all(isinstance(fact, Failure) and fact.reason.startswith("not-started: ") for fact in facts)


def test_a_check_asked_twice_is_refused() -> None:
    asked = request()

    with pytest.raises(UsageError, match="twice"):
        dataclasses.replace(asked, checks=asked.checks * 2)


def answered(status: str, *categories: str, reason: str = "") -> Answer:
    conditions = tuple(Condition(name=f"c{i}", category=c, details="d") for i, c in enumerate(categories))
    return Answer(name="First", status=status, reason=reason, conditions=conditions)


@given(
    st.sampled_from(["ran", "error", "not-applicable"]), st.lists(st.sampled_from(["PASS", "FAIL", "WARN", "ERROR"]))
)
def test_only_a_check_that_ran_with_all_conditions_passed_holds(status: str, categories: list[str]) -> None:
    fact = measurement(answered(status, *categories))
    holds = isinstance(fact, Assertion) and fact.holds

    assert holds == (status == "ran" and bool(categories) and set(categories) == {"PASS"})


@pytest.mark.parametrize("category", ["FAIL", "WARN"])
def test_a_condition_that_fails_or_warns_does_not_hold_and_is_named(category: str) -> None:
    fact = measurement(answered("ran", "PASS", category))

    assert isinstance(fact, Assertion)
    assert (fact.holds, fact.message) == (False, "c1: d")


def test_a_condition_that_crashed_is_a_failure() -> None:
    fact = measurement(answered("ran", "PASS", "FAIL", "ERROR"))

    assert isinstance(fact, Failure)
    assert fact.reason == "condition-crashed: c2: d"


def test_a_check_that_does_not_apply_keeps_its_reason() -> None:
    fact = measurement(answered("not-applicable", reason="no-index"))

    assert isinstance(fact, NotApplicable)
    assert fact.reason == "no-index"


def inputs(folder: Path, task: Task = Task.BINARY, **gates: Any) -> Inputs:
    answers = {"row": [1], "label": ["no"], "prediction": ["no"], "proba_no": [0.5], "proba_yes": [0.5]}
    pq.write_table(pa.table(answers), folder / "predictions.parquet")
    config = ModelConfig(
        name="m",
        owner="o",
        task=task,
        requirements="r.txt",
        pipeline=Pipeline(targets=("train",), model="model"),
        data=Data(
            train="train.parquet",
            test="test.parquet",
            label="target",
            id="row",
            columns={n: Column(type=ColumnType.NUMBER) for n in ("row", "x", "target", "y")},
        ),
        gates=Gates(performance=PerformanceGate(limits={}), champion=ChampionGate(rules={}), **gates),
        registry=Registry(name="m"),
    )
    data = {split: folder / f"{split}.parquet" for split in ("train", "test")}
    return Inputs(
        config=config,
        root=folder,
        digest="d",
        model=folder,
        data=data,
        predictions=dict.fromkeys(data, folder / "predictions.parquet"),
        champion=NoChampion(reason="no-champion", message=""),
        environment={},
        workspace=folder,
    )


def test_a_config_that_names_no_checks_asks_for_the_curated_ones(tmp_path: Path) -> None:
    asked = client.request_for(inputs(tmp_path))

    assert [a.name for a in asked.checks] == list(curated.checks(Task.BINARY))
    assert asked.limit == 120.0
    assert (asked.features, asked.classes) == (("x", "y"), ("no", "yes"))


def test_a_config_that_names_checks_asks_for_these_alone(tmp_path: Path) -> None:
    named = {
        "MixedNulls": Check(
            conditions={"different_nulls_less_equal_to": {}}, options={"n_top_columns": 3}, timeout=7.0
        ),
        "IsSingleValue": Check(conditions=CONDITIONS, mode=Mode.OFF),
    }
    given = inputs(tmp_path, Task.REGRESSION, deepchecks=ChecksGate(checks=named, timeout=9.0))
    asked = client.request_for(given)
    (only,) = asked.checks

    assert (only.name, only.options, only.timeout) == ("MixedNulls", {"n_top_columns": 3}, 7.0)
    assert (asked.limit, asked.classes) == (9.0, ())


def test_an_empty_list_of_checks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no check"):
        client.request_for(inputs(tmp_path, deepchecks=ChecksGate(checks={})))


def test_every_curated_check_has_a_condition() -> None:
    found = [check for task in Task for check in curated.checks(task).values()]

    assert found
    assert all(check.conditions for check in found)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [("while True: pass", 0, "TimeUp"), ("sum(range(10**15))", 1, "Timeout")],
    ids=["in Python", "in C code"],
)
def test_a_time_limit_ends_what_does_not_end(body: str, code: int, said: str) -> None:
    script = f"""
import sys; sys.path.insert(0, {str(client.RUNNER.parent)!r})
from runner import _limit
_limit.GRACE = 0.5
try:
    with _limit.time_limit(0.1):
        {body}
except _limit.TimeUp:
    print("TimeUp")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == code
    assert said in done.stdout + done.stderr


ANSWERS: dict[str, list[Any]] = {
    "row": [7, 8, 9],
    "label": [0, 1, 0],
    "prediction": [0, 1, 1],
    "proba_0": [0.9, 0.2, 0.4],
    "proba_1": [0.1, 0.8, 0.6],
}


def read_back(folder: Path, answers: dict[str, list[Any]], classes: list[Any] | None) -> Predictions:
    """Return what the runner reads from these answers to three rows, of which 9 comes first."""
    pq.write_table(pa.table(answers), folder / "answers.parquet")
    asked = {"id": "row", "label": "target", "predictions": {"test": str(folder / "answers.parquet")}}
    table = pd.DataFrame({"row": [9, 7, 8], "target": [0, 0, 1]})
    return read_predictions(asked, classes, "test", table)


def test_predictions_are_brought_to_their_rows(tmp_path: Path) -> None:
    found = read_back(tmp_path, ANSWERS, [0, 1])

    assert found.labels.tolist() == [1, 0, 1]
    assert found.proba.tolist() == [[0.4, 0.6], [0.9, 0.1], [0.2, 0.8]]


def test_classes_are_known_by_how_they_are_written(tmp_path: Path) -> None:
    pq.write_table(pa.table({**ANSWERS, "label": [0.0, 1.0, 0.0]}), tmp_path / "answers.parquet")
    asked = {"id": "row", "label": "target", "predictions": {"test": str(tmp_path / "answers.parquet")}}
    table = pd.DataFrame({"row": [9, 7, 8], "target": ["0", "0", "1"]})

    assert read_predictions(asked, ["0", "1"], "test", table).labels.tolist() == ["1", "0", "1"]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"row": [7, 8, 8]},
        {"row": [7, 8, 10]},
        {"row": [7, 8, 9, 10], **{name: [*column, column[0]] for name, column in ANSWERS.items() if name != "row"}},
        {name: column[:2] for name, column in ANSWERS.items()},
        {name: column[:0] for name, column in ANSWERS.items()},
        {"label": [1, 1, 0]},
        {"label": [0, None, 0]},
        {"prediction": [0, 1, None]},
        {"prediction": [0, 1, 2]},
        {"proba_1": [0.1, 0.8, float("nan")]},
        {"proba_1": [0.1, 0.8, float("inf")]},
        {"proba_1": [0.1, 0.8, None]},
        {"proba_1": None},
        {"prediction": None},
        {"label": None},
        {"row": None},
    ],
)
def test_predictions_that_are_not_those_of_the_data_are_refused(
    tmp_path: Path, spoilt: dict[str, list[Any] | None]
) -> None:
    answers = {name: column for name, column in {**ANSWERS, **spoilt}.items() if column is not None}

    with pytest.raises(Trouble) as caught:
        read_back(tmp_path, answers, [0, 1])
    assert caught.value.reason == "bad-predictions"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_prediction_that_is_no_number_is_refused_for_a_regression(tmp_path: Path, value: float | None) -> None:
    with pytest.raises(Trouble):
        read_back(tmp_path, {**ANSWERS, "prediction": [0.5, 1.5, value]}, None)


def test_the_runner_imports_nothing_of_passmuster() -> None:
    sources = [path.read_text(encoding="utf-8") for path in client.RUNNER.glob("*.py")]

    assert len(sources) > 5
    assert not re.findall(r"^\s*(?:from|import) passmuster", "\n".join(sources), re.MULTILINE)


def test_the_lock_has_a_hash_for_every_requirement_and_no_address() -> None:
    lock = client.LOCK.read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9.-]+)==\S+.*\\\n    --hash=sha256:", lock, re.MULTILINE)

    assert len(pinned) == len(re.findall(r"^[^\s#]", lock, re.MULTILINE))
    assert {"deepchecks", "numpy", "pandas", "pyarrow", "scikit-learn", "setuptools"} < set(pinned)
    assert "://" not in lock
