"""Makes a model's folder as `reproduce` and `score` leave it, from tables in memory: what gates are tested on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passmuster import digest, record
from passmuster.config import (
    ArtifactGate,
    ChampionGate,
    ChecksGate,
    Column,
    ColumnType,
    Comparison,
    Data,
    Gates,
    Limit,
    Mode,
    ModelConfig,
    PerformanceGate,
    Pipeline,
    Registry,
    SlicesGate,
    Task,
)
from passmuster.record import Record

LOCK = "# nothing\n"
CHAMPIONS = "c" * 40  #: the champion's commit
ENVIRONMENT = {"lock": digest.of_bytes(LOCK.encode()), "python": "3.11.7", "platform": "linux-x86_64", "cpu_count": 2}
COLUMNS = {
    "loan_id": Column(type=ColumnType.INTEGER),
    "age": Column(type=ColumnType.INTEGER, nullable=True),
    "income": Column(type=ColumnType.NUMBER),
    "home": Column(type=ColumnType.STRING, nullable=True, categories=("own", "rent")),
    "status": Column(type=ColumnType.STRING, categories=("bad", "good")),
}
OFF = {
    "deepchecks": ChecksGate(mode=Mode.OFF),
}


def config(**gates: Any) -> ModelConfig:
    """A binary model's config, Deepchecks off; `gates` replaces sections."""
    sections: dict[str, Any] = {
        **OFF,
        "performance": PerformanceGate(limits={"roc_auc_score": Limit(min=0.7)}),
        "champion": ChampionGate(rules={"roc_auc_score": Comparison(margin=0.05)}),
        "slices": SlicesGate(columns=("home",), limit=0.1, min_rows=30),
        "artifact": ArtifactGate(max_size=1_000_000),
        **gates,
    }
    return ModelConfig(
        name="credit",
        owner="risk@example.com",
        task=Task.BINARY,
        requirements="requirements.txt",
        pipeline=Pipeline(targets=("train",), model="model"),
        data=Data(
            train="train.parquet",
            test="test.parquet",
            label="status",
            positive="bad",
            id="loan_id",
            categorical=("home",),
            columns=COLUMNS,
        ),
        gates=Gates(**sections),
        registry=Registry(name="credit"),
    )


def rows(n: int = 800, *, seed: int = 0, first_id: int = 0) -> dict[str, list[Any]]:
    """Loans whose status follows from age and income, with noise."""
    random = np.random.default_rng(seed)
    age, income = random.integers(18, 80, n), random.normal(50.0, 10.0, n)
    bad = (age - 48) / 20 + (income - 50) / 20 + random.normal(0, 0.5, n) > 0
    return {
        "loan_id": list(range(first_id, first_id + n)),
        "age": age.tolist(),
        "income": income.tolist(),
        "home": np.where(random.random(n) < 0.5, "own", "rent").tolist(),
        "status": np.where(bad, "bad", "good").tolist(),
    }


def answers(data: Mapping[str, list[Any]], *, noise: float = 0.2, seed: int = 1) -> dict[str, list[Any]]:
    """What a fair model says of `data`."""
    random = np.random.default_rng(seed)
    score = (np.array(data["age"]) - 48) / 20 + (np.array(data["income"]) - 50) / 20
    bad = 1 / (1 + np.exp(-3 * (score + random.normal(0, noise, len(score)))))
    return {
        "loan_id": list(data["loan_id"]),
        "label": list(data["status"]),
        "prediction": np.where(bad > 0.5, "bad", "good").tolist(),
        "proba_bad": bad.tolist(),
        "proba_good": (1 - bad).tolist(),
    }


MLMODEL = {
    "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "model_path": "weights.json"}},
    "signature": {
        "inputs": json.dumps(
            [
                {"name": "age", "type": "double", "required": False},
                {"name": "income", "type": "double", "required": True},
                {"name": "home", "type": "string", "required": False},
            ]
        )
    },
}


