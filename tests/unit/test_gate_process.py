"""Gates in processes of their own: whatever happens in there, a gate that did not answer well is a `Failure`."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from passmuster import _gate_process, _gate_worker
from passmuster._gate_process import Group
from passmuster._gate_worker import Asked
from passmuster.measurement import Assertion, Failure, Measurement, NotApplicable
from support import candidate as made
from support.judging import inputs

HEAD = """
from __future__ import annotations
import os, sys, time, json
from passmuster.measurement import Assertion, Estimate, Failure, NotApplicable

def good(name="x", gate="mine"):
    return Assertion(gate=gate, name=name, holds=True, message="fine")

class Gate:
    name = "mine"
    needs = frozenset()

    def measure(self, inputs):
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    made.Candidate().write(folder)
    return folder


def _run(
    root: Path, tmp_path: Path, sources: dict[str, str], timeout: float = 20.0, together: bool = False
) -> list[Measurement]:
    asked = []
    for name, source in sources.items():
        (root / f"{name}.py").write_text(source)
        given = inputs(root, made.config())
        workspace = tmp_path / "work" / name
        workspace.mkdir(parents=True)
        asked.append(
            Asked(
                name=name,
                source=f"{name}.py",
                is_file=True,
                inputs=type(given)(**{**vars(given), "workspace": workspace}),
            )
        )
    return _gate_process.measure(
        Group(asked=tuple(asked), timeouts=dict.fromkeys(sources, timeout), together=together), tmp_path / "scratch"
    )


def _one(root: Path, tmp_path: Path, body: str, timeout: float = 20.0) -> Measurement:
    found = _run(root, tmp_path, {"mine": HEAD + "        " + body}, timeout)
    assert len(found) == 1
    return found[0]


def test_a_process_that_has_ended_may_refuse_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS one that nobody waited for yet does; it is waited for all the same."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(_gate_process.os, "killpg", refuse)
    process = subprocess.Popen(["true"])
    _gate_process._end(process)

    assert process.returncode == 0


def test_a_gate_answers_from_its_own_process(root: Path, tmp_path: Path) -> None:
    """Without the parent's secrets, in a folder of its own; what it prints is not its answer."""
    body = "print('noise'); return [good(str(('HOME' in os.environ, os.environ.get('AWS_SECRET'), os.getpid())))]"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET", "hidden")
        found = _one(root, tmp_path, body)

    assert isinstance(found, Assertion)
    assert found.name.startswith("(True, None, ")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        pytest.param("raise ValueError('broken here')", "ValueError: broken here (mine.py, line", id="raises"),
        pytest.param("raise SystemExit(0)", "SystemExit", id="exits"),
        pytest.param("os._exit(0)", "exit code 0", id="ends its process"),
        pytest.param("os.kill(os.getpid(), 9)", "signal 9", id="is killed"),
        pytest.param("sys.setrecursionlimit(10**5); f = lambda: f(); f()", "", id="recurses"),
        pytest.param("return None", "answered with None", id="nothing"),
        pytest.param("return []", "measured nothing", id="an empty list"),
        pytest.param("return True", "answered with True", id="true"),
        pytest.param("return 'pass'", "answered with 'pass'", id="a word"),
        pytest.param("return [{'holds': True}]", "not with a list of measurements", id="another type"),
        pytest.param("return [good(gate='schema')]", "'schema'", id="another gate's"),
        pytest.param("return [good(), good(gate='schema')]", "'schema'", id="also another gate's"),
        pytest.param("return [good(name='')]", "non-empty", id="no name"),
        pytest.param("m = good(); object.__setattr__(m, 'holds', 'yes'); return [m]", "not believed", id="forged type"),
        pytest.param(
            "m = Estimate(gate='mine', name='x', value=1.0, n=1); object.__setattr__(m, 'value', float('nan'));"
            " return [m]",
            "JSON",
            id="forged NaN",
        ),
        pytest.param(
            "return [Assertion(gate='mine', name='x', holds=True, message='', details={'a': {1}})]",
            "JSON",
            id="details",
        ),
        pytest.param(
            "return [NotApplicable(gate='mine', name='mine', reason='no-champion')]", "there is one", id="no-champion"
        ),
        pytest.param("return [good()] * 10_001", "too long", id="too many"),
        pytest.param("os.write(int(sys.argv[2]), b'not json\\n'); return [good()]", "no answer", id="garbage"),
        pytest.param(
            'os.write(int(sys.argv[2]), b\'{"event": "measured", "ga\'); os._exit(0)', "exit code 0", id="truncated"
        ),
    ],
)
def test_a_gate_that_does_not_answer_well_fails(body: str, word: str, root: Path, tmp_path: Path) -> None:
    """And the reason says how."""
    found = _one(root, tmp_path, body)

    assert isinstance(found, Failure), found
    assert (found.gate, found.name) == ("mine", "mine")
    assert word in found.reason


