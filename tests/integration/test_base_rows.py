"""Test rows are policy: a candidate that brings others is judged on those of the base as well.

Real git, DVC and gates; the models are one number each, asked in this process.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from passmuster import _scoring, digest, environments, gate, record
from passmuster import config as configs
from passmuster._git import Repository
from passmuster.comparison import read_table
from passmuster.config import ModelConfig
from passmuster.progress import Silent
from passmuster.record import Record
from passmuster.reproduce import described, folder
from passmuster.score import ChampionSource, NoAccess, score
from support.tiny_project import TinyProject

#: `x` tells the label but for one row in twenty, `z` tells nothing: who knows `z` alone is a bad model.
NUMBERS = np.random.default_rng(7)
X, Z = (np.round(NUMBERS.random(600), 3) for _ in "xz")
Y = np.where((X > 0.5) ^ (NUMBERS.random(600) < 0.05), "bad", "good")
IDS = range(1, 601)
#: The rows of the test split on which the bad model is wrong.
HARD = [i for i, z, y in zip(IDS, Z, Y, strict=True) if i > 300 and (z > 0.5) != (y == "bad")]

PREPARE = """\
    import csv
    from pathlib import Path

    rows = list(csv.DictReader(open("raw.csv")))
    # edited here
    train = [row for row in rows if int(row["id"]) <= 300]
    test = [row for row in rows if int(row["id"]) > 300]
    # or here
    Path("out").mkdir(exist_ok=True)
    for name, part in (("train", train), ("test", test)):
        with open(f"out/{name}.csv", "w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(part)
"""
PIPELINE = """\
    stages:
      prepare:
        cmd: python prepare.py
        deps: [prepare.py, raw.csv]
        outs: [out/train.csv, out/test.csv]
"""
CONFIG = """\
    name: tiny
    owner: someone@example.com
    task: binary
    requirements: requirements.txt
    pipeline:
      targets: [prepare]
      model: out/model
      outputs: {out/model: {compare: bytes, by: out/test.csv}, out/test.csv: {compare: bytes}}
    data:
      train: out/train.csv
      test: out/test.csv
      prepare: [prepare]
      label: y
      positive: bad
      id: id
      columns: {id: {type: integer}, x: {type: number}, z: {type: number}, y: {type: string}}
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
      performance: {limits: {roc_auc_score: {min: 0.7}}}
      champion: {rules: {roc_auc_score: {margin: 0.05}}}
    registry: {name: tiny, ledger: local}
"""


def raw(
    *, without: Any = (), flipped: Any = (), easy: Any = (), scale: float = 1.0, order: int = 1, more: str = ""
) -> str:
    """The raw data: rows left out, labels turned, features made to tell the label; in another order, with a column."""
    lines = []
    for i, x, z, y in zip(IDS, X, Z, Y, strict=True):
        label = {"bad": "good", "good": "bad"}[y] if i in flipped else y
        told = (0.9 if label == "bad" else 0.1) if i in easy else z
        if i not in without:
            lines.append(f"{i},{x * scale},{told},{label}" + (",1" if more else ""))
    return "\n".join(["id,x,z,y" + more, *lines[::order]]) + "\n"


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    """A project whose first commit is the champion's and the base, its data in DVC's cache."""
    made = TinyProject(tmp_path / "project")
    files = {"raw.csv": raw(), "prepare.py": PREPARE, "dvc.yaml": PIPELINE, "model-configs/tiny.yaml": CONFIG}
    for path, text in files.items():
        made.write(path, text)
    made.write(".gitignore", ".passmuster/\n")
    made.commit()
    return made


@pytest.fixture(autouse=True)
def _models_in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(environments, "ensure", lambda _: Path(sys.executable))
    monkeypatch.setattr(_scoring, "run", answer)


def answer(model: Path, files: Mapping[Path, Path], *, id: str, label: str, **_: Any) -> bool:  # noqa: A002
    """Answer with the one feature that the model knows."""
    knows = json.loads((model / "MLmodel").read_text())
    for data, out in files.items():
        table = parquet.read_table(data)
        if knows["feature"] not in table.column_names:
            raise _scoring.CannotTakeColumns(f"takes {knows['feature']}")
        bad = np.clip(table[knows["feature"]].to_numpy() / knows["scale"], 0, 1)
        found = {
            id: table[id],
            "label": table[label],
            "prediction": np.where(bad > 0.5, "bad", "good"),
            "proba_bad": bad,
            "proba_good": 1 - bad,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table(found), out)
    return True


def model(at: Path, feature: str, scale: float = 1.0) -> Path:
    at.mkdir(parents=True)
    (at / "MLmodel").write_text(json.dumps({"feature": feature, "scale": scale}))
    (at / "passmuster.lock").write_text("# nothing\n")
    return at


def candidate(project: TinyProject, feature: str = "z", scale: float = 1.0) -> ModelConfig:
    """Commit what was changed, and leave what `reproduce` leaves for it."""
    commit = project.commit()
    target = folder(project.root, "tiny")
    shutil.rmtree(target, ignore_errors=True)
    model(target / "model", feature, scale)
    (target / "data").mkdir()
    for split in ("train", "test"):
        parquet.write_table(read_table(project.root / f"out/{split}.csv"), target / f"data/{split}.parquet")
    parquet.write_table(parquet.read_table(target / "data/train.parquet").select(["id"]), target / "train_ids.parquet")
    body = {
        "model": "tiny",
        "commit": commit,
        "decision": "reproducible",
        "outputs": [],
        "model_digest": digest.of_path(target / "model"),
        "data": {split: described(target, f"data/{split}.parquet") for split in ("train", "test")},
        "train_ids": described(target, "train_ids.parquet"),
        "environment": {},
    }
    made = Record(schema="reproduce", version=1, inputs={"input": digest.of_bytes(b"")}, body=body)
    record.write(made, target / "reproduce.json")
    return configs.load_at(Repository(project.root), commit)["tiny"]


def judged(project: TinyProject, config: ModelConfig, **options: Any) -> dict[str, Any]:
    """Score beside the champion, which knows `x`, and judge; return the verdict."""
    ids = project.root.parent / "champion.parquet"
    parquet.write_table(pa.table({"id": list(range(1, 301))}), ids)
    directory = project.root.parent / "champion"
    source = ChampionSource(
        version="v1",
        promotion=1,
        commit=project.git("rev-list", "--max-parents=0", "HEAD"),
        digest=digest.of_path(directory if directory.exists() else model(directory, "x")),
        directory=directory,
        train_ids=ids,
    )
    score(project.root, config, **{"champion": source, **options}, progress=Silent())
    return dict(gate.gate(project.root, config, today=date(2026, 11, 23), progress=Silent()).body)


def outcomes(body: dict[str, Any]) -> dict[str, str]:
    return {f"{j['gate']}: {j['name']}": j["outcome"] for j in body["judgements"]}


def edited(first: str, later: str = "") -> str:
    """The preparation, with a line or two of more."""
    return PREPARE.replace("# edited here", first).replace("# or here", later)


CHEATS: Mapping[str, tuple[Callable[[TinyProject], None], Mapping[str, int]]] = {
    "dropped from the raw data": (lambda p: p.write("raw.csv", raw(without=HARD)), {"removed": len(HARD)}),
    "dropped by the preparation": (
        lambda p: p.write("prepare.py", edited(f"rows = [row for row in rows if int(row['id']) not in {HARD}]")),
        {"removed": len(HARD)},
    ),
    "relabelled": (lambda p: p.write("raw.csv", raw(flipped=HARD)), {"relabelled": len(HARD)}),
    "made easy": (lambda p: p.write("raw.csv", raw(easy=HARD)), {"changed": len(HARD)}),
    "replaced under other ids": (
        lambda p: p.write("raw.csv", raw(without=HARD) + "".join(f"{900 + i},0.9,0.9,bad\n" for i in range(9))),
        {"removed": len(HARD), "added": 9},
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_bad_model_on_easier_rows_does_not_pass(project: TinyProject, cheat: str) -> None:
    """On its own rows it passes everything; on the base's it fails both gates. The rows are listed."""
    change, counts = CHEATS[cheat]
    change(project)
    body = judged(project, candidate(project))
    told = body["test_rows"]

    assert outcomes(body)["performance: roc_auc_score"] == "pass"
    assert outcomes(body)["performance: base::roc_auc_score"] == "fail"
    assert outcomes(body)["champion: base::roc_auc_score"] == "fail"
    assert (told["state"], told["differences"]["rows"]) == ("others", 300)
    assert {kind: n for kind, n in told["differences"]["counts"].items() if n} == counts
    assert told["differences"]["first"]["added" if "added" in counts else next(iter(counts))]
    (limit,) = {j["measurement"]["n"] for j in body["judgements"] if j["name"] == "base::roc_auc_score"}
    assert limit == 300


def test_rows_that_moved_into_the_training_data_are_left_out_and_counted(project: TinyProject) -> None:
    """The candidate has seen them; the rest of the base's rows still counts."""
    moved = f"train += [row for row in test if int(row['id']) in {HARD}]"
    left = f"test = [row for row in test if int(row['id']) not in {HARD}]"
    project.write("prepare.py", edited("", f"{moved}; {left}"))
    body = judged(project, candidate(project))
    differences = body["test_rows"]["differences"]

    assert differences["counts"]["trained_on"] == len(HARD) and differences["counts"]["removed"] == 0
    assert differences["first"]["trained_on"] == [str(i) for i in HARD[:5]]
    (n,) = {j["measurement"]["n"] for j in body["judgements"] if j["name"] == "base::roc_auc_score"}
    assert n == 300 - len(HARD)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(raw(), id="nothing"),
        pytest.param(raw(order=-1), id="another order"),
        pytest.param(raw(more=",w"), id="a new feature"),
        pytest.param(raw(without=range(1, 50)), id="training rows alone"),
    ],
)
def test_the_same_rows_add_nothing(project: TinyProject, text: str) -> None:
    """By content: an honest candidate meets no more questions than before."""
    project.write("raw.csv", text)
    project.write("settings.py", "SCALE = 2\n")
    body = judged(project, candidate(project, "x"))

    assert body["decision"] == "promote"
    assert body["test_rows"]["state"] == "same"
    assert set(outcomes(body)) == {"performance: roc_auc_score", "champion: roc_auc_score"}