@dataclass
class Candidate:
    """A candidate, and the champion that it meets; change a part, then `write`."""

    train: dict[str, list[Any]] = field(default_factory=lambda: rows(seed=5, first_id=10_000))
    test: dict[str, list[Any]] = field(default_factory=rows)
    predictions: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    champion: dict[str, Any] = field(default_factory=dict)  #: as in score.json; `predictions` as tables
    model: dict[str, bytes] = field(default_factory=dict)  #: files of the model directory
    environment: dict[str, Any] = field(default_factory=lambda: dict(ENVIRONMENT))
    commit: str = "a" * 40
    #: as in score.json; `data`, `candidate`, `champion` as tables, `leave_out` as ids
    base: dict[str, Any] | None = field(default_factory=lambda: {"commit": CHAMPIONS, "state": "same"})

    def __post_init__(self) -> None:
        data = {"train": self.train, "test": self.test}
        self.predictions = self.predictions or {split: answers(table) for split, table in data.items()}
        self.champion = self.champion or {
            "state": "scored",
            "version": "v3",
            "promotion": 4,
            "commit": CHAMPIONS,
            "predictions": {"test": answers(self.test, seed=2)},
            "environment": dict(ENVIRONMENT),
        }
        self.model = self.model or {
            "MLmodel": json.dumps(MLMODEL).encode(),
            "weights.json": b"[1, 2]",
            "passmuster.lock": LOCK.encode(),
        }

    def write(self, root: Path) -> Path:
        """Write the folder below `root` and return it; what was there goes."""
        folder = root / ".passmuster" / "credit"
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in self.model.items():
            _write(folder / "model" / name, content)
        model = digest.of_path(folder / "model")
        data = {split: _table(folder, f"data/{split}.parquet", table) for split, table in self._data().items()}
        reproduced = Record(
            schema="reproduce",
            version=1,
            inputs={"input": digest.of_bytes(b"input")},
            body={
                "model": "credit",
                "commit": self.commit,
                "decision": "reproducible",
                "outputs": [],
                "model_digest": model,
                "data": data,
                "metrics": {},
                "params": {},
                "environment": self.environment,
                "stages": ["train"],
            },
        )
        record.write(reproduced, folder / "reproduce.json")
        scored = Record(
            schema="score",
            version=1,
            inputs={"reproduce": reproduced.digest, "model": model},
            body={
                "model": "credit",
                "candidate": {
                    "digest": model,
                    "predictions": self._predictions(folder, "candidate", self.predictions),
                },
                "champion": self._champion(folder),
                "base": self._base(folder),
                "isolated": True,
            },
        )
        record.write(scored, folder / "score.json")
        return folder

    def _base(self, folder: Path) -> dict[str, Any] | None:
        if self.base is None or self.base["state"] != "others":
            return self.base
        tables = {
            "data": ("data", self.base["data"]),
            "candidate": ("predictions/candidate", self.base["candidate"]),
            "champion": ("predictions/champion", self.base["champion"]),
        }
        if "leave_out" in self.base:
            tables["leave_out"] = ("leave_out", {"loan_id": self.base["leave_out"]})
        files = {key: _table(folder, f"{where}/base.parquet", table) for key, (where, table) in tables.items() if table}
        return {**self.base, **files}

    def _data(self) -> dict[str, dict[str, list[Any]]]:
        return {"train": self.train, "test": self.test}

    def _predictions(self, folder: Path, who: str, tables: Mapping[str, dict[str, list[Any]]]) -> dict[str, Any]:
        return {split: _table(folder, f"predictions/{who}/{split}.parquet", table) for split, table in tables.items()}

    def _champion(self, folder: Path) -> dict[str, Any]:
        if self.champion["state"] != "scored":
            return dict(self.champion)
        for name, content in self.champion.get("files", {**self.model, "weights.json": b"[0, 1]"}).items():
            _write(folder / "champion" / "model" / name, content)
        said = {
            key: value
            for key, value in self.champion.items()
            if key not in ("files", "predictions", "leave_out", "profile")
        }
        left_out = self.champion.get("leave_out", {})
        if profile := self.champion.get("profile"):
            _write(folder / "champion" / "profile.json", profile)
            said["profile"] = {"path": "champion/profile.json", "digest": digest.of_bytes(profile)}
        return {
            **said,
            "digest": digest.of_path(folder / "champion" / "model"),
            "model": "champion/model",
            "prepared": False,
            "predictions": self._predictions(folder, "champion", self.champion["predictions"]),
            "leave_out": {
                split: _table(folder, f"leave_out/{split}.parquet", {"loan_id": ids}) for split, ids in left_out.items()
            },
        }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _table(folder: Path, path: str, table: dict[str, Any]) -> dict[str, Any]:
    where = folder / path
    where.parent.mkdir(parents=True, exist_ok=True)
    written = table if isinstance(table, pa.Table) else pa.table(table)
    pq.write_table(written, where)
    return {"path": path, "digest": digest.of_file(where), "rows": written.num_rows}


def with_gates(base: ModelConfig, **gates: Any) -> ModelConfig:
    """The config with some sections replaced."""
    return replace(base, gates=replace(base.gates, **gates))
