"""The step `gate`: the record that it leaves, and what it refuses before and after the gates have run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from passmuster import config as configs
from passmuster import digest, environments, gate, measurement, record, report
from passmuster.config import (
    BehaviourGate,
    ChampionGate,
    Comparison,
    EnvironmentFact,
    EnvironmentGate,
    Limit,
    Mode,
    PerformanceGate,
    UserGate,
    Waiver,
)
from passmuster.errors import ExitCode, Refused, UsageError
from passmuster.policy import PROFILED
from passmuster.progress import Silent
from passmuster.record import Record
from support import candidate as made

TODAY = date(2026, 11, 23)
#: The two gates of this model that are quickest to run, for tests of what is around them.
LEAST = made.config(
    **{
        name: replace(getattr(made.config().gates, name), mode=Mode.OFF)
        for name in (
            *("schema", "profile", "leakage", "drift", "artifact", "environment", "champion", "slices", "calibration"),
        )
    }
)


def _gate(root: Path, config: Any = LEAST, **others: Any) -> Record:
    return gate.gate(root, config, today=TODAY, progress=Silent(), **others)


def test_an_honest_candidate_passes_every_gate_and_its_record_says_by_what(tmp_path: Path) -> None:
    """Body, inputs and digests as the next steps need them; written, and readable."""
    folder = made.Candidate().write(tmp_path)
    config = made.config()
    found = _gate(tmp_path, config)
    scored, reproduced = (
        record.read(folder / "score.json", "score"),
        record.read(folder / "reproduce.json", "reproduce"),
    )
    body = found.body

    assert (body["decision"], body["code"]) == ("promote", 0)
    assert record.read(folder / "gate.json", "gate") == found
    assert found.inputs == {
        "score": scored.digest,
        "policy": digest.of_json(configs.policy_json(config)),
        "model": reproduced.body["model_digest"],
    }
    assert (body["model"], body["commit"], body["judged_on"]) == ("credit", "a" * 40, "2026-11-23")
    assert (body["engine"], body["also"]) == ("local", None)
    assert body["champion"] == {"version": "v3", "promotion": 4, "digest": scored.body["champion"]["digest"]}
    assert body["policy"] == {"digest": found.inputs["policy"], "ref": None, "commit": None, "changes": []}
    assert set(body["off"]) == {"deepchecks", "decision", "behaviour"}
    assert {j["gate"] for j in body["judgements"]} == {
        *("schema", "profile", "leakage", "drift", "artifact", "environment"),
        *("performance", "champion", "slices", "calibration"),
    }
    assert {j["outcome"] for j in body["judgements"]} == {"pass"}
    assert sorted(json.dumps(m) for m in body["measurements"]) == sorted(
        json.dumps(j["measurement"]) for j in body["judgements"]
    )
    assert body["profile"] == {"path": "profile.json", "digest": digest.of_file(folder / "profile.json")}
    for m in body["measurements"]:
        assert measurement.to_json(measurement.from_json(m)) == m


def test_judging_again_gives_the_same_digest(tmp_path: Path) -> None:
    """Times stand outside of what the digest covers."""
    made.Candidate().write(tmp_path)

    assert _gate(tmp_path).digest == _gate(tmp_path).digest


def test_a_first_model_is_judged_by_absolute_limits_alone(tmp_path: Path) -> None:
    """Comparisons are skipped with their reason, and the record says that nothing was compared."""
    made.Candidate(champion={"state": "none"}).write(tmp_path)
    found = _gate(tmp_path, made.config())
    skipped = {j["gate"]: j["reason"] for j in found.body["judgements"] if j["outcome"] == "skipped"}

    assert found.body["decision"] == "promote"
    assert found.body["champion"] is None and found.body["compared"] is False
    assert set(skipped) == {"champion", "slices", "calibration"}


def test_a_champion_that_cannot_be_read_is_an_error_not_an_absence(tmp_path: Path) -> None:
    """Both comparisons say so, and nothing is promoted."""
    champion = {"state": "unreadable", "version": "v3", "digest": digest.of_bytes(b"x"), "message": "columns are gone"}
    made.Candidate(champion=champion).write(tmp_path)
    found = _gate(tmp_path, made.config())
    errors = {j["gate"]: j["reason"] for j in found.body["judgements"] if j["outcome"] == "error"}

    assert found.body["code"] == ExitCode.NOT_MEASURED
    assert set(errors) == {"champion", "slices", "calibration"}
    assert all("columns are gone" in reason for reason in errors.values())


@pytest.mark.parametrize("fork", [True, False])
def test_a_champion_out_of_reach_is_skipped_only_where_it_is_known_to_be_a_forks(tmp_path: Path, fork: bool) -> None:
    """Whoever writes the scores could say so; that it is a fork's is said by the call."""
    made.Candidate(champion={"state": "no-access", "message": "out of reach"}).write(tmp_path)
    environment = EnvironmentGate(same_as_champion=(EnvironmentFact.PYTHON,))
    body = _gate(tmp_path, made.config(environment=environment), fork=fork).body
    told = {(j["gate"], j["name"]): (j["outcome"], j["reason"]) for j in body["judgements"]}
    compared = {key for key, (outcome, _) in told.items() if outcome == ("skipped" if fork else "error")}

    assert {gate for gate, _ in compared} == {"champion", "slices", "calibration", "environment"}
    assert ("environment", "python") in compared and ("environment", "lock") not in compared
    assert (body["decision"], body["compared"]) == (("promote", False) if fork else ("refuse", True))
    assert all("no access from a fork" in told[key][1] for key in compared) is fork