def test_a_changed_preparation_makes_the_bases_rows_anew(project: TinyProject) -> None:
    """A column that means something else now is not asked with the base's values; the champion keeps its own."""
    project.write("prepare.py", edited('for row in rows: row["x"] = float(row["x"]) * 12'))
    body = judged(project, candidate(project, "x", scale=12.0))
    measured = {j["name"]: j["measurement"] for j in body["judgements"] if j["gate"] == "champion"}

    assert body["decision"] == "promote"
    assert body["test_rows"]["differences"]["counts"]["changed"] == 300
    assert measured["base::roc_auc_score"]["value"] == 0.0


def test_more_rows_of_the_same_kind_are_welcome(project: TinyProject) -> None:
    """They are judged, and the base's as well."""
    project.write(
        "raw.csv",
        raw() + "".join(f"{i},{0.9 if i % 2 else 0.1},0.5,{('good', 'bad')[i % 2]}\n" for i in range(700, 800)),
    )
    body = judged(project, candidate(project, "x"))

    assert body["decision"] == "promote"
    assert body["test_rows"]["differences"]["counts"]["added"] == 100
    assert outcomes(body)["champion: base::roc_auc_score"] == "pass"


def _forget_the_data(project: TinyProject) -> None:
    shutil.rmtree(project.root / ".dvc/cache")


