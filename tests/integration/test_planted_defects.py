"""Mistakes planted in the example's data and code are each caught by the gate that should; the clean one passes.

The models are trained and scored by the example's own code in its own environment; gates are the real ones.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from passmuster import config as configs
from passmuster import digest, environments, gate, record
from passmuster.config import Check, ChecksGate, Mode, ModelConfig
from passmuster.progress import Silent
from passmuster.record import Record

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "models" / "credit-default"
LOCK = EXAMPLE / "requirements.txt"
SPLITS = ("train", "test", "reference")
CHAMPION = "first"

#: Deepchecks' checks that these mistakes are for; the whole list runs once, on the clean candidate.
LEAKAGE = {"IndexTrainTestLeakage": Check(conditions={"ratio_less_or_equal": {"max_ratio": 0.0}})}
DRIFT = {
    "FeatureDrift": Check(
        conditions={"drift_score_less_than": {"max_allowed_categorical_score": 0.2, "max_allowed_numeric_score": 0.2}}
    )
}


@pytest.fixture(scope="module")
def example() -> ModelConfig:
    """The example's own config."""
    return configs.load(ROOT)["credit-default"]


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory, example: ModelConfig) -> Path:
    """A folder for each variant: data, model, and the predictions of it and of the champion."""
    folder = tmp_path_factory.mktemp("variants")
    python = environments.ensure(LOCK)
    source = EXAMPLE / "data" / "credit_data.csv"
    _run(python, "train_example.py", "--out", str(folder), "--source", str(source))
    names = sorted(path.name for path in folder.iterdir())
    requests = [_request(folder, name, name, SPLITS, "candidate", example) for name in names]
    requests += [_request(folder, CHAMPION, name, ("test",), "champion", example) for name in names]
    (folder / "requests.json").write_text(json.dumps(requests))
    answers = json.loads(_run(python, "score_examples.py", str(folder / "requests.json")).splitlines()[-1])
    assert [answer["ok"] for answer in answers] == [True] * len(requests), answers
    _invert_a_segment(folder)
    return folder


