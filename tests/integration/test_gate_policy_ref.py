"""`--policy-ref`: limits, gates and tests come from the commit that rules, whatever the work tree says."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from passmuster import config as configs
from passmuster import gate, record
from passmuster._git import Repository
from passmuster.config import ModelConfig
from passmuster.errors import Refused, UsageError
from passmuster.progress import Silent
from passmuster.record import Record
from support import candidate as made

GATE = """
from passmuster.measurement import Assertion

class Gate:
    name = "mine"
    needs = frozenset()

    def measure(self, inputs):
        from helper import HOLDS
        return [Assertion(gate="mine", name="x", holds=HOLDS, message="from the base")]
"""
CONFIG = """
name: credit
owner: risk@example.com
task: binary
requirements: requirements.txt
pipeline:
  targets: [train]
  model: model
  outputs:
    model: {compare: predictions, by: predictions.csv}
    predictions.csv: {compare: predictions, id: loan_id}
data:
  train: train.parquet
  test: test.parquet
  label: status
  positive: bad
  id: loan_id
  categorical: [home]
  columns:
    loan_id: {type: integer}
    age: {type: integer, nullable: true}
    income: {type: number}
    home: {type: string, nullable: true, categories: [own, rent]}
    status: {type: string, categories: [bad, good]}
gates:
  deepchecks: {mode: "off"}
  schema: {mode: "off"}
  artifact: {mode: "off"}
  environment: {mode: "off"}
  slices: {mode: "off"}
  performance: {limits: {roc_auc_score: {min: 0.99}}}
  champion: {rules: {roc_auc_score: {margin: 0.05}}}
  user:
    mine: {file: gates/mine.py}
registry: {name: credit}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose base asks for more than its work tree, with a candidate to judge."""
    (tmp_path / "gates").mkdir()
    (tmp_path / "model-configs").mkdir()
    (tmp_path / "model-configs" / "credit.yaml").write_text(CONFIG)
    (tmp_path / "gates" / "mine.py").write_text(GATE)
    (tmp_path / "gates" / "helper.py").write_text("HOLDS = False\n")
    (tmp_path / ".gitignore").write_text(".passmuster/\n")
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    _git(tmp_path, "add", "--all")
    _git(tmp_path, "commit", "--quiet", "--message=base")
    (tmp_path / "model-configs" / "credit.yaml").write_text(CONFIG.replace("0.99", "0.5"))
    (tmp_path / "gates" / "helper.py").write_text("HOLDS = True\n")
    _git(tmp_path, "switch", "--quiet", "--create=change")
    _git(tmp_path, "commit", "--quiet", "--all", "--message=less is asked for")
    made.Candidate(commit=_git(tmp_path, "rev-parse", "HEAD")).write(tmp_path)
    return tmp_path


def _git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _config(root: Path) -> ModelConfig:
    return configs.load(root)["credit"]


def _gate(root: Path, ref: str | None) -> Record:
    """Judge by the policy of `ref`, with the test rows that it has too."""
    body = record.read(root / ".passmuster/credit/reproduce.json", "reproduce").body
    if ref is not None and Repository(root).has(ref):
        base = {"commit": Repository(root).commit(ref), "state": "same"}
        made.Candidate(commit=str(body["commit"]), base=base).write(root)
    return gate.gate(root, _config(root), policy_ref=ref, today=date(2026, 11, 23), progress=Silent())


def test_a_pull_request_cannot_lower_its_own_limits(root: Path) -> None:
    """It passes by its own policy and gate, and not by the base's; the difference is in the record."""
    own, base = _gate(root, "change"), _gate(root, "main")
    outcomes = {(j["gate"], j["name"]): j["outcome"] for j in base.body["judgements"]}

    assert own.body["decision"] == "promote"
    assert base.body["decision"] == "refuse"
    assert outcomes["performance", "roc_auc_score"] == "fail"
    assert outcomes["mine", "x"] == "fail"
    assert base.body["policy"]["commit"] == _git(root, "rev-parse", "main")
    assert base.body["policy"]["ref"] == "main"
    (change,) = base.body["policy"]["changes"]
    assert "roc_auc_score" in change and "0.99" in change and "0.5" in change
    assert base.inputs["policy"] != own.inputs["policy"]