def test_rows_that_nobody_kept_are_made_again_by_the_bases_own_preparation(project: TinyProject) -> None:
    project.write("raw.csv", raw(without=HARD))
    config = candidate(project)
    _forget_the_data(project)
    body = judged(project, config)

    assert outcomes(body)["performance: base::roc_auc_score"] == "fail"


def _not_kept(project: TinyProject) -> str:
    """The base does not say how its rows are made, and nobody kept them."""
    project.write("model-configs/tiny.yaml", CONFIG.replace("      prepare: [prepare]\n", ""))
    base = project.commit()
    shutil.rmtree(project.root / ".dvc/cache")
    return base


def _of_another_id(project: TinyProject) -> str:
    project.write("model-configs/tiny.yaml", CONFIG.replace("id: id\n", "id: x\n"))
    base = project.commit()
    project.write("model-configs/tiny.yaml", CONFIG)
    return base


def _unknown(project: TinyProject) -> str:
    project.git("rm", "-q", "--cached", "model-configs/tiny.yaml")
    project.git("commit", "-q", "-m", "before the model")
    return project.git("rev-parse", "HEAD")


def _fails_on_the_bases_data(project: TinyProject) -> str:
    project.write("prepare.py", edited('for row in rows: row["x"] = float(row["x"]) * 2', "assert len(rows) < 600"))
    return project.git("rev-parse", "HEAD")


