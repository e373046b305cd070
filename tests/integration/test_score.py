"""Candidate and champion on the same rows: real MLflow models, each answering in a process of its own.

Their environment is the one that runs the tests, so that none has to be built; one test builds the example's.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import compute as pc
from pyarrow import parquet

from passmuster import _base_rows, _dvc, _preparation, _scoring, digest, environments, record
from passmuster.config import Column, ColumnType, ModelConfig, Task
from passmuster.errors import NotMeasured, NotReproducible, Refused
from passmuster.progress import Silent
from passmuster.record import Record
from passmuster.reproduce import described, folder
from passmuster.score import ChampionSource, NoAccess, score
from support.tiny_project import TinyProject, config

COUNT = 60
RAW = "id,x,z,y\n" + "".join(
    f"{i},{i % 7 / 7:.3f},{i % 5 / 5:.3f},{'bad' if (i * 7) % 11 < 5 else 'good'}\n" for i in range(1, COUNT + 1)
)
PREPARE = """\
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet

    Path("out").mkdir(exist_ok=True)
    rows = csv.read_csv("raw.csv").select(["id", "x", "z", "y"])
    rows = rows.filter(pc.less_equal(rows["id"], 60))
    for name, part in (("train", rows.slice(0, 40)), ("test", rows.slice(40))):
        parquet.write_table(part, f"out/{name}.parquet")
"""
PIPELINE = """\
    stages:
      prepare:
        cmd: python prepare.py
        deps: [prepare.py, raw.csv]
        outs: [out/train.parquet, out/test.parquet]
"""
CONFIG = """\
    name: tiny
    owner: someone@example.com
    task: binary
    requirements: requirements.txt
    pipeline:
      targets: [prepare]
      model: out/model
      outputs: {out/model: {compare: bytes, by: out/test.parquet}, out/test.parquet: {compare: bytes}}
    data:
      train: out/train.parquet
      test: out/test.parquet
      prepare: [prepare]
      label: y
      positive: bad
      id: id
      columns: {id: {type: integer}, x: {type: number}, z: {type: number}, y: {type: string}}
    gates:
      performance: {limits: {roc_auc_score: {min: 0.5}}}
      champion: {rules: {roc_auc_score: {margin: 0.1}}}
    registry: {name: tiny, ledger: local}
"""
TIMES_12 = 'rows = rows.set_column(1, "x", pc.multiply(rows["x"], 12.0))'
READ_ALL = 'pa.concat_tables([csv.read_csv(path) for path in sorted(Path("raw").glob("*.csv"))])'
LOCK = """\
    schema: '2.0'
    stages:
      prepare:
        cmd: python prepare.py
        outs:
        - {path: out/test.parquet, hash: md5, md5: '222'}
        - {path: out/train.parquet, hash: md5, md5: '111'}
"""
FILES = {"train": "out/train.parquet", "test": "out/test.parquet"}
Table = pa.Table


@pytest.fixture(scope="module")
def raw() -> Table:
    from io import BytesIO

    from pyarrow import csv

    return csv.read_csv(BytesIO(RAW.encode()))


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, raw: Table) -> Callable[..., Path]:
    """Return a function that saves a classifier of these features as an MLflow directory; the same ones once only."""
    made: dict[tuple[str, ...], Path] = {}

    def trained(*features: str, table: Table = raw) -> Path:
        if features not in made:
            import mlflow.sklearn
            from mlflow.models import infer_signature
            from sklearn.linear_model import LogisticRegression

            frame = table.to_pandas()
            model = LogisticRegression().fit(frame[list(features)], frame["y"])
            made[features] = tmp_path_factory.mktemp("models") / "model"
            signature = infer_signature(frame[list(features)], model.predict(frame[list(features)]))
            mlflow.sklearn.save_model(
                model, made[features], signature=signature, pip_requirements=[], serialization_format="cloudpickle"
            )
            (made[features] / "passmuster.lock").write_text("# nothing\n")
        return made[features]

    return trained


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr(environments, "ensure", lambda _: Path(sys.executable))


@pytest.fixture(autouse=True)
def _the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose test rows count is the matter of `test_base_rows.py`."""
    monkeypatch.setattr(
        _base_rows, "find", lambda *_, base, **__: _base_rows.Found(told={"commit": base, "state": "same"})
    )


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    """A project whose first commit is the champion's."""
    made = TinyProject(tmp_path / "project")
    for path, text in {"raw.csv": RAW, "prepare.py": PREPARE, "dvc.yaml": PIPELINE}.items():
        made.write(path, text)
    made.write("model-configs/tiny.yaml", CONFIG)
    made.commit(repro=False)
    return made


