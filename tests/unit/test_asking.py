"""What behaviour tests ask a model: by the program that was started ahead, once, and each answer for its own row."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from passmuster import _scoring, environments
from passmuster.errors import NotMeasured
from passmuster_checks._asking import CANDIDATE, Answering, Model, Request, Source
from support.processes import at_work

#: In place of the scoring program: tells that it was started, and answers each row with twice its amount.
FAKE = """\
import json, pathlib, sys, time
import pyarrow as pa
from pyarrow import compute as pc, parquet as pq
(pathlib.Path({folder!r}) / str(time.time_ns())).touch()
sys.stdin.readline()
request = json.loads(pathlib.Path(sys.argv[2]).read_text())
(asked,) = request["files"]
rows = pq.read_table(asked["data"])
answers = pa.table({{request["id"]: rows["id"], "prediction": pc.multiply(rows["amount"], 2)}})
{change}
pq.write_table(answers, asked["out"])
print(json.dumps({{"ok": True}}))
"""

Fake = Callable[[str], Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Return a function that puts the fake in the program's place; the answer is where it tells of its starts."""
    monkeypatch.setattr(_scoring, "program", lambda: tmp_path / "program.py")
    monkeypatch.setattr(environments, "without_network", lambda command, *_: command)

    def made(change: str = "") -> Path:
        (tmp_path / "starts").mkdir(exist_ok=True)
        (tmp_path / "program.py").write_text(FAKE.format(folder=str(tmp_path / "starts"), change=change))
        return tmp_path / "starts"

    return made


def request(folder: Path, timeout: float = 60.0) -> Request:
    source = Source(
        directory=folder,
        python=Path(sys.executable),
        task="regression",
        id="id",
        label="price",
        files={},
        answers={},
        timeout=timeout,
    )
    (folder / "questions").mkdir()
    return Request(models={CANDIDATE: source}, questions=folder / "questions")


def test_the_program_that_was_started_first_is_asked_first_and_another_the_next_question(
    fake: Fake, tmp_path: Path
) -> None:
    starts, given = fake(""), request(tmp_path)
    with Answering(given):
        while not list(starts.iterdir()):
            time.sleep(0.02)
        asked = Model(CANDIDATE, given)
        first = asked.predict([{"amount": 1}, {"amount": 2}])

        assert first["prediction"].tolist() == [2, 4]
        assert len(list(starts.iterdir())) == 1

        second = asked.predict(pa.table({"id": [7], "amount": [3], "price": [0]}))

        assert second["prediction"].tolist() == [6]
        assert len(list(starts.iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("answers = answers.slice(1)", "1 answers to 2 rows"),
        ("answers = answers.take([1, 0])", "another order"),
        ("raise SystemExit('no such column')", "candidate could not answer: no such column"),
        ("time.sleep(60)", "candidate did not answer in time"),
    ],
)
def test_an_answer_that_is_not_of_the_question_is_refused(fake: Fake, tmp_path: Path, change: str, told: str) -> None:
    fake(change)
    given = request(tmp_path, timeout=3.0 if "sleep" in change else 60.0)
    with Answering(given), pytest.raises(NotMeasured, match=told):
        Model(CANDIDATE, given).predict([{"amount": 1}, {"amount": 2}])


def test_a_program_that_cannot_be_started_is_told_and_a_question_without_rows_is_refused(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("")
    monkeypatch.setattr(_scoring, "program", lambda: tmp_path / "program.py")
    monkeypatch.setattr(environments, "without_network", lambda command, *_: [str(tmp_path / "nothing"), *command])
    given = request(tmp_path)
    with Answering(given):
        with pytest.raises(NotMeasured, match=r"could not be asked: .*No such file"):
            Model(CANDIDATE, given).predict([{"amount": 1}])
        with pytest.raises(NotMeasured, match="zero rows"):
            Model(CANDIDATE, given).predict([])


def test_no_program_is_left_when_the_session_ends_while_it_answers(fake: Fake, tmp_path: Path) -> None:
    starts, given = fake("time.sleep(60)"), request(tmp_path)
    begun = time.monotonic()
    with Answering(given):
        while not list(starts.iterdir()):
            time.sleep(0.02)
        (given.questions / "one").mkdir()
        (given.questions / "one" / "asked.json").write_text('{"model": "candidate"}')
        time.sleep(0.3)

    assert time.monotonic() - begun < 50
    assert not at_work(tmp_path)
