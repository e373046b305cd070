"""What behaviour tests ask a model: by the program that was started ahead, once, and each answer for its own row."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from passmuster import _scoring, environments
from passmuster.errors import NotMeasured
from passmuster_checks._asking import Model, Source

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


def model(waiting: _scoring.Waiting, folder: Path, timeout: float = 60.0) -> Model:
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
    return Model(source, waiting, folder)


def test_the_program_that_waits_is_asked_first_and_another_for_the_next_question(fake: Fake, tmp_path: Path) -> None:
    starts = fake("")
    with _scoring.Waiting() as waiting:
        waiting.start_in(Path(sys.executable))
        asked = model(waiting, tmp_path)
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
        ("raise SystemExit('no such column')", "could not answer: no such column"),
        ("time.sleep(60)", "did not answer in time"),
    ],
)
def test_an_answer_that_is_not_of_the_question_is_refused(fake: Fake, tmp_path: Path, change: str, told: str) -> None:
    fake(change)
    with _scoring.Waiting() as waiting, pytest.raises(NotMeasured, match=told):
        model(waiting, tmp_path, timeout=60.0 if "sleep" not in change else 3.0).predict([{"amount": 1}, {"amount": 2}])


def test_a_question_without_rows_is_refused(tmp_path: Path) -> None:
    with _scoring.Waiting() as waiting, pytest.raises(NotMeasured, match="zero rows"):
        model(waiting, tmp_path).predict([{"amount": 1}][:0])