def binary(**changes: Any) -> ModelConfig:
    data = {**FILES, "label": "y", "positive": "bad", "columns": {"x": Column(type=ColumnType.NUMBER)}}
    return config(task=Task.BINARY, data={**data, **changes.pop("data", {})}, **changes)


def candidate(project: TinyProject, model: Path, splits: dict[str, Table], **changes: Any) -> Record:
    """Leave what `reproduce` leaves, for a candidate with these files at the project's last commit."""
    target = folder(project.root, "tiny")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(model, target / "model")
    (target / "data").mkdir()
    for split, table in splits.items():
        parquet.write_table(table, target / f"data/{split}.parquet")
    parquet.write_table(splits["train"].select(["id"]), target / "train_ids.parquet")
    body = {
        "model": "tiny",
        "commit": project.git("rev-parse", "HEAD"),
        "decision": "reproducible",
        "model_digest": digest.of_path(target / "model"),
        "data": {split: described(target, f"data/{split}.parquet") for split in splits},
        "train_ids": described(target, "train_ids.parquet"),
        **changes,
    }
    made = Record(schema="reproduce", version=1, inputs={"input": digest.of_bytes(b"")}, body=body)
    record.write(made, target / "reproduce.json")
    return made


def champion(project: TinyProject, model: Path, trained_on: Table | None = None) -> ChampionSource:
    ids = project.root.parent / "train_ids.parquet"
    if trained_on is not None:
        parquet.write_table(trained_on.select(["id"]), ids)
    return ChampionSource(
        version="v3",
        promotion=4,
        commit=project.git("rev-list", "--max-parents=0", "HEAD"),
        digest=digest.of_path(model),
        directory=model,
        environment={"python": "3.11.7"},
        train_ids=None if trained_on is None else ids,
    )


def scored(
    project: TinyProject,
    source: ChampionSource | None,
    settings: ModelConfig | None = None,
    waiting: _scoring.Waiting | None = None,
) -> Record:
    return score(project.root, settings or binary(), champion=source, waiting=waiting, progress=Silent())


def predictions(project: TinyProject, who: str, split: str = "test") -> Table:
    return parquet.read_table(project.root / f".passmuster/tiny/predictions/{who}/{split}.parquet")


def split(table: Table, at: int = 40) -> dict[str, Table]:
    return {"train": table.slice(0, at), "test": table.slice(at)}


