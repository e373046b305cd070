"""One case of the corpus: three splits of a table, two models' answers, and the config that judges them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from passmuster import config as configs
from passmuster.config import ModelConfig
from passmuster.gates import Champion, Inputs

#: A column: numbers (NaN is missing), text (None is missing), booleans, times; or what Arrow alone can say.
Column = NDArray[Any] | pa.Array

Table = dict[str, Column]

TRAIN, TEST, REFERENCE = "train", "test", "reference"
SPLITS = (TRAIN, TEST, REFERENCE)

#: Gates that look at other things than data and predictions.
OFF = ("artifact", "environment")

ENVIRONMENT = {"lock": "sha256:" + "0" * 64, "python": "3.11.7", "platform": "linux-x86_64", "cpu_count": 2}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Tables in memory, and answers: the positive class's probability, shape (n,); all classes', (n, k); or numbers."""

    task: str
    label: str
    id: str
    classes: tuple[str, ...]  #: binary: the negative, then the positive; empty in regression
    columns: Mapping[str, Mapping[str, Any]]  #: the contract, as a config says it
    facts: Mapping[str, Any]  #: of the config's section `data`: categorical, protected, time
    gates: Mapping[str, Mapping[str, Any]]  #: the config's section `gates`, but for what it leaves to the defaults
    data: Mapping[str, Table]
    candidate: Mapping[str, NDArray[np.float64]]
    champion: NDArray[np.float64]  #: on the test rows

    @property
    def rows(self) -> int:
        """How many test rows there are."""
        return len(self.data[TEST][self.id])

    def with_columns(self, split: str, **columns: Column) -> Case:
        """Return the case with columns of one split replaced; names that are no Python names go by `**{...}`."""
        return replace(self, data={**self.data, split: {**self.data[split], **columns}})

    def with_column_everywhere(self, name: str, change: Any) -> Case:
        """Return the case with `change(table)` for a column in every split."""
        return replace(self, data={s: {**table, name: change(table)} for s, table in self.data.items()})

    def with_features(self, names: Collection[str]) -> Case:
        """Return the case with fewer features; id, label, time and protected columns stay."""
        kept = {*names, self.id, self.label, self.facts.get("time"), *self.facts.get("protected", ())}
        return replace(
            self,
            columns={name: said for name, said in self.columns.items() if name in kept},
            facts={**self.facts, "categorical": [name for name in self.facts["categorical"] if name in kept]},
            data={s: {n: values for n, values in table.items() if n in kept} for s, table in self.data.items()},
        )

    def with_answers(self, split: str, answers: NDArray[np.float64]) -> Case:
        """Return the case with the candidate's answers on one split replaced."""
        return replace(self, candidate={**self.candidate, split: answers})

    def with_gates(self, **gates: Mapping[str, Any]) -> Case:
        """Return the case with sections of the config's gates replaced."""
        return replace(self, gates={**self.gates, **{name.replace("_", "-"): said for name, said in gates.items()}})

    def config(self, folder: Path) -> ModelConfig:
        """Return the config, written as YAML below `folder` and read as a user's is."""
        said = {
            "name": "corpus",
            "owner": "corpus@example.com",
            "task": self.task,
            "requirements": "requirements.txt",
            "pipeline": {
                "targets": ["train"],
                "model": "model",
                "outputs": {
                    "model": {"compare": "predictions", "by": "predictions.parquet"},
                    "predictions.parquet": {"compare": "predictions", "id": self.id},
                },
            },
            "data": {
                **{split: f"{split}.parquet" for split in SPLITS},
                "label": self.label,
                "id": self.id,
                **({"positive": self.classes[1]} if self.task == "binary" else {}),
                **self.facts,
                "columns": dict(self.columns),
            },
            "gates": {**{name: {"mode": "off"} for name in OFF}, **self.gates},
            "registry": {"name": "corpus"},
        }
        path = folder / "model-configs" / "corpus.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(said, sort_keys=False))
        return configs.load(folder)["corpus"]

    def write(self, folder: Path, config: ModelConfig) -> Inputs:
        """Write the files as earlier steps leave them; return what gates are given."""
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "MLmodel").write_text(json.dumps(self._mlmodel()))
        data = {split: self._file(folder / f"{split}.parquet", self.data[split]) for split in self.data}
        ours = {s: self._file(folder / f"candidate-{s}.parquet", self.said(s, a)) for s, a in self.candidate.items()}
        theirs = {TEST: self._file(folder / "champion-test.parquet", self.said(TEST, self.champion))}
        return Inputs(
            config=config,
            root=folder,
            digest="sha256:" + "1" * 64,
            model=folder / "model",
            data=data,
            predictions=ours,
            champion=Champion(
                version="v1",
                digest="sha256:" + "2" * 64,
                model=folder / "model",
                predictions=theirs,
                environment=ENVIRONMENT,
            ),
            environment=ENVIRONMENT,
            workspace=folder,
        )

    def said(self, split: str, answers: NDArray[np.float64]) -> Table:
        """Return answers as the scoring program writes them."""
        table = self.data[split]
        rows: Table = {self.id: table[self.id], "label": table[self.label]}
        if not self.classes:
            return {**rows, "prediction": answers}
        chances = np.column_stack([1 - answers, answers]) if answers.ndim == 1 else answers
        best = chances.argmax(axis=1)
        words = np.array(self.classes)
        return {
            **rows,
            "prediction": words[np.where(np.isnan(chances).any(axis=1), 0, best)],
            **{f"proba_{name}": chances[:, k] for k, name in enumerate(self.classes)},
        }

    def features(self) -> list[str]:
        """Return the columns that the model takes."""
        return [name for name in self.columns if name not in (self.label, self.id, self.facts.get("time"))]

    def _file(self, path: Path, table: Table) -> Path:
        arrays = {name: arrow(values) for name, values in table.items()}
        pq.write_table(pa.table(arrays), path, compression="none", write_statistics=False)
        return path

    def _mlmodel(self) -> dict[str, Any]:
        types = {"integer": "long", "number": "double", "string": "string", "boolean": "boolean"}
        takes = [
            {
                "name": name,
                "type": types.get(self.columns[name]["type"], "datetime"),
                "required": not self.columns[name].get("nullable", False),
            }
            for name in self.features()
        ]
        return {
            "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "model_path": "weights.json"}},
            "signature": {"inputs": json.dumps(takes)},
        }


def arrow(values: Column) -> pa.Array:
    """Return a column as Arrow holds it; NaN and None are null."""
    return pa.array(values, from_pandas=True) if isinstance(values, np.ndarray) else values
