"""A repository with two models that train in a second: what the workflows are run on.

`alpha` and `beta` share the preparation and nothing else. What a candidate is worth, its parameter `slope` says: 2 is
the truth.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from textwrap import dedent

from passmuster.registry import Registry
from support import act

PROJECT = Path(__file__).parents[2]
REPOSITORY = "risk/credit"
ADDRESS = f"https://github.com/{REPOSITORY}"

PREPARE = """\
    import random
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(1)
    rows = [(i, chance.random()) for i in range(1200)]
    table = pa.table({
        "id": [i for i, _ in rows],
        "x": [x for _, x in rows],
        "y": [2 * x + chance.gauss(0, 0.05) for _, x in rows],
    })
    Path("out").mkdir(exist_ok=True)
    pq.write_table(table.slice(0, 600), "out/train.parquet")
    pq.write_table(table.slice(600), "out/test.parquet")
"""
TRAIN = """\
    import json
    import shutil
    import sys
    from pathlib import Path

    name = sys.argv[1]
    slope = json.loads(Path(f"{name}.json").read_text())["slope"]
    model = Path(f"out/{name}")
    shutil.rmtree(model, ignore_errors=True)
    (model / "code").mkdir(parents=True)
    shutil.copy("line.py", model / "code")
    (model / "slope.txt").write_text(repr(slope))
    (model / "MLmodel").write_text(json.dumps({
        "flavors": {"python_function": {"loader_module": "line", "code": "code", "data": "slope.txt"}},
        "model_uuid": name,
        "signature": {
            "inputs": json.dumps([{"name": "x", "type": "double", "required": True}]),
            "outputs": json.dumps([{"type": "double", "required": True}]),
        },
    }))
"""
LINE = """\
    from pathlib import Path


    class Line:
        def __init__(self, slope):
            self.slope = slope

        def predict(self, frame, params=None):
            return (frame["x"] * self.slope).to_numpy()


    def _load_pyfunc(path):
        return Line(float(Path(path).read_text()))
"""
STAGES = """\
    stages:
      prepare:
        cmd: python prepare.py
        deps: [prepare.py]
        outs: [out/train.parquet, out/test.parquet]
      alpha:
        cmd: python train.py alpha
        deps: [train.py, line.py, alpha.json, out/train.parquet]
        outs: [out/alpha]
      beta:
        cmd: python train.py beta
        deps: [train.py, line.py, beta.json, out/train.parquet]
        outs: [out/beta]
"""
CONFIG = Template("""\
name: $name
owner: risk@example.com
task: regression
requirements: requirements.txt
pipeline: {targets: [$name], model: out/$name, outputs: {out/$name: {compare: bytes}}}
data:
  train: out/train.parquet
  test: out/test.parquet
  prepare: [prepare]
  label: y
  id: id
  columns: {id: {type: integer}, x: {type: number}, y: {type: number}}
gates:
  deepchecks: {mode: "off"}
  artifact: {mode: "off"}
  leakage: {mode: "off"}
  drift: {mode: "off"}
  slices: {mode: "off"}
  performance: {limits: {mean_absolute_error: {max: $most}}}
  champion: {rules: {mean_absolute_error: {margin: $margin}}}
