"""Batch scoring: a model's answers on Parquet files, in the model's own environment.

    python score.py [--wait] request.json

The request is a JSON object: `model` (an MLflow model directory), `task` (`binary`, `multiclass` or `regression`),
`id` (the column that names a row), `label` (the column with the truth, or null), `files` (a list of `{"data": …,
"out": …}`), and, where wanted, `features` (names; not given: the model's signature says) and `batch_rows`.
With `--wait` it is read when stdin gives a line; until then, the program imports what it may need. Where stdin ends
without a line, nobody will ask any more, and the program ends.

Each `out` gets the id under its own name, `label` where there is one, `prediction`, and for classification one
`proba_<class>` for each class, in the data's row order. Rows are read and written in batches, so memory is bounded.
stdout gets one JSON object: `{"ok": true, …}`, or `{"ok": false, "refused": <code>, "message": …}` with exit code 3,
where the code is `columns` (the model cannot take these columns), `answers` (what it answers is no answer), `data` or
`model`. stderr gets one JSON object a line while it works. A crash of the model is a traceback and another exit code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet as pq

REFUSED = 3  #: the exit code where the model, its answers or the data are refused
BATCH_ROWS = 50_000
TASKS = ("binary", "multiclass", "regression")

#: What scoring needs, and what models saved by scikit-learn are made of: imported while nothing is asked. What is not
#: installed is not needed; what a model needs beyond is imported when it is loaded.
USUAL = ("pyarrow.parquet", "pandas", "mlflow.pyfunc", "sklearn.pipeline", "sklearn.ensemble", "skops.io")

#: How far a probability may be outside [0, 1], and a row's sum from 1, by rounding.
EDGE, SUM = 1e-9, 1e-6


class Refusal(Exception):
    """The model, its answers or the data are refused; `code` says which, for programs."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to score."""

    model: Path
    task: str
    id: str
    label: str | None
    files: tuple[tuple[Path, Path], ...]  #: (data, out)
    features: tuple[str, ...] | None = None
    batch_rows: int = BATCH_ROWS

    @classmethod
    def read(cls, path: Path) -> Request:
        """Return the request that the JSON file holds.

        Raises:
            SystemExit: it is not a request; the message says why.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            features = said.get("features")
            request = cls(
                model=Path(said["model"]),
                task=str(said["task"]),
                id=str(said["id"]),
                label=said["label"],
                files=tuple((Path(one["data"]), Path(one["out"])) for one in said["files"]),
                features=None if features is None else tuple(features),
                batch_rows=int(said.get("batch_rows", BATCH_ROWS)),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise SystemExit(f"{path} is not a request: {exc!r}") from exc
        if request.task not in TASKS or not request.files or request.batch_rows < 1:
            raise SystemExit(f"{path}: task must be one of {', '.join(TASKS)}, files and batch_rows must not be empty")
        if request.id in ("label", "prediction") or request.id.startswith("proba_"):
            raise SystemExit(f"{path}: the id column is named {request.id!r}, as a column of the answers is; rename it")
        return request


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A column that the model takes."""

    name: str
    type: pa.DataType | None  #: as the signature says; None: as the data has it
    required: bool = True


