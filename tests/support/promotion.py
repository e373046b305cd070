"""Fixtures of the promotion tests: real git with a bare remote, real MLflow on SQLite, evidence made by hand."""

from __future__ import annotations

import atexit
import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import pytest

from passmuster import _ruling, digest, policy, record, verdict
from passmuster import config as configs
from passmuster._git import Repository
from passmuster.config import ModelConfig
from passmuster.errors import PassmusterError
from passmuster.ledger import Ledger
from passmuster.measurement import Estimate, Interval, NotApplicable, to_json
from passmuster.progress import Silent
from passmuster.promote import promote
from passmuster.record import Record
from passmuster.registry import Registry
from passmuster.swap import Result

MODEL = "credit"
CONFIG = Template("""\
name: $name
owner: risk
task: binary
requirements: requirements.txt
pipeline:
  targets: [$target]
  model: build/model
  outputs:
    build/model: {compare: metrics, by: build/metrics.json}
    build/metrics.json: {compare: metrics}
data:
  train: build/train.parquet
  test: build/test.parquet
  label: bad
  positive: "1"
  id: loan
  columns:
    loan: {type: integer}
    bad: {type: integer}
gates:
  schema: {mode: "off"}
  profile: {mode: "off"}
  leakage: {mode: "off"}
  drift: {mode: "off"}
  deepchecks: {mode: "off"}
  slices: {mode: "off"}
  calibration: {mode: "off"}
  environment: {mode: "off"}
  artifact: {mode: "off"}
  performance: {limits: {roc_auc_score: {min: $minimum}}}
  champion: {rules: {roc_auc_score: {margin: 0.02}}}
policy:
  waivers: [$waivers]
registry:
  name: $registry
  ledger: $ledger
""")


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person would, who has an identity."""
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@cache
def _template() -> Path:
    """An MLflow database that is migrated once for all tests of the process; that takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="passmuster-tests-"))
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}")
    registry.aliases("warm")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "mlflow.db"


@dataclass(frozen=True)
class Project:
    """A remote, its clones, and an MLflow that they share."""

    folder: Path
    name: str = MODEL

    @property
    def remote(self) -> Path:
        """The bare remote."""
        return self.folder / "remote.git"

    @property
    def root(self) -> Path:
        """The first clone."""
        return self.folder / "clone"

    @property
    def registry(self) -> Registry:
        """The MLflow of all clones."""
        return Registry(f"sqlite:///{self.folder / 'mlflow.db'}")

    @property
    def config(self) -> ModelConfig:
        """The model's config as committed last."""
        return configs.load_at(Repository(self.root), "HEAD")[self.name]

    @property
    def ledger(self) -> Ledger:
        """The model's ledger, seen from the first clone."""
        return Ledger.of(self.root, self.config)

    def clone(self, name: str, *options: str) -> Path:
        """Clone the remote once more."""
        git(self.folder, "clone", "-q", *options, self.remote.as_uri(), name)
        return self.folder / name

    def commit(self, text: str, **values: str) -> str:
        """Commit a config and a file, push, and return the commit."""
        values = {
            "name": self.name,
            "registry": "credit-risk",
            "target": "evaluate",
            "ledger": "origin",
            "waivers": "",
            "minimum": "0.7",
            **values,
        }
        path = self.root / "model-configs" / f"{values['name']}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(CONFIG.substitute(values))
        (self.root / "train.py").write_text(text)
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "-m", text)
        git(self.root, "push", "-q", "origin", "HEAD")
        return git(self.root, "rev-parse", "HEAD")

    def judge(self, root: Path | None = None, *, commit: str | None = None, **changes: Any) -> Path:
        """Leave the evidence of a candidate in a clone's folder, as the steps before promote would."""
        root = root or self.root
        commit = commit or git(root, "rev-parse", "HEAD")
        config = configs.load_at(Repository(root), commit)[self.name]
        return write_evidence(root, config, commit, Ledger.of(root, config).champion, **changes)

    def promote(self, root: Path | None = None, **options: Any) -> Result:
        """Promote what was judged in a clone."""
        return promote(root or self.root, self.config, progress=Silent(), **options)

    def champion(self, text: str, *, first: bool = False) -> str:
        """Commit, judge and promote, and return the commit."""
        commit = self.commit(text)
        self.judge()
        self.promote(first=first)
        return commit

    def consistent(self) -> None:
        """Check what must hold at rest, whatever happened before: one champion, aliases as the ledger says."""
        history = self.ledger.read()
        aliases = self.registry.aliases("credit-risk")
        champion, replaced = history.champion, history.replaced
        assert aliases.get("champion") == (champion.mlflow_version if champion else None)
        assert aliases.get("previous") == (replaced.mlflow_version if replaced else None)
        live = [v for v in self.registry.versions("credit-risk") if not v.lost]
        nonces = [v.tags["passmuster.nonce"] for v in live]
        assert sorted(nonces) == sorted(v.nonce for v in history.versions)