registry: {name: $name, ledger: origin}
""")


class SmallProject:
    """A bare remote, which git believes to be on GitHub, with clones of it and an MLflow of its own."""

    name = REPOSITORY

    def __init__(self, folder: Path, programs: Iterable[Path]) -> None:
        """Make a remote whose main branch has both models; `programs` are the folders of the framework's and theirs."""
        self.folder = folder
        self.home = folder / "home"
        self.remote = folder / "remote.git"
        self.mlflow = f"sqlite:///{folder / 'mlflow.db'}"
        self._path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        self.home.mkdir(parents=True)
        self.home.joinpath(".gitconfig").write_text(
            f"[user]\n name = Someone\n email = someone@example.com\n[init]\n defaultBranch = main\n"
            f'[url "file://{self.remote}"]\n insteadOf = {ADDRESS}\n[protocol "file"]\n allow = always\n'
        )
        self.run("git", "init", "-q", "--bare", str(self.remote), at=folder)
        self.main = self._first(folder / "main")

    def _first(self, clone: Path) -> Path:
        clone.mkdir()
        self.run("git", "init", "-q", at=clone)
        self.run("git", "remote", "add", "origin", ADDRESS, at=clone)
        self.run("dvc", "init", "-q", at=clone)
        self.run("dvc", "remote", "add", "-q", "--default", "store", str(self.folder / "store"), at=clone)
        files = {"prepare.py": PREPARE, "train.py": TRAIN, "line.py": LINE, "dvc.yaml": STAGES}
        for path, text in files.items():
            write(clone, path, dedent(text))
        shutil.copy(PROJECT / "models/credit-default/requirements.txt", clone)
        write(clone, ".gitignore", "/out\n.passmuster/\n")
        for name in ("alpha", "beta"):
            write(clone, f"{name}.json", '{"slope": 1.9}\n')
            write(clone, f"model-configs/{name}.yaml", CONFIG.substitute(name=name, most=0.2, margin=0.005))
        self.run("passmuster", "init", "--yes", "--pin", f"{act.SELF}@{act.REF}", at=clone)
        self.commit(clone, "Two models")
        self.run("git", "push", "-q", "origin", "main", at=clone)
        return clone

    def run(self, *command: str, at: Path, **variables: str) -> str:
        """Run a program as a person at this project would."""
        settings = {"HOME": str(self.home), "PATH": self._path, "MLFLOW_TRACKING_URI": self.mlflow, **variables}
        done = subprocess.run(
            command, cwd=at, env={**os.environ, **settings}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def clone(self, name: str) -> Path:
        """Clone the remote once more."""
        self.run("git", "clone", "-q", ADDRESS, str(self.folder / name), at=self.folder)
        return self.folder / name

    def commit(self, clone: Path, message: str, *, repro: bool = True) -> str:
        """Run the pipeline, keep its data in the remote, and commit everything."""
        if repro:
            self.run("dvc", "repro", "-q", at=clone)
            self.run("dvc", "push", "-q", at=clone)
        self.run("git", "add", "-A", at=clone)
        self.run("git", "commit", "-q", "-m", message, at=clone)
        return self.run("git", "rev-parse", "HEAD", at=clone)

    def propose(self, number: int, files: Mapping[str, str], *, repro: bool = True) -> Path:
        """Return a clone as GitHub makes it for pull request `number`, which changes `files`: at the merge commit."""
        clone = self.change(f"pull-{number}", files, repro=repro)
        self.run("git", "switch", "-q", "--detach", "origin/main", at=clone)
        self.run("git", "merge", "-q", "--no-ff", "-m", "Merge", "topic", at=clone)
        refs = f"refs/pull/{number}"
        self.run("git", "push", "-q", "origin", f"HEAD:{refs}/merge", f"HEAD^2:{refs}/head", at=clone)
        return clone

    def merge(self, name: str, files: Mapping[str, str]) -> Path:
        """Return a clone as GitHub makes it for a push to main: a pull request that changes `files` was merged."""
        clone = self.change(name, files)
        self.run("git", "switch", "-q", "main", at=clone)
        self.run("git", "merge", "-q", "--no-ff", "-m", "Merge", "topic", at=clone)
        self.run("git", "push", "-q", "origin", "main", at=clone)
        return clone

    def change(self, name: str, files: Mapping[str, str], *, repro: bool = True) -> Path:
        """Return a clone with a branch `topic` that changes `files`."""
        clone = self.clone(name)
        self.run("git", "switch", "-q", "-c", "topic", at=clone)
        for path, text in files.items():
            write(clone, path, text)
        self.commit(clone, name, repro=repro)
        return clone

    def sha(self, clone: Path, revision: str = "HEAD") -> str:
        """Return a commit's SHA."""
        return self.run("git", "rev-parse", revision, at=clone)

    def aliases(self, model: str) -> dict[str, str]:
        """Return the registry's aliases of a model, and the versions that they name."""
        return Registry(self.mlflow).aliases(model)

    def tags(self) -> list[str]:
        """Return the tags of the remote: the ledgers."""
        return self.run("git", "tag", "--list", at=self.remote).splitlines()


def write(clone: Path, path: str, text: str) -> None:
    """Write a file of a clone."""
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(text)