def test_on_main_the_policy_before_the_merge_judges_as_well(root: Path) -> None:
    """By limits and by gates of the first parent, in a checkout of anything; both verdicts stand in the record."""
    commit = _git(root, "rev-parse", "change")
    _git(root, "checkout", "--quiet", "main")
    config = configs.load_at(Repository(root), commit)["credit"]
    body = gate.gate(root, config, commit=commit, today=date(2026, 11, 23), progress=Silent()).body
    also = body["also"]
    outcomes = {(j["gate"], j["name"]): j["outcome"] for j in also["judgements"]}

    assert {j["outcome"] for j in body["judgements"]} == {"pass"}
    assert (body["decision"], body["code"]) == (also["decision"], also["code"]) == ("refuse", 11)
    assert (also["ref"], also["commit"]) == ("first parent", _git(root, "rev-parse", "main"))
    assert (outcomes["performance", "roc_auc_score"], outcomes["mine", "x"]) == ("fail", "fail")
    assert also["judged_by"]["gates/mine.py"] == body["judged_by"]["gates/mine.py"]
    assert any("0.99 → 0.50" in change for change in also["changes"])
    assert '"gates/helper.py": changed' in also["changes"]


def test_a_gate_edited_in_the_work_tree_does_not_judge_for_the_commit(root: Path) -> None:
    """What is promoted is a commit, so its own gates judge it; `only` tries the edit, and decides nothing."""
    (root / "gates" / "helper.py").write_text("HOLDS = False\n")
    whole = _gate(root, None)
    tried = gate.gate(root, _config(root), only=["mine"], progress=Silent())

    assert {j["outcome"] for j in whole.body["judgements"] if j["gate"] == "mine"} == {"pass"}
    assert {j["outcome"] for j in tried.body["judgements"]} == {"fail"}


def test_a_candidate_whose_commit_is_not_in_this_clone_is_not_judged(root: Path) -> None:
    """Its gates and tests can't be had, and those that happen to be here are not its own."""
    made.Candidate(commit="b" * 40).write(root)

    with pytest.raises(Refused, match="not in this clone"):
        _gate(root, None)


def test_nothing_of_the_checkout_is_left_over(root: Path) -> None:
    """The base's gates ran from a folder of their own."""
    before = _git(root, "status", "--porcelain")
    _gate(root, "main")

    assert _git(root, "status", "--porcelain") == before
    assert len(_git(root, "worktree", "list").splitlines()) == 1


def test_a_gate_that_the_base_lacks_judges_nothing(root: Path) -> None:
    """Its file in the work tree is not asked."""
    _git(root, "rm", "--quiet", "--cached", "gates/mine.py")
    _git(root, "commit", "--quiet", "--message=no gate")
    found = _gate(root, "HEAD")

    assert {j["outcome"] for j in found.body["judgements"] if j["gate"] == "mine"} == {"error"}


def test_a_model_that_the_base_does_not_know_is_refused(root: Path) -> None:
    """There is no policy to judge it by."""
    config = replace(_config(root), name="unknown")
    (root / ".passmuster" / "credit").rename(root / ".passmuster" / "unknown")

    with pytest.raises(Refused, match=r"main has no model-configs/unknown\.yaml"):
        gate.gate(root, config, policy_ref="main", progress=Silent())


def test_a_commit_that_is_not_there_is_a_wrong_call(root: Path) -> None:
    """With its name."""
    with pytest.raises(UsageError, match="no-such-branch"):
        _gate(root, "no-such-branch")