def _invert_a_segment(folder: Path) -> None:
    """Make a variant whose answers are right, but for part-time workers, one applicant in ten, who get the opposite."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.copytree(folder / "clean", folder / "inverted-segment")
    path = folder / "inverted-segment" / "candidate" / "test.parquet"
    answers, test = pq.read_table(path), pq.read_table(folder / "clean" / "test.parquet")
    partime = np.array([job == "partime" for job in test["Job"].to_pylist()])
    bad = answers["proba_bad"].to_numpy()
    changed = {"proba_bad": np.where(partime, 1 - bad, bad), "proba_good": np.where(partime, bad, 1 - bad)}
    for name, values in changed.items():
        answers = answers.set_column(answers.column_names.index(name), name, pa.array(values))
    pq.write_table(answers, path)


def _run(python: Path, script: str, *arguments: str) -> str:
    command = [str(python), str(ROOT / "tests" / "support" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _request(
    folder: Path, model: str, data: str, splits: tuple[str, ...], who: str, example: ModelConfig
) -> dict[str, Any]:
    (folder / data / who).mkdir(exist_ok=True)
    return {
        "model": str(folder / model / "model"),
        "task": str(example.task),
        "id": example.data.id,
        "label": example.data.label,
        "files": [
            {"data": str(folder / data / f"{split}.parquet"), "out": str(folder / data / who / f"{split}.parquet")}
            for split in splits
        ],
    }


def _prepared(root: Path, variants: Path, name: str) -> None:
    """Lay out one variant as `reproduce` and `score` leave a candidate, with the first model as champion."""
    folder, source = root / ".passmuster" / "credit-default", variants / name
    shutil.copytree(source / "model", folder / "model")
    shutil.copytree(variants / CHAMPION / "model", folder / "champion" / "model")
    for split in SPLITS:
        _copy(source / f"{split}.parquet", folder / "data")
    for who in ("candidate", "champion"):
        for path in (source / who).iterdir():
            _copy(path, folder / "predictions" / who)
    environment = {"lock": digest.of_file(LOCK), "python": "3.11.7", "platform": "linux-x86_64", "cpu_count": 2}
    model = digest.of_path(folder / "model")
    data = {split: _described(folder, f"data/{split}.parquet") for split in SPLITS}
    facts = {"model": "credit-default", "commit": "a" * 40, "decision": "reproducible", "model_digest": model}
    reproduced = Record(
        schema="reproduce",
        version=1,
        inputs={"input": digest.of_bytes(name.encode())},
        body={**facts, "data": data, "environment": environment},
    )
    champion = {
        "state": "scored",
        "version": "v1",
        "promotion": 1,
        "commit": "c" * 40,
        "digest": digest.of_path(folder / "champion" / "model"),
        "model": "champion/model",
        "predictions": {"test": _described(folder, "predictions/champion/test.parquet")},
        "environment": environment,
    }
    predictions = {split: _described(folder, f"predictions/candidate/{split}.parquet") for split in SPLITS}
    scored = Record(
        schema="score",
        version=1,
        inputs={"reproduce": reproduced.digest, "model": model},
        body={
            "model": "credit-default",
            "candidate": {"digest": model, "predictions": predictions},
            "champion": champion,
            "base": {"commit": "c" * 40, "state": "same"},
            "isolated": True,
        },
    )
    record.write(reproduced, folder / "reproduce.json")
    record.write(scored, folder / "score.json")


def _copy(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)


def _described(folder: Path, path: str) -> dict[str, Any]:
    return {"path": path, "digest": digest.of_file(folder / path), "rows": 1}


def _judged(root: Path, variants: Path, name: str, config: ModelConfig) -> dict[str, Any]:
    _prepared(root, variants, name)
    found = gate.gate(root, config, today=date(2026, 11, 23), progress=Silent())
    return dict(found.body)


def _with_checks(example: ModelConfig, checks: dict[str, Check] | None) -> ModelConfig:
    """The example's policy without its behaviour tests, of Deepchecks only `checks`, or none at all."""
    gates = replace(
        example.gates,
        deepchecks=ChecksGate(mode=Mode.BLOCKING if checks else Mode.OFF, checks=checks),
        behaviour=replace(example.gates.behaviour, mode=Mode.OFF),
    )
    return replace(example, gates=gates)


def _that(body: dict[str, Any], outcome: str) -> set[tuple[str, str]]:
    return {
        (j["gate"], j["name"]) for j in body["judgements"] if j["outcome"] == outcome and j["mode"] == Mode.BLOCKING
    }


def test_the_clean_candidate_passes_every_gate(variants: Path, example: ModelConfig, tmp_path: Path) -> None:
    """The example's own policy, Deepchecks' whole curated list and the bank's own tests in it."""
    shutil.copytree(EXAMPLE / "tests", tmp_path / "models" / "credit-default" / "tests")
    body = _judged(tmp_path, variants, "clean", example)
    bad = [(j["gate"], j["name"], j["outcome"], j["reason"]) for j in body["judgements"] if j["outcome"] != "pass"]

    assert body["decision"] == "promote", bad
    assert {j["gate"] for j in body["judgements"]} >= {*("deepchecks", "behaviour", "champion", "slices")}


@pytest.mark.parametrize(
    ("variant", "checks", "caught"),
    [
        pytest.param("leaked-label", None, {("schema", "columns"), ("schema", "signature")}, id="leaked label"),
        pytest.param(
            "test-rows-in-train", LEAKAGE, {("deepchecks", name) for name in LEAKAGE}, id="test rows in train"
        ),
        pytest.param("shifted-feature", DRIFT, {("deepchecks", "FeatureDrift")}, id="shifted feature"),
        pytest.param("new-category", None, {("schema", "categories")}, id="new category"),
        pytest.param(
            "shuffled-labels", None, {("champion", "roc_auc_score"), ("performance", "roc_auc_score")}, id="labels"
        ),
        pytest.param(
            "constant",
            None,
            {("champion", "roc_auc_score"), ("performance", "roc_auc_score")},
            id="constant prediction",
        ),
        pytest.param("inverted-segment", None, {("slices", "Job=partime")}, id="one bad segment"),
        pytest.param("secured-homes", None, {("slices", "Home=owner")}, id="a rule that harms home owners"),
    ],
)
def test_a_planted_mistake_is_caught_by_the_gate_that_should(
    variant: str,
    checks: dict[str, Check] | None,
    caught: set[tuple[str, str]],
    variants: Path,
    example: ModelConfig,
    tmp_path: Path,
) -> None:
    """Its outcome is *fail*, and the candidate is refused."""
    body = _judged(tmp_path, variants, variant, _with_checks(example, checks))

    assert body["decision"] == "refuse"
    assert caught <= _that(body, "fail"), [(j["gate"], j["name"], j["outcome"]) for j in body["judgements"]]