def test_a_fork_needs_an_absolute_limit_too(tmp_path: Path) -> None:
    """As a first model does: where nothing is compared, something must have passed by itself."""
    made.Candidate(champion={"state": "no-access"}).write(tmp_path)
    advisory = PerformanceGate(mode=Mode.ADVISORY, limits={"roc_auc_score": Limit(min=0.7)})

    assert _gate(tmp_path, made.config(performance=advisory), fork=True).body["decision"] == "refuse"


def test_a_verdict_for_information_leaves_the_one_that_counts(tmp_path: Path) -> None:
    """It has a file and a name of its own, so that nobody takes it for the verdict; a new verdict takes it away."""
    folder = made.Candidate().write(tmp_path)
    whole = _gate(tmp_path)
    loose = replace(LEAST, description="other", gates=replace(LEAST.gates, performance=_least(0.1)))
    told = _gate(tmp_path, loose, informative=True)

    assert record.read(folder / "gate.json", "gate") == whole
    assert record.read(folder / "gate-head.json", "gate-head") == told
    with pytest.raises(Refused, match="expected 'passmuster/gate'"):
        record.read(folder / "gate-head.json", "gate")
    _gate(tmp_path)
    assert not (folder / "gate-head.json").exists()


def _least(minimum: float) -> PerformanceGate:
    return PerformanceGate(limits={"roc_auc_score": Limit(min=minimum)})


def test_a_re_run_of_another_commit_than_the_call_names_is_refused(tmp_path: Path) -> None:
    """The folder may hold what an earlier job left."""
    made.Candidate().write(tmp_path)

    assert _gate(tmp_path, commit="a" * 40).body["commit"] == "a" * 40
    with pytest.raises(Refused, match="commit aaaaaaaaaaaa was re-run, not bbbbbbbbbbbb"):
        _gate(tmp_path, commit="b" * 40)


def test_a_gate_that_nobody_provides_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that two distributions provide, since which one would judge?"""
    made.Candidate().write(tmp_path)
    for entries in ([], [type("E", (), {"value": value}) for value in ("a:B", "c:D")]):
        monkeypatch.setattr(gate, "entry_points", lambda entries=entries, **_: entries)
        found = _gate(tmp_path)

        assert found.body["code"] == ExitCode.NOT_MEASURED
        assert "provide" in found.body["judgements"][0]["reason"]


def test_a_gate_whose_import_crashes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are measured all the same."""
    made.Candidate().write(tmp_path)
    real = gate.entry_points
    broken = [type("E", (), {"value": "passmuster_checks.no_such:Gate"})]
    monkeypatch.setattr(
        gate, "entry_points", lambda group, name: broken if name == "schema" else real(group=group, name=name)
    )
    found = _gate(tmp_path, made.with_gates(LEAST, schema=made.config().gates.schema))

    assert {(j["gate"], j["outcome"]) for j in found.body["judgements"]} == {
        ("schema", "error"),
        ("performance", "pass"),
    }


