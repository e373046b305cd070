"""How well a classifier tells the rows of one split from those of another: drift of all columns together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passmuster.config import ColumnType
from passmuster.errors import NotMeasured
from passmuster.gates import Inputs
from passmuster_checks import _arrow, _data
from passmuster_checks.engine import Pair
from passmuster_checks.statistics import Scored, estimate
from passmuster_checks.statistics.inference import Estimated

#: Rows that are taken of each split, evenly over it: enough to tell an AUC of 0.7 from 0.68 in every case.
ROWS = 20_000

#: Categories that are told apart; rarer ones are one, since the classifier has no more bins.
_CATEGORIES = 200

_SEED = 20_260_101


def auc(inputs: Inputs, pair: Pair, level: float) -> tuple[Estimated, dict[str, int]]:
    """Return the area under the ROC curve of a domain classifier, and the rows that were taken of each split.

    Gradient-boosted trees are fitted on one half of the rows of both splits and asked about the other half (Rabanser,
    Günnemann and Lipton 2019); 0.5: the splits can't be told apart. The interval is DeLong's.

    Raises:
        NotMeasured: no feature, too few rows, or a column that can't be read.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    tables = [_rows_of(inputs, split) for split in pair]
    features = np.concatenate(tables)
    domain = np.repeat([0, 1], [len(table) for table in tables])
    order = np.random.default_rng(_SEED).permutation(len(domain))
    fitted, asked = order[::2], order[1::2]
    if min(np.bincount(domain[fitted], minlength=2).min(), np.bincount(domain[asked], minlength=2).min()) < 2:
        raise NotMeasured(f"{len(tables[0])} and {len(tables[1])} rows are too few to tell splits apart")
    model = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, class_weight="balanced", random_state=0)
    # On so few rows, threads that wait for each other cost more than they give.
    with threadpool_limits(1):
        answers = model.fit(features[fitted], domain[fitted]).predict_proba(features[asked])
    scored = Scored.classification(
        label=domain[asked],
        prediction=(answers[:, 1] > 0.5).astype(int),
        classes=(0, 1),
        positive=1,
        probabilities=answers,
    )
    return estimate("roc_auc_score", scored, level), dict(zip(pair, map(len, tables), strict=True))


def _rows_of(inputs: Inputs, split: str) -> NDArray[np.float64]:
    """Return the features of some rows as numbers, shape (n, k); NaN where one is missing."""
    data = inputs.config.data
    features = [
        name
        for name, column in data.columns.items()
        if name not in (data.id, data.label, data.time, *inputs.config.gates.drift.ignore)
        and column.type is not ColumnType.DATETIME
    ]
    if not features:
        raise NotMeasured("there is no feature to tell splits apart by")
    path = inputs.data[split]
    return np.column_stack([_codes(inputs, path, name) for name in features])


def _codes(inputs: Inputs, path: Path, name: str) -> NDArray[np.float64]:
    values = _data.column(path, name)
    rows = np.unique(np.linspace(0, len(values) - 1, min(ROWS, len(values))).astype(np.int64))
    taken = values.take(_arrow.from_numpy(rows))
    if name not in inputs.config.data.categorical and not pa.types.is_string(taken.type):
        return _data.numbers(taken.cast(pa.int8()) if pa.types.is_boolean(taken.type) else taken)
    known = _known(inputs, name)
    return np.array([known.get(word, float(len(known))) for word in _data.texts(taken).tolist()])


def _known(inputs: Inputs, name: str) -> dict[str | None, float]:
    """Return a number for each of the most frequent categories, the same for all splits."""
    from collections import Counter

    counts: Counter[str | None] = Counter()
    for split in sorted(inputs.data):
        values = _data.column(inputs.data[split], name)
        for item in values.value_counts().to_pylist():
            word = item["values"]
            counts[None if word is None else str(word)] += item["counts"]
    most = sorted(counts, key=lambda word: (-counts[word], str(word)))[:_CATEGORIES]
    found: dict[str | None, float] = {word: float(number) for number, word in enumerate(most)}
    found[None] = float("nan")
    return found