@pytest.mark.parametrize("variant", ["clean", "again", "first"])
def test_an_honest_candidate_is_not_refused(variant: str, variants: Path, example: ModelConfig, tmp_path: Path) -> None:
    """A better model, another seed of it, and the champion itself."""
    body = _judged(tmp_path, variants, variant, _with_checks(example, None))

    assert body["decision"] == "promote", [
        (j["gate"], j["name"], j["outcome"], j["reason"]) for j in body["judgements"] if j["outcome"] != "pass"
    ]


def test_a_worse_seed_is_never_promoted(variants: Path, example: ModelConfig, tmp_path: Path) -> None:
    """Judged against the clean model as champion: too little to be sure of, so inconclusive or failed."""
    against_clean: Callable[[Path], None] = _clean_as_champion(variants)
    against_clean(tmp_path)
    found = gate.gate(tmp_path, _with_checks(example, None), today=date(2026, 11, 23), progress=Silent())
    outcomes = {j["name"]: j["outcome"] for j in found.body["judgements"] if j["gate"] == "champion"}

    assert found.body["decision"] == "refuse"
    assert outcomes["roc_auc_score"] in ("inconclusive", "fail")


def _clean_as_champion(variants: Path) -> Callable[[Path], None]:
    """Lay out the worse seed with the clean model as champion: both were scored on the same test rows."""

    def lay_out(root: Path) -> None:
        _prepared(root, variants, "worse-seed")
        folder = root / ".passmuster" / "credit-default"
        shutil.rmtree(folder / "champion")
        shutil.copytree(variants / "clean" / "model", folder / "champion" / "model")
        shutil.copyfile(
            variants / "clean" / "candidate" / "test.parquet", folder / "predictions" / "champion" / "test.parquet"
        )
        scored = record.read(folder / "score.json", "score")
        body = json.loads(json.dumps(dict(scored.body)))
        body["champion"]["digest"] = digest.of_path(folder / "champion" / "model")
        body["champion"]["predictions"]["test"] = _described(folder, "predictions/champion/test.parquet")
        record.write(replace(scored, body=body), folder / "score.json")

    return lay_out


BEHAVIOUR = """
import numpy as np

def test_answers_are_those_that_were_scored(candidate, test, predictions):
    assert np.allclose(candidate.predict(test)["proba_bad"], predictions["proba_bad"])

def test_the_champion_answers_too(champion, test):
    assert len(champion.predict(test.head(3).to_dict("records"))) == 3

def test_a_question_without_its_columns_is_refused(candidate):
    candidate.predict([{"Amount": 1}])
"""


def test_behaviour_tests_ask_the_model_in_its_own_environment(
    variants: Path, example: ModelConfig, tmp_path: Path
) -> None:
    """Candidate and champion answer new rows; what they refuse fails the test with their own words."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_model.py").write_text(BEHAVIOUR)
    others = _with_checks(example, None)
    behaviour = replace(example.gates.behaviour, mode=Mode.BLOCKING, tests=("checks",))
    config = replace(others, gates=replace(others.gates, behaviour=behaviour))
    body = _judged(tmp_path, variants, "clean", config)
    found = {j["name"].rpartition("::")[2]: j for j in body["judgements"] if j["gate"] == "behaviour"}

    assert {name: j["outcome"] for name, j in found.items()} == {
        "test_answers_are_those_that_were_scored": "pass",
        "test_the_champion_answers_too": "pass",
        "test_a_question_without_its_columns_is_refused": "fail",
    }
    assert "which the data does not have" in found["test_a_question_without_its_columns_is_refused"]["reason"]
    assert body["decision"] == "refuse"
