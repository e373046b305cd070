"""A user's project in small: git, DVC and plain Python stages, whose lock is empty and so quick to install."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from passmuster.config import (
    ChampionGate,
    Column,
    ColumnType,
    Comparison,
    Data,
    Gates,
    Limit,
    ModelConfig,
    PerformanceGate,
    Pipeline,
    Registry,
    Task,
    Tolerance,
)

MODEL = "out/model"
OUTPUTS = {
    "out/model": Tolerance(compare="predictions", by="out/predictions.csv"),
    "out/metrics.json": Tolerance(compare="metrics", rtol=1e-6),
    "out/predictions.csv": Tolerance(compare="predictions", id="id", atol=1e-9),
}
PREPARE = """\
    import shutil
    from pathlib import Path

    Path("out/data").mkdir(parents=True, exist_ok=True)
    header, *rows = Path("raw.csv").read_text().splitlines()
    half = len(rows) // 2
    for name, part in (("train", rows[:half]), ("test", rows[half:])):
        Path(f"out/data/{name}.csv").write_text("\\n".join([header, *part]) + "\\n")
"""
TRAIN = """\
    import json
    import uuid
    from pathlib import Path

    import settings

    rows = [line.split(",") for line in Path("out/data/train.csv").read_text().splitlines()[1:]]
    mean = sum(float(y) for _, _, y in rows) / len(rows) * settings.SCALE
    model = Path("out/model")
    model.mkdir(parents=True, exist_ok=True)
    (model / "MLmodel").write_text(json.dumps({"model_uuid": uuid.uuid4().hex, "mean": mean}))
    test = [line.split(",") for line in Path("out/data/test.csv").read_text().splitlines()[1:]]
    lines = ["id,prediction"] + [f"{i},{mean + float(x)}" for i, x, _ in test]
    Path("out/predictions.csv").write_text("\\n".join(lines) + "\\n")
    Path("out/metrics.json").write_text(json.dumps({"mean_absolute_error": abs(mean), "rows": len(test)}))
"""
PIPELINE = """\
    stages:
      prepare:
        cmd: python prepare.py
        deps: [prepare.py, raw.csv]
        outs: [out/data]
      train:
        cmd: python train.py
        deps: [train.py, out/data]
        params: [seed]
        outs:
          - out/model
          - out/predictions.csv: {cache: false}
        metrics:
          - out/metrics.json: {cache: false}
"""
RAW = "id,x,y\n" + "".join(f"{i},{i % 3},{i % 5}\n" for i in range(1, 21))


class TinyProject:
    """A repository below `root`; `commit` runs the pipeline as a user would, then commits everything."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", "someone@example.com")
        self.git("config", "user.name", "someone")
        self.dvc("init", "-q")
        files = {
            "prepare.py": PREPARE,
            "train.py": TRAIN,
            "settings.py": "SCALE = 1\n",
            "dvc.yaml": PIPELINE,
            "params.yaml": "seed: 1\nother: 2\n",
            "raw.csv": RAW,
            "requirements.txt": "# nothing\n",
        }
        for path, text in files.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        """Write a file, its indentation taken away."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(dedent(text))

    def git(self, *arguments: str) -> str:
        """Run git."""
        return _run(["git", *arguments], self.root)

    def dvc(self, *arguments: str) -> None:
        """Run DVC as its user would; in this process, since starting it costs a second."""
        from dvc.cli import main

        with contextlib.chdir(self.root):
            code = main(list(arguments))
        if code:
            raise AssertionError(f"dvc {' '.join(arguments)} ended with {code}")

    def says(self, *arguments: str) -> str:
        """Return what DVC's command line answers."""
        return _run([sys.executable, "-P", "-m", "dvc", *arguments], self.root)

    def repro(self, *arguments: str) -> None:
        """Run the pipeline in the user's own workspace."""
        self.dvc("repro", "-q", *arguments)

    def commit(self, *, repro: bool = True) -> str:
        """Commit everything, after running the pipeline; the answer is the commit."""
        if repro:
            self.repro()
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a state")
        return self.git("rev-parse", "HEAD")


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def config(**changes: Any) -> ModelConfig:
    """Return a config of the tiny project; `pipeline` and `data` take changes of single fields."""
    pipeline = {
        "targets": ("train",),
        "model": MODEL,
        "outputs": OUTPUTS,
        "timeout": 60.0,
        **changes.pop("pipeline", {}),
    }
    data = {
        "train": "out/data/train.csv",
        "test": "out/data/test.csv",
        "label": "y",
        "id": "id",
        "prepare": ("prepare",),
        "columns": {"x": Column(type=ColumnType.NUMBER)},
        **changes.pop("data", {}),
    }
    settings = {"name": "tiny", "task": Task.REGRESSION, "requirements": "requirements.txt", **changes}
    return ModelConfig(
        owner="someone@example.com",
        pipeline=Pipeline(**pipeline),
        data=Data(**data),
        gates=Gates(
            performance=PerformanceGate(limits={"mean_absolute_error": Limit(max=10.0)}),
            champion=ChampionGate(rules={"mean_absolute_error": Comparison(margin=1.0)}),
        ),
        registry=Registry(name="tiny", ledger="local"),
        **settings,
    )