@pytest.mark.parametrize("event", ["measure", "prepare", "load"])
def test_a_gate_cannot_renew_its_time_limit(event: str, root: Path, tmp_path: Path) -> None:
    """By telling again that it begins."""
    line = json.dumps({"event": event, "gate": "mine"}) + "\n"
    body = f"while True: os.write(int(sys.argv[2]), {line.encode()!r}); time.sleep(0.1)"
    found = _one(root, tmp_path, body, timeout=10.0)

    assert isinstance(found, Failure)
    assert f"twice, or too late, that 'mine' begins to {event}" in found.reason


@pytest.mark.parametrize(
    ("details", "word"),
    [
        pytest.param('{"a": 1e999}', "1e999 is not a finite number", id="beyond every float"),
        pytest.param('{"a": [NaN]}', "NaN is not a finite number", id="NaN"),
        pytest.param('{"a": -Infinity}', "-Infinity is not a finite number", id="infinity"),
        pytest.param('{"a": 1' + "0" * 400 + "}", "too large a whole number", id="a whole number beyond every float"),
        pytest.param(r'{"a": "\ud800"}', "surrogates not allowed", id="half a character"),
        pytest.param('{"a": ' + "[" * 200 + "]" * 200 + "}", "nested deeper", id="deep"),
    ],
)
def test_what_no_record_can_hold_is_no_answer(details: str, word: str, root: Path, tmp_path: Path) -> None:
    """Else writing the verdict would fail, and look like a defect of ours."""
    told = '{"kind": "assertion", "gate": "mine", "name": "x", "holds": true, "message": "", "details": ' + details
    line = f'{{"event": "measured", "gate": "mine", "measurements": [{told}}}]}}\n'
    found = _one(root, tmp_path, f"os.write(int(sys.argv[2]), {line.encode()!r}); time.sleep(60)")

    assert isinstance(found, Failure)
    assert word in found.reason


def test_a_gate_that_closes_the_channel_fails(root: Path, tmp_path: Path) -> None:
    """Where others hold it open, only the time limit can tell."""
    found = _one(root, tmp_path, "os.close(int(sys.argv[2])); time.sleep(600)", timeout=1.0)

    assert isinstance(found, Failure)
    assert (found.gate, found.name) == ("mine", "mine")


def test_a_gate_that_hangs_is_ended_with_all_that_it_started(root: Path, tmp_path: Path) -> None:
    """Its limit ends it, and its children with it."""
    marker = tmp_path / "work/mine/alive"
    child = f"import time\nwhile True: open({str(marker)!r}, 'a').write('x'); time.sleep(0.05)"
    body = f"import subprocess; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    found = _one(root, tmp_path, body, timeout=2.0)
    size = marker.stat().st_size
    time.sleep(0.5)

    assert isinstance(found, Failure)
    assert "time limit is over (2 s" in found.reason
    assert marker.stat().st_size == size


def test_a_gate_may_end_what_it_started_when_its_time_is_over(root: Path, tmp_path: Path) -> None:
    """It is asked kindly first: a program of its own in another session is its to end."""
    marker = tmp_path / "work/mine/ended"
    body = f"""try:
            time.sleep(600)
        finally:
            open({str(marker)!r}, 'w').close()"""
    found = _one(root, tmp_path, body, timeout=1.0)

    assert isinstance(found, Failure)
    assert marker.exists()


def test_gates_that_work_together_end_together(root: Path, tmp_path: Path) -> None:
    """They share what died, so none is tried again alone; what was told before counts."""
    template = HEAD + "        "
    sources = {
        "one": template.replace('"mine"', '"one"') + "return [good(gate='one')]",
        "two": template.replace('"mine"', '"two"') + "os._exit(0)",
        "three": template.replace('"mine"', '"three"') + "return [good(gate='three')]",
    }
    found = {m.gate: type(m) for m in _run(root, tmp_path, sources, together=True)}

    assert found == {"one": Assertion, "two": Failure, "three": Failure}


