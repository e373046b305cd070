"""The two tables that Deepchecks looks at, and a model's answers to their rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ._importing import import_deepchecks
from ._trouble import Trouble, names


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A model's answers in the order of the data's rows."""

    labels: Any  #: array (n,)
    proba: Any  #: array (n, classes), or None


class Data:
    """The two tables, read once, as pandas and as Deepchecks' data sets, and the predictions where a check needs them.

    Raises:
        Trouble: the data can't be judged: columns, rows or labels are missing.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request = request
        self.task: str = request["task"]
        self.tables = {split: self._read(split) for split in ("train", "test")}
        self.classes = self._classes()
        for split, table in self.tables.items():
            if self.classes is not None:
                table[request["label"]] = _as_classes(table[request["label"]], self.classes)
            self._refuse_bad_labels(split, table[request["label"]])
        start = len(self.tables["train"])  # Deepchecks finds a prediction by its row's number, whatever the split
        self.tables["test"].index = range(start, start + len(self.tables["test"]))
        self.datasets = self._datasets()

    def _datasets(self) -> dict[str, Any]:
        import_deepchecks()
        from deepchecks.tabular import Dataset

        wanted = self.request
        given = {
            "label": wanted["label"],
            "features": list(wanted["features"]),
            "cat_features": self._categorical(),
            "index_name": wanted["id"],
            "datetime_name": wanted["time"],
            "label_type": self.task,
        }
        return {split: Dataset(table, **given) for split, table in self.tables.items()}

    @cached_property
    def predictions(self) -> dict[str, Predictions]:
        """The model's answers by split."""
        if self.classes is not None:
            for split, table in self.tables.items():
                if missing := set(self.classes) - set(table[self.request["label"]]):
                    raise Trouble("bad-data", f"{split}: no row has the label {names(missing)}")
        return {s: read_predictions(self.request, self.classes, s, table) for s, table in self.tables.items()}

    def _read(self, split: str) -> Any:
        import pandas as pd
        import pyarrow.parquet as pq

        wanted = [self.request[key] for key in ("label", "id", "time") if self.request[key] is not None]
        columns = list(dict.fromkeys([*self.request["features"], *wanted]))
        present = pq.read_schema(self.request[split]).names
        if missing := [name for name in columns if present.count(name) != 1]:
            raise Trouble("bad-data", f"{split}: missing, or there twice: the columns {names(missing)}")
        table = pq.read_table(self.request[split], columns=columns).to_pandas(ignore_metadata=True)
        if table.empty:
            raise Trouble("bad-data", f"{split}: no rows")
        for name in table.columns:
            if isinstance(table[name].dtype, pd.CategoricalDtype):
                table[name] = table[name].astype(object)
            elif pd.api.types.is_datetime64_any_dtype(table[name]) and name != self.request["time"]:
                # Deepchecks looks at numbers and categories only, and says nothing of other columns.
                moments = pd.to_datetime(table[name], utc=True)
                table[name] = (moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        return table

    def _classes(self) -> list[Any] | None:
        """Return the classes, sorted as Deepchecks wants them; of a model without probabilities, all labels."""
        if self.task == "regression":
            return None
        labels = [table[self.request["label"]].dropna() for table in self.tables.values()]
        return sorted(self.request["classes"] or {value for column in labels for value in column.tolist()})

    def _refuse_bad_labels(self, split: str, labels: Any) -> None:
        if empty := int(labels.isna().sum()):
            raise Trouble("bad-data", f"{split}: {empty} of {len(labels)} labels are missing")
        if self.classes is None:
            if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in labels.tolist()):
                raise Trouble("bad-data", f"{split}: a label is not a finite number")
        elif labels.nunique() < 2:
            raise Trouble("bad-data", f"{split}: all labels are {labels.iloc[0]!r}")

    def _categorical(self) -> list[str]:
        """Return the declared columns, and those which are text in either table: else no check would look at them."""
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        def is_category(name: str) -> bool:
            kinds = [table[name].dtype for table in self.tables.values()]
            return not all(is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in kinds)

        return [n for n in self.request["features"] if n in self.request["categorical"] or is_category(n)]


def read_predictions(request: Mapping[str, Any], classes: list[Any] | None, split: str, table: Any) -> Predictions:
    """Return the model's answers to the rows of `table`, in their order.

    Args:
        request: names the file and the id column.
        classes: sorted; None for a regression.
        split: "train" or "test".
        table: the data that the predictions are for.

    Raises:
        Trouble: they are not for exactly these rows with these labels, or one is no answer.
    """
    given = _in_order_of(table, request, split)
    answers, truth = given["prediction"], given["label"]
    numbers = [name for name in (f"proba_{name}" for name in classes or ()) if name in given.columns]
    if classes is None:
        numbers = ["prediction"]
    else:
        answers, truth = _as_classes(answers, classes), _as_classes(truth, classes)
        if numbers and len(numbers) < len(classes):
            raise Trouble("bad-predictions", f"{split}: probabilities of {len(numbers)} of {len(classes)} classes")
        if strange := set(answers) - set(classes):
            raise Trouble("bad-predictions", f"{split}: predicted {names(strange)}, which is no class")
    values = given[numbers].to_numpy(dtype=float)
    if not _all_finite(values):
        raise Trouble("bad-predictions", f"{split}: a prediction is missing or not a finite number")
    if (truth.to_numpy() != table[request["label"]].to_numpy()).any():
        raise Trouble("bad-predictions", f"{split}: the labels of the predictions are not those of the data")
    return Predictions(labels=answers.to_numpy(), proba=values if classes is not None and numbers else None)


def _in_order_of(table: Any, request: Mapping[str, Any], split: str) -> Any:
    """Return the predictions' table with the rows of `table`, found by their id."""
    import pandas as pd
    import pyarrow.parquet as pq

    ids = request["id"]
    if not (request["predictions"] or {}).get(split):
        raise Trouble("no-predictions", f"{split}: the request names no predictions")
    if ids is None:
        raise Trouble("bad-predictions", "no column names the rows, so predictions can't be brought to them")
    given = pq.read_table(request["predictions"][split]).to_pandas(ignore_metadata=True)
    if missing := {ids, "label", "prediction"} - set(given.columns):
        raise Trouble("bad-predictions", f"{split}: the predictions lack the columns {names(missing)}")
    if given[ids].duplicated().any() or table[ids].duplicated().any():
        raise Trouble("bad-predictions", f"{split}: an id stands for more than one row")
    order = pd.Index(given[ids]).get_indexer(pd.Index(table[ids]))
    if len(given) != len(table) or (order < 0).any():
        raise Trouble("bad-predictions", f"{split}: the predictions are not for exactly the rows of the data")
    return given.iloc[order]


def _as_classes(column: Any, classes: list[Any]) -> Any:
    """Return `column` with each value as the class that it stands for; a value of no class stays as it is."""
    known = {**{_text(name): name for name in classes}, **{name: name for name in classes}}
    return column.astype(object).map(lambda value: known.get(value, known.get(_text(value), value)), na_action="ignore")


def _text(value: Any) -> str:
    """Return how a class is written in a column's name: of 1 and 1.0 alike, "1"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _all_finite(values: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(values).all())