class Model:
    """An MLflow model directory that can be asked; loading it runs the code that it holds."""

    def __init__(self, directory: Path, task: str, features: Sequence[str] | None = None) -> None:
        from mlflow import pyfunc

        self.task = task
        self.pyfunc = pyfunc.load_model(str(directory))
        self.raw = self._raw()
        self.features = [Feature(name=name, type=None) for name in features] if features else self._declared()
        self.classes: list[Any] | None = list(self.raw.classes_) if self.raw is not None else None
        if self.classes is not None:
            _check_classes(task, self.classes)

    def _raw(self) -> Any:
        """Return the model inside, where it is a classifier in scikit-learn's manner; else None."""
        if self.task == "regression" or not hasattr(self.pyfunc, "get_raw_model"):
            return None
        try:
            raw = self.pyfunc.get_raw_model()
        except Exception:  # a flavour without one says so by any exception it likes
            return None
        return raw if hasattr(raw, "predict_proba") and hasattr(raw, "classes_") else None

    def _declared(self) -> list[Feature] | None:
        """Return the columns that the signature names, or that scikit-learn saw; None where nobody says."""
        schema = self.pyfunc.metadata.get_input_schema() if self.pyfunc.metadata else None
        if schema is not None and schema.has_input_names() and not schema.is_tensor_spec():
            return [
                Feature(name=one.name, type=_arrow_type(one.type), required=bool(one.required)) for one in schema.inputs
            ]
        seen = getattr(self.raw, "feature_names_in_", None)
        return None if seen is None else [Feature(name=str(name), type=None) for name in seen]

    def answer(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        """Return `prediction` and `proba_<class>` for each row of `frame`, checked; each of shape (n,).

        Raises:
            Refusal: the answers are too few or too many, not numbers, NaN, infinite, or no probabilities.
        """
        if self.task == "regression":
            return {"prediction": _numbers(self.pyfunc.predict(frame), len(frame))}
        found = self._by_columns(frame) if self.raw is None else self._by_raw(frame)
        _check_probabilities(found, len(frame))
        return found

    def _by_raw(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        import numpy as np

        classes = self.classes or []
        probabilities = np.asarray(self.raw.predict_proba(frame))
        if probabilities.shape != (len(frame), len(classes)):
            message = f"predict_proba gave {probabilities.shape} for {len(frame)} rows and {len(classes)} classes"
            raise Refusal("answers", message)
        found = {f"proba_{name}": probabilities[:, place] for place, name in enumerate(classes)}
        return {"prediction": self._predicted(self.raw.predict(frame), len(frame)), **found}

    def _by_columns(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        import numpy as np
        import pandas as pd

        answer = self.pyfunc.predict(frame)
        names = [str(name) for name in answer.columns] if isinstance(answer, pd.DataFrame) else []
        columns = [name for name in names if name.startswith("proba_")]
        if "prediction" not in names or not columns or len(set(names)) != len(names):
            raise Refusal(
                "answers",
                "the model gives no class probabilities: it is neither a classifier with `predict_proba` and "
                "`classes_`, nor does its predict return a DataFrame with `prediction` and one `proba_<class>` for "
                "each class; save it by mlflow.sklearn, or wrap it in a pyfunc that does",
            )
        if len(answer) != len(frame):
            raise Refusal("answers", f"the model gave {len(answer)} answers to {len(frame)} rows")
        if self.classes is None:
            self.classes = [name.removeprefix("proba_") for name in columns]
            _check_classes(self.task, self.classes)
        if columns != [f"proba_{name}" for name in self.classes]:
            raise Refusal("answers", "the model's probability columns are not the same for every batch of rows")
        found = {name: np.asarray(answer[name]) for name in columns}
        return {"prediction": self._predicted(answer["prediction"], len(frame)), **found}

    def _predicted(self, answer: Any, rows: int) -> np.ndarray[Any, Any]:
        import numpy as np

        values = np.asarray(answer)
        if values.shape not in ((rows,), (rows, 1)):
            raise Refusal("answers", f"the model gave predictions of shape {values.shape} for {rows} rows")
        known = {str(name) for name in self.classes or []}
        words = np.array([str(value) for value in values.ravel().tolist()], dtype=object)
        if strange := sorted(set(words.tolist()) - known):
            raise Refusal("answers", f"the model predicts {strange[0]!r}, which is not one of its classes")
        return words


def _check_classes(task: str, classes: Sequence[Any]) -> None:
    names = [str(name) for name in classes]
    if len(set(names)) != len(names) or len(names) < 2 or (task == "binary" and len(names) != 2):
        raise Refusal("model", f"the model's classes are {', '.join(names)}, which do not fit the task {task}")


def _arrow_type(kind: Any) -> pa.DataType | None:
    import pyarrow as pa

    known = {
        "boolean": pa.bool_(),
        "integer": pa.int32(),
        "long": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
    }
    return known.get(str(getattr(kind, "name", kind)))


def _numbers(answer: Any, rows: int) -> np.ndarray[Any, Any]:
    import numpy as np

    values = np.asarray(answer)
    if values.shape not in ((rows,), (rows, 1)) or values.dtype.kind not in "iuf":
        raise Refusal(
            "answers", f"the model gave {values.dtype} of shape {values.shape}, not one number for each of {rows}"
        )
    numbers = values.ravel().astype(np.float64)
    if not np.isfinite(numbers).all():
        raise Refusal("answers", f"{int((~np.isfinite(numbers)).sum())} of the model's answers are NaN or infinite")
    return numbers


def _check_probabilities(found: dict[str, np.ndarray[Any, Any]], rows: int) -> None:
    import numpy as np

    names = [name for name in found if name != "prediction"]
    for name in names:
        values = _numbers(found[name], rows)
        if ((values < -EDGE) | (values > 1 + EDGE)).any():
            raise Refusal("answers", f"{name} is outside [0, 1]: {values.min():g} to {values.max():g}")
        found[name] = values.clip(0.0, 1.0)
    off = np.abs(sum(found[name] for name in names) - 1.0)
    if rows and off.max() > SUM:
        raise Refusal("answers", f"the probabilities of a row sum to 1 ± {off.max():g}")


# Files


def score(request: Request, model: Model, data: Path, out: Path) -> int:
    """Write the model's answers on `data` to `out`, whole or not at all; the answer is the number of rows.

    Raises:
        Refusal: there are no rows, columns are missing, a label is missing or unknown, or the answers are refused.
    """
    from pyarrow import parquet as pq

    # Read as it is needed: buffering ahead takes in the whole file.
    source = pq.ParquetFile(data, pre_buffer=False, buffer_size=1 << 20)
    features = _features(source, request, model)
    total, done = source.metadata.num_rows, 0
    if not total:
        raise Refusal("data", f"{data.name} has no rows")
    part = out.with_name(f".{out.name}.part")
    writer: pq.ParquetWriter | None = None
    try:
        for table in _batches(source, request, features):
            answers = _answers(table, request, model, features)
            writer = writer or pq.ParquetWriter(part, answers.schema)
            writer.write_table(answers)
            done += answers.num_rows
            _say({"file": data.name, "rows": done, "of": total})
    finally:
        if writer is not None:
            writer.close()
    if done != total:
        raise Refusal("data", f"{data.name} says that it has {total} rows, but gave {done}")
    part.replace(out)
    return done


def _features(source: pq.ParquetFile, request: Request, model: Model) -> list[Feature]:
    """Return the columns to read for the model, each with the one type that every batch is to have."""
    import pyarrow as pa

    schema = source.schema_arrow
    needed = [request.id] + ([request.label] if request.label is not None else [])
    if absent := [name for name in needed if name not in schema.names]:
        raise Refusal("data", f"the data has no column {', '.join(absent)}")
    wanted = model.features
    if wanted is None:
        wanted = [Feature(name=name, type=None) for name in schema.names if name not in needed]
    if absent := [one.name for one in wanted if one.required and one.name not in schema.names]:
        raise Refusal("columns", f"the model takes {', '.join(absent)}, which the data does not have")
    # A whole number that may be missing comes as float, in every batch, not only in those where one is missing.
    gaps = {name: pa.float64() for name in _whole_numbers_with_gaps(source)}
    return [
        one if one.type else Feature(name=one.name, type=gaps.get(one.name), required=one.required) for one in wanted
    ]


def _whole_numbers_with_gaps(source: pq.ParquetFile) -> Iterator[str]:
    import pyarrow as pa

    places = {source.metadata.schema.column(place).path: place for place in range(source.metadata.num_columns)}
    groups = [source.metadata.row_group(number) for number in range(source.metadata.num_row_groups)]
    for field in source.schema_arrow:
        if pa.types.is_integer(field.type) and field.name in places:
            counts = [group.column(places[field.name]).statistics for group in groups]
            if any(one is None or not one.has_null_count or one.null_count for one in counts):
                yield field.name


def _batches(source: pq.ParquetFile, request: Request, features: Sequence[Feature]) -> Iterator[pa.Table]:
    import pyarrow as pa

    names = {request.id, *(one.name for one in features if one.name in source.schema_arrow.names)}
    names |= {request.label} if request.label is not None else set()
    for batch in source.iter_batches(batch_size=request.batch_rows, columns=sorted(names)):
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def _answers(table: pa.Table, request: Request, model: Model, features: Sequence[Feature]) -> pa.Table:
    import pyarrow as pa

    found = model.answer(_frame(table, features))
    columns: dict[str, Any] = {request.id: table.column(request.id)}
    if request.label is not None:
        columns["label"] = _labels(table.column(request.label), model)
    for name, values in found.items():
        columns[name] = pa.array(values, pa.string() if values.dtype == object else pa.float64())
    return pa.table(columns)


def _frame(table: pa.Table, features: Sequence[Feature]) -> pd.DataFrame:
    """Return the features as pandas would read them from the file, with the types that the signature says."""
    import pyarrow as pa

    columns = {}
    for one in features:
        if one.name not in table.column_names:
            columns[one.name] = pa.nulls(table.num_rows, one.type or pa.null())
            continue
        column = table.column(one.name)
        if one.type is not None and pa.types.is_integer(one.type) and column.null_count:
            message = f"{one.name} has missing values, which the model's signature ({one.type}) cannot take"
            raise Refusal("columns", message)
        try:
            columns[one.name] = column if one.type is None else column.cast(one.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
            message = f"{one.name} is {column.type} in the data, and the model takes {one.type}: {exc}"
            raise Refusal("columns", message) from exc
    return pa.table(columns).to_pandas()


def _labels(column: pa.ChunkedArray, model: Model) -> pa.ChunkedArray:
    if column.null_count:
        raise Refusal("data", f"the label is missing in {column.null_count} rows")
    if model.classes is not None:
        found = {str(value) for value in column.unique().to_pylist()}
        if strange := sorted(found - {str(name) for name in model.classes}):
            raise Refusal("answers", f"the data has the label {strange[0]!r}, which is not one of the model's classes")
    return column


# The program


def _say(progress: Mapping[str, Any]) -> None:
    print(json.dumps({"progress": dict(progress)}), file=sys.stderr, flush=True)  # noqa: T201  its way to talk


def run(request: Request) -> dict[str, Any]:
    """Score all files of the request, and return what to answer."""
    gc.disable()  # what is imported stays: to look through it again and again takes a fifth of the start
    model = Model(request.model, request.task, request.features)
    gc.freeze()
    gc.enable()
    rows = [score(request, model, data, out) for data, out in request.files]
    classes = None if model.classes is None else [str(name) for name in model.classes]
    return {"ok": True, "rows": rows, "classes": classes}


def asked() -> bool:
    """Import the usual until there is something on stdin; the answer is whether it is a line, and not the end."""
    gc.disable()
    for name in USUAL:
        if select.select([0], [], [], 0)[0]:
            break
        with contextlib.suppress(Exception):  # whoever needs it will say so
            importlib.import_module(name)
    return os.read(0, 1) != b""


def main(arguments: Sequence[str]) -> int:
    """Score what the request file says; all other talk on stdout, of the model and of imports, goes to stderr."""
    *options, path = arguments or ("",)
    if options not in ([], ["--wait"]) or not path:
        raise SystemExit("usage: python score.py [--wait] request.json")
    answer_to = os.dup(1)
    os.dup2(2, 1)
    if options and not asked():
        return 0
    request = Request.read(Path(path))
    try:
        answer, code = run(request), 0
    except Refusal as refusal:
        answer, code = {"ok": False, "refused": refusal.code, "message": str(refusal)}, REFUSED
        print(f"{refusal.code}: {refusal}", file=sys.stderr)  # noqa: T201  for people
    with os.fdopen(answer_to, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(answer) + "\n")
    return code


if __name__ == "__main__":
    ended = main(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(ended)  # the answer is written; taking apart all that a model imported would take half a second
