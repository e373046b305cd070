"""Asks a model on new rows, for behaviour tests: the scoring program, a process of its own in the model's environment.

That process gets no secrets, no network where the system can take it away, and a time limit; the model is never loaded
in the process of the tests. Nor is the program started there, but by the gate: before the tests ask, since most of its
time goes by in imports. A question is a folder with the rows; the gate puts the answer beside them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from passmuster.errors import NotMeasured, PassmusterError

if TYPE_CHECKING:
    from passmuster import _process

#: Seconds between two looks for a question, or an answer; and those that an answer may take beyond its time limit.
_LOOK, _MARGIN = 0.02, 5.0

_QUESTION, _ASKED, _ANSWER, _TOLD = "question.parquet", "asked.json", "answer.parquet", "told.json"

CANDIDATE, CHAMPION = "candidate", "champion"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which model is asked, and its answers on the test rows."""

    directory: Path  #: its MLflow directory
    python: Path  #: of its environment
    task: str
    id: str
    label: str
    files: Mapping[str, Path]  #: split → data, Parquet
    answers: Mapping[str, Path]  #: split → predictions, Parquet
    timeout: float  #: seconds for one question


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a session of behaviour tests is given."""

    models: Mapping[str, Source]  #: `CANDIDATE` and, where there is one, `CHAMPION`
    questions: Path  #: the folder where questions are put


class Answering:
    """The gate's side: answers the questions, one at a time, as long as the `with` block; the candidate's at once."""

    def __init__(self, request: Request) -> None:
        from passmuster import _scoring

        self._request, self._waiting = request, _scoring.Waiting()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="answering", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._waiting.close()  # also ends the program that is being waited for
        self._thread.join()

    def _work(self) -> None:
        with contextlib.suppress(OSError, PassmusterError):  # what fails here fails again, and is told, when asked
            self._waiting.start_in(self._request.models[CANDIDATE].python)
        while not self._over.wait(_LOOK):
            for asked in sorted(self._request.questions.glob(f"*/{_ASKED}")):
                told = self._told(asked.parent)
                with contextlib.suppress(OSError):  # the session has ended, and its folders are gone
                    asked.unlink()
                    _write(asked.parent / _TOLD, told)

    def _told(self, folder: Path) -> dict[str, Any]:
        """Answer one question, and return what is told of it: the program's words, or why it could not be asked."""
        try:
            source = self._request.models[json.loads((folder / _ASKED).read_text(encoding="utf-8"))["model"]]
            question = folder / _QUESTION
            request = {"model": str(source.directory), "task": source.task, "id": source.id, "label": None}
            asked = self._waiting.ask(source.python, request, {question: question})
            done, made = asked.process.wait(source.timeout), asked.made({question: question})[question]
            if done.returncode == 0 and made.is_file():
                shutil.move(made, folder / _ANSWER)
                return {"answered": True}
            how = "did not answer in time" if done.timed_out else "could not answer"
            return {"answered": False, "message": f"{how}: {_message(done)}"}
        except Exception as exc:  # it must be told, or the test would wait
            return {"answered": False, "message": f"could not be asked: {exc}"}


class Model:
    """The tests' side: a model that can be asked, and its answers on the test rows."""

    def __init__(self, name: str, request: Request) -> None:
        self._name, self._source, self._questions = name, request.models[name], request.questions

    def data(self, split: str) -> Any:
        """Return the rows of a split as a pandas DataFrame."""
        return _frame(self._source.files[split])

    @cached_property
    def predictions(self) -> Any:
        """Its answers on the test rows: a pandas DataFrame of the id, `label`, `prediction`, `proba_<class>`."""
        return _frame(self._source.answers["test"])

    def predict(self, table: Any) -> Any:
        """Return its answers on `table`, row by row: a pandas DataFrame of `prediction` and `proba_<class>`.

        Args:
            table: a pyarrow Table, a pandas DataFrame, or a list of dicts; columns as in the data files, the label and
                the id may be left out.

        Raises:
            NotMeasured: the model could not be asked, or refused the rows; the message has its words.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        key, label = self._source.id, self._source.label
        rows = _table(table)
        if not rows.num_rows:
            raise NotMeasured("the model was asked about zero rows")
        rows = rows.select([name for name in rows.column_names if name not in (label, key)])
        rows = rows.append_column(key, pa.array(range(rows.num_rows), pa.int64()))
        with tempfile.TemporaryDirectory(dir=self._questions) as name:
            folder = Path(name)
            pq.write_table(rows, folder / _QUESTION)
            self._ask(folder)
            found = _frame(folder / _ANSWER)
        if len(found) != rows.num_rows or found[key].tolist() != list(range(rows.num_rows)):
            raise NotMeasured(f"the model gave {len(found):,} answers to {rows.num_rows:,} rows, or in another order")
        return found.drop(columns=[key, "label"], errors="ignore")

    def _ask(self, folder: Path) -> None:
        """Put the question, and wait for the answer.

        Raises:
            NotMeasured: there is none.
        """
        _write(folder / _ASKED, {"model": self._name})
        told, end = folder / _TOLD, time.monotonic() + self._source.timeout + _MARGIN
        while not told.is_file():
            if time.monotonic() > end:
                raise NotMeasured(f"the {self._name} did not answer in time")
            time.sleep(_LOOK)
        answer = json.loads(told.read_text(encoding="utf-8"))
        if answer["answered"] is not True:
            raise NotMeasured(f"the {self._name} {answer['message']}")


def _write(path: Path, said: Mapping[str, Any]) -> None:
    """Write a JSON file that nobody sees before it is whole."""
    unseen = path.with_suffix(".part")
    unseen.write_text(json.dumps(said), encoding="utf-8")
    unseen.rename(path)


def _message(done: _process.Finished) -> str:
    """Return the scoring program's own words of why it refused, or else the end of what it said."""
    try:
        return str(json.loads(done.stdout)["message"])
    except (ValueError, KeyError, TypeError):
        return done.last_lines()


def _frame(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pandas()


def _table(table: Any) -> Any:
    import pyarrow as pa

    if isinstance(table, pa.Table):
        return table
    if isinstance(table, list):
        return pa.Table.from_pylist(table)
    return pa.Table.from_pandas(table, preserve_index=False)
