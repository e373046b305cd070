"""Inputs of the gates that look at data: tables in memory, written as Parquet, under a small config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passmuster import policy
from passmuster.config import Column, ColumnType, ModelConfig
from passmuster.gates import Gate, Inputs, NoChampion
from passmuster.measurement import Measurement
from passmuster.policy import Policy
from support import candidate as made
from support.judging import judge

BUDGET = 0.005

COLUMNS = {
    "id": Column(type=ColumnType.INTEGER),
    "amount": Column(type=ColumnType.NUMBER, nullable=True),
    "age": Column(type=ColumnType.INTEGER),
    "city": Column(type=ColumnType.STRING, nullable=True),
    "note": Column(type=ColumnType.STRING, nullable=True),
    "bad": Column(type=ColumnType.STRING, categories=("no", "yes")),
}

Table = dict[str, Any]


def config(**gates: Any) -> ModelConfig:
    """A binary model of `COLUMNS`, with a reference split; `gates` replaces sections."""
    base = made.config(**gates)
    data = replace(
        base.data, id="id", label="bad", positive="yes", categorical=("city",), columns=COLUMNS, reference="r.parquet"
    )
    return replace(base, data=data)


def rows(n: int = 2_000, *, seed: int = 0) -> Table:
    """Honest rows; a skewed amount with a cap, an age, a city with rare values, a free text, a label."""
    random = np.random.default_rng(seed)
    amount = np.minimum(random.lognormal(3, 1, n), 150.0)
    age = random.integers(18, 80, n)
    share = 1 / np.arange(1, 13)
    return {
        "id": random.choice(10_000_000, n, replace=False) + seed * 10_000_000,
        "amount": amount,
        "age": age,
        "city": [f"city-{code}" for code in random.choice(12, n, p=share / share.sum())],
        "note": [f"text {number}" for number in random.integers(0, 500, n)],
        "bad": np.where(random.random(n) < 1 / (1 + np.exp(-(age - 60) / 10)), "yes", "no"),
    }


def answers(table: Table, *, shift: float = 0.0) -> Table:
    """Probabilities that follow from the age."""
    bad = 1 / (1 + np.exp(-(np.asarray(table["age"]) - 60) / 10 - shift))
    return {
        "id": table["id"],
        "label": table["bad"],
        "prediction": np.where(bad > 0.5, "yes", "no"),
        "proba_no": 1 - bad,
        "proba_yes": bad,
    }


def splits(**changed: Table) -> dict[str, Table]:
    """Honest train, test and reference rows, some of them replaced."""
    return {"train": rows(seed=1), "test": rows(seed=2), "reference": rows(seed=3), **changed}


def given(
    root: Path,
    tables: Mapping[str, Any],
    *,
    stated: ModelConfig | None = None,
    predictions: Mapping[str, Table] | None = None,
    taken: tuple[str, ...] = ("amount", "age", "city"),
) -> Inputs:
    """What a gate is given of `tables`; the model takes the columns `taken`."""
    folder = root / f"given-{len(list(root.iterdir()))}"
    (folder / "workspace").mkdir(parents=True)
    (folder / "model").mkdir()
    signature = {"inputs": json.dumps([{"name": name, "type": "double"} for name in taken])}
    (folder / "model" / "MLmodel").write_text(json.dumps({"flavors": {}, "signature": signature}))
    answered = predictions or {split: answers(table) for split, table in tables.items() if isinstance(table, dict)}
    return Inputs(
        config=stated or config(),
        root=folder,
        digest="sha256:" + "0" * 64,
        model=folder / "model",
        data={split: _written(folder / f"{split}.parquet", table) for split, table in tables.items()},
        predictions={split: _written(folder / f"answers-{split}.parquet", table) for split, table in answered.items()},
        champion=NoChampion(reason="no-champion", message="there is none yet"),
        environment={},
        workspace=folder / "workspace",
        false_alarms=BUDGET,
    )


def _written(path: Path, table: Any) -> Path:
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path)
    return path


def outcomes(gate: Gate, inputs: Inputs) -> dict[str, str]:
    """The kernel's outcomes of one gate alone, by the names of what it measured."""
    return {name: outcome for name, (outcome, _) in judged(gate, inputs).items()}


def judged(gate: Gate, inputs: Inputs) -> dict[str, tuple[str, str]]:
    """Outcome and reason of all that one gate measured, under its policy alone."""
    stated = policy.from_config(inputs.config)
    alone = Policy(
        gates=tuple(one for one in stated.gates if one.gate == gate.name),
        confidence=stated.confidence,
        false_alarms=BUDGET,
    )
    verdict = judge(gate.measure(inputs), alone, compared=False)
    return {j.name: (j.outcome.value, j.reason) for j in verdict.judgements}


def measured(gate: Gate, inputs: Inputs) -> dict[str, Measurement]:
    """What a gate measured, by name."""
    return {m.name: m for m in gate.measure(inputs)}