def write_evidence(
    root: Path,
    config: ModelConfig,
    commit: str,
    champion: Any,
    *,
    value: float = 0.8,
    difference: float = 0.01,
    content: str | None = None,
    inputs: str | None = None,
    folder: Path | None = None,
    train_ids: bytes | None = None,
    profile: bool = True,
) -> Path:
    """Write model directory, reference profile and records of an intact chain for `commit`; return their folder."""
    folder = folder or root / ".passmuster" / config.name
    shutil.rmtree(folder / "model", ignore_errors=True)
    (folder / "model" / "data").mkdir(parents=True)
    (folder / "model" / "MLmodel").write_text(content or f"flavors: {{}}\n# built for {commit} with {value}\n")
    (folder / "model" / "data" / "weights.bin").write_bytes(b"\x00\x01" * 100)
    (folder / "report.md").write_text("# passes muster\n")
    model = digest.of_path(folder / "model")
    (folder / "train_ids.parquet").unlink(missing_ok=True)
    trained = {}
    if train_ids is not None:
        (folder / "train_ids.parquet").write_bytes(train_ids)
        trained = {"train_ids": {"path": "train_ids.parquet", "digest": digest.of_bytes(train_ids), "rows": 1}}
    reproduce = Record(
        schema="reproduce",
        version=1,
        inputs={"input": digest.of_json(inputs or commit)},
        body={
            "model": config.name,
            "commit": commit,
            "decision": "reproducible",
            "outputs": [],
            "model_digest": model,
            "data": {},
            "metrics": {"roc_auc_score": value},
            "params": {"train.seed": 7},
            "environment": {
                "lock": digest.of_json("lock"),
                "python": "3.11.7",
                "platform": "linux-x86_64",
                "cpu_count": 2,
            },
            "stages": ["evaluate"],
            **trained,
        },
    )
    told = (
        champion and {"version": champion.version, "promotion": champion.promotion, "digest": champion.model_digest}
    ) or None
    score = Record(
        schema="score",
        version=1,
        inputs={"reproduce": reproduce.digest, "model": model},
        body={
            "model": config.name,
            "candidate": {"digest": model, "predictions": {}},
            "champion": {"state": "scored", **told} if told else {"state": "none"},
            "isolated": True,
        },
    )
    (folder / "profile.json").unlink(missing_ok=True)
    profiled = {}
    if profile:
        (folder / "profile.json").write_text(f'{{"of": "{commit}", "value": {value}}}')
        profiled = {"profile": {"path": "profile.json", "digest": digest.of_file(folder / "profile.json")}}
    gate = _verdict(root, config, commit, model, score, told, value, difference, profiled)
    for made in (reproduce, score, gate):
        record.write(made, folder / f"{made.schema}.json")
    return folder


def _verdict(
    root: Path,
    config: ModelConfig,
    commit: str,
    model: str,
    score: Record,
    champion: Any,
    value: float,
    difference: float,
    profiled: dict[str, Any],
) -> Record:
    within = Interval(low=value - 0.01, high=value + 0.01, level=0.95, method="DeLong")
    measurements = [
        Estimate(gate="performance", name="roc_auc_score", value=value, n=1000, interval=within),
        Estimate(
            gate="champion",
            name="roc_auc_score",
            value=difference,
            n=1000,
            interval=Interval(low=difference - 0.01, high=difference + 0.01, level=0.95, method="DeLong"),
            standard_error=0.005,
        )
        if champion
        else NotApplicable(gate="champion", name="champion", reason="no-champion"),
    ]
    today = date.today()

    def judged(by: ModelConfig) -> dict[str, Any]:
        found = verdict.judge(measurements, policy.from_config(by), compared=champion is not None, today=today)
        return {**verdict.to_body(found), "measurements": [to_json(m) for m in measurements]}

    rules = digest.of_json(configs.policy_json(config))
    body = judged(config)
    repository = Repository(root)
    other = _ruling.of_first_parent(repository, commit, config) if repository.has(commit) else None
    if other is not None:
        body["also"] = {**judged(other.config), "commit": other.commit, "digest": other.digest}
        if body["also"]["code"]:
            body |= {key: body["also"][key] for key in ("decision", "code")}
    return Record(
        schema="gate",
        version=1,
        inputs={"score": score.digest, "policy": rules, "model": model},
        body={
            "model": config.name,
            "commit": commit,
            "model_digest": model,
            "champion": champion,
            "policy": {"digest": rules, "ref": None, "commit": commit, "changes": []},
            "judged_on": today.isoformat(),
            "false_alarms": 0.005,
            **body,
            **profiled,
        },
    )


def alter(path: Path, schema: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a record with its digest right again, as a forger would who knows how."""
    found = record.read(path, schema)
    body = json.loads(json.dumps(dict(found.body)))
    change(body)
    record.write(Record(schema=schema, version=1, inputs=found.inputs, body=body), path)


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a remote and one clone, without MLflow; no git identity, no home but its own."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "GITHUB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = Project(tmp_path)
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(made.remote))
    made.clone("clone")
    (made.root / ".gitignore").write_text(".passmuster/\n")
    git(made.root, "checkout", "-q", "-b", "main")
    return made


@pytest.fixture
def project(clones: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The same with an empty MLflow, migrated already."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{clones.folder / 'mlflow.db'}")
    shutil.copy(_template(), clones.folder / "mlflow.db")
    return clones


def in_processes(work: Callable[[int, Callable[[], object]], object], count: int = 1) -> list[int]:
    """Run `work(0, wait)` … in forked processes, which meet at `wait()`; return their exit codes.

    A process that ends by an error of passmuster has that error's exit code, by another 99, by a signal its negative.
    """
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)

    def run(number: int) -> None:
        try:
            work(number, lambda: barrier.wait(120))
        except PassmusterError as exc:
            os._exit(int(exc.code))
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(99)
        os._exit(0)

    processes = [context.Process(target=run, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    return [99 if process.exitcode is None else process.exitcode for process in processes]
