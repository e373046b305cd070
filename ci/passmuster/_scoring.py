"""Runs the scoring program in a model's environment; makes no decisions. What it wrote is checked, not believed.

The program loads the model, so it runs whatever the model's files hold: it gets no secrets, no network where the system
can take it away, a home of its own and a time limit, and can name only its own predictions.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from passmuster import _process, environments
from passmuster._dvc import NO_TELEMETRY, ONE_THREAD
from passmuster.config import Task
from passmuster.errors import NotMeasured
from passmuster.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet as pq

#: The model's lock, inside its MLflow directory.
LOCK = "passmuster.lock"

#: What the program is asked, a file in its own folder.
_REQUEST = "request.json"

#: How far the probabilities of a row may be from 1, by rounding.
_SUM = 1e-6


class CannotTakeColumns(NotMeasured):
    """The model can't take the data's columns, or crashed on them; on other columns it may answer."""


def program() -> Path:
    """Return the scoring program, which is data for this process: it is never imported here."""
    found = find_spec("passmuster_serving")
    if found is None or found.origin is None:
        raise NotMeasured("the scoring program is not installed; install passmuster again")
    return Path(found.origin).with_name("score.py")


@dataclass(frozen=True, kw_only=True)
class Program:
    """The scoring program, started in a model's environment: it can be asked once."""

    python: Path  #: of its environment
    home: Path  #: its own folder
    process: _process.Started
    isolated: bool  #: whether it has no network

    def made(self, files: Mapping[Path, Path]) -> dict[Path, Path]:
        """Return data → where it writes its answers: in its own folder, since it may have no other to write to."""
        return {data: self.home / f"{number}.parquet" for number, data in enumerate(files)}

    def ask(self, request: Mapping[str, Any], files: Mapping[Path, Path]) -> bool:
        """Ask it for answers on `files`; the answer is whether it was still there."""
        wanted = [{"data": str(data.absolute()), "out": str(out)} for data, out in self.made(files).items()]
        (self.home / _REQUEST).write_text(json.dumps({**request, "files": wanted}), encoding="utf-8")
        return self.process.go()