def _trains_on_all(project: TinyProject) -> str:
    project.write("prepare.py", edited("", "train = rows; test = [{**row, 'z': 0.5} for row in test]"))
    return project.git("rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_not_kept, "name data.prepare"),
        (_of_another_id, "is another column"),
        (_unknown, r"that commit has no model-configs/tiny\.yaml"),
        (_fails_on_the_bases_data, "own preparation failed"),
        (_trains_on_all, "trained on all 300"),
    ],
)
def test_rows_that_cannot_be_compared_are_an_error_never_the_same(
    project: TinyProject, change: Callable[[TinyProject], str], said: str
) -> None:
    """Of each gate that would have measured on them."""
    base = change(project)
    project.write("raw.csv", raw(without=HARD) if change is not _trains_on_all else raw())
    config = candidate(project)
    if change is _not_kept:
        shutil.rmtree(project.root / ".dvc/cache")
    score(project.root, config, base=base, champion=NoAccess(), progress=Silent())
    loosest = (
        gate.gate(project.root, config, policy_ref=base, fork=True, today=date(2026, 11, 23), progress=Silent()).body
        if change not in (_of_another_id, _unknown)
        else None
    )
    told = record.read(folder(project.root, "tiny") / "score.json", "score").body["base"]

    assert told["state"] == "unknown"
    assert re.search(said, told["message"])
    if loosest is not None:
        assert outcomes(loosest)["performance: base::roc_auc_score"] == "error"
        assert loosest["test_rows"] == told


def test_that_the_rows_are_the_same_must_have_been_said_of_the_commit_that_rules(project: TinyProject) -> None:
    """Scores that know another base, or none, do not answer for this one."""
    config = candidate(project, "x")
    judged(project, config)
    base = project.git("rev-parse", "HEAD")

    def against(ref: str) -> dict[str, Any]:
        return dict(gate.gate(project.root, config, policy_ref=ref, today=date(2026, 11, 23), progress=Silent()).body)

    silent = against(base)
    score(project.root, config, base=base, champion=None, progress=Silent())

    assert outcomes(silent)["performance: base::roc_auc_score"] == "error"
    assert outcomes(silent)["champion: base::roc_auc_score"] == "error"
    assert silent["test_rows"]["state"] == "unknown" and "score --base" in silent["test_rows"]["message"]
    assert against(base)["test_rows"] == {"commit": base, "state": "same"}