class TestACandidateAlone:
    def test_answers_every_split_and_the_record_names_all_by_digest(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        reproduced = candidate(project, train("x", "z"), split(raw))

        found = scored(project, None)

        target = project.root / ".passmuster/tiny"
        said = found.body["candidate"]["predictions"]["test"]
        assert found.body["champion"] == {"state": "none"}
        assert found.inputs["reproduce"] == reproduced.digest
        assert found.inputs["model"] == found.body["candidate"]["digest"] == digest.of_path(target / "model")
        assert said == described(target, "predictions/candidate/test.parquet")
        assert said["rows"] == 20
        assert record.read(target / "score.json", "score") == found
        answers = predictions(project, "candidate")
        assert answers.column_names == ["id", "label", "prediction", "proba_bad", "proba_good"]
        assert answers["id"].equals(raw.slice(40)["id"])
        assert found.body["isolation"] == environments.isolation(network=False).to_json()
        assert found.body["isolated"] == found.body["isolation"]["network"]

    def test_is_not_asked_again_for_the_same_model_and_data(
        self, project: TinyProject, raw: Table, train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        candidate(project, train("x", "z"), split(raw))
        first = scored(project, None)
        monkeypatch.setattr(environments, "ensure", lambda _: Path("/no/such/python"))

        assert scored(project, None).digest == first.digest

    def test_is_asked_again_where_what_was_kept_is_altered(
        self,
        project: TinyProject,
        raw: Table,
        train: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path / "cache"))
        candidate(project, train("x", "z"), split(raw))
        first = scored(project, None)
        for kept in (tmp_path / "cache/predictions").glob("*.parquet"):
            table = parquet.read_table(kept)
            forged = table.set_column(4, "proba_good", table["proba_bad"]).set_column(
                3, "proba_bad", table["proba_good"]
            )
            parquet.write_table(forged, kept)

        assert scored(project, None).digest == first.digest

    def test_is_no_more_isolated_than_when_it_was_asked(
        self,
        project: TinyProject,
        raw: Table,
        train: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Answers from the cache are those of a model that may have had the network, or written where it liked."""
        monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path / "cache"))
        candidate(project, train("x", "z"), split(raw))
        with monkeypatch.context() as open_:
            open_.setattr(environments, "isolation", lambda **_: environments.Isolation())
            scored(project, None)

        again = scored(project, None)
        for note in (tmp_path / "cache/predictions").glob("*.json"):
            note.write_text(json.dumps({"digest": json.loads(note.read_text())["digest"], "isolated": True}))
        new = scored(project, None)

        assert again.body["isolation"] == {"network": False, "processes": False, "files": False}
        assert again.body["isolated"] is False
        assert new.body["isolation"] == environments.isolation(network=False).to_json()

    @pytest.mark.parametrize("decision", ["not reproducible", "error"])
    def test_that_is_not_reproducible_is_not_scored(
        self, project: TinyProject, raw: Table, train: Callable[..., Path], decision: str
    ) -> None:
        candidate(project, train("x", "z"), split(raw), decision=decision)

        with pytest.raises(NotReproducible):
            scored(project, None)

    @pytest.mark.parametrize("path", ["model/MLmodel", "data/test.parquet", "reproduce.json"])
    def test_whose_files_were_altered_is_refused(
        self, project: TinyProject, raw: Table, train: Callable[..., Path], path: str
    ) -> None:
        candidate(project, train("x", "z"), split(raw))
        altered = project.root / ".passmuster/tiny" / path
        altered.write_bytes(altered.read_bytes().replace(b'"x"', b'"q"') + b" ")
        if path == "reproduce.json":
            altered.write_text(altered.read_text().replace('"reproducible"', '"reproducible "'))

        with pytest.raises(Refused):
            scored(project, None)

    def test_with_two_rows_of_the_same_id_is_refused(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        twice = pa.concat_tables([raw.slice(40), raw.slice(40, 1)])
        candidate(project, train("x", "z"), {"train": raw, "test": twice})

        with pytest.raises(NotMeasured, match=r"does not name each row"):
            scored(project, None)

    def test_without_a_column_that_it_takes_is_refused(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        candidate(project, train("x", "z"), split(raw.drop_columns(["z"])))

        with pytest.raises(NotMeasured, match=r"takes z, which the data does not have"):
            scored(project, None)


def test_a_champion_out_of_reach_is_neither_none_nor_scored(
    project: TinyProject, raw: Table, train: Callable[..., Path]
) -> None:
    """The candidate is scored all the same; that the champion was not asked stands in the record."""
    candidate(project, train("x", "z"), split(raw))
    found = score(project.root, binary(), champion=NoAccess(), progress=Silent())

    assert found.body["champion"]["state"] == "no-access"
    assert "champion" not in found.inputs
    assert found.body["candidate"]["predictions"]["test"]["rows"] == 20


def test_a_re_run_of_another_commit_than_the_call_names_is_not_scored(
    project: TinyProject, raw: Table, train: Callable[..., Path]
) -> None:
    candidate(project, train("x", "z"), split(raw))

    with pytest.raises(Refused, match="was re-run, not bbbbbbbbbbbb"):
        score(project.root, binary(), commit="b" * 40, champion=None, progress=Silent())


HOSTILE = """\
import mlflow.pyfunc
import pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        {code}
        p = pd.Series([0.5] * len(model_input))
        return pd.DataFrame({{"prediction": "bad", "proba_bad": p, "proba_good": 1 - p}})

mlflow.models.set_model(Model())
"""


class TestAHostileModel:
    @pytest.fixture
    def hostile(self, tmp_path: Path) -> Callable[[str], Path]:
        def saved(code: str) -> Path:
            import mlflow.pyfunc

            (tmp_path / "code.py").write_text(HOSTILE.format(code=code))
            mlflow.pyfunc.save_model(tmp_path / "hostile", python_model=str(tmp_path / "code.py"), pip_requirements=[])
            (tmp_path / "hostile/passmuster.lock").write_text("# nothing\n")
            return tmp_path / "hostile"

        return saved

    def test_that_crashes_is_not_measured_with_its_last_words(
        self, project: TinyProject, raw: Table, hostile: Callable[[str], Path]
    ) -> None:
        candidate(project, hostile("raise RuntimeError('broken weights')"), split(raw))

        with pytest.raises(NotMeasured, match=r"broken weights"):
            scored(project, None)

        assert not (project.root / ".passmuster/tiny/score.json").exists()

    def test_that_hangs_is_ended(self, project: TinyProject, raw: Table, hostile: Callable[[str], Path]) -> None:
        candidate(project, hostile("import time; time.sleep(600)"), split(raw))

        with pytest.raises(NotMeasured, match=r"did not answer within 20 s"):
            scored(project, None, binary(pipeline={"timeout": 20.0}))

    def test_that_ends_well_without_answers_is_not_believed(
        self, project: TinyProject, raw: Table, hostile: Callable[[str], Path]
    ) -> None:
        candidate(project, hostile("import os; os._exit(0)"), split(raw))

        with pytest.raises(NotMeasured, match=r"crashed"):
            scored(project, None)

    def test_that_alters_what_reproduce_left_is_refused(
        self, project: TinyProject, raw: Table, hostile: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the system does not keep it from that."""
        monkeypatch.setattr(environments, "isolation", lambda **_: environments.Isolation())
        ids = project.root / ".passmuster/tiny/train_ids.parquet"
        candidate(project, hostile(f"open({str(ids)!r}, 'ab').write(b'x')"), split(raw))

        with pytest.raises(Refused, match=r"not the one that was reproduced"):
            scored(project, None)

        assert not (project.root / ".passmuster/tiny/score.json").exists()

    def test_sees_no_secret_and_where_possible_no_network(
        self, project: TinyProject, raw: Table, hostile: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
        look = (
            "import os, socket; assert 'MLFLOW_TRACKING_TOKEN' not in os.environ; "
            "assert [name for _, name in socket.if_nameindex()] == ['lo']"
        )
        if environments.without_network(["true"]) == ["true"]:
            look = look.partition("; assert [")[0]
        candidate(project, hostile(look), split(raw))

        found = scored(project, None)

        assert found.body["isolated"] == (environments.without_network(["true"]) != ["true"])


class TestTheChampion:
    def test_answers_the_candidates_rows_and_its_training_rows_are_listed(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        candidate(project, train("x", "z"), split(raw))

        found = scored(project, champion(project, train("x"), trained_on=raw.slice(0, 45)))

        said = found.body["champion"]
        target = project.root / ".passmuster/tiny"
        assert (said["state"], said["version"], said["promotion"], said["prepared"]) == ("scored", "v3", 4, False)
        assert said["digest"] == digest.of_path(target / said["model"]) == found.inputs["champion"]
        assert predictions(project, "champion")["id"].equals(predictions(project, "candidate")["id"])
        assert not predictions(project, "champion")["proba_bad"].equals(predictions(project, "candidate")["proba_bad"])
        assert said["overlap"] == {"test": 5}
        assert parquet.read_table(target / "leave_out/test.parquet")["id"].to_pylist() == [41, 42, 43, 44, 45]

    def test_whose_training_rows_nobody_kept_has_an_unknown_overlap(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        candidate(project, train("x", "z"), split(raw))

        found = scored(project, champion(project, train("x")))

        assert found.body["champion"]["overlap"] == "unknown"
        assert found.body["champion"]["leave_out"] == {}

    def test_takes_data_to_which_a_column_was_added(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        wider = raw.append_column("w", raw["x"])
        candidate(project, train("x", "z"), split(wider))

        found = scored(project, champion(project, train("x", "z")))

        assert (found.body["champion"]["state"], found.body["champion"]["prepared"]) == ("scored", False)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda table: table.drop_columns(["z"]), id="removed"),
            pytest.param(lambda table: table.rename_columns(["id", "x", "zz", "y"]), id="renamed"),
            pytest.param(lambda table: table.set_column(2, "z", [["many"] * table.num_rows]), id="text now"),
        ],
    )
    def test_gets_its_own_columns_from_its_own_preparation_where_one_is_gone(
        self, project: TinyProject, raw: Table, train: Callable[..., Path], change: Callable[[Table], Table]
    ) -> None:
        candidate(project, train("x"), {name: change(table) for name, table in split(raw).items()})

        found = scored(project, champion(project, train("x", "z"), trained_on=raw.slice(0, 40)))

        said = found.body["champion"]
        answers = predictions(project, "champion")
        assert (said["state"], said["prepared"]) == ("scored", True)
        assert said["prepared_because"].startswith("the champion can't take the candidate's columns: ")
        assert answers["id"].equals(raw.slice(40)["id"])
        assert answers["label"].to_pylist() == raw.slice(40)["y"].to_pylist()
        assert said["overlap"] == {"test": 0}
        candidate(project, train("x", "z"), split(raw))
        scored(project, None)
        assert answers["proba_bad"].equals(predictions(project, "candidate")["proba_bad"])

    def test_is_compared_on_the_rows_of_a_moved_split_less_those_it_was_trained_on(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        moved = {"train": raw.slice(30), "test": raw.slice(0, 30)}
        narrow = {name: table.drop_columns(["z"]) for name, table in moved.items()}
        candidate(project, train("x"), narrow)

        found = scored(project, champion(project, train("x", "z"), trained_on=raw.slice(0, 20)))

        assert found.body["champion"]["prepared"] is True
        assert found.body["champion"]["overlap"] == {"test": 20}
        assert predictions(project, "champion")["id"].equals(moved["test"]["id"])

    @pytest.mark.parametrize(
        "case",
        [
            "renamed in the raw data too",
            "renamed in the raw data, and back by the candidate",
            "new rows",
            "no such commit",
            "no config",
        ],
    )
    def test_that_cannot_be_asked_is_unreadable_with_a_reason_and_never_none(
        self, project: TinyProject, raw: Table, train: Callable[..., Path], case: str
    ) -> None:
        splits = {name: table.drop_columns(["z"]) for name, table in split(raw).items()}
        source = champion(project, train("x", "z"))
        if case == "renamed in the raw data too":
            project.write("raw.csv", RAW.replace("id,x,z,y", "id,x,zz,y"))
            expected = "own preparation failed"
        elif case == "renamed in the raw data, and back by the candidate":
            project.write("raw.csv", RAW.replace("id,x,z,y", "id,x,zz,y"))
            project.write("prepare.py", "raise SystemExit('the candidate prepares otherwise')\n")
            splits, expected = split(raw), "own preparation failed"
        elif case == "new rows":
            new = pa.table({"id": [61], "x": [0.5], "y": ["bad"]})
            splits["test"] = pa.concat_tables([splits["test"], new])
            project.write("raw.csv", RAW + "61,0.5,0.5,bad\n")
            expected = "lacks 1 of 21 rows"
        elif case == "no such commit":
            source = ChampionSource(**{**vars(source), "commit": "0" * 40})
            expected = "no commit"
        else:
            project.git("rm", "-q", "model-configs/tiny.yaml")
            project.commit(repro=False)
            source = ChampionSource(**{**vars(source), "commit": project.git("rev-parse", "HEAD")})
            expected = "no config"
        project.commit(repro=False)
        candidate(project, train("x"), splits)

        found = scored(project, source)

        said = found.body["champion"]
        assert said["state"] == "unreadable"
        assert expected in said["message"]
        assert said["digest"] == source.digest

    @pytest.mark.parametrize("ahead", [0, 2])
    def test_is_not_asked_with_a_column_whose_meaning_the_candidate_changed_under_its_name(
        self,
        project: TinyProject,
        raw: Table,
        train: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        ahead: int,
    ) -> None:
        """Asked with the new meaning it would look worse than it is, and a worse candidate would pass.

        Programs that were started ahead, before its rows were prepared, find them too.
        """
        monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path / "cache"))
        project.write(
            "prepare.py", PREPARE.replace('["id", "x", "z", "y"])', f'["id", "x", "z", "y"])\n    {TIMES_12}')
        )
        project.commit(repro=False)
        times_12 = raw.set_column(1, "x", pc.multiply(raw["x"], 12.0))
        candidate(project, train("x", "z"), split(times_12))

        with _scoring.Waiting() as waiting, monkeypatch.context() as no_other:
            for _ in range(ahead):
                waiting.start(train("x") / _scoring.LOCK)
            if ahead:
                no_other.setattr(_scoring, "_started", None)
            found = scored(project, champion(project, train("x")), waiting=waiting)

        said = found.body["champion"]
        assert (said["state"], said["prepared"]) == ("scored", True)
        assert said["prepared_because"] == "the candidate's data is prepared otherwise than the champion's: prepare.py"
        answers = predictions(project, "champion")
        candidate(project, train("x"), split(raw))
        scored(project, None)
        assert answers.equals(predictions(project, "candidate"))

    def test_gets_the_candidates_files_where_its_own_preparation_makes_the_same(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        project.write("prepare.py", f"# by other words\n{dedent(PREPARE)}")
        project.commit(repro=False)
        candidate(project, train("x", "z"), split(raw))

        found = scored(project, champion(project, train("x", "z")))

        said = found.body["champion"]
        assert (said["state"], said["prepared"], said["prepared_because"]) == ("scored", False, "")
        assert said["profile"] is None
        assert predictions(project, "champion").equals(predictions(project, "candidate"))

    def test_is_unreadable_where_a_row_has_another_label_in_its_own_preparation(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        project.write("prepare.py", "raise SystemExit('the candidate prepares otherwise')\n")
        project.commit(repro=False)
        relabelled = pc.if_else(pc.equal(raw["id"], 55), "good" if raw["y"][54].as_py() == "bad" else "bad", raw["y"])
        candidate(project, train("x", "z"), split(raw.set_column(3, "y", relabelled)))

        found = scored(project, champion(project, train("x", "z")))

        said = found.body["champion"]
        assert said["state"] == "unreadable"
        assert "1 of 20 rows of test get another label" in said["message"]
        assert "first id 55" in said["message"]
        assert not list((project.root / ".passmuster/tiny/predictions/champion").iterdir())

    def test_that_is_not_the_one_promoted_is_refused(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        candidate(project, train("x", "z"), split(raw))
        source = champion(project, train("x"))

        with pytest.raises(Refused, match=r"not the model that was promoted as v3"):
            scored(project, ChampionSource(**{**vars(source), "digest": digest.of_bytes(b"another")}))

    def test_brings_its_profile_along_if_it_is_the_one_promoted(
        self, project: TinyProject, raw: Table, train: Callable[..., Path]
    ) -> None:
        candidate(project, train("x", "z"), split(raw))
        profile = project.root.parent / "profile.json"
        profile.write_text('{"rows": 40}')
        named = {"profile": profile, "profile_digest": digest.of_file(profile)}
        source = ChampionSource(**{**vars(champion(project, train("x"))), **named})

        said = scored(project, source).body["champion"]["profile"]

        copy = project.root / ".passmuster/tiny/champion/profile.json"
        assert said == {"path": "champion/profile.json", "digest": digest.of_file(copy)}
        assert copy.read_bytes() == profile.read_bytes()
        profile.write_text('{"rows": 41}')
        with pytest.raises(Refused, match=r"not the profile that v3 was promoted with"):
            scored(project, source)

    def test_leaves_the_workspace_as_it_was(self, project: TinyProject, raw: Table, train: Callable[..., Path]) -> None:
        candidate(project, train("x"), {name: table.drop_columns(["z"]) for name, table in split(raw).items()})
        project.write("unfinished.py", "mine\n")
        before = project.git("status", "--porcelain")

        scored(project, champion(project, train("x", "z")))

        assert project.git("status", "--porcelain") == before
        assert len(project.git("worktree", "list").splitlines()) == 1

    def test_gets_only_the_candidates_files_of_a_folder_of_raw_data(
        self, project: TinyProject, raw: Table, tmp_path: Path
    ) -> None:
        project.write("dvc.yaml", PIPELINE.replace("raw.csv", "raw"))
        project.write("prepare.py", PREPARE.replace('csv.read_csv("raw.csv")', READ_ALL))
        project.write("raw/2025.csv", RAW)
        source = project.commit(repro=False)
        project.git("mv", "raw/2025.csv", "raw/2026.csv")
        project.write("raw/2026.csv", RAW.replace("60,0.571", "60,0.25"))
        commit = project.commit(repro=False)
        parquet.write_table(raw.slice(40), tmp_path / "test.parquet")
        (tmp_path / "made").mkdir()

        made = _preparation.prepare(
            project.root,
            binary(),
            champion=source,
            candidate=commit,
            lock=tmp_path / "lock",
            splits={"test": tmp_path / "test.parquet"},
            to=tmp_path / "made",
            progress=Silent(),
        )

        assert parquet.read_table(made["test"])["x"].to_pylist() == [*raw["x"].to_pylist()[40:59], 0.25]


def otherwise(project: TinyProject, **changes: Any) -> str:
    """Return in what the last commit prepares its data otherwise than the first; its files are not the first's."""
    model, lock = binary(**changes), project.root / "requirements.txt"
    first = project.git("rev-list", "--max-parents=0", "HEAD")
    made = {"out/train.parquet": "md5:1", "out/test.parquet": "md5:2"}
    return _preparation.difference(
        project.root, model, champion=first, candidate=project.commit(repro=False), locks=(lock, lock), made=made
    )


class TestWhatTheDataIsPreparedBy:
    """Only the settings say what counts: names and content of files, of parameters, of the stages themselves."""

    @pytest.fixture
    def project(self, project: TinyProject) -> TinyProject:
        project.write("dvc.yaml", PIPELINE.replace("raw.csv]", "raw.csv, names.json]\n        params: [scale]"))
        for path, text in {"names.json": "{}", "params.yaml": "scale: 1\nrate: 1\n", "helper.py": ""}.items():
            project.write(path, text)
        project.write("dvc.lock", LOCK)
        project.git("add", "-A")
        project.git("commit", "-q", "--amend", "-m", "the champion's")
        return project

    @pytest.mark.parametrize(
        ("path", "before", "after", "said"),
        [
            pytest.param("params.yaml", "scale: 1", "scale: 12", "parameter scale", id="parameter"),
            pytest.param("prepare.py", "60", "59", "prepare.py", id="code"),
            pytest.param("helper.py", "", "X = 12", "helper.py", id="undeclared code beside it"),
            pytest.param("names.json", "{}", '{"x": 12}', "names.json", id="settings"),
            pytest.param(
                "dvc.yaml", "python prepare.py", "python prepare.py 12", "stage dvc.yaml:prepare", id="command"
            ),
        ],
    )
    def test_differs_by_what_it_follows_from(
        self, project: TinyProject, path: str, before: str, after: str, said: str
    ) -> None:
        project.write(path, (project.root / path).read_text().replace(before, after, 1))
        project.write("raw.csv", RAW + "61,0.5,0.5,bad\n")

        assert otherwise(project) == f"the candidate's data is prepared otherwise than the champion's: {said}"

    def test_does_not_differ_by_other_raw_data_or_what_another_stage_reads(self, project: TinyProject) -> None:
        project.write("params.yaml", "scale: 1\nrate: 2\n")
        project.write("raw.csv", RAW + "61,0.5,0.5,bad\n")

        assert otherwise(project) == ""

    def test_differs_where_the_same_raw_data_gives_other_files_for_no_reason_that_is_seen(
        self, project: TinyProject
    ) -> None:
        project.write("notes.txt", "read by nobody who says so")

        assert "makes other files of the same raw data" in otherwise(project)

    def test_differs_by_the_column_that_is_the_label(self, project: TinyProject) -> None:
        assert otherwise(project, data={"label": "z"}).endswith(": data.label")

    def test_does_not_matter_where_the_files_are_the_champions_own(
        self, project: TinyProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_dvc, "closure", None)
        project.write("prepare.py", "by other words")
        project.write("dvc.lock", LOCK.replace("111", "1").replace("222", "2"))
        project.git("commit", "-q", "-a", "--amend", "-m", "the champion's, whose files they are")

        assert otherwise(project) == ""

    def test_is_not_known_where_no_config_names_the_stages(self, project: TinyProject) -> None:
        project.write("model-configs/tiny.yaml", CONFIG.replace("      prepare: [prepare]\n", ""))
        project.git("commit", "-q", "-a", "--amend", "-m", "the champion's")
        project.write("prepare.py", "by other words")

        assert otherwise(project, data={"prepare": ()}) == ""
        assert otherwise(project) != ""


@pytest.mark.network
def test_the_program_runs_in_the_examples_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    root = Path(__file__).parents[2]
    python = environments.ensure(root / "models/credit-default/requirements.txt")
    parquet.write_table(pa.table({"id": [1, 2], "x": [0.25, 0.75]}), tmp_path / "data.parquet")
    save = (
        "import sys, mlflow.sklearn, pandas; from sklearn.linear_model import LogisticRegression as L;"
        "x = pandas.DataFrame({'x': [0.0, 1.0]});"
        "mlflow.sklearn.save_model(L().fit(x, ['bad', 'good']), sys.argv[1], pip_requirements=[])"
    )
    request = {
        "model": str(tmp_path / "model"),
        "task": "binary",
        "id": "id",
        "label": None,
        "files": [{"data": str(tmp_path / "data.parquet"), "out": str(tmp_path / "out.parquet")}],
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    program = root / "serving/passmuster_serving/score.py"

    from passmuster import _process

    env = environments.scrubbed(tmp_path)
    saved = _process.run([str(python), "-c", save, str(tmp_path / "model")], cwd=tmp_path, env=env, timeout=200)
    done = _process.run(
        [str(python), "-P", str(program), str(tmp_path / "request.json")], cwd=tmp_path, env=env, timeout=200
    )

    assert saved.returncode == 0, saved.stderr
    assert json.loads(done.stdout) == {"ok": True, "rows": [2], "classes": ["bad", "good"]}
    assert parquet.read_table(tmp_path / "out.parquet")["prediction"].to_pylist() == ["bad", "good"]