@contextlib.contextmanager
def _started(python: Path) -> Iterator[Program]:
    with tempfile.TemporaryDirectory(prefix="passmuster-score-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        plain = [str(python), "-P", str(program()), "--wait", str(home / _REQUEST)]
        command = environments.without_network(plain)
        variables = environments.scrubbed(home, **ONE_THREAD, **NO_TELEMETRY)
        with _process.Started(command, cwd=home, env=variables, held=True) as process:
            yield Program(python=python, home=home, process=process, isolated=command != plain)


class Waiting:
    """Scoring programs that are started before there is anything to score, since most of their time goes by in imports.

    Each waits to be asked, once. None is left after the `with` block, asked or not, whoever starts one meanwhile.
    """

    def __init__(self) -> None:
        self._held: list[Program] = []  #: those that nobody asked yet
        self._ends = contextlib.ExitStack()
        self._over = False
        self._lock = threading.Lock()

    def start(self, lock: Path) -> None:
        """Start one in the environment of `lock`; after the `with` block, nothing.

        Raises:
            UsageError: the lock does not install.
            Unavailable: the package index did not answer.
        """
        self.start_in(environments.ensure(lock))

    def start_in(self, python: Path) -> None:
        """Start one in the environment of `python`; after the `with` block, nothing."""
        with self._lock:
            if not self._over:
                self._held.append(self._ends.enter_context(_started(python)))

    def ask(self, python: Path, request: Mapping[str, Any], files: Mapping[Path, Path]) -> Program:
        """Return a program in the environment of `python` that was asked: one that waits, or else a new one."""
        with self._lock:
            for one in [held for held in self._held if held.python == python]:
                self._held.remove(one)
                if one.ask(request, files):
                    return one
            new = self._ends.enter_context(_started(python))
            new.ask(request, files)  # where it has died, its exit code says so
            return new

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them all."""
        with self._lock:
            self._over = True
            self._ends.close()


def run(
    model: Path,
    files: Mapping[Path, Path],
    *,
    task: Task,
    id: str,  # noqa: A002  the config's word
    label: str,
    timeout: float,
    waiting: Waiting,
    progress: Progress,
) -> bool:
    """Write the model's answers on each data file to the file that is beside it in `files`, checked.

    Args:
        model: its MLflow directory, with its lock.
        files: data → predictions, Parquet.
        task: what it predicts.
        id: the column that names a row.
        label: the column with the truth.
        timeout: seconds for all files together, from when the program is asked.
        waiting: programs that may have been started already.
        progress: told how far it is.

    Returns:
        Whether the model had no network.

    Raises:
        CannotTakeColumns: it can't take the columns, or crashed.
        NotMeasured: its answers are refused, or it took too long.
        UsageError: its lock does not install.
        Unavailable: the package index did not answer.
    """
    request = {"model": str(model.absolute()), "task": str(task), "id": id, "label": label}
    asked = waiting.ask(environments.ensure(model / LOCK), request, files)
    _raise_unless_done(asked.process.wait(timeout, lambda line: _tell(line, progress)), timeout)
    for data, made in asked.made(files).items():
        check(made, data, task=task, id=id, label=label)
        files[data].parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, files[data])
    return asked.isolated


def _tell(line: str, progress: Progress) -> None:
    if line.startswith('{"progress": '):
        try:
            said = json.loads(line)["progress"]
            progress.step(f"scored {int(said['rows']):,} of {int(said['of']):,} rows of {str(said['file'])[:80]}")
        except (ValueError, KeyError, TypeError):
            return  # the model's own talk


def _raise_unless_done(done: _process.Finished, timeout: float) -> None:
    if done.timed_out:
        raise NotMeasured(f"the model did not answer within {timeout:g} s")
    answer = _answer(done.stdout)
    if done.returncode == 0 and answer.get("ok") is True:
        return
    if answer.get("ok") is False:
        kind = CannotTakeColumns if answer.get("refused") == "columns" else NotMeasured
        raise kind(str(answer.get("message"))[:2000])
    raise CannotTakeColumns(f"the model crashed (exit code {done.returncode}):\n{done.last_lines()}")


def _answer(stdout: str) -> Mapping[str, Any]:
    try:
        found = json.loads(stdout)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def check(predictions: Path, data: Path, *, task: Task, id: str, label: str) -> int:  # noqa: A002
    """Check predictions against the data that they are of, and return the number of rows.

    Raises:
        NotMeasured: ids or labels are not the data's in its order, ids are missing or there twice, a number is NaN or
            infinite, or probabilities are outside [0, 1] or do not sum to 1.
    """
    import pyarrow as pa
    from pyarrow import parquet as pq

    try:
        answers, truth = pq.ParquetFile(predictions), pq.ParquetFile(data)
        names = answers.schema_arrow.names
        probabilities = [name for name in names if name.startswith("proba_")]
        if names != [id, "label", "prediction", *probabilities]:
            raise NotMeasured(f"the predictions have the columns {', '.join(names)}")
        _check_rows(answers, truth, id, label)
        if task is Task.REGRESSION:
            if probabilities:
                raise NotMeasured("the predictions of a regression hold probabilities")
            _numbers(answers, "prediction")
        else:
            _check_classes(answers, probabilities, 2 if task is Task.BINARY else None)
    except (OSError, pa.ArrowException) as exc:
        raise NotMeasured(f"the predictions cannot be read: {exc}") from exc
    return int(truth.metadata.num_rows)


def _column(file: pq.ParquetFile, name: str) -> pa.ChunkedArray:
    import pyarrow as pa

    column = file.read(columns=[name]).column(0)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_string())
    return column


def _check_rows(answers: pq.ParquetFile, truth: pq.ParquetFile, key: str, label: str) -> None:
    from pyarrow import compute as pc

    rows = truth.metadata.num_rows
    if not rows or answers.metadata.num_rows != rows:
        raise NotMeasured(f"the model gave {answers.metadata.num_rows} answers to {rows} rows")
    ids = _column(truth, key)
    if ids.null_count or pc.count_distinct(ids).as_py() != rows:
        raise NotMeasured(
            f"column {key!r} does not name each row: {pc.count_distinct(ids).as_py()} ids for {rows} rows"
        )
    for name, column in ((key, ids), ("label", _column(truth, label))):
        if not _column(answers, name).equals(column):
            raise NotMeasured(f"the predictions' column {name!r} is not the data's")


def _check_classes(answers: pq.ParquetFile, probabilities: list[str], count: int | None) -> None:
    import numpy as np

    if len(probabilities) < 2 or (count and len(probabilities) != count):
        raise NotMeasured(f"the predictions have {len(probabilities)} classes")
    total = np.zeros(answers.metadata.num_rows)
    for name in probabilities:
        values = _numbers(answers, name)
        if values.min() < 0 or values.max() > 1:
            raise NotMeasured(f"{name} is outside [0, 1]")
        total += values
    if np.abs(total - 1).max() > _SUM:
        raise NotMeasured("the probabilities of a row do not sum to 1")
    classes = {name.removeprefix("proba_") for name in probabilities}
    for name in ("prediction", "label"):
        if strange := {str(value) for value in _column(answers, name).unique().to_pylist()} - classes:
            raise NotMeasured(f"column {name!r} holds {sorted(strange)[0]!r}, which is not one of the model's classes")


def _numbers(file: pq.ParquetFile, name: str) -> Any:
    import numpy as np

    values = np.asarray(file.read(columns=[name]).column(0), dtype=np.float64)
    if not np.isfinite(values).all():
        raise NotMeasured(f"{name} holds NaN or infinity in {int((~np.isfinite(values)).sum())} rows")
    return values
