"""Runs the scoring program in a model's environment; makes no decisions. What it wrote is checked, not believed.

The program loads the model, so it runs whatever the model's files hold: it gets no secrets, no network where the system
can take it away, a home of its own and a time limit, and can name only its own predictions.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def run(
    model: Path,
    files: Mapping[Path, Path],
    *,
    task: Task,
    id: str,  # noqa: A002  the config's word
    label: str,
    timeout: float,
    progress: Progress,
) -> bool:
    """Write the model's answers on each data file to the file that is beside it in `files`, checked.

    Args:
        model: its MLflow directory, with its lock.
        files: data → predictions, Parquet.
        task: what it predicts.
        id: the column that names a row.
        label: the column with the truth.
        timeout: seconds for all files together.
        progress: told how far it is.

    Returns:
        Whether the model had no network.

    Raises:
        CannotTakeColumns: it can't take the columns, or crashed.
        NotMeasured: its answers are refused, or it took too long.
        UsageError: its lock does not install.
        Unavailable: the package index did not answer.
    """
    python = environments.ensure(model / LOCK)
    with tempfile.TemporaryDirectory(prefix="passmuster-score-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        made = {data: folder / f"{number}.parquet" for number, data in enumerate(files)}
        request = {
            "model": str(model.absolute()),
            "task": str(task),
            "id": id,
            "label": label,
            "files": [{"data": str(data.absolute()), "out": str(out)} for data, out in made.items()],
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        plain = [str(python), "-P", str(program()), str(folder / "request.json")]
        command = environments.without_network(plain)
        variables = environments.scrubbed(folder, **ONE_THREAD, **NO_TELEMETRY)
        done = _process.run(
            command, cwd=folder, env=variables, timeout=timeout, on_line=lambda line: _tell(line, progress)
        )
        _raise_unless_done(done, timeout)
        for data, out in files.items():
            check(made[data], data, task=task, id=id, label=label)
            out.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made[data], out)
    return command != plain


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
