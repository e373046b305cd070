"""The step `gate`: the record that it leaves, and what it refuses before and after the gates have run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from passmuster import config as configs
from passmuster import digest, gate, measurement, record, report
from passmuster.config import BehaviourGate, ChampionGate, Comparison, Limit, Mode, PerformanceGate, UserGate, Waiver
from passmuster.errors import ExitCode, Refused, UsageError
from passmuster.progress import Silent
from passmuster.record import Record
from support import candidate as made

TODAY = date(2026, 11, 23)
#: The two gates of this model that are quickest to run, for tests of what is around them.
LEAST = made.config(
    **{
        name: replace(getattr(made.config().gates, name), mode=Mode.OFF)
        for name in ("schema", "artifact", "champion", "segments", "environment")
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
    assert body["champion"] == {"version": "v3", "promotion": 4, "digest": scored.body["champion"]["digest"]}
    assert body["policy"] == {"digest": found.inputs["policy"], "ref": None, "commit": None, "changes": []}
    assert set(body["off"]) == {"integrity", "train-test", "evaluation", "behaviour"}
    assert {j["gate"] for j in body["judgements"]} == {
        *("schema", "artifact", "environment", "performance", "champion", "segments")
    }
    assert {j["outcome"] for j in body["judgements"]} == {"pass"}
    assert sorted(json.dumps(m) for m in body["measurements"]) == sorted(
        json.dumps(j["measurement"]) for j in body["judgements"]
    )
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
    assert set(skipped) == {"champion", "segments"}


def test_a_champion_that_cannot_be_read_is_an_error_not_an_absence(tmp_path: Path) -> None:
    """Both comparisons say so, and nothing is promoted."""
    champion = {"state": "unreadable", "version": "v3", "digest": digest.of_bytes(b"x"), "message": "columns are gone"}
    made.Candidate(champion=champion).write(tmp_path)
    found = _gate(tmp_path, made.config())
    errors = {j["gate"]: j["reason"] for j in found.body["judgements"] if j["outcome"] == "error"}

    assert found.body["code"] == ExitCode.NOT_MEASURED
    assert set(errors) == {"champion", "segments"}
    assert all("columns are gone" in reason for reason in errors.values())


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
def test_evidence_that_a_gate_altered_is_refused(body: str, tmp_path: Path) -> None:
    """Digests are asked again after the gates, so that what was judged is what is there."""
    folder = made.Candidate().write(tmp_path)

    with pytest.raises(Refused):
        _gate(tmp_path, _user(tmp_path, body))
    assert not (folder / "gate.json").exists()


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