def test_some_gates_alone_decide_nothing(tmp_path: Path) -> None:
    """The answer says refuse, and no record is left or replaced."""
    folder = made.Candidate().write(tmp_path)
    found = _gate(tmp_path, made.config(), only=["performance"])

    assert {j["gate"] for j in found.body["judgements"]} == {"performance"}
    assert (found.body["decision"], found.body["code"], found.body["only"]) == ("refuse", 0, ["performance"])
    assert not (folder / "gate.json").exists()
    with pytest.raises(UsageError, match="no gate 'performanc'"):
        _gate(tmp_path, only=["performanc"])


def test_what_is_shown_of_some_gates_alone_is_theirs_and_not_an_earlier_verdict(tmp_path: Path) -> None:
    folder = made.Candidate().write(tmp_path)
    _gate(tmp_path)
    verdict = (folder / "gate.json").read_bytes()
    alone = _gate(tmp_path, made.config(), only=["environment"])
    shown = {name: report.FORMATS[name][1](report.part(alone)) for name in ("text", "markdown", "json")}

    assert (folder / "gate.json").read_bytes() == verdict
    for text in shown.values():
        assert "environment" in text
        assert "decides nothing" in text
        assert "ROC AUC" not in text
        assert "passes" not in text


def test_a_crash_leaves_no_verdict_of_an_earlier_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made.Candidate().write(tmp_path)
    _gate(tmp_path)
    monkeypatch.setattr(gate._gate_process, "measure", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        _gate(tmp_path)
    assert not (folder / "gate.json").exists()


def _edit(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change a record's facts as one who knows how records are made."""

    def edit(folder: Path) -> None:
        found = record.read(folder / f"{name}.json", name)
        body, inputs = dict(found.body), dict(found.inputs)
        change({"body": body, "inputs": inputs})
        record.write(replace(found, body=body, inputs=inputs), folder / f"{name}.json")

    return edit


def _overwrite(path: str, content: bytes = b"other") -> Callable[[Path], None]:
    return lambda folder: (folder / path).write_bytes(content) and None


def _link(folder: Path) -> None:
    target = folder / "data" / "test.parquet"
    (folder / "elsewhere").write_bytes(target.read_bytes())
    target.unlink()
    target.symlink_to(folder / "elsewhere")


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda folder: (folder / "score.json").unlink(), id="no scores"),
        pytest.param(lambda folder: (folder / "reproduce.json").unlink(), id="no re-run"),
        pytest.param(_overwrite("score.json", b'{"schema": "passmuster/sco'), id="half a record"),
        pytest.param(_overwrite("data/test.parquet"), id="other test rows"),
        pytest.param(_overwrite("predictions/candidate/test.parquet"), id="other predictions"),
        pytest.param(_overwrite("predictions/champion/test.parquet"), id="other predictions of the champion"),
        pytest.param(_overwrite("model/weights.json"), id="another model"),
        pytest.param(_overwrite("model/extra.json"), id="one more file in the model"),
        pytest.param(_overwrite("champion/model/weights.json"), id="another champion"),
        pytest.param(lambda folder: (folder / "data" / "test.parquet").unlink(), id="no test rows"),
        pytest.param(_link, id="a link"),
        pytest.param(
            _edit("reproduce", lambda r: r["body"].update(decision="not reproducible")), id="not reproducible"
        ),
        pytest.param(_edit("reproduce", lambda r: r["body"].update(commit="b" * 40)), id="another re-run"),
        pytest.param(
            _edit("score", lambda r: r["inputs"].update(model=digest.of_bytes(b"x"))), id="another model named"
        ),
        pytest.param(_edit("score", lambda r: r["body"].pop("champion")), id="no word of the champion"),
        pytest.param(
            _edit("score", lambda r: r["body"]["candidate"]["predictions"]["test"].update(path="../../../etc/passwd")),
            id="a path that leaves the folder",
        ),
    ],
)
def test_evidence_that_is_missing_or_altered_is_refused(alter: Callable[[Path], None], tmp_path: Path) -> None:
    """Before any gate runs; nothing is written."""
    folder = made.Candidate().write(tmp_path)
    alter(folder)

    with pytest.raises(Refused):
        _gate(tmp_path)
    assert not (folder / "gate.json").exists()


