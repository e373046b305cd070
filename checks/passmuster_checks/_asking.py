"""Asks a model on new rows, for behaviour tests: the scoring program, a process of its own in the model's environment.

That process gets no secrets, no network where the system can take it away, and a time limit; the model is never loaded
in the process of the tests.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from passmuster import _process, _scoring
from passmuster.errors import NotMeasured

#: A column of this name tells the rows of a question apart, where it brings no ids of its own.
_ROW = "passmuster_row"


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

    candidate: Source
    champion: Source | None


class Model:
    """A model that can be asked, and its answers on the test rows."""

    def __init__(self, source: Source, waiting: _scoring.Waiting, folder: Path) -> None:
        """Take what to ask: a model, by programs that may wait, with questions that are put into a folder.

        The folder must have been there before a program was started: it sees nothing that is made in `/tmp` later.
        """
        self._source, self._waiting, self._folder = source, waiting, folder

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
        with tempfile.TemporaryDirectory(prefix="ask-", dir=self._folder) as folder:
            question = Path(folder, "question.parquet")
            pq.write_table(rows, question)
            found = self._answers(question)
        if len(found) != rows.num_rows or found[key].tolist() != list(range(rows.num_rows)):
            raise NotMeasured(f"the model gave {len(found):,} answers to {rows.num_rows:,} rows, or in another order")
        return found.drop(columns=[key, "label"], errors="ignore")

    def _answers(self, question: Path) -> Any:
        source = self._source
        request = {"model": str(source.directory), "task": source.task, "id": source.id, "label": None}
        files = {question: question}
        asked = self._waiting.ask(source.python, request, files)
        done, answer = asked.process.wait(source.timeout), asked.made(files)[question]
        if done.returncode != 0 or not answer.is_file():
            how = "did not answer in time" if done.timed_out else "could not answer"
            raise NotMeasured(f"the model {how}: {_message(done)}")
        return _frame(answer)


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