def test_a_gate_that_ends_the_process_takes_no_other_with_it(root: Path, tmp_path: Path) -> None:
    """The gates around it answer all the same; one that can't be imported fails alone too."""
    source = HEAD + "        return [good(gate=self.name)]"
    sources = {
        "first": source.replace('"mine"', '"first"'),
        "broken": "import no_such_module",
        "dies": HEAD.replace('"mine"', '"dies"') + "        os._exit(3)",
        "last": source.replace('"mine"', '"last"'),
    }
    found = {m.gate: m for m in _run(root, tmp_path, sources)}

    assert {name: type(m) for name, m in found.items()} == {
        "first": Assertion,
        "broken": Failure,
        "dies": Failure,
        "last": Assertion,
    }
    assert "no_such_module" in found["broken"].reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("", "no class `Gate`"),
        ("from passmuster.gates import Gate", "no class `Gate`"),
        ("class Gate:\n    name = 'mine'", "is no gate"),
        ("class Gate:\n    name = 'other'\n    needs = frozenset()\n    def measure(self, inputs): ...", "'other'"),
        ("class Gate:\n    name = 'mine'\n    needs = {'money'}\n    def measure(self, inputs): ...", "'money'"),
        ("import os; os._exit(0)", "exit code 0"),
        ("def", "SyntaxError"),
    ],
)
def test_a_file_that_is_no_gate_fails(source: str, word: str, root: Path, tmp_path: Path) -> None:
    """With what it lacks."""
    (found,) = _run(root, tmp_path, {"mine": source})

    assert isinstance(found, Failure)
    assert word in found.reason


def test_what_is_said_of_a_missing_champion_is_said_by_the_worker(tmp_path: Path) -> None:
    """A gate that needs one is not called where there is none; where it can't be read, that is an error."""
    source = HEAD.replace("frozenset()", "frozenset({'champion'})") + "        raise AssertionError('called')"
    found = []
    for state in ({"state": "none"}, {"state": "unreadable", "version": "v1", "digest": None, "message": "too old"}):
        folder = tmp_path / str(state["state"])
        made.Candidate(champion=state).write(folder)
        found += _run(folder, folder / "t", {"mine": source})

    assert isinstance(found[0], NotApplicable) and found[0].reason == "no-champion"
    assert isinstance(found[1], Failure) and "too old" in found[1].reason


def test_gates_run_cheapest_needs_first(root: Path, tmp_path: Path) -> None:
    """Those that need the champion come last, whatever the policy's order."""
    template = HEAD + "        return [Assertion(gate=self.name, name=str(time.time_ns()), holds=True, message='')]"
    sources = {
        name: template.replace('"mine"', f'"{name}"').replace("frozenset()", f"frozenset({{{need!r}}})")
        for name, need in (("c", "champion"), ("d", "data"), ("m", "model"))
    }
    found = _run(root, tmp_path, sources)

    assert [m.gate for m in sorted(found, key=lambda m: int(m.name))] == ["m", "d", "c"]


def test_every_kind_of_measurement_comes_through_unchanged() -> None:
    """The schema of answers takes all that `measurement` can say."""
    from passmuster.measurement import Estimate, Interval, to_json

    interval = Interval(low=0.1, high=0.3, level=0.95, method="m")
    kinds: list[Measurement] = [
        Estimate(
            gate="g", name="a", value=0.2, n=3, interval=interval, candidate=1.0, champion=2.0, standard_error=0.1
        ),
        Estimate(gate="g", name="b", value=1, n=3),
        Assertion(gate="g", name="c", holds=False, message="m", details={"k": [1, None]}),
        Failure(gate="g", name="d", reason="r"),
        NotApplicable(gate="g", name="e", reason="r"),
    ]

    assert _gate_process._checked(json.loads(json.dumps([to_json(m) for m in kinds])), "g") == kinds


def test_the_request_is_readable_by_a_fresh_interpreter() -> None:
    """`Asked` is found by its own module's name, also where that module runs as the program."""
    assert _gate_worker.Asked.__module__ == "passmuster._gate_worker"