def _user(root: Path, body: str) -> Any:
    (root / "gates").mkdir(exist_ok=True)
    (root / "gates" / "mine.py").write_text(
        "from passmuster.measurement import Assertion, Estimate, NotApplicable\n"
        "class Gate:\n    name = 'mine'\n    needs = frozenset()\n    def measure(self, inputs):\n        " + body
    )
    return made.with_gates(
        LEAST, user={"mine": UserGate(file="gates/mine.py", limits={"cost": Limit(max=10.0)}, options={"rate": 2})}
    )


def test_a_gate_of_the_users_is_judged_by_its_limits(tmp_path: Path) -> None:
    """A number under its limit passes, one above fails; its options reach it."""
    made.Candidate().write(tmp_path)
    codes = []
    for rate in (2, 20):
        config = _user(
            tmp_path, f"return [Estimate(gate='mine', name='cost', value={rate} * inputs.options['rate'], n=1)]"
        )
        codes.append(_gate(tmp_path, config).body["code"])

    assert codes == [ExitCode.OK, ExitCode.GATE_FAILED]


@pytest.mark.parametrize(
    "body",
    [
        "open(inputs.data['test'], 'ab').write(b'x'); return [Estimate(gate='mine', name='cost', value=1, n=1)]",
        "inputs.data['train'].unlink(); return [Estimate(gate='mine', name='cost', value=1, n=1)]",
        "(inputs.model / 'new.json').write_text('{}'); return [Estimate(gate='mine', name='cost', value=1, n=1)]",
    ],
)
def test_evidence_that_a_gate_altered_is_refused(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not keep it from that: digests are asked again after the gates."""
    monkeypatch.setattr(environments, "isolation", lambda **_: environments.Isolation())
    folder = made.Candidate().write(tmp_path)

    with pytest.raises(Refused):
        _gate(tmp_path, _user(tmp_path, body))
    assert not (folder / "gate.json").exists()


def test_the_record_names_the_code_of_the_users_that_judged(tmp_path: Path) -> None:
    """File by file, so that an auditor can tell one gate of a name from another; and what it was kept from."""
    made.Candidate().write(tmp_path)
    codes = []
    for cost in (1, 2):
        config = _user(tmp_path, f"return [Estimate(gate='mine', name='cost', value={cost}, n=1)]")
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / "test_it.py").write_text("def test_it(): pass\n")
        tests = replace(config.gates, behaviour=BehaviourGate(tests=("tests", "gone.py")))
        found = _gate(tmp_path, replace(config, gates=tests))
        codes.append(found.body["judged_by"])

        assert found.body["judged_by"] == {
            "gates/mine.py": digest.of_file(tmp_path / "gates" / "mine.py"),
            "gone.py": None,
            "tests/test_it.py": digest.of_file(tmp_path / "tests" / "test_it.py"),
        }
        assert found.body["isolation"] == environments.isolation(network=False).to_json()
    assert codes[0] != codes[1]


def test_a_live_waiver_lets_through_and_is_shown_as_waived(tmp_path: Path) -> None:
    """Until its last day; the day after, the failure counts."""
    made.Candidate().write(tmp_path)
    waiver = Waiver(gate="performance", who="Risk officer", reason="known", until=TODAY)
    config = made.with_gates(
        LEAST,
        performance=PerformanceGate(limits={"roc_auc_score": Limit(min=0.99), "accuracy_score": Limit(min=0.5)}),
    )
    config = replace(config, policy=replace(config.policy, waivers=(replace(waiver, name="roc_auc_score"),)))
    live = _gate(tmp_path, config)
    expired = gate.gate(tmp_path, config, today=date(2026, 11, 24), progress=Silent())

    assert {j["name"]: j["outcome"] for j in live.body["judgements"]} == {
        "roc_auc_score": "waived",
        "accuracy_score": "pass",
    }
    assert live.body["decision"] == "promote"
    assert expired.body["code"] == ExitCode.GATE_FAILED
    assert any("the waiver of Risk officer ended on 2026-11-23" in j["reason"] for j in expired.body["judgements"])


def test_what_the_rows_cannot_decide_says_how_many_would(tmp_path: Path) -> None:
    """Inconclusive is an answer of its own, with its own exit code."""
    made.Candidate().write(tmp_path)
    config = made.with_gates(LEAST, champion=ChampionGate(rules={"roc_auc_score": Comparison(margin=0.002)}))
    found = _gate(tmp_path, config)
    (judged,) = [j for j in found.body["judgements"] if j["gate"] == "champion"]

    assert found.body["code"] == ExitCode.INCONCLUSIVE
    assert judged["rows_to_decide"] > 800


def test_behaviour_without_tests_is_an_error(tmp_path: Path) -> None:
    """A gate that was switched on and has nothing to run does not pass."""
    made.Candidate().write(tmp_path)
    found = _gate(tmp_path, made.with_gates(LEAST, behaviour=BehaviourGate(mode=Mode.BLOCKING)))

    assert found.body["code"] == ExitCode.NOT_MEASURED


GATE = """
import time
from passmuster.measurement import Assertion

class Gate:
    name = '{name}'
    needs = frozenset()

    def measure(self, inputs):
        (inputs.workspace / 'begun').touch()
        while not (inputs.workspace.parent / '{other}' / 'begun').exists():
            time.sleep(0.01)
        return [Assertion(gate='{name}', name='met', holds=True, message='')]
"""


def _waiting(root: Path, **others: str) -> Any:
    """Gates that answer once another, by name, has begun as well."""
    (root / "gates").mkdir()
    for name, other in others.items():
        (root / "gates" / f"{name}.py").write_text(GATE.format(name=name, other=other))
    return made.with_gates(LEAST, user={name: UserGate(file=f"gates/{name}.py", timeout=60.0) for name in others})


def test_groups_of_gates_are_measured_at_once(tmp_path: Path) -> None:
    made.Candidate().write(tmp_path)
    found = _gate(tmp_path, _waiting(tmp_path, left="right", right="left"), only=["left", "right"])

    assert {(j["gate"], j["outcome"]) for j in found.body["judgements"]} == {("left", "pass"), ("right", "pass")}


def test_an_interruption_ends_the_gates_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for their limits, and without a turn of those that have not begun."""
    made.Candidate().write(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(gate.tempfile, "tempdir", str(tmp_path / "tmp"))

    def interrupted(_: object) -> None:
        while not list((tmp_path / "tmp").glob("passmuster-gates-*/workspaces/*/begun")):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(gate, "_results", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _gate(tmp_path, _waiting(tmp_path, one="nobody", two="nobody", three="nobody"), only=["one", "two", "three"])
    assert not gate._gate_process._LIVE


#: Of the gates, those that look at columns by their profile.
PROFILES = made.with_gates(
    LEAST, profile=made.config().gates.profile, drift=made.config().gates.drift, performance=LEAST.gates.performance
)


def test_the_next_candidate_is_compared_with_the_profile_that_this_one_leaves(tmp_path: Path) -> None:
    """It is kept beside the verdict, which names its digest; as the champion's it reaches the gates, if unaltered."""
    folder = made.Candidate().write(tmp_path)
    named = _gate(tmp_path, PROFILES).body["profile"]
    left = (folder / "profile.json").read_bytes()
    champion = {**made.Candidate().champion, "profile": left}
    folder = made.Candidate(champion=champion).write(tmp_path)
    found = _gate(tmp_path, PROFILES)
    compared = {tuple(m["details"]["compared_with"]) for m in found.body["measurements"] if m["gate"] == "profile"}

    assert named == {"path": "profile.json", "digest": digest.of_bytes(left)}
    assert json.loads(left)["rows"] == 800
    assert found.body["code"] == ExitCode.OK
    assert compared == {("train", "champion")}
    assert any(m["name"].startswith("champion-test::age") for m in found.body["measurements"])
    (folder / "champion" / "profile.json").write_bytes(left.replace(b"800", b"801", 1))
    with pytest.raises(Refused, match=r"champion/profile\.json is missing or altered"):
        _gate(tmp_path, PROFILES)


def test_a_verdict_without_the_gate_keeps_no_profile_of_an_earlier_one(tmp_path: Path) -> None:
    folder = made.Candidate().write(tmp_path)
    (folder / "profile.json").write_text("{}")

    assert _gate(tmp_path).body["profile"] is None
    assert not (folder / "profile.json").exists()


def _too_large(path: Path) -> None:
    path.write_text('"' + "x" * (64 * 1024 * 1024) + '"')


def _linked(path: Path) -> None:
    (path.parent / "elsewhere").write_text("{}")
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    ("leave", "why"),
    [
        pytest.param(lambda path: None, "left no profile.json", id="nothing"),
        pytest.param(Path.mkdir, "left no profile.json", id="a folder"),
        pytest.param(os.mkfifo, "left no profile.json", id="a pipe"),
        pytest.param(_linked, "left no profile.json", id="a link"),
        pytest.param(_too_large, "more than 67,108,864 bytes", id="too much"),
        pytest.param(lambda path: path.write_text("[]"), "no JSON object", id="a list"),
        pytest.param(lambda path: path.write_text('{"rows": 1'), "can't be read", id="half"),
        pytest.param(lambda path: path.write_bytes(b'{"a": "\xff"}'), "can't be read", id="no text"),
        pytest.param(lambda path: path.write_text("[" * 100_000), "can't be read", id="nested too deep"),
    ],
)
def test_a_profile_that_cannot_be_kept_is_an_error(
    leave: Callable[[Path], object], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the gate measured everything, the candidate would else be promoted without one."""
    folder = made.Candidate().write(tmp_path)
    measure = gate._gate_process.measure

    def measured(group: Any, scratch: Path) -> list[measurement.Measurement]:
        own = [one for one in group.asked if one.name == "profile"]
        for one in own:
            leave(one.inputs.workspace / "profile.json")
        others = replace(group, asked=tuple(one for one in group.asked if one not in own))
        held = {"gate": "profile", "holds": True, "message": ""}
        return [*measure(others, scratch), *(measurement.Assertion(name=name, **held) for name in PROFILED if own)]

    monkeypatch.setattr(gate._gate_process, "measure", measured)
    found = _gate(tmp_path, made.with_gates(LEAST, profile=made.config().gates.profile))
    (error,) = [j for j in found.body["judgements"] if j["outcome"] == "error"]

    assert (error["gate"], error["name"]) == ("profile", "reference-profile")
    assert why in error["reason"]
    assert found.body["code"] == ExitCode.NOT_MEASURED
    assert found.body["profile"] is None
    assert not (folder / "profile.json").exists()


def test_a_gate_that_did_not_run_to_its_end_has_one_error_and_no_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it may have left by then."""
    made.Candidate().write(tmp_path)

    def crashed(group: Any, _: Path) -> list[measurement.Measurement]:
        for one in group.asked:
            (one.inputs.workspace / "profile.json").write_text("{}")
        return [measurement.Failure(gate=one.name, name=one.name, reason="it crashed") for one in group.asked]

    monkeypatch.setattr(gate._gate_process, "measure", crashed)
    found = _gate(tmp_path, made.with_gates(LEAST, profile=made.config().gates.profile))

    assert [j["name"] for j in found.body["judgements"] if j["gate"] == "profile"] == ["profile"]
    assert found.body["profile"] is None
